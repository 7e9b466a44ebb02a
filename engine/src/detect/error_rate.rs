//! Error rate: the share of ERROR lines among a service's lines over a sliding window.

use serde::{Deserialize, Serialize};

use super::anomaly::{Found, Kept};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service};
use super::state::{Condition, PerService, Turn};
use super::steps::Steps;
use super::{Finding, Severity};

pub(crate) const NAME: &str = "error_rate";

/// Steps in a window.
const PARTS: usize = 12;

knobs!(ErrorRate {
    /// Length of the sliding window.
    window_s = 60.0, "s", 12.0, 3_600.0;
    /// Share of ERROR lines that a window may hold.
    above = 0.3, "share", 0.0, 1.0;
    /// Fewest lines of a window that is judged.
    least_events = 20.0, "lines", 1.0, 1_000_000.0;
    /// Share of ERROR lines above which it is critical.
    critical_above = 0.8, "share", 0.0, 1.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Error rate",
    doc: "\
The share of a service's lines of level ERROR and FATAL over `window_s`, looked at twelve times per window when its \
lines are complete. It is told when the share is above `above` among at least `least_events` lines, again when it \
turns critical, and holds as long as the share stays above. Severity: `error`, above `critical_above` `critical`.",
    knobs: ErrorRate::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: PerService::default() }),
};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cell {
    lines: u32,
    errors: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    steps: Steps<Cell>,
    kept: Kept,
    condition: Condition,
}

struct Detector {
    settings: Vec<ErrorRate>,
    state: PerService<State>,
}

impl Detect for Detector {
    fn line(&mut self, at: &At<'_>, _out: &mut Vec<Finding>) {
        let settings = &self.settings[at.service.profile()];
        if at.late || !settings.enabled {
            return;
        }
        let state = self.state.get_or(at.service.slot, || State {
            steps: Steps::new(settings.window_s, PARTS, at.service.lateness_s, at.time),
            kept: Kept::default(),
            condition: Condition::default(),
        });
        let Some(cell) = state.steps.at(at.time) else { return };
        cell.lines += 1;
        if at.facts.is_error {
            cell.errors += 1;
            state.kept.add(at.seen, at.time - super::micros(settings.window_s));
        }
    }

    fn advance(&mut self, service: &Service<'_>, closed: i64, out: &mut Vec<Finding>) {
        let settings = &self.settings[service.profile()];
        let Some(state) = self.state.get_mut(service.slot) else { return };
        for end in state.steps.complete(closed) {
            let (mut lines, mut errors) = (0u64, 0u64);
            for cell in state.steps.window(end) {
                lines += u64::from(cell.lines);
                errors += u64::from(cell.errors);
            }
            let share = errors as f64 / lines.max(1) as f64;
            let severity = (lines as f64 >= settings.least_events && share > settings.above).then_some(
                if share > settings.critical_above { Severity::Critical } else { Severity::Error },
            );
            let time = state.steps.time_of(end);
            match state.condition.turn(severity) {
                Turn::No => {}
                Turn::Holds => out.push(service.holds(NAME, time)),
                Turn::Begins => {
                    let severity = severity.unwrap_or(Severity::Error);
                    let found = Found {
                        detector: NAME,
                        service: service.name(),
                        subject: "",
                        severity,
                        window: (state.steps.start_of(end), time),
                        time,
                        episode: u32::from(severity == Severity::Critical),
                        headline: format!(
                            "error rate {:.0} %: {errors} of {lines} lines within {} s (more than {:.0} %)",
                            share * 100.0,
                            settings.window_s,
                            settings.above * 100.0
                        ),
                        value: share,
                        bound: settings.above,
                        unit: "share",
                        reasons: Vec::new(),
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
