//! Two passes over the training events make a model: `observe` counts and samples, `calibrate` measures the
//! score distribution. Memory is flat in the number of events; threads never change a bit of the result.

use rayon::prelude::*;

use super::channel::Tail;
use super::core::{self, Core, CoreScratch, View};
use super::counts::Counts;
use super::distribution::Histogram;
use super::patterns::{FrequentPatterns, PatternTable};
use super::row::Row;
use super::{Contamination, Model, Provenance, score_of_nats};
use crate::event::LogEvent;
use crate::features::{FeatureSpec, Line};
use crate::forest::{Forest, ForestData, MAX_TREES, PathScratch, Reservoir, grow_tree, tree_rng};

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

impl CheckedTrainParams {
    pub(crate) fn into_inner(self) -> TrainParams {
        self.0
    }
}

/// Rows of all trees' samples together: what training holds in memory at most.
const MOST_SAMPLED: usize = 1 << 21;
/// Events of the uniform sample from which the channels' tails are measured.
const TAIL_SAMPLE: usize = 1 << 15;
/// Events that are read at a time.
const CHUNK: usize = 4_096;
/// Odd lines that the second pass keeps.
const MOST_ODD: usize = 20;
/// Stream of the uniform sample; the trees' are 0, 1, ….
const SAMPLE_STREAM: u64 = 1 << 40;

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

/// The first pass: counts words and patterns, draws the trees' samples.
#[derive(Debug)]
pub struct FirstPass {
    params: TrainParams,
    spec: FeatureSpec,
    counts: Counts,
    patterns: PatternTable,
    reservoirs: Vec<Reservoir>,
    /// The rows in each reservoir's slots; the last reservoir is the uniform sample.
    slots: Vec<Vec<Row>>,
    sample_events: Vec<LogEvent>,
    seen: u64,
    line: Line,
}

impl FirstPass {
    /// Nothing seen yet.
    pub fn new(params: CheckedTrainParams) -> Self {
        let CheckedTrainParams(params) = params;
        let trees =
            (0..params.n_estimators as u64).map(|tree| Reservoir::new(params.max_samples, params.seed, tree));
        let sample = Reservoir::new(TAIL_SAMPLE, params.seed, SAMPLE_STREAM);
        let reservoirs: Vec<_> = trees.chain([sample]).collect();
        Self {
            spec: FeatureSpec::new(params.n_features as u32),
            counts: Counts::default(),
            patterns: PatternTable::default(),
            slots: vec![Vec::new(); reservoirs.len()],
            sample_events: Vec::new(),
            reservoirs,
            seen: 0,
            line: Line::default(),
            params,
        }
    }

    /// Takes a batch of events; how events are cut into batches changes nothing.
    pub fn observe(&mut self, events: &[LogEvent]) {
        for chunk in events.chunks(CHUNK) {
            self.observe_chunk(chunk);
        }
    }

    fn observe_chunk(&mut self, events: &[LogEvent]) {
        let first = self.seen;
        self.seen += events.len() as u64;
        let mut drawn: Vec<(usize, usize, usize)> = Vec::new();
        for (number, reservoir) in self.reservoirs.iter_mut().enumerate() {
            reservoir.draw_until(self.seen, |row, slot| drawn.push(((row - first) as usize, number, slot)));
        }
        drawn.sort_unstable();
        let mut is_drawn = vec![false; events.len()];
        for (row, _, _) in &drawn {
            is_drawn[*row] = true;
        }
        let spec = self.spec;
        let rows: Vec<Row> = events
            .par_iter()
            .zip(&is_drawn)
            .map_init(Line::default, |line, (event, is_drawn)| {
                line.read(event);
                if *is_drawn {
                    line.read_columns(event, spec);
                }
                Row::new(line)
            })
            .collect();
        for (row, event) in rows.iter().zip(events) {
            self.count(row, event);
        }
        for (row, number, slot) in drawn {
            put(&mut self.slots[number], slot, rows[row].clone());
            if number + 1 == self.reservoirs.len() {
                put(&mut self.sample_events, slot, Row::shortened(&events[row]));
            }
        }
    }

    fn count(&mut self, row: &Row, event: &LogEvent) {
        self.counts.add(row.counted());
        let pattern = row.view().pattern;
        if !self.patterns.count(pattern) {
            self.line.read(event);
            self.patterns.insert(pattern, self.line.masked().pattern());
        }
    }

    /// Grows the forest.
    ///
    /// # Errors
    /// Fewer than two events were seen.
    pub fn grow(mut self) -> Result<SecondPass, TrainError> {
        let too_few = TrainError::TooFewEvents { got: self.seen };
        if self.seen < 2 {
            return Err(too_few);
        }
        self.counts.shrink();
        let sample = self.slots.pop().unwrap_or_default();
        let sample_size = self.params.max_samples.min(self.seen as usize);
        let trees = self
            .slots
            .par_iter()
            .enumerate()
            .map(|(tree, slots)| {
                let rows: Vec<Vec<_>> =
                    slots.iter().map(|row| core::text_row(row.view().columns).collect()).collect();
                let rows: Vec<_> = rows.iter().map(Vec::as_slice).collect();
                grow_tree(&rows, sample_size, &mut tree_rng(self.params.seed, tree as u64))
            })
            .collect();
        let forest = ForestData { n_features: self.spec.n_features, sample_size: sample_size as u32, trees };
        let Ok(text) = Forest::from_data(forest) else { return Err(too_few) };
        let tails = tails(&self.counts, &text, &sample);
        Ok(SecondPass {
            core: Core { spec: self.spec, counts: self.counts, text, tails },
            patterns: FrequentPatterns::new(self.patterns.into_most_frequent()),
            histogram: Histogram::default(),
            oddest: Vec::new(),
            sample,
            sample_events: self.sample_events,
            contamination: self.params.contamination,
        })
    }
}

