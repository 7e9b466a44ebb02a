//! Two passes over the training events make a model: `observe` counts and samples, `calibrate` measures the
//! score distribution. Memory is flat in the number of events; threads never change a bit of the result, and neither
//! does it that lines which come again are not read again.

mod params;
#[cfg(test)]
mod tests;
mod unseen;

use rayon::prelude::*;

use super::channel::Tail;
use super::core::{self, Core, CoreScratch, View};
use super::counts::Counts;
use super::distribution::Histogram;
use super::known::{Index, Keys, Known, KnownLine, MOST_KNOWN};
use super::patterns::{FrequentPatterns, PatternTable};
use super::row::Row;
use super::{Contamination, Model, Provenance, score_of_nats};
use crate::event::LogEvent;
use crate::features::{FeatureSpec, Line, LineKey};
use crate::forest::{Forest, ForestData, Grower, PathScratch, Reservoir, tree_rng};

pub use params::{CheckedTrainParams, ParamError, TrainParams};

/// Events of the uniform sample from which the channels' tails are measured.
const TAIL_SAMPLE: usize = 1 << 15;
/// Most events that are read at a time.
const CHUNK: usize = 1_024;
/// Odd lines that the second pass keeps.
const MOST_ODD: usize = 20;
/// Stream of the uniform sample; the trees' are 0, 1, ….
const SAMPLE_STREAM: u64 = 1 << 40;

/// Two numbers of the caller's that say which event it is, such as its input and line.
pub type Tag = [u64; 2];

/// The first pass: counts words and patterns, draws the trees' samples.
#[derive(Debug)]
pub struct FirstPass {
    params: TrainParams,
    spec: FeatureSpec,
    /// False where only the forest is wanted.
    counts_words: bool,
    counts: Counts,
    patterns: PatternTable,
    reservoirs: Vec<Reservoir>,
    /// What is in each reservoir's slots, by its number in `drawn`; the last reservoir is the uniform sample.
    slots: Vec<Vec<u32>>,
    drawn: Vec<Row>,
    seen: u64,
    keys: Keys,
    known: Known,
    /// How often counts or patterns were dropped.
    era: u32,
    line: Line,
    draws: Draws,
}

/// Lines of a chunk that are not known: from this number on they are read on all threads.
const MANY: usize = 64;

/// What the reservoirs take of a chunk.
#[derive(Debug, Default)]
struct Draws {
    /// As they come: reservoir by reservoir.
    drawn: Vec<Draw>,
    /// In the order of the rows.
    sorted: Vec<Draw>,
    /// Where the draws of each row end in `sorted`, and a last one.
    ends: Vec<u32>,
}

/// A row takes the place of what was in a reservoir's slot.
#[derive(Clone, Copy, Debug, Default)]
struct Draw {
    /// Counted from the start of the chunk.
    row: u32,
    reservoir: u32,
    slot: u32,
}

impl Draws {
    /// Draws among the next `rows` rows of the stream, of which `seen` rows are behind.
    fn fill(&mut self, reservoirs: &mut [Reservoir], seen: u64, rows: usize) {
        self.drawn.clear();
        self.ends.clear();
        self.ends.resize(rows + 1, 0);
        for (number, reservoir) in reservoirs.iter_mut().enumerate() {
            reservoir.draw_until(seen + rows as u64, |row, slot| {
                let row = (row - seen) as u32;
                self.ends[row as usize] += 1;
                self.drawn.push(Draw { row, reservoir: number as u32, slot: slot as u32 });
            });
        }
        let mut before = 0;
        for end in &mut self.ends {
            before += std::mem::replace(end, before);
        }
        self.sorted.clear();
        self.sorted.resize(self.drawn.len(), Draw::default());
        // Each of these is where the next draw of the row goes, and at last where the row's draws end.
        for draw in &self.drawn {
            let at = &mut self.ends[draw.row as usize];
            self.sorted[*at as usize] = *draw;
            *at += 1;
        }
    }

    /// The draws of a row, a reservoir at most once and reservoirs ascending.
    fn of(&self, row: usize) -> &[Draw] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.sorted[start as usize..self.ends[row] as usize]
    }
}

