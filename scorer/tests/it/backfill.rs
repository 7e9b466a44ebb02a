//! Baselines filled from recorded files, and what a scorer that runs then knows.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use engine::event::EventTime;
use serde_json::{Value, json};
use simulator::{Params, Simulator};
use testkit::kafka::{Broker, NewRecord};

use crate::rig::{SCORER, Scorer, json_lines, model};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// A Monday, 2026-03-02.
const MONDAY: i64 = 1_772_409_600 * SECOND;
const DAYS: i64 = 8;
/// Lines a second, of thirteen services.
const RATE: f64 = 0.4;
/// For so few lines; the sudden one is beyond any doubt.
const SMALL: [&str; 2] = ["DETECT_VOLUME_LEAST_USUAL=5", "DETECT_VOLUME_LEAST_CHANGE=20"];

/// Simulated lines of a shop between two times, as JSON.
fn shop(from: i64, until: i64) -> String {
    let start = EventTime::from_micros(from);
    let params = Params { start, rate: RATE, anomaly_ratio: 0.0, ..Params::default() };
    let mut text = String::new();
    for line in Simulator::new(params).unwrap().take_while(|line| line.timestamp.as_micros() < until) {
        let event = json!({
            "timestamp": line.timestamp.to_string(),
            "level": line.level.as_str(),
            "service": line.service,
            "message": line.message,
        });
        writeln!(text, "{event}").unwrap();
    }
    text
}

fn line_of(time: i64, service: &str, message: &str) -> String {
    let time = EventTime::from_micros(time).to_string();
    json!({"timestamp": time, "level": "INFO", "service": service, "message": message}).to_string() + "\n"
}

/// An hour of the shop, and in its middle ten minutes of many lines of one service.
fn with_a_rush(from: i64) -> String {
    let mut lines: Vec<(String, String)> = shop(from, from + 3_600 * SECOND)
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            (event["timestamp"].as_str().unwrap().to_owned(), line.to_owned())
        })
        .collect();
    for half in 0..1_200 {
        let time = EventTime::from_micros(from + 1_800 * SECOND + half * SECOND / 2).to_string();
        let message = format!("Served /products in {} ms", 10 + half % 7);
        let line = line_of(from + 1_800 * SECOND + half * SECOND / 2, "api-gateway", &message);
        lines.push((time, line.trim_end().to_owned()));
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

/// By the hour of the week, of the service with the rush.
fn of_week(found: &[Value]) -> usize {
    let is_it = |one: &&Value| {
        one["detector"] == "volume"
            && one["service"] == "api-gateway"
            && one.to_string().contains("hour of the week")
    };
    found.iter().filter(is_it).count()
}

struct Setup(tempfile::TempDir);

impl Setup {
    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn input(&self) -> String {
        format!("file:{}", self.path("app.log"))
    }

    fn backfill(&self, more: &[&str]) -> Output {
        let mut command = Command::new(SCORER);
        command.args(["backfill", "--input", &self.input(), "--state-dir", &self.path("state")]);
        command.args(more).env("MODEL_PATH", model());
        command.envs(SMALL.iter().map(|variable| variable.split_once('=').unwrap()));
        command.output().unwrap()
    }

    /// What the volume detector says of the lines of `app.log`.
    fn volumes(&self, count: usize) -> Vec<Value> {
        let found = self.path("found.jsonl");
        let _ = std::fs::remove_file(&found);
        let (input, state) = (self.input(), self.path("state"));
        let arguments = ["--input", &input, "--state-dir", &state, "--anomaly-file", &found];
        let mut scorer = Scorer::start_with("backfill", &SMALL, &arguments);
        scorer.wait("all lines", |scorer| scorer.counted() == count);
        assert!(scorer.stop().0.success());
        let found = json_lines(Path::new(&found));
        found.into_iter().filter(|one| one["detector"] == "volume").collect()
    }
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn after_eight_days_of_history_a_scorer_needs_no_more_and_knows_the_hour_of_the_week() {
    let setup = Setup(tempfile::tempdir().unwrap());
    let now = MONDAY + DAYS * DAY;
    let rush = with_a_rush(now);
    let count = rush.lines().count();
    std::fs::write(setup.path("app.log"), rush).unwrap();
    assert_eq!(of_week(&setup.volumes(count)), 0, "nobody knows the week yet");
    std::fs::remove_dir_all(setup.path("state")).unwrap();

    std::fs::write(setup.path("history.jsonl"), shop(MONDAY, now)).unwrap();
    let out = setup.backfill(&[&setup.path("history.jsonl")]);
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    assert!(text.contains("services until 2026-03-09T23:"), "{text}");
    assert!(!text.contains("volume of") && !text.contains("failure_spike of"), "{text}");
    let alerts = std::fs::read_dir(setup.0.path()).unwrap().count();
    assert_eq!(alerts, 4, "it writes nothing but the state");

    assert_eq!(of_week(&setup.volumes(count)), 1);

    let again = setup.backfill(&[&setup.path("history.jsonl")]);
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("--replace"), "{}", said(&again));
}

#[test]
fn a_second_time_replaces_only_where_that_is_asked_for() {
    let setup = Setup(tempfile::tempdir().unwrap());
    std::fs::write(setup.path("hour.jsonl"), shop(MONDAY, MONDAY + 3_600 * SECOND)).unwrap();
    let hour = setup.path("hour.jsonl");
    let first = setup.backfill(&[&hour]);
    assert!(first.status.success(), "{}", said(&first));
    assert!(said(&first).contains("volume of"), "an hour is no week: {}", said(&first));
    assert_eq!(setup.backfill(&[&hour]).status.code(), Some(2));
    assert!(setup.backfill(&["--replace", &hour]).status.success());
}

#[test]
fn what_cannot_be_filled_is_said_with_what_to_do() {
    let setup = Setup(tempfile::tempdir().unwrap());
    std::fs::write(setup.path("hour.jsonl"), "").unwrap();
    let hour = setup.path("hour.jsonl");
    let refused = |arguments: &[&str]| {
        let mut command = Command::new(SCORER);
        let out =
            command.arg("backfill").args(arguments).arg(&hour).env("MODEL_PATH", model()).output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{arguments:?}");
        said(&out)
    };
    let state = setup.path("state");
    let nobody = format!("127.0.0.1:{}", testkit::free_port().unwrap());
    assert!(refused(&["--kafka-bootstrap-servers", &nobody]).contains("brokers"));
    assert!(refused(&["--state-topic", ""]).contains("STATE_TOPIC"));
    assert!(refused(&["--state-dir", &state, "--input", "stdin,otlp"]).contains("--input"));
    assert!(refused(&["--input", "stdin"]).contains("--state-dir"));
    assert!(
        refused(&["--input", "stdin", "--state-dir", &state, "--detect=false"]).contains("DETECT = false")
    );
    assert!(refused(&["--input", "stdin", "--state-dir", &state]).contains("no line"));
    let help = Command::new(SCORER).args(["backfill", "--help"]).output().unwrap();
    assert!(said(&help).contains("Examples:"));
}

/// Keyed by service, as the topic has to be.
fn keyed(text: &str) -> Vec<NewRecord> {
    let record = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        NewRecord::keyed(event["service"].as_str().unwrap(), line)
    };
    text.lines().map(record).collect()
}

