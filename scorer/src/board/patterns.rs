//! Patterns that training never saw: which, of which service, since when and how often. Bounded: the first two hundred
//! under a model are told apart, lines of others are counted together.

use engine::event::EventTime;
use foldhash::fast::RandomState as Foldhash;
use hashbrown::HashMap;

use crate::sink::cut;

/// Patterns that are told apart.
pub const MOST: usize = 200;
/// Longest pattern and service that are shown, in bytes.
const PATTERN_BYTES: usize = 500;
const SERVICE_BYTES: usize = 200;

/// One pattern of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPattern {
    /// The masked pattern.
    pub pattern: String,
    /// The service.
    pub service: String,
    /// Lines so far.
    pub count: u64,
    /// Time of the first line.
    pub first_seen: EventTime,
}

/// What the board shows.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    /// In the order in which they came.
    pub all: Vec<NewPattern>,
    /// Lines of further ones.
    pub beyond: u64,
}

/// What the scoring thread counts of them.
#[derive(Debug, Default)]
pub struct Counting {
    places: HashMap<(u64, u64), usize, Foldhash>,
    /// Lines since the last flush, by place.
    lines: Vec<u64>,
    met: Vec<NewPattern>,
    beyond: u64,
    has_news: bool,
}

impl Counting {
    /// A line of an unknown pattern; whether its text is wanted, by [`Counting::meet`].
    pub fn line(&mut self, key: (u64, u64)) -> bool {
        self.has_news = true;
        if let Some(place) = self.places.get(&key) {
            self.lines[*place] += 1;
            return false;
        }
        if self.places.len() == MOST {
            self.beyond += 1;
            return false;
        }
        true
    }

    /// The first line of a pattern.
    pub fn meet(&mut self, key: (u64, u64), pattern: &str, service: &str, first_seen: EventTime) {
        self.places.insert(key, self.lines.len());
        self.lines.push(1);
        let short = |text: &str, most| cut(text, most).to_owned();
        self.met.push(NewPattern {
            pattern: short(pattern, PATTERN_BYTES),
            service: short(service, SERVICE_BYTES),
            count: 0,
            first_seen,
        });
    }

    /// Whether there is something to tell.
    pub const fn has_news(&self) -> bool {
        self.has_news
    }

    /// Adds what is new to what the board shows.
    pub fn flush(&mut self, to: &mut Patterns) {
        to.all.append(&mut self.met);
        to.all.iter_mut().zip(&mut self.lines).for_each(|(pattern, lines)| {
            pattern.count += std::mem::take(lines);
        });
        to.beyond += std::mem::take(&mut self.beyond);
        self.has_news = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_pattern_are_counted_once_each_and_further_patterns_together() {
        let (mut counting, mut shown) = (Counting::default(), Patterns::default());
        for round in 0..3 {
            for number in 0..MOST as u64 + 5 {
                if counting.line((number, 1)) {
                    counting.meet((number, 1), &format!("pattern {number}"), "a", EventTime::default());
                }
            }
            if round > 0 {
                counting.flush(&mut shown);
            }
        }
        assert!(!counting.has_news());
        assert_eq!((shown.all.len(), shown.beyond), (MOST, 15));
        assert!(shown.all.iter().all(|pattern| pattern.count == 3), "{shown:?}");
        assert_eq!(shown.all[7].pattern, "pattern 7");
    }
}
