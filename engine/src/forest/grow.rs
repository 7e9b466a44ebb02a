//! Grows one tree: at each node a column is chosen among those that vary there, and a cut uniformly between its
//! least and greatest value.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::tree::{Node, Tree};
use crate::features::finalise;

/// The generator of one tree, so that threads cannot matter; apart from the one that draws its sample.
pub(crate) fn tree_rng(seed: u64, tree: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(finalise(seed ^ finalise(tree.wrapping_mul(2).wrapping_add(2))))
}

/// Least, greatest and number of the values of one column that are not zero, at one node.
#[derive(Clone, Copy)]
struct Spread {
    least: f64,
    greatest: f64,
    count: usize,
}

impl Spread {
    const NONE: Self = Self { least: f64::INFINITY, greatest: f64::NEG_INFINITY, count: 0 };

    fn add(&mut self, value: f64) {
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
        self.count += 1;
    }

    /// Range of the column at a node of `rows` rows, zeros included, where it varies.
    fn range(&self, rows: usize) -> Option<(f64, f64)> {
        let zeros = self.count < rows;
        let least = if zeros { self.least.min(0.0) } else { self.least };
        let greatest = if zeros { self.greatest.max(0.0) } else { self.greatest };
        (least < greatest).then_some((least, greatest))
    }
}

/// Grows a tree on a sample, at most ⌈log2(`sample_size`)⌉ deep.
pub(crate) fn grow_tree(sample: &[&[(u32, f64)]], sample_size: usize, rng: &mut impl Rng) -> Tree {
    let mut columns: Vec<u32> = sample.iter().flat_map(|row| row.iter().map(|(column, _)| *column)).collect();
    columns.sort_unstable();
    columns.dedup();
    let deepest = sample_size.max(2).next_power_of_two().ilog2();
    let mut spreads = vec![Spread::NONE; columns.len()];
    let mut order: Vec<usize> = (0..sample.len()).collect();
    let mut nodes = vec![Node::leaf(sample.len() as u32)];
    let mut pending = vec![(0_usize, 0_usize, sample.len(), 0_u32)];
    while let Some((node, start, end, depth)) = pending.pop() {
        if end - start < 2 || depth >= deepest {
            continue;
        }
        let rows = order[start..end].iter().map(|row| sample[*row]);
        let Some((feature, threshold)) = cut(rows, end - start, &columns, &mut spreads, rng) else {
            continue;
        };
        let goes_left = |row: &usize| value(sample[*row], feature) <= threshold;
        order[start..end].sort_by_key(|row| !goes_left(row));
        let middle = start + order[start..end].partition_point(goes_left);
        let (left, right) = (nodes.len(), nodes.len() + 1);
        nodes[node] = Node {
            feature,
            threshold,
            left: left as u32,
            right: right as u32,
            samples: (end - start) as u32,
        };
        nodes.push(Node::leaf((middle - start) as u32));
        nodes.push(Node::leaf((end - middle) as u32));
        pending.push((right, middle, end, depth + 1));
        pending.push((left, start, middle, depth + 1));
    }
    Tree { nodes }
}

/// A column that varies among the rows, chosen uniformly, and a cut within its range.
fn cut<'a>(
    rows: impl Iterator<Item = &'a [(u32, f64)]>,
    count: usize,
    columns: &[u32],
    spreads: &mut [Spread],
    rng: &mut impl Rng,
) -> Option<(u32, f64)> {
    let mut touched = Vec::new();
    for (column, value) in rows.flatten() {
        let Ok(local) = columns.binary_search(column) else { continue };
        if spreads[local].count == 0 {
            touched.push(local);
        }
        spreads[local].add(*value);
    }
    touched.sort_unstable();
    let varying: Vec<(u32, f64, f64)> = touched
        .iter()
        .filter_map(|local| {
            let (least, greatest) = spreads[*local].range(count)?;
            Some((columns[*local], least, greatest))
        })
        .collect();
    for local in touched {
        spreads[local] = Spread::NONE;
    }
    if varying.is_empty() {
        return None;
    }
    let (feature, least, greatest) = varying[rng.r#gen_range(0..varying.len())];
    let drawn = least + rng.r#gen::<f64>() * (greatest - least);
    // Rounding, or a range that overflows, may leave the range; the least value is always a cut.
    let threshold = if drawn >= least && drawn < greatest { drawn } else { least };
    Some((feature, threshold))
}

pub(super) fn value(row: &[(u32, f64)], feature: u32) -> f64 {
    row.binary_search_by_key(&feature, |(column, _)| *column).map_or(0.0, |at| row[at].1)
}
