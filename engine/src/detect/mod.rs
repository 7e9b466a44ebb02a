//! Scored lines and ticks in, anomalies out. One file per detector and a list of them; each keeps a state per
//! service. Never reads a clock: time comes with the lines and as ticks, so the same stream gives the same findings.

mod anomaly;
mod classes;
pub mod docs;
pub(crate) mod knobs;
mod reader;
mod registry;
mod seen;
mod services;
mod sketch;
mod state;
mod steps;

mod degradation;
mod error_burst;
mod error_class;
mod error_rate;
mod failure_spike;
mod heartbeat;
mod new_pattern;
mod odd_line;
mod odd_session;
mod rules;
mod slow_responses;
mod slow_step;
mod timeout;
mod volume;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decode::business::BusinessNames;
use crate::event::EventTime;
use crate::features::{Canonical, Masked};
use crate::suspect::{self, Suspect, Suspects, Told};
pub(crate) use anomaly::cut;
pub use anomaly::{Anomaly, Evidence, Finding, Severity, Source, Text};
pub use classes::Class;
use knobs::Stream;
pub use knobs::{Knob, STREAM, Section, SettingError, Settings, Value, Written, tables};
pub(crate) use knobs::{Knobs, knobs};
pub use odd_session::Sessions;
use reader::Reader;
use registry::{At, Detect, Service};
pub use registry::{Entry, Filling, REGISTRY, Warming};
pub use rules::{Rule, RuleError, Rules};
use seen::Facts;
pub use seen::{Origin, Seen};
pub use services::OTHER;
use services::{Clock, Services};
pub use sketch::{RELATIVE_ERROR, Sketch};
pub(crate) use state::{load as load_state, save as save_state};
use steps::micros;

/// The masked pattern of a message, at most `most` bytes of it.
fn pattern_of(message: &str, most: usize) -> String {
    let (mut canonical, mut masked) = (Canonical::default(), Masked::default());
    canonical.read(message);
    masked.mask(&canonical);
    cut(masked.pattern(), most).to_owned()
}

/// Version of [`Snapshot`]; another one is refused.
pub const SNAPSHOT_VERSION: u32 = 1;

/// A step of the clock, part of the stream like a line: about one a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// What the clock shows. Some seconds less than before are taken as no step; more is a clock that was set back.
    pub now: EventTime,
    /// The input is neither behind nor down: silence is the services' own.
    pub caught_up: bool,
}

/// The scores above which a line is odd, and above which that is worth a warning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// A line that scores above it is an anomaly.
    pub odd: f64,
    /// A line that scores above it is a warning: what the budget expects to be exceeded so often a day.
    pub warning: f64,
}

impl Default for Thresholds {
    /// Nothing is odd: what holds until a model is there.
    fn default() -> Self {
        Self { odd: 1.0, warning: 1.0 }
    }
}

/// What detectors did not use, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Lines that came after their window was closed.
    pub late: u64,
    /// Lines that were ahead of the clock.
    pub future: u64,
    /// Lines of services beyond the cap.
    pub beyond_cap: u64,
}

/// The states of all detectors at one place of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    stream: Vec<u8>,
    detectors: BTreeMap<String, (u32, Vec<u8>)>,
}

impl Snapshot {
    /// Takes the largest state of a detector out, and names it; `None` where there is none left.
    pub(crate) fn leave_out_largest(&mut self) -> Option<String> {
        let largest = self.detectors.iter().max_by_key(|(_, (_, bytes))| bytes.len())?.0.clone();
        self.detectors.remove(&largest);
        Some(largest)
    }
}

