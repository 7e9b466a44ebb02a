//! Scores sparse rows without walking trees. Every tree is turned so that a row of zeros ends in leaf 0; a column
//! knows the nodes that test it, in the order of their thresholds. A row then only meets the nodes of its own
//! columns that it parts from zero at, each of which rules out the leaves on zero's side; the first leaf left over
//! is where the row ends. A sparse relative of QuickScorer (Lucchese et al., SIGIR 2015).
//!
//! What a processor foretells badly is done without a branch: tests are met four at a time, whether they hold or not,
//! and places that are left over in a four stand for words that no tree has.

use std::hint::select_unpredictable;

use super::columns::Columns;
use super::score::path_length;
use super::tree::{ForestData, Tree};

/// Tests that are met at a time.
const STEP: usize = 4;
/// Words behind those of the trees, for places without a test; in turn, so that none has to wait for another.
const SPARE: usize = 16;
/// Most words, the spare ones included: 16 bits number them.
const MOST_WORDS: usize = 1 << 16;
const SIGN: u32 = 1 << 31;

/// Some tests of one column for values of one sign, by the sizes from which on a row parts from zero: one line of
/// the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Tests {
    /// Leaves of a word that a row rules out which parts from zero.
    ruled_out: [u64; STEP],
    /// A row parts where its value's size is greater, both as the bits of 32-bit floats.
    sizes: [u32; STEP],
    words: [u16; STEP],
    /// A value of a greater size meets the next tests too.
    more_above: u32,
}

/// The bits of a size that no value exceeds.
const NEVER: u32 = f32::INFINITY.to_bits();

/// The tests of a forest by their columns.
#[derive(Clone, Debug)]
pub(super) struct SparseIndex {
    columns: Columns,
    /// First what a column without tests has; then column after column.
    tests: Vec<Tests>,
    /// The sizes of the tests without rounding.
    sizes: Vec<[f64; STEP]>,
    /// The first word of each word's tree, where a tree has several.
    first_words: Option<Vec<u16>>,
    /// How much longer the path to a leaf is than to its tree's leaf 0, for each word as many as `stride`.
    paths: Vec<i64>,
    stride: usize,
    /// Trees' words, and the spare ones.
    words: usize,
    /// Most steps that the tests of one column take.
    most_steps: usize,
    zero_sum: i64,
}

/// Buffers of one thread; a fresh one gives the same sums.
#[derive(Clone, Debug, Default)]
pub(super) struct SparseScratch {
    /// Leaves that are ruled out, none of them between two rows.
    ruled_out: Vec<u64>,
    /// Where the tests begin of each column at which the row parts from zero, and the bits of the value's size.
    entries: Vec<(u32, u32)>,
    /// Tests that were met.
    met: Vec<u32>,
}

/// A test as its column has it.
struct Placed {
    key: u32,
    size: f64,
    ruled_out: u64,
    word: u16,
}

impl SparseIndex {
    /// Of checked trees; `None` where they have too many leaves.
    pub(super) fn new(data: &ForestData) -> Option<Self> {
        Self::with_most_words(data, MOST_WORDS)
    }

    fn with_most_words(data: &ForestData, most: usize) -> Option<Self> {
        let turned: Vec<_> = data.trees.iter().map(turn).collect();
        let words: usize = turned.iter().map(|(_, paths)| paths.len().div_ceil(WORD)).sum();
        if words + SPARE > most {
            return None;
        }
        let most_leaves = turned.iter().map(|(_, paths)| paths.len()).max().unwrap_or_default();
        let mut index = Self {
            columns: Columns::default(),
            tests: Vec::new(),
            sizes: Vec::new(),
            first_words: (most_leaves > WORD).then(Vec::new),
            paths: Vec::new(),
            stride: most_leaves.min(WORD),
            words: 0,
            most_steps: 0,
            zero_sum: 0,
        };
        let mut placed = Vec::new();
        for (nodes, paths) in &turned {
            index.push(nodes, paths, &mut placed);
        }
        let trees_words = index.words;
        index.words += SPARE;
        index.paths.resize(index.words * index.stride, 0);
        if let Some(first_words) = &mut index.first_words {
            first_words.extend((trees_words..index.words).map(|word| word as u16));
        }
        placed.sort_by(|a, b| a.key.cmp(&b.key).then(a.size.total_cmp(&b.size)));
        let mut spare = (trees_words..index.words).map(|word| word as u16).cycle();
        index.add_tests(&[], &mut spare);
        for of_column in placed.chunk_by(|a, b| a.key == b.key) {
            index.columns.push(of_column[0].key, index.tests.len() as u32);
            index.add_tests(of_column, &mut spare);
        }
        Some(index)
    }

