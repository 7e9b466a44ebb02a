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

use bincode::Options;

use crate::model::{Model, StoredModel};

/// Version of the format that this program writes and reads.
pub const VERSION: u32 = 3;
/// Longest artifact that is read, in bytes: a reader stops there.
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
    /// Larger than any model that is read.
    #[error(
        "a model of {bytes} bytes is too large: at most {MAX_BYTES} are read; train with fewer trees or samples"
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
        "the model has format version {found}, this program reads {VERSION}: train it again with this program"
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

fn payload(model: &Model) -> Vec<u8> {
    // The data holds no type that bincode can refuse, and its counts keep it below the limit.
    encoding().serialize(&model.to_stored()).unwrap_or_default()
}

fn name(digest: &[u8; 32]) -> String {
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digest of the content that [`to_bytes`] writes, 32 hexadecimal digits.
pub(crate) fn digest(model: &Model) -> String {
    name(blake3::hash(&payload(model)).as_bytes())
}

/// The model as one self-contained artifact.
pub fn to_bytes(model: &Model) -> Vec<u8> {
    let payload = payload(model);
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((HEADER as u32).to_le_bytes());
    bytes.extend((payload.len() as u64).to_le_bytes());
    bytes.extend(blake3::hash(&payload).as_bytes());
    bytes.extend([0; 4]);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend(payload);
    bytes
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
    if word(8) != VERSION {
        return Err(ArtifactError::OtherVersion { found: word(8) });
    }
    if word(12) as usize != HEADER || word(56) != 0 {
        return Err(ArtifactError::HeaderDamaged);
    }
    let length = u64::from(word(16)) | u64::from(word(20)) << 32;
    let expected = length.saturating_add(HEADER as u64);
    if expected > MAX_BYTES {
        return Err(ArtifactError::TooLarge { bytes: expected });
    }
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
    decode(payload, name(digest.as_bytes()))
}

fn decode(payload: &[u8], digest: String) -> Result<Model, ArtifactError> {
    let stored: StoredModel = encoding()
        .deserialize(payload)
        .map_err(|error| ArtifactError::Invalid { detail: error.to_string() })?;
    stored.into_model(digest).map_err(|detail| ArtifactError::Invalid { detail })
}
