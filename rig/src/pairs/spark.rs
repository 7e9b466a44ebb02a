//! The scorer on followed files beside Spark Structured Streaming with scikit-learn in a pandas UDF: JSON lines in,
//! odd lines out into a file, two cores each.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::score::{fit, model_of_corpus, text};
use crate::compare::Bench;
use crate::server::Server;
use crate::table::{Bar, Row, figure, median};
use crate::work::full::each_batch;

const CORES: &str = "0,1";
/// Rows that Spark scores in each repeat at most; its rate does not grow with more.
const MOST_BULK: u64 = 300_000;
/// Files of the bulk, so that both cores have work.
const FILES: u64 = 8;
/// Small batches for the latency, one every half second.
const DROPS: usize = 40;
const DROP_ROWS: usize = 100;

#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Bulk { rows: f64, seconds: f64 },
    Drops { latencies: Vec<f64> },
}

/// Rows a second, and seconds from a line's writing to its record.
struct Measured {
    rates: Vec<f64>,
    latencies: Vec<f64>,
}

/// Rate and latency of both.
pub fn run(bench: &Bench) -> Result<Vec<Row>> {
    let csv = bench.corpus()?;
    let folder = bench.file("bulk");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    write_json(csv, bench.rows().min(MOST_BULK), FILES, &folder)?;
    let whole = bench.file("whole");
    let _ = std::fs::remove_dir_all(&whole);
    std::fs::create_dir_all(&whole)?;
    write_json(csv, bench.rows(), 1, &whole)?;
    let ours = ours(bench, &whole.join("0.jsonl"))?;
    let theirs = spark(bench, &folder)?;
    let row = |what: &str, bar, values, note| Row {
        what: what.to_owned(),
        against: "Spark Structured Streaming, scikit-learn in a pandas UDF".to_owned(),
        bar,
        values,
        unit: "×",
        note,
    };
    let rates = ours.rates.iter().zip(&theirs.rates).map(|(ours, theirs)| ours / theirs).collect();
    let (slow, quick) = (median(&theirs.latencies), median(&ours.latencies));
    Ok(vec![
        row(
            "files to odd lines, 2 cores: rows a second",
            Bar::AtLeast(100.0),
            rates,
            format!(
                "{:.0} and {:.0} rows/s; ours in {} rows a repeat with BATCH_SIZE=20000 and DETECT=false, Spark in {}",
                median(&ours.rates),
                median(&theirs.rates),
                bench.rows(),
                bench.rows().min(MOST_BULK)
            ),
        ),
        row(
            "files to odd lines, 2 cores: p50 latency",
            Bar::AtLeast(20.0),
            vec![slow / quick],
            format!(
                "{} ms and {} ms; {DROPS} batches of {DROP_ROWS} lines, FILE_POLL_MS=10, BATCH_WAIT_MS=1",
                figure(quick * 1e3),
                figure(slow * 1e3)
            ),
        ),
    ])
}

/// The first rows of a corpus as JSON lines, in files of equal length.
fn write_json(csv: &Path, rows: u64, files: u64, folder: &Path) -> Result<()> {
    let mut outs: Vec<BufWriter<File>> = Vec::new();
    for number in 0..files {
        outs.push(BufWriter::new(File::create(folder.join(format!("{number}.jsonl")))?));
    }
    let mut row = 0;
    each_batch(csv, |events| {
        for event in events {
            if row < rows {
                let line = serde_json::json!({
                    "timestamp": event.timestamp.to_string(),
                    "service": event.service,
                    "level": event.level.map(engine::event::Level::as_str),
                    "message": event.message,
                });
                writeln!(outs[(row * files / rows) as usize], "{line}")?;
                row += 1;
            }
        }
        Ok(())
    })?;
    outs.iter_mut().try_for_each(BufWriter::flush)?;
    Ok(())
}

fn follow(bench: &Bench, name: &str, more: &[&str]) -> Result<(Server, PathBuf, PathBuf)> {
    let model = model_of_corpus(bench)?;
    let root = bench.file(name);
    let _ = std::fs::remove_dir_all(&root);
    let input = root.join("in");
    std::fs::create_dir_all(&input)?;
    let (anomalies, state) = (root.join("anomalies.jsonl"), root.join("state"));
    std::fs::create_dir_all(&state)?;
    let pattern = format!("file:{}/*.jsonl", text(&input)?);
    let mut arguments = vec!["--input", &pattern, "--model-path", &model];
    // The peer's job ends with odd lines in a file: nothing is detected over time, nothing kept in a database.
    arguments.extend([
        "--anomaly-file",
        text(&anomalies)?,
        "--state-dir",
        text(&state)?,
        "--detect=false",
        "--store-path=",
    ]);
    arguments.extend(more);
    let mut server = Server::start(bench, name, CORES, &arguments)?;
    server.wait_ready()?;
    Ok((server, input, anomalies))
}

