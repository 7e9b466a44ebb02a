//! OTLP logs as the OpenTelemetry Collector's exporters write them, in protobuf and in JSON. One record may hold
//! many events. Reads the bytes in passing: nothing is built whose size the bytes merely claim.

mod json;
mod proto;
mod wire;

pub(super) use json::OtlpJson;
pub(super) use proto::OtlpProto;

use std::borrow::Cow;

use super::events::Events;
use super::fields::{self, Field, Given, Value};
use super::json::reader;
use super::reject::{RejectReason, Rejected};
use super::shape::Scope;
use super::{level, plain};
use crate::event::{EventTime, LogEvent};

/// What the first [`HEAD_BYTES`] of an export in JSON hold.
pub(super) const HEAD_MARK: &[u8] = b"\"resourceLogs\"";
/// How far [`HEAD_MARK`] is looked for.
pub(super) const HEAD_BYTES: usize = 64;
/// Most bytes of text that the events of one record may take: each carries its resource's attributes, so a small
/// record could ask for a lot.
const MAX_EXPANDED_BYTES: usize = 32 << 20;

/// One log record before it is an event.
#[derive(Default)]
struct LogRecord<'a> {
    time_nanos: u64,
    observed_nanos: u64,
    severity_number: i64,
    severity_text: Cow<'a, str>,
    /// A text body, or the fields of a structured one.
    body_text: Option<Cow<'a, str>>,
    body: Vec<Field<'a>>,
    attributes: Vec<Field<'a>>,
    trace_id: String,
    span_id: String,
}

/// Appends events and keeps the limits of one record.
struct Sink<'s, 'a> {
    scope: &'s Scope<'a>,
    out: &'s mut Events,
    events: usize,
    expanded: usize,
}

impl<'s, 'a> Sink<'s, 'a> {
    fn new(scope: &'s Scope<'a>, out: &'s mut Events) -> Self {
        Self { scope, out, events: 0, expanded: 0 }
    }

    fn push(&mut self, record: LogRecord<'_>, resource: &[Field<'_>], logger: &str) -> Result<(), Rejected> {
        let limit = self.scope.settings().limits.max_events;
        self.events += 1;
        if self.events > limit {
            return Err(Rejected::new(
                RejectReason::TooManyAttributes,
                format!("the export holds more than {limit} log records"),
            ));
        }
        let event = event(record, resource, logger, self.scope)?;
        let texts = event.attributes.iter().map(|(name, value)| name.len() + value.len() + 48);
        self.expanded += event.message.len() + texts.sum::<usize>();
        if self.expanded > MAX_EXPANDED_BYTES {
            return Err(Rejected::new(
                RejectReason::TooLong,
                format!(
                    "the export's log records, each with its resource's attributes, take more than \
                     {MAX_EXPANDED_BYTES} bytes"
                ),
            ));
        }
        self.out.push(event);
        Ok(())
    }
}

fn event(
    record: LogRecord<'_>,
    resource: &[Field<'_>],
    logger: &str,
    scope: &Scope<'_>,
) -> Result<LogEvent, Rejected> {
    let nanos = if record.time_nanos > 0 { record.time_nanos } else { record.observed_nanos };
    let micros = i64::try_from(nanos / 1_000).unwrap_or(i64::MAX);
    let mut fields = record.body;
    fields.extend(record.attributes);
    fields.extend(resource.iter().cloned());
    let mut add = |name: &'static str, value: &str| {
        if !value.is_empty() {
            fields.push(Field::text(name, value.to_owned()));
        }
    };
    add("trace_id", &record.trace_id);
    add("span_id", &record.span_id);
    add("otel.scope.name", logger);
    let level = level::from_otel(record.severity_number).or_else(|| level::from_word(&record.severity_text));
    let given = Given {
        time: (nanos > 0).then(|| EventTime::from_micros(micros)),
        level,
        message: record.body_text.map(Cow::into_owned).filter(|text| !text.trim().is_empty()),
    };
    let has_text = given.message.is_some();
    let mut event = fields::event(fields, given, scope)?;
    if event.level.is_none() && has_text {
        plain::read_message(&mut event, scope);
        fields::check(&event, scope)?;
    }
    Ok(event)
}

/// Appends a field, joined to the name before it.
fn add<'a>(
    fields: &mut Vec<Field<'a>>,
    prefix: &str,
    name: Cow<'a, str>,
    value: Value<'a>,
    scope: &Scope<'_>,
) -> Result<(), Rejected> {
    let limit = scope.settings().limits.max_attributes;
    if fields.len() > limit {
        return Err(fields::too_many_attributes(fields.len(), limit));
    }
    fields.push(Field { name: join(prefix, name), value });
    Ok(())
}

fn join<'a>(prefix: &str, name: Cow<'a, str>) -> Cow<'a, str> {
    if prefix.is_empty() { name } else { Cow::Owned(format!("{prefix}.{name}")) }
}

fn too_deep(depth: usize, limit: usize) -> Rejected {
    Rejected::new(
        RejectReason::TooDeep,
        format!("values nested {depth} levels deep, at most {limit} are allowed"),
    )
}

/// A text as a JSON string, for arrays that become text.
fn quote(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn looks_like_export(text: &str) -> bool {
    reader::looks_like_object(text) && text.contains("resourceLogs")
}
