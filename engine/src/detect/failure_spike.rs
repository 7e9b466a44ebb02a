//! Failure-rate spike: more failures of one kind of transaction than its own last days would bring.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::anomaly::{Found, Kept};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service, cares};
use super::state::{Condition, PerService, Turn};
use super::steps::Steps;
use super::{Finding, Severity};

pub(crate) const NAME: &str = "failure_spike";

/// Steps in a window.
const PARTS: usize = 10;

/// Transaction names of a service that have a series of their own.
const MOST_NAMES: usize = 64;

/// Name of the series of all others.
const OTHERS: &str = "__other__";

const DAY: i64 = 86_400 * super::steps::SECOND;

/// Days that a baseline reaches back, the present one not counted.
const DAYS: usize = 7;

knobs!(FailureSpike {
    /// Length of the sliding window.
    window_s = 300.0, "s", 10.0, 86_400.0;
    /// How many times the usual number of failures is too many.
    factor = 2.0, "times", 1.0, 1_000.0;
    /// Fewest transactions of a window that is judged.
    least_events = 20.0, "transactions", 1.0, 1_000_000.0;
    /// Fewest failures beyond the usual number.
    least_more = 5.0, "failures", 0.0, 1_000_000.0;
    /// Greatest chance (Poisson) that luck alone brings so many failures.
    chance = 1e-5, "probability", 0.0, 1.0;
    /// History that is needed before anything is told.
    history_s = 86_400.0, "s", 300.0, 604_800.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Failure-rate spike",
    doc: "\
For each transaction name of a service: the failures among the transactions that ended within `window_s`, against \
the share that failed in the last 7 days (baseline; windows that were told are left out of it). It is told when \
there are more than `factor` times as many failures as that share would bring, `least_more` more, among \
`least_events` transactions or more, and when luck alone would bring so many with a chance below `chance`. An \
event counts when it tells an outcome or the end of a phase. Up to 64 names of a service have a baseline of their own. \
Severity: `error`.",
    knobs: FailureSpike::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: PerService::default() }),
};

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Cell {
    ended: u32,
    failed: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Series {
    steps: Steps<Cell>,
    first: i64,
    /// Day number, transactions that ended, failures; oldest first.
    days: VecDeque<(i64, u64, u64)>,
    condition: Condition,
    kept: Kept,
}

struct Detector {
    settings: Vec<FailureSpike>,
    state: PerService<BTreeMap<String, Series>>,
}

impl Series {
    fn learn(&mut self, index: i64) {
        let (mut ended, mut failed) = (0, 0);
        for cell in self.steps.range(index, index + 1) {
            ended += u64::from(cell.ended);
            failed += u64::from(cell.failed);
        }
        if ended == 0 {
            return;
        }
        let day = self.steps.time_of(index).div_euclid(DAY);
        match self.days.back_mut() {
            Some(last) if last.0 >= day => {
                last.1 += ended;
                last.2 += failed;
            }
            _ => self.days.push_back((day, ended, failed)),
        }
        while self.days.front().is_some_and(|first| first.0 < day - DAYS as i64) {
            self.days.pop_front();
        }
    }

    /// The usual share of failures.
    fn usual(&self) -> Option<f64> {
        let (ended, failed) = self.days.iter().fold((0, 0), |sum, day| (sum.0 + day.1, sum.1 + day.2));
        (ended > 0).then(|| failed as f64 / ended as f64)
    }
}

impl Detect for Detector {
    fn cares(&self) -> u8 {
        cares::OUTCOME
    }

    fn line(&mut self, at: &At<'_>, _out: &mut Vec<Finding>) {
        let settings = &self.settings[at.service.profile()];
        let business = &at.facts.business;
        let ended = business.outcome.is_some() || at.facts.has_ended();
        if at.late || !ended || !settings.enabled {
            return;
        }
        let names = self.state.get_or(at.service.slot, BTreeMap::new);
        let name = super::cut(business.name.unwrap_or_default(), 128);
        let name = if names.len() >= MOST_NAMES && !names.contains_key(name) { OTHERS } else { name };
        if !names.contains_key(name) {
            let series = Series {
                steps: Steps::new(settings.window_s, PARTS, at.service.lateness_s, at.time),
                first: at.time,
                days: VecDeque::new(),
                condition: Condition::default(),
                kept: Kept::default(),
            };
            names.insert(name.to_owned(), series);
        }
        let Some(series) = names.get_mut(name) else { return };
        let Some(cell) = series.steps.at(at.time) else { return };
        cell.ended += 1;
        if at.facts.failed() {
            cell.failed += 1;
            series.kept.add(at.seen, at.time - super::micros(settings.window_s));
        }
    }

    fn advance(&mut self, service: &Service<'_>, closed: i64, out: &mut Vec<Finding>) {
        let settings = &self.settings[service.profile()];
        let Some(names) = self.state.get_mut(service.slot) else { return };
        for (name, series) in names {
            for end in series.steps.complete(closed) {
                judge(settings, service, name, series, end, out);
            }
        }
    }

    fn forget(&mut self, slot: usize) {
        self.state.forget(slot);
    }

    fn needs(&self, service: &Service<'_>) -> Option<String> {
        let settings = &self.settings[service.profile()];
        let names = self.state.get(service.slot)?;
        let first = names.values().map(|series| series.first).min()?;
        super::docs::still_needs(settings.history_s, service.clock.newest - first)
    }

    super::registry::stored!(1);
}

fn judge(
    settings: &FailureSpike,
    service: &Service<'_>,
    name: &str,
    series: &mut Series,
    end: i64,
    out: &mut Vec<Finding>,
) {
    let (mut ended, mut failed) = (0u64, 0u64);
    for cell in series.steps.window(end) {
        ended += u64::from(cell.ended);
        failed += u64::from(cell.failed);
    }
    let (ended, failed) = (ended as f64, failed as f64);
    let time = series.steps.time_of(end);
    let warm = time - series.first >= super::micros(settings.history_s);
    let expected = series.usual().filter(|_| warm).map(|share| share * ended);
    let holds = expected.is_some_and(|expected| {
        ended >= settings.least_events
            && failed > settings.factor * expected
            && failed >= expected + settings.least_more
            && super::state::chance_of(failed, expected) < settings.chance
    });
    match series.condition.turn(holds.then_some(Severity::Error)) {
        Turn::No => series.learn(end - 1),
        Turn::Holds => out.push(service.holds(NAME, time)),
        Turn::Begins => {
            let expected = expected.unwrap_or_default();
            let named = if name.is_empty() { String::new() } else { format!(" of {name}") };
            let found = Found {
                detector: NAME,
                service: service.name(),
                subject: name,
                severity: Severity::Error,
                window: (series.steps.start_of(end), time),
                time,
                episode: 0,
                headline: format!(
                    "{failed} of {ended} transactions{named} failed within {} s; usual are {expected:.1}",
                    settings.window_s
                ),
                value: failed,
                bound: settings.factor * expected,
                unit: "failures",
                reasons: vec![format!("usual: what failed in the last {DAYS} days")],
                evidence: series.kept.lines(),
            };
            out.push(found.into());
        }
    }
}
