//! The places that traces pass and the steps between them, with what was counted of each. Bounded: where there are too
//! many, the half that was not passed longest is forgotten.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use super::series::Series;
use super::{Told, Took};
use crate::features::{Canonical, Masked, stable_hash};

/// Places that are held.
const MOST_PLACES: usize = 8_192;
/// Steps that are held.
const MOST_STEPS: usize = 32_768;
/// Services that are held.
const MOST_SERVICES: usize = 8_192;
/// Longest text that is kept of a place, in bytes.
const TEXT_BYTES: usize = 100;
/// Traces before the last two minutes that a place counts; older ones fade.
const MEMORY: f64 = 4_000.0;
/// Times of a step that its usual time is made of; older ones fade.
const TIMES: f64 = 2_000.0;
/// Times that a step must have been seen before it can be slow.
const LEAST_SEEN: f64 = 8.0;
/// Standard deviations of its logarithm that a slow step is above its mean.
const DEVIATIONS: f64 = 3.0;
/// How many times the usual time a slow step takes at least.
const FACTOR: f64 = 2.0;
/// How much longer than usual a slow step takes at least, in milliseconds.
const LEAST_MORE_MS: f64 = 10.0;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Service {
    pub name: String,
    /// Error lines without a trace.
    pub errors: Series<1>,
    /// Cell of the newest of them.
    newest: i64,
}

/// A pattern of a service.
#[derive(Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub(super) struct Place {
    key: u64,
    pub service: u32,
    /// The start of its masked pattern.
    pub text: Box<str>,
    /// Whether its newest line was an error.
    pub is_error: bool,
    /// Traces that came here.
    pub traces: Series<1>,
    /// Steps that lead on from here.
    pub onward: Vec<u32>,
    newest: i64,
}

/// From one place to the next one of a trace. What each line of a trace asks of it is within one line of the cache,
/// and one cell more.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "StoredStep", into = "StoredStep")]
#[repr(C, align(64))]
pub(super) struct Step {
    pub from: u32,
    pub to: u32,
    /// Times that its time was learnt of.
    seen: f64,
    /// Mean of the logarithm of its milliseconds, and its variance.
    mean: f64,
    variance: f64,
    /// Traces that went it, those of which it can be said how fast, and the slow ones among these.
    pub traces: Series<3>,
}

/// A step as it is kept.
#[derive(Serialize, Deserialize)]
struct StoredStep {
    from: u32,
    to: u32,
    traces: Series<3>,
    seen: f64,
    mean: f64,
    variance: f64,
}

impl From<Step> for StoredStep {
    fn from(Step { from, to, seen, mean, variance, traces }: Step) -> Self {
        Self { from, to, traces, seen, mean, variance }
    }
}

impl From<StoredStep> for Step {
    fn from(StoredStep { from, to, traces, seen, mean, variance }: StoredStep) -> Self {
        Self { from, to, seen, mean, variance, traces }
    }
}

/// Where something was found last, by some bits of what it is: checked before it is used, so it changes nothing.
#[derive(Debug)]
struct Hints(Box<[u32]>);

/// Hints of places and of steps.
const HINTS: usize = 4_096;

impl Default for Hints {
    fn default() -> Self {
        Self(vec![0; HINTS].into())
    }
}

impl Hints {
    fn of(&mut self, bits: u64) -> &mut u32 {
        &mut self.0[bits as usize % HINTS]
    }
}

impl Step {
    /// What it usually takes, in milliseconds.
    pub fn usual_ms(&self) -> f64 {
        self.mean.exp()
    }

