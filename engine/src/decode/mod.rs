//! Bytes of one record become log events. One file per input shape, registered in [`DECODERS`]; no shape keeps
//! state between records, so the order, batch and partition of records never change what one decodes to.

use std::fmt;

use crate::event::{EventTime, Limits, LogEvent};

/// What the transport knows of a record.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordContext<'a> {
    /// The transport's time: used where the record has none, and to complete times without year or zone.
    pub transport_time: EventTime,
    /// A service known from outside (file name, topic, folder): used where the record names none.
    pub service: Option<&'a str>,
}

/// Why a record was not accepted. `as_str` is the value of the metric's `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RejectReason {
    /// Nothing but white space.
    Empty,
    /// Longer than `max_line_bytes`.
    TooLong,
    /// Not valid UTF-8.
    InvalidUtf8,
    /// Looks like JSON, or must be, and is not.
    InvalidJson,
    /// Nested deeper than `max_depth`.
    TooDeep,
    /// More fields than `max_attributes`.
    TooManyAttributes,
    /// No text that could be the message.
    NoMessage,
    /// A time field that is not a time.
    InvalidTime,
    /// A CSV row with another number of columns than its header.
    WrongColumnCount,
    /// Not of the shape that was set, or a malformed record of it.
    Malformed,
}

impl RejectReason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Empty,
        Self::TooLong,
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::TooDeep,
        Self::TooManyAttributes,
        Self::NoMessage,
        Self::InvalidTime,
        Self::WrongColumnCount,
        Self::Malformed,
    ];

    /// The reason in snake case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::TooDeep => "too_deep",
            Self::TooManyAttributes => "too_many_attributes",
            Self::NoMessage => "no_message",
            Self::InvalidTime => "invalid_time",
            Self::WrongColumnCount => "wrong_column_count",
            Self::Malformed => "malformed",
        }
    }
}

/// A record that was not accepted, with a sentence that says what was found and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Rejected {
    /// The class of the fault.
    pub reason: RejectReason,
    /// What was found, what is allowed.
    pub detail: String,
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How records are read: limits, field names and, where it is known, the shape.
#[derive(Clone, Debug, Default)]
pub struct DecodeSettings {
    /// Bounds on one record.
    pub limits: Limits,
}

/// Decodes records by settings; cheap to share between threads.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    settings: DecodeSettings,
}

impl Decoder {
    /// A decoder for these settings.
    pub fn new(settings: DecodeSettings) -> Self {
        Self { settings }
    }

    /// Decodes one record and appends its events (one, or several for a batch shape such as OTLP) to `out`.
    ///
    /// # Errors
    /// The record is not accepted; `out` is then as it was.
    pub fn decode(
        &self,
        _record: &[u8],
        _context: RecordContext<'_>,
        _out: &mut Vec<LogEvent>,
    ) -> Result<(), Rejected> {
        let _ = &self.settings;
        todo!()
    }
}
