//! The simulator program from outside: what it writes, and how it refuses.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Command, Output};

fn simulator(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulator")).args(args).output().unwrap()
}

/// Arguments of the command that data/README.md gives, with the outputs in another directory.
fn documented_command(directory: &Path) -> Vec<String> {
    let readme = std::fs::read_to_string("../data/README.md").unwrap();
    let line = readme.lines().find(|line| line.starts_with("cargo run --bin simulator -- ")).unwrap();
    let args = line.trim_start_matches("cargo run --bin simulator -- ").split_whitespace();
    args.map(|arg| arg.replace("data/", &format!("{}/", directory.display()))).collect()
}

#[test]
fn the_documented_command_makes_the_sample_again_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let args = documented_command(directory.path());
    let status = Command::new(env!("CARGO_BIN_EXE_simulator")).args(&args).status().unwrap();
    assert!(status.success());
    for name in ["sample_logs.csv", "sample_logs.labels.csv"] {
        let made = std::fs::read(directory.path().join(name)).unwrap();
        let kept = std::fs::read(Path::new("../data").join(name)).unwrap();
        assert!(made == kept, "data/{name} differs from what its command makes");
    }
}

#[test]
fn the_sample_has_the_promised_header_and_number_of_rows() {
    let text = std::fs::read("../data/sample_logs.csv").unwrap();
    let mut reader = csv::Reader::from_reader(text.as_slice());
    assert_eq!(reader.headers().unwrap(), vec!["timestamp", "service", "level", "message"]);
    assert_eq!(reader.records().filter(Result::is_ok).count(), 20_000);
}

#[test]
fn json_lines_go_to_standard_output() {
    let output = simulator(&["--lines", "50", "--start-time", "2026-01-05T00:00:00Z"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 50);
    assert!(text.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
}

#[test]
fn settings_out_of_range_are_refused_with_name_value_and_range() {
    let output = simulator(&["--rate", "0", "--error-rate", "2"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("rate = 0 is out of range: lines per second in (0, 1000000]"), "{text}");
    assert!(text.contains("error_rate = 2 is out of range: a share in [0, 1]"), "{text}");
}