    fn push(&mut self, nodes: &[TurnedNode], paths: &[i64], placed: &mut Vec<Placed>) {
        let (first_word, zero) = (self.words, paths.first().copied().unwrap_or_default());
        let words = paths.len().div_ceil(WORD);
        self.words += words;
        self.zero_sum += zero;
        self.paths.extend(paths.iter().map(|path| path - zero));
        self.paths.resize(self.words * self.stride, 0);
        if let Some(first_words) = &mut self.first_words {
            first_words.extend(std::iter::repeat_n(first_word as u16, words));
        }
        for TurnedNode { feature, threshold, first, end } in nodes {
            let below = *threshold < 0.0;
            // value ≤ threshold < 0 is the same as −value > the number just below −threshold.
            let size = if below { (-threshold).next_down() } else { *threshold };
            for word in *first as usize / WORD..=(*end as usize - 1) / WORD {
                let start = (word * WORD) as u32;
                placed.push(Placed {
                    key: Columns::key(*feature, u32::from(below)),
                    size,
                    ruled_out: bits(first.saturating_sub(start), end - start),
                    word: (first_word + word) as u16,
                });
            }
        }
    }

    /// Takes the tests of one column, by size.
    fn add_tests(&mut self, tests: &[Placed], spare: &mut impl Iterator<Item = u16>) {
        let steps = tests.len().div_ceil(STEP).max(1);
        self.most_steps = self.most_steps.max(steps);
        for step in 0..steps {
            let words = std::array::from_fn(|_| spare.next().unwrap_or_default());
            let mut four = Tests { ruled_out: [0; STEP], sizes: [NEVER; STEP], words, more_above: NEVER };
            let mut sizes = [f64::INFINITY; STEP];
            for (at, test) in tests.iter().skip(step * STEP).take(STEP).enumerate() {
                four.ruled_out[at] = test.ruled_out;
                four.sizes[at] = rounded_down(test.size).to_bits();
                four.words[at] = test.word;
                sizes[at] = test.size;
            }
            if step + 1 < steps {
                four.more_above = four.sizes[STEP - 1];
            }
            self.tests.push(four);
            self.sizes.push(sizes);
        }
    }

    /// Number of tests at which a row parts from zero, as far as `most` of them.
    pub(super) fn parts(&self, row: impl Iterator<Item = (u32, f64)>, most: usize) -> usize {
        let mut count = 0;
        for (column, value) in row {
            let mut at = self.columns.start(Columns::key(column, u32::from(value < 0.0)));
            while count < most {
                count += self.sizes[at].iter().filter(|size| value.abs() > **size).count();
                if !self.goes_on(at, value.abs()) {
                    break;
                }
                at += 1;
            }
        }
        count.min(most)
    }

    /// Whether a value of this size may part at the tests behind these.
    fn goes_on(&self, at: usize, size: f64) -> bool {
        self.tests[at].more_above != NEVER && size > self.sizes[at][STEP - 1]
    }

    /// Sum of a row's path lengths over all trees. Neither columns that the forest does not have nor NaN change
    /// anything.
    pub(super) fn path_sum<R>(&self, row: R, scratch: &mut SparseScratch) -> i64
    where
        R: IntoIterator<Item = (u32, f64)>,
        R::IntoIter: Clone,
    {
        let row = row.into_iter();
        if scratch.ruled_out.is_empty() {
            // It may stay the only row: not worth the room that many are quicker with.
            return self.path_sum_of_any(row, scratch);
        }
        let (mut entries, mut is_rounded) = (0, false);
        let mut places = scratch.entries.as_mut_slice();
        // What no branch can foretell is written and then counted or not.
        for (column, value) in row.clone() {
            let single = value as f32;
            // Of NaN too.
            is_rounded |= f64::from(single) != value;
            let bits = single.to_bits();
            let key = Columns::key(column, bits >> 31);
            if entries >= places.len() {
                places = grown(&mut scratch.entries);
            }
            let (start, size) = (self.columns.start(key), bits & !SIGN);
            places[entries] = (start as u32, size);
            entries += usize::from(size > self.tests[start].sizes[0]);
        }
        if is_rounded {
            self.path_sum_of_any(row, scratch)
        } else {
            self.path_sum_of_singles(entries, scratch)
        }
    }

