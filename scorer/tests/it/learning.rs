//! What is learnt while running survives kills and moves with the partitions: the anomalies are those of one run that
//! nothing interrupted, by place and score.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use testkit::kafka::{Broker, NewRecord};

use crate::rig::{Scorer, append, assert_anomalies, expected_online, json_lines, lines, odd_lines};

/// Lines of a service after which counts take effect: few, so that the tests' lines make many steps.
const STEP: u32 = 50;

/// What every scorer here is started with.
const LEARNING: [&str; 5] = ["--online-counts", "--online-step-lines", "50", "--snapshot-interval-ms", "100"];

/// A scorer that follows one file, and what it wrote.
struct Following {
    folder: tempfile::TempDir,
    starts: Vec<u64>,
}

impl Following {
    /// A file that will hold `lines`, and has the first of them.
    fn new(lines: &[String], first: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        append(&folder.path().join("app.log"), &lines[..first]);
        let starts = lines
            .iter()
            .scan(0, |at, line| {
                let start = *at;
                *at += line.len() as u64 + 1;
                Some(start)
            })
            .collect();
        Self { folder, starts }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn start(&self, more: &[&str]) -> Scorer {
        let input = format!("file:{}", self.path("app.log"));
        let (out, state) = (self.path("out.jsonl"), self.path("state"));
        let mut arguments =
            vec!["--input", &input, "--anomaly-file", &out, "--state-dir", &state, "--file-poll-ms", "20"];
        arguments.extend(LEARNING);
        arguments.extend(more);
        Scorer::start("learning", &arguments)
    }

    fn anomalies(&self) -> Vec<Value> {
        odd_lines(json_lines(Path::new(&self.path("out.jsonl"))))
    }

    fn place(&self, source: &Value) -> usize {
        self.starts.binary_search(&source["offset"].as_u64().unwrap()).unwrap()
    }
}

fn wait_kept(scorer: &mut Scorer) {
    scorer.wait("everything kept", |scorer| {
        scorer.metric("isolog_batches_in_flight") == 0.0
            && scorer.metric("isolog_state_snapshot_age_seconds") == 0.0
    });
}

#[test]
fn a_file_killed_in_the_middle_gives_the_anomalies_of_one_run() {
    let lines = lines(30_000);
    // However late it is killed, a third is left.
    let setup = Following::new(&lines, 10_000);
    for end in [20_000, 30_000] {
        let mut scorer = setup.start(&["--batch-size", "20"]);
        scorer.wait("snapshots and more lines", |scorer| {
            scorer.metric("isolog_state_snapshots_total") >= 2.0 && scorer.counted() > 1_000
        });
        scorer.kill();
        append(Path::new(&setup.path("app.log")), &lines[end - 10_000..end]);
    }
    let mut scorer = setup.start(&[]);
    scorer.wait("what was learnt", |scorer| scorer.log().contains("what was learnt is restored"));
    let all = expected_online(&lines, STEP);
    let last = *all.anomalies.keys().next_back().unwrap();
    scorer.wait("the last anomaly", |_| {
        setup.anomalies().iter().any(|one| setup.place(&one["source"]) == last)
    });
    assert!(scorer.counted() < 30_000, "it began anew");
    assert!(scorer.stop().0.success());
    assert_anomalies(&setup.anomalies(), &all, |source| setup.place(source));
}

#[test]
fn a_torn_snapshot_is_told_and_costs_nothing() {
    let lines = lines(6_000);
    // Each part is learnt from, so each is followed by a snapshot at least.
    let setup = Following::new(&lines, 2_000);
    let mut scorer = setup.start(&["--batch-size", "20"]);
    let snapshots = |scorer: &Scorer| scorer.metric("isolog_state_snapshots_total");
    for end in [4_000, 6_000] {
        let before = snapshots(&scorer);
        scorer.wait("a snapshot", |scorer| snapshots(scorer) > before);
        append(Path::new(&setup.path("app.log")), &lines[end - 2_000..end]);
    }
    let before = snapshots(&scorer);
    scorer.wait("the last snapshot", |scorer| snapshots(scorer) > before);
    scorer.kill();
    let newest = std::fs::read_dir(setup.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("learnt-") && !name.ends_with(".new")
        })
        .max_by_key(|entry| entry.metadata().unwrap().modified().unwrap())
        .unwrap()
        .path();
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    let mut scorer = setup.start(&[]);
    scorer.wait("the damage told", |scorer| scorer.log().contains("cannot be used"));
    let all = expected_online(&lines, STEP);
    let last = *all.anomalies.keys().next_back().unwrap();
    scorer.wait("the last anomaly", |_| {
        setup.anomalies().iter().any(|one| setup.place(&one["source"]) == last)
    });
    assert!(scorer.stop().0.success());
    assert_anomalies(&setup.anomalies(), &all, |source| setup.place(source));
}