fn put<T>(slots: &mut Vec<T>, slot: usize, value: T) {
    match slots.get_mut(slot) {
        Some(place) => *place = value,
        None => slots.push(value),
    }
}

fn tails(counts: &Counts, text: &Forest, sample: &[Row]) -> [Tail; 3] {
    let values: Vec<[f64; 3]> = sample
        .par_iter()
        .map_init(PathScratch::default, |scratch, row| {
            let path_sum = text.path_sum(core::text_row(row.view().columns), scratch);
            let surprisal = core::surprisal(counts, row.view(), 1);
            [core::forest_value(text, path_sum), surprisal.top, surprisal.mean]
        })
        .collect();
    std::array::from_fn(|channel| Tail::new(values.iter().map(|row| row[channel]).collect()))
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

/// A training line that stands out.
#[derive(Clone, Debug, PartialEq)]
pub struct OddLine {
    /// Its score, in [0, 1].
    pub score: f64,
    /// The line, its message cut at 512 bytes, without attributes.
    pub event: LogEvent,
    pattern: u64,
}

/// The second pass: the distribution of the training scores.
#[derive(Debug)]
pub struct SecondPass {
    core: Core,
    patterns: FrequentPatterns,
    histogram: Histogram,
    oddest: Vec<OddLine>,
    sample: Vec<Row>,
    sample_events: Vec<LogEvent>,
    contamination: Contamination,
}

impl SecondPass {
    /// Takes a batch of the same events again, for an exact distribution; returns their scores in order, each line
    /// left out of the counts that it was scored with.
    pub fn calibrate(&mut self, events: &[LogEvent]) -> Vec<f64> {
        let mut scores = Vec::with_capacity(events.len());
        for chunk in events.chunks(CHUNK) {
            let core = &self.core;
            let scored: Vec<(f64, u64)> = chunk
                .par_iter()
                .map_init(<(Line, CoreScratch)>::default, |(line, scratch), event| {
                    line.read(event);
                    line.read_columns(event, core.spec);
                    let channels = core.channels(View::from(&*line), 1, scratch);
                    (score_of_nats(channels.sum()), line.pattern_key())
                })
                .collect();
            for ((score, pattern), event) in scored.into_iter().zip(chunk) {
                self.take(score, pattern, event);
                scores.push(score);
            }
        }
        scores
    }

    /// Estimates the distribution from the first pass's uniform sample of at most 32,768 events, for inputs that
    /// can be read only once; returns the standard error of a share near the threshold (0 where the sample holds
    /// every event).
    pub fn calibrate_from_sample(&mut self) -> f64 {
        let core = &self.core;
        let scores: Vec<f64> = self
            .sample
            .par_iter()
            .map_init(CoreScratch::default, |scratch, row| {
                score_of_nats(core.channels(row.view(), 1, scratch).sum())
            })
            .collect();
        let sample = std::mem::take(&mut self.sample);
        let events = std::mem::take(&mut self.sample_events);
        for ((score, row), event) in scores.into_iter().zip(&sample).zip(&events) {
            self.take(score, row.view().pattern, event);
        }
        let (drawn, lines) = (sample.len() as f64, self.core.counts.lines() as f64);
        let share = match self.contamination {
            Contamination::Share(share) => share,
            Contamination::Auto => self.histogram.distribution().threshold(Contamination::Auto).share,
        };
        let unseen = ((lines - drawn) / (lines - 1.0).max(1.0)).max(0.0);
        (share * (1.0 - share) / drawn.max(1.0) * unseen).sqrt()
    }

    fn take(&mut self, score: f64, pattern: u64, event: &LogEvent) {
        self.histogram.add(score);
        if self.oddest.len() == MOST_ODD && self.oddest.last().is_some_and(|last| last.score >= score) {
            return;
        }
        if let Some(known) = self.oddest.iter().position(|odd| odd.pattern == pattern) {
            if self.oddest[known].score >= score {
                return;
            }
            self.oddest.remove(known);
        }
        let at = self.oddest.partition_point(|odd| odd.score >= score);
        self.oddest.insert(at, OddLine { score, event: Row::shortened(event), pattern });
        self.oddest.truncate(MOST_ODD);
    }

    /// The oddest training lines so far, one a pattern, oddest first, at most 20.
    pub fn oddest(&self) -> &[OddLine] {
        &self.oddest
    }

    /// The finished model. Where no event was taken a second time, the distribution is that of the sample.
    pub fn finish(mut self, provenance: Provenance) -> Model {
        if self.histogram.total() == 0 {
            self.calibrate_from_sample();
        }
        let distribution = self.histogram.distribution();
        Model::new(self.core, self.patterns, distribution, provenance, self.contamination)
    }
}
