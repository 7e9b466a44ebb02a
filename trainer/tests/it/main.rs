//! The trainer program from outside.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod bad_input;
mod evaluate;
mod fit;
mod stored;
mod topic;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The trainer without any setting of the environment.
pub fn trainer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs to the end: the result, standard output and standard error.
pub fn run(command: &mut Command) -> (Output, String, String) {
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    (output, stdout, stderr)
}

/// A file with this content.
pub fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Lines of the simulated shop as CSV, with a label column where `labelled`.
pub fn shop(seed: u64, lines: usize, anomaly_ratio: f64, labelled: bool) -> String {
    let start = engine::event::EventTime::from_millis(1_767_571_200_000);
    let params = simulator::Params { seed, start, anomaly_ratio, ..simulator::Params::default() };
    let mut text = String::from(if labelled {
        "timestamp,service,level,message,label\n"
    } else {
        "timestamp,service,level,message\n"
    });
    for line in simulator::Simulator::new(params).unwrap().take(lines) {
        let message = line.message.replace('"', "\"\"");
        text += &format!("{},{},{},\"{message}\"", line.timestamp, line.service, line.level);
        text += if labelled { if line.label.is_some() { ",1\n" } else { ",0\n" } } else { "\n" };
    }
    text
}
