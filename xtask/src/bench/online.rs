//! What online counts are worth: the same lines replayed in order with and without them. Labelled lines give the
//! average precision (first half trained, second half replayed), recordings with faults the rank of the faulty
//! service, other lines the share that is called odd.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use corpus::{Batch, Options, Reader};
use engine::decode::{DecodeSettings, Decoder};
use engine::event::{EventTime, LogEvent};
use engine::metrics::quality;
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Contamination, Model, OnlineCounts, OnlineSettings, Provenance, Scratch, nats_of_score};

use super::table;

#[derive(clap::Args)]
pub struct Arguments {
    /// Folders of logs, each file by what it is: *.csv and *.csv.zst with a column `label` (0 or 1) by average precision,
    /// NAME.csv.zst with NAME_faults.csv and NAME_normal.csv.zst beside it by the rank of the faulty service, others
    /// (also *.log and *.log.zst) by the share of their later half that is called odd
    #[arg(long, required = true, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Seeds to repeat each measurement with
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Lines of a service after which counts take effect
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000])]
    steps: Vec<u32>,
    /// Weights of lines of level ERROR and FATAL
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 0.05, 1.0])]
    weights: Vec<f64>,
    /// Only files whose names hold this
    #[arg(long, default_value = "")]
    only: String,
}

/// Time after a fault in which the services are ranked, in microseconds.
const AFTER_FAULT: i64 = 120_000_000;

/// Events with what is known of them.
struct Recording {
    name: String,
    events: Vec<LogEvent>,
    /// Where every line has a label.
    labels: Option<Vec<bool>>,
    /// The session of each line, or its own number.
    units: Vec<usize>,
}

/// Without online counts, or with these.
type Variant = Option<OnlineSettings>;

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut variants: Vec<Variant> = vec![None];
    for step in &arguments.steps {
        for weight in &arguments.weights {
            let settings =
                OnlineSettings { step: *step, severe_weight: *weight, ..OnlineSettings::default() };
            variants.push(Some(settings));
        }
    }
    let mut rows = Vec::new();
    for path in files(&arguments.data)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains("_faults") || name.contains("_normal") || !name.contains(&arguments.only) {
            continue;
        }
        rows.extend(measure(&path, &variants, arguments.seeds)?);
        eprintln!("{name}");
    }
    let folders = arguments.data.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>();
    ensure!(
        !rows.is_empty(),
        "--data: {} holds no *.csv, *.csv.zst, *.log or *.log.zst whose name holds {:?}",
        folders.join(", "),
        arguments.only
    );
    let titles = variants.iter().map(|variant| match variant {
        None => "off".to_owned(),
        Some(settings) => format!("{}/{}", settings.step, settings.severe_weight),
    });
    let header: Vec<String> = ["file", "measure"].into_iter().map(str::to_owned).chain(titles).collect();
    table::print(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
    Ok(())
}

