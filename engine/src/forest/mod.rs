//! The Isolation Forest (Liu, Ting and Zhou, ICDM 2008) on sparse rows, as a linfa algorithm.
//! It knows numbers only: what a column means, and which score is too high, is decided elsewhere.

mod columns;
mod grow;
mod import;
#[cfg(feature = "linfa")]
mod linfa_traits;
mod params;
mod plain;
mod ranked;
mod rows;
mod sample;
mod score;
mod sparse;
mod tree;

pub use import::TreeArrays;
pub use params::{IsolationForestParams, IsolationForestValidParams};
pub use plain::PlainForest;
pub use rows::{SparseRows, SparseRowsError};
pub use sample::Reservoir;
pub use score::{Forest, PathScratch};
pub use tree::{ForestData, Node, Tree, average_path_length};

pub(crate) use grow::{Grower, tree_rng};

/// Most columns that a forest takes.
pub const MAX_FEATURES: u32 = 1 << 22;
/// Most trees of one forest.
pub const MAX_TREES: usize = 10_000;
/// Deepest tree that is accepted: far beyond what growing makes (16), so that sums cannot overflow.
pub const MAX_DEPTH: u32 = 256;

/// Why a forest could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ForestError {
    /// A parameter out of its range.
    #[error("{name} = {value} is out of range: {allowed}")]
    Param {
        /// The parameter's name.
        name: &'static str,
        /// The value that was given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Nothing to isolate.
    #[error("an isolation forest needs at least 2 rows, got {got}")]
    TooFewRows {
        /// Rows that were given.
        got: usize,
    },
    /// More columns than a forest takes.
    #[error("{got} columns are too many: at most {MAX_FEATURES}")]
    TooManyColumns {
        /// Columns that were given.
        got: usize,
    },
    /// A value that cannot be compared.
    #[error("row {row}, column {column} holds {value}: every value must be finite")]
    NotFinite {
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Nodes that do not make a tree.
    #[error("tree {tree} is damaged: {detail}")]
    BadTree {
        /// Number of the tree, from 0.
        tree: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// What linfa found wrong.
    #[cfg(feature = "linfa")]
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
}
