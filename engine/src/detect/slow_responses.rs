//! Slow responses: the slowest twentieth or hundredth of a service's answers takes too long.

use serde::{Deserialize, Serialize};

use super::anomaly::{Found, Kept};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service, cares};
use super::state::{Condition, PerService, Turn};
use super::steps::Steps;
use super::{Finding, Severity};

use super::Sketch;

pub(crate) const NAME: &str = "slow_responses";

/// Share of the lesser bound above which durations are told apart: further below it than a sketch's relative error.
const APART: f64 = 0.95;
/// Steps in a window.
const PARTS: usize = 10;

knobs!(SlowResponses {
    /// Length of the sliding window.
    window_s = 300.0, "s", 10.0, 86_400.0;
    /// Bound of the 95th percentile.
    p95_ms = 30_000.0, "ms", 0.0, 1e9;
    /// Bound of the 99th percentile.
    p99_ms = 60_000.0, "ms", 0.0, 1e9;
    /// Fewest durations of a window that is judged.
    least_samples = 20.0, "durations", 1.0, 1_000_000.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Slow responses",
    doc: "\
The durations that a service tells within `window_s`: told when their 95th percentile is above `p95_ms` or their 99th \
above `p99_ms`, among at least `least_samples`. Whether a percentile is above its bound is counted exactly (more than \
5 % or 1 % of the durations are longer); the percentile in the text comes from a sketch whose relative error is 1 %. \
Severity: `error`.",
    knobs: SlowResponses::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: PerService::default() }),
};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cell {
    count: u32,
    over_p95: u32,
    over_p99: u32,
    durations: Sketch,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    steps: Steps<Cell>,
    condition: Condition,
    kept: Kept,
}

struct Detector {
    settings: Vec<SlowResponses>,
    state: PerService<State>,
}

impl Detect for Detector {
    fn cares(&self) -> u8 {
        cares::DURATION
    }

    fn line(&mut self, at: &At<'_>, _out: &mut Vec<Finding>) {
        let Some(duration) = at.facts.business.duration_ms else { return };
        let settings = &self.settings[at.service.profile()];
        if at.late || !settings.enabled {
            return;
        }
        let state = self.state.get_or(at.service.slot, || State {
            steps: Steps::new(settings.window_s, PARTS, at.service.lateness_s, at.time),
            condition: Condition::default(),
            kept: Kept::default(),
        });
        let Some(cell) = state.steps.at(at.time) else { return };
        cell.count += 1;
        let least = settings.p95_ms.min(settings.p99_ms);
        // What is well below both bounds is told as a bound at most, whatever it is: so it needs no bin of its own.
        cell.durations.add(if duration < APART * least { 0.0 } else { duration }, 1);
        cell.over_p95 += u32::from(duration > settings.p95_ms);
        cell.over_p99 += u32::from(duration > settings.p99_ms);
        if duration > least {
            state.kept.add(at.seen, at.time - super::micros(settings.window_s));
        }
    }

    fn advance(&mut self, service: &Service<'_>, closed: i64, out: &mut Vec<Finding>) {
        let settings = &self.settings[service.profile()];
        let Some(state) = self.state.get_mut(service.slot) else { return };
        for end in state.steps.complete(closed) {
            let (mut count, mut over_p95, mut over_p99) = (0u64, 0u64, 0u64);
            for cell in state.steps.window(end) {
                count += u64::from(cell.count);
                over_p95 += u64::from(cell.over_p95);
                over_p99 += u64::from(cell.over_p99);
            }
            let slow_p95 = over_p95 * 20 > count;
            let slow_p99 = over_p99 * 100 > count;
            let holds = count as f64 >= settings.least_samples && (slow_p95 || slow_p99);
            let time = state.steps.time_of(end);
            match state.condition.turn(holds.then_some(Severity::Error)) {
                Turn::No => {}
                Turn::Holds => out.push(service.holds(NAME, time)),
                Turn::Begins => {
                    let mut durations = Sketch::default();
                    state.steps.window(end).for_each(|cell| durations.merge(&cell.durations));
                    let (percent, rank, bound) =
                        if slow_p95 { (95, 0.95, settings.p95_ms) } else { (99, 0.99, settings.p99_ms) };
                    let value = durations.quantile(rank).unwrap_or(bound).max(bound);
                    let found = Found {
                        detector: NAME,
                        service: service.name(),
                        subject: "",
                        severity: Severity::Error,
                        window: (state.steps.start_of(end), time),
                        time,
                        episode: 0,
                        headline: format!(
                            "slow: P{percent} is {value:.0} ms over {count} durations within {} s (more than {bound} ms)",
                            settings.window_s
                        ),
                        value,
                        bound,
                        unit: "ms",
                        reasons: vec![format!("{over_p95} took longer than {} ms", settings.p95_ms)],
                        evidence: state.kept.lines(),
                    };
                    out.push(found.into());
                }
            }
        }
    }

    fn forget(&mut self, slot: usize) {
        self.state.forget(slot);
    }

    super::registry::stored!(1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_well_below_the_bounds_needs_no_bin(
            durations in prop::collection::vec(0.0..200_000.0_f64, 1..200),
            bound in 1.0..100_000.0_f64,
            rank in 0.0..1.0_f64,
        ) {
            let (mut all, mut apart) = (Sketch::default(), Sketch::default());
            for duration in durations {
                all.add(duration, 1);
                apart.add(if duration < APART * bound { 0.0 } else { duration }, 1);
            }
            let told = |sketch: &Sketch| sketch.quantile(rank).unwrap_or(bound).max(bound);
            prop_assert_eq!(told(&all), told(&apart));
        }
    }
}
