//! `scorer scan` and `scorer explain` from outside.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use corpus::save_model;
use engine::event::{EventTime, Level, LogEvent};
use engine::model::Provenance;
use engine::model::train::{FirstPass, TrainParams};

fn scorer(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scorer"));
    command.env_clear().args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> (Output, String, String) {
    let output = scorer(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output, stdout, stderr)
}

fn shop(seed: u64, lines: usize, anomaly_ratio: f64) -> Vec<simulator::SimLine> {
    let start = EventTime::from_millis(1_767_571_200_000);
    let params =
        simulator::Params { seed, start, anomaly_ratio, error_rate: 0.0, ..simulator::Params::default() };
    simulator::Simulator::new(params).unwrap().take(lines).collect()
}

fn json_lines(lines: &[simulator::SimLine]) -> String {
    lines.iter().map(|line| line.json() + "\n").collect()
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A model of two thousand lines without errors.
fn model(folder: &Path) -> PathBuf {
    let events: Vec<LogEvent> = shop(11, 2_000, 0.0).iter().map(simulator::SimLine::event).collect();
    let params = TrainParams { n_estimators: 50, ..TrainParams::default() };
    let mut first = FirstPass::new(params.check().unwrap());
    first.observe(&events);
    let mut second = first.grow().unwrap();
    second.calibrate(&events);
    let path = folder.join("isolog.model");
    let rows = events.len() as u64;
    save_model(
        &path,
        &second.finish(Provenance { rows, contamination: "0.05".to_owned(), ..Provenance::default() }),
    )
    .unwrap();
    path
}

fn objects(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_file_without_a_model_is_trained_on_itself_and_its_odd_line_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = json_lines(&shop(1, 1_500, 0.0));
    text += "{\"timestamp\":\"2026-01-05T01:00:00Z\",\"level\":\"FATAL\",\"service\":\"orders\",\"message\":\"Volcano erupted beneath datacentre\"}\n";
    let file = write(folder.path(), "shop.log", text);
    let (output, stdout, stderr) = run(&["scan", &file]);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("no --model: trained on the 1501 lines of the input itself"), "{stderr}");
    let first = stdout.split("\n\n").nth(1).unwrap();
    assert!(first.contains("line 1501") && first.contains("FATAL orders"), "{stdout}");
    assert!(first.contains("Volcano erupted beneath datacentre"), "{stdout}");
    assert!(first.contains("'Volcano'") && first.contains("in no other line"), "{stdout}");
    let score = first.lines().find(|line| line.trim_start().starts_with("score: ")).unwrap();
    for part in ["odder than 99.", "forest 0.", "surprisal of the rarest words "] {
        assert!(score.contains(part), "{part} in {score}");
    }
}

#[test]
fn lines_that_say_the_same_are_shown_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = json_lines(&shop(2, 1_500, 0.0));
    for host in 1..=13 {
        text += &format!(
            "{{\"level\":\"ERROR\",\"service\":\"orders\",\"message\":\"Glacier melted near host-{host} today\"}}\n"
        );
    }
    let file = write(folder.path(), "shop.log", text);
    let (_, stdout, _) = run(&["scan", &file]);
    assert_eq!(stdout.matches("Glacier melted").count(), 1, "{stdout}");
    assert!(stdout.contains("and 12 more like it: lines 1502, 1503,"), "{stdout}");
}

#[test]
fn json_has_one_object_per_anomaly_and_all_has_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path()).display().to_string();
    let file = write(folder.path(), "shop.log", json_lines(&shop(12, 1_000, 0.03)));
    let (_, anomalies, _) = run(&["scan", &file, "--model", &model, "--json"]);
    let (_, all, _) = run(&["scan", &file, "--model", &model, "--json", "--all"]);
    let (anomalies, all) = (objects(&anomalies), objects(&all));
    assert_eq!(all.len(), 1_000);
    let flagged: Vec<_> = all.iter().filter(|line| line["anomaly"] == true).cloned().collect();
    assert_eq!(anomalies, flagged);
    for (at, line) in all.iter().enumerate() {
        assert_eq!(line["line"], at + 1);
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        for key in [
            "line",
            "timestamp",
            "service",
            "level",
            "message",
            "score",
            "percentile",
            "forest",
            "surprisal",
            "anomaly",
            "reasons",
            "nearest_pattern",
        ] {
            assert!(keys.iter().any(|known| *known == key), "{key} in {line}");
        }
        assert!((0.0..=1.0).contains(&line["score"].as_f64().unwrap()), "{line}");
        assert!((0.0..=100.0).contains(&line["percentile"].as_f64().unwrap()), "{line}");
        assert!((0.01..=1.0).contains(&line["forest"].as_f64().unwrap()), "{line}");
    }
    let reason = &anomalies[0]["reasons"][0];
    for key in ["kind", "word", "contribution", "seen"] {
        assert!(!reason[key].is_null(), "{key} in {reason}");
    }
    let (_, top, _) = run(&["scan", &file, "--model", &model, "--json", "--top", "3"]);
    let scores: Vec<f64> = objects(&top).iter().map(|line| line["score"].as_f64().unwrap()).collect();
    let mut expected: Vec<f64> = anomalies.iter().map(|line| line["score"].as_f64().unwrap()).collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(scores, expected[..3]);
}

