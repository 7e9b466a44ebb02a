//! SIGKILL at every place of the pipeline, then a restart: nothing is lost, and what comes twice has the same id. The
//! long form (`cargo xtask faults`) kills twenty times at each place and prints the table of RELIABILITY.md.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::kafka::Broker;

use crate::alerts::burst;
use crate::rig::{Scorer, assert_anomalies, expected, lines, odd_lines};

/// Lines of a run, the six of the burst included.
const LINES: usize = 600;

/// What one kill came to.
#[derive(Debug, Default)]
struct Outcome {
    /// Findings and records of alerts that came twice.
    repeated: usize,
    /// From the second start to the first finding or commit of it.
    resumed: Duration,
}

struct Run<'a> {
    broker: &'a Broker,
    logs: String,
    anomalies: String,
    alerts: String,
    dead_letters: String,
    batch_size: String,
}

impl<'a> Run<'a> {
    fn new(broker: &'a Broker, seed: u64) -> Self {
        let topic = |name: &str| broker.unique_topic(name, 1).unwrap();
        Self {
            broker,
            logs: topic("fault-logs"),
            anomalies: topic("fault-anomalies"),
            alerts: topic("fault-alerts"),
            dead_letters: topic("fault-dead-letters"),
            batch_size: (10 + seed * 7 % 50).to_string(),
        }
    }

    fn start(&self, fault: Option<(&str, u64)>) -> Scorer {
        let variable = fault.map(|(place, times)| format!("ISOLOG_FAULT={place}:{times}"));
        let arguments = [
            "--kafka-bootstrap-servers",
            self.broker.bootstrap(),
            "--log-topic",
            &self.logs,
            "--kafka-group-id",
            &self.logs,
            "--anomaly-topic",
            &self.anomalies,
            "--alert-topic",
            &self.alerts,
            "--dead-letter-topic",
            &self.dead_letters,
            "--batch-size",
            &self.batch_size,
            "--batch-wait-ms",
            "10",
            "--snapshot-interval-ms",
            "100",
            // A member that comes back is known at once.
            "--kafka-property",
            "group.instance.id=one",
        ];
        Scorer::start_with("fault", &variable.as_deref().into_iter().collect::<Vec<_>>(), &arguments)
    }

    fn read(&self, topic: &str) -> Vec<Value> {
        self.broker.read_all(topic).unwrap().iter().map(|record| record.json().unwrap()).collect()
    }

    fn is_committed(&self) -> bool {
        self.broker.committed(&self.logs, &self.logs).unwrap() == [Some(LINES as i64)]
    }

    fn bursts(&self) -> Vec<Value> {
        let is_burst =
            |alert: &Value| alert["detector"] == "error_burst" && alert["service"] == "billing_api";
        self.read(&self.alerts).into_iter().filter(is_burst).collect()
    }

    /// Kills it at `place` the `times`th time, starts it again, and checks what came out.
    fn kill_at(&self, place: &str, times: u64) -> Outcome {
        let mut all = lines(LINES - 6);
        let middle = all.len() / 2;
        all.splice(middle..middle, burst());
        self.broker.produce(&self.logs, all.clone()).unwrap();
        let mut scorer = self.start(Some((place, times)));
        let deadline = Instant::now() + crate::rig::LIMIT;
        while scorer.is_alive() {
            assert!(Instant::now() < deadline, "it never came to {place:?} {times} times:\n{}", scorer.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        let before = self.read(&self.anomalies).len();
        let began = Instant::now();
        let mut resumed = None;
        let mut scorer = self.start(None);
        scorer.wait("all lines and the alert", |_| {
            if resumed.is_none() && (self.read(&self.anomalies).len() > before || self.is_committed()) {
                resumed = Some(began.elapsed());
            }
            self.is_committed() && !self.bursts().is_empty()
        });
        assert!(scorer.stop().0.success());

        let offset = |source: &Value| source["offset"].as_u64().unwrap() as usize;
        let found = odd_lines(self.read(&self.anomalies));
        let all = expected(&all);
        assert_anomalies(&found, &all, offset);
        let bursts = self.bursts();
        let ids: BTreeSet<String> = bursts.iter().map(|alert| alert["id"].to_string()).collect();
        assert_eq!(ids.len(), 1, "one burst, several alerts: {bursts:?}");
        let opened = bursts.iter().filter(|alert| alert["cause"] == "opened").count();
        let repeated = found.len() - all.anomalies.len() + opened.saturating_sub(1);
        Outcome { repeated, resumed: resumed.unwrap_or_default() }
    }
}

/// Places, and how often at most the process comes there in one run.
const PLACES: [(&str, u64); 9] = [
    ("scored", LINES as u64),
    ("detected", LINES as u64),
    ("before delivery", 2),
    ("awaiting reports", 3),
    ("delivered", 2),
    ("before snapshot", 1),
    ("snapshot written", 1),
    ("before commit", 1),
    ("commit asked for", 1),
];

#[test]
fn killed_at_any_place_nothing_is_lost_and_repeats_have_their_ids() {
    let seeds = if testkit::long_tests() { 20 } else { 2 };
    let broker = Broker::shared().unwrap();
    println!("| killed | kills | lost | repeated, same id (most) | resumed after (median) |");
    println!("|---|---|---|---|---|");
    for (place, most) in PLACES {
        let outcomes: Vec<Outcome> = (0..seeds)
            .map(|seed| {
                // Spread over the run, another place for each seed.
                let times = 1 + (seed * 2_654_435_761 + 97) % most;
                Run::new(broker, seed).kill_at(place, times)
            })
            .collect();
        let repeated = outcomes.iter().map(|outcome| outcome.repeated).max().unwrap();
        let mut resumed: Vec<Duration> = outcomes.iter().map(|outcome| outcome.resumed).collect();
        resumed.sort();
        let median = resumed[resumed.len() / 2].as_secs_f64();
        println!("| {place} | {seeds} | 0 | {repeated} | {median:.1} s |");
    }
}
