//! Two passes over the training events make a model: `observe` counts and samples, `calibrate` measures the
//! score distribution. Memory is flat in the number of events; threads never change a bit of the result, and neither
//! does it that lines which come again are not read again.

mod draws;
mod items;
mod params;
mod sample;
#[cfg(test)]
mod tests;
mod unseen;

use std::ops::Range;

use rayon::prelude::*;

use super::core::{self, Core, CoreScratch, View};
use super::counts::Counts;
use super::distribution::Histogram;
use super::known::{Index, Keys, Known, KnownLine, MOST_KNOWN};
use super::patterns::{FrequentPatterns, PatternTable};
use super::row::{Counted, Features, Row, Services};
use super::{Contamination, Model, Provenance, score_of_nats};
use crate::event::LogEvent;
use crate::features::{FeatureSpec, Line, LineKey};
use crate::forest::{Forest, ForestData, Grower, Reservoir, tree_rng};
use crate::redact::Redactor;

pub use super::known::key_maker;
use draws::{Draw, Draws};
use items::Given;
pub use items::Item;
pub use params::{CheckedTrainParams, ParamError, TrainParams};
use sample::{Drawn, Sample, tails, values};

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
    counts: Counts,
    patterns: PatternTable,
    reservoirs: Vec<Reservoir>,
    /// What is in each reservoir's slots, by its number in `drawn`; the last reservoir is the uniform sample.
    slots: Vec<Vec<u32>>,
    drawn: Vec<Drawn>,
    seen: u64,
    keys: Keys,
    known: Known,
    services: Services,
    /// How often counts or patterns were dropped.
    era: u32,
    line: Line,
    draws: Draws,
}

