//! Missing heartbeat: a service, or a line that it writes regularly, has fallen silent.

use serde::{Deserialize, Serialize};

use super::anomaly::{self, Evidence, Found};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service};
use super::state::PerService;
use super::steps::SECOND;
use super::{Finding, Severity, micros};

pub(crate) const NAME: &str = "missing_heartbeat";

/// Patterns of a service that are watched for regularity.
const MOST_PATTERNS: usize = 64;
/// Gaps before a pattern or service is known well enough.
const LEAST_GAPS: u32 = 20;
/// Length of the steps in which it is remembered whether a service spoke, and how many: 8 days.
const ACTIVE_STEP: i64 = 900 * SECOND;
const ACTIVE_STEPS: i64 = 768;
const DAY: i64 = 86_400 * SECOND;
/// How much the gaps of a pattern vary at most, as a share of their mean, and how long they are at least, in
/// microseconds, where its silence is told.
const REGULAR: f64 = 0.25;
const LEAST_PERIOD: f64 = (5 * SECOND) as f64;
/// How often a silence that goes on is told to hold, in microseconds.
const AGAIN: i64 = 30 * SECOND;

knobs!(Heartbeat {
    /// Silence that is told, where lines usually come more often than five times in it.
    silence_s = 300.0, "s", 30.0, 86_400.0;
    /// Silence of so many periods is told, where lines come regularly.
    periods = 5.0, "periods", 2.0, 1_000.0;
    /// Silence of so many mean gaps is told, where lines come irregularly.
    gaps = 15.0, "mean gaps", 2.0, 1_000.0;
    /// How long a service must have been there to be known.
    known_after_s = 3_600.0, "s", 60.0, 604_800.0;
    /// A silence that lasts so long is that of a retired service.
    retire_after_s = 86_400.0, "s", 600.0, 2_592_000.0;
    /// A service whose lines come at least this often a minute is busy.
    busy_per_minute = 30.0, "lines/min", 0.0, 1_000_000.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Missing heartbeat",
    doc: "\
A known service that has been silent for `silence_s`, for `periods` of its periods where its lines come regularly, or \
for `gaps` of its mean gaps where they do not, whichever is longest; and a pattern that came regularly and did not for \
as long while its service speaks. A silence is usual, and not told, where the service was silent at that time on half of \
the last 7 days or a week before. What is silent for `retire_after_s` is retired: it stops alarming. Time during \
which the input is behind or down does not count. Severity: `critical` for a busy service, `error` for another one, \
`warning` for a pattern.",
    knobs: Heartbeat::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: PerService::default() }),
};

/// Gaps between lines: their mean and how much they vary, the last 32 or so.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Gaps {
    count: u32,
    mean: f64,
    variance: f64,
}

impl Gaps {
    fn add(&mut self, gap: i64) {
        let gap = gap as f64;
        self.count = self.count.saturating_add(1);
        // A division takes as long as all the rest; its result is the same.
        let share = if self.count < 32 { 1.0 / f64::from(self.count) } else { 1.0 / 32.0 };
        let off = gap - self.mean;
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
    }