#[test]
fn torn_positions_are_put_aside_where_a_snapshot_tells_them_too() {
    let lines = lines(6_000);
    let setup = Following::new(&lines, 4_000);
    let mut scorer = setup.start(&[]);
    scorer.wait("the first lines", |scorer| scorer.counted() == 4_000);
    wait_kept(&mut scorer);
    assert!(scorer.stop().0.success());
    let kept = std::fs::read_dir(setup.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "json"))
        .unwrap();
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &bytes[..bytes.len() / 2]).unwrap();
    append(Path::new(&setup.path("app.log")), &lines[4_000..]);
    let mut scorer = setup.start(&[]);
    scorer.wait("the rest", |scorer| scorer.counted() >= 2_000);
    wait_kept(&mut scorer);
    assert_eq!(scorer.counted(), 2_000, "it began anew");
    let log = scorer.log();
    assert!(log.contains("is damaged") && log.contains("nothing is lost"), "{log}");
    assert_eq!(std::fs::read(kept.with_extension("json.damaged")).unwrap(), &bytes[..bytes.len() / 2]);
    assert!(scorer.stop().0.success());
    let all = expected_online(&lines, STEP);
    assert_anomalies(&setup.anomalies(), &all, |source| setup.place(source));
    // What was written anew is whole.
    let mut scorer = setup.start(&[]);
    scorer.wait_ready();
    assert!(!scorer.log().contains("is damaged"), "{}", scorer.log());
    assert!(scorer.stop().0.success());
}

/// Topics of one test, with records of each service in one partition.
struct Keyed<'a> {
    broker: &'a Broker,
    logs: String,
    anomalies: String,
    lines: Vec<String>,
    /// Place of each record, by partition and offset.
    places: BTreeMap<(i32, u64), usize>,
}

impl<'a> Keyed<'a> {
    fn new(partitions: u16, count: usize) -> Self {
        let broker = Broker::shared().unwrap();
        let lines = lines(count);
        let mut ends = vec![0; usize::from(partitions)];
        let mut places = BTreeMap::new();
        for (place, line) in lines.iter().enumerate() {
            let partition = partition_of(line, partitions);
            let end: &mut u64 = &mut ends[partition as usize];
            places.insert((partition, *end), place);
            *end += 1;
        }
        Self {
            broker,
            logs: broker.unique_topic("learning", partitions).unwrap(),
            anomalies: broker.unique_topic("anomalies", 1).unwrap(),
            lines,
            places,
        }
    }

