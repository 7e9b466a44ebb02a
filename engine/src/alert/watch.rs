//! The detectors and the alerts of one stream of lines, as one thing that lines and ticks go into and anomalies and
//! records of alerts come out of. Whatever runs them (live, over files, in a page) runs them through here.

use std::sync::Arc;

use super::{AlertBook, AlertChange, AlertSettings, Cause};
use crate::decode::business::BusinessNames;
use crate::detect::{self, Anomaly, Detectors, Finding, Rules, Seen, Sessions, Severity, Thresholds, Tick};
use crate::event::EventTime;
use crate::learnt::{self, Learnt, RestoreError};

/// What is watched for, and who is told.
#[derive(Clone, Debug, Default)]
pub struct WatchSettings {
    /// The detectors' numbers.
    pub detectors: detect::Settings,
    /// Rules of the user.
    pub rules: Arc<Rules>,
    /// Fields of business events.
    pub names: BusinessNames,
    /// Alerts; must have been checked.
    pub alerts: AlertSettings,
}

/// What came out of a line or a tick; reused, so that an ordinary line allocates nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// What detectors found, in order.
    pub anomalies: Vec<Anomaly>,
    /// Records of alerts, in order.
    pub changes: Vec<AlertChange>,
}

impl News {
    /// Whether nothing came out.
    pub const fn is_empty(&self) -> bool {
        self.anomalies.is_empty() && self.changes.is_empty()
    }
}

/// Name among what is learnt.
const NAME: &str = "detectors and alerts";
/// What must speak for a service before it is named as a likely origin, in nats.
const LEAST_NATS: f64 = 3.0;

/// The detectors and alerts of one stream.
#[derive(Debug)]
pub struct Watch {
    bank: Detectors,
    book: AlertBook,
    found: Vec<Finding>,
}

impl Watch {
    /// Has seen nothing.
    pub fn new(settings: &WatchSettings) -> Self {
        let bank = Detectors::new(settings.detectors.clone(), &settings.names);
        Self {
            bank: bank.with_rules(Arc::clone(&settings.rules)),
            book: AlertBook::new(settings.alerts.clone()),
            found: Vec::new(),
        }
    }

    /// Sets the scores that make a line odd: with each model.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.bank.set_thresholds(thresholds);
    }

    /// Sets by what sessions are judged: with each model, `None` where it knows none.
    pub fn set_sessions(&mut self, sessions: Option<Sessions>) {
        self.bank.set_sessions(sessions);
    }

    /// Takes a scored line. `explain` may add to each anomaly before it joins its alert.
    pub fn line(&mut self, seen: &Seen<'_>, explain: &mut dyn FnMut(&mut Anomaly), news: &mut News) {
        self.bank.push(seen, &mut self.found);
        if !self.found.is_empty() {
            self.tell(explain, news);
        }
    }

    /// Takes a line of history: baselines learn of it, nothing is found.
    pub fn learn(&mut self, seen: &Seen<'_>) {
        self.bank.learn(seen);
    }

    /// The clock of history moves on: nothing is told of, and no alert begins.
    pub fn learn_tick(&mut self, tick: Tick) {
        self.bank.tick(tick, &mut self.found);
        self.found.clear();
    }

    /// A stream begins, or what was restored goes on, at `now`: the time between does not count, and whether the input
    /// is behind is not known yet. Tells nothing.
    pub fn begin(&mut self, now: EventTime) {
        self.learn_tick(Tick { now, caught_up: false });
        self.book.begin(now);
    }

    /// The clock moves on.
    pub fn tick(&mut self, tick: Tick, news: &mut News) {
        self.bank.tick(tick, &mut self.found);
        self.tell(&mut |_| {}, news);
        let Self { bank, book, .. } = self;
        let before = news.changes.len();
        book.tick(tick.now, &|service| bank.event_time_of(service), &mut news.changes);
        self.name_origin(&mut news.changes[before..]);
    }

    /// Where several services alert together, each alert that is told now says who is likely the origin.
    fn name_origin(&mut self, changes: &mut [AlertChange]) {
        let is_new = |change: &AlertChange| {
            matches!(change.cause, Cause::Opened | Cause::Graver)
                && change.alert.severity >= Severity::Warning
        };
        let together = self.book.open().filter(|alert| alert.severity >= Severity::Warning).count();
        if together < 2 || !changes.iter().any(is_new) {
            return;
        }
        let Some(now) = self.bank.event_time() else { return };
        let suspects = self.bank.suspects(now);
        let likely: Vec<_> = suspects.iter().take(3).filter(|suspect| suspect.nats > LEAST_NATS).collect();
        let Some((first, others)) = likely.split_first() else { return };
        let mut text = first.service.clone();
        if let Some(reason) = first.reasons.first() {
            text += &format!(" ({reason})");
        }
        if !others.is_empty() {
            let others: Vec<&str> = others.iter().map(|suspect| suspect.service.as_str()).collect();
            text += &format!(", then {}", others.join(", "));
        }
        for change in changes.iter_mut().filter(|change| is_new(change)) {
            change.alert.lead_with_origin(&text);
            self.book.lead_with_origin(&change.alert.service, &text);
        }
    }

    fn tell(&mut self, explain: &mut dyn FnMut(&mut Anomaly), news: &mut News) {
        for mut finding in self.found.drain(..) {
            if let Finding::Anomaly(anomaly) = &mut finding {
                explain(anomaly);
            }
            self.book.push(&finding, &mut news.changes);
            if let Finding::Anomaly(anomaly) = finding {
                news.anomalies.push(*anomaly);
            }
        }
    }

    /// Takes the detector with the largest state out of a snapshot of this component, which begins anew when that is
    /// restored, and names it. `None`, and nothing changed, where the bytes are another component's or have no
    /// detector left.
    pub fn leave_out_largest(component: &str, bytes: &mut Vec<u8>) -> Option<String> {
        if component != NAME {
            return None;
        }
        let (mut bank, book): (detect::Snapshot, super::Snapshot) = learnt::decode(bytes).ok()?;
        let name = bank.leave_out_largest()?;
        bytes.clear();
        learnt::encode(&(bank, book), bytes);
        Some(name)
    }

    /// The detectors.
    pub const fn detectors(&self) -> &Detectors {
        &self.bank
    }

    /// The alerts.
    pub const fn alerts(&self) -> &AlertBook {
        &self.book
    }

    /// The alerts, to silence them or to call them normal.
    pub const fn alerts_mut(&mut self) -> &mut AlertBook {
        &mut self.book
    }
}

