//! Scores rows without walking trees. Every tree is turned so that a row of zeros always goes left and ends in
//! leaf 0; a column knows the nodes that test it. A row then only meets the nodes of its own columns, each of
//! which, where it sends the row right, rules out the leaves to its left; the first leaf left over is where the
//! row ends. A sparse relative of QuickScorer (Lucchese et al., SIGIR 2015).

use super::tree::{ForestData, average_path_length};
use super::{ForestError, grow};

/// Path lengths are summed as integers of 2^-40, so that the order of summation cannot matter.
const FRACTION_BITS: u32 = 40;

fn fixed(value: f64) -> i64 {
    (value * (1_u64 << FRACTION_BITS) as f64).round() as i64
}

/// A node as its column knows it.
#[derive(Clone, Copy, Debug)]
struct Test {
    threshold: f64,
    tree: u32,
    /// Leaves that are ruled out when a row goes right: from here…
    first: u32,
    /// …to before here.
    end: u32,
    /// Right means above the threshold (else: not above it).
    right_is_above: bool,
}

#[derive(Clone, Copy, Debug)]
struct TreeSpan {
    first_leaf: u32,
    first_word: u32,
    words: u32,
}

/// A forest that is ready to score.
#[derive(Clone, Debug)]
pub struct Forest {
    data: ForestData,
    /// Where the tests of a column begin in `tests`; one more than there are columns.
    starts: Vec<u32>,
    tests: Vec<Test>,
    spans: Vec<TreeSpan>,
    paths: Vec<i64>,
    /// Path lengths of the leaves by the nodes' own numbers, tree after tree; of other nodes 0.
    walked: Vec<i64>,
    zero_sum: i64,
    words: usize,
}

/// Tests a tree, on average, beyond which walking from the roots is quicker than ruling leaves out.
const MOST_TESTS: usize = 12;

/// Buffers of one thread; a fresh one gives the same sums.
#[derive(Clone, Debug, Default)]
pub struct PathScratch {
    alive: Vec<u64>,
    is_touched: Vec<bool>,
    touched: Vec<u32>,
}

/// What turning one tree yields.
struct Turned {
    tests: Vec<(u32, Test)>,
    paths: Vec<i64>,
}

