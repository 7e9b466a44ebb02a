//! Uniform samples drawn in one pass (Algorithm L: Li, "Reservoir-sampling algorithms of time complexity
//! O(n(1 + log(N/n)))", ACM TOMS 1994). Which rows are drawn depends on the seed alone, never on their content.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use crate::features::finalise;

/// Plans a uniform sample of `size` rows without replacement out of a stream of unknown length.
#[derive(Clone, Debug)]
pub struct Reservoir {
    size: usize,
    rng: Xoshiro256PlusPlus,
    /// The largest of the kept rows' random keys, as Algorithm L simulates them.
    largest: f64,
    next: u64,
}

impl Reservoir {
    /// A sample of `size` rows; each `stream` of one seed is an independent one.
    pub fn new(size: usize, seed: u64, stream: u64) -> Self {
        let state = finalise(seed ^ finalise(stream.wrapping_mul(2).wrapping_add(1)));
        Self { size, rng: Xoshiro256PlusPlus::seed_from_u64(state), largest: 1.0, next: 0 }
    }

    /// Most rows that it keeps.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Calls `keep(row, slot)` for each row before `end` that enters the sample, rows ascending: the row then
    /// replaces what was in the slot. How a stream is cut into calls changes nothing.
    pub fn draw_until(&mut self, end: u64, mut keep: impl FnMut(u64, usize)) {
        while self.next < end {
            let row = self.next;
            let filling = row < self.size as u64;
            let slot = if filling { row as usize } else { self.rng.r#gen_range(0..self.size) };
            keep(row, slot);
            self.next = if row + 1 < self.size as u64 { row + 1 } else { self.skip(row) };
        }
    }

    fn skip(&mut self, row: u64) -> u64 {
        self.largest *= (self.unit().ln() / self.size as f64).exp();
        let gap = self.unit().ln() / (-self.largest).ln_1p();
        // The conversion takes the floor.
        row.saturating_add(1).saturating_add(gap as u64)
    }

    /// Uniform in (0, 1].
    fn unit(&mut self) -> f64 {
        1.0 - self.rng.r#gen::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(size: usize, seed: u64, cuts: &[u64]) -> Vec<u64> {
        let mut slots = vec![u64::MAX; size];
        let mut reservoir = Reservoir::new(size, seed, 0);
        for end in cuts {
            reservoir.draw_until(*end, |row, slot| slots[slot] = row);
        }
        slots
    }

    #[test]
    fn every_row_is_drawn_equally_often() {
        let (rows, size, seeds) = (50, 10, 4_000);
        let mut drawn = vec![0_u32; rows as usize];
        for seed in 0..seeds {
            for row in sample(size, seed, &[rows]) {
                drawn[row as usize] += 1;
            }
        }
        let expected = f64::from(seeds as u32) * size as f64 / rows as f64;
        let deviation = (expected * (1.0 - size as f64 / rows as f64)).sqrt();
        for (row, count) in drawn.iter().enumerate() {
            assert!(
                (f64::from(*count) - expected).abs() < 5.0 * deviation,
                "row {row}: {count}, not {expected}"
            );
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing_and_no_row_is_drawn_twice(
            seed: u64, size in 1usize..40, mut cuts in proptest::collection::vec(0u64..2_000, 0..6),
        ) {
            cuts.sort_unstable();
            cuts.push(2_000);
            let picked = sample(size, seed, &cuts);
            prop_assert_eq!(&picked, &sample(size, seed, &[2_000]));
            let distinct: std::collections::HashSet<_> = picked.iter().collect();
            prop_assert_eq!(distinct.len(), size);
        }
    }
}
