//! The book of open alerts: folds findings into them, resolves them, and decides who is told when.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::mute::Ready;
use super::{Alert, AlertChange, AlertSettings, Audience, Cause, Normal, Silence, Status};
use crate::detect::{Anomaly, Finding, SET_BACK, Severity};
use crate::event::EventTime;
use crate::filter::FilterError;
use crate::id::FindingId;

/// Version of [`Snapshot`]; another one is refused.
const VERSION: u32 = 2;
/// Anomaly ids of an alert that are remembered, so that a repeat does not count twice.
const REMEMBERED: usize = 64;
/// What a finding of a closed window may lag behind its service's time: an alert waits so much longer.
const SLACK: i64 = 30_000_000;
/// Silences that are held against alerts within a tick because they changed; those that are left wait for the next one.
const MOST_LOOKS: usize = 2_000;
const DAY: i64 = 86_400_000_000;

/// The time that each service's lines have reached, which alerts are resolved by; `None` for a service that is
/// not known any more.
pub type Clocks<'a> = &'a dyn Fn(&str) -> Option<EventTime>;

/// What became of findings, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Alerts that were opened.
    pub opened: u64,
    /// Notifications: one per record and audience.
    pub notified: u64,
    /// Alerts that the daily budget held back.
    pub held_back: u64,
    /// Anomalies that somebody called normal.
    pub normal: u64,
    /// Anomalies that came twice.
    pub repeated: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    severity: Severity,
    at: i64,
}

/// An open alert and what was told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Incident {
    alert: Alert,
    /// Event time until which something was found or held.
    active_until: i64,
    /// When its next record may be written, by the ticks; set by the next tick where none was yet.
    due: Option<i64>,
    waits: bool,
    /// Severity in its last record.
    published: Option<Severity>,
    told: BTreeMap<String, Told>,
    /// It rests on odd lines and new patterns alone.
    budgeted: bool,
    /// The budget lets it be told.
    granted: bool,
    held_back: bool,
    ids: VecDeque<FindingId>,
    /// Version of the silences, and what of the alert they see, when they were held against it last.
    #[serde(skip)]
    looked: Option<(u64, EventTime, Severity)>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    open: BTreeMap<String, Incident>,
    silences: Vec<Silence>,
    normals: BTreeSet<Normal>,
    now: Option<i64>,
    /// UTC day of the ticks, and what of its budget is used.
    day: i64,
    granted: u64,
    held_back: u64,
    counters: Counters,
}

/// All that a book knows, at one place of the stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    state: State,
}

/// The open alerts of all services.
#[derive(Debug)]
pub struct AlertBook {
    settings: AlertSettings,
    state: State,
    silences: Vec<Ready>,
    /// Rises when a silence begins or ends.
    version: u64,
    pub(super) looks: usize,
}

impl AlertBook {
    /// An empty book; `settings` must have been checked.
    pub fn new(settings: AlertSettings) -> Self {
        Self { settings, state: State::default(), silences: Vec::new(), version: 0, looks: MOST_LOOKS }
    }

    /// Takes a finding. A record follows at a tick, but for the end of an alert that this finding is too late for.
    pub fn push(&mut self, finding: &Finding, out: &mut Vec<AlertChange>) {
        let resolve_after = self.resolve_after();
        match finding {
            Finding::Holds { detector, service, time } => {
                let normals = &self.state.normals;
                if let Some(incident) = self.state.open.get_mut(service)
                    && !incident.is_normal_of(detector, normals)
                    && time.as_micros() <= incident.active_until.saturating_add(resolve_after)
                {
                    incident.active_until = incident.active_until.max(time.as_micros());
                    incident.alert.last_seen = incident.alert.last_seen.max(*time);
                }
            }
            Finding::Anomaly(anomaly) => self.push_anomaly(anomaly, out),
        }
    }

