//! What each column of a row did to its path lengths in a forest: exact, by walking the trees.
//!
//! Before any test a row is expected to end after c(n) steps; each test on its way replaces the expectation of its
//! node by one step and the expectation of the child. The difference is credited to the column that was tested
//! (the decomposition of Saabas, 2014, applied to path lengths as DIFFI does, Carletti, Terzi and Susto 2023), and
//! over a path the differences add up to c(n) minus the path's length, with nothing left over.

use crate::forest::{Forest, Node, average_path_length};

/// Steps that each column took off a row's expected paths, over all trees; negative where it made them longer.
#[derive(Clone, Debug, PartialEq)]
pub struct Credits {
    /// Columns of the row, in its order.
    pub columns: Vec<(u32, f64)>,
    /// Columns that the row does not have: what is missing can be odd, too.
    pub absent: f64,
}

/// The credits of a row, columns ascending. They add up to trees · c(n) − the row's sum of path lengths.
pub fn credits(forest: &Forest, row: &[(u32, f64)]) -> Credits {
    let mut credits =
        Credits { columns: row.iter().map(|(column, _)| (*column, 0.0)).collect(), absent: 0.0 };
    let place = |feature: u32| row.binary_search_by_key(&feature, |(column, _)| *column);
    for tree in &forest.data().trees {
        let value = |feature| place(feature).map_or(0.0, |at| row[at].1);
        tree.walk(value, |parent, child| {
            let credit = expected_rest(parent) - expected_rest(child) - 1.0;
            match place(parent.feature) {
                Ok(at) => credits.columns[at].1 += credit,
                Err(_) => credits.absent += credit,
            }
        });
    }
    credits
}

impl Credits {
    /// Shares `nats` out in proportion to what shortened the paths; `each` is called with column and part. Returns
    /// the part of what the row does not have, or all where nothing shortened them: parts and return value add up
    /// to `nats`.
    pub fn share_out(&self, nats: f64, mut each: impl FnMut(u32, f64)) -> f64 {
        let shortened = self.columns.iter().map(|(_, credit)| credit.max(0.0)).sum::<f64>();
        let total = shortened + self.absent.max(0.0);
        if total <= 0.0 {
            return nats;
        }
        for (column, credit) in &self.columns {
            each(*column, nats * credit.max(0.0) / total);
        }
        nats * self.absent.max(0.0) / total
    }
}

/// Expected path length from a node on.
fn expected_rest(node: &Node) -> f64 {
    average_path_length(node.samples)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forest::{IsolationForestParams, PathScratch, SparseRows};

    fn row() -> impl Strategy<Value = Vec<(u32, f64)>> {
        proptest::collection::btree_map(0_u32..12, -2.0..2.0, 0..6)
            .prop_map(|row| row.into_iter().filter(|(_, value)| *value != 0.0).collect())
    }

    proptest! {
        #[test]
        fn credits_add_up_to_what_the_paths_are_shorter_than_expected(
            rows in proptest::collection::vec(row(), 2..40), asked in row(), seed: u64, nats in 0.0..9.0,
        ) {
            let mut matrix = SparseRows::new(12);
            for row in &rows {
                matrix.push(row.iter().copied()).unwrap();
            }
            let params = IsolationForestParams::new().n_estimators(9).seed(seed).checked().unwrap();
            let forest = params.fit_rows(&matrix).unwrap();
            let sum = forest.path_sum(asked.iter().copied(), &mut PathScratch::default());
            let expected = 9.0 * (average_path_length(rows.len() as u32) - forest.mean_path(sum));
            let credits = credits(&forest, &asked);
            let credited = credits.columns.iter().map(|(_, credit)| credit).sum::<f64>() + credits.absent;
            prop_assert!((credited - expected).abs() < 1e-9, "{credited}, not {expected}");

            let mut shared = 0.0;
            let rest = credits.share_out(nats, |_, part| shared += part);
            prop_assert!(rest >= 0.0 && (shared + rest - nats).abs() < 1e-9);
        }
    }
}
