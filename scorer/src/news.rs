//! What came out of detectors and alerts becomes records on their way out, counted, logged and shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::alert::{AlertChange, Cause, News, Status, Watch};
use engine::detect::{Anomaly, Counters};

use crate::alert;
use crate::anomaly::ODD_LINE;
use crate::board::Board;
use crate::finding::FindingRecord;
use crate::metrics::{AlertLabel, DetectorLabel, Metrics, ReasonLabel};
use crate::sink::Outgoing;

/// Records of alerts as they happen.
pub type AlertFeed = crate::anomaly::Feed<notify::AlertRecord>;

/// Tells what came out.
#[derive(Clone, Debug)]
pub struct Teller {
    metrics: Metrics,
    alerts: AlertFeed,
    board: Board,
    public_url: Option<String>,
    counted: Counters,
    set_back: u64,
    held_back: BTreeMap<&'static str, u64>,
}

impl Teller {
    /// Counts into `metrics`, shows on `alerts` and `board`; `public_url` is where people reach the pages.
    pub fn new(metrics: Metrics, alerts: AlertFeed, board: Board, public_url: Option<String>) -> Self {
        Self {
            metrics,
            alerts,
            board,
            public_url,
            counted: Counters::default(),
            set_back: 0,
            held_back: BTreeMap::new(),
        }
    }

    /// Makes records of everything in `news`, under the model of this digest, and empties it. Odd lines have their
    /// record already.
    pub fn tell(&self, news: &mut News, model: &str, out: &mut Vec<Outgoing>) {
        for anomaly in news.anomalies.drain(..) {
            if anomaly.detector != ODD_LINE {
                self.finding(&anomaly, model, out);
            }
        }
        for change in news.changes.drain(..) {
            self.change(change, model, out);
        }
    }

    fn finding(&self, anomaly: &Anomaly, model: &str, out: &mut Vec<Outgoing>) {
        self.metrics.anomalies.get_or_create(&DetectorLabel::of(&anomaly.detector)).inc();
        let record = FindingRecord::of(anomaly, model);
        record.log();
        match record.outgoing() {
            Ok(outgoing) => out.push(outgoing),
            Err(error) => {
                tracing::error!(%error, id = %anomaly.id, "a finding could not be written as JSON");
            }
        }
    }

    fn change(&self, change: AlertChange, model: &str, out: &mut Vec<Outgoing>) {
        if matches!(change.cause, Cause::Opened | Cause::Graver) {
            let (detector, severity) = (change.alert.detector.clone(), change.alert.severity.as_str());
            self.metrics.alerts.get_or_create(&AlertLabel { detector, severity }).inc();
        }
        if change.held_back && change.cause == Cause::Opened {
            self.metrics.alerts_held_back.inc();
        }
        let begins = matches!(change.cause, Cause::Opened | Cause::Muted);
        if begins && change.alert.status == Status::Muted {
            self.metrics.alerts_muted.inc();
        }
        let record = alert::record_of(change, model, self.public_url.as_deref());
        alert::log(&record);
        match alert::outgoing(&record) {
            Ok(outgoing) => out.push(outgoing),
            Err(error) => {
                tracing::error!(%error, id = record.id, "a record of an alert could not be written as JSON");
            }
        }
        let record = Arc::new(record);
        self.board.alert(Arc::clone(&record));
        self.alerts.publish(record);
    }

    /// Counts what the detectors of all streams did not use.
    pub fn count(&mut self, seen: &Seen) {
        let Counters { late, future, beyond_cap } = seen.counters;
        let before = std::mem::replace(&mut self.counted, seen.counters);
        // A stream that was given away takes its counts along.
        for (reason, now, before) in [
            ("late", late, before.late),
            ("future", future, before.future),
            ("beyond_cap", beyond_cap, before.beyond_cap),
        ] {
            let label = ReasonLabel { reason: reason.to_owned() };
            self.metrics.lines_not_detected.get_or_create(&label).inc_by(now.saturating_sub(before));
        }
        for (detector, held_back) in &seen.held_back {
            let before = self.held_back.insert(detector, *held_back).unwrap_or_default();
            let label = DetectorLabel::of(detector);
            self.metrics.findings_held_back.get_or_create(&label).inc_by(held_back.saturating_sub(before));
        }
        let before = std::mem::replace(&mut self.set_back, seen.set_back);
        if seen.set_back > before {
            self.metrics.clock_set_back.inc_by(seen.set_back - before);
            tracing::warn!(
                "the system clock was set back by more than five seconds: what was due by the time that it showed before is due now"
            );
        }
        self.metrics.detected_services.set(i64::try_from(seen.services).unwrap_or(i64::MAX));
    }
}

/// What the detectors of all streams hold at a tick.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    counters: Counters,
    /// By detector.
    held_back: BTreeMap<&'static str, u64>,
    services: usize,
    set_back: u64,
}

impl Seen {
    /// Adds one stream's.
    pub fn add(&mut self, watch: &Watch) {
        let counters = watch.detectors().counters();
        self.counters.late += counters.late;
        self.counters.future += counters.future;
        self.counters.beyond_cap += counters.beyond_cap;
        for (detector, held_back) in watch.detectors().held_back().filter(|(_, held_back)| *held_back > 0) {
            *self.held_back.entry(detector).or_default() += held_back;
        }
        self.services += watch.detectors().services();
        // One clock for all streams.
        self.set_back = self.set_back.max(watch.detectors().set_back());
    }
}