#[test]
fn standard_input_and_a_file_give_the_same_anomalies() {
    let folder = tempfile::tempdir().unwrap();
    let text = json_lines(&shop(3, 1_200, 0.02));
    let file = write(folder.path(), "shop.log", &text);
    let (_, of_file, _) = run(&["scan", &file, "--json"]);
    let mut child = scorer(&["scan", "-", "--json"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), of_file);
    assert!(!of_file.is_empty());
}

#[test]
fn exit_status_is_1_only_for_found_anomalies_with_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path()).display().to_string();
    let odd = "{\"level\":\"FATAL\",\"service\":\"void\",\"message\":\"Meteor struck the roof\"}\n";
    let odd = write(folder.path(), "odd.log", odd);
    let usual = json_lines(&shop(11, 50, 0.0));
    let usual = write(folder.path(), "usual.log", usual);
    let status = |args: &[&str]| run(args).0.status.code();
    assert_eq!(status(&["scan", &odd, "--model", &model, "--exit-code"]), Some(1));
    assert_eq!(status(&["scan", &odd, "--model", &model]), Some(0));
    assert_eq!(
        status(&["scan", &usual, "--model", &model, "--exit-code", "--anomaly-score-threshold", "1"]),
        Some(0)
    );
}

#[test]
fn a_threshold_that_calls_every_line_odd_is_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "shop.log", json_lines(&shop(6, 500, 0.0)));
    let (_, _, stderr) = run(&["scan", &file, "--anomaly-score-threshold", "0"]);
    let warning = "warning: ANOMALY_SCORE_THRESHOLD calls 100.0 % of the training lines anomalous";
    assert!(stderr.contains(warning) && stderr.contains("a greater threshold calls fewer"), "{stderr}");
    let (_, _, stderr) = run(&["scan", &file]);
    assert!(!stderr.contains("warning"), "{stderr}");
}

#[test]
fn a_scan_without_a_standard_error_to_speak_to_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "shop.log", json_lines(&shop(6, 500, 0.02)));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = scorer(&["scan", &file, "--anomaly-score-threshold", "0"]).stderr(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("500 log lines"));
}

#[test]
fn bad_lines_are_told_and_the_rest_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path()).display().to_string();
    let mut bytes = json_lines(&shop(4, 20, 0.0)).into_bytes();
    bytes.extend_from_slice(b"{\"message\": \n\xff\xfe\n");
    bytes.extend(std::iter::repeat_n(b'x', 10 << 20));
    bytes.push(b'\n');
    let file = write(folder.path(), "bad.log", bytes);
    let (output, stdout, stderr) = run(&["scan", &file, "--model", &model, "--json", "--all"]);
    assert!(output.status.success());
    assert_eq!(stdout.lines().count(), 20);
    for part in [
        "3 lines could not be read",
        "invalid_json",
        "line 21",
        "invalid_utf8",
        "too_long",
        "at most 1048576",
    ] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}

