//! Model to bytes and back: the only room that knows the byte format.
//!
//! A header of 64 bytes (little-endian), then the payload, bincode of the model's data:
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | `\x89ISOLOG\n` |
//! | 8–11 | version of the format |
//! | 12–15 | length of the header, 64 |
//! | 16–23 | length of the payload |
//! | 24–55 | BLAKE3 of the payload |
//! | 56–59 | zero |
//! | 60–63 | CRC-32C of bytes 0–59 |
//!
//! Version 5 is that of a model of sessions. From version 4 on the payload ends with the share of the training words that
//! no other line has, an `f64` (in version 5 it may be no number: not known). A model of version 3 has none. Models without
//! sessions are read, and written, as version 4 or 3.

use bincode::Options;

use crate::model::{Model, StoredModel};

/// Version of the format in which this program writes a model of sessions.
pub const VERSION: u32 = 5;
/// The version without sessions; those that it may hold are put together from less than is needed now.
pub const WITHOUT_SESSIONS: u32 = 4;
/// The version before that, which is read too.
pub const VERSION_BEFORE: u32 = 3;
/// Longest artifact that is written or read, in bytes: the one limit of a model's size.
pub const MAX_BYTES: u64 = 1 << 28;

const MAGIC: [u8; 8] = *b"\x89ISOLOG\n";
const HEADER: usize = 64;

/// What is wrong with an artifact's bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The bytes do not start as an artifact does.
    #[error("not an Isolog model: it does not begin as one")]
    NotAModel,
    /// Fewer bytes than its header says, or not even a header.
    #[error("the model is cut short: {got} bytes of {expected}; copy it again or train anew")]
    CutShort {
        /// Bytes that are there.
        got: u64,
        /// Bytes that should be there.
        expected: u64,
    },
    /// More bytes than its header says.
    #[error("the model has {extra} bytes too many; copy it again or train anew")]
    TooLong {
        /// Bytes beyond its end.
        extra: u64,
    },
    /// Larger than any model that is written or read.
    #[error(
        "a model of {bytes} bytes is too large, at most {MAX_BYTES} (256 MiB) are allowed: train with fewer trees \
         (N_ESTIMATORS) or samples (MAX_SAMPLES)"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The header's checksum does not fit.
    #[error("the model's header is damaged: checksum mismatch; copy it again or train anew")]
    HeaderDamaged,
    /// The payload's digest does not fit.
    #[error("the model's content is damaged: checksum mismatch; copy it again or train anew")]
    ContentDamaged,
    /// Written in another version of the format.
    #[error(
        "the model has format version {found}, this program reads {VERSION_BEFORE} to {VERSION} (with sessions \
         {VERSION} alone): train it again with this program"
    )]
    OtherVersion {
        /// Its version.
        found: u32,
    },
    /// Undamaged, but not something that training makes.
    #[error("the model's content is not valid: {detail}")]
    Invalid {
        /// What is not valid.
        detail: String,
    },
}

fn encoding() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(MAX_BYTES).reject_trailing_bytes()
}

fn version_of(stored: &StoredModel<'_>) -> u32 {
    match (stored.has_sessions(), stored.unseen_word_share) {
        (true, _) => VERSION,
        (false, Some(_)) => WITHOUT_SESSIONS,
        (false, None) => VERSION_BEFORE,
    }
}

/// What follows the data of version 3.
fn end(stored: &StoredModel<'_>) -> Vec<u8> {
    match (version_of(stored), stored.unseen_word_share) {
        (VERSION_BEFORE, _) => Vec::new(),
        (_, share) => share.unwrap_or(f64::NAN).to_le_bytes().into(),
    }
}

/// Refuses a payload that makes an artifact of more than [`MAX_BYTES`].
fn within_limit(payload: u64) -> Result<(), ArtifactError> {
    let bytes = payload.saturating_add(HEADER as u64);
    if bytes > MAX_BYTES { Err(ArtifactError::TooLarge { bytes }) } else { Ok(()) }
}

