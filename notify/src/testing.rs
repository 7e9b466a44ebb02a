//! A record for tests.

use serde_json::json;

use super::{AlertRecord, Cause, EvidenceField, PartField, Severity, Status};

/// The opening of a burst of errors of `billing_api`.
pub fn record() -> AlertRecord {
    let (first_seen, last_seen) = ("2026-01-02T12:00:10Z".to_owned(), "2026-01-02T12:00:12Z".to_owned());
    let source = json!({"kind": "kafka", "topic": "application-logs", "partition": 0, "offset": 41});
    AlertRecord {
        schema: 1,
        id: "00112233445566778899aabbccddeeff".to_owned(),
        revision: 1,
        cause: Cause::Opened,
        recorded_at: Some("2026-01-02T12:00:13Z".to_owned()),
        status: Status::Firing,
        severity: Severity::Error,
        service: "billing_api".to_owned(),
        detector: "error_burst".to_owned(),
        message: "6 ERROR lines in 5 s".to_owned(),
        first_seen: first_seen.clone(),
        last_seen: last_seen.clone(),
        resolved_at: None,
        count: 6,
        score: 0.75,
        reasons: vec!["more than 5 in a window".to_owned()],
        parts: vec![PartField {
            detector: "error_burst".to_owned(),
            subject: String::new(),
            severity: Severity::Error,
            headline: "6 ERROR lines in 5 s".to_owned(),
            count: 1,
            first_seen: first_seen.clone(),
            last_seen,
        }],
        evidence: vec![EvidenceField {
            timestamp: first_seen,
            level: Some("ERROR".to_owned()),
            message: "payment gateway refused the card".to_owned(),
            score: 0.75,
            percentile: 99.5,
            source: source.clone(),
        }],
        source: Some(source),
        model: "0123".to_owned(),
        link: None,
        notify: vec!["webhook".to_owned()],
        held_back: false,
    }
}