fn ours(bench: &Bench, whole: &Path) -> Result<Measured> {
    let (server, input, _) =
        follow(bench, "compare-bulk", &["--batch-size", "20000", "--batch-bytes", "8388608"])?;
    let mut rates = Vec::new();
    for repeat in 0..bench.repeats() {
        let waiting = bench.file("compare-bulk/waiting");
        std::fs::copy(whole, &waiting)?;
        let before = server.scored();
        std::fs::rename(&waiting, input.join(format!("{repeat}.jsonl")))?;
        let (mut first, mut last) = (None, (before, Instant::now()));
        server.wait("the file was not scored", Duration::from_millis(10), |server| {
            last = (server.scored(), Instant::now());
            if last.0 > before && first.is_none() {
                first = Some(last);
            }
            Ok(last.0 >= before + bench.rows())
        })?;
        let first = first.context("nothing was scored")?;
        rates.push((last.0 - first.0) as f64 / (last.1 - first.1).as_secs_f64());
    }
    drop(server);
    Ok(Measured { rates, latencies: latencies(bench)? })
}

/// Lines are appended to a followed file; a batch has arrived when its last line is in the file of anomalies.
fn latencies(bench: &Bench) -> Result<Vec<f64>> {
    let quick = ["--file-poll-ms", "10", "--batch-wait-ms", "1", "--anomaly-score-threshold", "0"];
    let (server, input, anomalies) = follow(bench, "compare-drops", &quick)?;
    let mut file = File::create(input.join("grows.jsonl"))?;
    let mut latencies = Vec::new();
    for drop in 0..DROPS + 5 {
        let batch: String = (0..DROP_ROWS)
            .map(|row| {
                let message = format!("request {row} took {drop} ms");
                let line = serde_json::json!({"service": "s", "level": "INFO", "message": message});
                format!("{line}\n")
            })
            .collect();
        let sent = Instant::now();
        file.write_all(batch.as_bytes())?;
        let wanted = (drop + 1) * DROP_ROWS;
        while lines(&anomalies) < wanted {
            ensure!(
                sent.elapsed() < Duration::from_secs(60),
                "{} of {wanted} lines arrived",
                lines(&anomalies)
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        if drop >= 5 {
            latencies.push(sent.elapsed().as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(500).saturating_sub(sent.elapsed()));
    }
    drop(server);
    Ok(latencies)
}

fn lines(path: &Path) -> usize {
    std::fs::read(path).map_or(0, |bytes| memchr::memchr_iter(b'\n', &bytes).count())
}

fn spark(bench: &Bench, bulk: &Path) -> Result<Measured> {
    let fitted = fit(bench, bench.corpus()?, 12)?;
    let work = bench.file("spark");
    let mut command = Command::new("taskset");
    command.args(["-c", CORES]).arg(bench.python()).arg(bench.script("spark.py")).arg(bulk);
    command.args(["--columns", "4096", "--repeats", &bench.repeats().to_string()]);
    command.args(["--drops", &DROPS.to_string(), "--model"]).arg(&fitted.model).arg("--work").arg(&work);
    command.env("PYSPARK_PYTHON", bench.python()).env("PYSPARK_DRIVER_PYTHON", bench.python());
    command.env("SPARK_LOCAL_IP", "127.0.0.1").env("OMP_NUM_THREADS", "1").stdin(Stdio::null());
    let output = command.output().context("cannot start taskset; install util-linux")?;
    if !output.status.success() {
        bail!("Spark ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let mut measured = Measured { rates: Vec::new(), latencies: Vec::new() };
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with('{')) {
        match serde_json::from_str(line)? {
            Told::Bulk { rows, seconds } => measured.rates.push(rows / seconds),
            Told::Drops { latencies } => measured.latencies = latencies,
        }
    }
    ensure!(!measured.rates.is_empty() && !measured.latencies.is_empty(), "Spark told nothing");
    Ok(measured)
}
