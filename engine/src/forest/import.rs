//! Forests that were grown elsewhere, as the arrays in which scikit-learn keeps a tree.

use super::tree::{ForestData, Node, Tree};
use super::{Forest, ForestError};

/// One tree as `sklearn.tree._tree.Tree` has it: node i's children, column, threshold and rows; a leaf's children
/// are negative.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct TreeArrays {
    /// Left children.
    pub children_left: Vec<i64>,
    /// Right children.
    pub children_right: Vec<i64>,
    /// Columns.
    pub feature: Vec<i64>,
    /// Thresholds: not greater goes left.
    pub threshold: Vec<f64>,
    /// Rows that reached the node.
    pub n_node_samples: Vec<u32>,
}

impl Forest {
    /// A forest from trees that were grown elsewhere on samples of `sample_size` rows of `n_features` columns.
    ///
    /// # Errors
    /// Says which tree is damaged and how.
    pub fn from_arrays(trees: &[TreeArrays], n_features: u32, sample_size: u32) -> Result<Self, ForestError> {
        let trees = trees
            .iter()
            .enumerate()
            .map(|(number, arrays)| {
                arrays.tree().map_err(|detail| ForestError::BadTree { tree: number, detail })
            })
            .collect::<Result<_, _>>()?;
        Self::from_data(ForestData { n_features, sample_size, trees })
    }
}

impl TreeArrays {
    fn tree(&self) -> Result<Tree, String> {
        let count = self.children_left.len();
        let lengths =
            [self.children_right.len(), self.feature.len(), self.threshold.len(), self.n_node_samples.len()];
        if lengths.iter().any(|length| *length != count) {
            return Err(format!("its arrays differ in length: {count} and {lengths:?}"));
        }
        let node = |at: usize| {
            let samples = self.n_node_samples[at];
            if self.children_left[at] < 0 {
                return Ok(Node::leaf(samples));
            }
            let index = |value: i64| u32::try_from(value).map_err(|_| format!("node {at} points to {value}"));
            Ok(Node {
                feature: index(self.feature[at])?,
                threshold: self.threshold[at],
                left: index(self.children_left[at])?,
                right: index(self.children_right[at])?,
                samples,
            })
        };
        Ok(Tree { nodes: (0..count).map(node).collect::<Result<_, String>>()? })
    }
}
