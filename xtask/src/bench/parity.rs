//! The forest against scikit-learn's: forests exported from it must score alike to 1e-12, and forests that the
//! engine grows on the same rows must score alike on average over seeds.

use anyhow::{Context, Result, ensure};
use engine::forest::{Forest, IsolationForestParams, PathScratch, SparseRows, TreeArrays};
use serde::Deserialize;

use super::table;
use crate::{setup, shell};

const SCRIPT: &str = include_str!("parity.py");
/// Greatest difference between a score of scikit-learn's and ours for the same forest.
const TOLERANCE: f64 = 1e-12;
/// Seeds of one mean, as in the script.
const SEEDS_PER_MEAN: u64 = 20;

#[derive(Deserialize)]
struct Matrix {
    name: String,
    columns: usize,
    rows: Vec<Vec<(u32, u64)>>,
    forests: Vec<Exported>,
    means: Vec<Vec<u64>>,
}

#[derive(Deserialize)]
struct Exported {
    sample_size: u32,
    trees: Vec<ExportedTree>,
    scores: Vec<u64>,
}

#[derive(Deserialize)]
struct ExportedTree {
    children_left: Vec<i64>,
    children_right: Vec<i64>,
    feature: Vec<i64>,
    threshold: Vec<u64>,
    n_node_samples: Vec<u32>,
}

/// Mean and greatest absolute difference of two lists of scores.
#[derive(Clone, Copy)]
struct Distance {
    mean: f64,
    greatest: f64,
}

pub fn run() -> Result<()> {
    let python = setup::scikit_learn()?;
    let output = shell::output(shell::command(python).args(["-c", SCRIPT]))?;
    let matrices: Vec<Matrix> =
        serde_json::from_str(&output).context("the script's output is not as expected")?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for matrix in &matrices {
        let data = sparse(matrix)?;
        for exported in &matrix.forests {
            let found = distance(&reproduce(matrix, exported, &data)?, &floats(&exported.scores));
            if found.greatest.is_nan() || found.greatest > TOLERANCE {
                faults.push(format!("an exported forest on {} scores otherwise", matrix.name));
            }
            rows.push(row(
                matrix,
                &format!("exported, {} samples", exported.sample_size),
                found,
                "at most 1e-12",
            ));
        }
        let (ours, theirs) = grown(matrix, &data)?;
        if ours.mean > theirs.mean {
            faults.push(format!("forests grown on {} score otherwise", matrix.name));
        }
        let limit = format!("mean {:.1e}, greatest {:.1e}", theirs.mean, theirs.greatest);
        rows.push(row(matrix, "grown, means of 20 seeds", ours, &limit));
    }
    table::print(
        &[
            "matrix",
            "forest",
            "mean difference",
            "greatest",
            "allowed (grown: between two scikit-learn means)",
        ],
        &rows,
    );
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

fn row(matrix: &Matrix, forest: &str, found: Distance, allowed: &str) -> Vec<String> {
    vec![
        matrix.name.clone(),
        forest.to_owned(),
        format!("{:.1e}", found.mean),
        format!("{:.1e}", found.greatest),
        allowed.to_owned(),
    ]
}

fn floats(bits: &[u64]) -> Vec<f64> {
    bits.iter().copied().map(f64::from_bits).collect()
}

fn sparse(matrix: &Matrix) -> Result<SparseRows> {
    let mut rows = SparseRows::new(matrix.columns);
    for row in &matrix.rows {
        rows.push(row.iter().map(|(column, bits)| (*column, f64::from_bits(*bits))))?;
    }
    Ok(rows)
}

fn scores(forest: &Forest, rows: &SparseRows) -> Vec<f64> {
    let mut scratch = PathScratch::default();
    (0..rows.len()).map(|row| forest.score(rows.row(row), &mut scratch)).collect()
}

fn distance(a: &[f64], b: &[f64]) -> Distance {
    let differences = || a.iter().zip(b).map(|(a, b)| (a - b).abs());
    Distance {
        mean: differences().sum::<f64>() / a.len() as f64,
        greatest: differences().fold(0.0, f64::max),
    }
}

fn reproduce(matrix: &Matrix, exported: &Exported, rows: &SparseRows) -> Result<Vec<f64>> {
    let trees: Vec<TreeArrays> = exported
        .trees
        .iter()
        .map(|tree| TreeArrays {
            children_left: tree.children_left.clone(),
            children_right: tree.children_right.clone(),
            feature: tree.feature.clone(),
            threshold: floats(&tree.threshold),
            n_node_samples: tree.n_node_samples.clone(),
        })
        .collect();
    Ok(scores(&Forest::from_arrays(&trees, matrix.columns as u32, exported.sample_size)?, rows))
}

/// How far our mean is from scikit-learn's means on average, and how far the two of those that differ most are
/// from one another.
fn grown(matrix: &Matrix, rows: &SparseRows) -> Result<(Distance, Distance)> {
    let mut mean = vec![0.0; rows.len()];
    for seed in 0..SEEDS_PER_MEAN {
        let forest = IsolationForestParams::new().seed(seed).checked()?.fit_rows(rows)?;
        for (sum, score) in mean.iter_mut().zip(scores(&forest, rows)) {
            *sum += score / SEEDS_PER_MEAN as f64;
        }
    }
    let means: Vec<Vec<f64>> = matrix.means.iter().map(|bits| floats(bits)).collect();
    let to_each: Vec<Distance> = means.iter().map(|theirs| distance(&mean, theirs)).collect();
    let average = |of: fn(&Distance) -> f64| table::mean_and_deviation(to_each.iter().map(of)).0;
    let ours =
        Distance { mean: average(|distance| distance.mean), greatest: average(|distance| distance.greatest) };
    let mut theirs = Distance { mean: 0.0, greatest: 0.0 };
    for (at, a) in means.iter().enumerate() {
        for b in &means[..at] {
            let between = distance(a, b);
            theirs.mean = theirs.mean.max(between.mean);
            theirs.greatest = theirs.greatest.max(between.greatest);
        }
    }
    Ok((ours, theirs))
}
