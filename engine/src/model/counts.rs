//! How many training lines had a word, a pattern, or a pattern within its service.

use hashbrown::HashMap;

/// Keys held while training; at this number the rarest are dropped.
const MOST_WHILE_TRAINING: usize = 1 << 19;
/// Keys kept in a model.
const MOST_KEPT: usize = 1 << 18;

/// Document counts by stable hash, bounded in memory.
///
/// At 524 288 keys those seen once are dropped (then those seen twice, and so on, until a quarter is free); a
/// model keeps at most 262 144. A dropped key counts as unseen, which is what leaving its one line out says too.
#[derive(Clone, Debug)]
pub struct Counts {
    lines: u64,
    most: usize,
    by_key: HashMap<u64, u32>,
}

impl Default for Counts {
    fn default() -> Self {
        Self::with_most(MOST_WHILE_TRAINING)
    }
}

impl Counts {
    /// None yet, and fewer than `most` keys, at least 4, while training.
    pub fn with_most(most: usize) -> Self {
        Self { lines: 0, most, by_key: HashMap::new() }
    }

    /// Counts from stored pairs.
    pub fn from_pairs(lines: u64, pairs: impl Iterator<Item = (u64, u32)>) -> Self {
        Self { lines, by_key: pairs.collect(), ..Self::default() }
    }

    /// Lines that were counted.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Counts one line's distinct keys.
    pub fn add(&mut self, keys: impl IntoIterator<Item = u64>) {
        self.add_lines(keys, 1);
        if self.is_full() {
            self.make_room();
        }
    }

    /// Counts the distinct keys of `lines` equal lines, without making room.
    pub fn add_lines(&mut self, keys: impl IntoIterator<Item = u64>, lines: u64) {
        self.lines += lines;
        let more = u32::try_from(lines).unwrap_or(u32::MAX);
        for key in keys {
            let count = self.by_key.entry(key).or_insert(0);
            *count = count.saturating_add(more);
        }
    }

    /// Whether [`Counts::make_room`] is due: to be asked after each line that may bring new keys.
    pub fn is_full(&self) -> bool {
        self.by_key.len() >= self.most
    }

    /// Drops the rarest keys until a quarter is free.
    pub fn make_room(&mut self) {
        self.drop_rarest(self.most / 4 * 3);
    }

    /// Drops the rarest keys until at most `most` are left.
    fn drop_rarest(&mut self, most: usize) {
        let mut least = 1;
        while self.by_key.len() > most {
            self.by_key.retain(|_, count| *count > least);
            least += 1;
        }
    }

    /// Brings the table to the size that a model keeps.
    pub fn shrink(&mut self) {
        self.drop_rarest(MOST_KEPT);
        self.by_key.shrink_to_fit();
    }

    /// Training lines with the key.
    pub fn seen(&self, key: u64) -> u32 {
        self.by_key.get(&key).copied().unwrap_or(0)
    }

    /// Surprisal −ln((d + ½)/(N + 1)) of a key that d of N lines have, in nats; `own` is 1 where the line itself
    /// is one of them and is left out.
    pub fn surprisal(&self, key: u64, own: u32) -> f64 {
        let seen = f64::from(self.seen(key).saturating_sub(own));
        let lines = self.lines.saturating_sub(u64::from(own)) as f64;
        -((seen + 0.5) / (lines + 1.0)).ln()
    }

    /// Every key with its count, keys ascending.
    pub fn pairs(&self) -> Vec<(u64, u32)> {
        let mut pairs: Vec<_> = self.by_key.iter().map(|(key, count)| (*key, *count)).collect();
        pairs.sort_unstable();
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unseen_word_is_the_most_surprising() {
        let mut counts = Counts::default();
        for line in 0..99 {
            counts.add([1, 100 + line % 2]);
        }
        assert!((counts.surprisal(7, 0) - 200_f64.ln()).abs() < 1e-12);
        assert!((counts.surprisal(1, 0) - (100.0 / 99.5_f64).ln()).abs() < 1e-12);
        assert!((counts.surprisal(100, 1) - (99.0 / 49.5_f64).ln()).abs() < 1e-12);
    }

    #[test]
    fn memory_is_bounded_and_common_words_survive() {
        let mut counts = Counts::default();
        for line in 0..2_000_000_u64 {
            counts.add([1, 1_000 + line]);
        }
        assert!(counts.by_key.len() <= MOST_WHILE_TRAINING);
        counts.shrink();
        assert!(counts.by_key.len() <= MOST_KEPT);
        assert_eq!(counts.seen(1), 2_000_000);
    }
}
