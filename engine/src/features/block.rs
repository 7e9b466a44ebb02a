//! What kinds of bytes stand where in 64 bytes of text, a bit for each byte; and the same bytes with every digit
//! turned into `0`. Sixteen bytes a step where the processor has them (SSE2, part of every x86-64), else eight.

/// How many bytes are looked at in one step; every choice gives the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lanes {
    /// The widest that this build has.
    #[default]
    Widest,
    /// Eight, in ordinary registers: the twin that the others are tested against.
    Scalar,
}

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;

/// Bit `n` speaks of byte `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// `0`–`9`.
    pub digit: u64,
    /// ASCII letters.
    pub letter: u64,
    /// `a`–`f` and `A`–`F`.
    pub hex_letter: u64,
    /// `:`.
    pub colon: u64,
    /// `-`.
    pub dash: u64,
    /// `_`, and all bytes of characters beyond ASCII.
    pub joiner: u64,
}

impl Block {
    /// The kinds of the bytes, and the bytes with every digit `0`.
    #[inline(always)]
    #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls what asks for SSE2"))]
    pub fn of(bytes: &[u8; BLOCK], lanes: Lanes) -> (Self, [u8; BLOCK]) {
        #[cfg(target_arch = "x86_64")]
        if lanes == Lanes::Widest {
            // SAFETY: SSE2, all that `sse2::block` asks for, is part of every x86-64 processor.
            return unsafe { sse2::block(bytes) };
        }
        let _ = lanes;
        scalar::block(bytes)
    }

    /// Decimal digits.
    pub const fn digits(&self) -> u64 {
        self.digit
    }

    /// Letters and digits.
    pub const fn alphanumeric(&self) -> u64 {
        self.letter | self.digit
    }

    /// What words are made of.
    pub const fn word(&self) -> u64 {
        self.letter | self.digit | self.joiner
    }

    /// Hexadecimal digits.
    pub const fn hex(&self) -> u64 {
        self.hex_letter | self.digit
    }

