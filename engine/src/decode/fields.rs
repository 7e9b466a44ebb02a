//! Named fields, whatever shape they came in, become one event. Never reads a record's bytes.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::json::reader;
use super::level;
use super::reject::{RejectReason, Rejected, excerpt};
use super::settings::Names;
use super::shape::{MAX_WRAPPING, Scope};
use super::time;
use crate::event::{EventTime, Level, LogEvent, TimeSource};

/// One field of a record; the name of a nested one is joined by dots.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field<'a> {
    pub name: Cow<'a, str>,
    pub value: Value<'a>,
}

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    /// A number as it was written.
    Number(Cow<'a, str>),
    Bool(bool),
    Null,
    /// An array as it was written.
    Array(&'a str),
}

impl<'a> Field<'a> {
    pub fn text(name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        Self { name: name.into(), value: Value::Text(value.into()) }
    }
}

impl<'a> Value<'a> {
    /// The value as text; `None` for null.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Array(text) => Some(text),
            Self::Null => None,
        }
    }

    fn into_string(self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) => text.into_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Array(text) => text.to_owned(),
            Self::Null => String::new(),
        }
    }

    fn is_blank(&self) -> bool {
        self.as_str().is_none_or(|text| text.trim().is_empty())
    }

    fn integer(&self) -> Option<i64> {
        integer(self.as_str()?.trim())
    }
}

/// A whole number, also one that is written `3.0`.
pub(super) fn integer(text: &str) -> Option<i64> {
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// The fields of one record by their part.
struct Parts {
    time: Option<usize>,
    level: Option<(Option<usize>, Level)>,
    service: Option<usize>,
    message: Option<usize>,
}

/// The fields with the given names that are not blank, in the order of the list.
fn hits<'f>(fields: &'f [Field<'_>], names: &'f Names) -> impl Iterator<Item = usize> + 'f {
    let next = |after: Option<(usize, usize)>| {
        let listed = fields.iter().enumerate().filter_map(|(index, field)| {
            let place = (names.rank(&field.name)?, index);
            (after.is_none_or(|after| place > after) && !field.value.is_blank()).then_some(place)
        });
        listed.min()
    };
    std::iter::successors(next(None), move |place| next(Some(*place))).map(|(_, index)| index)
}

fn first<'f>(fields: &'f [Field<'_>], names: &'f Names) -> Option<usize> {
    hits(fields, names).next()
}

/// Parts that a record holds outside of its fields; no field is read for them.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub time: Option<EventTime>,
    pub level: Option<Level>,
    pub message: Option<String>,
}

/// Makes an event of a record's fields.
///
/// # Errors
/// A time that is none, no text at all, or too many attributes.
pub(super) fn event(fields: Vec<Field<'_>>, given: Given, scope: &Scope<'_>) -> Result<LogEvent, Rejected> {
    let fields = if given.message.is_none() { unwrap(fields, scope)? } else { fields };
    let names = scope.names();
    let (time, timestamp) = match given.time {
        Some(time) => (None, Some(time)),
        None => read_time(&fields, scope)?,
    };
    let parts = Parts {
        time,
        level: match given.level {
            Some(level) => Some((None, level)),
            None => read_level(&fields, scope),
        },
        service: first(&fields, &names.service).or_else(|| program_of_pino(&fields)),
        message: first(&fields, &names.message).filter(|_| given.message.is_none()),
    };
    let has_text = parts.message.is_some() || given.message.is_some();
    let web = if has_text { None } else { web_request(&fields, scope) };
    let mut event = LogEvent {
        timestamp: timestamp.unwrap_or(scope.context.transport_time),
        time_source: if timestamp.is_some() { TimeSource::Record } else { TimeSource::Transport },
        level: parts.level.map(|(_, level)| level),
        ..LogEvent::default()
    };
    if event.level.is_none() {
        event.level = status(&fields, scope).map(level::from_status);
    }
    let is_web = web.is_some();
    split(fields, &parts, &mut event);
    if let Some(message) = web.or(given.message) {
        event.message = trim_line_end(message);
    }
    if event.service.is_empty() {
        let default = if is_web { "web" } else { "" };
        event.service = scope.context.service.unwrap_or(default).to_owned();
    }
    if event.message.trim().is_empty() {
        event.message = message_of(&event.attributes);
    }
    check(&event, scope)?;
    Ok(event)
}