impl Forest {
    /// Checks the trees and makes them ready to score.
    ///
    /// # Errors
    /// Says which tree is damaged and how.
    pub fn from_data(data: ForestData) -> Result<Self, ForestError> {
        data.check()?;
        let (mut spans, mut paths, mut tests) = (Vec::new(), Vec::new(), Vec::new());
        let (mut words, mut zero_sum) = (0_usize, 0_i64);
        for (number, tree) in data.trees.iter().enumerate() {
            let turned = turn(tree, number as u32);
            let count = turned.paths.len().div_ceil(64);
            spans.push(TreeSpan {
                first_leaf: paths.len() as u32,
                first_word: words as u32,
                words: count as u32,
            });
            zero_sum += turned.paths.first().copied().unwrap_or_default();
            paths.extend(turned.paths);
            tests.extend(turned.tests);
            words += count;
        }
        tests.sort_by_key(|(feature, _)| *feature);
        let mut starts = vec![0_u32; data.n_features as usize + 1];
        for (feature, _) in &tests {
            starts[*feature as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let tests = tests.into_iter().map(|(_, test)| test).collect();
        let walked = data.trees.iter().flat_map(leaf_paths).collect();
        Ok(Self { data, starts, tests, spans, paths, walked, zero_sum, words })
    }

    /// The trees.
    pub const fn data(&self) -> &ForestData {
        &self.data
    }

    /// Sum of a row's path lengths over all trees, in units of 2^-40. `row` gives column and value of what is
    /// not zero, in any order; columns that the forest does not have change nothing, nor does a NaN.
    pub fn path_sum(&self, row: impl IntoIterator<Item = (u32, f64)>, scratch: &mut PathScratch) -> i64 {
        scratch.fit(self);
        for (column, value) in row {
            let Some(&[start, end]) = self.starts.get(column as usize..).and_then(|rest| rest.get(..2))
            else {
                continue;
            };
            for test in &self.tests[start as usize..end as usize] {
                let goes_right =
                    if test.right_is_above { value > test.threshold } else { value <= test.threshold };
                if goes_right {
                    scratch.rule_out(&self.spans[test.tree as usize], test);
                }
            }
        }
        let mut sum = self.zero_sum;
        for tree in scratch.touched.drain(..) {
            let span = self.spans[tree as usize];
            let alive = &mut scratch.alive[span.first_word as usize..][..span.words as usize];
            let leaf = first_alive(alive) as usize;
            alive.fill(u64::MAX);
            scratch.is_touched[tree as usize] = false;
            let paths = &self.paths[span.first_leaf as usize..];
            sum += paths[leaf] - paths[0];
        }
        sum
    }

    /// The same sum for a row that holds every value: trees that would be tested in most of their nodes are
    /// walked from the root instead.
    pub fn path_sum_of_dense(&self, row: &[f64], scratch: &mut PathScratch) -> i64 {
        let filled = || row.iter().enumerate().filter(|(_, value)| **value != 0.0);
        let tests: usize = filled()
            .filter_map(|(column, _)| self.starts.get(column..)?.get(..2))
            .map(|range| (range[1] - range[0]) as usize)
            .sum();
        if tests <= MOST_TESTS * self.data.trees.len() {
            return self.path_sum(filled().map(|(column, value)| (column as u32, *value)), scratch);
        }
        let (mut sum, mut first) = (0, 0);
        for tree in &self.data.trees {
            let mut at = 0;
            while !tree.nodes[at].is_leaf() {
                let node = &tree.nodes[at];
                let value = row.get(node.feature as usize).copied().unwrap_or(0.0);
                at = if value <= node.threshold { node.left } else { node.right } as usize;
            }
            sum += self.walked[first + at];
            first += tree.nodes.len();
        }
        sum
    }

    /// The same sum by walking every tree from its root.
    pub fn path_sum_by_walking(&self, row: &[(u32, f64)]) -> i64 {
        let path = |tree: &super::Tree| {
            let (leaf, depth) = tree.walk(|feature| grow::value(row, feature), |_, _| {});
            path_length(depth, leaf.samples)
        };
        self.data.trees.iter().map(path).sum()
    }

    /// Mean path length E[h(x)] of a sum.
    pub fn mean_path(&self, sum: i64) -> f64 {
        sum as f64 / (1_u64 << FRACTION_BITS) as f64 / self.data.trees.len() as f64
    }

    /// The score 2^(-E[h(x)]/c(n)) of a sum, in [0, 1], greater is odder.
    pub fn score_of(&self, sum: i64) -> f64 {
        (-self.mean_path(sum) / average_path_length(self.data.sample_size)).exp2().clamp(0.0, 1.0)
    }

    /// The score of one row.
    pub fn score(&self, row: &[(u32, f64)], scratch: &mut PathScratch) -> f64 {
        self.score_of(self.path_sum(row.iter().copied(), scratch))
    }
}

fn path_length(depth: u32, samples: u32) -> i64 {
    (i64::from(depth) << FRACTION_BITS) + fixed(average_path_length(samples))
}

/// Path lengths of a tree's leaves by their node numbers; of other nodes 0.
fn leaf_paths(tree: &super::Tree) -> Vec<i64> {
    let mut depths = vec![0_u32; tree.nodes.len()];
    let mut paths = vec![0; tree.nodes.len()];
    for (number, node) in tree.nodes.iter().enumerate() {
        if node.is_leaf() {
            paths[number] = path_length(depths[number], node.samples);
        } else {
            depths[node.left as usize] = depths[number] + 1;
            depths[node.right as usize] = depths[number] + 1;
        }
    }
    paths
}

/// Turns a tree: leaves are numbered so that the side of zero always comes first.
fn turn(tree: &super::Tree, number: u32) -> Turned {
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
    let mut turned = Turned { tests: Vec::new(), paths: Vec::new() };
    let mut pending = vec![Visit::Enter { node: 0, depth: 0 }];
    while let Some(visit) = pending.pop() {
        match visit {
            Visit::Enter { node, depth } => {
                let at = tree.nodes[node as usize];
                if at.is_leaf() {
                    turned.paths.push(path_length(depth, at.samples));
                    continue;
                }
                let (zero, other) =
                    if at.threshold >= 0.0 { (at.left, at.right) } else { (at.right, at.left) };
                pending.push(Visit::Enter { node: other, depth: depth + 1 });
                pending.push(Visit::Between { node, first: turned.paths.len() as u32 });
                pending.push(Visit::Enter { node: zero, depth: depth + 1 });
            }
            Visit::Between { node, first } => {
                let at = tree.nodes[node as usize];
                let test = Test {
                    threshold: at.threshold,
                    tree: number,
                    first,
                    end: turned.paths.len() as u32,
                    right_is_above: at.threshold >= 0.0,
                };
                turned.tests.push((at.feature, test));
            }
        }
    }
    turned
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

/// Bits `first..end` of a word, `first < 64`.
const fn bits(first: u32, end: u32) -> u64 {
    let upto = if end >= u64::BITS { u64::MAX } else { (1 << end) - 1 };
    upto & (u64::MAX << first)
}

impl PathScratch {
    fn fit(&mut self, forest: &Forest) {
        if self.alive.len() != forest.words || self.is_touched.len() != forest.spans.len() {
            self.alive = vec![u64::MAX; forest.words];
            self.is_touched = vec![false; forest.spans.len()];
        }
        self.touched.clear();
    }

    fn rule_out(&mut self, span: &TreeSpan, test: &Test) {
        if !self.is_touched[test.tree as usize] {
            self.is_touched[test.tree as usize] = true;
            self.touched.push(test.tree);
        }
        let words = &mut self.alive[span.first_word as usize..][..span.words as usize];
        if let [word] = words {
            *word &= !bits(test.first, test.end);
            return;
        }
        let (first, last) = (test.first / u64::BITS, (test.end - 1) / u64::BITS);
        for at in first..=last {
            let base = at * u64::BITS;
            let from = test.first.saturating_sub(base);
            words[at as usize] &= !bits(from, test.end - base);
        }
    }
}
