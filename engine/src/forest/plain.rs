//! The plain way through a forest: every tree is walked from its root. What tests and benchmarks compare with, laid
//! out as well as walking allows: 16 bytes a node, siblings beside each other, trees one after the other.

use super::grow::value;
use super::score::path_length;
use super::tree::{ForestData, Tree};

#[derive(Clone, Copy, Debug)]
struct PlainNode {
    threshold: f64,
    /// Column, or [`PlainNode::LEAF`].
    feature: u32,
    /// Left child; the right one follows it. Of a leaf: where its path length is.
    left: u32,
}

impl PlainNode {
    const LEAF: u32 = u32::MAX;
}

/// A forest that is walked: O(trees · depth) a row, whatever the row holds.
#[derive(Clone, Debug)]
pub struct PlainForest {
    nodes: Vec<PlainNode>,
    roots: Vec<u32>,
    paths: Vec<i64>,
}

impl PlainForest {
    /// Of a forest's checked trees: [`super::Forest::data`].
    pub fn new(data: &ForestData) -> Self {
        let mut forest = Self { nodes: Vec::new(), roots: Vec::new(), paths: Vec::new() };
        data.trees.iter().for_each(|tree| forest.push(tree));
        forest
    }

    fn push(&mut self, tree: &Tree) {
        let root = self.nodes.len();
        self.roots.push(root as u32);
        self.nodes.push(PlainNode { threshold: 0.0, feature: PlainNode::LEAF, left: 0 });
        let mut pending = vec![(0_usize, root, 0_u32)];
        while let Some((from, to, depth)) = pending.pop() {
            let node = tree.nodes[from];
            if node.is_leaf() {
                self.nodes[to].left = self.paths.len() as u32;
                self.paths.push(path_length(depth, node.samples));
                continue;
            }
            let left = self.nodes.len();
            self.nodes[to] =
                PlainNode { threshold: node.threshold, feature: node.feature, left: left as u32 };
            self.nodes.extend([PlainNode { threshold: 0.0, feature: PlainNode::LEAF, left: 0 }; 2]);
            pending.push((node.right as usize, left + 1, depth + 1));
            pending.push((node.left as usize, left, depth + 1));
        }
    }

    /// Sum of a row's path lengths over all trees, in units of 2^-40. `row` gives column and value of what is not
    /// zero; `buffer` is a row of zeros with a place for each of the forest's columns, and is so left behind.
    pub fn path_sum(&self, row: &[(u32, f64)], buffer: &mut [f64]) -> i64 {
        for (column, value) in row {
            if let Some(place) = buffer.get_mut(*column as usize) {
                *place = *value;
            }
        }
        let sum = self.path_sum_of_dense(buffer);
        for (column, _) in row {
            if let Some(place) = buffer.get_mut(*column as usize) {
                *place = 0.0;
            }
        }
        sum
    }

    /// The same, values being searched in the row, whose columns ascend.
    pub fn path_sum_by_search(&self, row: &[(u32, f64)]) -> i64 {
        self.walk(|feature| value(row, feature))
    }

    /// The same for a row that holds every value; columns beyond its end are zero.
    pub fn path_sum_of_dense(&self, row: &[f64]) -> i64 {
        self.walk(|feature| row.get(feature as usize).copied().unwrap_or(0.0))
    }

    fn walk(&self, value: impl Fn(u32) -> f64) -> i64 {
        let mut sum = 0;
        for root in &self.roots {
            let mut node = self.nodes[*root as usize];
            while node.feature != PlainNode::LEAF {
                let right = usize::from(value(node.feature) > node.threshold);
                node = self.nodes[node.left as usize + right];
            }
            sum += self.paths[node.left as usize];
        }
        sum
    }
}
