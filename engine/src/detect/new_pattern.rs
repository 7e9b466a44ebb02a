//! New pattern: a masked pattern that training never saw, told once per service.

use std::collections::HashSet;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, cares};
use super::state::PerService;
use super::steps::SECOND;
use super::{Anomaly, Evidence, Finding, Severity};
use crate::event::EventTime;

pub(crate) const NAME: &str = "new_pattern";

/// Patterns that are remembered before the older half of them is forgotten.
const MOST: usize = 500_000;

const HOUR: i64 = 3_600 * SECOND;

knobs!(NewPattern {
    /// New patterns of one service that are told in one hour of event time; more are counted.
    most_per_hour = 100.0, "patterns", 1.0, 100_000.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "New pattern",
    doc: "\
A line whose masked pattern (numbers, ids, addresses and paths replaced by their kind) training never saw. Each \
pattern is told once per service, not once per line; after 500,000 patterns of all services the older ones are \
forgotten and may be told again.",
    knobs: NewPattern::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: State::default() }),
};

#[derive(Default, Serialize, Deserialize)]
struct Hour {
    hour: i64,
    told: u32,
}

/// Hashes of service and pattern in two generations, so that forgetting costs nothing.
#[derive(Default, Serialize, Deserialize)]
struct State {
    young: HashSet<u64, FixedState>,
    old: HashSet<u64, FixedState>,
    hours: PerService<Hour>,
    held_back: u64,
}

struct Detector {
    settings: Vec<NewPattern>,
    state: State,
}

impl State {
    /// Whether a pattern is seen for the first time.
    fn is_first(&mut self, key: u64) -> bool {
        if self.young.contains(&key) {
            return false;
        }
        let first = !self.old.contains(&key);
        if self.young.len() >= MOST / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key);
        first
    }
}

impl Detect for Detector {
    fn cares(&self) -> u8 {
        cares::NEW
    }

    fn line(&mut self, at: &At<'_>, out: &mut Vec<Finding>) {
        let settings = &self.settings[at.service.profile()];
        if at.seen.known_pattern || !settings.enabled {
            return;
        }
        let service = at.service.name();
        let key = crate::features::stable_hash(at.seen.pattern, service.as_bytes());
        if !self.state.is_first(key) {
            return;
        }
        let hour = at.time.div_euclid(HOUR);
        let told = self.state.hours.get_or(at.service.slot, Hour::default);
        if hour > told.hour {
            *told = Hour { hour, told: 0 };
        }
        told.told += 1;
        let most = settings.most_per_hour as u32;
        if told.told > most {
            self.state.held_back += 1;
            return;
        }
        let pattern = super::pattern_of(&at.seen.event.message, 1_024);
        let mut reasons = vec!["training saw no line of this pattern".to_owned()];
        if told.told == most {
            reasons.push(format!(
                "further new patterns of this service are not told within this hour ({most} were)"
            ));
        }
        out.push(Finding::Anomaly(Box::new(Anomaly {
            id: at.seen.origin.finding_id(NAME),
            detector: NAME.to_owned(),
            service: service.to_owned(),
            subject: format!("{:016x}", at.seen.pattern),
            severity: Severity::Info,
            time: EventTime::from_micros(at.time),
            window: None,
            headline: format!("new pattern: {pattern}"),
            value: 1.0,
            bound: 0.0,
            unit: "lines".to_owned(),
            reasons,
            evidence: vec![Evidence::of(at.seen)],
        })));
    }

    fn forget(&mut self, slot: usize) {
        self.state.hours.forget(slot);
    }

    fn held_back(&self) -> u64 {
        self.state.held_back
    }

    super::registry::stored!(1);
}
