//! Records on their way out → rows. Anomalies and alerts are few, so their JSON is read again.

use ::store::{AlertRow, AnomalyRow, Rows};
use engine::event::EventTime;
use serde::Deserialize;

use super::{Kind, Outgoing};

/// What the store's columns need of an anomaly's record.
#[derive(Deserialize)]
struct Anomaly {
    id: String,
    detector: String,
    service: String,
    severity: String,
    timestamp: String,
    score: f64,
    message: String,
}

/// Adds a record's rows; about how many bytes they take.
pub fn add(record: &Outgoing, rows: &mut Rows) -> usize {
    let added = match record.kind {
        Kind::Logs => {
            rows.logs.extend_from_slice(&record.logs);
            return record.logs.iter().map(|row| row.message.len() + 300).sum();
        }
        Kind::Anomaly => anomaly(record).map(|row| rows.anomalies.push(row)),
        Kind::Alert => alert(record).map(|row| rows.alerts.push(row)),
        Kind::DeadLetter | Kind::Relayed => Ok(()),
    };
    if let Err(error) = added {
        // Only a record that this program did not write as it documents it comes here.
        tracing::error!(%error, kind = ?record.kind, key = record.key, "a record has no row in the store");
    }
    record.json.len() * 2
}

fn anomaly(record: &Outgoing) -> serde_json::Result<AnomalyRow> {
    let fields: Anomaly = serde_json::from_slice(&record.json)?;
    Ok(AnomalyRow {
        time: time(&fields.timestamp),
        id: fields.id,
        severity: fields.severity,
        detector: fields.detector,
        service: fields.service,
        details: fields.message,
        score: fields.score,
        record: text(&record.json),
    })
}

fn alert(record: &Outgoing) -> serde_json::Result<AlertRow> {
    let fields: notify::AlertRecord = serde_json::from_slice(&record.json)?;
    Ok(AlertRow {
        first_seen: time(&fields.first_seen),
        last_seen: time(&fields.last_seen),
        resolved_at: fields.resolved_at.as_deref().map(time),
        revision: fields.revision.into(),
        cause: fields.cause.as_str().to_owned(),
        status: fields.status.as_str().to_owned(),
        severity: fields.severity.as_str().to_owned(),
        count: i64::try_from(fields.count).unwrap_or(i64::MAX),
        score: fields.score,
        id: fields.id,
        service: fields.service,
        detector: fields.detector,
        message: fields.message,
        record: text(&record.json),
    })
}

fn text(json: &[u8]) -> String {
    String::from_utf8_lossy(json).into_owned()
}

/// The time that [`EventTime`] wrote, in RFC 3339.
fn time(text: &str) -> EventTime {
    let time = text.parse::<jiff::Timestamp>().unwrap_or_default();
    EventTime::from_micros(time.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_that_is_written_is_read() {
        let (first, last) = (jiff::Timestamp::MIN.as_microsecond(), jiff::Timestamp::MAX.as_microsecond());
        for micros in [i64::MIN, first, -1, 0, 1, 1_767_323_045_123_456, last, i64::MAX] {
            let written = EventTime::from_micros(micros);
            // Beyond the calendar stands its end.
            let read = EventTime::from_micros(micros.clamp(first, last));
            assert_eq!(time(&written.to_string()), read);
        }
    }
}
