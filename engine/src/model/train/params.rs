//! What a training is asked for. Only checked parameters train.

use crate::forest::MAX_TREES;
use crate::model::Contamination;

/// Rows of all trees' samples together: what training holds in memory at most.
const MOST_SAMPLED: usize = 1 << 21;

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
            n_estimators: 350,
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

impl CheckedTrainParams {
    pub(crate) fn into_inner(self) -> TrainParams {
        self.0
    }
}

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
        let mut errors = Vec::new();
        let mut require = |holds: bool, name, value: String, allowed| {
            if !holds {
                errors.push(ParamError { name, value, allowed });
            }
        };
        let (trees, samples, columns) = (self.n_estimators, self.max_samples, self.n_features);
        let trees_fit = (1..=MAX_TREES).contains(&trees);
        let samples_fit = (2..=1 << 16).contains(&samples);
        require(trees_fit, "n_estimators", trees.to_string(), "1 to 10000");
        require(samples_fit, "max_samples", samples.to_string(), "2 to 65536");
        require(
            !trees_fit || !samples_fit || trees * samples <= MOST_SAMPLED,
            "n_estimators × max_samples",
            trees.saturating_mul(samples).to_string(),
            "at most 2097152 together",
        );
        require(
            columns.is_power_of_two() && (1 << 8..=1 << 22).contains(&columns),
            "n_features",
            columns.to_string(),
            "a power of two, 256 to 4194304",
        );
        if let Contamination::Share(share) = self.contamination {
            let allowed = "auto, or a share above 0 and at most 0.5";
            require(0.0 < share && share <= 0.5, "contamination", share.to_string(), allowed);
        }
        if errors.is_empty() { Ok(CheckedTrainParams(self)) } else { Err(errors) }
    }
}
