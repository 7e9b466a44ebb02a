//! A stream whose every line is a new pattern, for an hour of event time: people are told no more than the budget lets
//! through, and metrics, records and the day's notice say what was held back.

use std::path::Path;
use std::process::Command;

use engine::event::EventTime;
use serde_json::{Value, json};

use crate::delivery::hook::{Hook, status};
use crate::rig::{SCORER, Scorer, json_lines, model};

const SECOND: i64 = 1_000_000;
/// 2026-03-10, 12:00.
const NOON: i64 = 1_773_144_000 * SECOND;
const HOUR_S: i64 = 3_600;
/// Each service speaks for so long, then the next one: each makes an alert of its own.
const SERVICE_S: i64 = 90;
const SERVICES: u64 = (HOUR_S / SERVICE_S) as u64;
const PER_SECOND: i64 = 5;
/// Of `ALERT_BUDGET_PER_DAY`.
const BUDGET: u64 = 10;

/// Letters alone, another word for each number.
fn word(mut number: i64) -> String {
    let mut letters = String::new();
    for _ in 0..6 {
        letters.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    letters
}

fn line(time: i64, level: &str, service: &str, message: &str) -> String {
    let time = EventTime::from_micros(time).to_string();
    json!({"timestamp": time, "level": level, "service": service, "message": message}).to_string() + "\n"
}

/// An hour of lines none of which is like another.
fn hour() -> String {
    (0..HOUR_S * PER_SECOND)
        .map(|number| {
            let second = number / PER_SECOND;
            let service = format!("service-{}", word(second / SERVICE_S));
            let words = [word(number * 7_919), word(number * 104_729 + 17), word(number * 31 + 5)];
            let message = format!("{} gave up {} after {}", words[0], words[1], words[2]);
            line(NOON + number * SECOND / PER_SECOND, "ERROR", &service, &message)
        })
        .collect()
}

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("app.log");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Error bursts and the like are worth an alert each, whatever the budget; here is only what is new, and told even
/// where it is worth no warning.
const ONLY_NEW: [&str; 7] = [
    "SINK_ROUTES=webhook severity=info",
    "DETECT_ERROR_BURST_ENABLED=false",
    "DETECT_ERROR_RATE_ENABLED=false",
    "DETECT_ERROR_CLASS_ENABLED=false",
    "DETECT_FAILURE_SPIKE_ENABLED=false",
    "DETECT_VOLUME_ENABLED=false",
    "DETECT_MISSING_HEARTBEAT_ENABLED=false",
];

#[test]
fn an_hour_of_new_patterns_tells_people_no_more_than_the_budget_and_counts_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(|_, _| status(200));
    let input = format!("file:{}", write(folder.path(), &hour()));
    let (file, url) = (folder.path().join("alerts.jsonl"), hook.url());
    let out = file.display().to_string();
    let arguments = ["--input", &input, "--alert-file", &out, "--alert-webhook-url", &url];
    let mut scorer = Scorer::start_with("flood", &ONLY_NEW, &arguments);
    let lines = (HOUR_S * PER_SECOND) as usize;
    scorer.wait("all lines", |scorer| scorer.counted() == lines);
    let held_back = SERVICES - BUDGET;
    scorer.wait("all alerts", |scorer| scorer.metric("isolog_alerts_held_back_total") == held_back as f64);
    scorer.wait("the told ones", |_| hook.posts().len() as u64 >= BUDGET);
    // 100 an hour of each service are told of; what is beyond is counted, too.
    let told = scorer.metric(r#"isolog_anomalies_total{detector="new_pattern"}"#);
    let beyond = scorer.metric(r#"isolog_findings_held_back_total{detector="new_pattern"}"#);
    assert_eq!((told + beyond) as usize, lines, "{told} told, {beyond} held back");
    assert!(beyond > told, "{told} told, {beyond} held back");
    assert!(scorer.stop().0.success());
    assert_eq!(hook.posts().len() as u64, BUDGET);
    let opened: Vec<Value> =
        json_lines(&file).into_iter().filter(|alert| alert["cause"] == "opened").collect();
    let on_record = opened.iter().filter(|alert| alert["held_back"] == true).count() as u64;
    assert_eq!((opened.len() as u64, on_record), (SERVICES, held_back));
}

#[test]
fn after_the_day_one_notice_says_what_the_budget_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let next_day = NOON + 12 * HOUR_S * SECOND;
    let ordinary = |second: i64| line(next_day + second * SECOND, "INFO", "auth", "User logged in");
    let text = hour() + &(0..30).map(ordinary).collect::<String>();
    let log = write(folder.path(), &text);
    let mut command = Command::new(SCORER);
    command.args(["backtest", "--json", &log]).env("MODEL_PATH", model());
    // Sends nothing anywhere.
    command.env("ALERT_WEBHOOK_URL", "http://127.0.0.1:9/");
    command.envs(ONLY_NEW.iter().map(|variable| variable.split_once('=').unwrap()));
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let notices: Vec<&Value> = records.iter().filter(|record| record["cause"] == "notice").collect();
    let [notice] = notices[..] else { panic!("one notice: {notices:?}") };
    let said = format!("{} more alerts", SERVICES - BUDGET);
    assert!(notice["message"].as_str().unwrap().starts_with(&said), "{notice}");
}
