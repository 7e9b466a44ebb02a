//! The traces that are under way: each one's newest line, and what was counted of it. Bounded; those that were silent
//! for a while, or longest where there are too many, are forgotten.

use std::collections::HashMap;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use crate::features::stable_hash;

/// Traces in each half.
const MOST: usize = 8_192;
/// Places and steps that are counted of one trace.
const MOST_COUNTED: usize = 128;
/// A trace that was silent for longer begins anew, in microseconds.
const IDLE: i64 = 60_000_000;
/// Keeps traces apart from other hashes.
const SEED: u64 = 7;

#[derive(Debug, Serialize, Deserialize)]
struct Trace {
    time: i64,
    place: u32,
    /// Places (odd) and steps (even) that were counted.
    counted: Vec<u32>,
}

/// What a line is to its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The trace was not at the place before.
    pub is_first_here: bool,
    /// The place that it came from, and how long it took in microseconds.
    pub from: Option<(u32, i64)>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Traces {
    young: HashMap<u64, Trace, FixedState>,
    old: HashMap<u64, Trace, FixedState>,
    /// When the young ones became old last.
    turned: i64,
}

impl Trace {
    /// Whether this is new to the trace; never of more than it keeps.
    fn counts(&mut self, what: u32) -> bool {
        if self.counted.contains(&what) || self.counted.len() >= MOST_COUNTED {
            return false;
        }
        self.counted.push(what);
        true
    }
}

fn key(trace: &str) -> u64 {
    stable_hash(SEED, trace.as_bytes())
}

impl Traces {
    /// A trace comes to a place; `None` where the line is an earlier one, or the one before delivered twice.
    pub fn arrive(&mut self, trace: &str, place: u32, time: i64) -> Option<Arrival> {
        let key = key(trace);
        if time.saturating_sub(self.turned) > IDLE
            || self.young.len() >= MOST && !self.young.contains_key(&key)
        {
            self.old = std::mem::take(&mut self.young);
            self.turned = time;
        }
        if !self.young.contains_key(&key) {
            let trace = self.old.remove(&key);
            self.young.insert(key, trace.unwrap_or(Trace { time: i64::MIN, place, counted: Vec::new() }));
        }
        let trace = self.young.get_mut(&key)?;
        let from = match time.checked_sub(trace.time) {
            Some(gap) if gap < 0 || gap == 0 && trace.place == place => return None,
            Some(gap) if gap <= IDLE => Some((trace.place, gap)),
            _ => {
                trace.counted.clear();
                None
            }
        };
        trace.time = time;
        trace.place = place;
        Some(Arrival { is_first_here: trace.counts(2 * place + 1), from })
    }

    /// Whether a trace, which has just arrived somewhere, goes this step for the first time.
    pub fn is_first_step(&mut self, trace: &str, step: u32) -> bool {
        self.young.get_mut(&key(trace)).is_some_and(|trace| trace.counts(2 * step))
    }

    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// Checks what was read back against the numbers of services, places and steps.
    pub fn check(&self, held: [usize; 3]) -> Result<(), String> {
        let mut all = self.young.values().chain(self.old.values());
        match all.find(|trace| trace.place as usize >= held[1]) {
            Some(trace) => Err(format!("a trace is at place {} of {}", trace.place, held[1])),
            None => Ok(()),
        }
    }
}
