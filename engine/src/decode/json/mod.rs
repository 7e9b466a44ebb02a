//! JSON: one object per record, an array of them, or a JSON string that holds either or a line of text.

pub(super) mod flat;
pub(super) mod heads;
pub(super) mod reader;

use super::fields;
use super::plain;
use super::reject::{RejectReason, Rejected};
use super::shape::{Decoded, Record, Scope, Shape, find_and_decode};
use crate::decode::Events;
use crate::event::LogEvent;

/// See the module.
pub(super) struct Json;

impl Shape for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn doc(&self) -> &'static str {
        "a JSON object, an array of objects, or a JSON string that holds a record"
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        let mut bytes = record.bytes().iter().filter(|byte| !byte.is_ascii_whitespace());
        match bytes.next() {
            Some(b'{') => matches!(bytes.next(), Some(b'"' | b'}')),
            Some(b'[') => bytes.next() == Some(&b'{') && matches!(bytes.next(), Some(b'"' | b'}')),
            Some(b'"') => {
                record.bytes().trim_ascii().len() > 1 && record.bytes().trim_ascii().ends_with(b"\"")
            }
            _ => false,
        }
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let text = record.text()?.trim();
        let limits = &scope.settings().limits;
        match text.as_bytes().first() {
            Some(b'[') => reader::objects(text, limits, |fields| {
                if out.len() >= limits.max_events {
                    return Err(Rejected::new(
                        RejectReason::TooManyAttributes,
                        format!("the array holds more than {} records", limits.max_events),
                    ));
                }
                out.push(event(fields, scope)?);
                Ok(())
            })?,
            Some(b'"') => {
                // A line of text may begin and end with a quote without being a JSON string.
                let Ok(inner) = reader::string(text, limits) else { return Ok(Decoded::No) };
                let Some(inner_scope) = scope.inner(scope.context) else {
                    return Err(Rejected::new(
                        RejectReason::TooDeep,
                        "strings in strings in strings: a record may be wrapped 4 times at most",
                    ));
                };
                if inner.trim().is_empty() {
                    return Err(Rejected::new(RejectReason::Empty, "the JSON string is empty"));
                }
                find_and_decode(&Record::of_text(&inner), &inner_scope, out)?;
            }
            Some(b'{') => {
                if !flat::decode(text, scope, None, out) {
                    out.push(event(reader::object(text, limits)?, scope)?);
                }
            }
            _ => return Ok(Decoded::No),
        }
        Ok(Decoded::Yes)
    }
}

pub(super) fn event(fields: Vec<fields::Field<'_>>, scope: &Scope<'_>) -> Result<LogEvent, Rejected> {
    let mut event = fields::event(fields, fields::Given::default(), scope)?;
    if event.level.is_none() {
        plain::read_message(&mut event, scope);
        fields::check(&event, scope)?;
    }
    Ok(event)
}
