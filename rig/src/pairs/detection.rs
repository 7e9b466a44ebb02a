//! What detectors and alerts cost the scorer, in throughput and in processor time: the same lines with and without
//! them, from files and from a broker, in turn.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use engine::event::EventTime;
use simulator::{Params, Simulator};
use testkit::kafka::Broker;

use super::kafka::{TOPIC, fill};
use super::score::{model_of_corpus, text};
use crate::compare::Bench;
use crate::server::Server;
use crate::table::{Bar, Row, figure, median};

/// What detection runs on by default: the scoring and the reading thread have a core each.
const CORES: &str = "0,1";
/// What it may take of the lines a second.
const BAR: Bar = Bar::AtMost(25.0);
/// 2026-01-05, a Monday, in microseconds since the epoch.
const START: i64 = 1_767_571_200_000_000;

/// Lines of a file for each row of the corpus: runs of fewer end within a second and scatter.
const LINES_A_ROW: u64 = 2;

/// What one run took.
#[derive(Clone, Copy)]
struct Run {
    lines_per_s: f64,
    /// User and system time of a line, s.
    cpu_s: f64,
}

/// Two streams from files: dense, and of few lines a second.
pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let model = model_of_corpus(bench)?;
    let mut rows = Vec::new();
    for (rate, anomaly_ratio) in [(2_000.0, 0.001), (20.0, 0.01)] {
        let file = bench.file("detection.jsonl");
        let params =
            Params { rate, anomaly_ratio, start: EventTime::from_micros(START), ..Params::default() };
        write(&file, params, bench)?;
        let pattern = format!("file:{}", text(&file)?);
        let what = format!("from a file, {rate} lines in a second of event time");
        rows.extend(of_input(bench, &what, &model, bench.rows() * LINES_A_ROW, &["--input", &pattern])?);
        std::fs::remove_file(&file)?;
    }
    Ok(rows)
}

/// A topic of one partition.
pub fn run_kafka(bench: &Bench) -> Result<Vec<Row>> {
    let model = model_of_corpus(bench)?;
    let broker = Broker::start()?;
    broker.create_topic(TOPIC, 1)?;
    fill(&broker, bench.rows())?;
    let input = ["--input", "kafka", "--log-topic", TOPIC, "--kafka-bootstrap-servers", broker.bootstrap()];
    of_input(bench, "from Kafka, one partition", &model, bench.rows(), &input)
}

fn write(path: &Path, params: Params, bench: &Bench) -> Result<()> {
    let mut simulator = Simulator::new(params).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let mut out = BufWriter::new(File::create(path)?);
    for _ in 0..bench.rows() * LINES_A_ROW {
        writeln!(out, "{}", simulator.next_line().json())?;
    }
    Ok(out.flush()?)
}

/// With and without detection, on the same lines.
fn of_input(bench: &Bench, what: &str, model: &str, lines: u64, input: &[&str]) -> Result<Vec<Row>> {
    let (mut off, mut on, mut off_alone, mut on_alone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for repeat in 0..bench.repeats() {
        off.push(score(bench, repeat, model, lines, input, CORES, "--detect=false")?);
        on.push(score(bench, repeat, model, lines, input, CORES, "--detect=true")?);
        off_alone.push(score(bench, repeat, model, lines, input, bench.core(), "--detect=false")?);
        on_alone.push(score(bench, repeat, model, lines, input, bench.core(), "--detect=true")?);
    }
    let row = |of: &str, bar, values: Vec<f64>, note: String| Row {
        what: format!("detection and alerting, {what}: {of}"),
        against: "DETECT=false".to_owned(),
        bar,
        values,
        unit: " %",
        note: format!("{note}; {lines} lines a run"),
    };
    let less = |on: &[Run], off: &[Run]| {
        let pairs = on.iter().zip(off);
        pairs.map(|(on, off)| (1.0 - on.lines_per_s / off.lines_per_s) * 100.0).collect()
    };
    let rates = |on: &[Run], off: &[Run]| {
        let rate = |runs: &[Run]| median(&runs.iter().map(|run| run.lines_per_s).collect::<Vec<_>>());
        format!("{:.0} and {:.0} lines/s", rate(on), rate(off))
    };
    let cpu = |runs: &[Run]| figure(median(&runs.iter().map(|run| run.cpu_s * 1e6).collect::<Vec<_>>()));
    let more = on.iter().zip(&off).map(|(on, off)| (on.cpu_s / off.cpu_s - 1.0) * 100.0).collect();
    let times = format!("{} µs and {} µs a line", cpu(&on), cpu(&off));
    Ok(vec![
        row("fewer lines a second, 2 cores", BAR, less(&on, &off), rates(&on, &off)),
        row(
            "fewer lines a second, 1 core",
            Bar::None,
            less(&on_alone, &off_alone),
            rates(&on_alone, &off_alone),
        ),
        row("more processor time, 2 cores", Bar::None, more, times),
    ])
}

/// From the first line that was scored to the last.
fn score(
    bench: &Bench,
    repeat: u32,
    model: &str,
    expected: u64,
    input: &[&str],
    cores: &str,
    detect: &str,
) -> Result<Run> {
    let group = format!("detection-{repeat}-{cores}-{detect}");
    let state = bench.file("detection-state");
    let _ = std::fs::remove_dir_all(&state);
    std::fs::create_dir_all(&state)?;
    let mut arguments = input.to_vec();
    arguments.extend(["--model-path", model, "--anomaly-score-threshold", "1", "--state-dir", text(&state)?]);
    // What keeping lines in the store costs is another question.
    arguments.extend(["--kafka-group-id", &group, "--store-path=", detect]);
    let server = Server::start(bench, "compare-detection", cores, &arguments)?;
    let (mut first, mut last) = (None, (0, 0.0, Instant::now()));
    server.wait("not all lines were scored", Duration::from_millis(20), |server| {
        last = (server.scored(), server.cpu_s()?, Instant::now());
        if last.0 > 0 && first.is_none() {
            first = Some(last);
        }
        Ok(last.0 >= expected)
    })?;
    let first = first.context("nothing was scored")?;
    let lines = (last.0 - first.0) as f64;
    Ok(Run { lines_per_s: lines / (last.2 - first.2).as_secs_f64(), cpu_s: (last.1 - first.1) / lines })
}
