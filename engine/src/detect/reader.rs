//! Reads what detectors need of an event's attributes in one pass over them, where [`Business::of`] looks for each
//! name in turn. Says the same.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::decode::business::{self, Business, BusinessNames};
use crate::event::LogEvent;

/// Longest attribute name that is looked up, in bytes.
const NAME_BYTES: usize = 64;

/// What an attribute may tell.
#[derive(Clone, Copy)]
enum Part {
    Duration,
    Outcome,
    TransactionId,
    Name,
    Phase,
}

#[derive(Clone, Copy)]
struct Use {
    part: Part,
    /// Place in the part's list: the least that is usable wins.
    rank: u32,
    /// Letters must have the same case.
    exact: bool,
    /// Milliseconds that a number without a unit stands for.
    scale: f64,
}

/// Names of attributes that are remembered.
const REMEMBERED: usize = 64;

/// Names of attributes and what they tell.
pub(crate) struct Reader {
    /// By name in lower case: a place in `uses`.
    names: HashMap<Vec<u8>, usize, FixedState>,
    uses: Vec<Vec<(String, Use)>>,
    /// A bit for each length that a name has.
    lengths: u64,
    /// Names that were looked up lately, by a few of their bytes, and the place of their uses: most lines have the
    /// attributes of lines before.
    last: Vec<(String, Option<usize>)>,
}

impl Reader {
    pub fn new(names: &BusinessNames) -> Self {
        let mut reader = Self {
            names: HashMap::default(),
            uses: Vec::new(),
            lengths: 0,
            last: vec![(String::new(), None); REMEMBERED],
        };
        let lists = [
            (Part::Duration, &names.duration),
            (Part::Outcome, &names.outcome),
            (Part::TransactionId, &names.transaction_id),
            (Part::Name, &names.name),
            (Part::Phase, &names.phase),
        ];
        for (part, list) in lists {
            for (rank, name) in (0u32..).zip(list).filter(|(_, name)| name.len() < NAME_BYTES) {
                let exact = name.bytes().any(|byte| byte.is_ascii_uppercase());
                reader.lengths |= 1 << name.len();
                let next = reader.uses.len();
                let place = *reader.names.entry(name.to_ascii_lowercase().into_bytes()).or_insert(next);
                if place == next {
                    reader.uses.push(Vec::new());
                }
                reader.uses[place]
                    .push((name.clone(), Use { part, rank, exact, scale: business::scale_of(name) }));
            }
        }
        reader
    }

    /// The place of a name's uses.
    fn look_up(&self, name: &str) -> Option<usize> {
        if name.len() >= NAME_BYTES || self.lengths & (1 << name.len()) == 0 {
            return None;
        }
        let mut lower = [0; NAME_BYTES];
        lower[..name.len()].copy_from_slice(name.as_bytes());
        lower[..name.len()].make_ascii_lowercase();
        self.names.get(&lower[..name.len()]).copied()
    }

    /// As [`Reader::look_up`], with a memory.
    fn uses_of(&mut self, name: &str) -> Option<usize> {
        let [first, .., last] = name.as_bytes() else { return self.look_up(name) };
        let at = (name.len() + 7 * usize::from(*first) + 29 * usize::from(*last)) % REMEMBERED;
        if self.last[at].0 == name {
            return self.last[at].1;
        }
        let uses = self.look_up(name);
        if name.len() < NAME_BYTES {
            let last = &mut self.last[at];
            name.clone_into(&mut last.0);
            last.1 = uses;
        }
        uses
    }

    /// What the event says of a piece of work.
    pub fn business<'e>(&mut self, event: &'e LogEvent) -> Business<'e> {
        let mut business = Business::default();
        let mut ranks = [u32::MAX; 5];
        for (name, value) in &event.attributes {
            let Some(uses) = self.uses_of(name) else { continue };
            let value = trimmed(value);
            for (known, usage) in &self.uses[uses] {
                let rank = &mut ranks[usage.part as usize];
                if usage.rank >= *rank || value.is_empty() || (usage.exact && known != name) {
                    continue;
                }
                if put(&mut business, usage, value) {
                    *rank = usage.rank;
                }
            }
        }
        if business.duration_ms.is_none() {
            business.duration_ms = business::duration_in_text(&event.message);
        }
        business
    }
}

/// A text without the white space around it: most have none.
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// Whether the value is one.
fn put<'e>(business: &mut Business<'e>, usage: &Use, value: &'e str) -> bool {
    match usage.part {
        Part::Duration => match business::duration_in(usage.scale, value) {
            Some(duration) => business.duration_ms = Some(duration),
            None => return false,
        },
        Part::Outcome => match business::outcome(value) {
            Some(outcome) => business.outcome = Some(outcome),
            None => return false,
        },
        Part::Phase => match business::phase(value) {
            Some(phase) => business.phase = Some(phase),
            None => return false,
        },
        Part::TransactionId => business.transaction_id = Some(value),
        Part::Name => business.name = Some(value),
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_reads_what_looking_for_each_name_reads(
            picks in prop::collection::btree_map(0usize..30, 0usize..12, 0..8),
            upper: bool,
        ) {
            let names = BusinessNames::default();
            let lists = [&names.duration, &names.outcome, &names.transaction_id, &names.name, &names.phase];
            let mut all: Vec<&String> = lists.into_iter().flatten().collect();
            let (host, region) = ("host".to_owned(), "a.region".to_owned());
            all.extend([&host, &region]);
            let values = ["120ms", "5", "x", "", "failed", "ok", "started", "503", " done ", "true", "1.5 s", "-3"];
            let mut attributes: Vec<(String, String)> = Vec::new();
            for (name, value) in picks {
                let name = all[name % all.len()];
                let is_exact = name.bytes().any(|byte| byte.is_ascii_uppercase());
                let name = if upper && !is_exact { name.to_ascii_uppercase() } else { name.clone() };
                if !attributes.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                    attributes.push((name, values[value].to_owned()));
                }
            }
            let message = "order completed in 35 ms".to_owned();
            let event = LogEvent { message, attributes, ..LogEvent::default() };
            let mut reader = Reader::new(&names);
            let backwards = event.attributes.iter().rev().cloned().collect();
            let backwards = LogEvent { attributes: backwards, ..event.clone() };
            for event in [&event, &event, &backwards, &event] {
                prop_assert_eq!(reader.business(event), Business::of(event, &names));
            }
        }
    }
}
