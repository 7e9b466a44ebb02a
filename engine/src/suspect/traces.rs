//! The traces that are under way: each one's newest line, and what was counted of it. Bounded; those that were silent
//! for a while, or longest where there are too many, are forgotten.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::FixedState;
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
pub(super) struct Trace {
    time: i64,
    place: u32,
    /// Places (odd) and steps (even) that were counted.
    counted: Counted,
}

/// Numbers that a trace keeps beside itself; most traces have no more.
const BESIDE: usize = 16;
/// Stands in the places that hold no number; none is so great.
const NONE: u32 = u32::MAX;

/// A set of few numbers, without memory of its own as long as they are very few.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Vec<u32>", into = "Vec<u32>")]
struct Counted {
    len: u8,
    few: [u32; BESIDE],
    more: Vec<u32>,
}

impl Default for Counted {
    fn default() -> Self {
        Self { len: 0, few: [NONE; BESIDE], more: Vec::new() }
    }
}

impl From<Vec<u32>> for Counted {
    fn from(all: Vec<u32>) -> Self {
        let mut counted = Self::default();
        all.into_iter().for_each(|what| counted.push(what));
        counted
    }
}

impl From<Counted> for Vec<u32> {
    fn from(counted: Counted) -> Self {
        let mut all = counted.few[..usize::from(counted.len)].to_vec();
        all.extend(counted.more);
        all
    }
}

impl Counted {
    fn len(&self) -> usize {
        usize::from(self.len) + self.more.len()
    }

    fn contains(&self, what: u32) -> bool {
        // All places, without a way out of the loop: that is one comparison of many at a time.
        self.few.iter().fold(false, |found, held| found | (*held == what)) || self.more.contains(&what)
    }

    fn push(&mut self, what: u32) {
        match self.few.get_mut(usize::from(self.len)) {
            Some(place) => {
                *place = what;
                self.len += 1;
            }
            None => self.more.push(what),
        }
    }

    fn clear(&mut self) {
        self.len = 0;
        self.few = [NONE; BESIDE];
        self.more.clear();
    }
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
        if self.counted.contains(what) || self.counted.len() >= MOST_COUNTED {
            return false;
        }
        self.counted.push(what);
        true
    }

    /// Whether it goes this step, by which it has just arrived, for the first time.
    pub fn is_first_step(&mut self, step: u32) -> bool {
        self.counts(2 * step)
    }
}

fn key(trace: &str) -> u64 {
    stable_hash(SEED, trace.as_bytes())
}

impl Traces {
    /// A trace comes to a place: what that is to it, and the trace; `None` where the line is an earlier one, or the one
    /// before delivered twice.
    pub fn arrive(&mut self, trace: &str, place: u32, time: i64) -> Option<(Arrival, &mut Trace)> {
        let key = key(trace);
        if time.saturating_sub(self.turned) > IDLE
            || self.young.len() >= MOST && !self.young.contains_key(&key)
        {
            // The room of those that are forgotten is that of those to come.
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
            self.turned = time;
        }
        let trace = match self.young.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let new = || Trace { time: i64::MIN, place, counted: Counted::default() };
                entry.insert(self.old.remove(&key).unwrap_or_else(new))
            }
        };
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
        Some((Arrival { is_first_here: trace.counts(2 * place + 1), from }, trace))
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
