//! Degradation: response times that have grown and still grow.

use serde::{Deserialize, Serialize};

use super::anomaly::{self, Evidence, Found};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service, cares};
use super::state::{Condition, PerService, Turn};
use super::steps::{Steps, nearest};
use super::{Finding, Severity};

pub(crate) const NAME: &str = "degradation";

/// Steps of a minute each: the last 5 are the present, the 10 before them the middle, the first 15 the past.
const PARTS: usize = 30;
const PRESENT: i64 = 5;
const MIDDLE: i64 = 15;

/// Logarithms are summed as whole numbers of this part of a nat, so that the order of lines cannot matter.
const SCALE: f64 = 1e4;

knobs!(Degradation {
    /// How many times the past's response time is too long.
    factor = 1.5, "times", 1.01, 1_000.0;
    /// How many times the middle's response time the present's must be to count as still rising.
    rising = 1.05, "times", 1.0, 1_000.0;
    /// Fewest durations of each of the three windows.
    least_samples = 20.0, "durations", 2.0, 1_000_000.0;
    /// Least growth that counts.
    least_more_ms = 20.0, "ms", 0.0, 1e9;
    /// Growth in standard errors that chance does not bring.
    least_errors = 4.0, "standard errors", 0.0, 100.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Degradation",
    doc: "\
The typical (geometric mean) response time of a service's last 5 minutes, against that of the 10 minutes before them \
and of the 15 minutes before those: told when it is more than `factor` times and `least_more_ms` above the oldest, \
more than `rising` times the middle one, with `least_samples` durations in each, and when the growth is larger than \
`least_errors` standard errors. Looked at once a minute. Severity: `warning`.",
    knobs: Degradation::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: PerService::default() }),
};

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Cell {
    count: u64,
    sum: i64,
    squares: i64,
}

impl Cell {
    fn of<'a>(cells: impl Iterator<Item = &'a Self>) -> Self {
        cells.fold(Self::default(), |sum, cell| Self {
            count: sum.count + cell.count,
            sum: sum.sum.saturating_add(cell.sum),
            squares: sum.squares.saturating_add(cell.squares),
        })
    }

    fn mean(&self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64 / SCALE
    }

    /// Squared standard error of the mean.
    fn error_squared(&self) -> f64 {
        let count = self.count.max(2) as f64;
        let mean_of_squares = self.squares as f64 / count / (SCALE * SCALE);
        ((mean_of_squares - self.mean().powi(2)).max(0.0)) / (count - 1.0)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    steps: Steps<Cell>,
    condition: Condition,
    /// The slowest line of the last minutes.
    slowest: Option<Evidence>,
    slowest_ms: f64,
    slowest_at: i64,
}

struct Detector {
    settings: Vec<Degradation>,
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
            steps: Steps::new(1_800.0, PARTS, at.service.lateness_s, at.time),
            condition: Condition::default(),
            slowest: None,
            slowest_ms: 0.0,
            slowest_at: at.time,
        });
        let Some(cell) = state.steps.at(at.time) else { return };
        let log = nearest(duration.max(1e-3).ln() * SCALE);
        cell.count += 1;
        cell.sum = cell.sum.saturating_add(log);
        cell.squares = cell.squares.saturating_add(log * log);
        if duration > state.slowest_ms || at.time > state.slowest_at + PRESENT * state.steps.step() {
            (state.slowest_ms, state.slowest_at) = (duration, at.time);
            anomaly::put(&mut state.slowest, at.seen);
        }
    }

    fn advance(&mut self, service: &Service<'_>, closed: i64, out: &mut Vec<Finding>) {
        let settings = &self.settings[service.profile()];
        let Some(state) = self.state.get_mut(service.slot) else { return };
        for end in state.steps.complete(closed) {
            let present = Cell::of(state.steps.range(end - PRESENT, end));
            let middle = Cell::of(state.steps.range(end - MIDDLE, end - PRESENT));
            let past = Cell::of(state.steps.range(end - PARTS as i64, end - MIDDLE));
            let least = settings.least_samples as u64;
            let growth = present.mean() - past.mean();
            let error = (present.error_squared() + past.error_squared()).sqrt();
            let (now_ms, past_ms) = (present.mean().exp(), past.mean().exp());
            let holds = present.count.min(middle.count).min(past.count) >= least
                && growth > settings.factor.ln()
                && growth > settings.least_errors * error
                && now_ms - past_ms > settings.least_more_ms
                && present.mean() - middle.mean() > settings.rising.ln();
            let time = state.steps.time_of(end);
            match state.condition.turn(holds.then_some(Severity::Warning)) {
                Turn::No => {}
                Turn::Holds => out.push(service.holds(NAME, time)),
                Turn::Begins => {
                    let found = Found {
                        detector: NAME,
                        service: service.name(),
                        subject: "",
                        severity: Severity::Warning,
                        window: (state.steps.time_of(end - PRESENT), time),
                        time,
                        episode: 0,
                        headline: format!(
                            "response time grows: {now_ms:.0} ms over the last 5 minutes, {:.0} ms and {past_ms:.0} ms before",
                            middle.mean().exp()
                        ),
                        value: now_ms,
                        bound: past_ms * settings.factor,
                        unit: "ms",
                        reasons: vec![format!(
                            "{:.0} % more than half an hour ago",
                            (growth.exp() - 1.0) * 100.0
                        )],
                        evidence: state.slowest.iter().cloned().collect(),
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
