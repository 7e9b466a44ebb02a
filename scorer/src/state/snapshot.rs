//! The bytes of a snapshot: what one stream's components have learnt, and the places in its input that this stands
//! at. Written and read as a whole; knows no file and no topic.
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | `\x89ISOSNP\n` |
//! | 8–11 | version of the format |
//! | 12–15 | zero |
//! | 16–23 | length of the content |
//! | 24–55 | BLAKE3 of the content |
//! | 56–59 | zero |
//! | 60–63 | CRC-32C of bytes 0–59 |
//!
//! The content is Zstandard of bincode.

use std::collections::BTreeMap;
use std::io::Read;

use engine::alert::Watch;
use engine::learnt::{self, Learnt};
use serde::{Deserialize, Serialize};

const MAGIC: [u8; 8] = *b"\x89ISOSNP\n";
const VERSION: u32 = 1;
const HEADER: usize = 64;
/// Longest snapshot that is written and read, packed, in bytes.
pub const MOST_PACKED: usize = 64 << 20;
/// Zstandard level: a snapshot is written every few seconds.
const LEVEL: i32 = 1;

/// How far one member of a stream (a file, a partition) went into what was learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Everything before this position did.
    pub end: u64,
    /// Pieces behind it that did too, ascending: lines that came while an earlier one waited for its end.
    pub ahead: Vec<(u64, u64)>,
}

/// The places of a stream's members.
pub type Places = BTreeMap<String, Place>;

impl Place {
    /// Whether the line that begins here is in what was learnt.
    pub fn holds(&self, start: u64) -> bool {
        start < self.end || self.ahead.iter().any(|(from, to)| (*from..*to).contains(&start))
    }
}

/// One component's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    name: String,
    version: u32,
    bytes: Vec<u8>,
}

impl Part {
    /// Of a component as it is now.
    pub fn of(component: &dyn Learnt) -> Self {
        let mut bytes = Vec::new();
        component.snapshot(&mut bytes);
        Self { name: component.name().to_owned(), version: component.version(), bytes }
    }
}

/// What a stream has learnt, and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The stream's name.
    pub stream: String,
    /// Rises with each snapshot of the stream.
    pub number: u64,
    /// Digest of the model that it was learnt under.
    pub model: String,
    /// By member.
    pub places: Places,
    /// By component.
    pub parts: Vec<Part>,
}

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Cut short, or with something behind its end.
    #[error("it has {got} bytes instead of {expected}")]
    Length {
        /// Bytes that are there.
        got: usize,
        /// Bytes that should be.
        expected: u64,
    },
    /// Its checksum does not fit.
    #[error("its checksum does not fit")]
    Damaged,
    /// Written by another program version.
    #[error("it has version {found}, this program reads version {VERSION}")]
    OtherVersion {
        /// Its version.
        found: u32,
    },
    /// Undamaged, but not something that is written.
    #[error("its content is not valid: {0}")]
    Invalid(String),
    /// Larger than any that is read.
    #[error("it would have {bytes} bytes packed, at most {MOST_PACKED} are kept")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Larger than any that is read, before it is packed.
    #[error("it would have more than {} bytes", learnt::MOST_BYTES)]
    FarTooLarge,
}

impl Snapshot {
    /// As bytes.
    ///
    /// # Errors
    /// It is too large.
    pub fn pack(&self) -> Result<Vec<u8>, SnapshotError> {
        self.pack_within(MOST_PACKED)
    }

    /// As bytes, at most `most` of them: where that is too little, what is largest is left out, and named, so that the
    /// position goes on. Nobody restores what is left out: it begins anew.
    ///
    /// # Errors
    /// It cannot be packed, or has no room even without its parts.
    pub fn pack_what_fits(&mut self, most: usize) -> Result<(Vec<u8>, Vec<String>), SnapshotError> {
        let mut left_out = Vec::new();
        // A component that is larger than may be writes nothing.
        self.parts.retain(|part| {
            if part.bytes.is_empty() {
                left_out.push(part.name.clone());
            }
            !part.bytes.is_empty()
        });
        loop {
            match self.pack_within(most) {
                Err(error @ (SnapshotError::TooLarge { .. } | SnapshotError::FarTooLarge)) => {
                    left_out.push(self.leave_out_largest().ok_or(error)?);
                }
                packed => return packed.map(|bytes| (bytes, left_out)),
            }
        }
    }

    fn leave_out_largest(&mut self) -> Option<String> {
        let (place, part) = self.parts.iter_mut().enumerate().max_by_key(|(_, part)| part.bytes.len())?;
        // Of the detectors, the others and the open alerts stay.
        if let Some(detector) = Watch::leave_out_largest(&part.name, &mut part.bytes) {
            return Some(detector);
        }
        Some(self.parts.remove(place).name)
    }

