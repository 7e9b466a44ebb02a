//! `otlp_proto`: an `ExportLogsServiceRequest` (or `LogsData`, which is the same on the wire).

use std::borrow::Cow;
use std::fmt::Write as _;

use super::wire::{Fields, Wire, text};
use super::{LogRecord, Sink, add, join, quote, too_deep};
use crate::decode::Events;
use crate::decode::fields::{Field, Value};
use crate::decode::reject::{RejectReason, Rejected};
use crate::decode::shape::{Decoded, Record, Scope, Shape};

/// See the module.
pub(in crate::decode) struct OtlpProto;

impl Shape for OtlpProto {
    fn name(&self) -> &'static str {
        "otlp_proto"
    }

    fn doc(&self) -> &'static str {
        "OTLP logs in protobuf: an ExportLogsServiceRequest, as the Collector's Kafka exporter writes it"
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        record.bytes().first() == Some(&0x0A)
            && record.bytes().len() > 2
            && Fields::new(record.bytes()).all(|field| match field {
                Ok((1, Wire::Bytes(resource_logs))) => Fields::new(resource_logs)
                    .all(|field| matches!(field, Ok((1..=3, Wire::Bytes(_))) | Ok((1000, Wire::Bytes(_))))),
                _ => false,
            })
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let mut sink = Sink::new(scope, out);
        for field in Fields::new(record.bytes()) {
            if let (1, Wire::Bytes(resource_logs)) = field? {
                self::resource_logs(resource_logs, &mut sink)?;
            }
        }
        if sink.events == 0 {
            return Err(Rejected::new(RejectReason::Empty, "the export holds no log record"));
        }
        Ok(Decoded::Yes)
    }
}

fn resource_logs(message: &[u8], sink: &mut Sink<'_, '_>) -> Result<(), Rejected> {
    let mut resource = Vec::new();
    for field in Fields::new(message) {
        if let (1, Wire::Bytes(bytes)) = field? {
            for field in Fields::new(bytes) {
                if let (1, Wire::Bytes(pair)) = field? {
                    key_value(pair, "", 1, sink.scope, &mut resource)?;
                }
            }
        }
    }
    for field in Fields::new(message) {
        if let (2, Wire::Bytes(scope_logs)) = field? {
            self::scope_logs(scope_logs, &resource, sink)?;
        }
    }
    Ok(())
}

fn scope_logs(message: &[u8], resource: &[Field<'_>], sink: &mut Sink<'_, '_>) -> Result<(), Rejected> {
    let mut logger = "";
    for field in Fields::new(message) {
        if let (1, Wire::Bytes(bytes)) = field? {
            for field in Fields::new(bytes) {
                if let (1, Wire::Bytes(name)) = field? {
                    logger = text(name)?;
                }
            }
        }
    }
    for field in Fields::new(message) {
        if let (2, Wire::Bytes(bytes)) = field? {
            let record = log_record(bytes, sink.scope)?;
            sink.push(record, resource, logger)?;
        }
    }
    Ok(())
}

fn log_record<'a>(message: &'a [u8], scope: &Scope<'_>) -> Result<LogRecord<'a>, Rejected> {
    let mut record = LogRecord::default();
    for field in Fields::new(message) {
        match field? {
            (1, Wire::Fixed64(nanos)) => record.time_nanos = nanos,
            (11, Wire::Fixed64(nanos)) => record.observed_nanos = nanos,
            (2, Wire::Varint(number)) => record.severity_number = i64::try_from(number).unwrap_or_default(),
            (3, Wire::Bytes(bytes)) => record.severity_text = Cow::Borrowed(text(bytes)?),
            (5, Wire::Bytes(value)) => body(value, scope, &mut record)?,
            (6, Wire::Bytes(pair)) => key_value(pair, "", 1, scope, &mut record.attributes)?,
            (9, Wire::Bytes(id)) => record.trace_id = hex(id),
            (10, Wire::Bytes(id)) => record.span_id = hex(id),
            (12, Wire::Bytes(name)) => {
                add(&mut record.attributes, "", "event.name".into(), text_value(name)?, scope)?;
            }
            _ => {}
        }
    }
    Ok(record)
}

fn text_value(bytes: &[u8]) -> Result<Value<'_>, Rejected> {
    Ok(Value::Text(Cow::Borrowed(text(bytes)?)))
}