#[test]
fn with_kafka_each_partition_learns_the_history_of_the_services_that_it_has_had() {
    let setup = Setup(tempfile::tempdir().unwrap());
    let broker = Broker::shared().unwrap();
    let (logs, anomalies) =
        (broker.unique_topic("backfill", 3).unwrap(), broker.unique_topic("anomalies", 1).unwrap());
    let own =
        ["--kafka-bootstrap-servers", broker.bootstrap(), "--log-topic", &logs, "--kafka-group-id", &logs];
    let more = ["--anomaly-topic", &anomalies, "--dead-letter-topic", "", "--snapshot-interval-ms", "100"];
    let run_over = |text: &str| {
        broker.produce_records(&logs, keyed(text)).unwrap();
        let end: i64 = broker.end_offsets(&logs).unwrap().iter().sum();
        let mut scorer = Scorer::start_with("backfill", &SMALL, &[own, more].concat());
        scorer.wait("all committed", |_| {
            broker.committed(&logs, &logs).unwrap().into_iter().flatten().sum::<i64>() == end
        });
        scorer
    };
    let fill = |more: &[&str]| {
        let mut command = Command::new(SCORER);
        command
            .arg("backfill")
            .args(own)
            .args(more)
            .arg(setup.path("history.jsonl"))
            .env("MODEL_PATH", model());
        command.envs(SMALL.iter().map(|variable| variable.split_once('=').unwrap()));
        command.output().unwrap()
    };
    let now = MONDAY + DAYS * DAY;
    let stranger = line_of(now - 60 * SECOND, "stranger", "Somebody knocked");
    std::fs::write(setup.path("history.jsonl"), shop(MONDAY, now - 60 * SECOND) + &stranger).unwrap();
    assert!(said(&fill(&["--replace"])).contains("holds nothing"));
    let scorer = run_over(&shop(now - 1_800 * SECOND, now - 1_200 * SECOND));
    assert!(said(&fill(&["--replace"])).contains("members"), "a scorer runs");
    assert!(scorer.stop().0.success());
    assert!(said(&fill(&[])).contains("--replace"));
    let out = fill(&["--replace"]);
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    assert!(text.contains("left out: 1 lines of \"stranger\""), "{text}");
    assert!(text.matches("services until 2026-03-09T23:").count() > 1, "{text}");

    let scorer = run_over(&with_a_rush(now));
    assert!(scorer.log().contains("what was learnt is restored"));
    assert!(scorer.stop().0.success());
    let found: Vec<Value> =
        broker.read_all(&anomalies).unwrap().iter().map(|record| record.json().unwrap()).collect();
    assert_eq!(of_week(&found), 1);
}
