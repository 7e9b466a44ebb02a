//! The model in use, replaced while requests run: whoever scores takes one snapshot and keeps it for its batch.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use engine::model::{Model, Threshold};

/// A model with the threshold that the settings derive from it.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub model: Model,
    /// Lines above it are anomalies.
    pub threshold: Threshold,
}

/// The model in use; empty until one is loaded.
#[derive(Clone, Debug, Default)]
pub struct LiveModel(Arc<ArcSwapOption<Loaded>>);

impl LiveModel {
    /// The model in use now.
    pub fn get(&self) -> Option<Arc<Loaded>> {
        self.0.load_full()
    }

    /// Replaces it for everyone who asks from now on.
    pub fn set(&self, loaded: Loaded) {
        self.0.store(Some(Arc::new(loaded)));
    }
}
