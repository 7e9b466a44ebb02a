//! A record that could not be read, as it is kept: where it came from, why, and the start of its bytes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use engine::decode::Rejected;
use serde::Serialize;

use super::{Kind, Outgoing};
use crate::anomaly::SourceField;
use crate::record::Record;

/// Most bytes of a record that a dead letter keeps.
const PAYLOAD_BYTES: usize = 4_096;

/// A record that could not be read.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetter {
    /// Version of this shape.
    pub schema: u32,
    /// The class of the fault, as in `isolog_lines_rejected_total`.
    pub reason: &'static str,
    /// What was found and what is allowed.
    pub detail: String,
    /// Where the record came from.
    pub source: SourceField,
    /// The transport's time, RFC 3339.
    pub timestamp: String,
    /// The record's start, secrets taken out; a byte that is not UTF-8 is written `\xNN`, a backslash `\\`.
    pub payload: String,
    /// The record's whole length.
    pub payload_bytes: usize,
    /// Whether `payload` is only its start.
    pub payload_cut: bool,
}

impl DeadLetter {
    /// For a record that was rejected; `redact` takes secrets out of a text.
    pub fn new(record: &Record, rejected: &Rejected, redact: impl Fn(&str) -> String) -> Self {
        let bytes = record.body.bytes();
        let text = redact(&escaped(bytes.get(..PAYLOAD_BYTES).unwrap_or(bytes)));
        let payload = cut(&text, PAYLOAD_BYTES).to_owned();
        Self {
            schema: 1,
            reason: rejected.reason.as_str(),
            detail: redact(&rejected.detail),
            source: SourceField::from(&record.origin),
            timestamp: record.transport_time.to_string(),
            payload_cut: bytes.len() > PAYLOAD_BYTES || payload.len() < text.len(),
            payload,
            payload_bytes: bytes.len(),
        }
    }

    /// The record that leaves the process.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn outgoing(&self) -> serde_json::Result<Outgoing> {
        let json = serde_json::to_vec(self)?;
        Ok(Outgoing::json(Kind::DeadLetter, self.reason.to_owned(), json))
    }
}

/// A text's start of at most `limit` bytes, at a character's boundary.
pub fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// Lets one line per reason into the log now and then, and counts the others.
#[derive(Debug, Default)]
pub struct Sampler(HashMap<&'static str, (Instant, u64)>);

impl Sampler {
    /// `Some` with the number of records left out since the last one, when this one is to be told.
    pub fn tell(&mut self, reason: &'static str, now: Instant) -> Option<u64> {
        match self.0.get_mut(reason) {
            Some((told, left_out)) if now.duration_since(*told) < SAMPLE_EVERY => {
                *left_out += 1;
                None
            }
            _ => self.0.insert(reason, (now, 0)).map(|(_, left_out)| left_out).or(Some(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use engine::decode::RejectReason;
    use engine::event::EventTime;

    use super::*;
    use crate::record::{Body, Origin};

    fn letter(payload: &'static [u8]) -> DeadLetter {
        let record = Record {
            origin: Origin::Stdin { line: 7 },
            transport_time: EventTime::from_millis(0),
            service: None,
            body: Body::Raw(Bytes::from_static(payload)),
        };
        let rejected = Rejected { reason: RejectReason::InvalidUtf8, detail: "byte 1".to_owned() };
        DeadLetter::new(&record, &rejected, str::to_owned)
    }

    #[test]
    fn bytes_that_are_no_text_can_be_read_back() {
        let letter = letter(b"a\xff\\b");
        assert_eq!(letter.payload, "a\\xff\\\\b");
        assert!(!letter.payload_cut);
    }

    #[test]
    fn at_most_4_kib_of_a_record_are_kept() {
        static LONG: [u8; 9_000] = [0xff; 9_000];
        let letter = letter(&LONG);
        assert!(letter.payload.len() <= PAYLOAD_BYTES);
        assert!(letter.payload_cut);
        assert_eq!(letter.payload_bytes, 9_000);
    }

    #[test]
    fn one_line_per_reason_and_interval_is_told() {
        let mut sampler = Sampler::default();
        let start = Instant::now();
        assert_eq!(sampler.tell("empty", start), Some(0));
        assert_eq!(sampler.tell("empty", start), None);
        assert_eq!(sampler.tell("too_long", start), Some(0));
        assert_eq!(sampler.tell("empty", start + SAMPLE_EVERY), Some(1));
    }
}
