//! Alertmanager's API v2 (<https://prometheus.io/docs/alerting/latest/alerts_api/>). Its alerts are told apart by their
//! labels, so a graver alert is a new one there, and the one of lower severity ends with the same request.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Probe, Request, Shape};
use crate::text::{lines, one_line, shortened};
use crate::{AlertRecord, Cause, Severity};

/// Longest annotation.
const ANNOTATION: usize = 4_096;
/// How long the notice of a budget stays there.
const NOTICE: SignedDuration = SignedDuration::from_hours(1);

/// An Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    /// Its base address, such as `http://alertmanager:9093`.
    pub url: String,
    /// How long an alert lasts there without hearing of it again: longer than the repeat interval.
    pub lasts: SignedDuration,
}

impl Shape for Alertmanager {
    fn request(&self, record: &AlertRecord, now: i64) -> Result<Request, String> {
        let now =
            Timestamp::from_second(now).map_err(|error| format!("the clock is out of range: {error}"))?;
        // It refuses what ends before it starts, and event time may be ahead of the clock.
        let first_seen = record.first_seen.parse().unwrap_or(now);
        let starts = Timestamp::min(first_seen, now);
        let ends = match record.cause {
            // Over as it comes, but it has to be read.
            Cause::Notice => now + NOTICE,
            _ if record.is_resolved() => now,
            _ => now + self.lasts,
        };
        let alert = |severity, ends| alert(record, severity, starts, ends);
        let mut alerts = vec![alert(record.severity, ends)];
        // Under a silence it may have got graver unheard.
        if matches!(record.cause, Cause::Graver | Cause::Unmuted) {
            let lower = Severity::ALL.into_iter().filter(|severity| *severity < record.severity);
            alerts.extend(lower.map(|severity| alert(severity, now)));
        }
        Ok(Request {
            url: format!("{}/api/v2/alerts", self.url.trim_end_matches('/')),
            headers: Vec::new(),
            content_type: "application/json",
            body: super::json(&Value::Array(alerts))?,
        })
    }

    fn probe(&self) -> Probe {
        let url = format!("{}/api/v2/status", self.url.trim_end_matches('/'));
        Probe { url, headers: Vec::new(), must_succeed: true }
    }
}

fn alert(record: &AlertRecord, severity: Severity, starts: Timestamp, ends: Timestamp) -> Value {
    let evidence: Vec<String> = record
        .evidence
        .iter()
        .map(|line| format!("{} {}", line.timestamp, one_line(&line.message)))
        .collect();
    let mut alert = json!({
        "labels": {
            "alertname": "IsologAlert",
            "alert_id": record.id,
            "service": record.service,
            "severity": severity.as_str(),
        },
        "annotations": {
            "summary": shortened(&record.headline(), ANNOTATION),
            "detector": record.detector,
            "description": shortened(&lines(&record.reasons.join("\n")), ANNOTATION),
            "evidence": shortened(&evidence.join("\n"), ANNOTATION),
        },
        "startsAt": starts.to_string(),
        "endsAt": ends.to_string(),
    });
    if let Some(link) = &record.link {
        alert["generatorURL"] = json!(link);
    }
    alert
}
