//! Transaction timeout: a transaction that was started and did not end in time.

use std::collections::{BTreeSet, HashMap};

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use super::anomaly::{Evidence, Found};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service, cares};
use super::{Finding, Severity, micros};
use crate::decode::business::Phase;
use crate::features::stable_hash;

pub(crate) const NAME: &str = "transaction_timeout";

/// Longest text that is kept of the line that started a transaction, in bytes.
const TEXT_BYTES: usize = 512;

/// Ends without a start that are remembered.
const MOST_ENDED: usize = 20_000;

/// Timeouts of one service and name whose deadlines fall into the same such time are one anomaly.
const TOGETHER: i64 = 60 * super::steps::SECOND;

knobs!(Timeout {
    /// Longest time that a transaction may take.
    within_s = 300.0, "s", 1.0, 604_800.0;
    /// Open transactions that are remembered; further ones are counted and not watched.
    most_open = 100_000.0, "transactions", 1.0, 10_000_000.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Transaction timeout",
    doc: "\
A transaction whose start a service told (a transaction id and a phase such as `started`) and whose end (`finished`, \
`completed`, `failed`, or an outcome) did not come within `within_s` of event time. Start and end must be told by the \
same service with the same id and, where both tell one, the same name. Transactions of one name that run out of time \
within the same minute are one anomaly. Severity: `error`.",
    knobs: Timeout::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: State::default() }),
};

#[derive(Debug, Serialize, Deserialize)]
struct Open {
    slot: usize,
    deadline: i64,
    id: String,
    name: String,
    line: Evidence,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    open: HashMap<u64, Open, FixedState>,
    /// Slot, deadline and key of each.
    deadlines: BTreeSet<(usize, i64, u64)>,
    /// When transactions ended whose start was not there (yet), in two generations.
    ended: HashMap<u64, i64, FixedState>,
    ended_before: HashMap<u64, i64, FixedState>,
    /// Slot and name of what was told, and until when it is one anomaly.
    told: HashMap<u64, i64, FixedState>,
    held_back: u64,
}

struct Detector {
    settings: Vec<Timeout>,
    state: State,
}

impl State {
    fn remove(&mut self, key: u64) -> Option<Open> {
        let open = self.open.remove(&key)?;
        self.deadlines.remove(&(open.slot, open.deadline, key));
        Some(open)
    }

    /// Lines may come out of order: an end is remembered for a start that is still on its way.
    fn ended_early(&mut self, key: u64, time: i64) {
        if self.ended.len() >= MOST_ENDED / 2 {
            self.ended_before = std::mem::take(&mut self.ended);
        }
        self.ended.insert(key, time);
    }

    fn has_ended(&self, key: u64, started: i64) -> bool {
        self.ended.get(&key).or_else(|| self.ended_before.get(&key)).is_some_and(|ended| *ended >= started)
    }
}

impl Detect for Detector {
    fn cares(&self) -> u8 {
        cares::OUTCOME
    }

    fn line(&mut self, at: &At<'_>, _out: &mut Vec<Finding>) {
        let business = &at.facts.business;
        let (Some(id), true) =
            (business.transaction_id, business.phase.is_some() || business.outcome.is_some())
        else {
            return;
        };
        let settings = &self.settings[at.service.profile()];
        if !settings.enabled {
            return;
        }
        let of = |name: &str| {
            let named = stable_hash(stable_hash(0, at.service.name().as_bytes()), name.as_bytes());
            stable_hash(named, id.as_bytes())
        };
        let name = business.name.unwrap_or_default();
        let key = of(name);
        if business.phase != Some(Phase::Started) {
            // Only the end may leave the name out.
            if self.state.remove(key).is_none() && (name.is_empty() || self.state.remove(of("")).is_none()) {
                self.state.ended_early(key, at.time);
            }
            return;
        }
        if self.state.open.contains_key(&key) || self.state.has_ended(key, at.time) {
            return;
        }
        if self.state.open.len() as f64 >= settings.most_open {
            self.state.held_back += 1;
            return;
        }
        let mut line = Evidence::of(at.seen);
        line.message.truncate(line.message.floor_char_boundary(TEXT_BYTES));
        let open = Open {
            slot: at.service.slot,
            deadline: at.time.saturating_add(micros(settings.within_s)),
            id: super::cut(id, 128).to_owned(),
            name: super::cut(name, 128).to_owned(),
            line,
        };
        self.state.deadlines.insert((open.slot, open.deadline, key));
        self.state.open.insert(key, open);
    }

    fn advance(&mut self, service: &Service<'_>, closed: i64, out: &mut Vec<Finding>) {
        let settings = &self.settings[service.profile()];
        while let Some((slot, deadline, key)) =
            self.state.deadlines.range((service.slot, i64::MIN, 0)..).next().copied()
            && slot == service.slot
            && deadline < closed
        {
            let Some(open) = self.state.remove(key) else { break };
            let together = stable_hash(stable_hash(1, service.name().as_bytes()), open.name.as_bytes());
            let until = self.state.told.get(&together).copied().unwrap_or(i64::MIN);
            if deadline < until {
                out.push(service.holds(NAME, deadline));
                continue;
            }
            if self.state.told.len() > 100_000 {
                self.state.told.clear();
            }
            self.state.told.insert(together, (deadline.div_euclid(TOGETHER) + 1) * TOGETHER);
            let named = if open.name.is_empty() { "transaction" } else { &open.name };
            let start = open.line.time.as_micros();
            let found = Found {
                detector: NAME,
                service: service.name(),
                subject: &open.name,
                severity: Severity::Error,
                window: (
                    deadline.div_euclid(TOGETHER) * TOGETHER,
                    (deadline.div_euclid(TOGETHER) + 1) * TOGETHER,
                ),
                time: deadline,
                episode: 0,
                headline: format!(
                    "{named} {} was started and did not end within {} s",
                    open.id, settings.within_s
                ),
                value: closed.saturating_sub(start) as f64 / 1e6,
                bound: settings.within_s,
                unit: "s",
                reasons: Vec::new(),
                evidence: vec![open.line],
            };
            out.push(found.into());
        }
    }

    fn forget(&mut self, slot: usize) {
        let keys: Vec<u64> = self
            .state
            .deadlines
            .range((slot, i64::MIN, 0)..(slot + 1, i64::MIN, 0))
            .map(|(_, _, key)| *key)
            .collect();
        keys.into_iter().for_each(|key| {
            self.state.remove(key);
        });
    }

    fn held_back(&self) -> u64 {
        self.state.held_back
    }

    super::registry::stored!(1);
}