/// Ids as hexadecimal digits; longer ones than the protocol's 16 bytes are cut.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn body<'a>(value: &'a [u8], scope: &Scope<'_>, record: &mut LogRecord<'a>) -> Result<(), Rejected> {
    for field in Fields::new(value) {
        match field? {
            (1, Wire::Bytes(bytes)) => record.body_text = Some(Cow::Borrowed(text(bytes)?)),
            (6, Wire::Bytes(list)) => pairs(list, "", 1, scope, &mut record.body)?,
            (tag, wire) => {
                let mut out = String::new();
                scalar(tag, wire, 1, scope, &mut out)?;
                record.body_text = Some(Cow::Owned(out));
            }
        }
    }
    Ok(())
}

fn key_value<'a>(
    pair: &'a [u8],
    prefix: &str,
    depth: usize,
    scope: &Scope<'_>,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), Rejected> {
    let limit = scope.settings().limits.max_depth.min(128);
    if depth > limit {
        return Err(too_deep(depth, limit));
    }
    let mut key = "";
    let mut value: &[u8] = &[];
    for field in Fields::new(pair) {
        match field? {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    for field in Fields::new(value) {
        let value = match field? {
            (1, Wire::Bytes(bytes)) => text_value(bytes)?,
            (6, Wire::Bytes(list)) => {
                bounded(prefix, key, scope)?;
                pairs(list, &join(prefix, Cow::Borrowed(key)), depth + 1, scope, fields)?;
                continue;
            }
            (tag, wire) => {
                let mut out = String::new();
                scalar(tag, wire, depth, scope, &mut out)?;
                if out.is_empty() {
                    continue;
                }
                Value::Text(Cow::Owned(out))
            }
        };
        bounded(prefix, key, scope)?;
        add(fields, prefix, Cow::Borrowed(key), value, scope)?;
    }
    Ok(())
}

/// Joined names may not grow beyond one line's share of its attributes.
fn bounded(prefix: &str, key: &str, scope: &Scope<'_>) -> Result<(), Rejected> {
    let limits = &scope.settings().limits;
    let limit = (limits.max_line_bytes / limits.max_attributes.max(1)).max(1_024);
    if prefix.is_empty() || prefix.len() + key.len() <= limit {
        return Ok(());
    }
    Err(Rejected::new(
        RejectReason::TooLong,
        format!("the joined name of a nested attribute has more than {limit} bytes"),
    ))
}

fn pairs<'a>(
    list: &'a [u8],
    prefix: &str,
    depth: usize,
    scope: &Scope<'_>,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), Rejected> {
    for field in Fields::new(list) {
        if let (1, Wire::Bytes(pair)) = field? {
            key_value(pair, prefix, depth, scope, fields)?;
        }
    }
    Ok(())
}

/// A value that is no text and no map, as text; arrays as JSON.
fn scalar(
    tag: u32,
    wire: Wire<'_>,
    depth: usize,
    scope: &Scope<'_>,
    out: &mut String,
) -> Result<(), Rejected> {
    let _ = match (tag, wire) {
        (2, Wire::Varint(flag)) => write!(out, "{}", flag != 0),
        (3, Wire::Varint(number)) => write!(out, "{}", number.cast_signed()),
        (4, Wire::Fixed64(bits)) => write!(out, "{}", f64::from_bits(bits)),
        (7, Wire::Bytes(bytes)) => bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
        (5, Wire::Bytes(list)) => return array(list, depth + 1, scope, out),
        _ => Ok(()),
    };
    Ok(())
}

fn array(list: &[u8], depth: usize, scope: &Scope<'_>, out: &mut String) -> Result<(), Rejected> {
    let limit = scope.settings().limits.max_depth.min(128);
    if depth > limit {
        return Err(too_deep(depth, limit));
    }
    out.push('[');
    let mut first = true;
    for field in Fields::new(list) {
        let (1, Wire::Bytes(value)) = field? else { continue };
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        element(value, depth, scope, out)?;
    }
    out.push(']');
    Ok(())
}

fn element(value: &[u8], depth: usize, scope: &Scope<'_>, out: &mut String) -> Result<(), Rejected> {
    let before = out.len();
    for field in Fields::new(value) {
        match field? {
            (1, Wire::Bytes(bytes)) => quote(out, text(bytes)?),
            (6, Wire::Bytes(list)) => {
                let mut fields = Vec::new();
                pairs(list, "", depth + 1, scope, &mut fields)?;
                out.push('{');
                for (index, field) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    quote(out, &field.name);
                    out.push(':');
                    quote(out, field.value.as_str().unwrap_or_default());
                }
                out.push('}');
            }
            (tag, wire) => scalar(tag, wire, depth, scope, out)?,
        }
    }
    if out.len() == before {
        out.push_str("null");
    }
    Ok(())
}
