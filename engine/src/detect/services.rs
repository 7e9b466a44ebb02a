//! The services that have a state, and each one's clock. A service's event time is that of its own newest line,
//! so that no other service's clock, right or wrong, can close its windows.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Name that stands for all services beyond the cap.
pub const OTHER: &str = "__other__";

/// Longest service name that is kept, in bytes.
const NAME_BYTES: usize = 1_024;

/// One service's clocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clock {
    pub name: String,
    /// Index into the settings; found again when state is restored.
    #[serde(skip)]
    pub profile: usize,
    /// Time of the first line.
    pub first: i64,
    /// Time of the newest line.
    pub newest: i64,
    /// Event time as far as it is known: of the newest line, or that and how long it has been silent.
    pub now: i64,
    /// What the live clock showed at the last line.
    pub heard: i64,
    /// Lines so far.
    pub lines: u64,
    /// The time up to which windows were closed.
    pub closed: i64,
}

/// Names, clocks and indexes ("slots") of services. Slot 0 is [`OTHER`].
#[derive(Debug, Default)]
pub(crate) struct Services {
    slots: HashMap<String, usize, foldhash::fast::FixedState>,
    pub clocks: Vec<Clock>,
    most: usize,
    hints: Hints,
}

/// Slots by a few bytes of their names: checked before one is used, so they change nothing.
#[derive(Debug)]
struct Hints([u32; HINTS]);

const HINTS: usize = 64;

impl Default for Hints {
    fn default() -> Self {
        Self([0; HINTS])
    }
}

impl Hints {
    fn of(&mut self, name: &str) -> &mut u32 {
        let [first, .., last] = name.as_bytes() else { return &mut self.0[0] };
        &mut self.0[(name.len() + 7 * usize::from(*first) + 29 * usize::from(*last)) % HINTS]
    }
}

impl Services {
    pub fn new(most: usize) -> Self {
        let mut services = Self { most, ..Self::default() };
        services.clocks.push(Clock::new(OTHER, 0));
        services
    }

    /// The slot of a service, and whether it is a new one; [`OTHER`]'s where there are too many.
    pub fn slot(&mut self, name: &str, profile: impl FnOnce(&str) -> usize) -> usize {
        let hint = self.hints.of(name);
        let hinted = *hint as usize;
        // A longer name is not all in its clock, and slot 0 is of no name in particular.
        if hinted > 0
            && name.len() < NAME_BYTES
            && self.clocks.get(hinted).is_some_and(|clock| clock.name == name)
        {
            return hinted;
        }
        if let Some(slot) = self.slots.get(name) {
            *hint = *slot as u32;
            return *slot;
        }
        if self.clocks.len() > self.most || name == OTHER {
            return 0;
        }
        let slot = self.clocks.len();
        self.slots.insert(name.to_owned(), slot);
        self.clocks.push(Clock::new(super::anomaly::cut(name, NAME_BYTES), profile(name)));
        slot
    }

    /// Whether there is no slot left.
    pub fn is_full(&self) -> bool {
        self.clocks.len() > self.most
    }

    /// Gives the slot of a service that is gone to another one.
    pub fn rename(&mut self, slot: usize, name: &str, profile: usize) {
        let old = std::mem::replace(&mut self.clocks[slot], Clock::new(name, profile));
        self.slots.remove(&old.name);
        self.slots.insert(name.to_owned(), slot);
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        if name == OTHER { Some(0) } else { self.slots.get(name).copied() }
    }

    pub fn restore(&mut self, clocks: Vec<Clock>, profile: impl Fn(&str) -> usize) {
        self.slots =
            clocks.iter().enumerate().skip(1).map(|(slot, clock)| (clock.name.clone(), slot)).collect();
        self.clocks = clocks;
        if self.clocks.is_empty() {
            self.clocks.push(Clock::new(OTHER, 0));
        }
        self.clocks.iter_mut().for_each(|clock| clock.profile = profile(&clock.name));
    }
}

impl Clock {
    fn new(name: &str, profile: usize) -> Self {
        Self {
            name: name.to_owned(),
            profile,
            first: i64::MAX,
            newest: i64::MIN,
            now: i64::MIN,
            heard: 0,
            lines: 0,
            closed: i64::MIN,
        }
    }

    /// As if it had not spoken yet.
    pub fn begin_anew(&mut self) {
        let name = std::mem::take(&mut self.name);
        *self = Self { name, ..Self::new("", self.profile) };
    }

    pub const fn has_spoken(&self) -> bool {
        self.lines > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_share_a_hint_keep_their_slots() {
        let mut services = Services::new(1_000);
        // All of one length, first and last byte; and names that are the same as far as they are kept.
        let long = |end: &str| format!("{}{end}", "n".repeat(NAME_BYTES));
        let names: Vec<String> = (100..300).map(|n| format!("a{n}z")).chain([long("a"), long("b")]).collect();
        let slots: Vec<usize> = names.iter().map(|name| services.slot(name, |_| 0)).collect();
        assert_eq!(slots, (1..=names.len()).collect::<Vec<_>>());
        for _ in 0..2 {
            for (name, slot) in names.iter().zip(&slots) {
                assert_eq!(services.slot(name, |_| 0), *slot);
            }
        }
        services.rename(slots[7], "another", 0);
        assert_eq!(services.slot("another", |_| 0), slots[7]);
        assert_ne!(services.slot(&names[7], |_| 0), slots[7]);
    }
}
