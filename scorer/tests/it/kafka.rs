//! A real Kafka broker in front and behind: what comes out is what scoring the same lines must come to, whatever
//! is killed or stopped on the way.

use std::time::Duration;

use serde_json::Value;
use testkit::kafka::{Broker, NewRecord};

use crate::rig::{Scorer, assert_anomalies, bad_records, expected, json_lines, lines, odd_lines};

/// Topics and group of one test.
struct Topics<'a> {
    broker: &'a Broker,
    logs: String,
    anomalies: String,
    dead_letters: String,
}

impl<'a> Topics<'a> {
    fn new(broker: &'a Broker, partitions: u16) -> Self {
        Self {
            broker,
            logs: broker.unique_topic("logs", partitions).unwrap(),
            anomalies: broker.unique_topic("anomalies", 1).unwrap(),
            dead_letters: broker.unique_topic("dead-letters", 1).unwrap(),
        }
    }

    fn start(&self, more: &[&str]) -> Scorer {
        let mut arguments = vec![
            "--kafka-bootstrap-servers",
            self.broker.bootstrap(),
            "--log-topic",
            &self.logs,
            "--kafka-group-id",
            &self.logs,
            "--anomaly-topic",
            &self.anomalies,
            "--dead-letter-topic",
            &self.dead_letters,
            // A killed scorer's partitions are given away after this long.
            "--kafka-property",
            "session.timeout.ms=6000",
            // Positions are committed with the snapshots.
            "--snapshot-interval-ms",
            "100",
        ];
        arguments.extend(more);
        Scorer::start("kafka", &arguments)
    }

    /// Waits until everything there is was delivered and committed.
    fn wait_committed(&self, scorer: &mut Scorer) {
        let ends: Vec<Option<i64>> =
            self.broker.end_offsets(&self.logs).unwrap().into_iter().map(Some).collect();
        // A partition without records needs no commit.
        scorer.wait("all committed", |_| {
            let committed = self.broker.committed(&self.logs, &self.logs).unwrap();
            committed.len() == ends.len()
                && ends.iter().zip(committed).all(|(end, committed)| *end == committed || *end == Some(0))
        });
    }

    fn committed(&self) -> i64 {
        self.broker.committed(&self.logs, &self.logs).unwrap().into_iter().flatten().sum()
    }

    fn anomalies(&self) -> Vec<Value> {
        let records = self.broker.read_all(&self.anomalies).unwrap();
        odd_lines(records.iter().map(|record| record.json().unwrap()).collect())
    }
}

/// With one partition, an offset is the place among the lines.
fn offset(source: &Value) -> usize {
    source["offset"].as_u64().unwrap() as usize
}

#[test]
fn kafka_gives_exactly_the_anomalies_that_a_file_gives_and_accounts_for_every_line() {
    let topics = Topics::new(Broker::shared().unwrap(), 1);
    let mut records: Vec<Vec<u8>> = lines(5_000).into_iter().map(String::into_bytes).collect();
    // Brokers refuse records of a mebibyte themselves.
    let bad = bad_records().into_iter().filter(|record| record.len() < 900_000);
    for (index, bad) in bad.enumerate() {
        records.insert(index * 700 + 3, bad);
    }
    topics.broker.produce(&topics.logs, records.clone()).unwrap();
    let mut scorer = topics.start(&[]);
    topics.wait_committed(&mut scorer);
    let all = expected(&records);
    assert_eq!(scorer.metric("isolog_lines_scored_total") as usize, all.scored);
    assert_eq!(scorer.metric("isolog_lines_rejected_total") as usize, all.rejected.len());
    assert_eq!(all.scored + all.rejected.len(), records.len());
    scorer.wait("no lag", |scorer| scorer.metric("isolog_consumer_lag_lines") == 0.0);
    assert!(scorer.stop().0.success());

    let found = topics.anomalies();
    assert_anomalies(&found, &all, offset);
    let letters = topics.broker.read_all(&topics.dead_letters).unwrap();
    let places: Vec<usize> = letters.iter().map(|letter| offset(&letter.json().unwrap()["source"])).collect();
    assert_eq!(places, all.rejected.keys().copied().collect::<Vec<_>>());

    let folder = tempfile::tempdir().unwrap();
    let (log, out) = (folder.path().join("app.log"), folder.path().join("out.jsonl"));
    let mut text = records.join(&b'\n');
    text.push(b'\n');
    std::fs::write(&log, text).unwrap();
    let input = format!("file:{}", log.display());
    let mut scorer =
        Scorer::start("twin", &["--input", &input, "--anomaly-file", &out.display().to_string()]);
    scorer.wait("the same lines from a file", |scorer| scorer.counted() == records.len());
    assert!(scorer.stop().0.success());
    let without_coordinates = |mut anomaly: Value| {
        for field in ["id", "source"] {
            anomaly.as_object_mut().unwrap().remove(field);
        }
        anomaly
    };
    let of_kafka: Vec<Value> = found.into_iter().map(without_coordinates).collect();
    let of_file: Vec<Value> = odd_lines(json_lines(&out)).into_iter().map(without_coordinates).collect();
    assert_eq!(of_kafka, of_file);
}

#[test]
fn killed_mid_stream_no_anomaly_is_missing_and_repeats_carry_the_same_id() {
    let topics = Topics::new(Broker::shared().unwrap(), 1);
    let lines = lines(20_000);
    // However late it is killed, half is left.
    topics.broker.produce(&topics.logs, lines[..10_000].to_vec()).unwrap();
    let mut scorer = topics.start(&["--batch-size", "20"]);
    scorer.wait("first commits", |_| topics.committed() > 500);
    scorer.kill();
    let committed = topics.committed();
    topics.broker.produce(&topics.logs, lines[10_000..].to_vec()).unwrap();

    let mut scorer = topics.start(&[]);
    topics.wait_committed(&mut scorer);
    let again = scorer.counted();
    assert!(again < 20_000, "the second run began anew instead of at {committed}");
    assert!(scorer.stop().0.success());
    assert_anomalies(&topics.anomalies(), &expected(&lines), offset);
}