    fn produce(&self, places: std::ops::Range<usize>, partitions: u16) {
        let record = |place: usize| {
            let line = &self.lines[place];
            NewRecord { partition: Some(partition_of(line, partitions)), ..NewRecord::new(line.clone()) }
        };
        self.broker.produce_records(&self.logs, places.map(record)).unwrap();
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
            "",
            "--kafka-property",
            "session.timeout.ms=6000",
        ];
        arguments.extend(LEARNING);
        arguments.extend(more);
        Scorer::start("learning", &arguments)
    }

    fn committed(&self) -> i64 {
        self.broker.committed(&self.logs, &self.logs).unwrap().into_iter().flatten().sum()
    }

    fn wait_committed(&self, scorer: &mut Scorer) {
        scorer.wait("all committed", |_| self.committed() == self.lines.len() as i64);
    }

    fn assert_as_one_run(&self) {
        let records = self.broker.read_all(&self.anomalies).unwrap();
        let found: Vec<Value> = records.iter().map(|record| record.json().unwrap()).collect();
        assert_anomalies(&found, &expected_online(&self.lines, STEP), |source| {
            let partition = source["partition"].as_i64().unwrap() as i32;
            self.places[&(partition, source["offset"].as_u64().unwrap())]
        });
    }
}

/// Any function of the service.
fn partition_of(line: &str, partitions: u16) -> i32 {
    let event: Value = serde_json::from_str(line).unwrap();
    let service = event["service"].as_str().unwrap();
    (service.bytes().map(u32::from).sum::<u32>() % u32::from(partitions)) as i32
}

#[test]
fn kafka_killed_in_the_middle_gives_the_anomalies_of_one_run_and_commits_with_snapshots() {
    let topics = Keyed::new(1, 20_000);
    // However late it is killed, half is left.
    topics.produce(0..10_000, 1);
    let mut scorer = topics.start(&["--batch-size", "20"]);
    scorer.wait("first commits", |_| topics.committed() > 500);
    scorer.kill();
    let committed = topics.committed();
    topics.produce(10_000..20_000, 1);
    let mut scorer = topics.start(&[]);
    topics.wait_committed(&mut scorer);
    assert!(scorer.log().contains("what was learnt is restored"), "{}", scorer.log());
    assert!(scorer.counted() as i64 <= 20_000 - committed, "it began before the snapshot of {committed}");
    wait_kept(&mut scorer);
    assert!(scorer.stop().0.success());
    topics.assert_as_one_run();
}

#[test]
fn what_is_learnt_moves_with_the_partitions_between_two_scorers() {
    let topics = Keyed::new(4, 16_000);
    topics.produce(0..4_000, 4);
    let slow = ["--batch-size", "20"];
    let mut first = topics.start(&slow);
    first.wait("progress", |_| topics.committed() > 200);
    let assigned = |scorer: &Scorer| scorer.log().contains("partitions are assigned");
    let mut second = topics.start(&slow);
    second.wait("partitions", assigned);
    topics.produce(4_000..12_000, 4);
    let before = topics.committed();
    second.wait("progress", |_| topics.committed() > before + 500);
    second.kill();
    // Once at its start, once when the other one came, once when it was gone.
    first.wait("the other's partitions", |scorer| {
        scorer.log().matches("partitions are assigned").count() >= 3
    });
    topics.produce(12_000..16_000, 4);
    let mut second = topics.start(&slow);
    second.wait("partitions again", assigned);
    topics.wait_committed(&mut first);
    assert!(first.stop().0.success());
    assert!(second.stop().0.success());
    topics.assert_as_one_run();
}

#[test]
fn a_topic_that_was_made_anew_is_read_from_its_beginning() {
    let topics = Keyed::new(1, 3_000);
    topics.produce(0..3_000, 1);
    let mut scorer = topics.start(&[]);
    topics.wait_committed(&mut scorer);
    assert!(scorer.stop().0.success());
    topics.broker.make_anew(&topics.logs, 1).unwrap();
    topics.produce(0..1_000, 1);
    let mut scorer = topics.start(&[]);
    scorer.wait("its lines", |scorer| scorer.counted() == 1_000);
    assert!(scorer.log().contains("what was learnt is not used"), "{}", scorer.log());
    assert!(scorer.stop().0.success());
}