impl FirstPass {
    /// Nothing seen yet.
    pub fn new(params: CheckedTrainParams) -> Self {
        let params = params.into_inner();
        let trees =
            (0..params.n_estimators as u64).map(|tree| Reservoir::new(params.max_samples, params.seed, tree));
        let sample = Reservoir::new(TAIL_SAMPLE, params.seed, SAMPLE_STREAM);
        let reservoirs: Vec<_> = trees.chain([sample]).collect();
        Self {
            spec: FeatureSpec::new(params.n_features as u32),
            counts_words: true,
            counts: Counts::default(),
            patterns: PatternTable::default(),
            slots: vec![Vec::new(); reservoirs.len()],
            drawn: Vec::new(),
            reservoirs,
            seen: 0,
            keys: Keys::default(),
            known: Known::new(MOST_KNOWN),
            era: 0,
            line: Line::default(),
            draws: Draws::default(),
            params,
        }
    }

    /// As [`FirstPass::new`], for [`FirstPass::grow_forest`] alone: only the trees' samples are drawn, and only
    /// lines that are drawn are read.
    pub fn of_forest(params: CheckedTrainParams) -> Self {
        let mut pass = Self { counts_words: false, ..Self::new(params) };
        pass.reservoirs.pop();
        pass.slots.pop();
        pass
    }

    /// Takes a batch of events; how events are cut into batches changes nothing.
    pub fn observe(&mut self, events: &[LogEvent]) {
        self.observe_tagged(events, |_| Tag::default());
    }

    /// As [`FirstPass::observe`]. `tag` gives the events of the batch, by their index, numbers of the caller's, such
    /// as places: [`SecondPass::calibrate_from_memory`] hands them back.
    pub fn observe_tagged(&mut self, events: &[LogEvent], tag: impl Fn(usize) -> Tag) {
        let mut start = 0;
        while start < events.len() {
            // The first rows go into most reservoirs, later ones into few: short chunks first keep the draws few.
            let most = usize::try_from(self.seen / 8).unwrap_or(CHUNK).clamp(32, CHUNK);
            let chunk = &events[start..events.len().min(start + most)];
            let mut draws = std::mem::take(&mut self.draws);
            draws.fill(&mut self.reservoirs, self.seen, chunk.len());
            self.seen += chunk.len() as u64;
            if self.counts_words {
                self.observe_chunk(chunk, &draws, |at| tag(start + at));
            } else {
                self.sample_chunk(chunk, &draws);
            }
            self.draws = draws;
            start += chunk.len();
        }
    }

    fn observe_chunk(&mut self, events: &[LogEvent], draws: &Draws, tag: impl Fn(usize) -> Tag) {
        let keys: Vec<LineKey> = events.iter().map(|event| self.keys.key(event)).collect();
        let mut fresh = self.read_unknown(events, &keys);
        for (at, (event, key)) in events.iter().zip(keys).enumerate() {
            let place = match self.known.find(key) {
                Some(place) => self.count_again(place, event),
                None => self.count_first(key, event, fresh.get_mut(at).and_then(Option::take), tag(at)),
            };
            self.draw(place, event, draws.of(at));
        }
    }

    /// Puts a line into the slots that draw it.
    fn draw(&mut self, place: usize, event: &LogEvent, draws: &[Draw]) {
        let Some(last) = draws.last() else { return };
        let number = self.number(place, event);
        if last.reservoir as usize == self.params.n_estimators {
            self.drawn[number as usize].keep_text(event);
        }
        for draw in draws {
            put(&mut self.slots[draw.reservoir as usize], draw.slot as usize, number);
        }
    }

    /// The number of a known line among those that were drawn.
    fn number(&mut self, place: usize, event: &LogEvent) -> u32 {
        if let Some(number) = self.known.at(place).number {
            return number;
        }
        let row = self.known.at(place).row.clone();
        self.keep_columns(&row, event);
        let number = self.drawn.len() as u32;
        self.drawn.push(row);
        self.known.at(place).number = Some(number);
        number
    }