#[test]
fn two_scorers_share_the_partitions_while_one_is_stopped_and_started() {
    let topics = Topics::new(Broker::shared().unwrap(), 4);
    let lines = lines(16_000);
    let record = |index: usize| NewRecord {
        partition: Some((index % 4) as i32),
        ..NewRecord::new(lines[index].clone())
    };
    topics.broker.produce_records(&topics.logs, (0..4_000).map(record)).unwrap();
    let slow = ["--batch-size", "20"];
    let mut first = topics.start(&slow);
    let mut second = topics.start(&slow);
    let assigned = |scorer: &Scorer| scorer.log().contains("partitions are assigned");
    first.wait("partitions", assigned);
    second.wait("partitions", assigned);
    let before = topics.committed();
    topics.broker.produce_records(&topics.logs, (4_000..10_000).map(record)).unwrap();
    second.wait("progress", |_| topics.committed() > before);
    let (status, _) = second.stop();
    assert!(status.success());
    let before = topics.committed();
    topics.broker.produce_records(&topics.logs, (10_000..16_000).map(record)).unwrap();
    first.wait("progress alone", |_| topics.committed() > before);
    let mut second = topics.start(&slow);
    second.wait("partitions again", assigned);
    topics.wait_committed(&mut first);
    assert!(first.log().contains("records have no key"), "{}", first.log());
    assert!(first.stop().0.success());
    assert!(second.stop().0.success());

    let place = |source: &Value| offset(source) * 4 + source["partition"].as_u64().unwrap() as usize;
    assert_anomalies(&topics.anomalies(), &expected(&lines), place);
}

#[test]
fn a_broker_that_stops_and_starts_again_costs_nothing() {
    let broker = Broker::start().unwrap();
    let topics = Topics::new(&broker, 1);
    let lines = lines(8_000);
    broker.produce(&topics.logs, lines[..6_000].to_vec()).unwrap();
    let mut scorer = topics.start(&["--batch-size", "20"]);
    scorer.wait("first commits", |_| topics.committed() > 200);
    broker.stop().unwrap();
    scorer.wait("not ready", |scorer| scorer.get("/readyz").is_some_and(|(status, _)| status == 503));
    assert_eq!(
        scorer.get("/healthz").unwrap().0,
        200,
        "a broker's absence is no reason to restart the scorer"
    );
    // The length of the outage is what is tested.
    std::thread::sleep(Duration::from_secs(if testkit::long_tests() { 30 } else { 2 }));
    broker.start_again().unwrap();
    scorer.wait_ready();
    broker.produce(&topics.logs, lines[6_000..].to_vec()).unwrap();
    topics.wait_committed(&mut scorer);
    assert!(scorer.stop().0.success());
    assert_anomalies(&topics.anomalies(), &expected(&lines), offset);
}

#[test]
fn a_broker_that_is_absent_at_the_start_is_waited_for() {
    let broker = Broker::start().unwrap();
    let topics = Topics::new(&broker, 1);
    let lines = lines(300);
    broker.produce(&topics.logs, lines.clone()).unwrap();
    broker.stop().unwrap();
    let mut scorer = topics.start(&[]);
    scorer.wait("not ready, and why", |scorer| {
        let told = scorer.log().contains("no broker answers");
        told && scorer.get("/readyz").is_some_and(|(status, body)| status == 503 && body.contains("kafka"))
    });
    broker.start_again().unwrap();
    scorer.wait_ready();
    topics.wait_committed(&mut scorer);
    assert!(scorer.stop().0.success());
    assert_anomalies(&topics.anomalies(), &expected(&lines), offset);
}

#[test]
fn a_missing_topic_is_named_and_found_once_it_is_there() {
    let broker = Broker::shared().unwrap();
    let topics = Topics::new(broker, 1);
    let missing = format!("{}-later", topics.logs);
    let mut scorer = topics.start(&["--log-topic", &missing]);
    scorer.wait("the topic's name", |scorer| {
        scorer.get("/readyz").is_some_and(|(status, body)| status == 503 && body.contains(&missing))
    });
    assert!(scorer.log().contains("LOG_TOPIC"));
    broker.create_topic(&missing, 1).unwrap();
    broker.produce(&missing, lines(100)).unwrap();
    scorer.wait_ready();
    scorer.wait("its lines", |scorer| scorer.counted() == 100);
    assert!(scorer.stop().0.success());
}

#[test]
fn what_is_not_delivered_is_not_committed() {
    let broker = Broker::shared().unwrap();
    let topics = Topics::new(broker, 1);
    broker.produce(&topics.logs, lines(500)).unwrap();
    let full = ["--anomaly-file", "/dev/full", "--anomaly-topic", "", "--shutdown-timeout-s", "3"];
    let mut scorer = topics.start(&full);
    scorer.wait("the refusal", |scorer| scorer.metric("isolog_delivery_retries_total") >= 1.0);
    assert_eq!(scorer.get("/readyz").unwrap().0, 503);
    assert!(!scorer.stop().0.success(), "it must say that something is left");
    assert_eq!(topics.committed(), 0);

    let mut scorer = topics.start(&[]);
    topics.wait_committed(&mut scorer);
    assert!(scorer.stop().0.success());
    assert_anomalies(&topics.anomalies(), &expected(&lines(500)), offset);
}