#[test]
fn what_cannot_be_scanned_is_named_with_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let empty = write(folder.path(), "empty.log", "");
    let wrong = write(folder.path(), "wrong.csv", "a,b\n1,2\n");
    let damaged = write(folder.path(), "damaged.model", "not a model");
    let cases: [(&[&str], &str); 8] = [
        (
            &["scan", &empty, "--top", "0"],
            "invalid value '0' for '--top <N>': allowed: a whole number from 1 on",
        ),
        (&["scan", "no/such.log"], "no such file"),
        (&["scan", &empty], "holds 0 log lines; without --model at least 2 are needed"),
        (&["scan", &wrong], "line 1: the CSV header `a,b` has no column for the message"),
        (&["scan", &empty, "--model", "no.model"], "no.model: there is no model; make one with: trainer fit"),
        (&["scan", &empty, "--model", &damaged], "damaged.model: "),
        (&["scan", "-", "--follow"], "--follow needs a file"),
        (&["scan", &empty, "--contamination", "2"], "CONTAMINATION"),
    ];
    for (args, message) in cases {
        let (output, _, stderr) = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_followed_file_is_scored_as_it_grows() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path()).display().to_string();
    let lines = shop(5, 40, 0.0);
    let file = write(folder.path(), "live.log", json_lines(&lines[..20]));
    let args = ["scan", &file, "--model", &model, "--json", "--all", "--follow"];
    let mut child = Running(scorer(&args).spawn().unwrap());
    let mut stdout = BufReader::new(child.0.stdout.take().unwrap()).lines();
    for line in 1..=20u64 {
        let object: serde_json::Value = serde_json::from_str(&stdout.next().unwrap().unwrap()).unwrap();
        assert_eq!(object["line"], line);
    }
    let mut growing = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    for (at, line) in lines[20..].iter().enumerate() {
        growing.write_all((line.json() + "\n").as_bytes()).unwrap();
        let object: serde_json::Value = serde_json::from_str(&stdout.next().unwrap().unwrap()).unwrap();
        assert_eq!(object["line"], at + 21);
        assert_eq!(object["message"], line.message);
    }
}

#[test]
fn explain_shows_score_reasons_and_the_usual_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path()).display().to_string();
    let line = "{\"level\":\"ERROR\",\"service\":\"orders\",\"message\":\"Order ORD-5 confirmed by dragon\"}";
    let (output, stdout, stderr) = run(&["explain", line, "--model-path", &model]);
    assert!(output.status.success(), "{stderr}");
    for part in [
        "an anomaly (threshold",
        "'dragon' was never seen in training",
        "rare word: dragon",
        "usual      Order",
        "channels",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    let (_, json, _) = run(&["explain", line, "--json", "--model-path", &model]);
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["anomaly"], true);
    assert_eq!(object["level"], Level::Error.as_str());
    let (output, _, stderr) = run(&["explain", "{\"message\":", "--model-path", &model]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("the line cannot be read: invalid_json"), "{stderr}");
}

/// Sessions of three lines, every one in five hundred of which breaks off after the first.
fn traces(sessions: usize) -> String {
    let mut text = String::new();
    for session in 0..sessions {
        let steps = ["request received", "row stored", "answer sent"];
        let told = if session % 500 == 7 { 1 } else { steps.len() };
        for (at, step) in steps.iter().take(told).enumerate() {
            let second = session * 2 + at;
            let time =
                format!("2026-01-05T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60);
            text += &format!(
                "{{\"timestamp\":\"{time}\",\"service\":\"api\",\"level\":\"INFO\",\
                 \"message\":\"{step}\",\"trace_id\":\"t{session}\"}}\n"
            );
        }
    }
    text
}

#[test]
fn sessions_that_break_off_are_found_by_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "traces.jsonl", traces(1_000));
    let args = ["scan", &file, "--session-key", "trace_id", "--contamination", "0.01"];
    let (output, stdout, stderr) = run(&[&args[..], &["--json", "--exit-code"]].concat());
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let found: Vec<_> = objects(&stdout).iter().map(|found| found["session"].to_string()).collect();
    assert_eq!(found, ["\"t7\"", "\"t507\""]);
    assert!(objects(&stdout).iter().all(|found| found["reasons"][0]["kind"] == "missing_event"), "{stdout}");
    for name in ["score", "percentile", "forest", "surprisal"] {
        assert!(objects(&stdout).iter().all(|found| found[name].is_f64()), "{name} in {stdout}");
    }
    assert!(stderr.contains("trained on the 1000 sessions"), "{stderr}");
    let (_, stdout, _) = run(&args);
    assert!(stdout.contains("1,000 sessions by trace_id, 2 of them odd"), "{stdout}");
    assert!(stdout.contains("lacks 'answer sent', which 998 of 1,000 sessions have"), "{stdout}");
    assert!(stdout.contains("surprisal of the rarest event"), "{stdout}");
}

#[test]
fn a_session_key_that_cannot_be_used_is_named_with_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "traces.jsonl", traces(20));
    let model = model(folder.path()).display().to_string();
    for (more, part) in [
        (vec!["--session-key", "(a)(b)"], "has 2 groups"),
        (vec!["--session-key", "no_such_field"], "holds no two sessions by no_such_field"),
        (vec!["--session-key", "trace_id", "--model", &model], "knows no sessions"),
    ] {
        let (output, _, stderr) = run(&[&["scan", &file][..], &more].concat());
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}
