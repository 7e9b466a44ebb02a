//! A compact quantile sketch with a stated relative error: DDSketch (Masson, Rim and Lee, VLDB 2019) over sparse
//! bins. One cell of a baseline takes some tens of bytes, where a dense store takes a kilobyte: there are
//! 168 cells for each of 10,000 services.

use serde::{Deserialize, Serialize};

/// Relative error of every quantile: the answer is within 1 % of a value that has the asked rank.
pub const RELATIVE_ERROR: f64 = 0.01;

/// Least value that has a bin of its own; what is less counts as 0.
const LEAST: f64 = 1e-6;

/// Most bins; beyond them the lowest are merged.
const MOST_BINS: usize = 512;

/// Weighted counts of values ≥ 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sketch {
    /// Bin and weight, by bin.
    bins: Vec<(i16, u32)>,
    zeros: u32,
}

fn log_gamma() -> f64 {
    ((1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR)).ln()
}

impl Sketch {
    /// Counts a value; one below 0 or not finite is not counted.
    pub fn add(&mut self, value: f64, weight: u32) {
        if !(value >= 0.0 && value.is_finite()) {
            return;
        }
        if value < LEAST {
            self.zeros = self.zeros.saturating_add(weight);
            return;
        }
        let bin = (value.ln() / log_gamma()).ceil().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16;
        self.add_bin(bin, weight);
    }

    fn add_bin(&mut self, bin: i16, weight: u32) {
        match self.bins.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(place) => self.bins[place].1 = self.bins[place].1.saturating_add(weight),
            Err(place) => self.bins.insert(place, (bin, weight)),
        }
        if self.bins.len() > MOST_BINS {
            let (_, lowest) = self.bins.remove(0);
            self.bins[0].1 = self.bins[0].1.saturating_add(lowest);
        }
    }

    /// Adds all that another one counted.
    pub fn merge(&mut self, other: &Self) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        for (bin, weight) in &other.bins {
            self.add_bin(*bin, *weight);
        }
    }

    /// Halves every weight, rounding down, so that what is old counts less.
    pub fn halve(&mut self) {
        self.zeros /= 2;
        self.bins.iter_mut().for_each(|(_, weight)| *weight /= 2);
        self.bins.retain(|(_, weight)| *weight > 0);
    }

    /// Weight of all that was counted.
    pub fn weight(&self) -> u64 {
        u64::from(self.zeros) + self.bins.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>()
    }

    /// The value at a rank, in [0, 1]: 0.5 is the median. `None` where nothing was counted.
    pub fn quantile(&self, rank: f64) -> Option<f64> {
        let weight = self.weight();
        if weight == 0 {
            return None;
        }
        let wanted = rank.clamp(0.0, 1.0) * (weight - 1) as f64;
        let mut before = u64::from(self.zeros);
        if before as f64 > wanted {
            return Some(0.0);
        }
        for (bin, weight) in &self.bins {
            before += u64::from(*weight);
            if before as f64 > wanted {
                return Some(middle(*bin));
            }
        }
        self.bins.last().map(|(bin, _)| middle(*bin))
    }

    /// The greatest value.
    pub fn greatest(&self) -> Option<f64> {
        self.quantile(1.0)
    }
}

/// The value that is within the relative error of everything in a bin.
fn middle(bin: i16) -> f64 {
    let upper = (f64::from(bin) * log_gamma()).exp();
    upper * (1.0 - RELATIVE_ERROR)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_within_the_stated_error(mut values in prop::collection::vec(1e-3f64..1e6, 1..300), rank in 0.0f64..=1.0) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|value| sketch.add(*value, 1));
            values.sort_by(f64::total_cmp);
            let exact = values[(rank * (values.len() - 1) as f64).floor() as usize];
            let told = sketch.quantile(rank).unwrap();
            prop_assert!((told - exact).abs() <= RELATIVE_ERROR * exact * 1.0001, "{told} for {exact}");
        }

        #[test]
        fn merging_is_counting_together(a in prop::collection::vec(0.0f64..1e4, 0..50), b in prop::collection::vec(0.0f64..1e4, 0..50)) {
            let of = |values: &[f64]| {
                let mut sketch = Sketch::default();
                values.iter().for_each(|value| sketch.add(*value, 2));
                sketch
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }
    }

    #[test]
    fn zeros_are_values_and_nonsense_is_not() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.quantile(0.5), None);
        for value in [0.0, 0.0, 5.0, f64::NAN, -1.0, f64::INFINITY] {
            sketch.add(value, 1);
        }
        assert_eq!((sketch.weight(), sketch.quantile(0.5)), (3, Some(0.0)));
    }

    #[test]
    fn bins_are_bounded() {
        let mut sketch = Sketch::default();
        (0..30_000).for_each(|power| sketch.add(1.01f64.powi(power % 3_000), 1));
        assert!(sketch.bins.len() <= MOST_BINS);
        assert_eq!(sketch.weight(), 30_000);
    }
}
