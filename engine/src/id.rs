//! Identities of findings: a function of the record that caused them, so that a second delivery is harmless.
//! Never of a model version, a host or the time of processing.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::EventTime;

/// Where a record came from, exactly enough to find it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates<'a> {
    /// A Kafka record.
    Kafka {
        /// The cluster's own id, so that two clusters' topics of one name differ.
        cluster: &'a str,
        /// Topic name.
        topic: &'a str,
        /// Partition number.
        partition: i32,
        /// Offset in the partition.
        offset: i64,
    },
    /// A line of a file.
    File {
        /// Device and inode, or whatever stays the same when the file is renamed.
        identity: &'a str,
        /// Byte offset of the line's first byte.
        offset: u64,
    },
    /// A line of standard input, counted from 1.
    Stdin {
        /// Line number.
        line: u64,
    },
    /// A record pushed by a peer (gRPC, OTLP): its digest alone identifies it.
    Pushed,
}

/// A 128-bit identity, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FindingId([u8; 16]);

impl FindingId {
    /// The id of what `detector` found in the record at `coordinates`.
    ///
    /// `index` tells apart several events of one record; `payload` are the record's bytes, so that a recreated
    /// topic or a truncated file never reuses an id.
    pub fn of_record(
        detector: &str,
        coordinates: Coordinates<'_>,
        time: EventTime,
        index: u32,
        payload: &[u8],
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(detector.as_bytes());
        match coordinates {
            Coordinates::Kafka { cluster, topic, partition, offset } => {
                part(b"kafka");
                part(cluster.as_bytes());
                part(topic.as_bytes());
                part(&partition.to_le_bytes());
                part(&offset.to_le_bytes());
            }
            Coordinates::File { identity, offset } => {
                part(b"file");
                part(identity.as_bytes());
                part(&offset.to_le_bytes());
            }
            Coordinates::Stdin { line } => {
                part(b"stdin");
                part(&line.to_le_bytes());
            }
            Coordinates::Pushed => part(b"pushed"),
        }
        part(&time.as_micros().to_le_bytes());
        part(&index.to_le_bytes());
        part(payload);
        Self::finish(&hasher)
    }

    /// The id of what `detector` found of `service` in the window that begins at `start`. `subject` tells apart
    /// what one window may hold several of (transaction names, patterns); `episode` counts within the window.
    pub fn of_window(detector: &str, service: &str, subject: &str, start: EventTime, episode: u32) -> Self {
        Self::of_parts(&[
            b"window",
            detector.as_bytes(),
            service.as_bytes(),
            subject.as_bytes(),
            &start.as_micros().to_le_bytes(),
            &episode.to_le_bytes(),
        ])
    }

    /// The id of the alert of `service` that `first` opened.
    pub fn of_alert(service: &str, first: Self) -> Self {
        Self::of_parts(&[b"alert", service.as_bytes(), &first.0])
    }

    fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self::finish(&hasher)
    }

    fn finish(hasher: &blake3::Hasher) -> Self {
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        Self(id)
    }
}

impl std::str::FromStr for FindingId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("an id is 32 hexadecimal digits, got `{}`", text.escape_debug());
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| wrong())
    }
}

impl<'de> Deserialize<'de> for FindingId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for FindingId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kafka(topic: &str, offset: i64, payload: &[u8]) -> FindingId {
        let coordinates = Coordinates::Kafka { cluster: "c", topic, partition: 3, offset };
        FindingId::of_record("odd_line", coordinates, EventTime::from_millis(5), 0, payload)
    }

    proptest! {
        #[test]
        fn an_id_depends_on_every_coordinate(topic in "[a-z]{1,8}", offset in 0i64..1_000, payload: Vec<u8>) {
            let id = kafka(&topic, offset, &payload);
            prop_assert_eq!(id, kafka(&topic, offset, &payload));
            prop_assert_ne!(id, kafka(&topic, offset + 1, &payload));
            prop_assert_ne!(id, kafka(&format!("{topic}x"), offset, &payload));
            let mut longer = payload.clone();
            longer.push(0);
            prop_assert_ne!(id, kafka(&topic, offset, &longer));
        }
    }

    #[test]
    fn an_id_survives_being_written() {
        let id = kafka("t", 1, b"x");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("xyz".parse::<FindingId>().unwrap_err().contains("`xyz`"));
    }

    #[test]
    fn a_window_has_an_id_per_detector_service_subject_start_and_episode() {
        let start = EventTime::from_millis(5_000);
        let ids = [
            FindingId::of_window("d", "s", "", start, 0),
            FindingId::of_window("e", "s", "", start, 0),
            FindingId::of_window("d", "t", "", start, 0),
            FindingId::of_window("d", "s", "x", start, 0),
            FindingId::of_window("d", "s", "", EventTime::from_millis(5_001), 0),
            FindingId::of_window("d", "s", "", start, 1),
            FindingId::of_alert("s", FindingId::of_window("d", "s", "", start, 0)),
        ];
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
        assert_eq!(ids[0], FindingId::of_window("d", "s", "", start, 0));
    }

    #[test]
    fn an_id_is_32_hex_digits() {
        let text = kafka("t", 1, b"x").to_string();
        assert_eq!(text.len(), 32);
        assert!(text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
