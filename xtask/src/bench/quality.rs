//! How well odd lines are found, on labelled logs: trained on the first half without labels ("contaminated"), and
//! on the first half without its anomalous lines ("normal"); measured on the second half.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use corpus::{Batch, CorpusError, Options, Reader};
use engine::decode::{DecodeSettings, Decoder};
use engine::event::{EventTime, LogEvent};
use engine::metrics::{Quality, quality};
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Contamination, Model, Provenance, Scratch};
use serde::Serialize;

use super::table;

#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of labelled logs
    #[arg(long)]
    data: PathBuf,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Seeds to repeat each measurement with
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
}

/// Share of the training half that the threshold calls anomalous.
const CONTAMINATION: f64 = 0.05;

/// Labelled lines, whole sessions in the order in which they begin where there are sessions.
struct Labelled {
    name: String,
    events: Vec<LogEvent>,
    labels: Vec<bool>,
    /// The number of the session of each line.
    sessions: Option<Vec<usize>>,
}

#[derive(Serialize)]
struct Figure {
    mean: f64,
    sd: f64,
}

/// One file under one protocol.
#[derive(Serialize)]
struct Row {
    file: String,
    unit: &'static str,
    protocol: &'static str,
    rows: usize,
    anomalies: usize,
    seeds: u64,
    roc_auc: Figure,
    average_precision: Figure,
    best_f1: Figure,
    f1_at_threshold: Figure,
    /// At the threshold of `CONTAMINATION=auto`; by line only.
    f1_at_auto: Option<Figure>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let folder = &arguments.data;
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| {
        let name = path.to_string_lossy();
        name.ends_with(".csv") || name.ends_with(".csv.zst")
    });
    paths.sort();
    let mut rows = Vec::new();
    for path in &paths {
        let Some(labelled) = read(path)? else { continue };
        for protocol in ["contaminated", "normal"] {
            rows.push(measure(&labelled, protocol, arguments.seeds)?);
        }
    }
    ensure!(!rows.is_empty(), "no *.csv or *.csv.zst of {} has a `label` column", folder.display());
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        print(&rows);
    }
    Ok(())
}

fn print(rows: &[Row]) {
    let cell = |figure: &Figure| format!("{:.3} ±{:.3}", figure.mean, figure.sd);
    let cells = rows.iter().map(|row| {
        vec![
            row.file.clone(),
            row.unit.to_owned(),
            row.protocol.to_owned(),
            format!("{} of {}", row.anomalies, row.rows),
            cell(&row.roc_auc),
            cell(&row.average_precision),
            cell(&row.best_f1),
            cell(&row.f1_at_threshold),
            row.f1_at_auto.as_ref().map_or_else(|| "-".to_owned(), cell),
        ]
    });
    let header =
        ["file", "by", "trained on", "anomalies", "ROC-AUC", "AP", "best F1", "F1 at 5 %", "F1 at auto"];
    table::print(&header, &cells.collect::<Vec<_>>());
}

