//! Bytes of one record become log events. One file per input shape, registered in [`DECODERS`]; no shape keeps
//! state between records, so the order, batch and partition of records never change what one decodes to.

mod access;
mod apache;
mod bluegene;
pub mod business;
mod cri;
pub mod csv;
mod docker;
mod events;
pub mod family;
mod fields;
mod json;
mod klog;
pub mod level;
mod line;
mod logfmt;
pub mod multiline;
mod otlp;
mod pattern;
mod plain;
mod reject;
mod settings;
mod shape;
mod syslog;
pub(crate) mod time;
pub mod web;

pub use events::Events;
pub use json::heads::KnownNames;
pub use reject::{RejectReason, Rejected};
pub use settings::{DecodeSettings, FieldNames, PatternError, UserPattern};
pub use shape::{DECODERS, Decoded, Record, Scope, Shape};
pub use time::TimeMemo;

use crate::event::{EventTime, LogEvent};
use settings::NameTable;

/// What the transport knows of a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordContext<'a> {
    /// The transport's time: used where the record has none, and to complete times without year or zone.
    pub transport_time: EventTime,
    /// A service known from outside (file name, topic, folder): used where the record names none.
    pub service: Option<&'a str>,
}

/// A shape's name that [`DECODERS`] does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format `{name}`; known are: {known}")]
pub struct UnknownFormat {
    /// As it was given.
    pub name: String,
    /// Every name, separated by commas.
    pub known: String,
}

/// Decodes records by settings; cheap to share between threads.
#[derive(Clone, Debug)]
pub struct Decoder {
    settings: DecodeSettings,
    names: NameTable,
    format: Option<&'static dyn Shape>,
}

impl Default for Decoder {
    fn default() -> Self {
        let settings = DecodeSettings::default();
        Self { names: NameTable::new(&settings.names), format: None, settings }
    }
}

impl Decoder {
    /// A decoder for these settings; a `format` that [`DECODERS`] does not have is taken as not set (check it with
    /// [`Decoder::checked`] where a person wrote it).
    pub fn new(settings: DecodeSettings) -> Self {
        let format = settings.format.as_deref().and_then(shape::by_name);
        Self { names: NameTable::new(&settings.names), format, settings }
    }

    /// As [`Decoder::new`].
    ///
    /// # Errors
    /// `format` names no shape of [`DECODERS`].
    pub fn checked(settings: DecodeSettings) -> Result<Self, UnknownFormat> {
        match settings.format.as_deref() {
            Some(name) if shape::by_name(name).is_none() => {
                let known: Vec<_> = DECODERS.iter().map(|shape| shape.name()).collect();
                Err(UnknownFormat { name: name.to_owned(), known: known.join(", ") })
            }
            _ => Ok(Self::new(settings)),
        }
    }

    /// The settings that this decoder was made with.
    pub fn settings(&self) -> &DecodeSettings {
        &self.settings
    }

    /// Decodes one record and appends its events (one, or several for a batch shape such as OTLP) to `out`.
    ///
    /// # Errors
    /// The record is not accepted; `out` is then as it was.
    pub fn decode(
        &self,
        record: &[u8],
        context: RecordContext<'_>,
        out: &mut Vec<LogEvent>,
    ) -> Result<(), Rejected> {
        let mut events = Events::from(std::mem::take(out));
        let result = self.decode_into(record, context, &mut events);
        *out = events.into();
        result
    }

    /// As [`Decoder::decode`], into buffers that are used again: the way for many records.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_into(
        &self,
        record: &[u8],
        context: RecordContext<'_>,
        out: &mut Events,
    ) -> Result<(), Rejected> {
        self.decode_following(record, context, None, out)
    }

    /// As [`Decoder::decode_into`], with the same result, in less time where the records' fields repeat.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_knowing(
        &self,
        record: &[u8],
        context: RecordContext<'_>,
        known: &mut KnownNames,
        out: &mut Events,
    ) -> Result<(), Rejected> {
        self.decode_following(record, context, Some(known), out)
    }

    fn decode_following(
        &self,
        record: &[u8],
        context: RecordContext<'_>,
        known: Option<&mut KnownNames>,
        out: &mut Events,
    ) -> Result<(), Rejected> {
        let before = out.len();
        let result = self.decode_record(record, context, known, out);
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// Whether no shape before JSON would take this record: the others need not be asked.
    fn goes_to_json(&self, bytes: &[u8]) -> bool {
        bytes.first() == Some(&b'{')
            && self.settings.pattern.is_none()
            && self.format.is_none_or(|format| format.name() == json::Json.name())
            && !bytes.starts_with(docker::HEAD)
            && !self.names.is_otlp(&bytes[..bytes.len().min(otlp::HEAD_BYTES)])
    }

    fn decode_record(
        &self,
        bytes: &[u8],
        context: RecordContext<'_>,
        known: Option<&mut KnownNames>,
        out: &mut Events,
    ) -> Result<(), Rejected> {
        let limit = self.settings.limits.max_line_bytes;
        if bytes.len() > limit {
            return Err(Rejected::new(
                RejectReason::TooLong,
                format!("the record has {} bytes, at most {limit} are allowed", bytes.len()),
            ));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Rejected::new(RejectReason::Empty, "the record holds nothing but white space"));
        }
        let scope = Scope::new(self, context);
        let record = Record::new(bytes);
        if self.goes_to_json(bytes)
            && let Ok(text) = record.text()
            && json::flat::decode(text.trim(), &scope, known, out)
        {
            return Ok(());
        }
        if let Some(format) = self.format {
            return match format.decode(&record, &scope, out)? {
                Decoded::Yes => Ok(()),
                Decoded::No => Err(Rejected::new(
                    RejectReason::Malformed,
                    format!(
                        "the record is not of the format `{}` that is set: {}",
                        format.name(),
                        format.doc()
                    ),
                )),
            };
        }
        shape::find_and_decode(&record, &scope, out)
    }
}
