//! Any line of text: the time, level and component at its head are recognised (log4j, logback, Python logging,
//! Spring Boot, Rust's and Go's loggers, databases), the rest is the message. Takes whatever no other shape took.

mod head;
mod words;

use super::events::{Events, Filling};
use super::fields;
use super::json::reader;
use super::level;
use super::reject::Rejected;
use super::shape::{Decoded, Record, Scope, Shape, find_and_decode};
use crate::event::{Level, LogEvent, TimeSource};

pub(super) use head::Head;

/// See the module.
pub(super) struct Plain;

impl Shape for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn doc(&self) -> &'static str {
        "a line of text; a time, a level and a component at its head are recognised"
    }

    fn sniff(&self, _record: &Record<'_>) -> bool {
        true
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let text = record.text()?;
        fields::check(fill(text, &Head::of(text), scope, out.next()), scope)?;
        Ok(Decoded::Yes)
    }
}

fn fill<'e>(text: &str, head: &Head<'_>, scope: &Scope<'_>, mut filling: Filling<'e>) -> &'e LogEvent {
    let context = scope.context;
    let time =
        head.time.and_then(|written| written.resolve(context.transport_time, scope.settings().utc_offset_s));
    let (message, trailing_service) = match head.service {
        None => logger_at_the_end(head.message),
        Some(_) => (head.message, None),
    };
    for (name, value) in &head.attributes {
        filling.attribute(name).push_str(value);
    }
    let event = filling.event;
    event.timestamp = time.unwrap_or(context.transport_time);
    event.time_source = if time.is_some() { TimeSource::Record } else { TimeSource::Transport };
    event.service.push_str(head.service.or(trailing_service).or(context.service).unwrap_or_default());
    event.level = head.level.or_else(|| level_of_message(head.message));
    event.message.push_str(if message.is_empty() { text.trim() } else { message });
    event
}

/// log4j's `%m (%c)`: `started (kafka.server.KafkaServer)`.
fn logger_at_the_end(message: &str) -> (&str, Option<&str>) {
    let found = message.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    match found {
        Some((before, logger))
            if logger.matches('.').count() > 1 && words::is_component(logger) && !before.contains('\n') =>
        {
            (before.trim_end(), Some(logger))
        }
        _ => (message, None),
    }
}

/// A level that the message itself begins with, as in `error: no such user`; the text keeps it.
pub(super) fn level_of_message(message: &str) -> Option<Level> {
    let word = message.split([':', ' ']).next().unwrap_or_default();
    // `audit: …` and `config: …` are more often components than levels.
    let is_level = !["audit", "config", "note", "fine"].iter().any(|other| word.eq_ignore_ascii_case(other));
    (is_level && message[word.len()..].starts_with(':')).then(|| level::from_word(word)).flatten()
}

/// Reads the message of a record that names no level as a line of its own, as log shippers leave it. What the line
/// says of time, level and service completes the record; a line in no known shape changes nothing.
pub(super) fn read_message(event: &mut LogEvent, scope: &Scope<'_>) {
    let context = super::RecordContext { transport_time: event.timestamp, service: None };
    let Some(inner) = scope.inner(context) else { return };
    let mut found = Events::default();
    if find_and_decode(&Record::of_text(&event.message), &inner, &mut found).is_err() || found.len() != 1 {
        return;
    }
    let Some(line) = Vec::from(found).pop() else { return };
    let says_nothing = line.level.is_none() && line.time_source == TimeSource::Transport;
    if says_nothing && !reader::looks_like_object(&event.message) {
        return;
    }
    if line.time_source == TimeSource::Record
        && !(scope.keeps_time && event.time_source == TimeSource::Record)
    {
        event.timestamp = line.timestamp;
        event.time_source = TimeSource::Record;
    }
    event.level = line.level;
    event.message = line.message;
    if event.service.is_empty() || scope.context.service == Some(&event.service) {
        if !line.service.is_empty() {
            event.service = line.service;
        }
    } else if !line.service.is_empty() {
        event.attributes.push(("component".to_owned(), line.service));
    }
    event.attributes.extend(line.attributes);
}
