//! Slow step: the time between two lines of one trace, against what is usual for that pair of services and
//! patterns.

use serde::{Deserialize, Serialize};

use super::anomaly::{Found, Kept};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service, cares};
use super::state::{Condition, PerService, Turn};
use super::steps::Steps;
use super::{Finding, Severity};

pub(crate) const NAME: &str = "slow_step";

/// Steps in a window.
const PARTS: usize = 12;

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
    slots: PerService<PerSlot>,
}

struct Detector {
    settings: Vec<SlowStep>,
    state: State,
}

impl Detect for Detector {
    fn cares(&self) -> u8 {
        cares::STEP
    }

    fn line(&mut self, at: &At<'_>, _out: &mut Vec<Finding>) {
        let settings = &self.settings[at.service.profile()];
        let Some(took) = at.took.filter(|took| settings.enabled && took.seen >= settings.least_seen) else {
            return;
        };
        let is_much_slower = || {
            let usual = took.mean.exp();
            took.gap_ms > settings.factor * usual && took.gap_ms > usual + settings.least_more_ms
        };
        let slow = took.log > took.mean + settings.deviations * took.deviation && is_much_slower();
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

    super::registry::stored!(2);
}
