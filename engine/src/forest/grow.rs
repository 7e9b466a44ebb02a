//! Grows one tree: at each node a column is chosen uniformly among those that vary there, and a cut uniformly
//! between its least and greatest value.
//!
//! Which columns vary is known from counts alone: how many rows of the node hold something else than zero. After a
//! cut the smaller side's rows are taken out of the counts, which then are those of the larger side; the smaller
//! side is counted anew when its turn comes. A row is so counted at most log2(rows) times, and only the chosen
//! column's values are ever looked at.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::tree::{Node, Tree};
use crate::features::finalise;

/// The generator of one tree, so that threads cannot matter; apart from the one that draws its sample.
pub(crate) fn tree_rng(seed: u64, tree: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(finalise(seed ^ finalise(tree.wrapping_mul(2).wrapping_add(2))))
}

/// Values of a row that are compared while one value of a column is found by its row: below it, rows are searched
/// instead of the column.
const SEARCH_COST: usize = 8;
/// `place` of a column that is not among those that may vary.
const NOWHERE: u32 = u32::MAX;

/// Buffers of one thread that growing reuses from tree to tree; a fresh one grows the same trees.
#[derive(Debug, Default)]
pub(crate) struct Grower {
    /// 1 + the sample's own number of a column; 0 where no row holds it.
    numbers: Vec<u32>,
    /// The columns by their numbers, in order of appearance.
    columns: Vec<u32>,
    /// Number and value of what is not zero, row after row.
    entries: Vec<(u32, f64)>,
    row_ends: Vec<u32>,
    /// Row and value of what is not zero, column after column.
    by_column: Vec<(u32, f64)>,
    column_ends: Vec<u32>,
    /// Rows, those of one node beside each other, and where each stands.
    order: Vec<u32>,
    places: Vec<u32>,
    /// Rows of the node at hand that hold a column.
    counts: Vec<u32>,
    /// Columns of the node that may vary, and where each stands among them.
    present: Vec<u32>,
    standing: Vec<u32>,
    /// The chosen column's rows and values in the node.
    held: Vec<(u32, f64)>,
    pending: Vec<Pending>,
}

/// A node whose cut is still to be found: its rows are `start..end` of the order.
#[derive(Clone, Copy, Debug)]
struct Pending {
    node: usize,
    start: usize,
    end: usize,
    depth: u32,
}

impl Pending {
    const fn rows(self) -> usize {
        self.end - self.start
    }

    const fn is_done(self, deepest: u32) -> bool {
        self.rows() < 2 || self.depth >= deepest
    }
}

impl Grower {
    /// Grows a tree on a sample, at most ⌈log2(`sample_size`)⌉ deep. Values are finite; a column occurs once in a
    /// row, and the rows' columns in the same order every time, as it decides which of them a random number means;
    /// zeros are passed over.
    pub(crate) fn grow(
        &mut self,
        sample: impl IntoIterator<Item = impl IntoIterator<Item = (u32, f64)>>,
        sample_size: usize,
        rng: &mut impl Rng,
    ) -> Tree {
        self.load(sample);
        let deepest = sample_size.max(2).next_power_of_two().ilog2();
        let rows = self.row_ends.len();
        let mut nodes = vec![Node::leaf(rows as u32)];
        self.pending.push(Pending { node: 0, start: 0, end: rows, depth: 0 });
        while let Some(node) = self.pending.pop() {
            if !node.is_done(deepest) {
                self.count(node);
                self.grow_from(node, deepest, &mut nodes, rng);
            }
        }
        self.unload();
        Tree { nodes }
    }

    /// Takes the sample in, by rows and by columns.
    fn load(&mut self, sample: impl IntoIterator<Item = impl IntoIterator<Item = (u32, f64)>>) {
        self.entries.clear();
        self.row_ends.clear();
        self.column_ends.clear();
        for row in sample {
            for (column, value) in row {
                if value == 0.0 {
                    continue;
                }
                if column as usize >= self.numbers.len() {
                    self.numbers.resize((column as usize + 1).next_power_of_two(), 0);
                }
                let number = &mut self.numbers[column as usize];
                if *number == 0 {
                    self.columns.push(column);
                    self.column_ends.push(0);
                    *number = self.columns.len() as u32;
                }
                self.column_ends[*number as usize - 1] += 1;
                self.entries.push((*number - 1, value));
            }
            self.row_ends.push(self.entries.len() as u32);
        }
        let mut end = 0;
        for column_end in &mut self.column_ends {
            end += std::mem::replace(column_end, end);
        }
        self.by_column.clear();
        self.by_column.resize(self.entries.len(), (0, 0.0));
        let mut start = 0;
        for (row, end) in self.row_ends.iter().enumerate() {
            for (number, value) in &self.entries[start as usize..*end as usize] {
                let at = &mut self.column_ends[*number as usize];
                self.by_column[*at as usize] = (row as u32, *value);
                *at += 1;
            }
            start = *end;
        }
        self.order.clear();
        self.order.extend(0..self.row_ends.len() as u32);
        self.places.clone_from(&self.order);
        self.counts.clear();
        self.counts.resize(self.columns.len(), 0);
        self.present.clear();
        self.standing.clear();
        self.standing.resize(self.columns.len(), NOWHERE);
    }

