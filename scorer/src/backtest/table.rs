//! What a backtest counts by day and detector, and how it is printed.

use std::collections::BTreeMap;
use std::io::{self, Write};

use engine::alert::{Alert, AlertChange, Cause};
use engine::detect::{Anomaly, Severity};
use engine::event::EventTime;
use engine::terminal::{lines, shown, thousands};

/// Longest text of an alert on its line, in characters.
const SHOWN: usize = 100;

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    findings: u64,
    alerts: u64,
    told: u64,
}

/// Counts by UTC day and detector, and the alerts as they stood last.
#[derive(Debug, Default)]
pub struct Days {
    lines: u64,
    by_day: BTreeMap<(String, String), Counts>,
    alerts: BTreeMap<String, (Alert, bool)>,
    held_back: u64,
    any_told: bool,
}

fn day(time: EventTime) -> String {
    time.to_string().chars().take(10).collect()
}

impl Days {
    /// One line more.
    pub fn line(&mut self) {
        self.lines += 1;
    }

    /// Lines so far.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    fn of(&mut self, time: EventTime, detector: &str) -> &mut Counts {
        self.by_day.entry((day(time), detector.to_owned())).or_default()
    }

    /// A finding.
    pub fn anomaly(&mut self, anomaly: &Anomaly) {
        self.of(anomaly.time, &anomaly.detector).findings += 1;
    }

    /// A record of an alert: it counts as its gravest detector's, on the day of its first anomaly.
    pub fn change(&mut self, change: &AlertChange) {
        let alert = &change.alert;
        if change.cause == Cause::Notice {
            return;
        }
        self.any_told |= !change.notify.is_empty() && alert.severity >= Severity::Warning;
        self.held_back += u64::from(change.held_back && change.cause == Cause::Opened);
        let told = !change.notify.is_empty();
        let known = self.alerts.entry(alert.id.to_string()).or_insert_with(|| (alert.clone(), false));
        known.0.clone_from(alert);
        known.1 |= told;
        if told {
            self.of(alert.first_seen, &alert.detector).told += 1;
        }
    }

    /// Whether an alert worth a warning was told.
    pub fn any_told(&self) -> bool {
        self.any_told
    }

    /// The table, after the alerts where they are asked for. `open` is how many still go on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn print(&mut self, with_alerts: bool, open: usize, out: &mut impl Write) -> io::Result<()> {
        let alerts = std::mem::take(&mut self.alerts);
        for (alert, _) in alerts.values() {
            self.of(alert.first_seen, &alert.detector).alerts += 1;
        }
        if with_alerts {
            let mut in_order: Vec<&(Alert, bool)> = alerts.values().collect();
            in_order.sort_by_key(|(alert, _)| (alert.first_seen, alert.id.to_string()));
            for (alert, told) in in_order {
                writeln!(
                    out,
                    "{}  {:8} {}  {}  ({} found{})",
                    alert.first_seen,
                    alert.severity,
                    shown(&alert.service, SHOWN),
                    shown(&alert.message, SHOWN),
                    thousands(alert.count),
                    if *told { "" } else { ", told to nobody" }
                )?;
            }
            writeln!(out)?;
        }
        writeln!(out, "{:10}  {:24} {:>10} {:>8} {:>8}", "day", "detector", "findings", "alerts", "told")?;
        let mut total = Counts::default();
        for ((day, detector), counts) in &self.by_day {
            let Counts { findings, alerts, told } = *counts;
            total.findings += findings;
            total.alerts += alerts;
            total.told += told;
            let detector = shown(detector, 24);
            writeln!(
                out,
                "{day}  {detector:24} {:>10} {:>8} {:>8}",
                thousands(findings),
                thousands(alerts),
                thousands(told)
            )?;
        }
        let Counts { findings, alerts, told } = total;
        writeln!(
            out,
            "{:10}  {:24} {:>10} {:>8} {:>8}",
            "all",
            lines(self.lines),
            thousands(findings),
            thousands(alerts),
            thousands(told)
        )?;
        if self.held_back > 0 {
            writeln!(out, "{} more alerts were held back by the daily budget", thousands(self.held_back))?;
        }
        if open > 0 {
            writeln!(out, "{} still open at the end", thousands(open as u64))?;
        }
        Ok(())
    }
}