/// Lines of a chunk that are not known: from this number on they are read on all threads.
const MANY: usize = 64;

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
            counts: Counts::default(),
            patterns: PatternTable::default(),
            slots: vec![Vec::new(); reservoirs.len()],
            drawn: Vec::new(),
            reservoirs,
            seen: 0,
            keys: Keys::default(),
            known: Known::new(MOST_KNOWN),
            services: Services::default(),
            era: 0,
            line: Line::default(),
            draws: Draws::default(),
            params,
        }
    }

    /// Takes a batch of events; how events are cut into batches changes nothing.
    pub fn observe(&mut self, events: &[LogEvent]) {
        self.observe_tagged(events, |_| Tag::default());
    }

    /// As [`FirstPass::observe`]. `tag` gives the events of the batch, by their index, numbers of the caller's, such
    /// as places: [`SecondPass::calibrate_from_memory`] hands them back.
    pub fn observe_tagged(&mut self, events: &[LogEvent], tag: impl Fn(usize) -> Tag) {
        self.each_stretch(events.len(), |pass, stretch, draws| {
            let first = stretch.start;
            let events = &events[stretch];
            let keys: Vec<LineKey> = events.iter().map(|event| pass.keys.key(event)).collect();
            let given = |at: usize| Given::Here(&events[at]);
            pass.observe_chunk(&keys, draws, given, |at| tag(first + at));
        });
    }

    /// As [`FirstPass::observe_lines`] of events that are all there.
    pub fn observe_raw(&mut self, events: &mut [LogEvent], redactor: &Redactor, tag: impl Fn(usize) -> Tag) {
        let items: Vec<Item> = (0..events.len() as u32).map(Item::Raw).collect();
        let absent = |_| LogEvent::default();
        self.observe_lines(&items, events, absent, redactor, |item| tag(item.number()));
    }

    /// As [`FirstPass::observe_tagged`] of the same lines with their secrets taken out; attributes, which are no
    /// part of a model, are dropped where they would have to be searched. Lines that are known to be of a kind
    /// without secrets are not searched again. `again` reads the line of an [`Item::Again`] by its number; it is asked
    /// rarely.
    pub fn observe_lines(
        &mut self,
        items: &[Item],
        events: &mut [LogEvent],
        again: impl Fn(usize) -> LogEvent + Sync,
        redactor: &Redactor,
        tag: impl Fn(Item) -> Tag,
    ) {
        self.each_stretch(items.len(), |pass, stretch, draws| {
            let items = &items[stretch];
            let mut clean = Vec::new();
            let keys: Vec<LineKey> = items
                .iter()
                .map(|item| match *item {
                    Item::Raw(number) => {
                        pass.key_without_secrets(&mut events[number as usize], redactor, &mut clean)
                    }
                    Item::Clean(_, key) | Item::Again(_, key) => key,
                })
                .collect();
            let given = |at: usize| match items[at] {
                Item::Raw(number) | Item::Clean(number, _) => Given::Here(&events[number as usize]),
                Item::Again(number, _) => Given::Away(&again, number as usize),
            };
            pass.observe_chunk(&keys, draws, given, |at| tag(items[at]));
            for key in clean {
                if let Some(place) = pass.known.find(key) {
                    pass.known.at(place).is_clean = true;
                }
            }
        });
    }

    /// Takes the secrets out of an event and returns its key; `clean` is given the key where no line of it holds any.
    fn key_without_secrets(
        &mut self,
        event: &mut LogEvent,
        redactor: &Redactor,
        clean: &mut Vec<LineKey>,
    ) -> LineKey {
        let key = self.keys.key(event);
        if self.known.find(key).is_some_and(|place| self.known.at(place).is_clean) {
            return key;
        }
        if self.keys.are_clean(event, redactor) {
            clean.push(key);
            return key;
        }
        event.attributes.clear();
        if redactor.redact(event) == 0 { key } else { self.keys.key(event) }
    }

    /// Calls `take` with stretches of the next `events` events, and what the reservoirs draw of each.
    fn each_stretch(&mut self, events: usize, mut take: impl FnMut(&mut Self, Range<usize>, &Draws)) {
        let mut draws = std::mem::take(&mut self.draws);
        let mut start = 0;
        while start < events {
            if draws.rows_from(self.seen) == 0 {
                draws.fill(&mut self.reservoirs, self.seen);
            }
            let end = events.min(start + draws.rows_from(self.seen).min(CHUNK));
            take(self, start..end, &draws);
            self.seen += (end - start) as u64;
            start = end;
        }
        self.draws = draws;
    }

    fn observe_chunk<'e>(
        &mut self,
        keys: &[LineKey],
        draws: &Draws,
        given: impl Fn(usize) -> Given<'e> + Sync,
        tag: impl Fn(usize) -> Tag,
    ) {
        let mut fresh = self.read_unknown(keys, &given);
        for (at, key) in keys.iter().copied().enumerate() {
            let place = match self.known.find(key) {
                Some(place) => self.count_again(place, || given(at)),
                None => {
                    let features = fresh.get_mut(at).and_then(Option::take);
                    self.count_first(key, &given(at).event(), features, tag(at))
                }
            };
            self.draw(place, draws.of(self.seen + at as u64));
        }
    }

    /// Puts a known line into the slots that draw it.
    fn draw(&mut self, place: usize, draws: &[Draw]) {
        if draws.is_empty() {
            return;
        }
        let number = self.number(place);
        for draw in draws {
            put(&mut self.slots[draw.reservoir as usize], draw.slot as usize, number);
        }
    }

    /// The number of a known line among those that were drawn.
    fn number(&mut self, place: usize) -> u32 {
        let known = self.known.at(place);
        if let Some(number) = known.number {
            return number;
        }
        let number = self.drawn.len() as u32;
        known.number = Some(number);
        let row = known.row.clone();
        let columns = row.columns(&mut self.line, self.spec);
        self.drawn.push(Drawn { row, columns });
        number
    }

    /// Forgets the known lines, and lets go of the drawn ones that are in no slot any more.
    fn forget(&mut self) {
        self.known.clear();
        self.services.clear();
        let mut drawn: Vec<_> = std::mem::take(&mut self.drawn).into_iter().map(Some).collect();
        let mut numbers = vec![0; drawn.len()];
        for slot in self.slots.iter_mut().flatten() {
            let at = *slot as usize;
            if let Some(line) = drawn[at].take() {
                numbers[at] = self.drawn.len() as u32;
                self.drawn.push(line);
            }
            *slot = numbers[at];
        }
    }

    /// What is counted of the lines that are not known, where there are many of them; read on all threads.
    fn read_unknown<'e>(
        &self,
        keys: &[LineKey],
        given: &(impl Fn(usize) -> Given<'e> + Sync),
    ) -> Vec<Option<Features>> {
        let unknown = |key: &LineKey| self.known.find(*key).is_none();
        if keys.iter().filter(|key| unknown(key)).take(MANY).count() < MANY {
            return Vec::new();
        }
        let read = |line: &mut Line, (at, key): (usize, &LineKey)| {
            unknown(key).then(|| {
                line.read(&*given(at).event());
                Features::from(&*line)
            })
        };
        keys.par_iter().enumerate().with_min_len(MANY).map_init(Line::default, read).collect()
    }

    /// A line that is known came again.
    fn count_again<'e>(&mut self, place: usize, given: impl Fn() -> Given<'e>) -> usize {
        let era = self.era;
        let line = self.known.at(place);
        line.lines += 1;
        if line.era == era {
            line.pending += 1;
            return place;
        }
        self.count(None, &given().event());
        self.known.at(place).era = era;
        place
    }

    fn count_first(&mut self, key: LineKey, event: &LogEvent, features: Option<Features>, tag: Tag) -> usize {
        if self.known.is_full() {
            self.settle();
            self.forget();
        }
        let era = self.era;
        self.count(features, event);
        let row = Row::new(event, &mut self.services, &mut self.line, self.spec);
        self.known.insert(KnownLine::new(key, row, era, tag))
    }

    /// Counts a line, by what was read of it already or now.
    fn count(&mut self, features: Option<Features>, event: &LogEvent) {
        let mut line = std::mem::take(&mut self.line);
        let counted = match &features {
            Some(features) => Counted::from(features),
            None => {
                line.read(event);
                Counted::from(&line)
            }
        };
        self.counts.add_lines(counted.keys(), 1);
        let pattern = counted.pattern;
        if self.counts.is_full() {
            self.settle();
            self.counts.make_room();
            self.era += 1;
        }
        if !self.patterns.count(pattern, 1) {
            if features.is_some() {
                line.read(event);
            }
            self.patterns.insert(pattern, line.masked().pattern());
            if self.patterns.is_full() {
                self.settle();
                self.patterns.make_room();
                self.era += 1;
            }
        }
        self.line = line;
    }

    /// Counts what is pending. Whatever a pending line has is held, so that this drops nothing.
    fn settle(&mut self) {
        let mut buffer = Line::default();
        for line in self.known.iter_mut().filter(|line| line.pending > 0) {
            let counted = line.row.counted(&mut buffer);
            self.counts.add_lines(counted.keys(), line.pending);
            self.patterns.count(counted.pattern, line.pending);
            line.pending = 0;
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
                let columns = |number: &u32| core::text_row(&self.drawn[*number as usize].columns);
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
        self.draws = Draws::default();
        let text = self.grow_forest()?;
        self.settle();
        self.counts.shrink();
        self.slots.drain(..self.slots.len().saturating_sub(1));
        let known = std::mem::replace(&mut self.known, Known::new(1)).into_whole();
        self.forget();
        let sample = Sample { rows: self.drawn, numbers: self.slots.pop().unwrap_or_default() };
        let tails = tails(&self.counts, &text, &sample, self.spec);
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

/// Of a line that is one of those counted.
fn score_of(core: &Core, row: &Row, (line, scratch): &mut (Line, CoreScratch)) -> Scored {
    let view = row.view(line, core.spec);
    (score_of_nats(core.channels(view, 1, scratch).sum()), view.pattern)
}

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
        self.sample = Sample::default();
        let core = &self.core;
        let scores: Vec<Scored> = values(&known, |scratch, line| score_of(core, &line.row, scratch));
        for (line, (score, pattern)) in known.into_iter().zip(scores) {
            self.take(score, line.lines, pattern, || line.row.event());
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
        let scores: Vec<Scored> = values(&sample.rows, |scratch, drawn| score_of(core, &drawn.row, scratch));
        for ((score, pattern), number) in sample.of_events(&scores).zip(&sample.numbers) {
            self.take(score, 1, pattern, || sample.rows[*number as usize].row.event());
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
