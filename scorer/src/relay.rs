//! Scored lines on their way to the detectors, keyed by service, where the input is not: a compact record on
//! DETECT_TOPIC. Whoever has a partition of that topic sees all lines of its services.

use engine::detect::{self, Evidence, Source};
use engine::event::{EventTime, Level, LogEvent, TimeSource};
use engine::id::{Coordinates, FindingId};
use engine::model::Judged;
use serde::{Deserialize, Serialize};

use crate::anomaly::ODD_LINE;
use crate::sink::{Kind, Outgoing, cut};

/// Version of the record's shape; another one is refused.
const VERSION: u8 = 1;
/// Longest attribute that is relayed, in bytes: names, ids, durations and outcomes are short.
const ATTRIBUTE_BYTES: usize = 256;
/// Most attributes that are relayed.
const MOST_ATTRIBUTES: usize = 64;

/// A scored line, as it is relayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relayed {
    v: u8,
    /// Event time, microseconds since the epoch.
    time: i64,
    service: String,
    level: Option<Level>,
    message: String,
    attributes: Vec<(String, String)>,
    score: f64,
    percentile: f64,
    /// The pattern, 16 hexadecimal digits.
    pattern: String,
    known: bool,
    source: Source,
    /// Id of the line as an odd line; every other finding's id follows from it.
    id: FindingId,
    /// Why it is odd, where it is.
    why: Option<String>,
}

impl Relayed {
    /// Of a line that was scored; `id` is its id as an odd line.
    pub fn new(
        event: &LogEvent,
        judged: &Judged,
        source: Source,
        id: FindingId,
        why: Option<String>,
    ) -> Self {
        let attributes = event
            .attributes
            .iter()
            .filter(|(name, value)| name.len() <= ATTRIBUTE_BYTES && value.len() <= ATTRIBUTE_BYTES);
        Self {
            v: VERSION,
            time: event.timestamp.as_micros(),
            service: event.service.clone(),
            level: event.level,
            message: cut(&event.message, Evidence::MOST_BYTES).to_owned(),
            attributes: attributes.take(MOST_ATTRIBUTES).cloned().collect(),
            score: judged.score.score,
            percentile: judged.score.percentile,
            pattern: format!("{:016x}", judged.pattern),
            known: judged.known_pattern,
            source,
            id,
            why,
        }
    }

    /// The record, keyed by service.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn outgoing(&self) -> serde_json::Result<Outgoing> {
        Ok(Outgoing::json(Kind::Relayed, self.service.clone(), serde_json::to_vec(self)?))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let relayed: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if relayed.v != VERSION {
            return Err(format!("version {}; this program reads version {VERSION}", relayed.v));
        }
        if !(0.0..=1.0).contains(&relayed.score) || !(0.0..=100.0).contains(&relayed.percentile) {
            return Err(format!("score {} or percentile {} is none", relayed.score, relayed.percentile));
        }
        u64::from_str_radix(&relayed.pattern, 16).map_err(|error| format!("pattern: {error}"))?;
        Ok(relayed)
    }

    /// The line as detectors see it.
    pub fn event(&self) -> LogEvent {
        LogEvent {
            timestamp: EventTime::from_micros(self.time),
            time_source: TimeSource::Record,
            service: self.service.clone(),
            level: self.level,
            message: self.message.clone(),
            attributes: self.attributes.clone(),
        }
    }

    /// With the event of [`Relayed::event`].
    pub fn seen<'a>(&'a self, event: &'a LogEvent) -> detect::Seen<'a> {
        detect::Seen {
            event,
            score: self.score,
            percentile: self.percentile,
            pattern: u64::from_str_radix(&self.pattern, 16).unwrap_or_default(),
            known_pattern: self.known,
            origin: self,
        }
    }

    /// Why it is odd, where it is.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

impl detect::Origin for Relayed {
    fn finding_id(&self, detector: &str) -> FindingId {
        if detector == ODD_LINE {
            return self.id;
        }
        let of_line = self.id.to_string();
        FindingId::of_record(detector, Coordinates::Pushed, EventTime::default(), 0, of_line.as_bytes())
    }

    fn source(&self) -> Source {
        self.source.clone()
    }
}

#[cfg(test)]
mod tests {
    use engine::detect::Origin as _;
    use engine::model::Score;

    use super::*;

    fn relayed() -> Relayed {
        let event = LogEvent {
            timestamp: EventTime::from_micros(1_800_000_000_123_456),
            service: "billing".to_owned(),
            level: Some(Level::Error),
            message: "card refused".to_owned(),
            attributes: vec![
                ("trace_id".to_owned(), "1".to_owned()),
                ("stack".to_owned(), "x".repeat(ATTRIBUTE_BYTES + 1)),
            ],
            ..LogEvent::default()
        };
        let score = Score { score: 0.9, percentile: 99.0, ..Score::default() };
        let judged = Judged { score, pattern: u64::MAX, known_pattern: true };
        let id =
            FindingId::of_record(ODD_LINE, Coordinates::Stdin { line: 1 }, EventTime::default(), 0, b"x");
        Relayed::new(&event, &judged, Source::Stdin { line: 1 }, id, Some("because".to_owned()))
    }

    #[test]
    fn what_is_written_is_read_and_long_attributes_stay_behind() {
        let relayed = relayed();
        let outgoing = relayed.outgoing().unwrap();
        assert_eq!(outgoing.key, "billing");
        let again = Relayed::read(&outgoing.json).unwrap();
        assert_eq!(again, relayed);
        let event = again.event();
        let seen = again.seen(&event);
        assert_eq!((seen.pattern, seen.known_pattern, event.attributes.len()), (u64::MAX, true, 1));
        assert_eq!(again.finding_id(ODD_LINE), again.id);
        assert_ne!(again.finding_id("new_pattern"), again.id);
    }

    #[test]
    fn what_is_none_is_refused() {
        let good = String::from_utf8(relayed().outgoing().unwrap().json).unwrap();
        for (from, to) in [
            ("\"v\":1", "\"v\":2"),
            ("\"score\":0.9", "\"score\":1.5"),
            ("ffff\"", "fffg\""),
            ("\"known\"", "\"knows\""),
        ] {
            assert!(good.contains(from), "{good}");
            assert!(Relayed::read(good.replace(from, to).as_bytes()).is_err(), "{to}");
        }
        assert!(Relayed::read(b"").is_err());
    }
}
