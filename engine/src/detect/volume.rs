//! Volume: many more or many fewer lines of a service than usual for the hour of the week.

use serde::{Deserialize, Serialize};

use super::anomaly::Found;
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service};
use super::sketch::Sketch;
use super::state::{Condition, PerService, Turn};
use super::steps::{SECOND, Steps};
use super::{Finding, Severity};

pub(crate) const NAME: &str = "volume";

/// Steps in a window of five minutes.
const PARTS: usize = 5;
const WINDOW_S: f64 = 300.0;
const HOUR: i64 = 3_600 * SECOND;
/// Windows that follow each other within an hour.
const PER_HOUR: usize = 12;
const HOURS: i64 = 168;
/// Rank by which an hour's spread is known: a quarter of its windows is below it.
const LOW: f64 = 0.25;
/// How many times as far as that rank below the median lies what is too few: three standard deviations, of which the
/// rank is 0.674 below the median of a normal distribution. Lines that come in clumps, as those of requests do, spread
/// widely where few clumps come.
const SPREADS: f64 = 3.0 / 0.674;
/// Weight of a window in its cell; halved with every later week.
const WEIGHT: u32 = 16;

knobs!(Volume {
    /// How many times the usual number of lines is too many, and the part of it that is too few.
    factor = 3.0, "times", 1.1, 1_000.0;
    /// Fewest lines that are usual for a window before one is judged.
    least_usual = 20.0, "lines", 1.0, 1_000_000.0;
    /// Fewest lines more or less than usual.
    least_change = 30.0, "lines", 0.0, 1_000_000.0;
    /// History of a service before its hours of the week are used; until then the last hour is.
    history_s = 604_800.0, "s", 86_400.0, 2_419_200.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Volume",
    doc: "\
The lines of a service in 5 minutes, looked at every minute, against what is usual for that hour of the week: \
the median of the same hour's windows in the weeks before (a quantile sketch per hour with a relative error of 1 %, \
older weeks count half), interpolated between hours. Told when there are more than `factor` times as many, or fewer \
than one part in `factor`, `least_change` more or fewer than usual, and more than that hour ever had, or fewer than \
three standard deviations below its median (its spread is known by its lower quartile). Until \
a service has `history_s` of history it is compared with the last hour, and the text says so. A service that is \
silent is not told here but by the heartbeat. Severity: `warning`.",
    knobs: Volume::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: PerService::default() }),
};

#[derive(Debug, Serialize, Deserialize)]
struct State {
    steps: Steps<u32>,
    condition: Condition,
    first: i64,
    /// Whole windows of the last hour, oldest first.
    recent: Vec<u32>,
    /// The hour that is going on, its windows so far and how many they are.
    hour: i64,
    current: Sketch,
    windows: usize,
    /// One cell for each hour of the week; none before the first hour ended.
    week: Vec<Sketch>,
}

/// What is usual at a time.
struct Usual {
    lines: f64,
    least: f64,
    most: f64,
    from: &'static str,
}

struct Detector {
    settings: Vec<Volume>,
    state: PerService<State>,
}

/// What is too few where half of the windows have `median` lines or less, and a quarter `low`.
fn too_few(median: f64, low: f64) -> f64 {
    median - SPREADS * (median - low)
}

fn fence(cell: &Sketch) -> Option<f64> {
    Some(too_few(cell.quantile(0.5)?, cell.quantile(LOW)?))
}

fn cell_of(hour: i64) -> usize {
    hour.rem_euclid(HOURS) as usize
}

impl State {
    fn new(lateness_s: f64, time: i64) -> Self {
        Self {
            steps: Steps::new(WINDOW_S, PARTS, lateness_s, time),
            condition: Condition::default(),
            first: time,
            recent: Vec::new(),
            hour: time.div_euclid(HOUR),
            current: Sketch::default(),
            windows: 0,
            week: Vec::new(),
        }
    }

    /// A whole window, those that follow each other without overlap, has ended at `end` with so many lines.
    fn learn(&mut self, end: i64, lines: u32) {
        let start = end - (WINDOW_S as i64) * SECOND;
        self.pass_to(start.div_euclid(HOUR));
        self.current.add(f64::from(lines), WEIGHT);
        self.windows += 1;
        if self.recent.len() == PER_HOUR {
            self.recent.remove(0);
        }
        self.recent.push(lines);
    }

    /// Ends the hours before `hour`; windows that were never told of had no line.
    fn pass_to(&mut self, hour: i64) {
        let passed = hour - self.hour;
        if passed <= 0 {
            return;
        }
        if self.week.is_empty() {
            self.week = vec![Sketch::default(); HOURS as usize];
        }
        for ended in (hour - passed.min(HOURS))..hour {
            let mut current = Sketch::default();
            let mut windows = 0;
            if ended == self.hour {
                current = std::mem::take(&mut self.current);
                windows = self.windows;
                // The hour in which the first line came is known in part only.
                if self.first.div_euclid(HOUR) == ended {
                    windows = PER_HOUR;
                }
            }
            if windows < PER_HOUR {
                current.add(0.0, (PER_HOUR - windows) as u32 * WEIGHT);
            }
            let cell = &mut self.week[cell_of(ended)];
            cell.halve();
            cell.merge(&current);
        }
        if passed > 1 {
            self.recent.clear();
        }
        self.hour = hour;
        self.current = Sketch::default();
        self.windows = 0;
    }

