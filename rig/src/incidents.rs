//! `rig incidents`: recordings with faults of known services through model and detectors, and how well the ranking of
//! suspects finds the service two minutes after each fault, beside a count of ERROR lines.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use corpus::{Batch, Options, Reader};
use engine::decode::business::BusinessNames;
use engine::decode::{DecodeSettings, Decoder};
use engine::detect::{Detectors, Finding, Seen, Settings, Thresholds, Tick};
use engine::event::{EventTime, Level, LogEvent};
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Contamination, Model, Provenance, Scratch};
use engine::suspect::Suspect;

use crate::detectors::Numbered;
use crate::table::figure;

/// What to run.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folders of recordings, three files each: NAME.csv.zst and NAME_normal.csv.zst (columns timestamp, service, level,
    /// message and trace_id; the second is a time without faults, to train on) and NAME_faults.csv (timestamp, service,
    /// inject_type: when a fault began, in which service, of which kind)
    #[arg(long, required = true)]
    data: Vec<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Print the ranking at each fault, with its reasons
    #[arg(long)]
    show: bool,
}

const SECOND: i64 = 1_000_000;
/// How long after a fault the services are ranked, in microseconds.
const AFTER: i64 = 120 * SECOND;
/// Ranks that are counted up to.
const RANKS: [usize; 3] = [1, 3, 5];

#[derive(Debug, serde::Deserialize)]
struct Fault {
    timestamp: String,
    service: String,
    inject_type: String,
}

/// How often the faulty service was among the first 1, 3 and 5.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
struct Hits {
    faults: usize,
    ours: [usize; 3],
    reference: [usize; 3],
}

impl Hits {
    fn add(&mut self, ours: Option<usize>, reference: Option<usize>) {
        self.faults += 1;
        for (place, most) in RANKS.into_iter().enumerate() {
            self.ours[place] += usize::from(ours.is_some_and(|rank| rank <= most));
            self.reference[place] += usize::from(reference.is_some_and(|rank| rank <= most));
        }
    }

    fn shares(self, hits: [usize; 3]) -> [f64; 3] {
        hits.map(|hits| hits as f64 / self.faults.max(1) as f64)
    }
}

/// One line of the table.
#[derive(Debug, serde::Serialize)]
struct Row {
    recording: String,
    kind: String,
    faults: usize,
    ac_1_3_5: [f64; 3],
    reference_1_3_5: [f64; 3],
}

/// Runs and prints.
///
/// # Errors
/// A recording cannot be read or used, none is there, or standard output cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    for folder in &arguments.data {
        for recording in recordings(folder, &mut missing)? {
            rows.extend(measure(&recording, arguments.show)?);
        }
    }
    ensure!(!rows.is_empty(), "--data: nothing to measure: {}", missing.join("; "));
    if arguments.json {
        println!("{}", serde_json::to_string(&serde_json::json!({ "incidents": rows }))?);
        return Ok(());
    }
    println!("| recording | kind of fault | faults | AC@1 | AC@3 | AC@5 | ERROR lines: AC@1 | AC@3 | AC@5 |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let figures: Vec<String> =
            row.ac_1_3_5.iter().chain(&row.reference_1_3_5).map(|share| figure(*share)).collect();
        println!("| {} | {} | {} | {} |", row.recording, row.kind, row.faults, figures.join(" | "));
    }
    Ok(())
}

/// One recording's files.
struct Recording {
    name: String,
    lines: PathBuf,
    normal: PathBuf,
    faults: PathBuf,
}

/// The whole recordings of a folder; of those that are not whole, `missing` is told what they lack.
fn recordings(folder: &Path, missing: &mut Vec<String>) -> Result<Vec<Recording>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("--data: cannot read the folder {}", folder.display()))?;
    let told = missing.len();
    let mut found = Vec::new();
    for entry in entries {
        let lines = entry?.path();
        let file = lines.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".csv.zst") else { continue };
        let normal = folder.join(format!("{name}_normal.csv.zst"));
        let faults = folder.join(format!("{name}_faults.csv"));
        let lacks: Vec<String> = [&normal, &faults]
            .into_iter()
            .filter(|path| !path.exists())
            .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
            .collect();
        if lacks.is_empty() {
            found.push(Recording { name: name.to_owned(), lines, normal, faults });
        } else if !name.ends_with("_normal") {
            missing.push(format!("{} lacks {} beside it", lines.display(), lacks.join(" and ")));
        }
    }
    if found.is_empty() && missing.len() == told {
        missing.push(format!("{} holds no NAME.csv.zst", folder.display()));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<LogEvent>> {
    let inputs = corpus::expand(&[path.to_string_lossy().into_owned()])?;
    let options = Options { decoder: Decoder::new(DecodeSettings::default()), now: EventTime::default() };
    let mut reader = Reader::new(&inputs, &options);
    let (mut batch, mut events) = (Batch::default(), Vec::new());
    while reader.next_batch(&mut batch)? {
        events.append(&mut batch.events);
    }
    ensure!(!events.is_empty(), "{} holds no lines", path.display());
    Ok(events)
}

fn faults(path: &Path) -> Result<Vec<(i64, Fault)>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut faults = Vec::new();
    for fault in reader.deserialize() {
        let fault: Fault =
            fault.with_context(|| format!("{}: timestamp, service, inject_type", path.display()))?;
        let time: jiff::Timestamp = fault
            .timestamp
            .parse()
            .with_context(|| format!("{}: {:?} is no time", path.display(), fault.timestamp))?;
        faults.push((time.as_microsecond(), fault));
    }
    faults.sort_by_key(|(time, _)| *time);
    Ok(faults)
}

