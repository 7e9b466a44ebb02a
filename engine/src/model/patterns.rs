//! The patterns that training saw most often, as people read them.

use std::sync::OnceLock;

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
#[derive(Clone, Debug, Default)]
pub struct FrequentPatterns {
    patterns: Vec<(String, u64)>,
    /// Made when the first line is compared.
    words: OnceLock<WordIndex>,
}

/// Which patterns have a word.
#[derive(Clone, Debug)]
struct WordIndex {
    /// Where the patterns of each word are.
    places: HashMap<u64, (u32, u32)>,
    /// Numbers of patterns, word after word.
    patterns: Vec<u32>,
    /// How many distinct words each pattern has.
    words: Vec<u32>,
}

impl WordIndex {
    fn new(patterns: &[(String, u64)]) -> Self {
        let mut pairs: Vec<(u64, u32)> = Vec::new();
        let mut words = Vec::with_capacity(patterns.len());
        for (number, (text, _)) in patterns.iter().enumerate() {
            let of_pattern = words_of(text);
            words.push(of_pattern.len() as u32);
            pairs.extend(of_pattern.iter().map(|word| (*word, number as u32)));
        }
        pairs.sort_unstable();
        let mut places = HashMap::new();
        let mut start = 0;
        for of_word in pairs.chunk_by(|(a, _), (b, _)| a == b) {
            places.insert(of_word[0].0, (start, of_word.len() as u32));
            start += of_word.len() as u32;
        }
        Self { places, patterns: pairs.into_iter().map(|(_, number)| number).collect(), words }
    }

    fn with(&self, word: u64) -> &[u32] {
        let (start, count) = self.places.get(&word).copied().unwrap_or_default();
        &self.patterns[start as usize..][..count as usize]
    }
}

impl FrequentPatterns {
    /// From texts and counts, most frequent first.
    pub const fn new(patterns: Vec<(String, u64)>) -> Self {
        Self { patterns, words: OnceLock::new() }
    }

    /// Texts and counts, most frequent first.
    pub fn as_slice(&self) -> &[(String, u64)] {
        &self.patterns
    }

    /// The pattern that shares most words with `pattern` (Dice's coefficient, at least a third), among those seen
    /// twice or more; the more frequent one of equals.
    pub fn nearest(&self, pattern: &str) -> Option<&str> {
        const LEAST_LIKENESS: f64 = 1.0 / 3.0;
        let index = self.words.get_or_init(|| WordIndex::new(&self.patterns));
        let wanted = words_of(&cut(pattern));
        let mut shared = vec![0_u32; self.patterns.len()];
        for word in &wanted {
            index.with(*word).iter().for_each(|number| shared[*number as usize] += 1);
        }
        let mut best: Option<(f64, &str)> = None;
        for (number, shared) in shared.into_iter().enumerate().filter(|(_, shared)| *shared > 0) {
            let (text, count) = &self.patterns[number];
            let words = wanted.len() + index.words[number] as usize;
            let likeness = f64::from(2 * shared) / words as f64;
            let is_better = likeness >= LEAST_LIKENESS && best.is_none_or(|(most, _)| likeness > most);
            if is_better && *count >= 2 && text != pattern {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn the_index_finds_what_comparing_with_each_finds(
            patterns in prop::collection::vec(("([ab<>] ?|cd |<num> ){0,7}", 1_u64..4), 0..30),
            asked in "([ab<>] ?|cd |<num> ){0,7}",
        ) {
            let wanted = words_of(&asked);
            let mut best: Option<(f64, &str)> = None;
            for (text, count) in &patterns {
                let words = words_of(text);
                let shared = wanted.iter().filter(|word| words.contains(word)).count();
                let likeness = 2.0 * shared as f64 / (wanted.len() + words.len()).max(1) as f64;
                if *count > 1
                    && *text != asked
                    && likeness >= 1.0 / 3.0
                    && best.is_none_or(|(most, _)| likeness > most)
                {
                    best = Some((likeness, text));
                }
            }
            let frequent = FrequentPatterns::new(patterns.clone());
            prop_assert_eq!(frequent.nearest(&asked), best.map(|(_, text)| text));
        }
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
