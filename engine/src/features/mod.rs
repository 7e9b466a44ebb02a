//! A log event becomes masked words, shape words and hashed columns, by rules that a [`FeatureSpec`] names.
//! All of them are read from the message's canonical text, its service and its level; never from time or from other
//! lines. So lines of one [`LineKey`] have the same features.

mod block;
mod canonical;
mod hash;
mod hashing;
mod key;
mod line;
mod mask;
mod murmur;
mod outline;
mod scan;
mod shape;

pub use block::Lanes;
pub use canonical::Canonical;
pub use hash::stable_hash;
pub use hashing::{HashedRow, HashingVectorizer};
pub use key::{KeyMaker, LineKey};
pub use line::{FeatureSpec, Keyed, Line, MAX_WORDS, WordKind};
pub use mask::{Masked, Word};
pub use murmur::murmur3_32;
pub use outline::OutlineKey;

/// MurmurHash3's 64-bit finaliser: every input bit reaches every output bit.
pub(crate) const fn finalise(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Part of a word: letters, digits, the underscore and everything beyond ASCII.
pub(crate) const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
