//! What scores a line: counts, two forests and the tails of three channels.

use crate::event::Level;
use crate::features::{FeatureSpec, Line};
use crate::forest::{Forest, PathScratch};

use super::channel::Tail;
use super::counts::Counts;

/// Surprisal statistics of a line: greatest, mean of the three greatest, and mean of its words; its pattern;
/// its pattern within the service.
pub const STATISTICS: usize = 5;

/// Nats that each level above INFO adds.
const NATS_PER_STEP: f64 = 2.0;

/// The severity prior: 2 nats a step above INFO, a step for WARN, two for ERROR, three for FATAL.
pub fn severity_nats(level: Option<Level>) -> f64 {
    let steps = match level {
        Some(Level::Warn) => 1.0,
        Some(Level::Error) => 2.0,
        Some(Level::Fatal) => 3.0,
        Some(Level::Trace | Level::Debug | Level::Info) | None => 0.0,
    };
    steps * NATS_PER_STEP
}

/// The features of a line, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Hashed columns of the shape words.
    pub columns: &'a [(u32, f32)],
    /// Distinct keys of the masked words.
    pub keys: &'a [u64],
    /// Key of the pattern.
    pub pattern: u64,
    /// Key of the pattern within its service.
    pub service_pattern: u64,
    /// The level.
    pub level: Option<Level>,
}

impl<'a> From<&'a Line> for View<'a> {
    fn from(line: &'a Line) -> Self {
        Self {
            columns: line.columns(),
            keys: line.keys(),
            pattern: line.pattern_key(),
            service_pattern: line.service_pattern_key(),
            level: line.level(),
        }
    }
}

/// What the channels say of one line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channels {
    /// Raw: the text forest's sum of paths.
    pub path_sum: i64,
    /// Raw: mean of the three greatest surprisals, in nats.
    pub surprisal: f64,
    /// The text forest's log tail probability, in nats.
    pub forest_nats: f64,
    /// The statistics forest's.
    pub statistics_nats: f64,
    /// The surprisal's.
    pub surprisal_nats: f64,
    /// The severity prior.
    pub severity_nats: f64,
}

impl Channels {
    /// The sum, in nats.
    pub fn sum(&self) -> f64 {
        self.forest_nats + self.statistics_nats + self.surprisal_nats + self.severity_nats
    }
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub struct CoreScratch {
    text: PathScratch,
    statistics: PathScratch,
}

/// Counts, forests and tails.
#[derive(Clone, Debug)]
pub struct Core {
    /// How features are made.
    pub spec: FeatureSpec,
    /// How many lines had what.
    pub counts: Counts,
    /// The forest on shape words.
    pub text: Forest,
    /// The forest on statistics above their training medians.
    pub statistics: Forest,
    /// Training medians of the statistics.
    pub medians: [f64; STATISTICS],
    /// Tails of the text forest, the statistics forest and the surprisal.
    pub tails: [Tail; 3],
}

/// How surprising a key is: what training counted, or that with what was seen since.
pub trait Surprisals {
    /// In nats; `own` is 1 where the line itself is one of those counted and is left out.
    fn surprisal(&self, key: u64, own: u32) -> f64;
}

impl Surprisals for Counts {
    fn surprisal(&self, key: u64, own: u32) -> f64 {
        Self::surprisal(self, key, own)
    }
}

/// The statistics of a line; `own` is 1 for a training line, which is then left out of the counts.
pub fn statistics(counts: &impl Surprisals, view: View<'_>, own: u32) -> [f64; STATISTICS] {
    let mut top = [0.0_f64; 3];
    let mut sum = 0.0;
    for key in view.keys {
        let surprisal = counts.surprisal(*key, own);
        sum += surprisal;
        let mut rest = surprisal;
        for slot in &mut top {
            if rest > *slot {
                std::mem::swap(slot, &mut rest);
            }
        }
    }
    let words = view.keys.len().max(1) as f64;
    let pattern = counts.surprisal(view.pattern, own);
    let service_pattern = counts.surprisal(view.service_pattern, own);
    [top[0], top.iter().sum::<f64>() / words.min(3.0), sum / words, pattern, service_pattern]
}

/// Statistics as a forest takes them: one-sided, as only a surplus of surprise makes a line odd.
pub fn surplus(statistics: [f64; STATISTICS], medians: [f64; STATISTICS]) -> [f64; STATISTICS] {
    std::array::from_fn(|at| (statistics[at] - medians[at]).max(0.0))
}

/// What is not zero of a row.
pub fn sparse(row: &[f64; STATISTICS]) -> impl Iterator<Item = (u32, f64)> {
    row.iter().enumerate().filter(|(_, value)| **value != 0.0).map(|(at, value)| (at as u32, *value))
}

/// A forest's raw channel value: the shorter the paths, the odder.
pub fn forest_value(forest: &Forest, path_sum: i64) -> f64 {
    -forest.mean_path(path_sum)
}

/// Hashed columns as a forest takes them.
pub fn text_row(columns: &[(u32, f32)]) -> impl Iterator<Item = (u32, f64)> {
    columns.iter().map(|(column, value)| (*column, f64::from(*value)))
}

impl Core {
    /// What the channels say of a line.
    pub fn channels(&self, view: View<'_>, own: u32, scratch: &mut CoreScratch) -> Channels {
        self.channels_by(&self.counts, view, own, scratch)
    }

    /// As [`Core::channels`], with surprisals by `counts`.
    pub fn channels_by(
        &self,
        counts: &impl Surprisals,
        view: View<'_>,
        own: u32,
        scratch: &mut CoreScratch,
    ) -> Channels {
        let path_sum = self.text.path_sum(text_row(view.columns), &mut scratch.text);
        let values = statistics(counts, view, own);
        let row = surplus(values, self.medians);
        let statistics_sum = self.statistics.path_sum_of_dense(&row, &mut scratch.statistics);
        let [text, statistics, surprisal] = &self.tails;
        Channels {
            path_sum,
            surprisal: values[1],
            forest_nats: text.nats(forest_value(&self.text, path_sum)),
            statistics_nats: statistics.nats(forest_value(&self.statistics, statistics_sum)),
            surprisal_nats: surprisal.nats(values[1]),
            severity_nats: severity_nats(view.level),
        }
    }
}
