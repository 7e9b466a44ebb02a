//! What each column of a row did to its path lengths in a forest: exact, by walking the trees.
//!
//! Before any test a row is expected to end after c(n) steps; each test on its way replaces the expectation of its
//! node by one step and the expectation of the child. The difference is credited to the column that was tested
//! (the decomposition of Saabas, 2014, applied to path lengths), and
//! over a path the differences add up to c(n) minus the path's length, with nothing left over.

use crate::forest::{Forest, Node, Tree, average_path_length};

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
    let expected = Expected::default();
    let mut credits = Credits::none(row);
    let row = Row::new(row);
    for tree in &forest.data().trees {
        credits.absent += row.walk(tree, &expected, &mut credits.columns);
    }
    credits
}

/// What the credits of many rows of one forest have in common. Most columns of a row are tested in few trees on the
/// way that a row of zeros takes; the other trees give every row without them the same credits.
#[derive(Clone, Debug)]
pub struct CreditIndex {
    expected: Expected,
    /// Column and tree where a row of zeros meets a test of the column, ascending.
    met: Vec<(u32, u32)>,
    /// What a row of zeros is credited in each tree.
    of_zeros: Vec<f64>,
}

impl CreditIndex {
    /// Walks every tree once.
    pub fn new(forest: &Forest) -> Self {
        let expected = Expected::up_to(forest.data().sample_size);
        let (mut met, mut of_zeros) = (Vec::new(), Vec::new());
        for (number, tree) in forest.data().trees.iter().enumerate() {
            let mut credit = 0.0;
            tree.walk(
                |_| 0.0,
                |parent, child| {
                    credit += expected.credit(parent, child);
                    met.push((parent.feature, number as u32));
                },
            );
            of_zeros.push(credit);
        }
        met.sort_unstable();
        met.dedup();
        Self { expected, met, of_zeros }
    }

    /// As [`credits`] of the same forest, to the last bit.
    pub fn credits(&self, forest: &Forest, row: &[(u32, f64)]) -> Credits {
        let mut is_met = vec![false; self.of_zeros.len()];
        for (column, _) in row {
            let first = self.met.partition_point(|(other, _)| other < column);
            let trees = self.met[first..].iter().take_while(|(other, _)| other == column);
            trees.for_each(|(_, tree)| is_met[*tree as usize] = true);
        }
        let mut credits = Credits::none(row);
        let row = Row::new(row);
        for ((tree, is_met), of_zeros) in forest.data().trees.iter().zip(is_met).zip(&self.of_zeros) {
            let absent =
                if is_met { row.walk(tree, &self.expected, &mut credits.columns) } else { *of_zeros };
            credits.absent += absent;
        }
        credits
    }
}

/// A row that is looked up often.
struct Row<'r> {
    row: &'r [(u32, f64)],
    /// A column whose bit is not set is not in the row.
    filter: u64,
}

impl<'r> Row<'r> {
    fn new(row: &'r [(u32, f64)]) -> Self {
        Self { row, filter: row.iter().fold(0, |filter, (column, _)| filter | Self::bit(*column)) }
    }

    const fn bit(column: u32) -> u64 {
        1 << (column.wrapping_mul(0x9e37_79b9) >> 26)
    }

    fn place(&self, feature: u32) -> Option<usize> {
        if self.filter & Self::bit(feature) == 0 {
            return None;
        }
        self.row.binary_search_by_key(&feature, |(column, _)| *column).ok()
    }

    /// Credits what the tree says to the row's columns, and returns what it says to all others.
    fn walk(&self, tree: &Tree, expected: &Expected, columns: &mut [(u32, f64)]) -> f64 {
        let mut absent = 0.0;
        let value = |feature| self.place(feature).map_or(0.0, |at| self.row[at].1);
        tree.walk(value, |parent, child| {
            let credit = expected.credit(parent, child);
            match self.place(parent.feature) {
                Some(at) => columns[at].1 += credit,
                None => absent += credit,
            }
        });
        absent
    }
}

/// Expected path lengths from nodes on, those of few rows computed once.
#[derive(Clone, Debug, Default)]
struct Expected(Vec<f64>);

impl Expected {
    /// Most rows that are computed ahead: a file's own word for a tree's size is not trusted further.
    const MOST: u32 = 1 << 12;

    fn up_to(samples: u32) -> Self {
        Self((0..=samples.min(Self::MOST)).map(average_path_length).collect())
    }

    fn rest(&self, node: &Node) -> f64 {
        let known = self.0.get(node.samples as usize).copied();
        known.unwrap_or_else(|| average_path_length(node.samples))
    }

    /// The steps that a test took off.
    fn credit(&self, parent: &Node, child: &Node) -> f64 {
        self.rest(parent) - self.rest(child) - 1.0
    }
}

impl Credits {
    fn none(row: &[(u32, f64)]) -> Self {
        Self { columns: row.iter().map(|(column, _)| (*column, 0.0)).collect(), absent: 0.0 }
    }

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

            let index = CreditIndex::new(&forest);
            for row in rows.iter().chain([&asked]) {
                prop_assert_eq!(index.credits(&forest, row), super::credits(&forest, row));
            }

            let mut shared = 0.0;
            let rest = credits.share_out(nats, |_, part| shared += part);
            prop_assert!(rest >= 0.0 && (shared + rest - nats).abs() < 1e-9);
        }
    }
}
