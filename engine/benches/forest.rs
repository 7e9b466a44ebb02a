//! The forest stage: nanoseconds a row against trees and columns, beside walking every tree, and growing.
//!
//! Walking is the plain way in its two forms: values looked up in a buffer of all columns, or searched in the row.
//!
//! `cargo bench -p engine --bench forest` prints the table of ratios and then divan's own figures; anything after
//! `--` goes to divan. Rows are the lines of `data/sample_logs.csv`; `FOREST_BENCH_LINES=FILE` takes the lines of a
//! text file instead.

#![allow(clippy::expect_used, reason = "a benchmark that cannot start has nobody to report to")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

use divan::Bencher;
use engine::decode::level::from_word;
use engine::event::LogEvent;
use engine::features::{FeatureSpec, HashedRow, HashingVectorizer, Line};
use engine::forest::{Forest, IsolationForestParams, PathScratch, PlainForest, SparseRows};

const TREES: [usize; 3] = [100, 300, 1000];
const COLUMN_BITS: [u32; 3] = [12, 14, 18];
/// Rounds of which the median counts.
const ROUNDS: usize = 9;
/// Rows of one round.
const ROWS: usize = 4_000;
const STATISTICS: usize = 5;

/// What rows are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Features {
    /// Shape words, service and level, as models have them.
    Shapes,
    /// Words as scikit-learn's `HashingVectorizer` hashes them.
    Words,
}

fn main() {
    println!("rows: {} lines, one thread, medians of {ROUNDS} rounds", events().len());
    println!(
        "\nfeatures  columns  trees  non-zero  buffer ns/row  search ns/row  ours ns/row  ratio to the faster  growing ms"
    );
    for features in [Features::Shapes, Features::Words] {
        for bits in COLUMN_BITS {
            for trees in TREES {
                text_line(features, bits, trees);
            }
        }
    }
    statistics_line();
    println!();
    divan::main();
}

fn text_line(features: Features, bits: u32, trees: usize) {
    let rows = text_rows(features, bits);
    let (forest, growing) = grown(&rows, trees);
    let plain = PlainForest::new(forest.data());
    let (mut scratch, mut buffer) = (PathScratch::default(), vec![0.0; rows.columns()]);
    let [walked, searched, ours] = side_by_side([
        &mut |row| plain.path_sum(rows.row(row % rows.len()), &mut buffer),
        &mut |row| plain.path_sum_by_search(rows.row(row % rows.len())),
        &mut |row| forest.path_sum(rows.row(row % rows.len()).iter().copied(), &mut scratch),
    ]);
    let filled = (0..rows.len()).map(|row| rows.row(row).len()).sum::<usize>() as f64 / rows.len() as f64;
    println!(
        "{:8}  2^{bits:<5}  {trees:>5}  {filled:>8.1}  {walked:>13.0}  {searched:>13.0}  {ours:>11.0}  {:>19.1}  {growing:>10.1}",
        format!("{features:?}"),
        walked.min(searched) / ours
    );
}

fn statistics_line() {
    let (dense, forest, growing) = statistics();
    let plain = PlainForest::new(forest.data());
    let mut scratch = PathScratch::default();
    let [walked, ours] =
        side_by_side([&mut |row| plain.path_sum_of_dense(&dense[row % dense.len()]), &mut |row| {
            forest.path_sum_of_dense(&dense[row % dense.len()], &mut scratch)
        }]);
    println!("\nstatistics ({STATISTICS} dense columns, 300 trees; growing {growing:.1} ms)");
    println!("plain {walked:.0} ns/row, ours {ours:.0} (ratio {:.1})", walked / ours);
}

/// Nanoseconds a row of each way, measured in turns; all sums must be alike.
fn side_by_side<const N: usize>(mut ways: [&mut dyn FnMut(usize) -> i64; N]) -> [f64; N] {
    let mut taken = [(); N].map(|()| Vec::with_capacity(ROUNDS));
    let mut sums = [0_i64; N];
    for round in 0..=ROUNDS {
        for ((way, taken), sum) in ways.iter_mut().zip(&mut taken).zip(&mut sums) {
            let start = Instant::now();
            let total = (0..ROWS).fold(0_i64, |total, row| total.wrapping_add(way(row)));
            // The first round warms up.
            if round > 0 {
                taken.push(start.elapsed().as_secs_f64() * 1e9 / ROWS as f64);
            }
            *sum = total;
        }
    }
    assert!(sums.iter().all(|sum| *sum == sums[0]), "both ways must give the same sums");
    taken.map(|mut taken| {
        taken.sort_by(f64::total_cmp);
        taken[ROUNDS / 2]
    })
}

/// A forest with the paper's 256 samples a tree, and how many milliseconds one thread took to grow it.
fn grown(rows: &SparseRows, trees: usize) -> (Forest, f64) {
    let params = IsolationForestParams::new().n_estimators(trees).checked().expect("parameters are in range");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread starts");
    let start = Instant::now();
    let forest = pool.install(|| params.fit_rows(rows)).expect("there are rows");
    (forest, start.elapsed().as_secs_f64() * 1e3)
}

