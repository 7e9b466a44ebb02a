//! Error classes: database errors and authentication failures, named as such.

use serde::{Deserialize, Serialize};

use super::anomaly::{Found, Kept};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service};
use super::state::{Condition, PerService, Turn};
use super::steps::Steps;
use super::{Finding, Severity};

use super::Class;

pub(crate) const NAME: &str = "error_class";

/// Steps in a window.
const PARTS: usize = 12;

/// History that counts, in microseconds; older lines count half each time it is full.
const HISTORY: i64 = 7 * 86_400 * super::steps::SECOND;

/// Shortest history that a rate is taken over, in microseconds.
const LEAST_HISTORY: i64 = 3_600 * super::steps::SECOND;

/// Lines after which the usual share of a class is known.
const LEAST_LINES: u64 = 1_000;

knobs!(ErrorClass {
    /// Length of the sliding window.
    window_s = 60.0, "s", 12.0, 3_600.0;
    /// Lines of one class that a window may hold.
    more_than = 5.0, "lines", 0.0, 1_000_000.0;
    /// How many times the usual number is too many.
    factor = 3.0, "times", 1.0, 1_000.0;
    /// Greatest chance (Poisson) that luck alone brings so many.
    chance = 1e-6, "probability", 0.0, 1.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Error classes",
    doc: "\
Database errors (level ERROR or above) and authentication failures (level WARN or above), told by words of the line \
such as `deadlock`, `too many connections`, `failed login`, `invalid credentials`. A class is told by its name when a \
service has more than `more_than` such lines within `window_s`, more than `factor` times what is usual for it in \
the last 7 days (per minute or per line, whichever is more), and more than luck alone would bring with a chance of `chance`. Severity: `error`.",
    knobs: ErrorClass::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: PerService::default() }),
};

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Cell {
    of_class: u32,
    all: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Series {
    class: Class,
    steps: Steps<Cell>,
    condition: Condition,
    kept: Kept,
    /// Lines of the class since `since`, those of told windows left out.
    usual: u64,
    /// All lines in the same time.
    usual_all: u64,
    since: i64,
}

impl Series {
    /// Lines that a window of `all` lines usually holds, by time or by their share of all, whichever is more.
    fn expected(&self, time: i64, window_s: f64, all: f64) -> f64 {
        let span = (time - self.since).max(LEAST_HISTORY);
        let by_time = self.usual as f64 * super::micros(window_s) as f64 / span as f64;
        // Until there are many lines, the share is not known.
        let by_share = self.usual as f64 * all / self.usual_all.max(LEAST_LINES) as f64;
        by_time.max(by_share)
    }

    fn learn(&mut self, index: i64) {
        for cell in self.steps.range(index, index + 1) {
            self.usual += u64::from(cell.of_class);
            self.usual_all += u64::from(cell.all);
        }
        let time = self.steps.time_of(index);
        if time - self.since > HISTORY {
            self.usual /= 2;
            self.usual_all /= 2;
            self.since = time - HISTORY / 2;
        }
    }
}

struct Detector {
    settings: Vec<ErrorClass>,
    state: PerService<Vec<Series>>,
}

impl Detect for Detector {
    fn line(&mut self, at: &At<'_>, _out: &mut Vec<Finding>) {
        let settings = &self.settings[at.service.profile()];
        if at.late || !settings.enabled {
            return;
        }
        for series in self.state.get_mut(at.service.slot).into_iter().flatten() {
            if let Some(cell) = series.steps.at(at.time) {
                cell.all += 1;
            }
        }
        let Some(class) = at.facts.class else { return };
        let all = self.state.get_or(at.service.slot, Vec::new);
        let place = all.iter().position(|series| series.class == class).unwrap_or_else(|| {
            all.push(Series {
                class,
                steps: Steps::new(settings.window_s, PARTS, at.service.lateness_s, at.time),
                condition: Condition::default(),
                kept: Kept::default(),
                usual: 0,
                usual_all: 0,
                since: at.service.clock.first.min(at.time),
            });
            all.len() - 1
        });
        let series = &mut all[place];
        if let Some(cell) = series.steps.at(at.time) {
            cell.of_class += 1;
            series.kept.add(at.seen, at.time - super::micros(settings.window_s));
        }
    }

    fn advance(&mut self, service: &Service<'_>, closed: i64, out: &mut Vec<Finding>) {
        let settings = &self.settings[service.profile()];
        let Some(all) = self.state.get_mut(service.slot) else { return };
        for series in all {
            for end in series.steps.complete(closed) {
                let (mut lines, mut all_lines) = (0.0, 0.0);
                for cell in series.steps.window(end) {
                    lines += f64::from(cell.of_class);
                    all_lines += f64::from(cell.all);
                }
                let time = series.steps.time_of(end);
                let expected = series.expected(time, settings.window_s, all_lines);
                let holds = lines > settings.more_than
                    && lines > settings.factor * expected
                    && super::state::chance_of(lines, expected) < settings.chance;
                match series.condition.turn(holds.then_some(Severity::Error)) {
                    Turn::No => series.learn(end - 1),
                    Turn::Holds => out.push(service.holds(NAME, time)),
                    Turn::Begins => {
                        let words = series.class.words();
                        let found = Found {
                            detector: NAME,
                            service: service.name(),
                            subject: words,
                            severity: Severity::Error,
                            window: (series.steps.start_of(end), time),
                            time,
                            episode: 0,
                            headline: format!("{words}: {lines} lines within {} s", settings.window_s),
                            value: lines,
                            bound: settings.more_than.max(settings.factor * expected),
                            unit: "lines",
                            reasons: vec![format!("usual are {expected:.1}")],
                            evidence: series.kept.lines(),
                        };
                        out.push(found.into());
                    }
                }
            }
        }
    }

    fn forget(&mut self, slot: usize) {
        self.state.forget(slot);
    }

    super::registry::stored!(1);
}