    /// The kinds of the bytes from `skip` on, moved to the front.
    pub const fn skip(&self, skip: u32) -> Self {
        Self {
            digit: self.digit >> skip,
            letter: self.letter >> skip,
            hex_letter: self.hex_letter >> skip,
            colon: self.colon >> skip,
            dash: self.dash >> skip,
            joiner: self.joiner >> skip,
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    //! Sixteen bytes a step. SSE2 is part of x86-64, so nothing has to be detected; no pointer is touched.

    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cvtsi128_si64, _mm_min_epu8,
        _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8, _mm_sub_epi8, _mm_unpackhi_epi64,
    };

    use super::{BLOCK, Block};

    #[inline]
    #[target_feature(enable = "sse2")]
    pub fn block(bytes: &[u8; BLOCK]) -> (Block, [u8; BLOCK]) {
        let (mut kinds, mut zeroed) = (Block::default(), [0; BLOCK]);
        for step in 0..4 {
            let at = step * 16;
            let text = load(bytes, at);
            let lower = _mm_or_si128(text, _mm_set1_epi8(0x20));
            let digit = within(text, b'0', b'9');
            kinds.digit |= bits(digit) << at;
            kinds.letter |= bits(within(lower, b'a', b'z')) << at;
            kinds.hex_letter |= bits(within(lower, b'a', b'f')) << at;
            kinds.colon |= bits(is(text, b':')) << at;
            kinds.dash |= bits(is(text, b'-')) << at;
            // The highest bit of a byte says that it is not ASCII.
            kinds.joiner |= bits(_mm_or_si128(is(text, b'_'), text)) << at;
            let zeros = _mm_and_si128(digit, _mm_set1_epi8(b'0'.cast_signed()));
            store(_mm_or_si128(_mm_andnot_si128(digit, text), zeros), &mut zeroed, at);
        }
        (kinds, zeroed)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(bytes: &[u8; BLOCK], at: usize) -> __m128i {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]).cast_signed();
        _mm_set_epi64x(word(at / 8 + 1), word(at / 8))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn store(value: __m128i, bytes: &mut [u8; BLOCK], at: usize) {
        let (words, _) = bytes.as_chunks_mut::<8>();
        words[at / 8] = _mm_cvtsi128_si64(value).to_le_bytes();
        words[at / 8 + 1] = _mm_cvtsi128_si64(_mm_unpackhi_epi64(value, value)).to_le_bytes();
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn is(text: __m128i, byte: u8) -> __m128i {
        _mm_cmpeq_epi8(text, _mm_set1_epi8(byte.cast_signed()))
    }

    /// Bytes of `first..=last`: their distance from `first` is not above the width.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn within(text: __m128i, first: u8, last: u8) -> __m128i {
        let distance = _mm_sub_epi8(text, _mm_set1_epi8(first.cast_signed()));
        let width = _mm_set1_epi8((last - first).cast_signed());
        _mm_cmpeq_epi8(_mm_min_epu8(distance, width), distance)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn bits(mask: __m128i) -> u64 {
        u64::from(_mm_movemask_epi8(mask).cast_unsigned())
    }
}

mod scalar {
    //! Eight bytes a step in one ordinary register.

    use super::{BLOCK, Block};

    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;

    #[inline(always)]
    pub fn block(bytes: &[u8; BLOCK]) -> (Block, [u8; BLOCK]) {
        let (mut kinds, mut zeroed) = (Block::default(), [0; BLOCK]);
        let (words, _) = bytes.as_chunks::<8>();
        let (out, _) = zeroed.as_chunks_mut::<8>();
        for (step, (word, out)) in words.iter().zip(out).enumerate() {
            let text = u64::from_le_bytes(*word);
            let lower = text | (0x20 * ONES);
            let digit = within(text, b'0', b'9');
            // Bit `step` of each byte: the high bits of eight words fill one word, which is turned below.
            let gather = |into: &mut u64, high: u64| *into |= high >> (7 - step);
            gather(&mut kinds.digit, digit);
            gather(&mut kinds.letter, within(lower, b'a', b'z'));
            gather(&mut kinds.hex_letter, within(lower, b'a', b'f'));
            gather(&mut kinds.colon, is(text, b':'));
            gather(&mut kinds.dash, is(text, b'-'));
            gather(&mut kinds.joiner, is(text, b'_') | text & HIGH);
            // The lowest four bits of a digit are its value.
            *out = (text & !((digit >> 7) * 0x0f)).to_le_bytes();
        }
        let Block { digit, letter, hex_letter, colon, dash, joiner } = &mut kinds;
        for bits in [digit, letter, hex_letter, colon, dash, joiner] {
            *bits = turn(*bits);
        }
        (kinds, zeroed)
    }

    /// The high bit of every byte in `first..=last`, both ASCII: low seven bits are added to, so that nothing is
    /// carried from byte to byte.
    #[inline(always)]
    const fn within(text: u64, first: u8, last: u8) -> u64 {
        let low = text & !HIGH;
        let reaches = low + (0x80 - first as u64) * ONES;
        let exceeds = low + (0x7f - last as u64) * ONES;
        reaches & !exceeds & !text & HIGH
    }

    /// The high bit of every byte that is `byte`, which is ASCII.
    #[inline(always)]
    const fn is(text: u64, byte: u8) -> u64 {
        let differs = (text & !HIGH) ^ (byte as u64 * ONES);
        !((differs + 0x7f * ONES) | text) & HIGH
    }

    /// Eight bytes as rows of a matrix of bits: rows become columns (Warren, Hacker's Delight, 7-3).
    #[inline(always)]
    const fn turn(rows: u64) -> u64 {
        let rows = swap(rows, 7, 0x00aa_00aa_00aa_00aa);
        let rows = swap(rows, 14, 0x0000_cccc_0000_cccc);
        swap(rows, 28, 0x0000_0000_f0f0_f0f0)
    }

    /// Swaps the bits of `mask` with those `by` places above.
    #[inline(always)]
    const fn swap(bits: u64, by: u32, mask: u64) -> u64 {
        let differ = (bits ^ bits >> by) & mask;
        bits ^ differ ^ differ << by
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By the standard library, byte by byte.
    fn plain(bytes: &[u8; BLOCK]) -> (Block, [u8; BLOCK]) {
        let bits = |is: fn(&u8) -> bool| {
            bytes.iter().enumerate().fold(0, |bits, (at, byte)| bits | u64::from(is(byte)) << at)
        };
        let kinds = Block {
            digit: bits(u8::is_ascii_digit),
            letter: bits(u8::is_ascii_alphabetic),
            hex_letter: bits(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_digit()),
            colon: bits(|byte| *byte == b':'),
            dash: bits(|byte| *byte == b'-'),
            joiner: bits(|byte| *byte == b'_' || !byte.is_ascii()),
        };
        (kinds, bytes.map(|byte| if byte.is_ascii_digit() { b'0' } else { byte }))
    }

    #[test]
    fn every_byte_is_of_the_same_kind_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut bytes = [b' '; BLOCK];
                bytes[at] = byte;
                let expected = plain(&bytes);
                assert_eq!(Block::of(&bytes, Lanes::Widest), expected, "{byte} at {at}");
                assert_eq!(Block::of(&bytes, Lanes::Scalar), expected, "{byte} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn simd_equals_scalar(bytes: [u8; BLOCK]) {
            prop_assert_eq!(Block::of(&bytes, Lanes::Widest), Block::of(&bytes, Lanes::Scalar));
            prop_assert_eq!(Block::of(&bytes, Lanes::Scalar), plain(&bytes));
        }
    }
}