    fn unload(&mut self) {
        for column in self.columns.drain(..) {
            self.numbers[column as usize] = 0;
        }
    }

    fn row(&self, row: u32) -> &[(u32, f64)] {
        let start = if row == 0 { 0 } else { self.row_ends[row as usize - 1] };
        &self.entries[start as usize..self.row_ends[row as usize] as usize]
    }

    fn column(&self, number: u32) -> &[(u32, f64)] {
        let start = if number == 0 { 0 } else { self.column_ends[number as usize - 1] };
        &self.by_column[start as usize..self.column_ends[number as usize] as usize]
    }

    /// Counts the columns of a node afresh.
    fn count(&mut self, node: Pending) {
        for number in self.present.drain(..) {
            self.standing[number as usize] = NOWHERE;
        }
        self.counts.fill(0);
        for at in node.start..node.end {
            let row = self.order[at];
            let start = if row == 0 { 0 } else { self.row_ends[row as usize - 1] };
            for (number, _) in &self.entries[start as usize..self.row_ends[row as usize] as usize] {
                let count = &mut self.counts[*number as usize];
                if *count == 0 {
                    self.standing[*number as usize] = self.present.len() as u32;
                    self.present.push(*number);
                }
                *count += 1;
            }
        }
    }

    /// Takes rows out of the counts.
    fn discount(&mut self, start: usize, end: usize) {
        for at in start..end {
            let row = self.order[at];
            let start = if row == 0 { 0 } else { self.row_ends[row as usize - 1] };
            for entry in start..self.row_ends[row as usize] {
                let number = self.entries[entry as usize].0;
                let count = &mut self.counts[number as usize];
                *count -= 1;
                if *count == 0 {
                    self.remove(number);
                }
            }
        }
    }

    /// Takes a column out of those that may vary.
    fn remove(&mut self, number: u32) {
        let at = std::mem::replace(&mut self.standing[number as usize], NOWHERE);
        if at != NOWHERE {
            self.present.swap_remove(at as usize);
            if let Some(moved) = self.present.get(at as usize) {
                self.standing[*moved as usize] = at;
            }
        }
    }

    /// Cuts a counted node, and then its larger side again and again; smaller sides wait for their turn.
    fn grow_from(&mut self, mut node: Pending, deepest: u32, nodes: &mut Vec<Node>, rng: &mut impl Rng) {
        while !node.is_done(deepest) {
            let Some((number, threshold)) = self.cut(node, rng) else { return };
            let middle = self.part(node, threshold);
            let (left, right) = (nodes.len(), nodes.len() + 1);
            nodes[node.node] = Node {
                feature: self.columns[number as usize],
                threshold,
                left: left as u32,
                right: right as u32,
                samples: node.rows() as u32,
            };
            nodes.push(Node::leaf((middle - node.start) as u32));
            nodes.push(Node::leaf((node.end - middle) as u32));
            let left = Pending { node: left, end: middle, depth: node.depth + 1, ..node };
            let right = Pending { node: right, start: middle, depth: node.depth + 1, ..node };
            let (smaller, larger) = if left.rows() < right.rows() { (left, right) } else { (right, left) };
            if !smaller.is_done(deepest) {
                self.pending.push(smaller);
            }
            if !larger.is_done(deepest) {
                self.discount(smaller.start, smaller.end);
            }
            node = larger;
        }
    }

