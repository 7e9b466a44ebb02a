//! Scores sparse rows without walking trees. Every tree is turned so that a row of zeros ends in leaf 0; a column
//! knows the nodes that test it, in the order of their thresholds. A row then only meets the nodes of its own
//! columns that it parts from zero at, each of which rules out the leaves on zero's side; the first leaf left over
//! is where the row ends. A sparse relative of QuickScorer (Lucchese et al., SIGIR 2015).

use super::score::path_length;
use super::tree::{ForestData, Tree};

/// A node as its column knows it, for one word of its tree's leaves.
#[derive(Clone, Copy, Debug)]
struct Test {
    /// A row parts from zero here where its value's size is greater.
    size: f64,
    /// Leaves of the word that are left over then.
    left_over: u64,
    word: u32,
    tree: u32,
}

/// What follows the tests of a column: no row parts there.
const END: Test = Test { size: f64::INFINITY, left_over: u64::MAX, word: 0, tree: 0 };

/// Columns that share a base.
const BLOCK: usize = 64;

/// Where the tests of values of one sign begin for each column, in little more than a byte a column.
#[derive(Clone, Debug, Default)]
struct Columns {
    /// Number of a column among the tested ones of its block, from 1; 0 where it is not tested.
    numbers: Vec<u8>,
    /// Where the starts of each block begin: first the place where there are no tests, then the tested columns'.
    bases: Vec<u32>,
    starts: Vec<u32>,
}

impl Columns {
    /// Where the tests of a column begin; `None` beyond the last tested one.
    fn start(&self, column: u32) -> Option<usize> {
        let number = *self.numbers.get(column as usize)?;
        let base = self.bases[column as usize / BLOCK];
        Some(self.starts[base as usize + usize::from(number)] as usize)
    }

    /// Tells where the tests of a column begin, columns ascending.
    fn push(&mut self, column: u32, start: u32) {
        let blocks = column as usize / BLOCK + 1;
        while self.bases.len() < blocks {
            self.bases.push(self.starts.len() as u32);
            self.starts.push(NO_TESTS);
        }
        self.numbers.resize(blocks * BLOCK, 0);
        self.numbers[column as usize] = (self.starts.len() as u32 - self.bases[blocks - 1]) as u8;
        self.starts.push(start);
    }
}

/// Where the list of tests has an end, and nothing before it.
const NO_TESTS: u32 = 0;

#[derive(Clone, Copy, Debug)]
struct Span {
    first_leaf: u32,
    first_word: u32,
    words: u32,
}

/// The tests of a forest by their columns.
#[derive(Clone, Debug)]
pub(super) struct SparseIndex {
    /// The columns of values above zero, and of those below.
    columns: [Columns; 2],
    /// Column after column, each by size and with [`END`] behind it.
    tests: Vec<Test>,
    spans: Vec<Span>,
    /// How much longer the path to a leaf is than to its tree's leaf 0.
    paths: Vec<i64>,
    words: usize,
    zero_sum: i64,
}

/// Buffers of one thread; a fresh one gives the same sums.
#[derive(Clone, Debug, Default)]
pub(super) struct SparseScratch {
    /// Leaves left over, all of them between two rows.
    alive: Vec<u64>,
    /// Where the tests begin of each column at which the row parts from zero, and the value's size.
    parting: Vec<(u32, f64)>,
    /// Trees in which something was ruled out.
    touched: Vec<u32>,
}

impl SparseIndex {
    /// Of checked trees.
    pub(super) fn new(data: &ForestData) -> Self {
        let mut index = Self {
            columns: [Columns::default(), Columns::default()],
            tests: vec![END],
            spans: Vec::with_capacity(data.trees.len()),
            paths: Vec::new(),
            words: 0,
            zero_sum: 0,
        };
        let mut tests = [Vec::new(), Vec::new()];
        for tree in &data.trees {
            index.push(tree, &mut tests);
        }
        index.columns = tests.map(|tests| index.place(tests));
        index
    }

    fn place(&mut self, mut tests: Vec<(u32, Test)>) -> Columns {
        tests.sort_by(|(a, x), (b, y)| a.cmp(b).then(x.size.total_cmp(&y.size)));
        let mut columns = Columns::default();
        for of_column in tests.chunk_by(|(a, _), (b, _)| a == b) {
            columns.push(of_column[0].0, self.tests.len() as u32);
            self.tests.extend(of_column.iter().map(|(_, test)| test));
            self.tests.push(END);
        }
        columns
    }

