//! Odd line: one line that scores above the threshold.

use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, cares};
use super::{Anomaly, Evidence, Finding, Severity, Thresholds};
use crate::event::EventTime;

pub(crate) const NAME: &str = "odd_line";

knobs!(OddLine {});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Odd line",
    doc: "\
A line whose score is above the threshold (`CONTAMINATION` or `ANOMALY_SCORE_THRESHOLD`). It is `info`; above the \
score that `ALERT_BUDGET_PER_DAY` sets, it is a `warning`. Lines are judged whenever they come: this detector \
has no window, so a late line is not lost.",
    knobs: OddLine::KNOBS,
    make: |settings| {
        Box::new(Detector { settings: settings.typed(NAME), thresholds: Thresholds::default(), state: () })
    },
};

struct Detector {
    settings: Vec<OddLine>,
    thresholds: Thresholds,
    state: (),
}

impl Detect for Detector {
    fn cares(&self) -> u8 {
        cares::ODD
    }

    fn line(&mut self, at: &At<'_>, out: &mut Vec<Finding>) {
        let score = at.seen.score;
        if score <= self.thresholds.odd || !self.settings[at.service.profile()].enabled {
            return;
        }
        let severity = if score > self.thresholds.warning { Severity::Warning } else { Severity::Info };
        out.push(Finding::Anomaly(Box::new(Anomaly {
            id: at.seen.origin.finding_id(NAME),
            detector: NAME.to_owned(),
            service: at.service.name().to_owned(),
            subject: format!("{:016x}", at.seen.pattern),
            severity,
            time: EventTime::from_micros(at.time),
            window: None,
            headline: format!(
                "odd line, score {score:.3}, odder than {:.2} % of the training lines",
                at.seen.percentile
            ),
            value: score,
            bound: self.thresholds.odd,
            unit: "score".to_owned(),
            reasons: Vec::new(),
            evidence: vec![Evidence::of(at.seen)],
        })));
    }

    fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    fn forget(&mut self, _slot: usize) {}

    super::registry::stored!(1);
}
