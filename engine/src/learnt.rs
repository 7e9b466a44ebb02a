//! What is learnt while running, as bytes that a snapshot holds and a restart reads. Knows no file and no topic.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest snapshot of one component, in bytes.
pub const MOST_BYTES: u64 = 1 << 28;

/// A component that learns from the lines of one source partition, in their order: online counts, a detector's
/// windows and baselines.
///
/// Restoring what `snapshot` wrote into a component that was made with the same settings, and going on with the lines
/// that follow, must give the same results, bit for bit, as if nothing had been interrupted.
pub trait Learnt {
    /// Name in snapshots and messages; no two components of a partition have the same.
    fn name(&self) -> &'static str;

    /// Version of the bytes that `snapshot` writes; another one is not restored.
    fn version(&self) -> u32;

    /// Appends everything that was learnt. Equal states give equal bytes.
    fn snapshot(&self, out: &mut Vec<u8>);

    /// Replaces everything that was learnt by what `snapshot` of the same version wrote.
    ///
    /// # Errors
    /// The bytes are not such a snapshot; what was learnt is then as before. Nothing is allocated by a length that
    /// they claim.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError>;
}

/// Why a component could not be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The bytes are not what the component writes.
    #[error("the snapshot's content is not valid: {detail}")]
    Invalid {
        /// What is not valid.
        detail: String,
    },
}

fn encoding() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(MOST_BYTES).reject_trailing_bytes()
}

/// Appends a value in the encoding that [`decode`] reads. What is larger than [`MOST_BYTES`] becomes nothing, which
/// `decode` refuses.
pub fn encode(value: &impl Serialize, out: &mut Vec<u8>) {
    let before = out.len();
    if encoding().serialize_into(&mut *out, value).is_err() {
        out.truncate(before);
    }
}

/// Reads a value that [`encode`] wrote.
///
/// # Errors
/// The bytes are not such a value, or go on behind it.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RestoreError> {
    encoding().deserialize(bytes).map_err(|error| RestoreError::Invalid { detail: error.to_string() })
}
