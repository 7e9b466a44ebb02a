//! A record's outline: its bytes, of which every digit may be any digit. Records repeat but for their numbers and
//! times, so what is known of one's outline need not be found out again: where its parts lie, and its canonical text.

use super::hash::fold;
use super::key::{Chains, KeyMaker};

/// Bytes of one step.
const STEP: usize = 32;

/// Key of an outline. Two unlike ones share a key with a chance of about 2^-120, as long as the seed is not known to
/// whoever writes the records.
///
/// Texts at the same place of two records of one outline have one canonical text (see [`super::Canonical`]): digits in
/// front of an `x`, of which that text tells `0` from the others, are kept as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutlineKey(pub u128);

impl KeyMaker {
    /// The key of a record's outline.
    pub fn outline(&self, record: &[u8]) -> OutlineKey {
        let mut chains = self.outline_chains();
        let last = record.last().copied().unwrap_or_default();
        // Each step looks one byte further than it goes; the last byte is taken by itself.
        let mut rest = record;
        while let Some(bytes) = rest.first_chunk() {
            chains = self.step(chains, &without_digits(bytes));
            rest = &rest[STEP..];
        }
        if rest.len() > 1 {
            // The last bytes overlap those before; with the length they still tell all records apart.
            chains = match record.last_chunk() {
                Some(bytes) => self.step(chains, &without_digits(bytes)),
                None => {
                    let mut padded = [0; STEP + 1];
                    padded[..record.len()].copy_from_slice(record);
                    self.step(chains, &without_digits(&padded))
                }
            };
        }
        let last = if last.is_ascii_digit() { b'0' } else { last };
        self.end(chains, u64::from(last) << 56 ^ record.len() as u64)
    }

    fn end(&self, [a, b, c, d]: Chains, length: u64) -> OutlineKey {
        let (low, high) = (fold(a ^ length, b), fold(c, d ^ length));
        let (low, high) = (fold(low ^ c, high ^ a), fold(high ^ b, low ^ d));
        OutlineKey(u128::from(high) << 64 | u128::from(low))
    }
}

/// The first bytes, digits that no `x` follows turned into `0`.
#[inline(always)]
fn without_digits(bytes: &[u8; STEP + 1]) -> [u8; STEP] {
    let mut out = [0; STEP];
    for (at, byte) in out.iter_mut().enumerate() {
        let (here, next) = (bytes[at], bytes[at + 1]);
        // Bits, not branches, so that this is done for many bytes at a time.
        let is_forgotten = here.is_ascii_digit() & (next | 0x20 != b'x');
        *byte = if is_forgotten { b'0' } else { here };
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::Canonical;
    use super::*;

    /// What the key is of, written plainly.
    fn outline(record: &[u8]) -> Vec<u8> {
        let is_x = |at: usize| record.get(at).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'x'));
        let plain =
            |(at, byte): (usize, &u8)| if byte.is_ascii_digit() && !is_x(at + 1) { b'0' } else { *byte };
        record.iter().enumerate().map(plain).collect()
    }

    fn with_other_digits(text: &str, digits: &[u8]) -> String {
        let mut digits = digits.iter().cycle();
        let bytes = text.as_bytes();
        let other = |(at, byte): (usize, &u8)| {
            let is_x = bytes.get(at + 1).is_some_and(|next| next.eq_ignore_ascii_case(&b'x'));
            if byte.is_ascii_digit() && !is_x { b'0' + digits.next().unwrap_or(&0) % 10 } else { *byte }
        };
        String::from_utf8(bytes.iter().enumerate().map(other).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn records_that_differ_in_digits_share_key_and_canonical_text(
            text in "([0-9a-fxX:-]|[ -~]|é){0,100}", digits in prop::collection::vec(0_u8..10, 1..20), seed: u128,
        ) {
            let other = with_other_digits(&text, &digits);
            let maker = KeyMaker::new(seed);
            prop_assert_eq!(maker.outline(text.as_bytes()), maker.outline(other.as_bytes()));
            let canonical = |text: &str| {
                let mut canonical = Canonical::default();
                canonical.read(text);
                canonical.text().to_vec()
            };
            prop_assert_eq!(canonical(&text), canonical(&other));
        }

        #[test]
        fn another_outline_has_another_key(
            record in "[0-9ax,]{1,140}", at in any::<prop::sample::Index>(), byte in "[0-9ax,]", seed: u128,
        ) {
            let mut other = record.clone().into_bytes();
            let at = at.index(other.len());
            other[at] = byte.as_bytes()[0];
            let maker = KeyMaker::new(seed);
            let is_same = outline(record.as_bytes()) == outline(&other);
            prop_assert_eq!(maker.outline(record.as_bytes()) == maker.outline(&other), is_same);
        }
    }

    #[test]
    fn length_and_seed_are_part_of_the_key() {
        let maker = KeyMaker::new(1);
        let mut met = HashSet::new();
        for length in 0..200 {
            assert!(met.insert(maker.outline(&vec![0; length])));
            assert!(met.insert(maker.outline(&vec![b'7'; length + 1])));
            assert!(met.insert(KeyMaker::new(2).outline(&vec![0; length])));
        }
    }
}