fn files(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for folder in folders {
        let entries = std::fs::read_dir(folder)
            .with_context(|| format!("--data: cannot read the folder {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.to_string_lossy();
            if [".csv", ".csv.zst", ".log", ".log.zst"].iter().any(|end| name.ends_with(end)) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Recording> {
    let name = path.to_string_lossy();
    let inputs = corpus::expand(&[name.clone().into_owned()])?;
    let options = Options { decoder: Decoder::new(DecodeSettings::default()), now: EventTime::default() };
    let mut reader = Reader::new(&inputs, &options);
    let (mut batch, mut events) = (Batch::default(), Vec::new());
    while reader.next_batch(&mut batch)? {
        events.append(&mut batch.events);
    }
    ensure!(events.len() > 1, "{name} holds no lines");
    let labels: Vec<bool> =
        events.iter().filter_map(|event| event.attribute("label")).map(|label| label == "1").collect();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let units = events
        .iter()
        .enumerate()
        .map(|(line, event)| match event.attribute("session") {
            Some(session) => {
                let next = numbers.len();
                *numbers.entry(session.to_owned()).or_insert(next)
            }
            None => line,
        })
        .collect();
    events.iter_mut().for_each(|event| event.attributes.clear());
    let labels = (labels.len() == events.len()).then_some(labels);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.split('.').next().unwrap_or_default().to_owned();
    Ok(Recording { name, events, labels, units })
}

fn train(events: &[LogEvent], seed: u64) -> Result<Model> {
    let params = TrainParams { seed, ..TrainParams::default() };
    let params = params.check().map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let mut first = FirstPass::new(params);
    first.observe(events);
    let mut second = first.grow()?;
    second.calibrate(events);
    Ok(second.finish(Provenance::default()))
}

/// The scores of lines in order, each counted after it was scored.
fn replay<'a>(model: &Model, lines: impl Iterator<Item = &'a LogEvent>, variant: Variant) -> Vec<f64> {
    let mut scratch = Scratch::default();
    match variant {
        None => lines.map(|event| model.score(event, &mut scratch).score).collect(),
        Some(settings) => {
            let mut online = OnlineCounts::new(settings);
            let score = |event| {
                let score = model.score_online(event, &online, &mut scratch).score;
                model.count_online(event, &mut online, &mut scratch);
                score
            };
            lines.map(score).collect()
        }
    }
}

fn measure(path: &Path, variants: &[Variant], seeds: u64) -> Result<Vec<Vec<String>>> {
    let recording = read(path)?;
    let faults = path.with_file_name(format!("{}_faults.csv", recording.name));
    let row = |measure: &str, cells: Vec<String>| {
        [recording.name.clone(), measure.to_owned()].into_iter().chain(cells).collect()
    };
    if faults.exists() {
        return incidents(path, &recording, &faults, variants, seeds)
            .map(|cells| vec![row("AC@1 / AC@3 / AC@5", cells)]);
    }
    let Some(labels) = &recording.labels else {
        let halves = recording.events.split_at(recording.events.len() / 2);
        return called_odd(halves, variants, seeds).map(|cells| vec![row("called odd, %", cells)]);
    };
    ["contaminated", "normal"]
        .into_iter()
        .map(|protocol| {
            Ok(row(&format!("AP {protocol}"), precision(&recording, labels, protocol, variants, seeds)?))
        })
        .collect()
}

fn precision(
    recording: &Recording,
    labels: &[bool],
    protocol: &str,
    variants: &[Variant],
    seeds: u64,
) -> Result<Vec<String>> {
    let units = &recording.units;
    let half = (units.iter().max().map_or(0, |last| last + 1)) / 2;
    let (training, test): (Vec<usize>, Vec<usize>) = (0..units.len()).partition(|line| units[*line] < half);
    let events: Vec<LogEvent> = training
        .into_iter()
        .filter(|line| protocol == "contaminated" || !labels[*line])
        .map(|line| recording.events[line].clone())
        .collect();
    let mut found = vec![Vec::new(); variants.len()];
    for seed in 0..seeds {
        let model = train(&events, seed)?;
        for (variant, found) in variants.iter().zip(&mut found) {
            let scores = replay(&model, test.iter().map(|line| &recording.events[*line]), *variant);
            let mut by_unit: HashMap<usize, (f64, bool)> = HashMap::new();
            for (line, score) in test.iter().zip(scores) {
                let unit = by_unit.entry(units[*line]).or_insert((score, labels[*line]));
                unit.0 = unit.0.max(score);
            }
            let rows: Vec<(f64, bool)> = by_unit.into_values().collect();
            found.push(quality(&rows, 0.5)?.average_precision);
        }
    }
    Ok(found
        .into_iter()
        .map(|values| {
            let (mean, deviation) = table::mean_and_deviation(values);
            format!("{mean:.3} ±{deviation:.3}")
        })
        .collect())
}

fn called_odd(
    (training, test): (&[LogEvent], &[LogEvent]),
    variants: &[Variant],
    seeds: u64,
) -> Result<Vec<String>> {
    let mut found = vec![Vec::new(); variants.len()];
    for seed in 0..seeds {
        let model = train(training, seed)?;
        let threshold = model.threshold(Contamination::Share(0.05)).score;
        for (variant, found) in variants.iter().zip(&mut found) {
            let scores = replay(&model, test.iter(), *variant);
            let odd = scores.iter().filter(|score| **score > threshold).count();
            found.push(odd as f64 / test.len() as f64 * 100.0);
        }
    }
    Ok(found.into_iter().map(|values| format!("{:.1}", table::mean_and_deviation(values).0)).collect())
}

/// Ranks the services by the nats of their odd lines in the two minutes after each fault.
fn incidents(
    path: &Path,
    recording: &Recording,
    faults: &Path,
    variants: &[Variant],
    seeds: u64,
) -> Result<Vec<String>> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let normal = path.with_file_name(file.replacen('.', "_normal.", 1));
    let training = read(&normal)?.events;
    let faults: Vec<(i64, String)> = std::fs::read_to_string(faults)?
        .lines()
        .skip(1)
        .map(|line| {
            let mut cells = line.split(',');
            let (time, service) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            let time: jiff::Timestamp = time.parse().with_context(|| format!("{time:?} is no time"))?;
            Ok((time.as_microsecond(), service.to_owned()))
        })
        .collect::<Result<_>>()?;
    let mut found = vec![[0_usize; 3]; variants.len()];
    for seed in 0..seeds {
        let model = train(&training, seed)?;
        let threshold = nats_of_score(model.threshold(Contamination::Share(0.05)).score);
        for (variant, found) in variants.iter().zip(&mut found) {
            let scores = replay(&model, recording.events.iter(), *variant);
            for (time, faulty) in &faults {
                let mut nats: BTreeMap<&str, f64> = BTreeMap::new();
                for (event, score) in recording.events.iter().zip(&scores) {
                    let since = event.timestamp.as_micros() - time;
                    if (0..AFTER_FAULT).contains(&since) {
                        *nats.entry(&event.service).or_insert(0.0) +=
                            (nats_of_score(*score) - threshold).max(0.0);
                    }
                }
                let mine = nats.get(faulty.as_str()).copied().unwrap_or_default();
                // Equal ones count as ranked before it.
                let rank = nats.values().filter(|other| **other >= mine).count();
                for (hits, most) in found.iter_mut().zip([1, 3, 5]) {
                    *hits += usize::from(mine > 0.0 && rank <= most);
                }
            }
        }
    }
    let all = faults.len() as f64 * seeds as f64;
    Ok(found
        .into_iter()
        .map(|hits| {
            let shares = hits.map(|hits| format!("{:.2}", hits as f64 / all));
            shares.join(" / ")
        })
        .collect())
}