fn events() -> &'static [LogEvent] {
    static EVENTS: OnceLock<Vec<LogEvent>> = OnceLock::new();
    EVENTS.get_or_init(|| match std::env::var_os("FOREST_BENCH_LINES") {
        Some(path) => {
            let bytes = std::fs::read(&path).expect("FOREST_BENCH_LINES names a text file");
            let text = String::from_utf8_lossy(&bytes);
            shuffled(text.lines().map(|line| event("", "", line)).collect())
        }
        None => {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/sample_logs.csv");
            let mut reader = csv::Reader::from_path(path).expect("the sample logs are there");
            let records = reader.records().map(|record| record.expect("the sample logs are CSV"));
            shuffled(records.map(|record| event(&record[1], &record[2], &record[3])).collect())
        }
    })
}

fn event(service: &str, level: &str, message: &str) -> LogEvent {
    LogEvent {
        service: service.into(),
        level: from_word(level),
        message: message.into(),
        ..LogEvent::default()
    }
}

/// The same order every time, but not the files'.
fn shuffled(mut events: Vec<LogEvent>) -> Vec<LogEvent> {
    let mut state = 1_u64;
    for at in (1..events.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        events.swap(at, (state >> 33) as usize % (at + 1));
    }
    events
}

fn text_rows(features: Features, bits: u32) -> SparseRows {
    let (mut line, mut hashed) = (Line::default(), HashedRow::default());
    let vectorizer = HashingVectorizer::new(1 << bits, true);
    let mut rows = SparseRows::new(1 << bits);
    for event in events() {
        let mut row = match features {
            Features::Shapes => {
                line.read(event);
                line.read_columns(event, FeatureSpec::new(1 << bits));
                line.columns().to_vec()
            }
            Features::Words => vectorizer.read(&event.message, &mut hashed).to_vec(),
        };
        row.sort_unstable_by_key(|(column, _)| *column);
        rows.push(row.iter().map(|(column, value)| (*column, f64::from(*value)))).expect("the row is sound");
    }
    rows
}

/// Five surprisals of every line above their medians, as models have them, and a forest on them.
fn statistics() -> (Vec<[f64; STATISTICS]>, Forest, f64) {
    let mut line = Line::default();
    let mut counts = HashMap::<u64, u32>::new();
    for event in events() {
        line.read(event);
        let keys = line.keys().iter().copied().chain([line.pattern_key(), line.service_pattern_key()]);
        keys.for_each(|key| *counts.entry(key).or_default() += 1);
    }
    let lines = events().len() as f64;
    let surprisal = |key: u64| -((f64::from(counts[&key]) - 0.5) / lines).ln();
    let all: Vec<[f64; STATISTICS]> = events()
        .iter()
        .map(|event| {
            line.read(event);
            let mut words: Vec<f64> = line.keys().iter().map(|key| surprisal(*key)).collect();
            words.sort_by(|a, b| b.total_cmp(a));
            let mean = |words: &[f64]| words.iter().sum::<f64>() / words.len().max(1) as f64;
            let top = words.first().copied().unwrap_or_default();
            let top_3 = mean(&words[..words.len().min(3)]);
            [top, top_3, mean(&words), surprisal(line.pattern_key()), surprisal(line.service_pattern_key())]
        })
        .collect();
    let medians: [f64; STATISTICS] = std::array::from_fn(|at| {
        let mut column: Vec<f64> = all.iter().map(|row| row[at]).collect();
        column.sort_by(f64::total_cmp);
        column[column.len() / 2]
    });
    let dense: Vec<[f64; STATISTICS]> =
        all.iter().map(|row| std::array::from_fn(|at| (row[at] - medians[at]).max(0.0))).collect();
    let rows = SparseRows::from_dense(STATISTICS, dense.iter().copied()).expect("surprisals are finite");
    let (forest, growing) = grown(&rows, 300);
    (dense, forest, growing)
}

#[divan::bench(args = TREES)]
fn plain_2_14(bencher: Bencher, trees: usize) {
    let rows = text_rows(Features::Shapes, 14);
    let plain = PlainForest::new(grown(&rows, trees).0.data());
    let (mut buffer, mut row) = (vec![0.0; rows.columns()], 0);
    bencher.bench_local(|| {
        row += 1;
        plain.path_sum(black_box(rows.row(row % rows.len())), &mut buffer)
    });
}

#[divan::bench(args = TREES)]
fn ours_2_14(bencher: Bencher, trees: usize) {
    let rows = text_rows(Features::Shapes, 14);
    let forest = grown(&rows, trees).0;
    let (mut scratch, mut row) = (PathScratch::default(), 0);
    bencher.bench_local(|| {
        row += 1;
        forest.path_sum(black_box(rows.row(row % rows.len())).iter().copied(), &mut scratch)
    });
}

#[divan::bench]
fn statistics_forest(bencher: Bencher) {
    let (dense, forest, _) = statistics();
    let (mut scratch, mut row) = (PathScratch::default(), 0);
    bencher.bench_local(|| {
        row += 1;
        forest.path_sum_of_dense(black_box(&dense[row % dense.len()]), &mut scratch)
    });
}

#[divan::bench(args = TREES, sample_count = 10)]
fn growing_2_14(bencher: Bencher, trees: usize) {
    let rows = text_rows(Features::Shapes, 14);
    bencher.bench_local(|| grown(&rows, trees).0);
}
