//! Where the tests of each column begin, for values above zero and for those below.

/// Keys that share a base.
const BLOCK: usize = 64;
/// Columns from here on are as one that has no tests.
const LAST: u32 = 1 << 30;

/// A place for each column and sign, in little more than a byte each.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// Number of a key among those of its block that have tests, from 1; 0 where it has none.
    numbers: Vec<u8>,
    /// Where the starts of each block begin: first the place where there are no tests, then those of its keys.
    bases: Vec<u32>,
    starts: Vec<u32>,
}

impl Columns {
    /// Where there are no tests.
    const NOWHERE: u32 = 0;

    /// The key of a column for values above zero (`sign` 0) or below (1).
    pub(super) fn key(column: u32, sign: u32) -> u32 {
        (column.min(LAST) << 1) | sign
    }

    /// Where the tests of a key begin; 0 where there are none.
    pub(super) fn start(&self, key: u32) -> usize {
        let Some(number) = self.numbers.get(key as usize) else { return Self::NOWHERE as usize };
        let base = self.bases[key as usize / BLOCK];
        self.starts[base as usize + usize::from(*number)] as usize
    }

    /// Tells where the tests of a key begin, keys ascending.
    pub(super) fn push(&mut self, key: u32, start: u32) {
        let blocks = key as usize / BLOCK + 1;
        while self.bases.len() < blocks {
            self.bases.push(self.starts.len() as u32);
            self.starts.push(Self::NOWHERE);
        }
        self.numbers.resize(blocks * BLOCK, 0);
        self.numbers[key as usize] = (self.starts.len() as u32 - self.bases[blocks - 1]) as u8;
        self.starts.push(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_no_other() {
        let keys = [0_u32, 1, 63, 64, 130, 131, 9_000, 70_001];
        let mut columns = Columns::default();
        for (key, start) in keys.iter().zip(1..) {
            columns.push(*key, start);
        }
        for key in 0..80_000 {
            let expected = keys.iter().position(|other| *other == key).map_or(0, |at| at + 1);
            assert_eq!(columns.start(key), expected);
        }
        assert_eq!(columns.start(Columns::key(u32::MAX, 1)), 0);
    }
}