    /// A column that varies in the node, chosen uniformly, and a cut within its range; its rows are then held.
    fn cut(&mut self, node: Pending, rng: &mut impl Rng) -> Option<(u32, f64)> {
        while !self.present.is_empty() {
            let number = self.present[rng.r#gen_range(0..self.present.len())];
            self.hold(node, number);
            let has_zeros = self.held.len() < node.rows();
            let (mut least, mut greatest) =
                if has_zeros { (0.0, 0.0) } else { (f64::INFINITY, f64::NEG_INFINITY) };
            for (_, value) in &self.held {
                least = value.min(least);
                greatest = value.max(greatest);
            }
            if least < greatest {
                let drawn = least + rng.r#gen::<f64>() * (greatest - least);
                // Rounding, or a range that overflows, may leave the range; the least value is always a cut.
                let threshold = if drawn >= least && drawn < greatest { drawn } else { least };
                return Some((number, threshold));
            }
            // All rows hold the same: so it is on both sides of every cut from here on.
            self.remove(number);
        }
        None
    }

    /// Finds the rows of a node that hold a column.
    fn hold(&mut self, node: Pending, number: u32) {
        let mut held = std::mem::take(&mut self.held);
        held.clear();
        let column = self.column(number);
        if node.rows() * SEARCH_COST < column.len() {
            for row in &self.order[node.start..node.end] {
                let found = self.row(*row).iter().find(|(other, _)| *other == number);
                held.extend(found.map(|(_, value)| (*row, *value)));
            }
        } else {
            let within = node.start as u32..node.end as u32;
            held.extend(column.iter().filter(|(row, _)| within.contains(&self.places[*row as usize])));
        }
        self.held = held;
    }

    /// Moves the held rows that part from zero to their side of the node; the place where its right side begins.
    fn part(&mut self, node: Pending, threshold: f64) -> usize {
        let zero_goes_left = threshold >= 0.0;
        let mut middle = if zero_goes_left { node.end } else { node.start };
        for at in 0..self.held.len() {
            let (row, value) = self.held[at];
            if (value <= threshold) == zero_goes_left {
                continue;
            }
            let to = if zero_goes_left { middle - 1 } else { middle };
            let (from, other) = (self.places[row as usize], self.order[to]);
            self.order.swap(from as usize, to);
            self.places[row as usize] = to as u32;
            self.places[other as usize] = from;
            middle = if zero_goes_left { to } else { to + 1 };
        }
        middle
    }
}

pub(super) fn value(row: &[(u32, f64)], feature: u32) -> f64 {
    row.binary_search_by_key(&feature, |(column, _)| *column).map_or(0.0, |at| row[at].1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Rows = Vec<Vec<(u32, f64)>>;

    fn grow(rows: &Rows, seed: u64, grower: &mut Grower) -> Tree {
        grower.grow(rows.iter().map(|row| row.iter().copied()), rows.len(), &mut tree_rng(seed, 0))
    }

    /// Column 0 is the same everywhere; 3 is full, 5 sparse, 9 negative.
    fn sample() -> Rows {
        let row = |at: u32| {
            let mut row = vec![(0, 7.0), (3, 1.0 + f64::from(at))];
            row.extend(at.is_multiple_of(4).then_some((5, 2.0)));
            row.extend(at.is_multiple_of(2).then_some((9, -f64::from(at) - 1.0)));
            row
        };
        (0..16).map(row).collect()
    }

    #[test]
    fn columns_that_vary_are_cut_equally_often_and_uniformly() {
        const SEEDS: u64 = 6_000;
        let (sample, mut grower) = (sample(), Grower::default());
        let mut quarters = [[0_u32; 4]; 10];
        for seed in 0..SEEDS {
            let root = grow(&sample, seed, &mut grower).nodes[0];
            let (least, greatest) = match root.feature {
                3 => (1.0, 16.0),
                5 => (0.0, 2.0),
                9 => (-15.0, 0.0),
                other => panic!("column {other} does not vary"),
            };
            let quarter = ((root.threshold - least) / (greatest - least) * 4.0) as usize;
            quarters[root.feature as usize][quarter] += 1;
        }
        let expected = SEEDS as f64 / 12.0;
        for column in [3, 5, 9] {
            for count in quarters[column] {
                assert!((f64::from(count) - expected).abs() < 5.0 * expected.sqrt(), "{quarters:?}");
            }
        }
    }

    #[test]
    fn rows_that_are_alike_are_one_leaf() {
        let tree = grow(&vec![vec![(2, 1.5), (4, -1.0)]; 9], 1, &mut Grower::default());
        assert_eq!(tree.nodes, [Node::leaf(9)]);
        assert_eq!(grow(&vec![Vec::new(); 9], 1, &mut Grower::default()).nodes, [Node::leaf(9)]);
    }

    fn rows() -> impl Strategy<Value = Rows> {
        let value = prop_oneof![Just(1.0), Just(-2.0), -3.0..3.0];
        let row = proptest::collection::btree_map(0..12_u32, value, 0..8);
        let row = row.prop_map(|row| row.into_iter().filter(|(_, value)| *value != 0.0).collect());
        proptest::collection::vec(row, 2..70)
    }

    /// Whether some column differs among the rows.
    fn varies(rows: &[&Vec<(u32, f64)>]) -> bool {
        rows.iter().any(|row| *row != rows[0])
    }

    proptest! {
        #[test]
        fn every_node_parts_its_rows_and_every_leaf_is_done(rows in rows(), seed: u64) {
            let mut grower = Grower::default();
            let tree = grow(&rows, seed, &mut grower);
            prop_assert_eq!(&tree, &grow(&rows, seed, &mut grower), "a reused grower grows the same tree");
            let deepest = rows.len().next_power_of_two().ilog2();
            let mut pending = vec![(0_usize, rows.iter().collect::<Vec<_>>(), 0_u32)];
            let mut met = 0;
            while let Some((at, rows, depth)) = pending.pop() {
                met += 1;
                let node = tree.nodes[at];
                prop_assert_eq!(node.samples as usize, rows.len());
                if node.is_leaf() {
                    prop_assert!(rows.len() < 2 || depth == deepest || !varies(&rows));
                    continue;
                }
                let (left, right): (Vec<_>, Vec<_>) =
                    rows.into_iter().partition(|row| value(row, node.feature) <= node.threshold);
                prop_assert!(!left.is_empty() && !right.is_empty());
                pending.push((node.left as usize, left, depth + 1));
                pending.push((node.right as usize, right, depth + 1));
            }
            prop_assert_eq!(met, tree.nodes.len());
        }
    }
}
