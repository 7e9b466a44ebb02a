//! Detectors over recorded files, beside the same lines live; rules tested on sample lines.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::alerts::burst;
use crate::rig::{SCORER, Scorer, json_lines, lines, model};

fn scorer(arguments: &[&str]) -> Output {
    let mut command = Command::new(SCORER);
    command.args(arguments).env("MODEL_PATH", model());
    command.output().unwrap()
}

fn parsed(out: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&out.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What detectors find in a line, or as soon as a line exceeds a bound: it needs no clock.
fn of_lines(found: &[Value]) -> BTreeSet<(String, String, String)> {
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    found
        .iter()
        .filter(|one| ["odd_line", "new_pattern", "error_burst"].contains(&one["detector"].as_str().unwrap()))
        .map(|one| (text(one, "detector"), text(one, "service"), text(one, "timestamp")))
        .collect()
}

fn write(path: &Path, lines: &[String]) -> String {
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
    path.display().to_string()
}

#[test]
fn recorded_lines_give_what_the_same_lines_give_live() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<String> = lines(3_000).into_iter().chain(burst()).collect();
    let log = write(&folder.path().join("app.log"), &all);
    let out = scorer(&["backtest", "--anomalies", &log]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let recorded = of_lines(&parsed(&out));
    assert!(recorded.iter().any(|(detector, ..)| detector == "error_burst"), "{recorded:?}");

    let found = folder.path().join("out.jsonl");
    let input = format!("file:{log}");
    let mut live =
        Scorer::start("live", &["--input", &input, "--anomaly-file", &found.display().to_string()]);
    live.wait("all lines", |scorer| scorer.counted() == all.len());
    assert!(live.stop().0.success());
    assert_eq!(of_lines(&json_lines(&found)), recorded);
}

#[test]
fn the_table_and_the_exit_status_say_what_fired() {
    let folder = tempfile::tempdir().unwrap();
    let six = write(&folder.path().join("six.log"), &burst());
    let five = write(&folder.path().join("five.log"), &burst()[..5]);
    // A line alone is not worth a warning here.
    let quiet = ["--anomaly-score-threshold", "1", "--exit-code"];
    let out = scorer(&[&["backtest", "--alerts", &six], quiet.as_slice()].concat());
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("2026-03-02  error_burst"), "{text}");
    assert!(text.contains("billing_api"), "{text}");
    let out = scorer(&[&["backtest", &five], quiet.as_slice()].concat());
    assert_eq!(out.status.code(), Some(0));
}

#[test]
fn rules_are_tested_on_sample_lines() {
    let folder = tempfile::tempdir().unwrap();
    let rule = |more: u32| {
        format!(
            "[[rule]]\nname = \"gateway\"\nfilter = 'severity >= ERROR'\nwindow_s = 5\nmore_than = {more}\n"
        )
    };
    let lines: Vec<String> = burst().iter().map(|line| format!("  '{line}',\n")).collect();
    let test = format!(
        "rules = [\"isolog.toml\"]\n[[test]]\nname = \"burst\"\nlines = [\n{}]\n\
         expect = [{{ detector = \"rule:gateway\", service = \"billing_api\" }}]\n",
        lines.concat()
    );
    let path = folder.path().join("test.toml");
    std::fs::write(&path, test).unwrap();
    for (more, code) in [(5, 0), (6, 1)] {
        std::fs::write(folder.path().join("isolog.toml"), rule(more)).unwrap();
        let out = scorer(&["test-rules", &path.display().to_string()]);
        assert_eq!(out.status.code(), Some(code), "{}", String::from_utf8_lossy(&out.stdout));
    }
    std::fs::write(
        folder.path().join("isolog.toml"),
        "[[rule]]\nname = \"x\"\nfilter = 'no('\nwindow_s = 5\n",
    )
    .unwrap();
    let out = scorer(&["test-rules", &path.display().to_string()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("rule `x`"));
}

#[test]
fn the_rules_and_tests_of_the_document_work_as_they_stand() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.md")).unwrap();
    let blocks: Vec<&str> =
        document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let folder = tempfile::tempdir().unwrap();
    let [rules, tests] = blocks[..] else { panic!("{} blocks", blocks.len()) };
    std::fs::write(folder.path().join("isolog.toml"), rules).unwrap();
    let path = folder.path().join("test.toml");
    std::fs::write(&path, tests).unwrap();
    let out = scorer(&["test-rules", &path.display().to_string()]);
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(said.contains("5 passed, 0 failed"), "{said}");
}