/// The rules that every event keeps.
pub(super) fn check(event: &LogEvent, scope: &Scope<'_>) -> Result<(), Rejected> {
    if event.message.trim().is_empty() {
        return Err(Rejected::new(
            RejectReason::NoMessage,
            "no field holds a text and no other field could stand for one",
        ));
    }
    let limit = scope.settings().limits.max_attributes;
    if event.attributes.len() > limit {
        return Err(too_many_attributes(event.attributes.len(), limit));
    }
    Ok(())
}

pub(super) fn too_many_attributes(count: usize, limit: usize) -> Rejected {
    Rejected::new(
        RejectReason::TooManyAttributes,
        format!("the record has {count} fields or more, at most {limit} attributes are allowed"),
    )
}

fn split(fields: Vec<Field<'_>>, parts: &Parts, event: &mut LogEvent) {
    let level = parts.level.and_then(|(index, _)| index);
    event.attributes.reserve(fields.len());
    for (index, field) in fields.into_iter().enumerate() {
        if Some(index) == parts.message {
            event.message = trim_line_end(field.value.into_string());
        } else if Some(index) == parts.service {
            event.service = field.value.into_string();
            if event.service.starts_with('/') && field.name == "container_name" {
                event.service.remove(0);
            }
        } else if Some(index) != parts.time && Some(index) != level && field.value != Value::Null {
            event.attributes.push((field.name.into_owned(), field.value.into_string()));
        }
    }
}

fn trim_line_end(mut text: String) -> String {
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    text
}

/// A message made of the fields, for records that have no text of their own: nothing a record says is lost.
fn message_of(attributes: &[(String, String)]) -> String {
    let mut message = String::new();
    for (name, value) in attributes.iter().filter(|(_, value)| !value.trim().is_empty()) {
        if !message.is_empty() {
            message.push(' ');
        }
        let _ = if value.contains([' ', '=']) && !value.contains('"') {
            write!(message, "{name}=\"{value}\"")
        } else {
            write!(message, "{name}={value}")
        };
    }
    message
}

type Time = (Option<usize>, Option<EventTime>);