    fn learn(&mut self, log: f64) {
        self.seen = (self.seen + 1.0).min(TIMES);
        let share = 1.0 / self.seen;
        let off = log - self.mean;
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Places {
    pub services: Vec<Service>,
    pub places: Vec<Place>,
    pub steps: Vec<Step>,
    #[serde(skip)]
    by_name: HashMap<String, u32, FixedState>,
    #[serde(skip)]
    by_key: HashMap<u64, u32, FixedState>,
    #[serde(skip)]
    by_ends: HashMap<(u32, u32), u32, FixedState>,
    #[serde(skip)]
    place_hints: Hints,
    #[serde(skip)]
    step_hints: Hints,
}

/// The start of a message's masked pattern.
fn text_of(message: &str) -> Box<str> {
    let (mut canonical, mut masked) = (Canonical::default(), Masked::default());
    canonical.read(message);
    masked.mask(&canonical);
    let pattern = masked.pattern();
    pattern[..pattern.floor_char_boundary(TEXT_BYTES)].into()
}

impl Places {
    pub const fn held(&self) -> [usize; 3] {
        [self.services.len(), self.places.len(), self.steps.len()]
    }

    fn service(&mut self, name: &str) -> u32 {
        if let Some(service) = self.by_name.get(name) {
            return *service;
        }
        let service = self.services.len() as u32;
        self.services.push(Service { name: name.to_owned(), errors: Series::new(), newest: i64::MIN });
        self.by_name.insert(name.to_owned(), service);
        service
    }

    /// Counts an error line that has no trace.
    pub fn untraced_error(&mut self, service: &str, cell: i64) {
        let service = self.service(service) as usize;
        let service = &mut self.services[service];
        service.newest = service.newest.max(cell);
        service.errors.add(cell, [1]);
    }

    /// The place of a line.
    pub fn place(&mut self, told: &Told<'_>, cell: i64) -> u32 {
        let key = stable_hash(told.pattern, told.service.as_bytes());
        let hinted = *self.place_hints.of(key);
        let place = match self.places.get(hinted as usize) {
            Some(place) if place.key == key => hinted,
            _ => self.place_of(key, told, cell),
        };
        let held = &mut self.places[place as usize];
        held.is_error = told.is_error;
        held.newest = held.newest.max(cell);
        place
    }

    fn place_of(&mut self, key: u64, told: &Told<'_>, cell: i64) -> u32 {
        let place = match self.by_key.get(&key) {
            Some(place) => *place,
            None => {
                let place = self.places.len() as u32;
                let service = self.service(told.service);
                self.places.push(Place {
                    key,
                    service,
                    text: text_of(told.message),
                    is_error: told.is_error,
                    traces: Series::new(),
                    onward: Vec::new(),
                    newest: cell,
                });
                self.by_key.insert(key, place);
                place
            }
        };
        *self.place_hints.of(key) = place;
        place
    }

    /// A trace is at a place for the first time.
    pub fn arrived(&mut self, place: u32, cell: i64) {
        let Self { places, steps, .. } = self;
        let place = &mut places[place as usize];
        place.traces.add(cell, [1]);
        if place.traces.before() > MEMORY {
            // A place and its steps fade together, so that shares stay what they are.
            for series in place.onward.iter().map(|step| *step as usize) {
                steps[series].traces.turn(cell);
                steps[series].traces.fade();
            }
            place.traces.fade();
        }
    }

    /// The step between two places, and how `gap` microseconds compare with what it usually takes.
    pub fn stepped(&mut self, from: u32, to: u32, gap: i64) -> (u32, Took) {
        let Self { places, steps, by_ends, step_hints, .. } = self;
        let ends = u64::from(from) << 32 | u64::from(to);
        let hint = step_hints.of(ends.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40);
        let hinted = steps.get(*hint as usize);
        let step = match hinted.filter(|step| (step.from, step.to) == (from, to)) {
            Some(_) => *hint,
            None => *by_ends.entry((from, to)).or_insert_with(|| {
                let step = steps.len() as u32;
                steps.push(Step { from, to, traces: Series::new(), seen: 0.0, mean: 0.0, variance: 0.0 });
                places[from as usize].onward.push(step);
                step
            }),
        };
        *hint = step;
        let held = &steps[step as usize];
        let gap_ms = gap as f64 / 1e3;
        // Half of one millisecond's rounding is no deviation.
        let deviation = held.variance.sqrt().max(0.1);
        let took = Took { gap_ms, log: gap_ms.max(0.1).ln(), mean: held.mean, deviation, seen: held.seen };
        (step, took)
    }

    /// Counts a step, and learns its time.
    pub fn count(&mut self, step: u32, took: Took, is_first: bool, cell: i64) {
        let step = &mut self.steps[step as usize];
        let can_be_slow = took.seen >= LEAST_SEEN;
        let bound = took.mean + DEVIATIONS * took.deviation;
        let is_much_slower = || {
            let usual = took.mean.exp();
            took.gap_ms > FACTOR * usual && took.gap_ms > usual + LEAST_MORE_MS
        };
        let slow = can_be_slow && took.log > bound && is_much_slower();
        if is_first {
            step.traces.add(cell, [1, u32::from(can_be_slow), u32::from(slow)]);
        }
        step.learn(if can_be_slow { took.log.min(bound) } else { took.log });
    }

    /// Forgets the half that was not passed longest where there is no room for another place; whether it did. Indexes
    /// of places and steps are other ones then.
    #[inline]
    pub fn make_room(&mut self) -> bool {
        let [services, places, steps] = self.held();
        let is_full = services >= MOST_SERVICES || places >= MOST_PLACES || steps >= MOST_STEPS;
        if is_full {
            self.forget_half();
        }
        is_full
    }

    #[cold]
    fn forget_half(&mut self) {
        let mut newest: Vec<i64> = self.places.iter().map(|place| place.newest).collect();
        newest.extend(self.services.iter().map(|service| service.newest).filter(|newest| *newest > i64::MIN));
        newest.sort_unstable();
        // Of a cell in which too many were passed, the ones that came last are kept.
        let since = newest[newest.len() / 2];
        let most = MOST_PLACES / 2;
        let old = std::mem::take(self);
        let recent = old.places.iter().filter(|place| place.newest >= since).count();
        let mut drop_first = recent.saturating_sub(most);
        let mut kept: Vec<Option<u32>> = vec![None; old.places.len()];
        for (index, mut place) in old.places.into_iter().enumerate() {
            if place.newest < since {
                continue;
            }
            if drop_first > 0 {
                drop_first -= 1;
                continue;
            }
            place.service = self.service(&old.services[place.service as usize].name);
            place.onward.clear();
            kept[index] = Some(self.places.len() as u32);
            self.by_key.insert(place.key, self.places.len() as u32);
            self.places.push(place);
        }
        let mut errors: Vec<Service> = old.services.into_iter().filter(|held| held.newest >= since).collect();
        let surplus = errors.len().saturating_sub(MOST_SERVICES / 4);
        for held in errors.drain(surplus..) {
            let service = self.service(&held.name) as usize;
            self.services[service] = held;
        }
        let steps = old.steps.into_iter().filter_map(|mut step| {
            step.from = kept[step.from as usize]?;
            step.to = kept[step.to as usize]?;
            Some(step)
        });
        let mut steps: Vec<Step> = steps.collect();
        for step in steps.drain(steps.len().saturating_sub(MOST_STEPS / 2)..) {
            let index = self.steps.len() as u32;
            self.by_ends.insert((step.from, step.to), index);
            self.places[step.from as usize].onward.push(index);
            self.steps.push(step);
        }
    }

    /// Makes the indexes anew after a state was read, and checks that everything it points at is there.
    pub fn index(&mut self) -> Result<(), String> {
        let [services, places, steps] = self.held();
        let wrong = |what: &str, index: u32, of: usize| Err(format!("{what} {index} of {of}"));
        for (index, place) in (0_u32..).zip(&self.places) {
            if place.service as usize >= services {
                return wrong("a place is of service", place.service, services);
            }
            if let Some(step) = place.onward.iter().find(|step| **step as usize >= steps) {
                return wrong("a place leads on by step", *step, steps);
            }
            self.by_key.insert(place.key, index);
        }
        for (index, step) in (0_u32..).zip(&self.steps) {
            if let Some(end) = [step.from, step.to].into_iter().find(|end| *end as usize >= places) {
                return wrong("a step ends at place", end, places);
            }
            self.by_ends.insert((step.from, step.to), index);
        }
        for (index, service) in (0_u32..).zip(&self.services) {
            self.by_name.insert(service.name.clone(), index);
        }
        Ok(())
    }
}