/// Why a snapshot cannot be taken or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of {part} cannot be used: {detail}")]
pub struct SnapshotError {
    /// Whose state.
    pub part: String,
    /// Why.
    pub detail: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct StreamState {
    clocks: Vec<Clock>,
    now: Option<i64>,
    live: i64,
    newest: i64,
    counters: Counters,
    free: Vec<usize>,
}

/// Name of what suspicion rests on among the states.
const SUSPECTS: &str = "suspects";

/// Name of the user's rules among the states; their anomalies are named by the rule.
const RULES: &str = "rules";

/// How long a service must have been silent before its slot may go to another one, in microseconds.
const GONE: i64 = 86_400 * steps::SECOND;

/// Closing windows is tried whenever a service's time passes a multiple of this, in microseconds.
const GRID: i64 = 5 * steps::SECOND;

/// What passes between two ticks counts at most so long, in microseconds: a process that was stopped or a clock that
/// was set heard nobody, and that is no silence of the services.
const MOST_PASSED: i64 = 3 * steps::SECOND;

/// A clock that shows so much less than before was set back, in microseconds.
pub(crate) const SET_BACK: i64 = 5 * steps::SECOND;

/// A service whose lines are further ahead of the clock than this beyond `future_s`, because the clock was ahead when
/// they came, begins anew; less is waited for. In microseconds.
const AHEAD: i64 = 900 * steps::SECOND;

/// The years 1 to 9999: a line that claims to be of before or after is taken as of its end, and sums of times stay
/// within their range.
const TIMES: (i64, i64) = (-62_135_596_800 * steps::SECOND, 253_402_300_799 * steps::SECOND);

/// A detector of the bank.
struct Banked {
    name: &'static str,
    /// [`Detect::cares`], which does not change.
    cares: u8,
    detector: Box<dyn Detect>,
}

impl Banked {
    fn new(name: &'static str, detector: Box<dyn Detect>) -> Self {
        Self { name, cares: detector.cares(), detector }
    }
}

/// The whole bank of detectors for one stream of lines: those of one partition, or of all.
pub struct Detectors {
    settings: Settings,
    stream: Vec<Stream>,
    reader: Reader,
    thresholds: Thresholds,
    sessions: Option<Sessions>,
    rules: Option<Arc<Rules>>,
    services: Services,
    suspects: Suspects,
    bank: Vec<Banked>,
    now: Option<i64>,
    live: i64,
    newest: i64,
    counters: Counters,
    free: Vec<usize>,
    /// As the last tick said.
    caught_up: bool,
    /// What was restored has not met a clock yet.
    restored: bool,
    set_back: u64,
}

impl std::fmt::Debug for Detectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detectors")
            .field("services", &self.services.clocks.len())
            .field("now", &self.now)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Detectors {
    /// A bank with these settings that has seen nothing.
    pub fn new(settings: Settings, names: &BusinessNames) -> Self {
        let stream: Vec<Stream> = settings.typed(STREAM);
        let on = REGISTRY.iter().filter(|entry| settings.is_on(entry.name));
        let bank = on.map(|entry| Banked::new(entry.name, (entry.make)(&settings))).collect();
        let most = stream.first().map_or(1, |stream| stream.most_services as usize);
        Self {
            stream,
            reader: Reader::new(names),
            thresholds: Thresholds::default(),
            sessions: None,
            rules: None,
            services: Services::new(most),
            suspects: Suspects::default(),
            bank,
            settings,
            now: None,
            live: 0,
            newest: i64::MIN,
            counters: Counters::default(),
            free: Vec::new(),
            caught_up: false,
            restored: false,
            set_back: 0,
        }
    }

    /// With rules of the user beside the detectors of the list.
    #[must_use]
    pub fn with_rules(mut self, rules: impl Into<Arc<Rules>>) -> Self {
        let rules = rules.into();
        if rules.is_empty() {
            return self;
        }
        self.bank.push(Banked::new(RULES, Box::new(rules::Detector::new(Arc::clone(&rules)))));
        self.rules = Some(rules);
        self
    }

    /// Sets the scores that make a line odd: with each model.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
        self.bank.iter_mut().for_each(|banked| banked.detector.set_thresholds(thresholds));
    }

