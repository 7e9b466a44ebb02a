//! Parameters of a forest: unchecked, and checked. Only checked ones grow a forest.

use super::{
    Forest, ForestData, ForestError, Grower, MAX_FEATURES, MAX_TREES, Reservoir, SparseRows, tree_rng,
};
use rayon::prelude::*;

/// Parameters as asked for; `check` (linfa's `ParamGuard`, or [`IsolationForestParams::checked`]) makes them usable.
///
/// An isolation forest finds rows that few random cuts separate from all others. Growing takes
/// O(trees · samples · log samples) whatever the number of rows; it suits rows of which few are odd, and is blind
/// to columns that no sampled row used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolationForestParams(pub(super) IsolationForestValidParams);

/// Parameters whose ranges were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolationForestValidParams {
    n_estimators: usize,
    max_samples: usize,
    seed: u64,
}

impl Default for IsolationForestParams {
    /// 100 trees of 256 rows, as in the paper.
    fn default() -> Self {
        Self(IsolationForestValidParams { n_estimators: 100, max_samples: 256, seed: 42 })
    }
}

impl IsolationForestParams {
    /// The paper's parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of trees, 1–10 000.
    #[must_use]
    pub const fn n_estimators(mut self, n_estimators: usize) -> Self {
        self.0.n_estimators = n_estimators;
        self
    }

    /// Rows drawn for each tree without replacement, 2–65 536; all of them where there are fewer.
    #[must_use]
    pub const fn max_samples(mut self, max_samples: usize) -> Self {
        self.0.max_samples = max_samples;
        self
    }

    /// Seed of the random generators; equal seeds give equal forests on any number of threads.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`ForestError::Param`] names the first parameter that is out of range.
    pub fn checked(self) -> Result<IsolationForestValidParams, ForestError> {
        self.verify()?;
        Ok(self.0)
    }

    pub(super) fn verify(&self) -> Result<(), ForestError> {
        if !(1..=MAX_TREES).contains(&self.0.n_estimators) {
            return Err(ForestError::Param {
                name: "n_estimators",
                value: self.0.n_estimators.to_string(),
                allowed: "1 to 10000",
            });
        }
        if !(2..=1 << 16).contains(&self.0.max_samples) {
            return Err(ForestError::Param {
                name: "max_samples",
                value: self.0.max_samples.to_string(),
                allowed: "2 to 65536",
            });
        }
        Ok(())
    }
}

impl IsolationForestValidParams {
    /// Grows a forest on sparse rows, trees in parallel.
    ///
    /// # Errors
    /// Fewer than two rows, or more columns than a forest takes.
    pub fn fit_rows(&self, rows: &SparseRows) -> Result<Forest, ForestError> {
        if rows.len() < 2 {
            return Err(ForestError::TooFewRows { got: rows.len() });
        }
        let n_features = u32::try_from(rows.columns())
            .ok()
            .filter(|columns| *columns <= MAX_FEATURES)
            .ok_or(ForestError::TooManyColumns { got: rows.columns() })?;
        let sample_size = self.max_samples.min(rows.len());
        let trees = (0..self.n_estimators)
            .into_par_iter()
            .map_init(Grower::default, |grower, tree| {
                let mut picked = vec![0; sample_size];
                let mut reservoir = Reservoir::new(self.max_samples, self.seed, tree as u64);
                reservoir.draw_until(rows.len() as u64, |row, slot| picked[slot] = row as usize);
                let sample = picked.into_iter().map(|row| rows.row(row).iter().copied());
                grower.grow(sample, sample_size, &mut tree_rng(self.seed, tree as u64))
            })
            .collect();
        Forest::from_data(ForestData { n_features, sample_size: sample_size as u32, trees })
    }
}
