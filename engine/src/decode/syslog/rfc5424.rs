//! RFC 5424: `<34>1 2003-10-11T22:14:15.003Z host app pid msgid [id@0 name="value"] text`.

use std::borrow::Cow;

use super::{facility_of, level_of, priority};
use crate::decode::Events;
use crate::decode::line::{Line, word};
use crate::decode::reject::{RejectReason, Rejected};
use crate::decode::shape::{Decoded, Record, Scope, Shape};
use crate::decode::{fields, time};

/// See the module.
pub(in crate::decode) struct Rfc5424;

impl Shape for Rfc5424 {
    fn name(&self) -> &'static str {
        "rfc5424"
    }

    fn doc(&self) -> &'static str {
        "syslog by RFC 5424, such as `<34>1 2003-10-11T22:14:15.003Z host app 12 ID47 - text`"
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        record.bytes().starts_with(b"<") || record.bytes().first().is_some_and(u8::is_ascii_digit)
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let text = unframed(record.text()?);
        let Some((priority, rest)) = priority(text) else { return Ok(Decoded::No) };
        let Some(rest) = rest.strip_prefix("1 ") else { return Ok(Decoded::No) };
        let Some(header) = header(rest) else { return Ok(Decoded::No) };
        let [timestamp, host, app, pid, message_id, rest] = header;
        let written = match timestamp {
            "-" => None,
            text => match time::from_field(text) {
                Some(written) => Some(written),
                None => return Ok(Decoded::No),
            },
        };
        let Some((data, message)) = structured_data(rest) else { return Ok(Decoded::No) };
        let message = message.strip_prefix('\u{feff}').unwrap_or(message).trim();
        let value = |text: &'static str, value| (text, if value == "-" { "" } else { value });
        let line = Line {
            time: written,
            level: level_of(priority),
            service: value("", app).1,
            message: if message.is_empty() { rest } else { message },
            attributes: vec![
                ("facility", facility_of(priority)),
                value("host", host),
                value("pid", pid),
                value("message_id", message_id),
            ],
            ..Line::default()
        };
        if message.is_empty() && data.is_empty() {
            return Err(Rejected::new(
                RejectReason::NoMessage,
                "the syslog record has neither text nor data",
            ));
        }
        line.emit(scope, out)?;
        if let Some(event) = out.last_mut() {
            event.attributes.extend(data.into_iter().map(|(name, value)| (name, value.into_owned())));
            fields::check(event, scope)?;
        }
        Ok(Decoded::Yes)
    }
}

/// Without the octet count that RFC 6587 puts before a record.
fn unframed(text: &str) -> &str {
    match text.split_once(' ') {
        Some((count, rest)) if count.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with('<') => {
            rest
        }
        _ => text,
    }
}

fn header(text: &str) -> Option<[&str; 6]> {
    let (timestamp, rest) = word(text)?;
    let (host, rest) = word(rest)?;
    let (app, rest) = word(rest)?;
    let (pid, rest) = word(rest)?;
    let (message_id, rest) = word(rest)?;
    Some([timestamp, host, app, pid, message_id, rest])
}

type Data<'a> = Vec<(String, Cow<'a, str>)>;

/// The parameters, named `id.name`, and the text behind them.
fn structured_data(text: &str) -> Option<(Data<'_>, &str)> {
    let mut data = Vec::new();
    if let Some(rest) = text.strip_prefix('-') {
        return rest.is_empty().then_some((data.clone(), rest)).or(Some((data, rest.strip_prefix(' ')?)));
    }
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']'])?;
        let id = &element[..end];
        rest = &element[end..];
        while let Some(parameter) = rest.strip_prefix(' ') {
            let (name, quoted) = parameter.split_once("=\"")?;
            let (value, after) = quoted_value(quoted)?;
            data.push((format!("{id}.{name}"), value));
            rest = after;
        }
        rest = rest.strip_prefix(']')?;
    }
    if rest.len() == text.len() {
        return None;
    }
    Some((data, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// A value up to its closing quote, `\"`, `\\` and `\]` unescaped.
fn quoted_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    let value = &text[..end];
    let value = if value.contains('\\') {
        Cow::Owned(value.replace("\\\"", "\"").replace("\\]", "]").replace("\\\\", "\\"))
    } else {
        Cow::Borrowed(value)
    };
    Some((value, &text[end + 1..]))
}
