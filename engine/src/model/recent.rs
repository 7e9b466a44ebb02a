//! A bounded table of lines that were seen a moment ago, and what followed from them. Lines repeat but for their
//! numbers and identifiers, so most are answered here; what is answered is what would be computed anew.

use crate::features::{KeyMaker, LineKey};

/// Entries of a set: a key may stand in any of them, and the keys of a set fill one cache line.
const WAYS: usize = 4;
const ALL_WAYS: u8 = (1 << WAYS) - 1;

/// How many lines a table answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Lines that the table answered.
    pub hits: u64,
    /// Lines that it could not answer.
    pub misses: u64,
}

/// A set-associative table of values by line key, of fixed size.
///
/// Within a set of four, a new line takes the place of one that was not asked for since the set was last searched
/// for a place (CLOCK; Corbató, 1968): lines that come once make way for each other, and those that repeat stay.
#[derive(Debug)]
pub struct RecentLines<V> {
    maker: KeyMaker,
    keys: Vec<[u128; WAYS]>,
    values: Vec<[V; WAYS]>,
    /// For each set: which entries were asked for, and above them the entry where the search for a place begins.
    marks: Vec<u8>,
    /// Entries of another generation are as good as empty.
    generation: u128,
    model: [u8; 32],
    counts: TableCounts,
}

impl<V: Copy + Default> RecentLines<V> {
    /// A table of at least four and at most `lines` entries: the greatest power of two. An entry takes 16 bytes and a
    /// value. With a `seed` that peers cannot know, they cannot make unlike lines share a key.
    pub fn new(lines: usize, seed: u128) -> Self {
        let sets = 1 << (lines / WAYS).max(1).ilog2();
        Self {
            maker: KeyMaker::new(seed),
            keys: vec![[0; WAYS]; sets],
            values: vec![[V::default(); WAYS]; sets],
            marks: vec![0; sets],
            generation: 0,
            model: [0; 32],
            counts: TableCounts::default(),
        }
    }

    /// What the table's keys are made with.
    pub const fn key_maker(&self) -> &KeyMaker {
        &self.maker
    }

    /// Lines answered and not answered so far.
    pub const fn counts(&self) -> TableCounts {
        self.counts
    }

    /// Forgets all lines, at the cost of none of them.
    pub const fn clear(&mut self) {
        // Multiples of an odd number: as many generations as there are keys.
        const STEP: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        self.generation = self.generation.wrapping_add(STEP);
    }

    /// Forgets all lines if what was remembered followed from another model than that of `digest`.
    pub(super) fn serve(&mut self, digest: &str) {
        // A digest has 32 digits; one that has not is of a model in the making.
        let digest = digest.as_bytes().first_chunk().copied().unwrap_or_default();
        if digest != self.model {
            self.model = digest;
            self.clear();
        }
    }

    /// What was remembered of a line.
    #[inline]
    pub fn get(&mut self, key: LineKey) -> Option<V> {
        let (set, key) = self.place(key);
        let found = self.keys[set].iter().position(|held| *held == key);
        let Some(way) = found else {
            self.counts.misses += 1;
            return None;
        };
        self.counts.hits += 1;
        let mark = 1 << way;
        if self.marks[set] & mark == 0 {
            self.marks[set] |= mark;
        }
        Some(self.values[set][way])
    }

    /// Remembers a line that [`RecentLines::get`] did not find.
    pub fn put(&mut self, key: LineKey, value: V) {
        let (set, key) = self.place(key);
        let mut asked = self.marks[set] & ALL_WAYS;
        let mut way = usize::from(self.marks[set] >> WAYS);
        while asked & 1 << way != 0 {
            asked &= !(1 << way);
            way = (way + 1) % WAYS;
        }
        self.keys[set][way] = key;
        self.values[set][way] = value;
        self.marks[set] = asked | (((way + 1) % WAYS) as u8) << WAYS;
    }

    /// The set of a key, and the key as this generation holds it, which is never 0.
    fn place(&self, LineKey(key): LineKey) -> (usize, u128) {
        let set = (key >> 64) as usize & (self.keys.len() - 1);
        (set, (key ^ self.generation) | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: u32) -> LineKey {
        KeyMaker::new(3).key(&line.to_le_bytes(), "", None)
    }

    #[test]
    fn a_line_is_remembered_until_others_take_its_place() {
        let mut table = RecentLines::new(64, 3);
        assert_eq!(table.get(key(0)), None);
        table.put(key(0), 7_u32);
        assert_eq!(table.get(key(0)), Some(7));
        for line in 1..10_000 {
            assert_eq!(table.get(key(line)), None);
            table.put(key(line), line);
            assert_eq!(table.get(key(line)), Some(line));
        }
        assert_eq!(table.get(key(0)), None);
        let held = (0..10_000).filter(|line| table.get(key(*line)).is_some()).count();
        assert_eq!(held, 64);
    }

    #[test]
    fn a_line_that_repeats_outlives_lines_that_come_once() {
        let mut table = RecentLines::new(16, 3);
        let mut found = 0;
        for line in 1..=10_000 {
            match table.get(key(0)) {
                Some(_) => found += 1,
                None => table.put(key(0), 0_u32),
            }
            assert_eq!(table.get(key(line)), None);
            table.put(key(line), line);
        }
        assert!(found > 9_900, "{found}");
    }

    #[test]
    fn clearing_and_another_model_forget_everything() {
        let mut table = RecentLines::new(1_024, 3);
        let (one, other) = ("1".repeat(32), "2".repeat(32));
        table.serve(&one);
        table.put(key(1), 1_u32);
        table.serve(&one);
        assert_eq!(table.get(key(1)), Some(1));
        table.serve(&other);
        assert_eq!(table.get(key(1)), None);
        table.put(key(1), 2);
        table.clear();
        assert_eq!(table.get(key(1)), None);
        table.put(key(1), 3);
        assert_eq!(table.get(key(1)), Some(3));
        assert_eq!(table.counts(), TableCounts { hits: 2, misses: 2 });
    }

    #[test]
    fn a_table_is_no_larger_than_asked_for() {
        for (lines, sets) in [(1, 1), (4, 1), (7, 1), (8, 2), (65_536, 16_384), (100_000, 16_384)] {
            assert_eq!(RecentLines::<u8>::new(lines, 0).keys.len(), sets);
        }
    }
}
