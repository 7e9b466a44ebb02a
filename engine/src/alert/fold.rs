//! How an anomaly joins an alert. What is kept of many is bounded: some headlines, four lines, some reasons.

use super::{Alert, Part, Status};
use crate::detect::{Anomaly, Evidence};
use crate::id::FindingId;

/// Most detectors and subjects that an alert tells apart.
const MOST_PARTS: usize = 16;
/// Most reasons beside the headlines.
const MOST_REASONS: usize = 8;
/// How the reason begins that names the likely origin.
const ORIGIN: &str = "likely origin: ";
/// Longest headline or reason, in bytes.
const TEXT_BYTES: usize = 1_024;

fn short(text: &str) -> String {
    crate::detect::cut(text, TEXT_BYTES).to_owned()
}

impl Alert {
    /// The alert that an anomaly opens.
    pub(super) fn open(anomaly: &Anomaly) -> Self {
        let mut alert = Self {
            id: FindingId::of_alert(&anomaly.service, anomaly.id),
            revision: 1,
            status: Status::Firing,
            severity: anomaly.severity,
            service: anomaly.service.clone(),
            detector: anomaly.detector.clone(),
            message: short(&anomaly.headline),
            first_seen: anomaly.time,
            last_seen: anomaly.time,
            resolved_at: None,
            count: 0,
            score: 0.0,
            parts: Vec::new(),
            further: 0,
            evidence: Vec::new(),
            gravest_line: None,
            reasons: Vec::new(),
        };
        alert.join(anomaly);
        alert
    }

    /// An anomaly joins; whether it is graver than all before it.
    pub(super) fn join(&mut self, anomaly: &Anomaly) -> bool {
        let graver = anomaly.severity > self.severity;
        if graver {
            self.severity = anomaly.severity;
            self.detector.clone_from(&anomaly.detector);
            self.message = short(&anomaly.headline);
            self.revision += 1;
        }
        self.count += 1;
        self.first_seen = self.first_seen.min(anomaly.time);
        self.last_seen = self.last_seen.max(anomaly.time);
        self.score = self.score.max(anomaly.score());
        self.join_part(anomaly);
        for reason in &anomaly.reasons {
            if self.reasons.len() < MOST_REASONS && !self.reasons.iter().any(|known| known == reason) {
                self.reasons.push(short(reason));
            }
        }
        let leads = anomaly.severity == self.severity && anomaly.detector == self.detector;
        self.join_evidence(&anomaly.evidence, leads);
        graver
    }

    /// Says first where the trouble may come from; another guess takes the place of an older one.
    pub(super) fn lead_with_origin(&mut self, text: &str) {
        self.reasons.retain(|reason| !reason.starts_with(ORIGIN));
        self.reasons.insert(0, short(&format!("{ORIGIN}{text}")));
        self.reasons.truncate(MOST_REASONS);
    }

    fn join_part(&mut self, anomaly: &Anomaly) {
        let known = |part: &&mut Part| part.detector == anomaly.detector && part.subject == anomaly.subject;
        let has_room = self.parts.len() < MOST_PARTS;
        match self.parts.iter_mut().find(known) {
            Some(part) => {
                if anomaly.severity > part.severity {
                    part.severity = anomaly.severity;
                    part.headline = short(&anomaly.headline);
                }
                part.count += 1;
                part.first_seen = part.first_seen.min(anomaly.time);
                part.last_seen = part.last_seen.max(anomaly.time);
            }
            None if has_room => self.parts.push(Part {
                detector: anomaly.detector.clone(),
                subject: short(&anomaly.subject),
                severity: anomaly.severity,
                headline: short(&anomaly.headline),
                count: 1,
                first_seen: anomaly.time,
                last_seen: anomaly.time,
            }),
            None => self.further += 1,
        }
    }

    /// Keeps the first, the oddest and the last line, and beside them the last line of what leads the alert: among much
    /// that is odd, those three need show nothing of it.
    fn join_evidence(&mut self, lines: &[Evidence], leads: bool) {
        let place = |line: &Evidence| (line.time, line.source.clone());
        if leads && let Some(last) = lines.iter().map(place).max() {
            self.gravest_line = Some(last);
        }
        if lines.is_empty() {
            return;
        }
        let mut all: Vec<Evidence> = self.evidence.drain(..).chain(lines.iter().cloned()).collect();
        all.sort_by(|a, b| (a.time, &a.source).cmp(&(b.time, &b.source)));
        all.dedup_by(|a, b| a.source == b.source && a.time == b.time && a.message == b.message);
        let oddest = (0..all.len()).rev().max_by(|a, b| all[*a].score.total_cmp(&all[*b].score)).unwrap_or(0);
        let gravest = self.gravest_line.as_ref();
        let gravest = all.iter().rposition(|line| gravest == Some(&place(line)));
        let last = all.len() - 1;
        let mut index = 0;
        all.retain(|_| {
            let keep = index == 0 || index == oddest || index == last || Some(index) == gravest;
            index += 1;
            keep
        });
        self.evidence = all;
    }
}