    /// Sets by what sessions are judged: with each model. Open sessions stay open where it puts lines together in the
    /// same way as the one before, and are dropped otherwise.
    pub fn set_sessions(&mut self, sessions: Option<Sessions>) {
        self.bank.iter_mut().for_each(|banked| banked.detector.set_sessions(sessions.as_ref()));
        self.sessions = sessions;
    }

    /// Takes a line; what follows from it is appended to `out`.
    pub fn push(&mut self, seen: &Seen<'_>, out: &mut Vec<Finding>) {
        let event = seen.event;
        let slot = self.slot(&event.service);
        let mut time = event.timestamp.as_micros().clamp(TIMES.0, TIMES.1);
        let Self { services, suspects, stream, counters, bank, .. } = self;
        let clock = &mut services.clocks[slot];
        let stream = &stream[clock.profile.min(stream.len() - 1)];
        if let Some(now) = self.now
            && time > now.saturating_add(micros(stream.future_s))
        {
            counters.future += 1;
            // What is behind the clock has lines to come that are older than it.
            time = match (self.caught_up, clock.has_spoken()) {
                (true, _) => now,
                (false, true) => now.min(clock.newest),
                (false, false) => return,
            };
        }
        let lateness = micros(stream.lateness_s);
        let late = clock.has_spoken() && time < clock.newest.saturating_sub(lateness);
        if late {
            counters.late += 1;
        } else {
            clock.first = clock.first.min(time);
            clock.newest = clock.newest.max(time);
            clock.now = clock.now.max(clock.newest);
            self.newest = self.newest.max(clock.now);
        }
        clock.lines += 1;
        let closed = clock.now.saturating_sub(lateness);
        let crosses = closed.div_euclid(GRID) > clock.closed.div_euclid(GRID);
        if crosses {
            clock.closed = closed;
        }
        let service = Service { slot, clock, lateness_s: stream.lateness_s, live: self.live };
        if crosses {
            bank.iter_mut().for_each(|banked| banked.detector.advance(&service, closed, out));
        }
        let facts = Facts::of(event, &mut self.reader);
        let told = Told {
            service: service.name(),
            pattern: seen.pattern,
            message: &event.message,
            trace: facts.business.transaction_id,
            time,
            is_error: facts.is_error,
        };
        let took = if late { None } else { suspects.follow(&told) };
        let at = At { service, seen, facts: &facts, time, late, took };
        let line = at.has(self.thresholds.odd, self.sessions.is_some());
        for banked in bank.iter_mut().filter(|banked| banked.cares & line != 0) {
            banked.detector.line(&at, out);
        }
        services.clocks[slot].heard = self.live;
    }

    /// Takes a line of history: baselines learn of it, and what would have been found is not told.
    pub fn learn(&mut self, seen: &Seen<'_>) {
        let mut untold = Vec::new();
        self.push(seen, &mut untold);
    }

    /// The clock moves on: windows of silent services close, silence is noticed.
    pub fn tick(&mut self, tick: Tick, out: &mut Vec<Finding>) {
        let now = tick.now.as_micros().clamp(TIMES.0, TIMES.1);
        let before = self.now.unwrap_or(now);
        let is_set_back = now < before.saturating_sub(SET_BACK);
        if is_set_back {
            self.set_back += 1;
        }
        if is_set_back || std::mem::take(&mut self.restored) {
            self.begin_those_ahead_anew(now);
        }
        self.now = Some(if is_set_back { now } else { before.max(now) });
        self.caught_up = tick.caught_up;
        if tick.caught_up {
            self.live = self.live.saturating_add(now.saturating_sub(before).clamp(0, MOST_PASSED));
        }
        for slot in 0..self.services.clocks.len() {
            self.tick_service(slot, tick.caught_up, out);
        }
        if self.services.is_full() && self.free.is_empty() {
            let live = self.live;
            let gone =
                |(slot, clock): (usize, &Clock)| (slot > 0 && live - clock.heard > GONE).then_some(slot);
            self.free = self.services.clocks.iter().enumerate().filter_map(gone).collect();
        }
    }