    /// The same where every value fits 32 bits: then it is above a size just where it is above the size rounded down.
    fn path_sum_of_singles(&self, entries: usize, scratch: &mut SparseScratch) -> i64 {
        scratch.fit(entries * self.most_steps);
        let SparseScratch { ruled_out, entries: all, met } = scratch;
        // As many words as their numbers can say: none has to be looked at for being one of them.
        let Some(ruled_out) = ruled_out.first_chunk_mut::<MOST_WORDS>() else { return self.zero_sum };
        let (met, tests) = (met.as_mut_slice(), self.tests.as_slice());
        let mut count = 0;
        for (start, size) in &all[..entries] {
            let mut at = *start as usize;
            while let Some(four) = tests.get(at) {
                met[count] = at as u32;
                count += 1;
                at += 1;
                let part = |at: usize| select_unpredictable(*size > four.sizes[at], four.ruled_out[at], 0);
                let parts: [u64; STEP] = std::array::from_fn(part);
                for (word, part) in four.words.iter().zip(parts) {
                    ruled_out[usize::from(*word)] |= part;
                }
                if *size <= four.more_above {
                    break;
                }
            }
        }
        if let Some(first_words) = &self.first_words {
            return self.finish_wide(&met[..count], first_words, ruled_out);
        }
        let mut sum = self.zero_sum;
        for at in &met[..count] {
            for word in tests[*at as usize].words {
                let word = usize::from(word);
                // A tree may be met again: then it is as for a row of zeros, and adds nothing.
                let leaf = (!std::mem::take(&mut ruled_out[word])).trailing_zeros();
                sum += self.paths[word * self.stride + leaf as usize];
            }
        }
        sum
    }

    /// The same for any values.
    fn path_sum_of_any(&self, row: impl Iterator<Item = (u32, f64)>, scratch: &mut SparseScratch) -> i64 {
        let SparseScratch { ruled_out, met, .. } = scratch;
        if ruled_out.len() < self.words {
            ruled_out.resize(self.words, 0);
        }
        met.clear();
        for (column, value) in row {
            let mut at = self.columns.start(Columns::key(column, u32::from(value < 0.0)));
            loop {
                met.push(at as u32);
                let four = &self.tests[at];
                for (size, (word, part)) in self.sizes[at].iter().zip(four.words.iter().zip(four.ruled_out)) {
                    if value.abs() > *size {
                        ruled_out[usize::from(*word)] |= part;
                    }
                }
                if !self.goes_on(at, value.abs()) {
                    break;
                }
                at += 1;
            }
        }
        match &self.first_words {
            Some(first_words) => self.finish_wide(met, first_words, ruled_out),
            None => self.finish_any(met, ruled_out),
        }
    }

    /// Adds up where the rows end in the trees whose tests were met, and rules nothing out any more.
    fn finish_any(&self, met: &[u32], ruled_out: &mut [u64]) -> i64 {
        let words = met.iter().flat_map(|at| self.tests[*at as usize].words);
        let path = |word: u16| {
            let leaf = (!std::mem::take(&mut ruled_out[usize::from(word)])).trailing_zeros();
            self.paths[usize::from(word) * self.stride + leaf as usize]
        };
        self.zero_sum + words.map(path).sum::<i64>()
    }

    /// The same where some tree has several words.
    fn finish_wide(&self, met: &[u32], first_words: &[u16], ruled_out: &mut [u64]) -> i64 {
        let words = met.iter().flat_map(|at| self.tests[*at as usize].words);
        let path = |word: u16| self.paths[first_leaf(usize::from(word), first_words, ruled_out)];
        self.zero_sum + words.map(path).sum::<i64>()
    }
}

/// Room for more entries.
#[cold]
#[inline(never)]
fn grown(entries: &mut Vec<(u32, u32)>) -> &mut [(u32, u32)] {
    let more = 2 * entries.len() + 32;
    entries.resize(more, (0, 0));
    entries
}

/// The first leaf that is left over of a word's tree, whose words are then cleared.
fn first_leaf(word: usize, first_words: &[u16], ruled_out: &mut [u64]) -> usize {
    let first = first_words[word];
    let words = first_words[usize::from(first)..].iter().take_while(|other| **other == first).count();
    let words = &mut ruled_out[usize::from(first)..][..words];
    let at = words.iter().position(|word| *word != u64::MAX).unwrap_or_default();
    let leaf = (usize::from(first) + at) * WORD + (!words[at]).trailing_zeros() as usize;
    words.fill(0);
    leaf
}

impl SparseScratch {
    /// Room for all words, of which only those in use ever take memory, and for tests that are met.
    fn fit(&mut self, met: usize) {
        if self.ruled_out.len() < MOST_WORDS {
            self.ruled_out = vec![0; MOST_WORDS];
        }
        if self.met.len() < met {
            self.met.resize(2 * met, 0);
        }
    }
}

/// The greatest 32-bit number that is not above a positive one.
fn rounded_down(size: f64) -> f32 {
    let single = size as f32;
    if f64::from(single) > size { single.next_down() } else { single }
}

