//! The trained model: feature spec, vocabulary counts, forest, score distribution and provenance.
//! Scores and explains events; never learns while it does.

pub mod train;

use crate::event::LogEvent;

/// What a score says of one event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// In [0, 1], greater is odder: a monotone map of the sum of the channels (see [`Model`]).
    pub score: f64,
    /// Share of training lines that score lower, in percent, 0–100.
    pub percentile: f64,
    /// The forest's own score 2^(-E[h(x)]/c(n)), in [0, 1].
    pub forest: f64,
    /// The surprisal reference: mean of the three largest word surprisals, in nats.
    pub surprisal: f64,
}

/// What one reason speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReasonKind {
    /// A word that training saw rarely or never.
    RareWord,
    /// The line's whole masked pattern is rare or new.
    RarePattern,
    /// The line's severity.
    Severity,
    /// A combination of words that the forest isolates early.
    UnusualCombination,
}

/// One part of the answer to "why is this line odd".
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Reason {
    /// What it speaks of.
    pub kind: ReasonKind,
    /// The word, pattern or level, as a person reads it in the line.
    pub word: String,
    /// Its part of the line's oddness, in nats; greater is odder.
    pub contribution: f64,
    /// Training lines that had it.
    pub seen: u64,
}

/// Why a line got its score.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Explanation {
    /// Largest contribution first.
    pub reasons: Vec<Reason>,
    /// The line's masked pattern.
    pub pattern: String,
    /// Training lines with that very pattern.
    pub pattern_seen: u64,
    /// The nearest pattern that training saw often, where one shares words with the line.
    pub nearest_pattern: Option<String>,
}

/// The share of training lines to call anomalous.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Contamination {
    /// A share in (0, 0.5].
    Share(f64),
    /// The threshold from the shape of the score distribution's tail.
    Auto,
}

/// A line whose score is greater than `score` is an anomaly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// In [0, 1].
    pub score: f64,
    /// Share of training lines above it.
    pub share: f64,
}

/// Buffers that scoring reuses, one per thread; a fresh one gives the same scores.
#[derive(Debug, Default)]
pub struct Scratch {}

/// A trained model.
#[derive(Debug)]
pub struct Model {}

impl Model {
    /// Scores one event.
    pub fn score(&self, _event: &LogEvent, _scratch: &mut Scratch) -> Score {
        todo!()
    }

    /// Says why an event got its score.
    pub fn explain(&self, _event: &LogEvent, _scratch: &mut Scratch) -> Explanation {
        todo!()
    }

    /// The threshold for a contamination, from the stored distribution of training scores.
    pub fn threshold(&self, _contamination: Contamination) -> Threshold {
        todo!()
    }

    /// Share of training lines that score above `score`.
    pub fn share_above(&self, _score: f64) -> f64 {
        todo!()
    }

    /// How the model came about.
    pub fn provenance(&self) -> &Provenance {
        todo!()
    }

    /// Digest of the artifact's content in hexadecimal: the model's name in records and messages.
    pub fn digest(&self) -> &str {
        todo!()
    }
}

/// How a model came about.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Provenance {
    /// Names of the inputs.
    pub inputs: Vec<String>,
    /// Rows that were accepted.
    pub rows: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// First and last event time, microseconds since the epoch.
    pub first_time: i64,
    /// See `first_time`.
    pub last_time: i64,
    /// Contamination that was asked for: a share, or `auto`.
    pub contamination: String,
    /// Seed of the random generators.
    pub seed: u64,
    /// Version of the program.
    pub program_version: String,
}
