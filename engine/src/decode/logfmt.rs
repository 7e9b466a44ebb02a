//! logfmt: `time=2024-01-01T00:00:00Z level=info msg="all well" user=7`.

use std::borrow::Cow;

use super::fields::{self, Field, Value, too_many_attributes};
use super::json::reader;
use super::reject::Rejected;
use super::shape::{Decoded, Record, Scope, Shape};
use crate::decode::Events;

/// See the module.
pub(super) struct Logfmt;

impl Shape for Logfmt {
    fn name(&self) -> &'static str {
        "logfmt"
    }

    fn doc(&self) -> &'static str {
        "logfmt: at least two `name=value`, such as `time=2024-01-01T00:00:00Z level=info msg=\"all well\"`"
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        let head = &record.bytes()[..record.bytes().len().min(64)];
        let name = head.iter().take_while(|byte| is_name(**byte)).count();
        name > 0 && head.get(name) == Some(&b'=')
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let Some(pairs) = pairs(record.text()?.trim(), scope)? else { return Ok(Decoded::No) };
        if pairs.len() < 2 {
            return Ok(Decoded::No);
        }
        out.push(fields::event(pairs, fields::Given::default(), scope)?);
        Ok(Decoded::Yes)
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-@/".contains(&byte)
}

/// The pairs of a text that consists of nothing else.
fn pairs<'a>(text: &'a str, scope: &Scope<'_>) -> Result<Option<Vec<Field<'a>>>, Rejected> {
    let limits = &scope.settings().limits;
    let mut fields: Vec<Field<'a>> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let name = rest.bytes().take_while(|byte| is_name(*byte)).count();
        if name == 0 || rest.as_bytes().get(name) != Some(&b'=') {
            return Ok(None);
        }
        let after = &rest[name + 1..];
        let Some((value, next)) = value(after, limits) else { return Ok(None) };
        if fields.len() > limits.max_attributes.saturating_add(4) {
            return Err(too_many_attributes(fields.len(), limits.max_attributes));
        }
        fields.push(Field { name: Cow::Borrowed(&rest[..name]), value });
        if !next.is_empty() && !next.starts_with([' ', '\t']) {
            return Ok(None);
        }
        rest = next.trim_start();
    }
    Ok(Some(fields))
}

fn value<'a>(text: &'a str, limits: &crate::event::Limits) -> Option<(Value<'a>, &'a str)> {
    if !text.starts_with('"') {
        let end = text.find([' ', '\t', '\n']).unwrap_or(text.len());
        return Some((Value::Text(Cow::Borrowed(&text[..end])), &text[end..]));
    }
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })? + 2;
    let value = reader::string(&text[..end], limits).unwrap_or(Cow::Borrowed(&text[1..end - 1]));
    Some((Value::Text(value), &text[end..]))
}
