//! How far two seeds agree on the same rows: rank correlation, and what the oddest hundredth shares.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use engine::forest::PathScratch;
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Provenance, Scratch};

use crate::compare::Bench;
use crate::table::{Bar, Row};
use crate::work::full::{each_batch, each_line};
use crate::work::hashing::Vectorizer;
use crate::work::imported::read_forest;
use crate::work::messages::Messages;

/// Scores of a corpus by a model that was trained on it.
///
/// # Errors
/// The corpus cannot be read or trained on.
pub fn scores(csv: &Path, params: TrainParams) -> Result<Vec<f64>> {
    let params = params.check().map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let mut first = FirstPass::new(params);
    each_batch(csv, |events| {
        first.observe(events);
        Ok(())
    })?;
    let mut second = first.grow()?;
    second.calibrate_from_sample();
    let model = second.finish(Provenance::default());
    let (mut scratch, mut scores) = (Scratch::with_table(1 << 16, 0), Vec::new());
    each_line(csv, |line| {
        scores.push(model.score_line(line, &mut scratch).score);
        Ok(())
    })?;
    Ok(scores)
}

/// Ranks from 0, equal values sharing their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = first as f64 + (group.len() - 1) as f64 / 2.0;
        group.iter().for_each(|row| ranks[*row] = rank);
        first += group.len();
    }
    ranks
}

/// Spearman's rank correlation.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let sum = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    sum(&a, &b) / (sum(&a, &a) * sum(&b, &b)).sqrt()
}

/// Share of the oddest hundredth of one that is in the oddest hundredth of the other, in percent; of equal scores
/// the earlier row is taken.
pub fn overlap(a: &[f64], b: &[f64]) -> f64 {
    let count = (a.len() / 100).max(1);
    let top = |values: &[f64]| -> HashSet<usize> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|x, y| values[*y].total_cmp(&values[*x]));
        order.into_iter().take(count).collect()
    };
    top(a).intersection(&top(b)).count() as f64 * 100.0 / count as f64
}

fn rows(what: &str, bars: (Bar, Bar), (a, b): (&[f64], &[f64]), note: &str) -> Vec<Row> {
    let row = |what: String, bar, value, unit| Row {
        what,
        against: "another seed".to_owned(),
        bar,
        values: vec![value],
        unit,
        note: note.to_owned(),
    };
    vec![
        row(format!("{what}: Spearman"), bars.0, spearman(a, b), ""),
        row(format!("{what}: overlap of the oddest 1 %"), bars.1, overlap(a, b), " %"),
    ]
}

/// Arguments of `rig stability`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The corpus
    #[arg(long)]
    csv: PathBuf,
    /// Numbers of trees
    #[arg(long, value_delimiter = ',', default_value = "100,200,300,400,600")]
    trees: Vec<usize>,
    /// Hashed columns
    #[arg(long, default_value_t = TrainParams::default().n_features)]
    columns: usize,
}

/// How far two seeds of the whole model agree, by number of trees.
///
/// # Errors
/// The corpus cannot be read or trained on.
pub fn by_number_of_trees(arguments: &Arguments) -> Result<()> {
    for trees in &arguments.trees {
        let seeded = |seed| {
            let params =
                TrainParams { n_estimators: *trees, n_features: arguments.columns, ..TrainParams::default() };
            scores(&arguments.csv, TrainParams { seed, ..params })
        };
        let (a, b) = (seeded(1)?, seeded(2)?);
        println!("{trees} trees: Spearman {:.4}, oddest 1 % {:.1} %", spearman(&a, &b), overlap(&a, &b));
    }
    Ok(())
}

/// The whole model with its defaults, and scikit-learn's 100 trees on 2^18 columns for reference.
pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let csv = bench.corpus()?;
    let seeded = |seed| scores(csv, TrainParams { seed, ..TrainParams::default() });
    let (a, b) = (seeded(1)?, seeded(2)?);
    let bars = (Bar::AtLeast(0.97), Bar::AtLeast(80.0));
    let note = format!("{} trees, {} rows", TrainParams::default().n_estimators, a.len());
    let mut all = rows("stability of the whole model", bars, (&a, &b), &note);
    let seeded = |seed: &str| -> Result<Vec<f64>> {
        let trees = bench.file(&format!("stability-{seed}.json"));
        let text = |path: &Path| path.to_str().map(str::to_owned).context("the work folder is not UTF-8");
        let (csv_text, trees_text) = (text(csv)?, text(&trees)?);
        bench.peer("fit.py", &[&csv_text, "--columns", "262144", "--seed", seed, "--export", &trees_text])?;
        by_trees(csv, &trees)
    };
    let (a, b) = (seeded("1")?, seeded("2")?);
    let note = "its own trees, scored by our forest (equal to 1e-9)";
    all.extend(rows("stability of scikit-learn, 100 trees, 2^18", (Bar::None, Bar::None), (&a, &b), note));
    Ok(all)
}

fn by_trees(csv: &Path, trees: &Path) -> Result<Vec<f64>> {
    let (forest, columns) = read_forest(trees)?;
    let (mut vectorizer, mut scratch) = (Vectorizer::new(columns), PathScratch::default());
    let (mut messages, mut scores) = (Messages::open(csv)?, Vec::new());
    while let Some(message) = messages.next()? {
        scores.push(forest.score(vectorizer.read(message), &mut scratch));
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_correlation_sees_order_only_and_shares_ranks_of_ties() {
        let a = [1.0, 2.0, 3.0, 4.0];
        assert!((spearman(&a, &[10.0, 20.0, 30.0, 400.0]) - 1.0).abs() < 1e-12);
        assert!((spearman(&a, &[4.0, 3.0, 2.0, 1.0]) + 1.0).abs() < 1e-12);
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
    }

    #[test]
    fn overlap_counts_shared_rows_of_the_oddest_hundredth() {
        let a: Vec<f64> = (0..400).map(f64::from).collect();
        let mut b = a.clone();
        assert_eq!(overlap(&a, &b), 100.0);
        b[399] = -1.0;
        assert_eq!(overlap(&a, &b), 75.0);
    }
}
