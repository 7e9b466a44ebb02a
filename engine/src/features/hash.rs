//! The stable 64-bit hash of words and patterns: models store its values, so another one is another version of the
//! feature rules. Wide multiplications as in wyhash (Wang Yi, public domain), eight bytes a step.

const FIRST: u64 = 0xa076_1d64_78bd_642f;
const SECOND: u64 = 0xe703_7ed1_a0b4_28db;

/// Hashes `bytes`; seeds keep apart what is hashed for different purposes.
#[inline]
pub fn stable_hash(seed: u64, bytes: &[u8]) -> u64 {
    hash(seed, bytes, |word| word)
}

/// The hash of `bytes` with their ASCII letters in lower case.
#[inline]
pub(super) fn stable_hash_lower(seed: u64, bytes: &[u8]) -> u64 {
    hash(seed, bytes, lower)
}

#[inline(always)]
fn hash(seed: u64, bytes: &[u8], word: impl Fn(u64) -> u64) -> u64 {
    let mut state = super::finalise(seed ^ FIRST);
    let mut take = |next: u64| state = fold(word(next) ^ FIRST, state ^ SECOND);
    let (words, rest) = bytes.as_chunks::<8>();
    match bytes.last_chunk::<8>() {
        Some(last) => {
            words.iter().for_each(|word| take(u64::from_le_bytes(*word)));
            if !rest.is_empty() {
                // Overlaps what was taken; with the length it still tells all texts apart.
                take(u64::from_le_bytes(*last));
            }
        }
        None => take(short(bytes)),
    }
    fold(state ^ bytes.len() as u64, FIRST)
}

/// Up to seven bytes as one word; with their number it tells all of them apart.
#[inline(always)]
fn short(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    match bytes {
        [] => 0,
        [first, ..] => {
            let (middle, last) = (bytes[bytes.len() / 2], bytes[bytes.len() - 1]);
            u64::from(*first) | u64::from(middle) << 8 | u64::from(last) << 16
        }
    }
}

/// Both halves of the 128-bit product, one upon the other.
#[inline(always)]
pub(super) const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Eight bytes with their ASCII letters in lower case.
#[inline(always)]
const fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7f * ONES);
    let reaches = low + (0x80 - b'A' as u64) * ONES;
    let exceeds = low + (0x7f - b'Z' as u64) * ONES;
    let capital = reaches & !exceeds & !word & (0x80 * ONES);
    word | capital >> 2
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_lower_hash_is_the_hash_of_the_lower_text(bytes: Vec<u8>, seed: u64) {
            prop_assert_eq!(stable_hash_lower(seed, &bytes), stable_hash(seed, &bytes.to_ascii_lowercase()));
        }

        #[test]
        fn every_byte_counts(mut bytes in prop::collection::vec(any::<u8>(), 1..40), at: usize, bit in 0_u32..8) {
            let (before, at) = (stable_hash(1, &bytes), at % bytes.len());
            prop_assert_ne!(before, stable_hash(2, &bytes));
            bytes[at] ^= 1_u8 << bit;
            prop_assert_ne!(before, stable_hash(1, &bytes));
            let shorter = &bytes[1..];
            prop_assert_ne!(stable_hash(1, &bytes), stable_hash(1, shorter));
        }
    }

    #[test]
    fn zeros_of_every_length_differ() {
        let zeros = [0; 100];
        let hashes: HashSet<u64> = (0..=100).map(|length| stable_hash(3, &zeros[..length])).collect();
        assert_eq!(hashes.len(), 101);
    }

    /// Another value here is another version of the rules: stored models would not be understood.
    #[test]
    fn values_that_models_store_do_not_change() {
        let of = |text: &str| stable_hash(1, text.as_bytes());
        let values = [
            1_452_873_516_994_601_793,
            4_080_146_425_057_418_980,
            3_521_181_637_737_122_043,
            15_586_612_842_585_915_081,
        ];
        assert_eq!([of(""), of("a"), of("timeout"), of("blk_<num>, terminating")], values);
    }
}