    /// Forgets the known lines, and lets go of the drawn ones that are in no slot any more.
    fn forget(&mut self) {
        self.known.clear();
        let mut numbers = vec![None; self.drawn.len()];
        let mut kept = Vec::new();
        for slot in self.slots.iter_mut().flatten() {
            let at = *slot as usize;
            *slot = *numbers[at].get_or_insert_with(|| {
                kept.push(self.drawn[at].clone());
                kept.len() as u32 - 1
            });
        }
        self.drawn = kept;
    }

    /// Rows of the lines that are not known, where there are many of them; read on all threads.
    fn read_unknown(&self, events: &[LogEvent], keys: &[LineKey]) -> Vec<Option<Row>> {
        let unknown = |key: &&LineKey| self.known.find(**key).is_none();
        if keys.iter().filter(unknown).take(MANY).count() < MANY {
            return Vec::new();
        }
        let read = |line: &mut Line, (event, key): (&LogEvent, &LineKey)| {
            unknown(&key).then(|| {
                line.read(event);
                Row::new(line)
            })
        };
        events.par_iter().zip(keys).with_min_len(MANY).map_init(Line::default, read).collect()
    }

    /// A line that is known came again.
    fn count_again(&mut self, place: usize, event: &LogEvent) -> usize {
        let era = self.era;
        let line = self.known.at(place);
        line.lines += 1;
        if line.era == era {
            line.pending += 1;
            return place;
        }
        let row = line.row.clone();
        self.count(&row, event);
        self.known.at(place).era = era;
        place
    }

    fn count_first(&mut self, key: LineKey, event: &LogEvent, row: Option<Row>, tag: Tag) -> usize {
        if self.known.is_full() {
            self.settle();
            self.forget();
        }
        let row = row.unwrap_or_else(|| {
            self.line.read(event);
            Row::new(&self.line)
        });
        if self.known.is_whole() {
            self.keep_columns(&row, event);
            row.keep_text(event);
        }
        let era = self.era;
        self.count(&row, event);
        self.known.insert(key, KnownLine { row, lines: 1, pending: 0, era, number: None, tag })
    }

    fn keep_columns(&mut self, row: &Row, event: &LogEvent) {
        if !row.has_columns() {
            self.line.read(event);
            self.line.read_columns(event, self.spec);
            row.keep_columns(&self.line);
        }
    }

    fn count(&mut self, row: &Row, event: &LogEvent) {
        self.counts.add_lines(row.counted(), 1);
        if self.counts.is_full() {
            self.settle();
            self.counts.make_room();
            self.era += 1;
        }
        let pattern = row.view().pattern;
        if !self.patterns.count(pattern, 1) {
            self.line.read(event);
            self.patterns.insert(pattern, self.line.masked().pattern());
            if self.patterns.is_full() {
                self.settle();
                self.patterns.make_room();
                self.era += 1;
            }
        }
    }

    /// Counts what is pending. Whatever a pending line has is held, so that this drops nothing.
    fn settle(&mut self) {
        for line in self.known.iter_mut().filter(|line| line.pending > 0) {
            self.counts.add_lines(line.row.counted(), line.pending);
            self.patterns.count(line.row.view().pattern, line.pending);
            line.pending = 0;
        }
    }

    /// Only what is drawn is looked at.
    fn sample_chunk(&mut self, events: &[LogEvent], draws: &Draws) {
        for (at, event) in events.iter().enumerate() {
            let draws = draws.of(at);
            if draws.is_empty() {
                continue;
            }
            let key = self.keys.key(event);
            let place = self.known.find(key).unwrap_or_else(|| {
                if self.known.is_full() {
                    self.forget();
                }
                self.line.read(event);
                let row = Row::new(&self.line);
                let tag = Tag::default();
                self.known.insert(key, KnownLine { row, lines: 1, pending: 0, era: 0, number: None, tag })
            });
            self.draw(place, event, draws);
        }
    }

