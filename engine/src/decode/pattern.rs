//! A regular expression of the user's own: its named groups are the fields of the record.

use std::borrow::Cow;

use super::fields::{self, Field, Value};
use super::reject::Rejected;
use super::shape::{Decoded, Record, Scope, Shape};
use crate::decode::Events;

/// See the module.
pub(super) struct Pattern;

impl Shape for Pattern {
    fn name(&self) -> &'static str {
        "pattern"
    }

    fn doc(&self) -> &'static str {
        "the regular expression that is set, with named groups such as `(?P<timestamp>…)` and `(?P<message>…)`"
    }

    fn sniff(&self, _record: &Record<'_>) -> bool {
        true
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let Some(pattern) = &scope.settings().pattern else { return Ok(Decoded::No) };
        let Ok(text) = record.text() else { return Ok(Decoded::No) };
        let Some(captures) = pattern.regex().captures(text) else { return Ok(Decoded::No) };
        let fields = pattern
            .regex()
            .capture_names()
            .flatten()
            .filter_map(|name| {
                let value = captures.name(name)?.as_str();
                Some(Field { name: Cow::Borrowed(name), value: Value::Text(Cow::Borrowed(value)) })
            })
            .collect();
        out.push(fields::event(fields, fields::Given::default(), scope)?);
        Ok(Decoded::Yes)
    }
}
