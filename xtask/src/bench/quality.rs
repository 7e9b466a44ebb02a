//! How well odd lines and sessions are found, on labelled logs: ours, its surprisal alone and scikit-learn as it is
//! usually wired, side by side, with the bars that are to be met.

mod bars;
mod labelled;
mod ours;
mod peer;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use engine::metrics::{Quality, quality};
use serde::Serialize;

use super::table;
use bars::bars;
use labelled::{Case, Labelled, Split};

#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of labelled logs: each *.csv and *.csv.zst in it with a column `label` (0 or 1) beside timestamp, service,
    /// level and message is measured, by sessions where it has a column `session`; other files are not read
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Seeds to repeat each measurement with
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Percentages of the units to train on, first ones, or last ones with an r in front, as 50,r50
    #[arg(long, value_delimiter = ',', default_value = "30,40,50,60,70")]
    splits: Vec<Split>,
    /// Only files whose name begins so
    #[arg(long, default_value = "")]
    only: String,
    /// Leave scikit-learn out
    #[arg(long)]
    no_peer: bool,
}

/// Share of the training units that the fixed threshold calls anomalous.
const CONTAMINATION: f64 = 0.05;

/// Scores of one seed, with thresholds.
struct Scored {
    /// Score and label.
    rows: Vec<(f64, bool)>,
    /// The greatest score that is usual, by contamination 0.05 and by `auto`.
    fixed: f64,
    auto: Option<f64>,
    /// The surprisal reference in place of the score.
    surprisal: Option<Vec<(f64, bool)>>,
}

/// Mean and standard deviation over seeds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figure {
    mean: f64,
    sd: f64,
}

/// One way to score, measured on one case.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    roc_auc: Figure,
    average_precision: Figure,
    best_f1: Figure,
    f1_at_contamination: Figure,
    /// At the threshold of `CONTAMINATION=auto`.
    f1_at_auto: Option<Figure>,
}

/// One file, protocol and split.
#[derive(Serialize)]
struct Row {
    file: String,
    unit: &'static str,
    protocol: &'static str,
    split: String,
    rows: usize,
    anomalies: usize,
    seeds: u64,
    ours: Figures,
    surprisal_average_precision: f64,
    scikit_learn: Option<Figures>,
    /// What is to be reached, and whether it is.
    bars: Vec<bars::Bar>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let folder = &arguments.data;
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("--data: cannot read the folder {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&arguments.only) && (name.ends_with(".csv") || name.ends_with(".csv.zst"))
    });
    paths.sort();
    let mut rows = Vec::new();
    for path in &paths {
        if let Some(labelled) = labelled::read(path)? {
            rows.extend(measure(&labelled, arguments)?);
        }
    }
    ensure!(
        !rows.is_empty(),
        "--data: {} holds {} *.csv or *.csv.zst with names that begin with {:?}, and none of them has a column `label`",
        folder.display(),
        paths.len(),
        arguments.only
    );
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        print(&rows);
    }
    Ok(())
}

fn measure(labelled: &Labelled, arguments: &Arguments) -> Result<Vec<Row>> {
    let cases = labelled.cases(&arguments.splits);
    let mut peers = match arguments.no_peer {
        true => Vec::new(),
        false => peer::score(labelled, &cases, arguments.seeds, CONTAMINATION)?,
    }
    .into_iter();
    cases
        .iter()
        .map(|case| {
            let scored = (0..arguments.seeds)
                .map(|seed| ours::score(labelled, case, seed))
                .collect::<Result<Vec<_>>>()?;
            let peer = peers.next().map(|peer| figures(&peer)).transpose()?;
            row(labelled, case, &scored, peer, arguments.seeds)
        })
        .collect()
}

fn row(
    labelled: &Labelled,
    case: &Case,
    scored: &[Scored],
    scikit_learn: Option<Figures>,
    seeds: u64,
) -> Result<Row> {
    let context = || format!("{}, {} {}", labelled.name, case.protocol, case.split);
    let ours = figures(scored).with_context(context)?;
    let reference = scored.first().and_then(|scored| scored.surprisal.as_ref());
    let reference = quality(reference.context("no surprisal was measured")?, 0.0).with_context(context)?;
    let mut row = Row {
        file: labelled.name.clone(),
        unit: labelled.unit(),
        protocol: case.protocol,
        split: case.split.to_string(),
        rows: reference.rows,
        anomalies: reference.anomalies,
        seeds,
        ours,
        surprisal_average_precision: reference.average_precision,
        scikit_learn,
        bars: Vec::new(),
    };
    row.bars = bars(&row);
    Ok(row)
}

fn figures(scored: &[Scored]) -> Result<Figures> {
    let at = |threshold: fn(&Scored) -> Option<f64>| -> Result<Option<Vec<Quality>>> {
        let measured =
            |scored: &Scored| Ok(threshold(scored).map(|at| quality(&scored.rows, at)).transpose()?);
        scored.iter().map(measured).collect()
    };
    let fixed = at(|scored| Some(scored.fixed))?.unwrap_or_default();
    let figure = |of: fn(&Quality) -> f64, found: &[Quality]| {
        let (mean, sd) = table::mean_and_deviation(found.iter().map(of));
        Figure { mean, sd }
    };
    Ok(Figures {
        roc_auc: figure(|quality| quality.roc_auc, &fixed),
        average_precision: figure(|quality| quality.average_precision, &fixed),
        best_f1: figure(|quality| quality.best_f1, &fixed),
        f1_at_contamination: figure(|quality| quality.f1_at_threshold, &fixed),
        f1_at_auto: at(|scored| scored.auto)?.map(|found| figure(|quality| quality.f1_at_threshold, &found)),
    })
}

fn print(rows: &[Row]) {
    let cell = |figure: &Figure| format!("{:.3} ±{:.3}", figure.mean, figure.sd);
    let cells = rows.iter().map(|row| {
        let peer = row.scikit_learn.as_ref();
        let missed: Vec<String> =
            row.bars.iter().filter(|bar| !bar.met).map(|bar| format!("missed: {}", bar.what)).collect();
        vec![
            row.file.clone(),
            row.unit.to_owned(),
            row.split.clone(),
            row.protocol.to_owned(),
            format!("{} of {}", row.anomalies, row.rows),
            cell(&row.ours.average_precision),
            format!("{:.3}", row.surprisal_average_precision),
            peer.map_or_else(|| "-".to_owned(), |peer| cell(&peer.average_precision)),
            cell(&row.ours.roc_auc),
            cell(&row.ours.best_f1),
            cell(&row.ours.f1_at_contamination),
            row.ours.f1_at_auto.as_ref().map_or_else(|| "-".to_owned(), cell),
            peer.map_or_else(|| "-".to_owned(), |peer| cell(&peer.f1_at_contamination)),
            if missed.is_empty() { format!("{} met", row.bars.len()) } else { missed.join("; ") },
        ]
    });
    let header = [
        "file",
        "by",
        "trained on %",
        "training",
        "anomalies",
        "AP",
        "AP surprisal",
        "AP scikit-learn",
        "ROC-AUC",
        "best F1",
        "F1 at .05",
        "F1 at auto",
        "F1 at .05 scikit-learn",
        "bars",
    ];
    table::print(&header, &cells.collect::<Vec<_>>());
}
