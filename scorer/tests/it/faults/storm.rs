//! A storm of rebalances under load: scorers join a group and leave it again, in order or by SIGKILL, while lines come.
//! Every line is kept once, every odd line is found, and nobody is said to be silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::kafka::{Broker, NewRecord};
use testkit::postgres::Server;

use crate::rig::{Scorer, assert_anomalies, expected, lines, odd_lines};

const PARTITIONS: usize = 8;
/// Fewest and most scorers at a time.
const MEMBERS: std::ops::RangeInclusive<usize> = 1..=4;
/// Lines of one turn of the load, and between two turns.
const TURN: usize = 200;
const PAUSE: Duration = Duration::from_millis(100);
/// The least that the detector allows: a service is said to be silent after 30 s.
const SENSITIVE: [&str; 2] =
    ["DETECT_MISSING_HEARTBEAT_SILENCE_S=30", "DETECT_MISSING_HEARTBEAT_KNOWN_AFTER_S=60"];

/// Joins and leaves of one storm.
fn changes() -> usize {
    if testkit::long_tests() { 100 } else { 6 }
}

/// Sample lines of one service for each partition, which never falls silent.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<String>>>,
}

impl Load {
    fn start(broker: &'static Broker, topic: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let samples: Vec<Value> =
                lines(5_000).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            let mut sent = vec![Vec::new(); PARTITIONS];
            let mut number = 0;
            let mut records = |turns: usize, time: &dyn Fn(usize) -> jiff::Timestamp| -> Vec<NewRecord> {
                let record = |turn| {
                    let partition = number % PARTITIONS;
                    let mut line = samples[number % samples.len()].clone();
                    line["timestamp"] = time(turn).to_string().into();
                    line["service"] = format!("service-{partition}").into();
                    let text = line.to_string();
                    sent[partition].push(text.clone());
                    number += 1;
                    NewRecord { partition: Some(i32::try_from(partition).unwrap()), ..NewRecord::new(text) }
                };
                (0..turns).flat_map(|turn| [turn; TURN]).map(record).collect()
            };
            // Two minutes of history, in which the services become known; then by the clock.
            let began = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(120);
            let history = records(120, &|turn| began + jiff::SignedDuration::from_secs(turn as i64));
            broker.produce_records(&topic, history).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                broker.produce_records(&topic, records(1, &|_| jiff::Timestamp::now())).unwrap();
                std::thread::sleep(PAUSE);
            }
            sent
        });
        Self { stop, thread }
    }

    /// By partition, in order.
    fn stop(self) -> Vec<Vec<String>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

struct Storm {
    broker: &'static Broker,
    logs: String,
    anomalies: String,
    alerts: String,
    database: String,
    members: Vec<Scorer>,
}

impl Storm {
    fn new() -> Self {
        let broker = Broker::shared().unwrap();
        Self {
            broker,
            logs: broker.unique_topic("storm-logs", PARTITIONS as u16).unwrap(),
            anomalies: broker.unique_topic("storm-anomalies", 1).unwrap(),
            alerts: broker.unique_topic("storm-alerts", 1).unwrap(),
            database: Server::shared().unwrap().database().unwrap(),
            members: Vec::new(),
        }
    }

    fn join(&mut self) {
        let mut arguments =
            vec!["--kafka-bootstrap-servers", self.broker.bootstrap(), "--log-topic", &self.logs];
        arguments.extend(["--kafka-group-id", &self.logs, "--anomaly-topic", &self.anomalies]);
        arguments.extend(["--alert-topic", &self.alerts, "--dead-letter-topic", ""]);
        arguments.extend(["--database-url", &self.database, "--store-logs", "all"]);
        arguments.extend(["--snapshot-interval-ms", "500", "--kafka-property", "session.timeout.ms=3000"]);
        arguments.extend(["--kafka-property", "heartbeat.interval.ms=500"]);
        let mut scorer = Scorer::start_with("storm", &SENSITIVE, &arguments);
        scorer.wait("partitions", |scorer| assignments(scorer) > 0);
        self.members.push(scorer);
    }

    /// Of all members.
    fn assignments(&self) -> usize {
        self.members.iter().map(assignments).sum()
    }

    fn leave(&mut self, which: usize, kill: bool) {
        let leaver = self.members.remove(which);
        let before = self.assignments();
        if kill {
            drop(leaver.kill());
        } else {
            assert!(leaver.stop().0.success());
        }
        // Its partitions go to the others.
        let deadline = Instant::now() + crate::rig::LIMIT;
        while self.assignments() == before {
            assert!(Instant::now() < deadline, "nobody took its partitions:\n{}", self.members[0].log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn committed(&self) -> i64 {
        self.broker.committed(&self.logs, &self.logs).unwrap().into_iter().flatten().sum()
    }

    fn read(&self, topic: &str) -> Vec<Value> {
        self.broker.read_all(topic).unwrap().iter().map(|record| record.json().unwrap()).collect()
    }
}

fn assignments(scorer: &Scorer) -> usize {
    scorer.log().matches("partitions are assigned").count()
}

#[test]
fn scorers_that_join_and_leave_under_load_lose_nothing_and_call_nobody_silent() {
    let mut storm = Storm::new();
    storm.join();
    let load = Load::start(storm.broker, storm.logs.clone());
    let began = Instant::now();
    let mut seed = 0xC0FFEE_u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let (mut joins, mut leaves, mut kills) = (0, 0, 0);
    while joins + leaves + kills < changes() {
        // The next change comes while lines flow again: who leaves leaves work behind.
        let before = storm.committed();
        crate::rig::wait("progress", || storm.committed() > before + TURN as i64);
        let count = storm.members.len();
        if count == *MEMBERS.start() || count < *MEMBERS.end() && draw(2) == 0 {
            storm.join();
            joins += 1;
        } else {
            let kill = draw(3) == 0;
            storm.leave(draw(count), kill);
            if kill {
                kills += 1;
            } else {
                leaves += 1;
            }
        }
    }
    let took = began.elapsed().as_secs();
    let sent = load.stop();
    let count: usize = sent.iter().map(Vec::len).sum();
    let mut last = storm.members.pop().unwrap();
    last.wait("all committed", |_| storm.committed() == count as i64);
    assert!(last.stop().0.success());
    for member in storm.members.drain(..) {
        assert!(member.stop().0.success());
    }

    let kept = Server::shared().unwrap();
    let kept = kept.psql(&storm.database, "SELECT count(*), count(DISTINCT source) FROM logs").unwrap();
    assert_eq!(kept, format!("{count}|{count}"), "each line is kept once");
    let found = odd_lines(storm.read(&storm.anomalies));
    let starts: Vec<usize> =
        sent.iter().scan(0, |at, lines| Some(std::mem::replace(at, *at + lines.len()))).collect();
    let all = expected(&sent.concat());
    assert_anomalies(&found, &all, |source| {
        let partition = source["partition"].as_u64().unwrap() as usize;
        starts[partition] + source["offset"].as_u64().unwrap() as usize
    });
    let silent: Vec<Value> = storm
        .read(&storm.alerts)
        .into_iter()
        .filter(|alert| alert.to_string().contains("missing_heartbeat"))
        .collect();
    assert!(silent.is_empty(), "somebody is said to be silent: {silent:?}");
    let repeated = found.len() - all.anomalies.len();
    println!(
        "| joins | leaves | SIGKILLs | seconds | lines | odd | lost | twice on Kafka | twice in the store | missing heartbeats |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let odd = all.anomalies.len();
    println!("| {joins} | {leaves} | {kills} | {took} | {count} | {odd} | 0 | {repeated} | 0 | 0 |");
}
