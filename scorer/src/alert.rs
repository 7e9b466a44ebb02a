//! The record of a change of an alert as it leaves the process. The fields are documented in
//! `docs/alert-record.md`.

use engine::alert::{AlertChange, Part};
use engine::detect::Evidence;
use engine::event::{EventTime, Level};
use engine::terminal::on_one_line;
use notify::{AlertRecord, EvidenceField, PartField, SCHEMA, Severity};

use crate::anomaly::SourceField;
use crate::sink::{Kind, Outgoing};

/// The record of a change, under the model of this digest. `public_url` is where people reach the pages.
pub fn record_of(change: AlertChange, model: &str, public_url: Option<&str>) -> AlertRecord {
    let AlertChange { cause, at, alert, notify, held_back } = change;
    let id = alert.id.to_string();
    let source = alert.evidence.first().map(source_of);
    AlertRecord {
        schema: SCHEMA,
        link: public_url.map(|url| format!("{url}/alerts/{id}")),
        id,
        revision: alert.revision,
        cause,
        recorded_at: Some(at.to_string()),
        status: alert.status,
        severity: alert.severity,
        service: alert.service,
        detector: alert.detector,
        message: alert.message,
        first_seen: alert.first_seen.to_string(),
        last_seen: alert.last_seen.to_string(),
        resolved_at: alert.resolved_at.as_ref().map(EventTime::to_string),
        count: alert.count,
        score: alert.score,
        reasons: alert.reasons,
        parts: alert.parts.into_iter().map(part_of).collect(),
        evidence: alert.evidence.into_iter().map(evidence_of).collect(),
        source,
        model: model.to_owned(),
        notify,
        held_back,
    }
}

fn source_of(line: &Evidence) -> serde_json::Value {
    serde_json::to_value(SourceField::from(&line.source)).unwrap_or_default()
}

fn part_of(part: Part) -> PartField {
    PartField {
        detector: part.detector,
        subject: part.subject,
        severity: part.severity,
        headline: part.headline,
        count: part.count,
        first_seen: part.first_seen.to_string(),
        last_seen: part.last_seen.to_string(),
    }
}

fn evidence_of(line: Evidence) -> EvidenceField {
    EvidenceField {
        source: source_of(&line),
        timestamp: line.time.to_string(),
        level: line.level.map(|level| Level::as_str(level).to_owned()),
        message: line.message,
        score: line.score,
        percentile: line.percentile,
    }
}

/// The record that leaves the process, keyed by the alert's id.
///
/// # Errors
/// It cannot be written as JSON.
pub fn outgoing(record: &AlertRecord) -> serde_json::Result<Outgoing> {
    let json = serde_json::to_vec(record)?;
    Ok(Outgoing::json(Kind::Alert, record.id.clone(), json))
}

/// One structured line in the program's own log: a warning where it is worth one.
pub fn log(record: &AlertRecord) {
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(
                target: "alert",
        id = record.id,
        revision = record.revision,
        cause = record.cause.as_str(),
        status = record.status.as_str(),
        severity = record.severity.as_str(),
        service = record.service,
        detector = record.detector,
        count = record.count,
        first_seen = record.first_seen,
        last_seen = record.last_seen,
        told = record.notify.join(","),
        held_back = record.held_back,
        message = on_one_line(&record.message),
            )
        };
    }
    if record.severity > Severity::Info && !record.is_resolved() { tell!(warn) } else { tell!(info) }
}
