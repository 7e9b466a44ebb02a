//! Stages of scoring beside their plain twins, in this process on one thread: the forest beside walking its trees,
//! and the canonical form of a line with wide registers beside that with ordinary ones.

use anyhow::{Result, ensure};
use engine::features::{Canonical, Lanes};
use engine::forest::{Forest, IsolationForestParams, PathScratch, PlainForest, SparseRows};
use engine::model::Scratch;

use super::score::model_of_corpus;
use crate::compare::Bench;
use crate::measure::own_cpu_s;
use crate::table::{Bar, Row, figure, median};
use crate::work::full::each_batch;
use crate::work::hashing::Vectorizer;
use crate::work::messages::Messages;

/// Columns of the rows.
const COLUMNS: u32 = 1 << 12;
/// Lines that are looked at in one repeat, from all over the corpus.
const LINES: u64 = 50_000;

/// Messages from all over the corpus.
fn messages(bench: &Bench) -> Result<Vec<String>> {
    let step = (bench.rows() / LINES).max(1);
    let mut messages = Messages::open(bench.corpus()?)?;
    let (mut picked, mut row) = (Vec::new(), 0_u64);
    while let Some(message) = messages.next()? {
        if row.is_multiple_of(step) {
            picked.push(String::from_utf8_lossy(message).into_owned());
        }
        row += 1;
    }
    Ok(picked)
}

/// CPU time of some work, s, and what it gave.
fn timed<T>(work: impl FnOnce() -> T) -> Result<(f64, T)> {
    let start = own_cpu_s()?;
    let result = work();
    Ok((own_cpu_s()? - start, result))
}

/// The forest beside walking its trees; the sums must be equal.
pub fn run_forest(bench: &Bench) -> Result<Vec<Row>> {
    let messages = messages(bench)?;
    let mut vectorizer = Vectorizer::new(COLUMNS);
    let mut rows = SparseRows::new(COLUMNS as usize);
    for message in &messages {
        rows.push(vectorizer.read_sorted(message.as_bytes()).iter().copied())?;
    }
    let mut table = Vec::new();
    for (trees, bar) in [(100, 25.0), (1_000, 60.0)] {
        let forest = IsolationForestParams::new().n_estimators(trees).checked()?.fit_rows(&rows)?;
        table.push(forest_row(bench, &forest, &rows, bar)?);
    }
    Ok(table)
}

fn forest_row(bench: &Bench, forest: &Forest, rows: &SparseRows, bar: f64) -> Result<Row> {
    let plain = PlainForest::new(forest.data());
    let (mut scratch, mut buffer) = (PathScratch::default(), vec![0.0; COLUMNS as usize]);
    let all = || (0..rows.len()).map(|row| rows.row(row));
    let (mut ratios, mut quick, mut slow) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.repeats() {
        let (theirs, walked) =
            timed(|| all().map(|row| plain.path_sum(row, &mut buffer)).collect::<Vec<i64>>())?;
        let (ours, summed) = timed(|| {
            all().map(|row| forest.path_sum(row.iter().copied(), &mut scratch)).collect::<Vec<i64>>()
        })?;
        ensure!(walked == summed, "the sums differ from those of walking");
        ratios.push(theirs / ours);
        quick.push(ours);
        slow.push(theirs);
    }
    let nanos = |values: &[f64]| figure(median(values) * 1e9 / rows.len() as f64);
    Ok(Row {
        what: format!("forest stage, {} trees, 2^12 columns", forest.data().trees.len()),
        against: "walking every tree".to_owned(),
        bar: Bar::AtLeast(bar),
        values: ratios,
        unit: "×",
        note: format!("{} ns and {} ns a line; sums identical", nanos(&slow), nanos(&quick)),
    })
}

/// The canonical form of a line without and with wide registers.
pub fn run_simd(bench: &Bench) -> Result<Vec<Row>> {
    let messages = messages(bench)?;
    let (mut scalar, mut wide) = (Canonical::with_lanes(Lanes::Scalar), Canonical::with_lanes(Lanes::Widest));
    let (mut ratios, mut quick, mut slow) = (Vec::new(), Vec::new(), Vec::new());
    for message in &messages {
        scalar.read(message);
        wide.read(message);
        ensure!(scalar.text() == wide.text(), "the canonical forms of {message:?} differ");
    }
    let read = |canonical: &mut Canonical| {
        timed(|| {
            for message in &messages {
                canonical.read(message);
                std::hint::black_box(canonical.text());
            }
        })
    };
    for _ in 0..bench.repeats() {
        let (without, ()) = read(&mut scalar)?;
        let (with, ()) = read(&mut wide)?;
        ratios.push(without / with);
        slow.push(without);
        quick.push(with);
    }
    let nanos = |values: &[f64]| figure(median(values) * 1e9 / messages.len() as f64);
    Ok(vec![Row {
        what: "canonical form of a line, without SIMD".to_owned(),
        against: "with SIMD (SSE2)".to_owned(),
        bar: Bar::AtMost(1.7),
        values: ratios,
        unit: "×",
        note: format!("{} ns and {} ns a line; nothing uses AVX-512", nanos(&slow), nanos(&quick)),
    }])
}

/// Odd lines that are explained in one repeat.
const EXPLAINED: usize = 10_000;

/// Explaining odd lines; beside it, scoring the same lines anew.
pub fn run_explain(bench: &Bench) -> Result<Vec<Row>> {
    let model = corpus::load_model(model_of_corpus(bench)?.as_ref())?;
    let threshold = model.threshold(model.contamination()).score;
    let (mut scratch, mut odd) = (Scratch::default(), Vec::new());
    each_batch(bench.corpus()?, |events| {
        let left = EXPLAINED - odd.len();
        let all = events.iter().filter(|event| model.score(event, &mut scratch).score > threshold);
        odd.extend(all.take(left).cloned());
        Ok(())
    })?;
    ensure!(!odd.is_empty(), "no line of the corpus is odd");
    // What explanations share is made once.
    model.explain(&odd[0], &mut scratch);
    let (mut micros, mut scored) = (Vec::new(), Vec::new());
    for _ in 0..bench.repeats() {
        let (explaining, reasons) = timed(|| {
            odd.iter().map(|event| model.explain(event, &mut scratch).reasons.len()).sum::<usize>()
        })?;
        ensure!(reasons > 0, "no odd line has a reason");
        let (scoring, sum) =
            timed(|| odd.iter().map(|event| model.score(event, &mut scratch).score).sum::<f64>())?;
        ensure!(sum > 0.0, "no odd line has a score");
        micros.push(explaining * 1e6 / odd.len() as f64);
        scored.push(scoring * 1e6 / odd.len() as f64);
    }
    Ok(vec![Row {
        what: "explanation of an odd line, whole model".to_owned(),
        against: "–".to_owned(),
        bar: Bar::None,
        values: micros,
        unit: " µs",
        note: format!(
            "{} odd lines of the corpus; scoring them without the table takes {} µs each",
            odd.len(),
            figure(median(&scored))
        ),
    }])
}