fn name(digest: &[u8; 32]) -> String {
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digest of the content that [`to_bytes`] writes, 32 hexadecimal digits; also of a model that is too large for that.
pub(crate) fn digest(model: &Model) -> String {
    let mut hasher = blake3::Hasher::new();
    // A hasher takes every byte, and the data holds no type that bincode can refuse; what `to_bytes` cannot write, it
    // says.
    let stored = model.to_stored();
    let whole = encoding().with_no_limit().serialize_into(&mut hasher, &stored);
    debug_assert!(whole.is_ok(), "{whole:?}");
    hasher.update(&end(&stored));
    name(hasher.finalize().as_bytes())
}

/// The model as one self-contained artifact.
///
/// # Errors
/// It would be larger than [`MAX_BYTES`].
pub fn to_bytes(model: &Model) -> Result<Vec<u8>, ArtifactError> {
    let invalid = |error: bincode::Error| ArtifactError::Invalid { detail: error.to_string() };
    let stored = model.to_stored();
    let version = version_of(&stored);
    let end = end(&stored);
    let length = encoding().with_no_limit().serialized_size(&stored).map_err(invalid)? + end.len() as u64;
    within_limit(length)?;
    let mut bytes = Vec::with_capacity(HEADER + length as usize);
    bytes.extend(MAGIC);
    bytes.extend(version.to_le_bytes());
    bytes.extend((HEADER as u32).to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.resize(HEADER, 0);
    encoding().serialize_into(&mut bytes, &stored).map_err(invalid)?;
    bytes.extend(end);
    // What is not written any more need not be there while the rest is made.
    drop(stored);
    let digest = blake3::hash(&bytes[HEADER..]);
    bytes[24..56].copy_from_slice(digest.as_bytes());
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..HEADER].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// Reads an artifact.
///
/// # Errors
/// Says what is wrong with the bytes; never panics, never allocates by a length that the bytes claim.
pub fn from_bytes(bytes: &[u8]) -> Result<Model, ArtifactError> {
    let got = bytes.len() as u64;
    let begun = &bytes[..bytes.len().min(MAGIC.len())];
    if begun.is_empty() || !MAGIC.starts_with(begun) {
        return Err(ArtifactError::NotAModel);
    }
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(ArtifactError::CutShort { got, expected: HEADER as u64 });
    };
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if crc32c::crc32c(&header[..HEADER - 4]) != word(HEADER - 4) {
        return Err(ArtifactError::HeaderDamaged);
    }
    let version = word(8);
    if !(VERSION_BEFORE..=VERSION).contains(&version) {
        return Err(ArtifactError::OtherVersion { found: version });
    }
    if word(12) as usize != HEADER || word(56) != 0 {
        return Err(ArtifactError::HeaderDamaged);
    }
    let length = u64::from(word(16)) | u64::from(word(20)) << 32;
    let expected = length.saturating_add(HEADER as u64);
    within_limit(length)?;
    if got < expected {
        return Err(ArtifactError::CutShort { got, expected });
    }
    if got > expected {
        return Err(ArtifactError::TooLong { extra: got - expected });
    }
    let digest = blake3::hash(payload);
    if digest.as_bytes() != &header[24..56] {
        return Err(ArtifactError::ContentDamaged);
    }
    decode(version, payload, name(digest.as_bytes()))
}

fn decode(version: u32, payload: &[u8], digest: String) -> Result<Model, ArtifactError> {
    let invalid = |detail: String| ArtifactError::Invalid { detail };
    let (data, unseen_word_share) = if version == VERSION_BEFORE {
        (payload, None)
    } else {
        let (data, share) =
            payload.split_last_chunk().ok_or_else(|| invalid("its end is missing".to_owned()))?;
        let share = f64::from_le_bytes(*share);
        let is_known = version < VERSION || share.to_bits() != f64::NAN.to_bits();
        (data, Some(share).filter(|_| is_known))
    };
    // It is whole, so that an older program wrote it like this, with sessions as they were.
    let older = (version < VERSION).then_some(ArtifactError::OtherVersion { found: version });
    let read = encoding().deserialize::<StoredModel<'_>>(data);
    let mut stored = read.map_err(|error| older.clone().unwrap_or_else(|| invalid(error.to_string())))?;
    if stored.has_sessions() != (version == VERSION) {
        return Err(older.unwrap_or_else(|| invalid("it holds no sessions".to_owned())));
    }
    stored.unseen_word_share = unseen_word_share;
    stored.into_model(digest).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_that_of_the_whole_file_and_says_what_to_do() {
        let most = MAX_BYTES - HEADER as u64;
        assert_eq!(within_limit(most), Ok(()));
        let error = within_limit(most + 1).unwrap_err();
        assert_eq!(error, ArtifactError::TooLarge { bytes: MAX_BYTES + 1 });
        for part in ["268435457 bytes", "at most 268435456", "N_ESTIMATORS", "MAX_SAMPLES"] {
            assert!(error.to_string().contains(part), "{part} in {error}");
        }
    }
}
