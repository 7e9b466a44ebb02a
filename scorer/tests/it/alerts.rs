//! From lines to alerts: what a scorer that runs tells of bursts, silences and ends.

use std::path::Path;

use serde_json::{Value, json};

use testkit::kafka::{Broker, NewRecord};

use crate::rig::{Scorer, append, json_lines};

/// Six ERROR lines of one service within one window of five seconds.
pub fn burst() -> Vec<String> {
    let line = |second: &str| {
        json!({
            "timestamp": format!("2026-03-02T12:00:{second}Z"),
            "level": "ERROR",
            "service": "billing_api",
            "message": "Payment gateway did not answer",
        })
        .to_string()
    };
    ["10", "10", "10", "11", "12", "12"].map(line).to_vec()
}

struct Setup {
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        append(&folder.path().join("app.log"), &[]);
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn start(&self, more: &[&str]) -> Scorer {
        let input = format!("file:{}", self.path("app.log"));
        let (alerts, state) = (self.path("alerts.jsonl"), self.path("state"));
        let mut arguments = vec!["--input", &input, "--alert-file", &alerts, "--state-dir", &state];
        arguments.extend(["--file-poll-ms", "20", "--batch-wait-ms", "20"]);
        arguments.extend(more);
        Scorer::start("alerts", &arguments)
    }

    fn append(&self, lines: &[String]) {
        append(Path::new(&self.path("app.log")), lines);
    }

    fn alerts(&self) -> Vec<Value> {
        json_lines(Path::new(&self.path("alerts.jsonl")))
    }

    fn of_bursts(&self) -> Vec<Value> {
        self.alerts().into_iter().filter(|alert| alert["detector"] == "error_burst").collect()
    }
}

#[test]
fn six_errors_appended_to_a_file_are_one_alert_and_five_are_none() {
    let setup = Setup::new();
    let scorer = &mut setup.start(&[]);
    setup.append(&burst()[..5]);
    scorer.wait("five lines", |scorer| scorer.counted() == 5);
    // The clock has gone on for the detectors after these lines.
    let ticks = scorer.metric("isolog_detected_services");
    scorer.wait("a tick", |scorer| ticks > 0.0 || scorer.metric("isolog_detected_services") > 0.0);
    assert_eq!(setup.of_bursts(), [] as [Value; 0]);
    setup.append(&burst()[5..]);
    scorer.wait("the alert", |_| !setup.of_bursts().is_empty());
    let alert = &setup.of_bursts()[0];
    assert_eq!(alert["service"], "billing_api");
    assert_eq!(alert["cause"], "opened");
    assert_eq!(alert["severity"], "error");
    assert_eq!(alert["evidence"][0]["source"]["kind"], "file");
    assert!(alert["message"].as_str().unwrap().contains("6 ERROR lines"), "{alert}");
}

#[test]
fn killed_after_the_sixth_line_the_alert_has_the_same_id() {
    let setup = Setup::new();
    // Nothing is kept of the first run, so its lines are read again.
    let mut scorer = setup.start(&["--snapshot-interval-ms", "600000"]);
    setup.append(&burst());
    scorer.wait("the alert", |_| !setup.of_bursts().is_empty());
    scorer.kill();
    let mut scorer = setup.start(&[]);
    scorer.wait("the alert again", |_| setup.of_bursts().len() == 2);
    assert_eq!(scorer.counted(), 6);
    assert!(scorer.stop().0.success());
    let ids: std::collections::BTreeSet<String> =
        setup.of_bursts().iter().map(|alert| alert["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{:?}", setup.alerts());
}

#[test]
fn a_rule_of_the_config_file_and_a_detector_that_is_off() {
    let setup = Setup::new();
    let config = setup.path("isolog.toml");
    let rules = r#"
        [detect.error_burst]
        enabled = false
        [[rule]]
        name = "gateway"
        filter = 'severity >= ERROR && message.contains("gateway")'
        window_s = 5
        more_than = 5
    "#;
    std::fs::write(&config, rules).unwrap();
    let scorer = &mut setup.start(&["--config", &config]);
    setup.append(&burst());
    let of_rule = |alert: &Value| {
        alert["parts"].as_array().unwrap().iter().any(|part| part["detector"] == "rule:gateway")
    };
    scorer.wait("the rule's alert", |_| setup.alerts().iter().any(of_rule));
    assert_eq!(setup.of_bursts(), [] as [Value; 0]);
}

/// Burst alerts of a topic of four partitions whose records have no key.
fn bursts_of_spread_lines(detect_topic: Option<&str>) -> Vec<Value> {
    let broker = Broker::shared().unwrap();
    let topic = |name: &str, partitions| broker.unique_topic(name, partitions).unwrap();
    let (logs, alerts, anomalies) =
        (topic("spread", 4), topic("spread-alerts", 1), topic("spread-anomalies", 1));
    let detect = detect_topic.map(|name| topic(name, 2));
    let record = |index: usize| NewRecord {
        partition: Some((index % 4) as i32),
        ..NewRecord::new(burst()[index].clone())
    };
    broker.produce_records(&logs, (0..6).map(record)).unwrap();
    let mut arguments = vec!["--kafka-bootstrap-servers", broker.bootstrap(), "--log-topic", &logs];
    arguments.extend(["--kafka-group-id", &logs, "--alert-topic", &alerts, "--anomaly-topic", &anomalies]);
    if let Some(topic) = &detect {
        arguments.extend(["--detect-topic", topic]);
    }
    let read = |topic: &str| -> Vec<Value> {
        broker.read_all(topic).unwrap().iter().map(|record| record.json().unwrap()).collect()
    };
    let mut scorer = Scorer::start("spread", &arguments);
    // Each of the six is an odd line and of a new pattern, so an alert follows with a detector that counts or without.
    scorer.wait("all lines", |scorer| scorer.counted() == 6);
    scorer.wait("alerts of all lines", |_| {
        let found: u64 = read(&alerts).iter().filter_map(|alert| alert["count"].as_u64()).sum();
        found >= 6
    });
    assert!(scorer.stop().0.success());
    let odd: Vec<Value> = crate::rig::odd_lines(read(&anomalies));
    assert_eq!(odd.len(), 6, "each odd line has one record");
    read(&alerts).into_iter().filter(|alert| alert["detector"] == "error_burst").collect()
}

#[test]
fn lines_of_a_service_meet_in_the_detect_topic_where_the_input_is_not_keyed() {
    assert_eq!(bursts_of_spread_lines(None), [] as [Value; 0]);
    let found = bursts_of_spread_lines(Some("spread-detect"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["evidence"][0]["source"]["kind"], "kafka");
    assert!(found[0]["reasons"][0].as_str().unwrap().contains("never seen in training"), "{found:?}");
}
