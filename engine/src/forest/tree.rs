//! Trees as data: what an artifact stores, checked before it is used.

use serde::{Deserialize, Serialize};

use super::{ForestError, MAX_DEPTH, MAX_FEATURES, MAX_TREES};

/// Euler's constant.
const EULER: f64 = 0.577_215_664_901_532_9;

/// Mean depth c(n) of an unsuccessful search in a binary tree of n rows: what a leaf of n rows adds to a path
/// (Liu et al. 2008, equation 1; 0 for n ≤ 1, 1 for n = 2).
pub fn average_path_length(samples: u32) -> f64 {
    match samples {
        0 | 1 => 0.0,
        2 => 1.0,
        n => {
            let n = f64::from(n);
            2.0 * ((n - 1.0).ln() + EULER) - 2.0 * (n - 1.0) / n
        }
    }
}

/// One node of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Column that is tested, or [`Node::LEAF`].
    pub feature: u32,
    /// A row whose value is not greater goes left.
    pub threshold: f64,
    /// Left child.
    pub left: u32,
    /// Right child.
    pub right: u32,
    /// Training rows of the tree's sample that reached the node.
    pub samples: u32,
}

impl Node {
    /// `feature` of a leaf.
    pub const LEAF: u32 = u32::MAX;

    /// A leaf that `samples` rows reached.
    pub const fn leaf(samples: u32) -> Self {
        Self { feature: Self::LEAF, threshold: 0.0, left: 0, right: 0, samples }
    }

    /// Whether it has no children.
    pub const fn is_leaf(&self) -> bool {
        self.feature == Self::LEAF
    }
}

/// A tree: its root is node 0, and every child stands after its parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// A forest as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForestData {
    /// Columns of a row.
    pub n_features: u32,
    /// Rows drawn for each tree.
    pub sample_size: u32,
    /// The trees.
    pub trees: Vec<Tree>,
}

impl ForestData {
    /// Checks everything that scoring relies on.
    ///
    /// # Errors
    /// Says which tree is damaged and how, or which count is out of range.
    pub(super) fn check(&self) -> Result<(), ForestError> {
        if self.n_features > MAX_FEATURES {
            return Err(ForestError::TooManyColumns { got: self.n_features as usize });
        }
        let out_of_range =
            |name, value: usize, allowed| Err(ForestError::Param { name, value: value.to_string(), allowed });
        if !(1..=MAX_TREES).contains(&self.trees.len()) {
            return out_of_range("n_estimators", self.trees.len(), "1 to 10000");
        }
        if self.sample_size < 2 {
            return out_of_range("sample_size", self.sample_size as usize, "2 or more");
        }
        self.trees.iter().enumerate().try_for_each(|(number, tree)| {
            tree.check(self.n_features).map_err(|detail| ForestError::BadTree { tree: number, detail })
        })
    }
}

impl Tree {
    fn check(&self, n_features: u32) -> Result<(), String> {
        let count = self.nodes.len();
        if count == 0 || u32::try_from(count).is_err() {
            return Err(format!("it has {count} nodes"));
        }
        let mut depths = vec![None; count];
        depths[0] = Some(0);
        for (number, node) in self.nodes.iter().enumerate() {
            let Some(depth) = depths[number] else { return Err(format!("no node leads to node {number}")) };
            if node.is_leaf() {
                continue;
            }
            if node.feature >= n_features {
                return Err(format!("node {number} tests column {} of {n_features}", node.feature));
            }
            if !node.threshold.is_finite() {
                return Err(format!("the threshold of node {number} is {}", node.threshold));
            }
            if depth >= MAX_DEPTH {
                return Err(format!("it is deeper than {MAX_DEPTH}"));
            }
            for child in [node.left, node.right] {
                let fresh = child as usize > number && depths.get(child as usize) == Some(&None);
                if !fresh {
                    return Err(format!("node {child} cannot be a child of node {number}"));
                }
                depths[child as usize] = Some(depth + 1);
            }
        }
        Ok(())
    }

    /// The leaf where a row ends, and its depth, by walking from the root: the plain way, for tests and
    /// explanations. `value` gives a column's value.
    pub fn walk(&self, value: impl Fn(u32) -> f64, mut visit: impl FnMut(&Node, &Node)) -> (&Node, u32) {
        let (mut node, mut depth) = (&self.nodes[0], 0);
        while !node.is_leaf() {
            let child = if value(node.feature) <= node.threshold { node.left } else { node.right };
            let child = &self.nodes[child as usize];
            visit(node, child);
            node = child;
            depth += 1;
        }
        (node, depth)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, 0.0)]
    #[case(1, 0.0)]
    #[case(2, 1.0)]
    #[case(256, 10.244_770_920_119_917)]
    fn average_path_lengths_are_the_papers(#[case] samples: u32, #[case] expected: f64) {
        assert!((average_path_length(samples) - expected).abs() < 1e-12);
    }

    fn split(left: u32, right: u32) -> Node {
        Node { feature: 0, threshold: 0.5, left, right, samples: 2 }
    }

    #[rstest]
    #[case(vec![], "it has 0 nodes")]
    #[case(vec![split(0, 1), Node::leaf(1)], "node 0 cannot be a child of node 0")]
    #[case(vec![split(1, 1), Node::leaf(1)], "node 1 cannot be a child of node 0")]
    #[case(vec![split(1, 9), Node::leaf(1)], "node 9 cannot be a child of node 0")]
    #[case(vec![Node::leaf(1), Node::leaf(1)], "no node leads to node 1")]
    #[case(vec![Node { feature: 7, ..split(1, 2) }, Node::leaf(1), Node::leaf(1)], "node 0 tests column 7 of 4")]
    #[case(vec![Node { threshold: f64::NAN, ..split(1, 2) }, Node::leaf(1), Node::leaf(1)], "the threshold of node 0 is NaN")]
    fn a_damaged_tree_is_refused(#[case] nodes: Vec<Node>, #[case] detail: &str) {
        let data = ForestData { n_features: 4, sample_size: 2, trees: vec![Tree { nodes }] };
        assert_eq!(data.check().unwrap_err().to_string(), format!("tree 0 is damaged: {detail}"));
    }
}