    /// Grows the forest on hashed columns alone, without a model around it.
    ///
    /// # Errors
    /// Fewer than two events were seen.
    pub fn grow_forest(&self) -> Result<Forest, TrainError> {
        let too_few = TrainError::TooFewEvents { got: self.seen };
        if self.seen < 2 {
            return Err(too_few);
        }
        let sample_size = self.params.max_samples.min(self.seen as usize);
        let trees = self
            .slots
            .par_iter()
            .take(self.params.n_estimators)
            .enumerate()
            .map_init(Grower::default, |grower, (tree, slots)| {
                let columns = |number: &u32| core::text_row(self.drawn[*number as usize].view().columns);
                let rows = slots.iter().map(columns);
                grower.grow(rows, sample_size, &mut tree_rng(self.params.seed, tree as u64))
            })
            .collect();
        let forest = ForestData { n_features: self.spec.n_features, sample_size: sample_size as u32, trees };
        Forest::from_data(forest).map_err(|_| too_few)
    }

    /// Grows the forest.
    ///
    /// # Errors
    /// Fewer than two events were seen.
    pub fn grow(mut self) -> Result<SecondPass, TrainError> {
        let text = self.grow_forest()?;
        self.settle();
        self.counts.shrink();
        self.slots.drain(..self.slots.len().saturating_sub(1));
        let known = std::mem::replace(&mut self.known, Known::new(1)).into_whole();
        self.forget();
        let sample = Sample { rows: self.drawn, numbers: self.slots.pop().unwrap_or_default() };
        let tails = tails(&self.counts, &text, &sample);
        Ok(SecondPass {
            unseen_word_share: unseen::share(&self.counts, &sample),
            core: Core { spec: self.spec, counts: self.counts, text, tails },
            patterns: FrequentPatterns::new(self.patterns.into_most_frequent()),
            histogram: Histogram::default(),
            oddest: Vec::new(),
            known,
            sample,
            keys: self.keys,
            index: Index::default(),
            scored: Vec::new(),
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

/// A uniform sample of the events.
#[derive(Debug, Default)]
struct Sample {
    rows: Vec<Row>,
    /// The row of each event.
    numbers: Vec<u32>,
}

impl Sample {
    /// A value of each event, computed once a row.
    fn values<S: Default, T: Copy + Send>(&self, value: impl Fn(&mut S, &Row) -> T + Sync + Send) -> Vec<T> {
        let values = values(&self.rows, value);
        self.numbers.iter().map(|number| values[*number as usize]).collect()
    }
}

fn values<R: Sync, S: Default, T: Send>(rows: &[R], value: impl Fn(&mut S, &R) -> T + Sync + Send) -> Vec<T> {
    rows.par_iter().with_min_len(MANY).map_init(S::default, |scratch, row| value(scratch, row)).collect()
}

fn tails(counts: &Counts, text: &Forest, sample: &Sample) -> [Tail; 3] {
    let values: Vec<[f64; 3]> = sample.values(|scratch: &mut PathScratch, row| {
        let path_sum = text.path_sum(core::text_row(row.view().columns), scratch);
        let surprisal = core::surprisal(counts, row.view(), 1);
        [core::forest_value(text, path_sum), surprisal.top, surprisal.mean]
    });
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
    unseen_word_share: f64,
    patterns: FrequentPatterns,
    histogram: Histogram,
    oddest: Vec<OddLine>,
    /// Every line of the first pass, where there were few distinct ones.
    known: Option<Vec<KnownLine>>,
    sample: Sample,
    keys: Keys,
    index: Index,
    scored: Vec<Scored>,
    contamination: Contamination,
}

/// Score and pattern of a line.
type Scored = (f64, u64);

/// Training lines of equal features.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// The score of each of them.
    pub score: f64,
    /// How many there are.
    pub lines: u64,
    /// What [`FirstPass::observe_tagged`] was told of the first of them.
    pub tag: Tag,
    /// The first of them, its message cut at 512 bytes, without attributes.
    pub event: LogEvent,
}

impl SecondPass {
    /// Takes a batch of the same events again, for an exact distribution; returns their scores in order, each line
    /// left out of the counts that it was scored with.
    pub fn calibrate(&mut self, events: &[LogEvent]) -> Vec<f64> {
        let mut scores = Vec::with_capacity(events.len());
        for chunk in events.chunks(CHUNK) {
            let numbers = self.score_chunk(chunk);
            for (number, event) in numbers.into_iter().zip(chunk) {
                let (score, pattern) = self.scored[number];
                self.take(score, 1, pattern, || Row::shortened(event));
                scores.push(score);
            }
        }
        scores
    }

    /// The numbers of the events' lines in `scored`.
    fn score_chunk(&mut self, events: &[LogEvent]) -> Vec<usize> {
        if self.scored.len() + events.len() > MOST_KNOWN {
            self.index.clear();
            self.scored.clear();
        }
        let mut unknown = Vec::new();
        let mut numbers = Vec::with_capacity(events.len());
        for event in events {
            let key = self.keys.key(event);
            numbers.push(self.index.find(key).unwrap_or_else(|| {
                let number = self.scored.len() + unknown.len();
                self.index.insert(key, number);
                unknown.push(event);
                number
            }));
        }
        let core = &self.core;
        let score = |(line, scratch): &mut (Line, CoreScratch), event: &LogEvent| {
            line.read(event);
            line.read_columns(event, core.spec);
            let channels = core.channels(View::from(&*line), 1, scratch);
            (score_of_nats(channels.sum()), line.pattern_key())
        };
        if unknown.len() < MANY {
            let mut scratch = Default::default();
            self.scored.extend(unknown.into_iter().map(|event| score(&mut scratch, event)));
        } else {
            let scored = unknown.into_par_iter().with_min_len(MANY).map_init(Default::default, score);
            self.scored.par_extend(scored);
        }
        numbers
    }

    /// As [`SecondPass::calibrate`] of all events, without them: false, and nothing is done, where they had more
    /// distinct lines than the first pass remembers (16,384; lines that differ only in numbers and ids count once).
    /// Calls `each` with them in the order of their first coming.
    pub fn calibrate_from_memory(&mut self, mut each: impl FnMut(Remembered)) -> bool {
        let Some(known) = self.known.take() else { return false };
        let core = &self.core;
        let scores = values(&known, |scratch: &mut CoreScratch, line| {
            score_of_nats(core.channels(line.row.view(), 1, scratch).sum())
        });
        for (line, score) in known.into_iter().zip(scores) {
            self.take(score, line.lines, line.row.view().pattern, || line.row.event());
            each(Remembered { score, lines: line.lines, tag: line.tag, event: line.row.event() });
        }
        true
    }

    /// Estimates the distribution from the first pass's uniform sample of at most 32,768 events, for inputs that
    /// can be read only once; returns the standard error of a share near the threshold (0 where the sample holds
    /// every event).
    pub fn calibrate_from_sample(&mut self) -> f64 {
        let core = &self.core;
        let sample = std::mem::take(&mut self.sample);
        let scores: Vec<f64> = sample.values(|scratch: &mut CoreScratch, row| {
            score_of_nats(core.channels(row.view(), 1, scratch).sum())
        });
        for (score, number) in scores.into_iter().zip(&sample.numbers) {
            let row = &sample.rows[*number as usize];
            self.take(score, 1, row.view().pattern, || row.event());
        }
        let (drawn, lines) = (sample.numbers.len() as f64, self.core.counts.lines() as f64);
        let share = match self.contamination {
            Contamination::Share(share) => share,
            Contamination::Auto => self.histogram.distribution().threshold(Contamination::Auto).share,
        };
        let unseen = ((lines - drawn) / (lines - 1.0).max(1.0)).max(0.0);
        (share * (1.0 - share) / drawn.max(1.0) * unseen).sqrt()
    }

    fn take(&mut self, score: f64, lines: u64, pattern: u64, event: impl FnOnce() -> LogEvent) {
        self.histogram.add_lines(score, lines);
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
        self.oddest.insert(at, OddLine { score, event: event(), pattern });
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
        let share = self.unseen_word_share;
        Model::new(self.core, self.patterns, distribution, share, provenance, self.contamination)
    }
}