/// Leaves of a word.
const WORD: usize = u64::BITS as usize;

/// A node of a turned tree: zero's side of it has the leaves `first..end`.
struct TurnedNode {
    feature: u32,
    threshold: f64,
    first: u32,
    end: u32,
}

/// Turns a tree: leaves are numbered so that the side of zero always comes first. Its nodes, and the path lengths
/// of its leaves.
fn turn(tree: &Tree) -> (Vec<TurnedNode>, Vec<i64>) {
    enum Visit {
        Enter {
            node: u32,
            depth: u32,
        },
        /// The side of zero is numbered: its leaves are `first..`now.
        Between {
            node: u32,
            first: u32,
        },
    }
    let (mut turned, mut paths) = (Vec::new(), Vec::new());
    let mut pending = vec![Visit::Enter { node: 0, depth: 0 }];
    while let Some(visit) = pending.pop() {
        match visit {
            Visit::Enter { node, depth } => {
                let at = tree.nodes[node as usize];
                if at.is_leaf() {
                    paths.push(path_length(depth, at.samples));
                    continue;
                }
                let (zero, other) =
                    if at.threshold >= 0.0 { (at.left, at.right) } else { (at.right, at.left) };
                pending.push(Visit::Enter { node: other, depth: depth + 1 });
                pending.push(Visit::Between { node, first: paths.len() as u32 });
                pending.push(Visit::Enter { node: zero, depth: depth + 1 });
            }
            Visit::Between { node, first } => {
                let at = tree.nodes[node as usize];
                let end = paths.len() as u32;
                turned.push(TurnedNode { feature: at.feature, threshold: at.threshold, first, end });
            }
        }
    }
    (turned, paths)
}

/// Bits `first..end` of a word, `first < 64`.
const fn bits(first: u32, end: u32) -> u64 {
    let upto = if end >= u64::BITS { u64::MAX } else { (1 << end) - 1 };
    upto & (u64::MAX << first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{IsolationForestParams, PlainForest, SparseRows};
    use super::*;

    /// Values that 32 bits hold and values that they do not, beside each other.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            Just(0.25),
            Just(-0.5),
            Just(1.0 / 3.0),
            Just(f64::from(1.0_f32 / 3.0)),
            -1.0..1.0,
            Just(-1e-60),
            Just(1e300),
        ]
    }

    fn rows() -> impl Strategy<Value = Vec<Vec<(u32, f64)>>> {
        let row = proptest::collection::btree_map(0..90_u32, value(), 0..25);
        proptest::collection::vec(row.prop_map(|row| row.into_iter().collect()), 2..200)
    }

    proptest! {
        #[test]
        fn sums_are_those_of_walking_every_tree(rows in rows(), trees in 1..20_usize, seed: u64) {
            let mut sparse = SparseRows::new(90);
            for row in &rows {
                sparse.push(row.iter().copied()).unwrap();
            }
            let params = IsolationForestParams::new().n_estimators(trees).seed(seed).checked().unwrap();
            let forest = params.fit_rows(&sparse).unwrap();
            let (plain, index) = (PlainForest::new(forest.data()), SparseIndex::new(forest.data()).unwrap());
            let mut scratch = SparseScratch::default();
            for row in &rows {
                let walked = plain.path_sum_by_search(row);
                prop_assert_eq!(walked, index.path_sum(row.iter().copied(), &mut scratch));
                prop_assert_eq!(walked, index.path_sum_of_any(row.iter().copied(), &mut scratch));
            }
            // Thresholds themselves, and what stands just beside them.
            for node in forest.data().trees.iter().flat_map(|tree| &tree.nodes).filter(|node| !node.is_leaf()) {
                for value in [node.threshold, node.threshold.next_up(), f64::from(node.threshold as f32)] {
                    let row = [(node.feature, value)];
                    prop_assert_eq!(plain.path_sum_by_search(&row), index.path_sum(row, &mut scratch));
                }
            }
        }
    }

    #[test]
    fn trees_of_too_many_leaves_are_not_taken() {
        let rows = SparseRows::from_dense(1, (0..300).map(|row| [f64::from(row)])).unwrap();
        let params = IsolationForestParams::new().n_estimators(3).checked().unwrap();
        let forest = params.fit_rows(&rows).unwrap();
        let index = SparseIndex::new(forest.data()).unwrap();
        assert!(index.first_words.is_some(), "a tree has more leaves than a word");
        assert!(SparseIndex::with_most_words(forest.data(), index.words).is_some());
        assert!(SparseIndex::with_most_words(forest.data(), index.words - 1).is_none());
    }
}