    fn push_anomaly(&mut self, anomaly: &Anomaly, out: &mut Vec<AlertChange>) {
        if self.is_normal(anomaly) {
            self.state.counters.normal += 1;
            return;
        }
        let time = anomaly.time.as_micros();
        let resolve_after = self.resolve_after();
        if let Some(incident) = self.state.open.get(&anomaly.service)
            && time > incident.active_until.saturating_add(resolve_after)
        {
            let now = self.state.now.unwrap_or(time);
            self.resolve(&anomaly.service, now, out);
        }
        let now = self.state.now;
        let wait = self.group_wait();
        let counters = &mut self.state.counters;
        let Some(incident) = self.state.open.get_mut(&anomaly.service) else {
            counters.opened += 1;
            let incident = Incident::open(anomaly, now.map(|now| now.saturating_add(wait)));
            self.state.open.insert(anomaly.service.clone(), incident);
            return;
        };
        if incident.ids.contains(&anomaly.id) {
            counters.repeated += 1;
            return;
        }
        if incident.ids.len() == REMEMBERED {
            incident.ids.pop_front();
        }
        incident.ids.push_back(anomaly.id);
        incident.active_until = incident.active_until.max(time);
        let graver = incident.alert.join(anomaly);
        let leaves_budget = incident.budgeted && !anomaly.is_budgeted();
        incident.budgeted &= anomaly.is_budgeted();
        if leaves_budget && !graver && incident.held_back {
            // It is told after all: that record must differ from the one that was held back.
            incident.alert.revision += 1;
        }
        if (graver || leaves_budget) && !incident.waits {
            incident.waits = true;
            incident.due = now.map(|now| now.saturating_add(wait));
        }
    }

    /// A stream begins, or what was restored goes on, at `now`. Tells nothing: the ticks do.
    pub fn begin(&mut self, now: EventTime) {
        if self.state.now.is_none() {
            self.state.day = now.as_micros().div_euclid(DAY);
            self.state.now = Some(now.as_micros());
        }
        self.rebase(now.as_micros());
    }

    /// A clock that was set back: what was due or told by the time that it showed then is as if by now. The day's
    /// budget stays what it was.
    fn rebase(&mut self, now: i64) {
        if self.state.now.is_none_or(|before| now >= before.saturating_sub(SET_BACK)) {
            return;
        }
        self.state.now = Some(now);
        self.state.day = now.div_euclid(DAY);
        let latest = now.saturating_add(self.group_wait());
        for incident in self.state.open.values_mut() {
            incident.due = incident.due.map(|due| due.min(latest));
            incident.told.values_mut().for_each(|told| told.at = told.at.min(now));
        }
    }

    /// The clock moves on: records that are due, repeats, ends and the notice of the day before.
    pub fn tick(&mut self, now: EventTime, clocks: Clocks<'_>, out: &mut Vec<AlertChange>) {
        self.rebase(now.as_micros());
        let now = self.state.now.map_or(now.as_micros(), |before| before.max(now.as_micros()));
        self.state.now = Some(now);
        self.turn_day(now, out);
        self.end_silences(now);
        self.looks = MOST_LOOKS;
        let services: Vec<String> = self.state.open.keys().cloned().collect();
        for service in services {
            self.tick_alert(&service, now, clocks, out);
        }
    }

    fn tick_alert(&mut self, service: &str, now: i64, clocks: Clocks<'_>, out: &mut Vec<AlertChange>) {
        let (wait, resolve_after) = (self.group_wait(), self.resolve_after());
        let Some(incident) = self.state.open.get_mut(service) else { return };
        let due = *incident.due.get_or_insert(now.saturating_add(wait));
        if incident.waits && now < due {
            return;
        }
        self.publish(service, now, out);
        let Some(incident) = self.state.open.get(service) else { return };
        let over = incident.active_until.saturating_add(resolve_after).saturating_add(SLACK);
        let reached = clocks(service).map_or(now, EventTime::as_micros);
        if reached >= over {
            self.resolve(service, now, out);
        }
    }

