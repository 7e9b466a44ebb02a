//! Scoring a corpus: our forest on trees that scikit-learn grew, and our whole model, beside scikit-learn.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{cpu, peak, ratios, values};
use crate::compare::Bench;
use crate::measure::Cost;
use crate::table::{Bar, Row, figure, median};

/// Greatest difference between a score of scikit-learn's and ours of the same trees.
const TOLERANCE: f64 = 1e-9;
/// Rows of the run that tells what a peer's start costs, where its figures are scaled.
const START_ROWS: u64 = 1_000;

/// What scikit-learn grew.
pub struct Fitted {
    /// The forest, as joblib keeps it.
    pub model: PathBuf,
    trees: PathBuf,
}

/// Fits scikit-learn on a corpus.
///
/// # Errors
/// It fails.
pub fn fit(bench: &Bench, csv: &Path, bits: u32) -> Result<Fitted> {
    let fitted = Fitted {
        model: bench.file(&format!("forest-{bits}.joblib")),
        trees: bench.file(&format!("forest-{bits}.json")),
    };
    let columns = (1_u32 << bits).to_string();
    bench.peer(
        "fit.py",
        &[
            text(csv)?,
            "--columns",
            &columns,
            "--model",
            text(&fitted.model)?,
            "--export",
            text(&fitted.trees)?,
        ],
    )?;
    Ok(fitted)
}

/// A path as an argument.
///
/// # Errors
/// It is not UTF-8.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// One run of scikit-learn; scaled to all rows where it takes fewer.
struct Peer<'a> {
    bench: &'a Bench,
    csv: &'a Path,
    bits: u32,
    fitted: &'a Fitted,
    out: PathBuf,
}

impl Peer<'_> {
    fn score(&self, rows: u64) -> Result<Cost> {
        let (columns, rows) = ((1_u32 << self.bits).to_string(), rows.to_string());
        let mut arguments =
            vec![text(self.csv)?, "--columns", &columns, "--model", text(&self.fitted.model)?];
        arguments.extend(["--out", text(&self.out)?, "--rows", &rows]);
        self.bench.peer("score.py", &arguments)
    }

    /// CPU time of all rows, measured or scaled from fewer: the start once, the rest by the rows.
    fn cost(&self) -> Result<Cost> {
        let Some(rows) = self.bench.peer_rows() else { return self.score(self.bench.rows()) };
        let start = self.score(START_ROWS)?;
        let mut cost = self.score(rows)?;
        let share = (self.bench.rows() - START_ROWS) as f64 / (rows - START_ROWS) as f64;
        cost.cpu_s = start.cpu_s + (cost.cpu_s - start.cpu_s) * share;
        Ok(cost)
    }
}

fn note(peer: &[Cost], ours: &[Cost], bench: &Bench, scaled: bool) -> String {
    let scaled = match bench.peer_rows().filter(|_| scaled) {
        Some(rows) => format!(", the peer's scaled from {rows} rows"),
        None => String::new(),
    };
    format!(
        "CPU {} s and {} s; peak {} MiB and {} MiB{scaled}",
        figure(median(&values(peer, cpu))),
        figure(median(&values(ours, cpu))),
        figure(median(&values(peer, peak))),
        figure(median(&values(ours, peak))),
    )
}

/// The greatest difference between two files of scores; the shorter one decides how many are compared.
fn greatest_difference(a: &Path, b: &Path) -> Result<f64> {
    let (a, b) = (read_scores(a)?, read_scores(b)?);
    ensure!(!a.is_empty() && !b.is_empty(), "no scores were written");
    Ok(a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
}

/// Scores as `rig score-trees` writes them.
pub fn read_scores(path: &Path) -> Result<Vec<f64>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect())
}

fn trees_rows(
    bench: &Bench,
    bits: u32,
    bar: f64,
    (peer, ours): (&[Cost], &[Cost]),
    difference: f64,
) -> Vec<Row> {
    let what = format!("score {} rows, the same 100 trees, 2^{bits} columns", bench.rows());
    let row = |what: String, bar, values, unit, note| Row {
        what,
        against: "scikit-learn".to_owned(),
        bar,
        values,
        unit,
        note,
    };
    let note = note(peer, ours, bench, true);
    vec![
        row(what.clone(), Bar::AtLeast(bar), ratios(peer, ours, cpu), "×", note),
        row(
            format!("{what}: peak memory"),
            Bar::AtLeast(14.0),
            ratios(peer, ours, peak),
            "×",
            "times less".to_owned(),
        ),
        row(
            format!("{what}: greatest difference of a score"),
            Bar::AtMost(TOLERANCE),
            vec![difference],
            "",
            format!("{difference:.1e}"),
        ),
    ]
}

