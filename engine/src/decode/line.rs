//! What the text shapes have in common: the parts of a line become one event.

use super::Events;
use super::fields;
use super::plain::level_of_message;
use super::reject::Rejected;
use super::shape::{Decoded, Scope};
use super::time::Written;
use crate::event::{Level, TimeSource};

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
    pub fn emit(self, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let context = scope.context;
        let time = self
            .time
            .and_then(|written| written.resolve(context.transport_time, scope.settings().utc_offset_s));
        let service = match (self.service, context.service) {
            ("", Some(known)) => known,
            ("", None) => self.default_service,
            (named, _) => named,
        };
        let mut filling = out.next();
        let event = &mut *filling.event;
        event.timestamp = time.unwrap_or(context.transport_time);
        event.time_source = if time.is_some() { TimeSource::Record } else { TimeSource::Transport };
        event.service.push_str(service);
        event.level = self.level.or_else(|| level_of_message(self.message));
        event.message.push_str(self.message.trim());
        for (name, value) in self.attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
            filling.attribute(name).push_str(value);
        }
        fields::check(filling.event, scope)?;
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
