//! Pieces that detectors' states are made of: one state per service, and a condition that begins, holds and ends.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::anomaly::Severity;

/// Largest state of one detector that is read back, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// A state for each service that has one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PerService<S> {
    slots: Vec<Option<Box<S>>>,
}

/// Apart from what is done for each line.
#[cold]
#[inline(never)]
fn made<S>(new: impl FnOnce() -> S) -> Box<S> {
    Box::new(new())
}

impl<S> Default for PerService<S> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<S> PerService<S> {
    pub fn get(&self, slot: usize) -> Option<&S> {
        self.slots.get(slot)?.as_deref()
    }

    pub fn get_mut(&mut self, slot: usize) -> Option<&mut S> {
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = &S> {
        self.slots.iter().filter_map(|slot| slot.as_deref())
    }

    #[inline]
    pub fn get_or(&mut self, slot: usize, new: impl FnOnce() -> S) -> &mut S {
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot].get_or_insert_with(|| made(new))
    }

    pub fn forget(&mut self, slot: usize) {
        if let Some(state) = self.slots.get_mut(slot) {
            *state = None;
        }
    }
}

/// What became of a condition at one evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It did not hold and does not.
    No,
    /// It begins to hold, or gets graver.
    Begins,
    /// It still holds.
    Holds,
}

/// A condition that may hold for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Condition {
    told: Option<Severity>,
}

impl Condition {
    /// What becomes of it; `now` is how grave it is, where it holds.
    pub fn turn(&mut self, now: Option<Severity>) -> Turn {
        let turn = match (self.told, now) {
            (_, None) => Turn::No,
            (Some(told), Some(now)) if now <= told => Turn::Holds,
            (_, Some(_)) => Turn::Begins,
        };
        self.told = if now.is_some() { self.told.max(now) } else { None };
        turn
    }
}

fn options() -> impl bincode::Options {
    use bincode::Options as _;
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(MOST_BYTES)
}

/// Bytes of a state.
pub(crate) fn save<S: Serialize>(state: &S) -> Result<Vec<u8>, String> {
    use bincode::Options as _;
    options().serialize(state).map_err(|error| error.to_string())
}

/// A state from its bytes.
pub(crate) fn load<S: DeserializeOwned>(bytes: &[u8]) -> Result<S, String> {
    use bincode::Options as _;
    options().deserialize(bytes).map_err(|error| error.to_string())
}

/// The chance that a count which is usually `mean` is `count` or more by luck alone (Poisson).
pub(crate) fn chance_of(count: f64, mean: f64) -> f64 {
    if count <= mean {
        return 1.0;
    }
    let mean = mean.max(1e-9);
    // The first term by logarithms, then each from the one before; they fall at least geometrically.
    let log_factorial: f64 = (2..=count as u64).take(100_000).map(|n| (n as f64).ln()).sum();
    let mut term = (count * mean.ln() - mean - log_factorial).exp();
    let mut sum = 0.0;
    let mut n = count;
    while term > sum * 1e-9 && term > 0.0 {
        sum += term;
        n += 1.0;
        term *= mean / n;
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_begins_once_and_again_when_it_gets_graver() {
        let mut condition = Condition::default();
        let turns: Vec<Turn> = [
            None,
            Some(Severity::Error),
            Some(Severity::Error),
            Some(Severity::Critical),
            Some(Severity::Error),
            None,
            Some(Severity::Error),
        ]
        .into_iter()
        .map(|now| condition.turn(now))
        .collect();
        use Turn::{Begins, Holds, No};
        assert_eq!(turns, [No, Begins, Holds, Begins, Holds, No, Begins]);
    }

    #[test]
    fn chances_are_those_of_a_poisson_count() {
        assert!((chance_of(1.0, 0.5) - 0.393_469).abs() < 1e-6);
        assert!((chance_of(21.0, 10.0) - 0.001_588).abs() < 1e-6);
        assert_eq!(chance_of(5.0, 10.0), 1.0);
        assert!(chance_of(1e5, 10.0) < 1e-300);
    }
}
