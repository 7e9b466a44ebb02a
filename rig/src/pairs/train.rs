//! Training on a corpus: the trainer, and the forest alone, beside scikit-learn's transform and fit.

use anyhow::{Context, Result};

use super::{cpu, peak, ratios, values};
use crate::compare::Bench;
use crate::measure::Cost;
use crate::table::{Bar, Row, figure, median};

const PEER: &str = "scikit-learn, transform and fit";

fn trainer(bench: &Bench, csv: &str) -> Result<Cost> {
    let model = bench.file("train.model");
    let model = model.to_str().context("the work folder is not UTF-8")?;
    bench.program("trainer", &["fit", csv, "--model-path", model, "--threads", "1"])
}

fn forest(bench: &Bench, csv: &str) -> Result<Cost> {
    bench.ours(&["grow-forest", "--csv", csv])
}

/// CPU time and peak memory beside the peer's.
pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let csv = bench.corpus()?.to_str().context("the work folder is not UTF-8")?;
    let joblib = bench.file("train.joblib");
    let joblib = joblib.to_str().context("the work folder is not UTF-8")?;
    let (mut theirs, mut full, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.repeats() {
        full.push(trainer(bench, csv)?);
        theirs.push(bench.peer("train.py", &[csv, "--columns", "4096", "--model", joblib])?);
        alone.push(forest(bench, csv)?);
    }
    let mut rows = Vec::new();
    for (name, ours, bar) in [("the whole model", &full, 40.0), ("the forest alone", &alone, 110.0)] {
        let what = format!("train {name} on {} rows", bench.rows());
        let note = format!(
            "CPU {} s and {} s; peak {} MiB and {} MiB",
            figure(median(&values(&theirs, cpu))),
            figure(median(&values(ours, cpu))),
            figure(median(&values(&theirs, peak))),
            figure(median(&values(ours, peak))),
        );
        rows.push(Row {
            what: what.clone(),
            against: PEER.to_owned(),
            bar: Bar::AtLeast(bar),
            values: ratios(&theirs, ours, cpu),
            unit: "×",
            note,
        });
        rows.push(Row {
            what: format!("{what}: peak memory"),
            against: PEER.to_owned(),
            bar: Bar::AtLeast(40.0),
            values: ratios(&theirs, ours, peak),
            unit: "×",
            note: "times less".to_owned(),
        });
    }
    Ok(rows)
}

/// Peak memory at five times the rows over that at the rows.
pub fn run_memory(bench: &Bench) -> Result<Vec<Row>> {
    let once = bench.corpus()?.to_str().context("the work folder is not UTF-8")?;
    let path = bench.corpus_of(5 * bench.rows(), "corpus-5.csv")?;
    let five = path.to_str().context("the work folder is not UTF-8")?;
    let mut rows = Vec::new();
    type Work = fn(&Bench, &str) -> Result<Cost>;
    for (name, work) in [("the whole model", trainer as Work), ("the forest alone", forest)] {
        let (mut small, mut large) = (Vec::new(), Vec::new());
        for _ in 0..bench.repeats().min(3) {
            small.push(work(bench, once)?);
            large.push(work(bench, five)?);
        }
        rows.push(Row {
            what: format!("train {name} on {} rows: peak memory", 5 * bench.rows()),
            against: format!("on {} rows", bench.rows()),
            bar: Bar::AtMost(1.05),
            values: ratios(&large, &small, peak),
            unit: "×",
            note: format!(
                "{} MiB and {} MiB; CPU {} s",
                figure(median(&values(&large, peak))),
                figure(median(&values(&small, peak))),
                figure(median(&values(&large, cpu)))
            ),
        });
    }
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(rows)
}