fn read_time(fields: &[Field<'_>], scope: &Scope<'_>) -> Result<Time, Rejected> {
    let mut refused = None;
    for index in hits(fields, &scope.names().time) {
        let text = fields[index].value.as_str().unwrap_or_default();
        let written = match fields[index].value {
            Value::Number(_) => time::from_epoch(text),
            _ => time::from_field(text),
        };
        let transport = scope.context.transport_time;
        match written.and_then(|written| written.resolve(transport, scope.settings().utc_offset_s)) {
            Some(time) => return Ok((Some(index), Some(time))),
            None => refused = refused.or(Some(index)),
        }
    }
    match refused {
        Some(index) => Err(Rejected::new(
            RejectReason::InvalidTime,
            format!(
                "the field `{}` is `{}`, which is no time; ISO-8601 or epoch seconds, milliseconds, \
                 microseconds or nanoseconds are",
                excerpt(&fields[index].name),
                excerpt(fields[index].value.as_str().unwrap_or_default())
            ),
        )),
        None => Ok((None, None)),
    }
}

fn read_level(fields: &[Field<'_>], scope: &Scope<'_>) -> Option<(Option<usize>, Level)> {
    for index in hits(fields, &scope.names().level) {
        let value = &fields[index].value;
        let text = value.as_str().unwrap_or_default().trim();
        let level =
            value.integer().and_then(level::from_number).or_else(|| level::from_word(text)).or_else(|| {
                match text.as_bytes() {
                    [letter] => level::from_letter(*letter),
                    _ => None,
                }
            });
        if let Some(level) = level {
            return Some((Some(index), level));
        }
    }
    hits(fields, &scope.names().severity_number)
        .find_map(|index| Some((Some(index), level::from_otel(fields[index].value.integer()?)?)))
}

/// pino and bunyan call the program `name` and always write `pid` and `hostname`.
fn program_of_pino(fields: &[Field<'_>]) -> Option<usize> {
    let at = |name: &str| fields.iter().position(|field| field.name == name);
    at("pid").and(at("hostname")).and(at("name"))
}

fn status(fields: &[Field<'_>], scope: &Scope<'_>) -> Option<u16> {
    let names = scope.names();
    first(fields, &names.method)?;
    first(fields, &names.url)?;
    let status = u16::try_from(fields[first(fields, &names.status)?].value.integer()?).ok()?;
    (100..600).contains(&status).then_some(status)
}

/// `GET /x 500` for a web access record without a text.
fn web_request(fields: &[Field<'_>], scope: &Scope<'_>) -> Option<String> {
    let names = scope.names();
    let status = status(fields, scope)?;
    let method = fields[first(fields, &names.method)?].value.as_str()?;
    let url = fields[first(fields, &names.url)?].value.as_str()?;
    Some(format!("{method} {url} {status}"))
}

/// Takes a record out of the objects and texts that wrap it. What the inner record says goes first.
fn unwrap<'a>(mut fields: Vec<Field<'a>>, scope: &Scope<'_>) -> Result<Vec<Field<'a>>, Rejected> {
    drop_connect_schema(&mut fields);
    for _ in 0..MAX_WRAPPING {
        if !unwrap_object(&mut fields, scope) && !unwrap_text(&mut fields, scope)? {
            break;
        }
    }
    Ok(fields)
}

/// Kafka Connect's JsonConverter with schemas writes `{"schema":…,"payload":…}`; the schema says nothing of the line.
fn drop_connect_schema(fields: &mut Vec<Field<'_>>) {
    let is_payload = |field: &Field<'_>| field.name == "payload" || field.name.starts_with("payload.");
    let is_schema = |field: &Field<'_>| field.name == "schema" || field.name.starts_with("schema.");
    if fields.first().is_some_and(is_schema) && fields.iter().any(is_payload) {
        fields.retain(|field| !is_schema(field));
    }
}

fn unwrap_object(fields: &mut Vec<Field<'_>>, scope: &Scope<'_>) -> bool {
    let names = scope.names();
    let inside = |field: &Field<'_>, wrapper: &str| {
        field.name.len() > wrapper.len() + 1
            && field.name.as_bytes()[wrapper.len()] == b'.'
            && field.name.starts_with(wrapper)
    };
    let Some(wrapper) = names.unwrap.iter().find(|wrapper| fields.iter().any(|field| inside(field, wrapper)))
    else {
        return false;
    };
    let outer_has_text = hits(fields, &names.message).any(|index| !inside(&fields[index], wrapper));
    if outer_has_text {
        return false;
    }
    let (mut inner, outer): (Vec<_>, Vec<_>) = fields.drain(..).partition(|field| inside(field, wrapper));
    for field in &mut inner {
        field.name = Cow::Owned(field.name[wrapper.len() + 1..].to_owned());
    }
    inner.extend(outer);
    *fields = inner;
    true
}

/// A text field that holds a JSON object, such as Docker's `log`, is that object.
fn unwrap_text(fields: &mut Vec<Field<'_>>, scope: &Scope<'_>) -> Result<bool, Rejected> {
    let Some(index) = first(fields, &scope.names().message) else { return Ok(false) };
    let Value::Text(text) = &fields[index].value else { return Ok(false) };
    let text = text.trim();
    if !reader::looks_like_object(text) {
        return Ok(false);
    }
    let inner = match reader::object(text, &scope.settings().limits) {
        Ok(inner) => inner.into_iter().map(Field::into_owned).collect::<Vec<_>>(),
        Err(rejected) if rejected.reason == RejectReason::InvalidJson => return Ok(false),
        Err(rejected) => return Err(rejected),
    };
    if inner.is_empty() {
        return Ok(false);
    }
    fields.remove(index);
    fields.splice(0..0, inner);
    Ok(true)
}

impl Field<'_> {
    fn into_owned<'b>(self) -> Field<'b> {
        let value = match self.value {
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Number(text) => Value::Number(Cow::Owned(text.into_owned())),
            Value::Bool(value) => Value::Bool(value),
            Value::Null => Value::Null,
            Value::Array(text) => Value::Text(Cow::Owned(text.to_owned())),
        };
        Field { name: Cow::Owned(self.name.into_owned()), value }
    }
}
