//! Why a record was not accepted.

use std::fmt;

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

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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

impl Rejected {
    /// A rejection with its sentence.
    pub fn new(reason: RejectReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// At most 80 characters of a value, for a message about it.
pub(super) fn excerpt(value: &str) -> String {
    match value.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
