//! What was not accepted: counted by reason, the first few shown with their line numbers.

use std::collections::BTreeMap;

use engine::decode::{RejectReason, Rejected};

/// How many examples of each reason are kept.
const EXAMPLES: usize = 3;

/// One line that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Name of the input.
    pub input: String,
    /// Counted from 1.
    pub line: u64,
    /// What was found, what is allowed.
    pub detail: String,
}

/// Lines that were not accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejects {
    by_reason: BTreeMap<RejectReason, (u64, Vec<Example>)>,
}

impl Rejects {
    /// Counts one; `line` is its number from 1, or its offset in a topic.
    pub fn add(&mut self, input: &str, line: u64, rejected: Rejected) {
        let (count, examples) = self.by_reason.entry(rejected.reason).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(Example { input: input.to_owned(), line, detail: rejected.detail });
        }
    }

    /// How many, blank lines included.
    pub fn total(&self) -> u64 {
        self.by_reason.values().map(|(count, _)| count).sum()
    }

    /// How many held something: all but blank lines.
    pub fn faulty(&self) -> u64 {
        let faulty = self.by_reason.iter().filter(|(reason, _)| **reason != RejectReason::Empty);
        faulty.map(|(_, (count, _))| count).sum()
    }

    /// Reason, count and the first examples.
    pub fn iter(&self) -> impl Iterator<Item = (RejectReason, u64, &[Example])> {
        self.by_reason.iter().map(|(reason, (count, examples))| (*reason, *count, examples.as_slice()))
    }
}