fn train(events: &[LogEvent]) -> Result<Model> {
    let params = TrainParams::default().check().map_err(|errors| anyhow!("{errors:?}"))?;
    let mut first = FirstPass::new(params);
    first.observe(events);
    let mut second = first.grow()?;
    second.calibrate(events);
    Ok(second.finish(Provenance::default()))
}

/// A stream through model and detectors, with a tick a second.
struct Stream {
    model: Model,
    scratch: Scratch,
    detectors: Detectors,
    found: Vec<Finding>,
    lines: u64,
    ticked: Option<i64>,
}

impl Stream {
    fn new(model: Model) -> Self {
        let mut detectors = Detectors::new(Settings::default(), &BusinessNames::default());
        let odd = model.threshold(Contamination::Auto).score;
        detectors.set_thresholds(Thresholds { odd, warning: odd });
        let scratch = Scratch::with_table(1 << 16, 7);
        Self { model, scratch, detectors, found: Vec::new(), lines: 0, ticked: None }
    }

    fn push(&mut self, event: &LogEvent) {
        self.lines += 1;
        let now = event.timestamp.as_micros().div_euclid(SECOND);
        if self.ticked.is_none_or(|ticked| now > ticked) {
            let tick = Tick { now: EventTime::from_micros(now * SECOND), caught_up: true };
            self.detectors.tick(tick, &mut self.found);
            self.ticked = Some(now);
        }
        let judged = self.model.judge(event, &mut self.scratch);
        let origin = Numbered(self.lines);
        let seen = Seen {
            event,
            score: judged.score.score,
            percentile: judged.score.percentile,
            pattern: judged.pattern,
            known_pattern: judged.known_pattern,
            origin: &origin,
        };
        self.detectors.push(&seen, &mut self.found);
        self.found.clear();
    }
}

fn measure(recording: &Recording, show: bool) -> Result<Vec<Row>> {
    let mut normal = read(&recording.normal)?;
    let events = read(&recording.lines)?;
    let faults = faults(&recording.faults)?;
    let mut stream = Stream::new(train(&normal)?);
    // It may have been recorded between two faults: it is told as if it had been just before the rest.
    let begins = events.iter().map(|event| event.timestamp.as_micros()).min().unwrap_or_default();
    let ends = normal.iter().map(|event| event.timestamp.as_micros()).max().unwrap_or_default();
    let earlier = (ends - begins + AFTER).max(0);
    for event in &mut normal {
        event.timestamp = EventTime::from_micros(event.timestamp.as_micros() - earlier);
        stream.push(event);
    }
    let mut by_kind: BTreeMap<String, Hits> = BTreeMap::new();
    let mut all = Hits::default();
    let mut lines = events.iter().peekable();
    for (time, fault) in &faults {
        let asked = time + AFTER;
        while let Some(event) = lines.next_if(|event| event.timestamp.as_micros() <= asked) {
            stream.push(event);
        }
        let suspects = stream.detectors.suspects(EventTime::from_micros(asked));
        let ours = suspects.iter().position(|suspect| suspect.service == fault.service).map(|at| at + 1);
        let reference = errors(&events, *time).iter().position(|service| **service == fault.service);
        let reference = reference.map(|at| at + 1);
        if show {
            tell(fault, ours, reference, &suspects);
        }
        all.add(ours, reference);
        by_kind.entry(fault.inject_type.clone()).or_default().add(ours, reference);
    }
    let total = ("all".to_owned(), all);
    let row = |(kind, hits): (String, Hits)| Row {
        recording: recording.name.clone(),
        kind,
        faults: hits.faults,
        ac_1_3_5: hits.shares(hits.ours),
        reference_1_3_5: hits.shares(hits.reference),
    };
    Ok(by_kind.into_iter().chain([total]).map(row).collect())
}

/// The plain reference: services by their ERROR lines in the two minutes after a fault, equal ones by name.
fn errors(events: &[LogEvent], time: i64) -> Vec<&str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        let since = event.timestamp.as_micros() - time;
        if (0..=AFTER).contains(&since) && event.level >= Some(Level::Error) {
            *counts.entry(&event.service).or_default() += 1;
        }
    }
    let mut services: Vec<(&str, usize)> = counts.into_iter().collect();
    services.sort_by_key(|(_, lines)| Reverse(*lines));
    services.into_iter().map(|(service, _)| service).collect()
}

fn tell(fault: &Fault, ours: Option<usize>, reference: Option<usize>, suspects: &[Suspect]) {
    let rank = |rank: Option<usize>| rank.map_or("none".to_owned(), |rank| rank.to_string());
    println!(
        "{} {} {}: rank {}, by ERROR lines {}",
        fault.timestamp,
        fault.inject_type,
        fault.service,
        rank(ours),
        rank(reference)
    );
    for suspect in suspects.iter().take(5) {
        println!("    {:6.1} {}: {}", suspect.nats, suspect.service, suspect.reasons.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_that_is_not_whole_is_named_with_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let told = || {
            let mut missing = Vec::new();
            let found = recordings(folder.path(), &mut missing).unwrap();
            (found.len(), missing.join("; "))
        };
        let (found, missing) = told();
        assert!(found == 0 && missing.contains("holds no NAME.csv.zst"), "{missing}");
        for name in ["shop.csv.zst", "shop_normal.csv.zst"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let (found, missing) = told();
        assert!(found == 0 && missing.ends_with("shop.csv.zst lacks shop_faults.csv beside it"), "{missing}");
        std::fs::write(folder.path().join("shop_faults.csv"), "").unwrap();
        assert_eq!(told(), (1, String::new()));
    }
}
