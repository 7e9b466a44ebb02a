//! What the explanations of all lines of one key have in common, and what is filled in of a single line: the words that
//! hold its numbers and identifiers. So an explanation may be remembered, and is what it would be computed anew.

use std::ops::Range;

use hashbrown::hash_map::{Entry, HashMap};

use super::{Explanation, Reason, ReasonKind};
use crate::event::LogEvent;

/// Most reasons of one line.
pub const MOST_REASONS: usize = 5;
/// What brings less than this is not worth a reason.
const LEAST_NATS: f64 = 0.05;
/// Longest word that is shown, in bytes.
const LONGEST_WORD: usize = 120;

/// The part of a word that is shown, and by which equal words are found.
pub fn shown(word: &str) -> &str {
    &word[..word.floor_char_boundary(LONGEST_WORD)]
}

/// A word that reads otherwise in other lines of the key.
#[derive(Clone, Debug, PartialEq)]
pub struct Varying {
    /// Its bytes in the message.
    pub span: Range<usize>,
    /// See [`Reason`].
    pub kind: ReasonKind,
    /// See [`Reason`].
    pub contribution: f64,
    /// See [`Reason`].
    pub seen: u64,
}

/// An explanation without the words that vary.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Reasons that all lines of the key share, each with its place among all that were put in. While words vary, the
    /// first is the service, which one of them may read like.
    shared: Vec<(usize, Reason)>,
    varying: Vec<(usize, Varying)>,
    places: usize,
    pattern: String,
    pattern_seen: u64,
    /// See [`Explanation`].
    pub nearest_pattern: Option<String>,
}

impl Template {
    /// Without a reason yet.
    pub const fn new(pattern: String, pattern_seen: u64) -> Self {
        Self {
            shared: Vec::new(),
            varying: Vec::new(),
            places: 0,
            pattern,
            pattern_seen,
            nearest_pattern: None,
        }
    }

    /// Appends what is the same in all lines of the key, the service first; returns its number for [`Template::add`].
    pub fn put(&mut self, reason: Reason) -> usize {
        let place = self.next();
        self.shared.push((place, reason));
        self.shared.len() - 1
    }

    /// Adds to what a reason brought.
    pub fn add(&mut self, number: usize, contribution: f64) {
        self.shared[number].1.contribution += contribution;
    }

    /// Appends a word that varies.
    pub fn put_varying(&mut self, word: Varying) {
        let place = self.next();
        self.varying.push((place, word));
    }

    const fn next(&mut self) -> usize {
        self.places += 1;
        self.places - 1
    }

    /// Everything was put in: drops what can be no reason of any line.
    pub fn finish(&mut self) {
        if self.varying.iter().all(|(_, word)| word.contribution == 0.0) {
            self.varying = Vec::new();
        }
        // What varies only ever adds to itself and to the service.
        let service = if self.varying.is_empty() { None } else { self.shared.first().cloned() };
        let others = usize::from(service.is_some());
        let mut rest = self.shared.split_off(others.min(self.shared.len()));
        rest.retain(|(_, reason)| reason.contribution >= LEAST_NATS && !reason.word.is_empty());
        rest.sort_by(|(_, a), (_, b)| b.contribution.total_cmp(&a.contribution));
        rest.truncate(MOST_REASONS);
        self.shared = service.into_iter().chain(rest).collect();
        self.shared.shrink_to_fit();
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        let words: usize = self.shared.iter().map(|(_, reason)| reason.word.len()).sum();
        let nearest = self.nearest_pattern.as_ref().map_or(0, String::len);
        size_of::<Self>()
            + size_of_val(&*self.shared)
            + size_of_val(&*self.varying)
            + words
            + nearest
            + self.pattern.len()
    }

    /// The explanation of a line of the key.
    pub fn fill(&self, event: &LogEvent) -> Explanation {
        Explanation {
            reasons: if self.varying.is_empty() {
                self.shared.iter().map(|(_, reason)| reason.clone()).collect()
            } else {
                self.ranked(event)
            },
            pattern: self.pattern.clone(),
            pattern_seen: self.pattern_seen,
            nearest_pattern: self.nearest_pattern.clone(),
        }
    }

    fn ranked(&self, event: &LogEvent) -> Vec<Reason> {
        let shared = self.shared.iter().map(|(place, reason)| {
            let Reason { kind, word, contribution, seen } = reason;
            (*place, Ranked { kind: *kind, word, contribution: *contribution, seen: *seen })
        });
        let mut ranked: Vec<(usize, Ranked<'_>)> = Vec::with_capacity(self.shared.len() + self.varying.len());
        ranked.extend(shared);
        let mut numbers: HashMap<&str, usize> = HashMap::with_capacity(self.varying.len() + 1);
        numbers.insert(shown(&event.service), 0);
        for (place, Varying { span, kind, contribution, seen }) in &self.varying {
            let word = shown(event.message.get(span.clone()).unwrap_or_default());
            match numbers.entry(word) {
                Entry::Occupied(known) => ranked[*known.get()].1.contribution += contribution,
                Entry::Vacant(free) => {
                    free.insert(ranked.len());
                    let contribution = *contribution;
                    ranked.push((*place, Ranked { kind: *kind, word, contribution, seen: *seen }));
                }
            }
        }
        ranked.retain(|(_, reason)| reason.contribution >= LEAST_NATS && !reason.word.is_empty());
        ranked.sort_by(|(a_place, a), (b_place, b)| {
            b.contribution.total_cmp(&a.contribution).then(a_place.cmp(b_place))
        });
        ranked.truncate(MOST_REASONS);
        ranked.into_iter().map(|(_, reason)| reason.owned()).collect()
    }
}

/// A [`Reason`], borrowed.
struct Ranked<'a> {
    kind: ReasonKind,
    word: &'a str,
    contribution: f64,
    seen: u64,
}

impl Ranked<'_> {
    fn owned(self) -> Reason {
        let Self { kind, word, contribution, seen } = self;
        Reason { kind, word: word.to_owned(), contribution, seen }
    }
}
