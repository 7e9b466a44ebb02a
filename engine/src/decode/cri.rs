//! Kubernetes' container runtime interface: `2016-10-06T00:17:09.669794202Z stdout F text`. The text is a record
//! of its own.

use super::line::{Line, word};
use super::reject::{RejectReason, Rejected};
use super::shape::{Decoded, Record, Scope, Shape};
use super::{fields, plain, time};
use crate::decode::Events;

/// See the module.
pub(super) struct Cri;

/// The parts of a line.
pub(super) struct Parts<'a> {
    pub time: time::Written,
    pub stream: &'a str,
    /// Whether the line goes on in the next record.
    pub partial: bool,
    pub text: &'a str,
}

/// The parts of a line that is one of this shape.
pub(super) fn parts(text: &str) -> Option<Parts<'_>> {
    let (stamp, rest) = word(text)?;
    if stamp.len() < 20 || stamp.as_bytes()[10] != b'T' {
        return None;
    }
    let (stream, rest) = word(rest)?;
    let (tags, text) = word(rest)?;
    let partial = match tags.split(':').next() {
        Some("F") => false,
        Some("P") => true,
        _ => return None,
    };
    if stream != "stdout" && stream != "stderr" {
        return None;
    }
    Some(Parts { time: time::from_field(stamp)?, stream, partial, text })
}

impl Shape for Cri {
    fn name(&self) -> &'static str {
        "cri"
    }

    fn doc(&self) -> &'static str {
        "Kubernetes' container logs, such as `2016-10-06T00:17:09.669794202Z stdout F text`"
    }

    fn sniff(&self, record: &Record<'_>) -> bool {
        record.bytes().get(10) == Some(&b'T') && record.bytes()[0].is_ascii_digit()
    }

    fn decode(&self, record: &Record<'_>, scope: &Scope<'_>, out: &mut Events) -> Result<Decoded, Rejected> {
        let Some(parts) = parts(record.text()?) else { return Ok(Decoded::No) };
        if parts.text.trim().is_empty() {
            return Err(Rejected::new(RejectReason::NoMessage, "the container wrote an empty line"));
        }
        let line = Line {
            time: Some(parts.time),
            message: parts.text,
            attributes: vec![("stream", parts.stream), ("partial", if parts.partial { "true" } else { "" })],
            ..Line::default()
        };
        line.emit(scope, out)?;
        if let Some(event) = out.last_mut() {
            event.level = None;
            plain::read_message(event, &scope.keeping_time());
            fields::check(event, scope)?;
        }
        Ok(Decoded::Yes)
    }
}
