//! The oddest of many scored lines, one of each kind: lines that differ only in numbers and ids are counted together.

use std::collections::HashMap;

use engine::event::LogEvent;

use crate::Place;

/// A line that was kept, and how many like it there were.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The first line with the kind's highest score.
    pub event: LogEvent,
    /// Where it stands.
    pub place: Place,
    /// In [0, 1], greater is odder.
    pub score: f64,
    /// Other odd lines of its kind.
    pub more: u64,
    /// Where the first few of those stand.
    pub others: Vec<Place>,
}

/// Places of other lines that are kept for each kind.
const OTHERS: usize = 5;

/// Keeps the oddest kinds of line; memory is bounded by a few times their number.
#[derive(Debug)]
pub struct Oddest {
    keep: usize,
    floor: f64,
    kinds: HashMap<String, Kept>,
}

impl Oddest {
    /// Keeps about `keep` kinds.
    pub fn new(keep: usize) -> Self {
        Self { keep, floor: 0.0, kinds: HashMap::new() }
    }

    /// Takes a scored line into account.
    pub fn offer(&mut self, event: &LogEvent, place: Place, score: f64) {
        self.offer_many(event, place, score, 1);
    }

    /// Takes `lines` lines of one kind and score into account, of which this is the first.
    pub fn offer_many(&mut self, event: &LogEvent, place: Place, score: f64, lines: u64) {
        if self.keep == 0 || score < self.floor || lines == 0 {
            return;
        }
        let kind = kind_of(event);
        if let Some(known) = self.kinds.get_mut(&kind) {
            known.more += lines;
            let other = if score > known.score {
                known.event = event.clone();
                known.score = score;
                std::mem::replace(&mut known.place, place)
            } else {
                place
            };
            if known.others.len() < OTHERS {
                known.others.push(other);
            }
            return;
        }
        let kept = Kept { event: event.clone(), place, score, more: lines - 1, others: Vec::new() };
        self.kinds.insert(kind, kept);
        if self.kinds.len() > self.keep.saturating_mul(4) {
            let mut scores: Vec<f64> = self.kinds.values().map(|kept| kept.score).collect();
            scores.sort_unstable_by(|a, b| b.total_cmp(a));
            self.floor = scores[self.keep - 1];
            let floor = self.floor;
            self.kinds.retain(|_, kept| kept.score >= floor);
        }
    }

    /// The kinds that were kept, oddest first, equal ones in the order of the input; at most `keep`.
    pub fn into_sorted(self) -> Vec<Kept> {
        let mut kept: Vec<Kept> = self.kinds.into_values().collect();
        kept.sort_unstable_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then((a.place.input, a.place.line).cmp(&(b.place.input, b.place.line)))
        });
        kept.truncate(self.keep);
        kept
    }
}

/// Service, level and text, with every word that holds a digit replaced by `#`.
fn kind_of(event: &LogEvent) -> String {
    let mut kind = format!("{}\0{}\0", event.service, event.level.map_or("", |level| level.as_str()));
    for word in event.message.split(|letter: char| !letter.is_alphanumeric()).take(64) {
        kind.push_str(if word.chars().any(|letter| letter.is_ascii_digit()) { "#" } else { word });
        kind.push(' ');
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(oddest: &mut Oddest, line: u64, message: &str, score: f64) {
        let event = LogEvent { message: message.to_owned(), ..LogEvent::default() };
        oddest.offer(&event, Place { input: 0, line }, score);
    }

    #[test]
    fn lines_that_differ_in_numbers_are_one_kind_shown_by_its_oddest() {
        let mut oddest = Oddest::new(10);
        offer(&mut oddest, 1, "took 5 ms", 0.5);
        offer(&mut oddest, 2, "took 7 ms", 0.6);
        offer(&mut oddest, 3, "disk full", 0.9);
        offer(&mut oddest, 4, "took 9 ms", 0.6);
        let kept = oddest.into_sorted();
        let shown: Vec<_> = kept.iter().map(|kept| (kept.place.line, kept.more)).collect();
        assert_eq!(shown, [(3, 0), (2, 2)]);
    }

    #[test]
    fn memory_stays_bounded_and_the_oddest_survive() {
        let mut oddest = Oddest::new(3);
        for line in 0..10_000u64 {
            let word: String = format!("{line:04}").bytes().map(|digit| char::from(digit + 49)).collect();
            offer(&mut oddest, line, &word, line as f64 / 10_000.0);
            assert!(oddest.kinds.len() <= 12);
        }
        let lines: Vec<_> = oddest.into_sorted().iter().map(|kept| kept.place.line).collect();
        assert_eq!(lines, [9_999, 9_998, 9_997]);
    }
}
