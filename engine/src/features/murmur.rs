//! MurmurHash3, 32-bit variant for x86 (Austin Appleby, public domain), the hash of scikit-learn's
//! `HashingVectorizer`, so that columns can be compared with its.

/// Hashes `bytes`; scikit-learn uses seed 0 and reads the result as a signed number.
pub fn murmur3_32(bytes: &[u8], seed: u32) -> u32 {
    let (blocks, tail) = bytes.as_chunks::<4>();
    let hash = blocks.iter().fold(seed, |hash, block| mix(hash, u32::from_le_bytes(*block)));
    let mut last = [0; 4];
    last[..tail.len()].copy_from_slice(tail);
    finish(hash ^ scramble(u32::from_le_bytes(last)), bytes.len())
}

const fn scramble(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

const fn mix(hash: u32, word: u32) -> u32 {
    (hash ^ scramble(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

const fn finish(mut hash: u32, length: usize) -> u32 {
    hash ^= length as u32;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// The hash of the first `length` bytes; what is behind them makes the last step a plain one.
pub(super) fn murmur3_32_padded(bytes: &[u8], length: usize, seed: u32) -> u32 {
    let (blocks, _) = bytes.as_chunks::<4>();
    let Some((last, blocks)) = blocks.get(..=length / 4).and_then(<[_]>::split_last) else {
        return murmur3_32(&bytes[..length], seed);
    };
    let hash = blocks.iter().fold(seed, |hash, block| mix(hash, u32::from_le_bytes(*block)));
    // Without a rest the last step takes 0, which changes nothing.
    let rest = u32::from_le_bytes(*last) & !(u32::MAX << (8 * (length % 4)));
    finish(hash ^ scramble(rest), length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    proptest! {
        #[test]
        fn what_is_behind_the_bytes_changes_nothing(bytes in prop::collection::vec(any::<u8>(), 4..80), cut: usize) {
            let length = cut % bytes.len();
            prop_assert_eq!(murmur3_32_padded(&bytes, length, 7), murmur3_32(&bytes[..length], 7));
        }
    }

    #[rstest]
    #[case(b"", 0, 0)]
    #[case(b"", 1, 0x514e_28b7)]
    #[case(b"", 0xffff_ffff, 0x81f1_6f39)]
    #[case(&[0; 4], 0, 0x2362_f9de)]
    #[case(&[0x21, 0x43, 0x65, 0x87], 0, 0xf55b_516b)]
    #[case(&[0x21, 0x43, 0x65, 0x87], 0x5082_edee, 0x2362_f9de)]
    #[case(&[0x21, 0x43, 0x65], 0, 0x7e4a_8634)]
    #[case(&[0x21, 0x43], 0, 0xa0f7_b07a)]
    #[case(&[0x21], 0, 0x7266_1cf4)]
    #[case(b"aaaa", 0x9747_b28c, 0x5a97_808a)]
    #[case(b"Hello, world!", 0x9747_b28c, 0x2488_4cba)]
    #[case(b"The quick brown fox jumps over the lazy dog", 0x9747_b28c, 0x2fa8_26cd)]
    fn published_vectors_are_reproduced(#[case] bytes: &[u8], #[case] seed: u32, #[case] expected: u32) {
        assert_eq!(murmur3_32(bytes, seed), expected);
    }

    /// From scikit-learn's `test_murmurhash.py`: `murmurhash3_32("foo", seed)`.
    #[rstest]
    #[case(0, -156_908_512)]
    #[case(42, -1_322_301_282)]
    fn scikit_learns_vectors_are_reproduced(#[case] seed: u32, #[case] expected: i32) {
        assert_eq!(murmur3_32(b"foo", seed).cast_signed(), expected);
    }
}