/// Reads a file; `None` where it has no `label`.
fn read(path: &Path) -> Result<Option<Labelled>> {
    let name = path.to_string_lossy();
    let inputs = corpus::expand(&[name.clone().into_owned()])?;
    let decoder = Decoder::new(DecodeSettings::default());
    let options = Options { decoder, now: EventTime::default() };
    let mut reader = Reader::new(&inputs, &options);
    let (mut batch, mut events) = (Batch::default(), Vec::new());
    loop {
        match reader.next_batch(&mut batch) {
            Ok(true) => events.append(&mut batch.events),
            Ok(false) => break,
            Err(CorpusError::Header { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if events.first().is_some_and(|event| event.attribute("label").is_none()) {
            return Ok(None);
        }
    }
    ensure!(reader.rejects().total() == 0, "{} lines of {name} were not accepted", reader.rejects().total());
    ensure!(!events.is_empty(), "{name} holds no line");
    let mut labels = Vec::with_capacity(events.len());
    let mut sessions = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (line, event) in events.iter_mut().enumerate() {
        labels.push(match event.attribute("label") {
            Some("0") => false,
            Some("1") => true,
            other => bail!("row {} of {name} has the label {other:?}: 0 or 1 is allowed", line + 1),
        });
        if let Some(session) = event.attribute("session") {
            let next = numbers.len();
            sessions.push(*numbers.entry(session.to_owned()).or_insert(next));
        }
        event.attributes.clear();
    }
    let sessions = (sessions.len() == events.len()).then_some(sessions);
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let name = file.trim_end_matches(".zst").trim_end_matches(".csv").to_owned();
    Ok(Some(Labelled { name, events, labels, sessions }))
}

fn measure(labelled: &Labelled, protocol: &'static str, seeds: u64) -> Result<Row> {
    let units: Vec<usize> = match &labelled.sessions {
        Some(sessions) => sessions.clone(),
        None => (0..labelled.events.len()).collect(),
    };
    let half = (units.iter().max().map_or(0, |last| last + 1)) / 2;
    let trains =
        |line: &usize| units[*line] < half && (protocol == "contaminated" || !labelled.labels[*line]);
    let training: Vec<usize> = (0..units.len()).filter(trains).collect();
    let test: Vec<usize> = (0..units.len()).filter(|line| units[*line] >= half).collect();
    let events: Vec<LogEvent> = training.iter().map(|line| labelled.events[*line].clone()).collect();
    let (mut found, mut auto) = (Vec::new(), Vec::new());
    for seed in 0..seeds {
        let (model, training_scores) = train(&events, seed)?;
        let by_unit = training.iter().map(|line| units[*line]).zip(training_scores);
        let training_scores = greatest(by_unit).into_values().collect();
        let threshold = upper_quantile(training_scores, CONTAMINATION);
        let mut scratch = Scratch::default();
        let scored =
            test.iter().map(|line| (units[*line], model.score(&labelled.events[*line], &mut scratch).score));
        let scores = greatest(scored);
        let labels: HashMap<usize, bool> =
            test.iter().map(|line| (units[*line], labelled.labels[*line])).collect();
        let rows: Vec<(f64, bool)> = scores.iter().map(|(unit, score)| (*score, labels[unit])).collect();
        let automatic = model.threshold(Contamination::Auto).score;
        auto.push(quality(&rows, automatic).with_context(|| labelled.name.clone())?.f1_at_threshold);
        found.push(quality(&rows, threshold).with_context(|| labelled.name.clone())?);
    }
    let figure = |of: fn(&Quality) -> f64| {
        let (mean, sd) = table::mean_and_deviation(found.iter().map(of));
        Figure { mean, sd }
    };
    Ok(Row {
        file: labelled.name.clone(),
        unit: if labelled.sessions.is_some() { "session" } else { "line" },
        protocol,
        rows: found[0].rows,
        anomalies: found[0].anomalies,
        seeds,
        roc_auc: figure(|quality| quality.roc_auc),
        average_precision: figure(|quality| quality.average_precision),
        best_f1: figure(|quality| quality.best_f1),
        f1_at_threshold: figure(|quality| quality.f1_at_threshold),
        f1_at_auto: labelled.sessions.is_none().then(|| {
            let (mean, sd) = table::mean_and_deviation(auto);
            Figure { mean, sd }
        }),
    })
}

fn train(events: &[LogEvent], seed: u64) -> Result<(Model, Vec<f64>)> {
    let params = TrainParams { seed, ..TrainParams::default() };
    let params = params.check().map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let mut first = FirstPass::new(params);
    first.observe(events);
    let mut second = first.grow()?;
    let scores = second.calibrate(events);
    Ok((second.finish(Provenance::default()), scores))
}

/// The score of a unit (a line, or a session): the greatest of its lines.
fn greatest(scores: impl Iterator<Item = (usize, f64)>) -> HashMap<usize, f64> {
    let mut by_unit = HashMap::new();
    for (unit, score) in scores {
        let most = by_unit.entry(unit).or_insert(score);
        *most = score.max(*most);
    }
    by_unit
}

/// The score that at most `share` of the scores exceed.
fn upper_quantile(mut scores: Vec<f64>, share: f64) -> f64 {
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    let allowed = (share * scores.len() as f64) as usize;
    scores.get(allowed).copied().unwrap_or(0.0)
}