impl Learnt for Watch {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> u32 {
        2
    }

    fn snapshot(&self, out: &mut Vec<u8>) {
        // A state that is larger than a snapshot may be becomes nothing, which `restore` refuses.
        if let Ok(bank) = self.bank.snapshot() {
            learnt::encode(&(bank, self.book.snapshot()), out);
        }
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let invalid = |detail: String| RestoreError::Invalid { detail };
        let (bank, book): (detect::Snapshot, super::Snapshot) = learnt::decode(bytes)?;
        let before = self.bank.snapshot().map_err(|error| invalid(error.to_string()))?;
        self.bank.restore(&bank).map_err(|error| invalid(error.to_string()))?;
        if let Err(detail) = self.book.restore(book) {
            self.bank.restore(&before).map_err(|error| invalid(error.to_string()))?;
            return Err(invalid(detail));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alert::Audience;
    use crate::detect::{Origin, Source, Text};
    use crate::event::{Level, LogEvent};
    use crate::id::FindingId;

    struct Line(u64);

    impl Origin for Line {
        fn finding_id(&self, detector: &str) -> FindingId {
            FindingId::of_record(detector, self.source().coordinates(), EventTime::default(), 0, b"x")
        }

        fn source(&self) -> Source {
            Source::File { identity: Text::from("1:2"), path: Text::from("a.log"), offset: self.0 }
        }
    }

    fn settings() -> WatchSettings {
        let alerts = AlertSettings { audiences: vec![Audience::new("webhook")], ..AlertSettings::default() };
        WatchSettings { alerts, ..WatchSettings::default() }
    }

    /// Line number, time in s, service, level.
    fn push(watch: &mut Watch, number: u64, at: i64, service: &str, level: Level, news: &mut News) {
        let event = LogEvent {
            timestamp: EventTime::from_micros(at * 1_000_000),
            service: service.into(),
            level: Some(level),
            message: "Payment gateway refused the call".into(),
            ..LogEvent::default()
        };
        let seen = Seen {
            event: &event,
            score: 0.4,
            percentile: 40.0,
            pattern: 7,
            known_pattern: true,
            origin: &Line(number),
        };
        watch.line(&seen, &mut |_| {}, news);
    }

    fn tick(watch: &mut Watch, at: i64, news: &mut News) {
        watch.tick(Tick { now: EventTime::from_micros(at * 1_000_000), caught_up: true }, news);
    }

    #[test]
    fn six_errors_in_a_window_make_one_alert_and_one_notification() {
        let noon = 1_800_014_400;
        for (lines, alerts) in [(5, 0), (6, 1)] {
            let (mut watch, mut news) = (Watch::new(&settings()), News::default());
            tick(&mut watch, noon + 9, &mut news);
            for (number, second) in [10, 10, 10, 11, 12, 12].into_iter().take(lines).enumerate() {
                push(&mut watch, number as u64, noon + second, "billing_api", Level::Error, &mut news);
            }
            for second in 13..600 {
                tick(&mut watch, noon + second, &mut news);
            }
            let bursts = |name: &&AlertChange| name.alert.detector == "error_burst";
            let told: Vec<&AlertChange> =
                news.changes.iter().filter(|told| !told.notify.is_empty()).collect();
            assert_eq!(told.iter().copied().filter(bursts).count(), alerts, "{lines} lines: {told:?}");
            assert_eq!(told.len(), alerts);
        }
    }

    /// Traces that go from `shop` to `stock` and back, a second each; from `fails_at` on, stock fails and so does shop.
    #[test]
    fn where_several_services_alert_the_likely_origin_is_named() {
        let (mut watch, mut news) = (Watch::new(&settings()), News::default());
        let start = 1_800_000_000;
        let fails_at = start + 1_800;
        let mut number = 0;
        for second in start..fails_at + 90 {
            tick(&mut watch, second, &mut news);
            let fails = second >= fails_at;
            let lines: &[(&str, u64, bool, &str)] = if fails {
                &[
                    ("shop", 1, false, "order begins"),
                    ("stock", 4, true, "cannot reserve"),
                    ("shop", 5, true, "order fails"),
                ]
            } else {
                &[
                    ("shop", 1, false, "order begins"),
                    ("stock", 2, false, "reserved"),
                    ("shop", 3, false, "order done"),
                ]
            };
            for (at, (service, pattern, is_error, message)) in lines.iter().enumerate() {
                number += 1;
                let event = LogEvent {
                    timestamp: EventTime::from_micros(second * 1_000_000 + at as i64 * 50_000),
                    service: (*service).into(),
                    level: Some(if *is_error { Level::Error } else { Level::Info }),
                    message: (*message).into(),
                    attributes: vec![("trace_id".to_owned(), format!("{second}"))],
                    ..LogEvent::default()
                };
                let seen = Seen {
                    event: &event,
                    score: 0.4,
                    percentile: 40.0,
                    pattern: *pattern,
                    known_pattern: true,
                    origin: &Line(number),
                };
                watch.line(&seen, &mut |_| {}, &mut news);
            }
        }
        let named: Vec<&String> = news
            .changes
            .iter()
            .filter_map(|change| change.alert.reasons.first())
            .filter(|reason| reason.starts_with("likely origin: "))
            .collect();
        assert!(!named.is_empty(), "{:?}", news.changes);
        assert!(named.iter().all(|reason| reason.starts_with("likely origin: stock")), "{named:?}");
    }

    #[test]
    fn a_damaged_snapshot_changes_nothing() {
        let mut watch = Watch::new(&settings());
        push(&mut watch, 0, 1_800_000_000, "a", Level::Error, &mut News::default());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        watch.snapshot(&mut before);
        for cut in 0..before.len() {
            assert!(watch.restore(&before[..cut]).is_err(), "{cut}");
        }
        watch.snapshot(&mut after);
        assert_eq!(before, after);
    }

    proptest! {
        #[test]
        fn restored_anywhere_it_goes_on_as_if_nothing_had_been(
            steps in prop::collection::vec((0_usize..3, 0_i64..4, any::<bool>()), 1..120),
            cut in 0_usize..120,
        ) {
            let run = |cut: Option<usize>| {
                let (mut watch, mut news) = (Watch::new(&settings()), News::default());
                let mut at = 1_800_000_000;
                for (number, (service, wait, is_error)) in steps.iter().enumerate() {
                    if cut == Some(number) {
                        let mut bytes = Vec::new();
                        watch.snapshot(&mut bytes);
                        watch = Watch::new(&settings());
                        watch.restore(&bytes).unwrap();
                    }
                    at += wait;
                    let level = if *is_error { Level::Error } else { Level::Info };
                    push(&mut watch, number as u64, at, ["a", "b", "c"][*service], level, &mut news);
                    if *wait > 0 {
                        tick(&mut watch, at, &mut news);
                    }
                }
                news
            };
            prop_assert_eq!(run(None), run(Some(cut)));
        }
    }
}
