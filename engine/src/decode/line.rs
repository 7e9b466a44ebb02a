//! What the text shapes have in common: the parts of a line become one event.

use super::fields;
use super::plain::level_of_message;
use super::reject::Rejected;
use super::shape::{Decoded, Scope};
use super::time::Written;
use crate::event::{Level, LogEvent, TimeSource};

/// The parts of a line as a text shape found them.
#[derive(Debug, Default)]
pub(super) struct Line<'a> {
    pub time: Option<Written>,
    pub level: Option<Level>,
    /// Who wrote it, by the line itself.
    pub service: &'a str,
    /// Who wrote it where neither the line nor the context says so.
    pub default_service: &'a str,
    pub message: &'a str,
    pub attributes: Vec<(&'a str, &'a str)>,
}

impl Line<'_> {
    /// Appends the event.
    pub fn emit(self, scope: &Scope<'_>, out: &mut Vec<LogEvent>) -> Result<Decoded, Rejected> {
        let context = scope.context;
        let time = self
            .time
            .and_then(|written| written.resolve(context.transport_time, scope.settings().utc_offset_s));
        let service = match (self.service, context.service) {
            ("", Some(known)) => known,
            ("", None) => self.default_service,
            (named, _) => named,
        };
        let attribute = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let event = LogEvent {
            timestamp: time.unwrap_or(context.transport_time),
            time_source: if time.is_some() { TimeSource::Record } else { TimeSource::Transport },
            service: service.to_owned(),
            level: self.level.or_else(|| level_of_message(self.message)),
            message: self.message.trim().to_owned(),
            attributes: self
                .attributes
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(attribute)
                .collect(),
        };
        fields::check(&event, scope)?;
        out.push(event);
        Ok(Decoded::Yes)
    }
}

/// The first word of a text and what follows the one space behind it.
pub(super) fn word(text: &str) -> Option<(&str, &str)> {
    match text.split_once(' ') {
        Some((word, rest)) if !word.is_empty() => Some((word, rest)),
        None if !text.is_empty() => Some((text, "")),
        _ => None,
    }
}