fn train_model(bench: &Bench, csv: &Path, name: &str) -> Result<PathBuf> {
    let model = bench.file(name);
    bench.program("trainer", &["fit", text(csv)?, "--model-path", text(&model)?])?;
    Ok(model)
}

/// A model of the corpus of this run, as the trainer makes it with its defaults.
///
/// # Errors
/// It cannot be trained.
pub fn model_of_corpus(bench: &Bench) -> Result<String> {
    let model = train_model(bench, bench.corpus()?, "corpus.model")?;
    Ok(text(&model)?.to_owned())
}

/// 2^12 columns, with the whole model in the same turns.
pub fn run_12(bench: &Bench) -> Result<Vec<Row>> {
    let csv = bench.corpus()?;
    let fitted = fit(bench, csv, 12)?;
    let model = train_model(bench, csv, "corpus.model")?;
    let (out, full_out) = (bench.file("ours.f64"), bench.file("full.f64"));
    let bare_out = bench.file("bare.f64");
    let peer = Peer { bench, csv, bits: 12, fitted: &fitted, out: bench.file("peer.f64") };
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    let (mut full, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..bench.repeats() {
        ours.push(score_trees(bench, csv, &fitted, &out)?);
        theirs.push(peer.cost()?);
        full.push(score_model(bench, csv, &model, &full_out, Table::On)?);
        bare.push(score_model(bench, csv, &model, &bare_out, Table::Off)?);
    }
    let difference = greatest_difference(&out, &peer.out)?;
    let by_table = greatest_difference(&full_out, &bare_out)?;
    ensure!(by_table == 0.0, "the table of recent lines changed a score by {by_table:e}");
    let mut rows = trees_rows(bench, 12, 60.0, (&theirs, &ours), difference);
    let tables = [(&full, Bar::AtLeast(30.0), "on"), (&bare, Bar::None, "off, every line scored anew")];
    for (costs, bar, table) in tables {
        rows.push(Row {
            what: format!("score {} rows by the whole model, table of recent lines {table}", bench.rows()),
            against: "scikit-learn, 100 trees, 2^12".to_owned(),
            bar,
            values: ratios(&theirs, costs, cpu),
            unit: "×",
            note: note(&theirs, costs, bench, true),
        });
    }
    Ok(rows)
}

fn score_trees(bench: &Bench, csv: &Path, fitted: &Fitted, out: &Path) -> Result<Cost> {
    bench.ours(&["score-trees", "--csv", text(csv)?, "--trees", text(&fitted.trees)?, "--out", text(out)?])
}

/// Whether lines that come again are answered by the table of recent lines.
#[derive(Clone, Copy)]
enum Table {
    On,
    Off,
}

fn score_model(bench: &Bench, csv: &Path, model: &Path, out: &Path, table: Table) -> Result<Cost> {
    let mut arguments =
        vec!["score-model", "--csv", text(csv)?, "--model", text(model)?, "--out", text(out)?];
    if matches!(table, Table::Off) {
        arguments.push("--no-table");
    }
    bench.ours(&arguments)
}

/// 2^18 columns.
pub fn run_18(bench: &Bench) -> Result<Vec<Row>> {
    let csv = bench.corpus()?;
    let fitted = fit(bench, csv, 18)?;
    let out = bench.file("ours.f64");
    let peer = Peer { bench, csv, bits: 18, fitted: &fitted, out: bench.file("peer.f64") };
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..bench.repeats() {
        ours.push(score_trees(bench, csv, &fitted, &out)?);
        theirs.push(peer.cost()?);
    }
    let difference = greatest_difference(&out, &peer.out)?;
    Ok(trees_rows(bench, 18, 200.0, (&theirs, &ours), difference))
}

/// Rows that repeat but for their numbers; the model is the one of the ordinary corpus.
pub fn run_repeating(bench: &Bench) -> Result<Vec<Row>> {
    let (corpus, csv) = (bench.corpus()?, bench.repeating()?);
    let fitted = fit(bench, corpus, 12)?;
    let model = train_model(bench, corpus, "corpus.model")?;
    let out = bench.file("full.f64");
    let peer = Peer { bench, csv, bits: 12, fitted: &fitted, out: bench.file("peer.f64") };
    let (mut theirs, mut full) = (Vec::new(), Vec::new());
    for _ in 0..bench.repeats() {
        full.push(score_model(bench, csv, &model, &out, Table::On)?);
        theirs.push(peer.cost()?);
    }
    Ok(vec![Row {
        what: format!("score {} rows that repeat but for their numbers, whole model", bench.rows()),
        against: "scikit-learn, 100 trees, 2^12".to_owned(),
        bar: Bar::AtLeast(100.0),
        values: ratios(&theirs, &full, cpu),
        unit: "×",
        note: note(&theirs, &full, bench, true),
    }])
}