    /// Services whose clock ran ahead of `now` would take their lines as late until that time comes.
    fn begin_those_ahead_anew(&mut self, now: i64) {
        let Self { services, stream, bank, .. } = self;
        let mut any = false;
        for slot in 0..services.clocks.len() {
            let clock = &services.clocks[slot];
            let future = micros(stream[clock.profile.min(stream.len() - 1)].future_s);
            if clock.has_spoken() && clock.now > now.saturating_add(future).saturating_add(AHEAD) {
                services.clocks[slot].begin_anew();
                bank.iter_mut().for_each(|banked| banked.detector.forget(slot));
                any = true;
            }
        }
        if any {
            let spoken = services.clocks.iter().filter(|clock| clock.has_spoken());
            self.newest = spoken.map(|clock| clock.now).max().unwrap_or(i64::MIN);
            self.suspects = Suspects::default();
        }
    }

    fn tick_service(&mut self, slot: usize, is_live: bool, out: &mut Vec<Finding>) {
        let Self { services, stream, bank, .. } = self;
        let clock = &mut services.clocks[slot];
        if !clock.has_spoken() {
            return;
        }
        let stream = &stream[clock.profile.min(stream.len() - 1)];
        let silent = self.live - clock.heard;
        let mut crosses = false;
        if silent >= micros(stream.idle_s) {
            clock.now = clock.now.max(clock.newest.saturating_add(silent));
            self.newest = self.newest.max(clock.now);
            let closed = clock.now.saturating_sub(micros(stream.lateness_s));
            crosses = closed.div_euclid(GRID) > clock.closed.div_euclid(GRID);
            if crosses {
                clock.closed = closed;
            }
        }
        let closed = clock.closed;
        let service = Service { slot, clock, lateness_s: stream.lateness_s, live: self.live };
        for Banked { detector, .. } in bank.iter_mut() {
            if crosses {
                detector.advance(&service, closed, out);
            }
            detector.tick(&service, is_live, out);
        }
    }

    fn slot(&mut self, name: &str) -> usize {
        let Self { services, settings, .. } = self;
        let slot = services.slot(name, |name| settings.index_of(name));
        if slot != 0 || name == OTHER {
            return slot;
        }
        match self.free.pop() {
            // It may have spoken again since it was put on the list.
            Some(free) if self.live - services.clocks[free].heard > GONE => {
                services.rename(free, cut(name, 1_024), settings.index_of(name));
                self.bank.iter_mut().for_each(|banked| banked.detector.forget(free));
                free
            }
            _ => {
                self.counters.beyond_cap += 1;
                0
            }
        }
    }

    /// The services that the trouble of the two minutes before `now` may come from, the likeliest first: for when
    /// several alert together.
    pub fn suspects(&self, now: EventTime) -> Vec<Suspect> {
        self.suspects.rank(now.as_micros())
    }

    /// The newest event time that any service has reached; what alerts resolve by. `None` before the first line.
    pub fn event_time(&self) -> Option<EventTime> {
        (self.newest > i64::MIN).then(|| EventTime::from_micros(self.newest))
    }

    /// The event time that a service has reached.
    pub fn event_time_of(&self, service: &str) -> Option<EventTime> {
        let clock = &self.services.clocks[self.services.find(service)?];
        clock.has_spoken().then(|| EventTime::from_micros(clock.now))
    }

    /// Services that have a state of their own.
    pub fn services(&self) -> usize {
        self.services.clocks.len() - 1
    }

    /// What was not used.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How often the clock was set back by more than five seconds, since the start of the process.
    pub const fn set_back(&self) -> u64 {
        self.set_back
    }

    /// What each detector left untold because there was too much of it.
    pub fn held_back(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.bank.iter().map(|banked| (banked.name, banked.detector.held_back()))
    }