    /// Writes the record of an alert that is due at `now`, if there is anything to write, and says who is told.
    fn publish(&mut self, service: &str, now: i64, out: &mut Vec<AlertChange>) {
        let repeat = self.repeat_interval();
        let Some(incident) = self.state.open.get_mut(service) else { return };
        let was_muted = incident.alert.status == Status::Muted;
        let sees = Some((self.version, incident.alert.last_seen, incident.alert.severity));
        let muted = if self.silences.is_empty() {
            false
        } else if incident.looked == sees || (incident.published.is_some() && self.looks == 0) {
            was_muted
        } else {
            incident.looked = sees;
            self.looks = self.looks.saturating_sub(self.silences.len());
            self.silences.iter().any(|ready| ready.matches(&incident.alert))
        };
        incident.alert.status = if muted { Status::Muted } else { Status::Firing };
        let wanting: Vec<&Audience> = self
            .settings
            .audiences
            .iter()
            .filter(|audience| !muted && audience.wants(&incident.alert))
            .collect();
        let severity = incident.alert.severity;
        let untold = |audience: &&&Audience| {
            incident.told.get(&audience.name).is_none_or(|told| told.severity < severity)
        };
        let mut notify: Vec<String> =
            wanting.iter().filter(untold).map(|audience| audience.name.clone()).collect();
        if incident.budgeted && !incident.granted && !notify.is_empty() {
            if (self.state.granted as f64) < self.settings.budget_per_day {
                self.state.granted += 1;
                incident.granted = true;
            } else {
                notify.clear();
                if !incident.held_back {
                    incident.held_back = true;
                    self.state.held_back += 1;
                    self.state.counters.held_back += 1;
                }
            }
        }
        let cause = match incident.published {
            None => Some(Cause::Opened),
            Some(published) if severity > published => Some(Cause::Graver),
            Some(_) if was_muted && !muted => Some(Cause::Unmuted),
            Some(_) if muted && !was_muted => Some(Cause::Muted),
            Some(_) if !notify.is_empty() => Some(Cause::Graver),
            Some(_) => {
                let again = |audience: &&&Audience| {
                    incident.told.get(&audience.name).is_some_and(|told| now - told.at >= repeat)
                };
                notify = wanting.iter().filter(again).map(|audience| audience.name.clone()).collect();
                (!notify.is_empty()).then_some(Cause::Repeat)
            }
        };
        incident.waits = false;
        if let Some(cause) = cause {
            if matches!(cause, Cause::Repeat | Cause::Muted | Cause::Unmuted) {
                incident.alert.revision += 1;
            }
            incident.published = Some(severity);
            for name in &notify {
                incident.told.insert(name.clone(), Told { severity, at: now });
            }
            self.state.counters.notified += notify.len() as u64;
            let held_back = incident.budgeted && incident.held_back && !incident.granted;
            let at = EventTime::from_micros(now);
            out.push(AlertChange { cause, at, alert: incident.alert.clone(), notify, held_back });
        }
    }

    fn resolve(&mut self, service: &str, now: i64, out: &mut Vec<AlertChange>) {
        let Some(incident) = self.state.open.get(service) else { return };
        if incident.published.is_none() || incident.waits {
            // It ends before its record is due, as all but the last of a backlog do: it is told of all the same.
            self.publish(service, now, out);
        }
        let Some(mut incident) = self.state.open.remove(service) else { return };
        let end = incident.active_until.saturating_add(self.resolve_after());
        incident.alert.status = Status::Resolved;
        incident.alert.revision += 1;
        incident.alert.resolved_at = Some(EventTime::from_micros(end));
        let hears =
            |audience: &&Audience| audience.send_resolved && incident.told.contains_key(&audience.name);
        let notify: Vec<String> =
            self.settings.audiences.iter().filter(hears).map(|audience| audience.name.clone()).collect();
        self.state.counters.notified += notify.len() as u64;
        let (cause, at) = (Cause::Resolved, EventTime::from_micros(now));
        out.push(AlertChange { cause, at, alert: incident.alert, notify, held_back: false });
    }

    /// A new UTC day has a new budget, and the notice tells what the old one held back.
    fn turn_day(&mut self, now: i64, out: &mut Vec<AlertChange>) {
        let day = now.div_euclid(DAY);
        if day == self.state.day {
            return;
        }
        let held_back = std::mem::take(&mut self.state.held_back);
        let ended = std::mem::replace(&mut self.state.day, day);
        self.state.granted = 0;
        if held_back == 0 {
            return;
        }
        let audiences = self.settings.audiences.iter();
        let hear = audiences.filter(|audience| audience.least_severity <= Severity::Warning);
        let notify: Vec<String> = hear.map(|audience| audience.name.clone()).collect();
        self.state.counters.notified += notify.len() as u64;
        out.push(AlertChange {
            cause: Cause::Notice,
            at: EventTime::from_micros(now),
            alert: notice(ended, held_back, self.settings.budget_per_day),
            notify,
            held_back: false,
        });
    }

    fn end_silences(&mut self, now: i64) {
        let before = self.silences.len();
        self.silences.retain(|ready| ready.silence.until.as_micros() > now);
        self.version += u64::from(self.silences.len() < before);
        self.state.silences.retain(|silence| silence.until.as_micros() > now);
    }

    /// Silences alerts that match; one of the same id is replaced.
    ///
    /// # Errors
    /// Its filter is none.
    pub fn silence(&mut self, silence: Silence) -> Result<(), FilterError> {
        let ready = Ready::new(silence.clone())?;
        self.unsilence(&silence.id);
        self.version += 1;
        self.silences.push(ready);
        self.state.silences.push(silence);
        Ok(())
    }

    /// Ends a silence; whether there was one.
    pub fn unsilence(&mut self, id: &str) -> bool {
        self.version += 1;
        self.silences.retain(|ready| ready.silence.id != id);
        let before = self.state.silences.len();
        self.state.silences.retain(|silence| silence.id != id);
        self.state.silences.len() < before
    }

