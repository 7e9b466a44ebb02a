//! scikit-learn as it is usually wired, on the same cases: service, level and message of a line, or the messages of
//! a session, as one text.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use engine::event::Level;
use serde::{Deserialize, Serialize};

use super::Scored;
use super::labelled::{Case, Labelled};
use crate::{setup, shell};

const SCRIPT: &str = include_str!("../quality.py");

#[derive(Serialize)]
struct Given<'a> {
    documents: Vec<String>,
    cases: Vec<Indices<'a>>,
    seeds: u64,
    contamination: f64,
}

#[derive(Serialize)]
struct Indices<'a> {
    train: &'a [usize],
    test: &'a [usize],
}

#[derive(Deserialize)]
struct Found {
    threshold: f64,
    scores: Vec<f64>,
}

/// Scores of every case, by seed.
pub fn score(
    labelled: &Labelled,
    cases: &[Case],
    seeds: u64,
    contamination: f64,
) -> Result<Vec<Vec<Scored>>> {
    let documents = (0..labelled.units.len()).map(|unit| document(labelled, unit)).collect();
    let indices = cases.iter().map(|case| Indices { train: &case.train, test: &case.test }).collect();
    let given = serde_json::to_vec(&Given { documents, cases: indices, seeds, contamination })?;
    let found: Vec<Vec<Found>> = serde_json::from_slice(&run(given)?)?;
    ensure!(found.len() == cases.len(), "{} cases were answered, not {}", found.len(), cases.len());
    let scored = |case: &Case, found: Found| {
        let labels = case.test.iter().map(|unit| labelled.labels[*unit]);
        Scored {
            rows: found.scores.into_iter().zip(labels).collect(),
            fixed: found.threshold,
            auto: None,
            surprisal: None,
        }
    };
    let by_case = cases.iter().zip(found);
    Ok(by_case.map(|(case, seeds)| seeds.into_iter().map(|found| scored(case, found)).collect()).collect())
}

fn document(labelled: &Labelled, unit: usize) -> String {
    let lines = labelled.units[unit].iter().map(|line| &labelled.events[*line]);
    if labelled.by_session {
        return lines.map(|event| event.message.as_str()).collect::<Vec<_>>().join(" ");
    }
    let text = |event: &engine::event::LogEvent| {
        format!("{} {} {}", event.service, event.level.map_or("", Level::as_str), event.message)
    };
    lines.map(text).collect()
}

fn run(given: Vec<u8>) -> Result<Vec<u8>> {
    let python = setup::scikit_learn()?;
    let mut command = shell::command(python);
    command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start Python")?;
    let mut input = child.stdin.take().context("Python has no standard input")?;
    let writer = std::thread::spawn(move || input.write_all(&given));
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "scikit-learn's script ended with {}", output.status);
    match writer.join() {
        Ok(written) => written.context("cannot hand the lines to scikit-learn")?,
        Err(_) => anyhow::bail!("the thread that hands lines to scikit-learn died"),
    }
    Ok(output.stdout)
}