    fn push(&mut self, tree: &Tree, tests: &mut [Vec<(u32, Test)>; 2]) {
        let number = self.spans.len() as u32;
        let (turned, paths) = turn(tree);
        let (first_word, zero) = (self.words as u32, paths.first().copied().unwrap_or_default());
        let words = paths.len().div_ceil(64);
        self.spans.push(Span { first_leaf: self.paths.len() as u32, first_word, words: words as u32 });
        self.words += words;
        self.zero_sum += zero;
        self.paths.extend(paths.iter().map(|path| path - zero));
        for TurnedNode { feature, threshold, first, end } in turned {
            let below = threshold < 0.0;
            // value ≤ threshold < 0 is the same as −value > the number just below −threshold.
            let size = if below { (-threshold).next_down() } else { threshold };
            for word in first / 64..=(end - 1) / 64 {
                let left_over = !bits(first.saturating_sub(word * 64), end - word * 64);
                let test = Test { size, left_over, word: first_word + word, tree: number };
                tests[usize::from(below)].push((feature, test));
            }
        }
    }

    /// Number of tests at which a row parts from zero, as far as `most` of them.
    pub(super) fn parts(&self, row: impl Iterator<Item = (u32, f64)>, most: usize) -> usize {
        let mut count = 0;
        for (column, value) in row {
            let start = self.columns[usize::from(value < 0.0)].start(column).unwrap_or_default();
            count += self.tests[start..].iter().take(most).take_while(|test| value.abs() > test.size).count();
            if count >= most {
                return most;
            }
        }
        count
    }

    /// Sum of a row's path lengths over all trees. Neither columns that the forest does not have nor NaN change
    /// anything.
    pub(super) fn path_sum(
        &self,
        row: impl IntoIterator<Item = (u32, f64)>,
        scratch: &mut SparseScratch,
    ) -> i64 {
        scratch.fit(self);
        let SparseScratch { alive, parting, touched } = scratch;
        // What no branch can foretell is written and then counted or not.
        let mut columns = 0;
        for (column, value) in row {
            let Some(start) = self.columns[usize::from(value < 0.0)].start(column) else { continue };
            if columns == parting.len() {
                parting.resize(2 * columns + 32, (NO_TESTS, 0.0));
            }
            parting[columns] = (start as u32, value.abs());
            columns += usize::from(value.abs() > self.tests[start].size);
        }
        let mut trees = 0;
        for (start, size) in &parting[..columns] {
            let mut at = *start as usize;
            // By twos; behind the first of two comes at least the list's end.
            while let Some([first, second]) = self.tests.get(at..).and_then(|rest| rest.first_chunk()) {
                let (parts, parts_again) = (*size > first.size, *size > second.size);
                if !parts {
                    break;
                }
                let word = &mut alive[first.word as usize];
                touched[trees] = first.tree;
                trees += usize::from(*word == u64::MAX);
                *word &= first.left_over;
                let word = &mut alive[second.word as usize];
                touched[trees] = second.tree;
                trees += usize::from(parts_again & (*word == u64::MAX));
                *word &= second.left_over | u64::from(parts_again).wrapping_sub(1);
                if !parts_again {
                    break;
                }
                at += 2;
            }
        }
        let mut sum = self.zero_sum;
        for tree in &touched[..trees] {
            let Span { first_leaf, first_word, words } = self.spans[*tree as usize];
            let leaf = if words == 1 {
                std::mem::replace(&mut alive[first_word as usize], u64::MAX).trailing_zeros()
            } else {
                // A tree of several words may be met again: then it is as for a row of zeros, and adds nothing.
                let words = &mut alive[first_word as usize..][..words as usize];
                let leaf = first_alive(words);
                words.fill(u64::MAX);
                leaf
            };
            sum += self.paths[(first_leaf + leaf) as usize];
        }
        sum
    }
}

impl SparseScratch {
    fn fit(&mut self, index: &SparseIndex) {
        if self.alive.len() != index.words {
            self.alive.clear();
            self.alive.resize(index.words, u64::MAX);
        }
        // One place more than can be filled, as each is written before it is known whether it counts.
        if self.touched.len() <= index.words {
            self.touched.resize(index.words + 1, 0);
        }
    }
}

fn first_alive(words: &[u64]) -> u32 {
    let mut leaf = 0;
    for word in words {
        if *word != 0 {
            return leaf + word.trailing_zeros();
        }
        leaf += u64::BITS;
    }
    0
}

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