    /// The silences in force.
    pub fn silences(&self) -> &[Silence] {
        &self.state.silences
    }

    /// "This is normal": such anomalies join no alert any more; whether that is new.
    pub fn normal(&mut self, normal: Normal) -> bool {
        self.state.normals.insert(normal)
    }

    /// Undoes [`AlertBook::normal`]; whether it was in force.
    pub fn undo_normal(&mut self, normal: &Normal) -> bool {
        self.state.normals.remove(normal)
    }

    /// What was called normal, in the form that a config file has.
    pub fn normals(&self) -> impl Iterator<Item = &Normal> {
        self.state.normals.iter()
    }

    fn is_normal(&self, anomaly: &Anomaly) -> bool {
        is_normal(&self.state.normals, &anomaly.detector, &anomaly.service, &anomaly.subject)
    }

    /// The alerts that go on, by service, as they stand; some may not be on record yet.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.state.open.values().map(|incident| &incident.alert)
    }

    /// Says in a service's open alert where its trouble may come from.
    pub(super) fn lead_with_origin(&mut self, service: &str, text: &str) {
        if let Some(incident) = self.state.open.get_mut(service) {
            incident.alert.lead_with_origin(text);
        }
    }

    /// What became of findings.
    pub fn counters(&self) -> Counters {
        self.state.counters
    }

    /// Alerts that the budget held back on the present UTC day.
    pub fn held_back_today(&self) -> u64 {
        self.state.held_back
    }

    /// All that it knows.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { version: VERSION, state: self.state.clone() }
    }

    /// Takes a snapshot's place in the stream; the settings stay.
    ///
    /// # Errors
    /// The snapshot has another version, or one of its silences cannot be read; nothing is changed then.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), String> {
        if snapshot.version != VERSION {
            return Err(format!(
                "alerts of version {}; this program reads version {VERSION}",
                snapshot.version
            ));
        }
        let silences: Result<Vec<Ready>, FilterError> =
            snapshot.state.silences.iter().cloned().map(Ready::new).collect();
        self.silences = silences.map_err(|error| error.to_string())?;
        self.version += 1;
        self.state = snapshot.state;
        Ok(())
    }

    fn resolve_after(&self) -> i64 {
        micros(self.settings.resolve_after_s)
    }

    fn group_wait(&self) -> i64 {
        micros(self.settings.group_wait_s)
    }

    fn repeat_interval(&self) -> i64 {
        micros(self.settings.repeat_interval_s)
    }
}

impl Incident {
    fn open(anomaly: &Anomaly, due: Option<i64>) -> Self {
        Self {
            alert: Alert::open(anomaly),
            active_until: anomaly.time.as_micros(),
            due,
            waits: true,
            published: None,
            told: BTreeMap::new(),
            budgeted: anomaly.is_budgeted(),
            granted: false,
            held_back: false,
            ids: VecDeque::from([anomaly.id]),
            looked: None,
        }
    }

    /// Whether all that a detector found here is normal by now: then its condition does not keep the alert open.
    fn is_normal_of(&self, detector: &str, normals: &BTreeSet<Normal>) -> bool {
        let mut parts = self.alert.parts.iter().filter(|part| part.detector == detector).peekable();
        parts.peek().is_some()
            && parts.all(|part| is_normal(normals, detector, &self.alert.service, &part.subject))
    }
}

fn is_normal(normals: &BTreeSet<Normal>, detector: &str, service: &str, subject: &str) -> bool {
    let named = |subject: &str| Normal {
        detector: detector.to_owned(),
        service: service.to_owned(),
        subject: subject.to_owned(),
    };
    !normals.is_empty() && (normals.contains(&named(subject)) || normals.contains(&named("")))
}

fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

fn notice(day: i64, held_back: u64, budget: f64) -> Alert {
    let start = EventTime::from_micros(day.saturating_mul(DAY));
    let end = EventTime::from_micros(start.as_micros().saturating_add(DAY));
    let date: String = start.to_string().chars().take(10).collect();
    Alert {
        id: FindingId::of_window("budget", "", "", start, 0),
        revision: 1,
        status: Status::Resolved,
        severity: Severity::Info,
        service: String::new(),
        detector: "budget".to_owned(),
        message: format!(
            "{held_back} more alerts on {date} rest on odd lines alone and were not told (budget {budget})"
        ),
        first_seen: start,
        last_seen: end,
        resolved_at: Some(end),
        count: held_back,
        score: 0.0,
        parts: Vec::new(),
        further: 0,
        evidence: Vec::new(),
        gravest_line: None,
        reasons: Vec::new(),
    }
}