    /// The newest windows of all services that are being filled, those of detectors that tell of windows before
    /// their end.
    pub fn fillings(&self) -> impl Iterator<Item = Filling> {
        let spoken = self.services.clocks.iter().enumerate().filter(|(_, clock)| clock.has_spoken());
        spoken.flat_map(|(slot, clock)| {
            let service = Service { slot, clock, lateness_s: 0.0, live: self.live };
            self.bank.iter().filter_map(move |banked| banked.detector.filling(&service))
        })
    }

    /// What detectors still need before they can say something of a service; at most `most` entries.
    pub fn warming(&self, most: usize) -> Vec<Warming> {
        let mut all = Vec::new();
        for (slot, clock) in self.services.clocks.iter().enumerate().filter(|(_, clock)| clock.has_spoken()) {
            let service = Service { slot, clock, lateness_s: 0.0, live: self.live };
            for Banked { name: detector, detector: bank, .. } in &self.bank {
                if all.len() == most {
                    return all;
                }
                let needs = bank.needs(&service);
                all.extend(needs.map(|needs| Warming { detector, service: clock.name.clone(), needs }));
            }
        }
        all
    }

    /// All states, as they are after the lines and ticks so far.
    ///
    /// # Errors
    /// A state is larger than a snapshot may be.
    pub fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        let failed = |part: &str, detail| SnapshotError { part: part.to_owned(), detail };
        let stream = StreamState {
            clocks: self.services.clocks.clone(),
            now: self.now,
            live: self.live,
            newest: self.newest,
            counters: self.counters,
            free: self.free.clone(),
        };
        let mut detectors = BTreeMap::new();
        for Banked { name, detector, .. } in &self.bank {
            detectors.insert((*name).to_owned(), detector.save().map_err(|detail| failed(name, detail))?);
        }
        let bytes = self.suspects.save().map_err(|detail| failed(SUSPECTS, detail))?;
        detectors.insert(SUSPECTS.to_owned(), (suspect::VERSION, bytes));
        let stream = state::save(&stream).map_err(|detail| failed("the stream", detail))?;
        Ok(Snapshot { version: SNAPSHOT_VERSION, stream, detectors })
    }

    /// Takes all states back; detectors that the snapshot does not know begin empty.
    ///
    /// # Errors
    /// The snapshot or one of its states is damaged or of another version; nothing is changed then.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let failed = |part: &str, detail| SnapshotError { part: part.to_owned(), detail };
        if snapshot.version != SNAPSHOT_VERSION {
            let detail =
                format!("version {}; this program reads version {SNAPSHOT_VERSION}", snapshot.version);
            return Err(failed("the stream", detail));
        }
        let stream: StreamState =
            state::load(&snapshot.stream).map_err(|detail| failed("the stream", detail))?;
        let mut bank: Vec<Banked> = Vec::new();
        for entry in REGISTRY.iter().filter(|entry| self.settings.is_on(entry.name)) {
            bank.push(Banked::new(entry.name, (entry.make)(&self.settings)));
        }
        if let Some(rules) = &self.rules {
            bank.push(Banked::new(RULES, Box::new(rules::Detector::new(Arc::clone(rules)))));
        }
        for Banked { name, detector, .. } in &mut bank {
            detector.set_thresholds(self.thresholds);
            if let Some((version, bytes)) = snapshot.detectors.get(*name) {
                detector.load(*version, bytes).map_err(|detail| failed(name, detail))?;
            }
            if self.sessions.is_some() {
                detector.set_sessions(self.sessions.as_ref());
            }
        }
        let mut suspects = Suspects::default();
        if let Some((version, bytes)) = snapshot.detectors.get(SUSPECTS) {
            suspects.load(*version, bytes).map_err(|detail| failed(SUSPECTS, detail))?;
        }
        self.suspects = suspects;
        let Self { services, settings, .. } = self;
        services.restore(stream.clocks, |name| settings.index_of(name));
        self.bank = bank;
        self.now = stream.now;
        self.live = stream.live;
        self.newest = stream.newest;
        self.counters = stream.counters;
        self.free = stream.free;
        self.restored = true;
        Ok(())
    }
}