    fn is_regular(&self, at_most: f64) -> bool {
        self.count >= LEAST_GAPS && self.variance.sqrt() < at_most * self.mean
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Beat {
    pattern: u64,
    last: i64,
    gaps: Gaps,
    /// Kept only while it comes regularly: of the others nothing is told, and they are many.
    text: String,
    told: bool,
}

impl Beat {
    fn may_be_told(&self, at_most: f64) -> bool {
        self.gaps.mean >= LEAST_PERIOD && self.gaps.is_regular(at_most)
    }

    fn keep_text(&mut self, at: &At<'_>) {
        if self.text.is_empty() {
            if self.may_be_told(REGULAR) {
                self.text = super::pattern_of(&at.seen.event.message, 256);
            }
        } else if !self.may_be_told(2.0 * REGULAR) {
            self.text = String::new();
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    first: i64,
    last: i64,
    gaps: Gaps,
    lines: u64,
    /// Whether it spoke in each of the last steps, as a ring of bits.
    active: Vec<u64>,
    active_at: i64,
    line: Option<Evidence>,
    /// What the live clock showed when the silence was told last.
    told: Option<i64>,
    retired: bool,
    /// In order of their patterns.
    beats: Vec<Beat>,
    #[serde(skip)]
    hints: Hints,
}

/// Where a pattern was found last: checked before it is used, so it changes nothing.
#[derive(Debug)]
struct Hints([u8; HINTS]);

const HINTS: usize = 128;

impl Default for Hints {
    fn default() -> Self {
        Self([0; HINTS])
    }
}

impl Hints {
    fn of(&mut self, pattern: u64) -> &mut u8 {
        &mut self.0[pattern as usize % HINTS]
    }
}

struct Detector {
    settings: Vec<Heartbeat>,
    state: PerService<State>,
}

impl State {
    fn new(time: i64) -> Self {
        Self {
            first: time,
            last: time,
            gaps: Gaps::default(),
            lines: 0,
            active: vec![0; (ACTIVE_STEPS / 64) as usize],
            active_at: time.div_euclid(ACTIVE_STEP),
            line: None,
            told: None,
            retired: false,
            beats: Vec::new(),
            hints: Hints::default(),
        }
    }

    fn bit(step: i64) -> (usize, u64) {
        let place = step.rem_euclid(ACTIVE_STEPS);
        ((place / 64) as usize, 1 << (place % 64))
    }

    fn mark(&mut self, time: i64) {
        // Most lines come in the step of the one before, which is marked.
        if self.lines > 1 && (0..ACTIVE_STEP).contains(&(time - self.active_at * ACTIVE_STEP)) {
            return;
        }
        let step = time.div_euclid(ACTIVE_STEP);
        for silent in (step - ACTIVE_STEPS).max(self.active_at) + 1..=step {
            let (word, bit) = Self::bit(silent);
            self.active[word] &= !bit;
        }
        self.active_at = self.active_at.max(step);
        let (word, bit) = Self::bit(step);
        self.active[word] |= bit;
    }

    /// Whether it spoke all around a time; `None` where that is not known. Before its first line it was silent.
    fn spoke_around(&self, time: i64) -> Option<bool> {
        let step = time.div_euclid(ACTIVE_STEP);
        if (step + 1) * ACTIVE_STEP <= self.first || step - 1 <= self.active_at - ACTIVE_STEPS {
            return None;
        }
        let spoke = |step| {
            let (word, bit) = Self::bit(step);
            step <= self.active_at && self.active[word] & bit != 0
        };
        Some(spoke(step - 1) && spoke(step) && spoke(step + 1))
    }

    fn silence_is_usual(&self, time: i64) -> bool {
        let (mut known, mut silent) = (0, 0);
        for day in 1..=7 {
            if let Some(spoke) = self.spoke_around(time - day * DAY) {
                known += 1;
                silent += u32::from(!spoke);
            }
        }
        (known > 0 && silent * 2 >= known) || self.spoke_around(time - 7 * DAY) == Some(false)
    }

    fn bound(&self, settings: &Heartbeat) -> i64 {
        let times = if self.gaps.is_regular(0.3) { settings.periods } else { settings.gaps };
        micros(settings.silence_s).max((self.gaps.mean * times) as i64)
    }

    fn is_known(&self, settings: &Heartbeat) -> bool {
        self.lines >= u64::from(LEAST_GAPS) && self.last - self.first >= micros(settings.known_after_s)
    }

    fn beat(&mut self, at: &At<'_>) {
        let pattern = at.seen.pattern;
        let hint = self.hints.of(pattern);
        let hinted = usize::from(*hint);
        let found = match self.beats.get(hinted) {
            Some(beat) if beat.pattern == pattern => Ok(hinted),
            _ => self.beats.binary_search_by_key(&pattern, |beat| beat.pattern),
        };
        match found {
            Ok(place) => {
                *hint = place as u8;
                let beat = &mut self.beats[place];
                if at.time > beat.last {
                    beat.gaps.add(at.time - beat.last);
                    beat.last = at.time;
                    beat.told = false;
                    beat.keep_text(at);
                }
            }
            Err(place) if self.beats.len() < MOST_PATTERNS => {
                let text = String::new();
                let beat = Beat { pattern, last: at.time, gaps: Gaps::default(), text, told: false };
                self.beats.insert(place, beat);
            }
            Err(_) => {}
        }
    }
}

impl Detect for Detector {
    fn line(&mut self, at: &At<'_>, _out: &mut Vec<Finding>) {
        let settings = &self.settings[at.service.profile()];
        if at.late || at.service.slot == 0 || !settings.enabled {
            return;
        }
        let state = self.state.get_or(at.service.slot, || State::new(at.time));
        state.lines += 1;
        if at.time > state.last {
            // A silence that was told is none of its usual gaps.
            if state.told.is_none() && !state.retired {
                state.gaps.add(at.time - state.last);
            }
            state.last = at.time;
        }
        state.told = None;
        state.retired = false;
        state.mark(at.time);
        state.beat(at);
        // Kept now and then: it only shows what the service used to say.
        if state.line.as_ref().is_none_or(|line| line.time.as_micros() < at.time - 10 * SECOND) {
            anomaly::put(&mut state.line, at.seen);
        }
    }

    fn advance(&mut self, service: &Service<'_>, closed: i64, out: &mut Vec<Finding>) {
        let settings = &self.settings[service.profile()];
        let Some(state) = self.state.get_mut(service.slot) else { return };
        if state.told.is_some()
            || state.retired
            || !state.is_known(settings)
            || state.last < closed - 60 * SECOND
        {
            return;
        }
        for beat in state.beats.iter_mut().filter(|beat| !beat.told) {
            let silent = closed - beat.last;
            let bound = micros(settings.silence_s).max((beat.gaps.mean * settings.periods) as i64);
            if silent <= bound || !beat.may_be_told(REGULAR) {
                continue;
            }
            beat.told = true;
            let found = Found {
                detector: NAME,
                service: service.name(),
                subject: &beat.text,
                severity: Severity::Warning,
                window: (beat.last, beat.last + bound),
                time: beat.last + bound,
                episode: 0,
                headline: format!(
                    "missing heartbeat: `{}` came every {:.0} s and has not for {:.0} s",
                    beat.text,
                    beat.gaps.mean / 1e6,
                    silent as f64 / 1e6
                ),
                value: silent as f64 / 1e6,
                bound: bound as f64 / 1e6,
                unit: "s",
                reasons: Vec::new(),
                evidence: Vec::new(),
            };
            out.push(found.into());
        }
    }

    fn tick(&mut self, service: &Service<'_>, is_live: bool, out: &mut Vec<Finding>) {
        let silent = service.live - service.clock.heard;
        if silent < AGAIN || !is_live {
            return;
        }
        let settings = &self.settings[service.profile()];
        let Some(state) = self.state.get_mut(service.slot) else { return };
        if state.retired || !settings.enabled || !state.is_known(settings) {
            return;
        }
        let bound = state.bound(settings);
        if silent <= bound || state.told.is_some_and(|told| service.live - told < AGAIN) {
            return;
        }
        if silent > micros(settings.retire_after_s) {
            state.retired = true;
            return;
        }
        let time = state.last.saturating_add(silent);
        if state.silence_is_usual(time) {
            return;
        }
        if state.told.replace(service.live).is_some() {
            out.push(service.holds(NAME, time));
            return;
        }
        let per_minute = 60e6 / state.gaps.mean.max(1.0);
        let busy = per_minute >= settings.busy_per_minute;
        let found = Found {
            detector: NAME,
            service: service.name(),
            subject: "",
            severity: if busy { Severity::Critical } else { Severity::Error },
            window: (state.last, time),
            time,
            episode: 0,
            headline: format!("missing heartbeat: nothing for {:.0} s", silent as f64 / 1e6),
            value: silent as f64 / 1e6,
            bound: bound as f64 / 1e6,
            unit: "s",
            reasons: vec![format!("its lines usually come every {:.1} s", state.gaps.mean / 1e6)],
            evidence: state.line.iter().cloned().collect(),
        };
        out.push(found.into());
    }

    fn forget(&mut self, slot: usize) {
        self.state.forget(slot);
    }

    fn needs(&self, service: &Service<'_>) -> Option<String> {
        let settings = &self.settings[service.profile()];
        let state = self.state.get(service.slot)?;
        if state.is_known(settings) {
            return None;
        }
        super::docs::still_needs(settings.known_after_s, state.last - state.first)
            .or_else(|| Some(format!("{} more lines", u64::from(LEAST_GAPS).saturating_sub(state.lines))))
    }

    super::registry::stored!(1);
}
