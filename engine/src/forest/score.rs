//! A forest that is ready to score: sparse rows by the tests of their columns, dense ones by ranks, both to the same
//! sums as walking every tree.

use std::sync::OnceLock;

use super::plain::PlainForest;
use super::ranked::Ranked;
use super::sparse::{SparseIndex, SparseScratch};
use super::tree::{ForestData, average_path_length};
use super::{ForestError, grow};

/// Path lengths are summed as integers of 2^-40, so that the order of summation cannot matter.
const FRACTION_BITS: u32 = 40;

fn fixed(value: f64) -> i64 {
    (value * (1_u64 << FRACTION_BITS) as f64).round() as i64
}

/// Path length of a leaf, in units of 2^-40.
pub(super) fn path_length(depth: u32, samples: u32) -> i64 {
    (i64::from(depth) << FRACTION_BITS) + fixed(average_path_length(samples))
}

/// A forest that is ready to score.
#[derive(Clone, Debug)]
pub struct Forest {
    data: ForestData,
    /// Where the leaves are not too many for it.
    sparse: Option<SparseIndex>,
    /// Where the columns are few.
    ranked: Option<Ranked>,
    /// Made when the first row comes that is walked.
    plain: OnceLock<PlainForest>,
    /// c(n) of the trees' samples.
    sample_path: f64,
}

/// Parts from zero in a tree, on average, from which on walking from the roots is quicker than ruling leaves out.
const MOST_PARTS: usize = 12;

/// Buffers of one thread; a fresh one gives the same sums.
#[derive(Clone, Debug, Default)]
pub struct PathScratch {
    sparse: SparseScratch,
    dense: Vec<f64>,
    row: Vec<(u32, f64)>,
}

impl Forest {
    /// Checks the trees and makes them ready to score.
    ///
    /// # Errors
    /// Says which tree is damaged and how.
    pub fn from_data(data: ForestData) -> Result<Self, ForestError> {
        data.check()?;
        let (sparse, ranked) = (SparseIndex::new(&data), Ranked::new(&data));
        let sample_path = average_path_length(data.sample_size);
        Ok(Self { data, sparse, ranked, plain: OnceLock::new(), sample_path })
    }

    /// The trees.
    pub const fn data(&self) -> &ForestData {
        &self.data
    }

    /// Sum of a row's path lengths over all trees, in units of 2^-40. `row` gives column and value of what is
    /// not zero, in any order; columns that the forest does not have change nothing, nor does a NaN.
    pub fn path_sum<R>(&self, row: R, scratch: &mut PathScratch) -> i64
    where
        R: IntoIterator<Item = (u32, f64)>,
        R::IntoIter: Clone,
    {
        match &self.sparse {
            Some(sparse) => sparse.path_sum(row, &mut scratch.sparse),
            None => self.path_sum_by_search(row, scratch),
        }
    }

    #[cold]
    fn path_sum_by_search(
        &self,
        row: impl IntoIterator<Item = (u32, f64)>,
        scratch: &mut PathScratch,
    ) -> i64 {
        scratch.row.clear();
        scratch.row.extend(row.into_iter().filter(|(_, value)| !value.is_nan()));
        scratch.row.sort_unstable_by_key(|(column, _)| *column);
        self.plain().path_sum_by_search(&scratch.row)
    }

    fn plain(&self) -> &PlainForest {
        self.plain.get_or_init(|| PlainForest::new(&self.data))
    }

    /// The same sum for a row that holds every value; columns beyond its end are zero, and so is a NaN.
    pub fn path_sum_of_dense(&self, row: &[f64], scratch: &mut PathScratch) -> i64 {
        match &self.ranked {
            Some(ranked) => ranked.path_sum(row),
            None => self.path_sum_of_wide(row, scratch),
        }
    }

    fn path_sum_of_wide(&self, row: &[f64], scratch: &mut PathScratch) -> i64 {
        let filled = || {
            let filled = row.iter().enumerate().filter(|(_, value)| **value != 0.0);
            filled.map(|(column, value)| (column as u32, *value))
        };
        let most = MOST_PARTS * self.data.trees.len();
        if let Some(sparse) = self.sparse.as_ref().filter(|sparse| sparse.parts(filled(), most) < most) {
            return sparse.path_sum(filled(), &mut scratch.sparse);
        }
        scratch.dense.clear();
        scratch.dense.extend(row.iter().map(|value| if value.is_nan() { 0.0 } else { *value }));
        self.plain().path_sum_of_dense(&scratch.dense)
    }

    /// The same sum by walking every tree from its root.
    pub fn path_sum_by_walking(&self, row: &[(u32, f64)]) -> i64 {
        let path = |tree: &super::Tree| {
            let (leaf, depth) = tree.walk(|feature| grow::value(row, feature), |_, _| {});
            path_length(depth, leaf.samples)
        };
        self.data.trees.iter().map(path).sum()
    }

    /// Mean path length E[h(x)] of a sum.
    pub fn mean_path(&self, sum: i64) -> f64 {
        sum as f64 / (1_u64 << FRACTION_BITS) as f64 / self.data.trees.len() as f64
    }

    /// The score 2^(-E[h(x)]/c(n)) of a sum, in [0, 1], greater is odder.
    pub fn score_of(&self, sum: i64) -> f64 {
        (-self.mean_path(sum) / self.sample_path).exp2().clamp(0.0, 1.0)
    }

    /// The score of one row.
    pub fn score(&self, row: &[(u32, f64)], scratch: &mut PathScratch) -> f64 {
        self.score_of(self.path_sum(row.iter().copied(), scratch))
    }
}
