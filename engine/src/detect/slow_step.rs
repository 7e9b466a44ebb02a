//! Slow step: the time between two lines of one trace, against what is usual for that pair of services and
//! patterns.

use std::collections::HashMap;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use super::anomaly::{Found, Kept};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service};
use super::state::{Condition, PerService, Turn};
use super::steps::Steps;
use super::{Finding, Severity};
use crate::features::stable_hash;

pub(crate) const NAME: &str = "slow_step";

/// Steps in a window.
const PARTS: usize = 12;
/// Traces whose last line is remembered before the older half is forgotten.
const MOST_TRACES: usize = 200_000;
/// Pairs that have a statistic of their own.
const MOST_PAIRS: usize = 100_000;
/// Times that a pair counts; older ones fade.
const MEMORY: f64 = 2_000.0;

knobs!(SlowStep {
    /// Length of the sliding window.
    window_s = 60.0, "s", 12.0, 3_600.0;
    /// How many standard deviations (of the logarithm) above its mean a step is slow.
    deviations = 3.0, "standard deviations", 1.0, 100.0;
    /// How many times the usual time a slow step takes at least.
    factor = 2.0, "times", 1.0, 1_000.0;
    /// How much longer than usual a slow step takes at least.
    least_more_ms = 50.0, "ms", 0.0, 1e9;
    /// Fewest slow steps of a window.
    least_slow = 5.0, "steps", 1.0, 1_000_000.0;
    /// Share of a window's steps that must be slow.
    share = 0.2, "share", 0.0, 1.0;
    /// Times that a pair must have been seen before it is judged.
    least_seen = 50.0, "steps", 2.0, 1_000_000.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Slow step",
    doc: "\
The time between two lines that follow each other in one trace (a transaction or trace id), against what is \
usual for that pair of services and patterns: a step is slow when its logarithm is `deviations` standard deviations \
above the pair's mean, `factor` times and `least_more_ms` above the usual time. A service is told when `least_slow` of \
the steps that led to its lines within `window_s`, and more than a share of `share`, were slow. The lines of a trace \
must come through the same input partition. Severity: `warning`.",
    knobs: SlowStep::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: State::default() }),
};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Last {
    time: i64,
    place: u64,
}

/// Logarithm of the time of a step: how often, mean, variance.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Pair {
    seen: f64,
    mean: f64,
    variance: f64,
}

impl Pair {
    fn learn(&mut self, log: f64) {
        self.seen = (self.seen + 1.0).min(MEMORY);
        let share = 1.0 / self.seen;
        let off = log - self.mean;
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
    }
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Cell {
    steps: u32,
    slow: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct PerSlot {
    steps: Steps<Cell>,
    condition: Condition,
    kept: Kept,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    young: HashMap<u64, Last, FixedState>,
    old: HashMap<u64, Last, FixedState>,
    pairs: HashMap<u64, Pair, FixedState>,
    slots: PerService<PerSlot>,
    held_back: u64,
}

struct Detector {
    settings: Vec<SlowStep>,
    state: State,
}

impl State {
    /// Remembers the trace's newest line and gives the one before.
    fn follow(&mut self, trace: u64, last: Last) -> Option<Last> {
        let before = self.young.get(&trace).or_else(|| self.old.get(&trace)).copied();
        if self.young.len() >= MOST_TRACES / 2 && !self.young.contains_key(&trace) {
            self.old = std::mem::take(&mut self.young);
        }
        if before.is_none_or(|before| before.time <= last.time) {
            self.young.insert(trace, last);
        }
        before
    }
}

impl Detect for Detector {
    fn line(&mut self, at: &At<'_>, _out: &mut Vec<Finding>) {
        let settings = &self.settings[at.service.profile()];
        let Some(trace) = at.facts.business.transaction_id.filter(|_| !at.late && settings.enabled) else {
            return;
        };
        let place = stable_hash(at.seen.pattern, at.service.name().as_bytes());
        let last = Last { time: at.time, place };
        let Some(before) = self.state.follow(stable_hash(7, trace.as_bytes()), last) else { return };
        let gap_ms = (at.time - before.time) as f64 / 1e3;
        if gap_ms < 0.0 {
            return;
        }
        let key = stable_hash(before.place, &place.to_le_bytes());
        if self.state.pairs.len() >= MOST_PAIRS && !self.state.pairs.contains_key(&key) {
            self.state.held_back += 1;
            return;
        }
        let pair = self.state.pairs.entry(key).or_default();
        let log = gap_ms.max(0.1).ln();
        // Half of one millisecond's rounding is no deviation.
        let deviation = pair.variance.sqrt().max(0.1);
        let judged = pair.seen >= settings.least_seen;
        let usual = pair.mean.exp();
        let slow = judged
            && log > pair.mean + settings.deviations * deviation
            && gap_ms > settings.factor * usual
            && gap_ms > usual + settings.least_more_ms;
        pair.learn(if judged { log.min(pair.mean + settings.deviations * deviation) } else { log });
        if !judged {
            return;
        }
        let slot = self.state.slots.get_or(at.service.slot, || PerSlot {
            steps: Steps::new(settings.window_s, PARTS, at.service.lateness_s, at.time),
            condition: Condition::default(),
            kept: Kept::default(),
        });
        let Some(cell) = slot.steps.at(at.time) else { return };
        cell.steps += 1;
        if slow {
            cell.slow += 1;
            slot.kept.add(at.seen, at.time - super::micros(settings.window_s));
        }
    }

    fn advance(&mut self, service: &Service<'_>, closed: i64, out: &mut Vec<Finding>) {
        let settings = &self.settings[service.profile()];
        let Some(slot) = self.state.slots.get_mut(service.slot) else { return };
        for end in slot.steps.complete(closed) {
            let (mut steps, mut slow) = (0u32, 0u32);
            for cell in slot.steps.window(end) {
                steps += cell.steps;
                slow += cell.slow;
            }
            let holds =
                f64::from(slow) >= settings.least_slow && f64::from(slow) > settings.share * f64::from(steps);
            let time = slot.steps.time_of(end);
            match slot.condition.turn(holds.then_some(Severity::Warning)) {
                Turn::No => {}
                Turn::Holds => out.push(service.holds(NAME, time)),
                Turn::Begins => {
                    let found = Found {
                        detector: NAME,
                        service: service.name(),
                        subject: "",
                        severity: Severity::Warning,
                        window: (slot.steps.start_of(end), time),
                        time,
                        episode: 0,
                        headline: format!(
                            "slow steps: {slow} of {steps} steps to this service took far longer than usual within {} s",
                            settings.window_s
                        ),
                        value: f64::from(slow) / f64::from(steps.max(1)),
                        bound: settings.share,
                        unit: "share",
                        reasons: Vec::new(),
                        evidence: slot.kept.lines(),
                    };
                    out.push(found.into());
                }
            }
        }
    }

    fn forget(&mut self, slot: usize) {
        self.state.slots.forget(slot);
    }

    fn held_back(&self) -> u64 {
        self.state.held_back
    }

    super::registry::stored!(1);
}