    /// What is usual for the window that ends at `end`.
    fn usual(&self, end: i64, history: i64) -> Option<Usual> {
        let middle = end - (WINDOW_S as i64) * SECOND / 2;
        if end - self.first >= history {
            return self.usual_of_week(middle);
        }
        if self.recent.len() < PER_HOUR {
            return None;
        }
        let mut sorted = self.recent.clone();
        sorted.sort_unstable();
        let lines = f64::from(sorted[PER_HOUR / 2 - 1] + sorted[PER_HOUR / 2]) / 2.0;
        let mut least = too_few(lines, f64::from(sorted[PER_HOUR / 4 - 1]));
        let mut most = lines;
        // The same hour of earlier days, where there is one: what happens every night is usual.
        for day in 1..7 {
            let hour = middle.div_euclid(HOUR) - day * 24;
            if let Some(cell) = self.week.get(cell_of(hour)).filter(|_| hour * HOUR >= self.first) {
                least = fence(cell).unwrap_or(least).min(least);
                most = cell.greatest().unwrap_or(most).max(most);
            }
        }
        Some(Usual { lines, least, most, from: "the last hour" })
    }

    /// Between the medians of the two hours whose middles are next to `time`.
    fn usual_of_week(&self, time: i64) -> Option<Usual> {
        let before = (time - HOUR / 2).div_euclid(HOUR);
        let share = (time - HOUR / 2).rem_euclid(HOUR) as f64 / HOUR as f64;
        let (a, b) = (self.week.get(cell_of(before))?, self.week.get(cell_of(before + 1))?);
        let (low, high) = (a.quantile(0.5).or(b.quantile(0.5))?, b.quantile(0.5).or(a.quantile(0.5))?);
        let least = fence(a).into_iter().chain(fence(b)).fold(f64::INFINITY, f64::min);
        let most = a.greatest().into_iter().chain(b.greatest()).fold(0.0, f64::max);
        Some(Usual { lines: low + (high - low) * share, least, most, from: "this hour of the week" })
    }
}

impl Detect for Detector {
    fn line(&mut self, at: &At<'_>, _out: &mut Vec<Finding>) {
        let settings = &self.settings[at.service.profile()];
        if at.late || !settings.enabled {
            return;
        }
        let state = self.state.get_or(at.service.slot, || State::new(at.service.lateness_s, at.time));
        if let Some(lines) = state.steps.at(at.time) {
            *lines += 1;
        }
    }

    fn advance(&mut self, service: &Service<'_>, closed: i64, out: &mut Vec<Finding>) {
        let settings = &self.settings[service.profile()];
        let Some(state) = self.state.get_mut(service.slot) else { return };
        for end in state.steps.complete(closed) {
            let lines: u32 = state.steps.window(end).sum();
            let last: u32 = state.steps.range(end - 1, end).sum();
            let time = state.steps.time_of(end);
            let whole = time - state.first >= (WINDOW_S as i64) * SECOND;
            let usual = state.usual(time, super::micros(settings.history_s)).filter(|_| whole);
            let count = f64::from(lines);
            let odd = usual.as_ref().is_some_and(|usual| {
                let high = count > settings.factor * usual.lines && count > usual.most;
                let low = last > 0 && count * settings.factor < usual.lines && count < usual.least;
                usual.lines >= settings.least_usual
                    && (count - usual.lines).abs() >= settings.least_change
                    && (high || low)
            });
            match state.condition.turn(odd.then_some(Severity::Warning)) {
                Turn::No => {}
                Turn::Holds => out.push(service.holds(NAME, time)),
                Turn::Begins => {
                    out.extend(usual.map(|usual| found(settings, service, state, end, count, &usual)))
                }
            }
            if whole && end % PARTS as i64 == 0 {
                state.learn(time, lines);
            }
        }
    }

    fn forget(&mut self, slot: usize) {
        self.state.forget(slot);
    }

    fn needs(&self, service: &Service<'_>) -> Option<String> {
        let settings = &self.settings[service.profile()];
        let state = self.state.get(service.slot)?;
        let more = super::docs::still_needs(settings.history_s, service.clock.newest - state.first)?;
        Some(format!("{more}; until then it is compared with the last hour"))
    }

    super::registry::stored!(1);
}

fn found(
    settings: &Volume,
    service: &Service<'_>,
    state: &State,
    end: i64,
    count: f64,
    usual: &Usual,
) -> Finding {
    let time = state.steps.time_of(end);
    let is_high = count > usual.lines;
    let (bound, than) = if is_high {
        (usual.lines * settings.factor, "more")
    } else {
        (usual.lines / settings.factor, "less")
    };
    Found {
        detector: NAME,
        service: service.name(),
        subject: "",
        severity: Severity::Warning,
        window: (state.steps.start_of(end), time),
        time,
        episode: u32::from(is_high),
        headline: format!(
            "volume: {count} lines in 5 minutes, {than} than {bound:.0}; usual for {} are {:.0}",
            usual.from, usual.lines
        ),
        value: count,
        bound,
        unit: "lines",
        reasons: Vec::new(),
        evidence: Vec::new(),
    }
    .into()
}