    fn pack_within(&self, most: usize) -> Result<Vec<u8>, SnapshotError> {
        let mut content = Vec::new();
        learnt::encode(self, &mut content);
        if content.is_empty() {
            return Err(SnapshotError::FarTooLarge);
        }
        let content =
            zstd::encode_all(&*content, LEVEL).map_err(|error| SnapshotError::Invalid(error.to_string()))?;
        if content.len() + HEADER > most {
            return Err(SnapshotError::TooLarge { bytes: content.len() + HEADER });
        }
        let mut bytes = Vec::with_capacity(HEADER + content.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(blake3::hash(&content).as_bytes());
        bytes.extend([0; 4]);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes.extend(content);
        Ok(bytes)
    }

    /// From bytes.
    ///
    /// # Errors
    /// Says what is wrong with them; never allocates by a length that they claim.
    pub fn unpack(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let Some((header, content)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(SnapshotError::Length { got: bytes.len(), expected: HEADER as u64 });
        };
        let word = |at: usize| {
            let four = header.get(at..at + 4).and_then(|four| four.try_into().ok());
            u32::from_le_bytes(four.unwrap_or_default())
        };
        let checked = header.get(..HEADER - 4).unwrap_or_default();
        if !header.starts_with(&MAGIC) || crc32c::crc32c(checked) != word(HEADER - 4) {
            return Err(SnapshotError::Damaged);
        }
        if word(8) != VERSION {
            return Err(SnapshotError::OtherVersion { found: word(8) });
        }
        let length = u64::from(word(16)) | u64::from(word(20)) << 32;
        if length != content.len() as u64 {
            let expected = length.saturating_add(HEADER as u64);
            return Err(SnapshotError::Length { got: bytes.len(), expected });
        }
        if header.get(24..56) != Some(blake3::hash(content).as_bytes().as_slice()) {
            return Err(SnapshotError::Damaged);
        }
        let invalid = |error: std::io::Error| SnapshotError::Invalid(error.to_string());
        let mut plain = Vec::new();
        zstd::Decoder::new(content)
            .map_err(invalid)?
            .take(learnt::MOST_BYTES + 1)
            .read_to_end(&mut plain)
            .map_err(invalid)?;
        learnt::decode(&plain).map_err(|error| SnapshotError::Invalid(error.to_string()))
    }

    /// Puts the component's part into it; `false` where there is none of its name and version.
    ///
    /// # Errors
    /// The component refuses its bytes.
    pub fn restore(&self, component: &mut dyn Learnt) -> Result<bool, learnt::RestoreError> {
        let fits = |part: &&Part| part.name == component.name() && part.version == component.version();
        match self.parts.iter().find(fits) {
            Some(part) => component.restore(&part.bytes).map(|()| true),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Snapshot {
        let part = Part { name: "counts".to_owned(), version: 3, bytes: (0..200).collect() };
        let place = Place { end: 17, ahead: vec![(20, 25), (30, 31)] };
        Snapshot {
            stream: "logs/0".to_owned(),
            number: 5,
            model: "abc".to_owned(),
            places: [(String::new(), place)].into(),
            parts: vec![part],
        }
    }

    #[test]
    fn torn_at_any_length_or_changed_in_any_byte_it_is_refused() {
        let bytes = sample().pack().unwrap();
        assert_eq!(Snapshot::unpack(&bytes), Ok(sample()));
        for length in 0..bytes.len() {
            assert!(Snapshot::unpack(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            assert!(Snapshot::unpack(&bytes).is_err(), "changed at {at}");
        }
        assert!(Snapshot::unpack(&[&bytes[..], &[0]].concat()).is_err());
    }

    /// Bytes that cannot be packed into fewer.
    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn what_is_too_large_is_left_out_the_largest_first() {
        let part = |name: &str, length| Part { name: name.to_owned(), version: 1, bytes: noise(length) };
        let mut snapshot = sample();
        snapshot.parts =
            vec![part("small", 100), part("huge", 90_000), part("none", 0), part("large", 30_000)];
        let (bytes, left_out) = snapshot.pack_what_fits(50_000).unwrap();
        assert_eq!(left_out, ["none", "huge"]);
        let read = Snapshot::unpack(&bytes).unwrap();
        let names: Vec<&str> = read.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!((names, read.places), (vec!["small", "large"], sample().places));
        assert!(matches!(snapshot.pack_what_fits(10), Err(SnapshotError::TooLarge { .. })));
    }

    #[test]
    fn of_the_detectors_only_the_largest_is_left_out() {
        let mut watch = Watch::new(&engine::alert::WatchSettings::default());
        let whole = Part::of(&watch).bytes.len();
        let mut snapshot = Snapshot { parts: vec![Part::of(&watch)], ..sample() };
        let packed = snapshot.pack().unwrap().len();
        let (bytes, left_out) = snapshot.pack_what_fits(packed - 1).unwrap();
        assert!(
            !left_out.is_empty() && left_out.iter().all(|name| name != "detectors and alerts"),
            "{left_out:?}"
        );
        let read = Snapshot::unpack(&bytes).unwrap();
        assert!(read.parts[0].bytes.len() < whole);
        assert_eq!(read.restore(&mut watch), Ok(true));
    }

    #[test]
    fn a_place_holds_what_was_learnt_ahead_of_its_end() {
        let place = Place { end: 17, ahead: vec![(20, 25), (30, 31)] };
        let held: Vec<u64> = (15..33).filter(|start| place.holds(*start)).collect();
        assert_eq!(held, [15, 16, 20, 21, 22, 23, 24, 30]);
    }
}
