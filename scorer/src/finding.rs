//! The record of what a detector found in a window, or in a line by another rule than its score. It shares its names
//! with the record of an odd line; the fields are documented in `docs/anomaly-record.md`.

use engine::detect::Anomaly;
use engine::id::FindingId;
use engine::terminal::on_one_line;
use serde::Serialize;

use crate::anomaly::{SCHEMA, SourceField};
use crate::sink::{Kind, Outgoing, cut};

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub struct FindingRecord {
    schema: u32,
    id: FindingId,
    detector: String,
    service: String,
    severity: &'static str,
    timestamp: String,
    score: f64,
    percentile: f64,
    message: String,
    subject: String,
    window: Option<WindowField>,
    value: f64,
    bound: f64,
    unit: String,
    reasons: Vec<ReasonField>,
    evidence: Vec<LineField>,
    source: Option<SourceField>,
    model: String,
}

/// The window, its end excluded.
#[derive(Clone, Debug, Serialize)]
struct WindowField {
    start: String,
    end: String,
}

/// A reason in words.
#[derive(Clone, Debug, Serialize)]
struct ReasonField {
    kind: &'static str,
    text: String,
}

/// A line that shows it.
#[derive(Clone, Debug, Serialize)]
struct LineField {
    timestamp: String,
    level: Option<&'static str>,
    message: String,
    score: f64,
    source: SourceField,
}

impl FindingRecord {
    /// Of an anomaly, under the model of this digest.
    pub fn of(anomaly: &Anomaly, model: &str) -> Self {
        let line = |line: &engine::detect::Evidence| LineField {
            timestamp: line.time.to_string(),
            level: line.level.map(|level| level.as_str()),
            message: line.message.clone(),
            score: line.score,
            source: SourceField::from(&line.source),
        };
        Self {
            schema: SCHEMA,
            id: anomaly.id,
            detector: anomaly.detector.clone(),
            service: anomaly.service.clone(),
            severity: anomaly.severity.as_str(),
            timestamp: anomaly.time.to_string(),
            score: anomaly.score(),
            percentile: anomaly.evidence.iter().map(|line| line.percentile).fold(0.0, f64::max),
            message: anomaly.headline.clone(),
            subject: anomaly.subject.clone(),
            window: anomaly
                .window
                .map(|(start, end)| WindowField { start: start.to_string(), end: end.to_string() }),
            value: anomaly.value,
            bound: anomaly.bound,
            unit: anomaly.unit.clone(),
            reasons: anomaly
                .reasons
                .iter()
                .map(|text| ReasonField { kind: "text", text: text.clone() })
                .collect(),
            evidence: anomaly.evidence.iter().map(line).collect(),
            source: anomaly.evidence.first().map(|line| SourceField::from(&line.source)),
            model: model.to_owned(),
        }
    }

    /// One structured line in the program's own log.
    pub fn log(&self) {
        tracing::warn!(
            target: "anomaly",
            id = %self.id,
            detector = self.detector,
            service = self.service,
            severity = self.severity,
            timestamp = self.timestamp,
            value = self.value,
            bound = self.bound,
            unit = self.unit,
            message = on_one_line(cut(&self.message, 500)),
        );
    }

    /// The record that leaves the process, keyed by service.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn outgoing(&self) -> serde_json::Result<Outgoing> {
        let json = serde_json::to_vec(self)?;
        Ok(Outgoing::json(Kind::Anomaly, self.service.clone(), json))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use engine::detect::{Evidence, Severity, Source};
    use engine::event::{EventTime, Level};

    use super::*;
    use crate::anomaly::tests::fields;

    const DOCUMENT: &str = include_str!("../../docs/anomaly-record.md");

    #[test]
    fn the_document_lists_exactly_the_fields_of_a_finding() {
        let line = Evidence {
            time: EventTime::default(),
            level: Some(Level::Error),
            message: "x".to_owned(),
            score: 0.5,
            percentile: 99.0,
            source: Source::Pushed,
        };
        let anomaly = Anomaly {
            id: FindingId::of_window("error_burst", "a", "", EventTime::default(), 0),
            detector: "error_burst".to_owned(),
            service: "a".to_owned(),
            subject: String::new(),
            severity: Severity::Error,
            time: EventTime::default(),
            window: Some((EventTime::default(), EventTime::default())),
            headline: "h".to_owned(),
            value: 6.0,
            bound: 5.0,
            unit: "lines".to_owned(),
            reasons: vec!["r".to_owned()],
            evidence: vec![line],
        };
        let outgoing = FindingRecord::of(&anomaly, "d").outgoing().unwrap();
        let mut written = BTreeSet::new();
        fields("", &serde_json::from_slice(&outgoing.json).unwrap(), &mut written);
        // What a source holds stands in the table of odd lines.
        written.retain(|name| !name.contains("source."));
        let table = DOCUMENT.split("# What other detectors find").nth(1).unwrap();
        let table = table.split("\n# ").next().unwrap();
        let documented: BTreeSet<String> = table
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
            .collect();
        assert_eq!(documented, written);
    }
}
