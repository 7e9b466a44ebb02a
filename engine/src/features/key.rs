//! A line's 128-bit key: lines with equal keys have equal features. Wide multiplications as in wyhash (Wang Yi,
//! public domain), twice with unlike secrets and pairings, so that both halves would have to collide at once.

use super::hash::fold;
use crate::event::Level;

/// Key of a line's canonical text, service and level. Two unlike lines share one with a chance of about 2^-120,
/// as long as the seed is not known to whoever writes the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineKey(pub u128);

/// Makes keys. The seed is the caller's: drawn at random it keeps peers from making lines collide; with a fixed
/// one the keys are the same in every process.
#[derive(Clone, Debug)]
pub struct KeyMaker {
    secrets: [u64; 8],
}

/// Four chains, two for each half of the key.
pub(super) type Chains = [u64; 4];

impl KeyMaker {
    /// From 128 bits that the caller chose.
    pub fn new(seed: u128) -> Self {
        let (mut state, other) = (seed as u64, (seed >> 64) as u64);
        let secrets = std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            // SplitMix64, crossed with the seed's other half.
            super::finalise(state ^ super::finalise(state.rotate_left(32) ^ other)) | 1
        });
        Self { secrets }
    }

    /// The key of a line with this canonical text.
    pub fn key(&self, canonical: &[u8], service: &str, level: Option<Level>) -> LineKey {
        let secrets = &self.secrets;
        let chains = [secrets[0], secrets[2], secrets[4], secrets[6]];
        let chains = self.absorb(chains, canonical);
        let [a, b, c, d] = self.absorb(chains, service.as_bytes());
        let level = level.map_or(0, |level| level as u64 + 1);
        let lengths = (canonical.len() as u64).rotate_left(32) ^ (service.len() as u64) << 8 ^ level;
        let low = fold(a ^ lengths, b ^ secrets[1]);
        let high = fold(c ^ secrets[3], d ^ lengths);
        let (low, high) = (fold(low ^ secrets[5], high ^ c), fold(high ^ secrets[7], low ^ a));
        LineKey(u128::from(high) << 64 | u128::from(low))
    }

    /// Takes 32 bytes a step. The last ones overlap those before, or each other; with the length, which is part of
    /// the key, they still tell all texts apart.
    #[inline(always)]
    fn absorb(&self, mut chains: Chains, bytes: &[u8]) -> Chains {
        let (whole, rest) = bytes.as_chunks::<32>();
        for bytes in whole {
            chains = self.step(chains, bytes);
        }
        if rest.is_empty() {
            return chains;
        }
        match bytes.last_chunk::<32>() {
            Some(last) => self.step(chains, last),
            None => self.step(chains, &short(bytes)),
        }
    }

    /// Where the chains of outlines begin: elsewhere than those of lines.
    pub(super) const fn outline_chains(&self) -> Chains {
        let secrets = &self.secrets;
        [secrets[1], secrets[3], secrets[5], secrets[7]]
    }

    #[inline(always)]
    pub(super) fn step(&self, [a, b, c, d]: Chains, bytes: &[u8; 32]) -> Chains {
        let secrets = &self.secrets;
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]);
        let (first, second, third, fourth) = (word(0), word(1), word(2), word(3));
        [
            fold(first ^ secrets[0], second ^ a),
            fold(third ^ secrets[1], fourth ^ b),
            fold(second ^ secrets[4], third ^ c),
            fold(fourth ^ secrets[5], first ^ d),
        ]
    }
}

/// Fewer than 32 bytes as 32.
#[inline(always)]
fn short(bytes: &[u8]) -> [u8; 32] {
    let mut all = [0; 32];
    if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        all[..16].copy_from_slice(first);
        all[16..].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        all[..8].copy_from_slice(first);
        all[8..16].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        all[..4].copy_from_slice(first);
        all[4..8].copy_from_slice(last);
    } else if let [first, ..] = bytes {
        (all[0], all[1], all[2]) = (*first, bytes[bytes.len() / 2], bytes[bytes.len() - 1]);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn service_and_message_are_kept_apart() {
        let maker = KeyMaker::new(1);
        let texts = ["", "a", "ab", "b", "\0", "a\0"];
        let mut met = HashSet::new();
        for message in texts {
            for service in texts {
                for level in [None, Some(Level::Trace), Some(Level::Fatal)] {
                    assert!(met.insert(maker.key(message.as_bytes(), service, level)));
                }
            }
        }
    }

    #[test]
    fn no_key_of_a_million_lines_comes_twice_and_every_bit_is_used() {
        let maker = KeyMaker::new(7);
        let mut met = HashSet::new();
        let mut ones = [0_u32; 128];
        for line in 0..1_000_000_u32 {
            let key = maker.key(&line.to_le_bytes(), "api", None).0;
            (0..128).for_each(|bit| ones[bit] += u32::from(key >> bit & 1 == 1));
            assert!(met.insert(key));
        }
        // Six standard deviations of a fair coin.
        assert!(ones.iter().all(|ones| ones.abs_diff(500_000) < 3_000), "{ones:?}");
    }

    proptest! {
        #[test]
        fn a_flipped_bit_changes_about_half_of_the_key(
            text in prop::collection::vec(any::<u8>(), 1..600),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
            seed: u128,
        ) {
            let maker = KeyMaker::new(seed);
            let mut other = text.clone();
            other[at.index(text.len())] ^= 1_u8 << bit;
            let (a, b) = (maker.key(&text, "s", None).0, maker.key(&other, "s", None).0);
            let changed = (a ^ b).count_ones();
            prop_assert!((24..=104).contains(&changed), "{changed}");
            prop_assert_ne!(a, KeyMaker::new(seed ^ 1).key(&text, "s", None).0);
        }
    }
}
