//! Two passes over the training events make a model: `observe` counts and samples, `calibrate` measures the
//! score distribution. Memory is flat in the number of events; threads never change a bit of the result.

use super::{Contamination, Model, Provenance};
use crate::event::LogEvent;

/// Parameters as asked for; only [`TrainParams::check`] makes them usable.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainParams {
    /// Number of trees, 1–10 000.
    pub n_estimators: usize,
    /// Events drawn for each tree, 2–65 536.
    pub max_samples: usize,
    /// Hashed columns, a power of two, 2^8–2^22.
    pub n_features: usize,
    /// Seed of every random generator.
    pub seed: u64,
    /// Which share of the training lines to call anomalous.
    pub contamination: Contamination,
}

impl Default for TrainParams {
    fn default() -> Self {
        Self {
            n_estimators: 300,
            max_samples: 256,
            n_features: 1 << 14,
            seed: 42,
            contamination: Contamination::Share(0.05),
        }
    }
}

/// Parameters whose ranges were checked.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedTrainParams(TrainParams);

/// A parameter out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} = {value} is out of range: {allowed}")]
pub struct ParamError {
    /// The parameter's name as in [`TrainParams`].
    pub name: &'static str,
    /// The value that was given.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl TrainParams {
    /// Checks every range.
    ///
    /// # Errors
    /// All parameters that are out of range.
    pub fn check(self) -> Result<CheckedTrainParams, Vec<ParamError>> {
        todo!()
    }
}

/// The first pass: counts words and patterns, draws the trees' samples.
#[derive(Debug)]
pub struct FirstPass {}

impl FirstPass {
    /// Nothing seen yet.
    pub fn new(_params: CheckedTrainParams) -> Self {
        todo!()
    }

    /// Takes a batch of events; how events are cut into batches changes nothing.
    pub fn observe(&mut self, _events: &[LogEvent]) {
        todo!()
    }

    /// Grows the forest.
    ///
    /// # Errors
    /// Fewer than two events were seen.
    pub fn grow(self) -> Result<SecondPass, TrainError> {
        todo!()
    }
}

/// Why no model could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// Too few events.
    #[error("training needs at least 2 log lines, got {got}")]
    TooFewEvents {
        /// How many there were.
        got: u64,
    },
}

/// The second pass: the distribution of the training scores.
#[derive(Debug)]
pub struct SecondPass {}

impl SecondPass {
    /// Takes a batch of the same events again, for an exact distribution; returns their scores in order, as the
    /// finished model gives them.
    pub fn calibrate(&mut self, _events: &[LogEvent]) -> Vec<f64> {
        todo!()
    }

    /// Estimates the distribution from the first pass's uniform sample, for inputs that can be read only once;
    /// returns the standard error of a share near the threshold.
    pub fn calibrate_from_sample(&mut self) -> f64 {
        todo!()
    }

    /// The finished model.
    pub fn finish(self, _provenance: Provenance) -> Model {
        todo!()
    }
}
