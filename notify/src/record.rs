//! The record of one change of an alert as it leaves the process. The fields are documented in
//! `docs/alert-record.md`; receivers' own shapes are made from it in `shape/`.

use serde::{Deserialize, Serialize};

use super::text::one_line;
use super::{Cause, Severity, Status};

/// Version of the record's shape; it rises when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// One change of one alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The alert, 32 hexadecimal digits; the same in all of its records.
    pub id: String,
    /// Rises with each record of the alert, from 1.
    pub revision: u32,
    /// Why this record was written.
    pub cause: Cause,
    /// When it was written, by the scorer's clock, RFC 3339 in UTC; older records have none.
    #[serde(default)]
    pub recorded_at: Option<String>,
    /// How the alert stands.
    pub status: Status,
    /// That of its gravest anomaly.
    pub severity: Severity,
    /// The service that it is about.
    pub service: String,
    /// Detector of the gravest anomaly.
    pub detector: String,
    /// What that anomaly says, secrets taken out.
    pub message: String,
    /// Event time of the first anomaly, RFC 3339 in UTC.
    pub first_seen: String,
    /// Event time of the last anomaly.
    pub last_seen: String,
    /// Event time of its end.
    pub resolved_at: Option<String>,
    /// Anomalies so far.
    pub count: u64,
    /// Score of the oddest line, in [0, 1]; 0 where no line is kept.
    pub score: f64,
    /// Why, in words.
    pub reasons: Vec<String>,
    /// What each detector found.
    pub parts: Vec<PartField>,
    /// The first, the oddest and the last line, and the last one of what leads the alert.
    pub evidence: Vec<EvidenceField>,
    /// Where the first line of the evidence came from: topic, partition and offset, or file and offset.
    pub source: Option<serde_json::Value>,
    /// Digest of the model in use.
    pub model: String,
    /// The alert's page, where `PUBLIC_URL` is set.
    pub link: Option<String>,
    /// Names of the sinks that are to be told.
    pub notify: Vec<String>,
    /// The daily budget held it back: nobody is told.
    pub held_back: bool,
}

/// What one detector found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartField {
    /// The detector.
    pub detector: String,
    /// What of the service; empty where it is the whole.
    pub subject: String,
    /// The gravest of its anomalies.
    pub severity: Severity,
    /// What the gravest says.
    pub headline: String,
    /// Anomalies.
    pub count: u64,
    /// Event time of the first, RFC 3339 in UTC.
    pub first_seen: String,
    /// Event time of the last.
    pub last_seen: String,
}

/// A line that shows what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceField {
    /// Time of the line, RFC 3339 in UTC.
    pub timestamp: String,
    /// Level of the line, in capitals.
    pub level: Option<String>,
    /// Its text, secrets taken out.
    pub message: String,
    /// Its score, in [0, 1].
    pub score: f64,
    /// Its percentile, 0–100.
    pub percentile: f64,
    /// Where it came from.
    pub source: serde_json::Value,
}

impl AlertRecord {
    /// Id and revision: what a receiver can tell a repeated delivery by.
    pub fn delivery_id(&self) -> String {
        format!("{}-{}", self.id, self.revision)
    }

    /// Whether the alert is over.
    pub fn is_resolved(&self) -> bool {
        self.status == Status::Resolved
    }

    /// One line for people: severity, service and what is wrong.
    pub fn headline(&self) -> String {
        let state = match (self.cause, self.status) {
            (Cause::Notice, _) => "NOTICE".to_owned(),
            (_, Status::Resolved) => "RESOLVED".to_owned(),
            _ => self.severity.as_str().to_uppercase(),
        };
        let service = if self.service.is_empty() { "(no service)" } else { &self.service };
        one_line(&format!("[{state}] {service}: {}", self.message))
    }

    /// Facts beside the headline, name and value, in the order that people want them.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("Service", self.service.clone()),
            ("Severity", self.severity.as_str().to_owned()),
            ("Status", self.status.as_str().to_owned()),
            ("Detectors", detectors(&self.parts, &self.detector)),
            ("Anomalies", self.count.to_string()),
            ("First seen", self.first_seen.clone()),
            ("Last seen", self.last_seen.clone()),
        ];
        if let Some(end) = &self.resolved_at {
            facts.push(("Resolved", end.clone()));
        }
        facts
    }
}

fn detectors(parts: &[PartField], gravest: &str) -> String {
    let mut names: Vec<&str> = vec![gravest];
    for part in parts {
        if !names.contains(&part.detector.as_str()) {
            names.push(&part.detector);
        }
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::SCHEMA;
    use crate::testing::record;

    const DOCUMENT: &str = include_str!("../../docs/alert-record.md");

    fn fields(prefix: &str, value: &Value, out: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                for (name, inner) in object {
                    let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    // What a source holds stands in the table of the anomaly record.
                    if !path.contains("source.") {
                        out.insert(path.clone());
                    }
                    fields(&path, inner, out);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| fields(&format!("{prefix}[]"), item, out)),
            _ => {}
        }
    }

    #[test]
    fn a_record_of_before_it_had_a_time_of_its_own_is_read() {
        let mut old = serde_json::to_value(record()).unwrap();
        assert!(old.as_object_mut().unwrap().remove("recorded_at").is_some());
        let read: super::AlertRecord = serde_json::from_value(old).unwrap();
        assert_eq!(read, super::AlertRecord { recorded_at: None, ..record() });
    }

    #[test]
    fn the_document_lists_exactly_the_fields_of_a_record() {
        let mut written = BTreeSet::new();
        fields("", &serde_json::to_value(record()).unwrap(), &mut written);
        let documented: BTreeSet<String> = DOCUMENT
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
            .collect();
        assert_eq!(documented, written);
        assert!(DOCUMENT.contains(&format!("now {SCHEMA} ")));
    }
}
