//! Forests of few columns, whose trees test them all over. A value is looked up once a row: its rank among all
//! thresholds of its column stands for it, and a node compares ranks. Trees are laid out as heaps of one size, so
//! that all take the same number of steps and none of them waits for a branch to be foretold.

use super::score::path_length;
use super::tree::ForestData;

/// Most columns of such a forest.
pub(super) const MOST_COLUMNS: usize = 8;
/// Places of one tree's heap, from 1; the leaves of the deepest tree that fits have as many.
const SLOTS: usize = 256;
const DEEPEST: u32 = SLOTS.ilog2();
/// Trees that are walked in step.
const LANES: usize = 8;
/// A node's rank stands below its column's number.
const RANK_BITS: u32 = 24;

/// A node that no row passes to its right: greater than every rank, by less than half of what 32 bits hold.
const NOWHERE: u32 = (MOST_COLUMNS as u32) << RANK_BITS;

/// A forest of few columns, ready to be walked by ranks.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    /// The thresholds of each column, ascending.
    cuts: Vec<Vec<f64>>,
    /// Column and rank of the threshold of every node, a heap for each tree.
    nodes: Vec<[u32; SLOTS]>,
    /// Which path length each leaf has.
    leaves: Vec<[u16; SLOTS]>,
    paths: Vec<i64>,
    levels: u32,
}

/// Ranks of a row, each below its column's number as in the nodes.
pub(super) type Ranks = [u32; MOST_COLUMNS];

impl Ranked {
    /// `None` where the trees have too many columns, or are too deep.
    pub(super) fn new(data: &ForestData) -> Option<Self> {
        let columns = data.n_features as usize;
        if columns > MOST_COLUMNS {
            return None;
        }
        let mut cuts = vec![Vec::new(); columns];
        for node in data.trees.iter().flat_map(|tree| &tree.nodes).filter(|node| !node.is_leaf()) {
            cuts[node.feature as usize].push(node.threshold);
        }
        for cuts in &mut cuts {
            cuts.sort_unstable_by(f64::total_cmp);
            cuts.dedup();
        }
        let mut ranked = Self { cuts, nodes: Vec::new(), leaves: Vec::new(), paths: Vec::new(), levels: 0 };
        data.trees.iter().try_for_each(|tree| ranked.push(tree))?;
        Some(ranked)
    }

    fn push(&mut self, tree: &super::Tree) -> Option<()> {
        // What is below a leaf goes left whatever the row.
        let (mut nodes, mut leaves) = ([NOWHERE; SLOTS], [0; SLOTS]);
        let mut pending = vec![(0_usize, 1_usize, 0_u32)];
        while let Some((from, to, depth)) = pending.pop() {
            let node = tree.nodes[from];
            if node.is_leaf() {
                leaves[(to << (DEEPEST - depth)) % SLOTS] = self.path(path_length(depth, node.samples))?;
                continue;
            }
            if depth == DEEPEST {
                return None;
            }
            let cuts = &self.cuts[node.feature as usize];
            let rank = cuts.partition_point(|cut| *cut < node.threshold) as u32;
            nodes[to] = (node.feature << RANK_BITS) | rank;
            self.levels = self.levels.max(depth + 1);
            pending.push((node.left as usize, 2 * to, depth + 1));
            pending.push((node.right as usize, 2 * to + 1, depth + 1));
        }
        self.nodes.push(nodes);
        self.leaves.push(leaves);
        Some(())
    }

    fn path(&mut self, length: i64) -> Option<u16> {
        let known = self.paths.iter().position(|path| *path == length);
        let at = known.unwrap_or_else(|| {
            self.paths.push(length);
            self.paths.len() - 1
        });
        u16::try_from(at).ok()
    }

    fn ranks(&self, row: &[f64]) -> Ranks {
        let mut ranks = [0; MOST_COLUMNS];
        for (column, (rank, cuts)) in ranks.iter_mut().zip(&self.cuts).enumerate() {
            let value = row.get(column).copied().filter(|value| !value.is_nan()).unwrap_or(0.0);
            *rank = ((column as u32) << RANK_BITS) | cuts.partition_point(|cut| value > *cut) as u32;
        }
        ranks
    }

    /// Sum of a row's path lengths over all trees; columns beyond the row's end are zero, and so is a NaN.
    pub(super) fn path_sum(&self, row: &[f64]) -> i64 {
        let ranks = self.ranks(row);
        let mut sum = 0;
        let (nodes, last_nodes) = self.nodes.as_chunks::<LANES>();
        let (leaves, last_leaves) = self.leaves.as_chunks::<LANES>();
        for (nodes, leaves) in nodes.iter().zip(leaves) {
            sum += self.path_sum_of(nodes, leaves, &ranks);
        }
        for (nodes, leaves) in last_nodes.iter().zip(last_leaves) {
            sum += self.path_sum_of(std::array::from_ref(nodes), std::array::from_ref(leaves), &ranks);
        }
        sum
    }

    /// Walks some trees in step, so that none waits for another's memory.
    fn path_sum_of<const N: usize>(
        &self,
        nodes: &[[u32; SLOTS]; N],
        leaves: &[[u16; SLOTS]; N],
        ranks: &Ranks,
    ) -> i64 {
        let mut at = [1_u32; N];
        for _ in 0..self.levels {
            for (at, nodes) in at.iter_mut().zip(nodes) {
                let node = nodes[*at as usize % SLOTS];
                let rank = ranks[(node >> RANK_BITS) as usize % MOST_COLUMNS];
                // The sign of the difference, rather than a branch that no row foretells.
                *at = 2 * *at + (node.wrapping_sub(rank) >> 31);
            }
        }
        let unused = DEEPEST - self.levels;
        let path = |(at, leaves): (&u32, &[u16; SLOTS])| {
            self.paths[usize::from(leaves[(*at << unused) as usize % SLOTS])]
        };
        at.iter().zip(leaves).map(path).sum()
    }
}
