//! `otlp_json`: the same message in protobuf's JSON mapping.

use std::borrow::Cow;

use super::{HEAD_BYTES, HEAD_MARK, LogRecord, Sink, add, join, looks_like_export, too_deep};
use crate::decode::Events;
use crate::decode::fields::{Field, Value};
use crate::decode::json::reader;
use crate::decode::reject::{RejectReason, Rejected};
use crate::decode::shape::{Decoded, Record, Scope, Shape};

/// See the module.
pub(in crate::decode) struct OtlpJson;

impl Shape for OtlpJson {
    fn name(&self) -> &'static str {
        "otlp_json"
    }

    fn doc(&self) -> &'static str {
        r#"OTLP logs in JSON: `{"resourceLogs":[…]}`, as the Collector's Kafka and file exporters write it"#
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        let head = &record.bytes()[..record.bytes().len().min(HEAD_BYTES)];
        head.trim_ascii_start().first() == Some(&b'{') && memchr::memmem::find(head, HEAD_MARK).is_some()
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let text = record.text()?.trim();
        if !looks_like_export(text) {
            return Ok(Decoded::No);
        }
        let limits = &scope.settings().limits;
        let top = reader::object(text, limits)?;
        let mut sink = Sink::new(scope, out);
        each(array(&top, "resourceLogs"), scope, &mut |resource_logs| {
            let mut resource = Vec::new();
            pairs(array(&resource_logs, "resource.attributes"), "", 1, scope, &mut resource)?;
            each(array(&resource_logs, "scopeLogs"), scope, &mut |scope_logs| {
                let logger = string(&scope_logs, "scope.name").unwrap_or_default();
                each(array(&scope_logs, "logRecords"), scope, &mut |fields| {
                    let record = log_record(&fields, scope)?;
                    sink.push(record, &resource, &logger)
                })
            })
        })?;
        if sink.events == 0 {
            return Err(Rejected::new(RejectReason::Empty, "the export holds no log record"));
        }
        Ok(Decoded::Yes)
    }
}

fn value<'f, 'a>(fields: &'f [Field<'a>], name: &str) -> Option<&'f Value<'a>> {
    fields.iter().find(|field| field.name == name).map(|field| &field.value)
}

/// The written form of an array, empty where there is none.
fn array<'a>(fields: &[Field<'a>], name: &str) -> &'a str {
    match value(fields, name) {
        Some(Value::Array(text)) => text,
        _ => "",
    }
}

fn string<'a>(fields: &[Field<'a>], name: &str) -> Option<Cow<'a, str>> {
    match value(fields, name)? {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        _ => None,
    }
}

/// Calls `visit` with the fields of every object of an array.
fn each<'a>(
    array: &'a str,
    scope: &Scope<'_>,
    visit: &mut dyn FnMut(Vec<Field<'a>>) -> Result<(), Rejected>,
) -> Result<(), Rejected> {
    let inside = array.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or_default();
    if inside.trim().is_empty() {
        return Ok(());
    }
    reader::objects(array, &scope.settings().limits, visit)
}

fn log_record<'a>(fields: &[Field<'a>], scope: &Scope<'_>) -> Result<LogRecord<'a>, Rejected> {
    let nanos = |name: &str| -> Result<u64, Rejected> {
        let Some(text) = string(fields, name) else { return Ok(0) };
        text.parse().map_err(|_| {
            let text: String = text.chars().take(40).collect();
            Rejected::new(
                RejectReason::InvalidTime,
                format!("`{name}` is `{text}`; nanoseconds since the epoch are wanted"),
            )
        })
    };
    let mut record = LogRecord {
        time_nanos: nanos("timeUnixNano")?,
        observed_nanos: nanos("observedTimeUnixNano")?,
        severity_number: string(fields, "severityNumber")
            .and_then(|text| severity(&text))
            .unwrap_or_default(),
        severity_text: string(fields, "severityText").unwrap_or_default(),
        trace_id: string(fields, "traceId").map(Cow::into_owned).unwrap_or_default(),
        span_id: string(fields, "spanId").map(Cow::into_owned).unwrap_or_default(),
        ..LogRecord::default()
    };
    for field in fields.iter().filter(|field| field.name.starts_with("body.")) {
        match &*field.name {
            "body.kvlistValue.values" => {
                if let Value::Array(text) = field.value {
                    pairs(text, "", 1, scope, &mut record.body)?;
                }
            }
            _ => record.body_text = field.value.as_str().map(|text| Cow::Owned(text.to_owned())),
        }
    }
    pairs(array(fields, "attributes"), "", 1, scope, &mut record.attributes)?;
    if let Some(name) = string(fields, "eventName").filter(|name| !name.is_empty()) {
        add(&mut record.attributes, "", "event.name".into(), Value::Text(name), scope)?;
    }
    Ok(record)
}

/// A number, or the enumeration's name such as `SEVERITY_NUMBER_ERROR2`.
fn severity(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let name = text.strip_prefix("SEVERITY_NUMBER_")?;
    let bases = [("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17), ("FATAL", 21)];
    let (base, number) = bases.into_iter().find(|(base, _)| name.starts_with(base))?;
    match &name[base.len()..] {
        "" => Some(number),
        step => step.parse::<i64>().ok().filter(|step| (2..=4).contains(step)).map(|step| number + step - 1),
    }
}

/// The key-value pairs of an array as fields.
fn pairs<'a>(
    array: &'a str,
    prefix: &str,
    depth: usize,
    scope: &Scope<'_>,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), Rejected> {
    let limit = scope.settings().limits.max_depth;
    if depth > limit {
        return Err(too_deep(depth, limit));
    }
    each(array, scope, &mut |pair| {
        let key = string(&pair, "key").unwrap_or_default();
        for field in pair {
            match field.name.strip_prefix("value.") {
                Some("kvlistValue.values") => {
                    if let Value::Array(text) = field.value {
                        let prefix = join(prefix, key.clone());
                        pairs(text, &prefix, depth + 1, scope, fields)?;
                    }
                }
                Some("arrayValue.values") => {
                    if let Value::Array(text) = field.value {
                        add(fields, prefix, key.clone(), Value::Text(plain_array(text, scope)?), scope)?;
                    }
                }
                Some(_) => add(fields, prefix, key.clone(), field.value, scope)?,
                None => {}
            }
        }
        Ok(())
    })
}

/// An array of scalars as a plain JSON array; others stay as they were written.
fn plain_array<'a>(text: &'a str, scope: &Scope<'_>) -> Result<Cow<'a, str>, Rejected> {
    let mut out = String::from("[");
    let mut plain = true;
    each(text, scope, &mut |value| {
        if out.len() > 1 {
            out.push(',');
        }
        match value.as_slice() {
            [Field { name, value: Value::Text(text) }] if name == "stringValue" => {
                super::quote(&mut out, text)
            }
            [Field { value: Value::Text(text) | Value::Number(text), .. }] => out.push_str(text),
            [Field { value: Value::Bool(flag), .. }] => out.push_str(if *flag { "true" } else { "false" }),
            _ => plain = false,
        }
        Ok(())
    })?;
    out.push(']');
    Ok(if plain { Cow::Owned(out) } else { Cow::Borrowed(text) })
}
