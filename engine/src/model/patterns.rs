//! The patterns that training saw most often, as people read them.

use hashbrown::HashMap;

use crate::features::{is_word_byte, stable_hash};

/// Patterns in a model.
pub const MOST_PATTERNS: usize = 4_096;
/// Texts held while training; at this number all but the most frequent half are dropped.
const MOST_WHILE_TRAINING: usize = 4 * MOST_PATTERNS;
/// Longest text of a pattern in bytes; what is longer is cut and ends in an ellipsis.
const LONGEST: usize = 512;

/// Collects pattern texts while training.
#[derive(Debug)]
pub struct PatternTable {
    most: usize,
    by_key: HashMap<u64, (String, u64)>,
}

impl Default for PatternTable {
    fn default() -> Self {
        Self::with_most(MOST_WHILE_TRAINING)
    }
}

impl PatternTable {
    /// None yet, and fewer than `most` texts, at least 2.
    pub fn with_most(most: usize) -> Self {
        Self { most, by_key: HashMap::new() }
    }

    /// Counts the pattern of `lines` lines where its text is held already; else says that the text is wanted.
    pub fn count(&mut self, key: u64, lines: u64) -> bool {
        match self.by_key.get_mut(&key) {
            Some((_, count)) => {
                *count += lines;
                true
            }
            None => false,
        }
    }

    /// Takes the text of a pattern that was not held, of one line.
    pub fn insert(&mut self, key: u64, text: &str) {
        self.by_key.insert(key, (cut(text), 1));
    }

    /// Whether [`PatternTable::make_room`] is due: to be asked after each insertion.
    pub fn is_full(&self) -> bool {
        self.by_key.len() >= self.most
    }

    /// Drops the less frequent half.
    pub fn make_room(&mut self) {
        let mut order: Vec<(u64, u64)> = self.by_key.iter().map(|(key, (_, count))| (*count, *key)).collect();
        order.sort_unstable();
        for (_, key) in &order[..order.len() / 2] {
            self.by_key.remove(key);
        }
    }

    /// The most frequent patterns, most frequent first, with their counts.
    pub fn into_most_frequent(self) -> Vec<(String, u64)> {
        let mut patterns: Vec<(String, u64)> = self.by_key.into_values().collect();
        patterns.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        patterns.truncate(MOST_PATTERNS);
        patterns
    }
}

/// A text of at most [`LONGEST`] bytes.
fn cut(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(LONGEST - '…'.len_utf8());
    format!("{}…", &text[..end])
}

/// The frequent patterns of a model, ready to be compared with a line's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrequentPatterns {
    patterns: Vec<(String, u64)>,
    words: Vec<Vec<u64>>,
}

impl FrequentPatterns {
    /// From texts and counts, most frequent first.
    pub fn new(patterns: Vec<(String, u64)>) -> Self {
        let words = patterns.iter().map(|(text, _)| words_of(text)).collect();
        Self { patterns, words }
    }

    /// Texts and counts, most frequent first.
    pub fn as_slice(&self) -> &[(String, u64)] {
        &self.patterns
    }

    /// The pattern that shares most words with `pattern` (Dice's coefficient, at least a third), among those seen
    /// twice or more; the more frequent one of equals.
    pub fn nearest(&self, pattern: &str) -> Option<&str> {
        const LEAST_LIKENESS: f64 = 1.0 / 3.0;
        let wanted = words_of(&cut(pattern));
        let mut best: Option<(f64, &str)> = None;
        for ((text, count), words) in self.patterns.iter().zip(&self.words) {
            if *count < 2 || words.is_empty() || text == pattern {
                continue;
            }
            let shared = shared(&wanted, words);
            let likeness = 2.0 * shared as f64 / (wanted.len() + words.len()) as f64;
            if likeness >= LEAST_LIKENESS && best.is_none_or(|(most, _)| likeness > most) {
                best = Some((likeness, text));
            }
        }
        best.map(|(_, text)| text)
    }
}

/// Distinct words of a pattern, hashed; masks are left out, as all patterns have them.
fn words_of(pattern: &str) -> Vec<u64> {
    let bytes = pattern.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| is_word_byte(**byte)).count();
        let is_mask = at > 0 && bytes[at - 1] == b'<' && bytes.get(at + length) == Some(&b'>');
        if length > 0 && !is_mask {
            words.push(stable_hash(0, &bytes[at..at + length].to_ascii_lowercase()));
        }
        at += length.max(1);
    }
    words.sort_unstable();
    words.dedup();
    words
}

fn shared(a: &[u64], b: &[u64]) -> usize {
    a.iter().filter(|word| b.binary_search(word).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_pattern_shares_words_and_is_another_one() {
        let frequent = FrequentPatterns::new(vec![
            ("served request <num> in <num> ms".into(), 900),
            ("connection closed by <ip>".into(), 50),
            ("connection refused by <ip>".into(), 1),
        ]);
        assert_eq!(frequent.nearest("connection reset by <ip>"), Some("connection closed by <ip>"));
        assert_eq!(frequent.nearest("kernel panic <num>"), None);
        assert_eq!(frequent.nearest("connection closed by <ip>"), None);
    }

    #[test]
    fn frequent_patterns_outlive_a_flood_of_rare_ones() {
        let mut table = PatternTable::default();
        for line in 0..100_000_u64 {
            for (key, text) in [(1, "often".to_owned()), (10 + line, format!("rare {line}"))] {
                if !table.count(key, 1) {
                    table.insert(key, &text);
                }
                if table.is_full() {
                    table.make_room();
                }
            }
        }
        assert!(table.by_key.len() <= MOST_WHILE_TRAINING);
        assert_eq!(table.into_most_frequent()[0], ("often".to_owned(), 100_000));
    }

    #[test]
    fn a_long_pattern_is_cut_at_a_character() {
        let text = cut(&"é".repeat(600));
        assert!(text.len() <= LONGEST && text.ends_with('…'));
    }
}
