//! The whole flow with real Kafka, a store (SQLite or a real PostgreSQL), a file and a receiver of alerts behind it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use store::{LogFilter, Page, StoreSettings};
use testkit::kafka::Broker;
use testkit::postgres::Server;

use super::{median, moment, variable, wait_dead};
use crate::alerts::burst;
use crate::delivery::hook::{Hook, status};
use crate::rig::{Scorer, assert_anomalies, expected, json_lines, lines, odd_lines};

/// Lines of a run, the six of the burst included.
const LINES: usize = 600;

/// What one kill came to: records that came twice at each sink, always with the same id.
#[derive(Debug, Default)]
struct Outcome {
    /// Anomalies and records of alerts on their topics.
    kafka: usize,
    /// Anomalies in the file.
    file: usize,
    /// POSTs of alerts.
    posts: usize,
    /// From the second start to the first finding or commit of it.
    resumed: Duration,
}

struct Run<'a> {
    broker: &'a Broker,
    hook: Hook,
    folder: tempfile::TempDir,
    logs: String,
    anomalies: String,
    alerts: String,
    dead_letters: String,
    batch_size: String,
    store: StoreSettings,
}

impl<'a> Run<'a> {
    fn new(broker: &'a Broker, seed: u64, postgres: bool) -> Self {
        let topic = |name: &str| broker.unique_topic(name, 1).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = if postgres {
            StoreSettings::Postgres(Server::shared().unwrap().database().unwrap())
        } else {
            StoreSettings::Embedded { path: folder.path().join("isolog.db") }
        };
        Self {
            broker,
            hook: Hook::start(|_, _| status(200)),
            folder,
            logs: topic("fault-logs"),
            anomalies: topic("fault-anomalies"),
            alerts: topic("fault-alerts"),
            dead_letters: topic("fault-dead-letters"),
            batch_size: (10 + seed * 7 % 50).to_string(),
            store,
        }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("anomalies.jsonl")
    }

    fn start(&self, fault: Option<(&str, u64)>) -> Scorer {
        let variable = fault.map(|(place, times)| variable(place, times));
        let (file, url) = (self.file().display().to_string(), self.hook.url());
        let store = match &self.store {
            StoreSettings::Embedded { path } => ["--store-path".to_owned(), path.display().to_string()],
            StoreSettings::Postgres(url) => ["--database-url".to_owned(), url.clone()],
        };
        let mut arguments =
            vec!["--kafka-bootstrap-servers", self.broker.bootstrap(), "--log-topic", &self.logs];
        arguments.extend(["--kafka-group-id", &self.logs, "--anomaly-topic", &self.anomalies]);
        arguments.extend(["--alert-topic", &self.alerts, "--dead-letter-topic", &self.dead_letters]);
        arguments.extend(["--batch-size", &self.batch_size, "--batch-wait-ms", "10"]);
        arguments.extend(["--snapshot-interval-ms", "100", "--store-logs", "all", "--anomaly-file", &file]);
        arguments.extend(["--alert-webhook-url", &url]);
        // A member that comes back is known at once.
        arguments.extend(["--kafka-property", "group.instance.id=one"]);
        arguments.extend(store.iter().map(String::as_str));
        Scorer::start_with("fault", &variable.as_deref().into_iter().collect::<Vec<_>>(), &arguments)
    }

    fn read(&self, topic: &str) -> Vec<Value> {
        self.broker.read_all(topic).unwrap().iter().map(|record| record.json().unwrap()).collect()
    }

    fn is_committed(&self) -> bool {
        self.broker.committed(&self.logs, &self.logs).unwrap() == [Some(LINES as i64)]
    }

    /// Whether the receiver has dealt with every record of an alert.
    fn is_told(&self) -> bool {
        let group = format!("{}-sink-webhook", self.logs);
        let end = self.broker.end_offsets(&self.alerts).unwrap()[0];
        end > 0 && self.broker.committed(&group, &self.alerts).unwrap() == [Some(end)]
    }

    /// Records of the alert of the burst, which comes a moment after its lines.
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
        wait_dead(&mut scorer, place, times);
        let before = self.read(&self.anomalies).len();
        let began = Instant::now();
        let mut resumed = None;
        let mut scorer = self.start(None);
        scorer.wait("all lines committed and all alerts told", |_| {
            let is_committed = self.is_committed();
            if resumed.is_none() && (is_committed || self.read(&self.anomalies).len() > before) {
                resumed = Some(began.elapsed());
            }
            is_committed && !self.bursts().is_empty() && self.is_told()
        });
        assert!(scorer.stop().0.success());
        Outcome { resumed: resumed.unwrap_or_default(), ..self.check(&expected(&all)) }
    }

    fn check(&self, expected: &crate::rig::Expected) -> Outcome {
        let offset = |source: &Value| source["offset"].as_u64().unwrap() as usize;
        let found = odd_lines(self.read(&self.anomalies));
        assert_anomalies(&found, expected, offset);
        let in_file = odd_lines(json_lines(&self.file()));
        assert_anomalies(&in_file, expected, offset);
        let wanted = expected.anomalies.len();

        let alerts = self.read(&self.alerts);
        let bursts: BTreeSet<String> = self.bursts().iter().map(|alert| alert["id"].to_string()).collect();
        assert_eq!(bursts.len(), 1, "one burst, one alert: {alerts:?}");
        assert!(!self.hook.posts().is_empty());
        let name = |alert: &Value| format!("{}-{}", alert["id"].as_str().unwrap(), alert["revision"]);
        let names: BTreeSet<String> = alerts.iter().map(name).collect();
        let for_us = |alert: &&Value| alert["notify"].as_array().unwrap().contains(&"webhook".into());
        let to_tell: BTreeSet<String> = alerts.iter().filter(for_us).map(name).collect();
        let posts = self.hook.posts();
        let told: BTreeSet<String> =
            posts.iter().map(|post| post.headers["webhook-id"].to_str().unwrap().to_owned()).collect();
        assert_eq!(told, to_tell);

        let mut store = store::open(&self.store).unwrap();
        let kept = store.last_logs(&LogFilter::default(), &Page::first(1_000)).unwrap();
        let sources: BTreeSet<&String> = kept.iter().map(|line| &line.source).collect();
        assert_eq!((kept.len(), sources.len()), (LINES, LINES), "each line is kept once");
        let missing: Vec<&Value> = found
            .iter()
            .filter(|one| store.anomaly(one["id"].as_str().unwrap()).unwrap().is_none())
            .collect();
        assert!(missing.is_empty(), "not in the store: {missing:?}");
        Outcome {
            kafka: found.len() - wanted + alerts.len() - names.len(),
            file: in_file.len() - wanted,
            posts: posts.len() - told.len(),
            resumed: Duration::ZERO,
        }
    }
}

/// Where a run keeps its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    /// In SQLite and PostgreSQL by turns.
    ByTurns,
    Embedded,
    Postgres,
}

/// Places, and how often at most the process comes there in one run.
const PLACES: [(&str, u64, Kept); 14] = [
    ("scored", LINES as u64, Kept::ByTurns),
    ("detected", LINES as u64, Kept::ByTurns),
    ("before delivery", 2, Kept::ByTurns),
    ("awaiting reports", 3, Kept::ByTurns),
    ("before file sync", 1, Kept::ByTurns),
    ("before store commit", 2, Kept::Embedded),
    ("before store commit", 2, Kept::Postgres),
    ("store committed", 2, Kept::Embedded),
    ("store committed", 2, Kept::Postgres),
    ("delivered", 2, Kept::ByTurns),
    ("before snapshot", 1, Kept::ByTurns),
    ("snapshot written", 1, Kept::ByTurns),
    ("before commit", 1, Kept::ByTurns),
    ("commit asked for", 1, Kept::ByTurns),
];

#[test]
fn killed_at_any_place_nothing_is_lost_and_repeats_have_their_ids() {
    let seeds = testkit::seeds();
    let broker = Broker::shared().unwrap();
    let mut table =
        "| killed | store | kills | lost | twice on Kafka | in the file | in the store | POSTs twice | \
                     resumed after |\n|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for (place, most, kept) in PLACES {
        let outcomes: Vec<Outcome> = (0..seeds)
            .map(|seed| {
                let postgres = kept == Kept::Postgres || kept == Kept::ByTurns && seed % 2 == 1;
                Run::new(broker, seed, postgres).kill_at(place, moment(seed, most))
            })
            .collect();
        let most = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).max().unwrap();
        let (kafka, file, posts) = (most(|one| one.kafka), most(|one| one.file), most(|one| one.posts));
        let resumed = median(outcomes.iter().map(|one| one.resumed).collect());
        let store = match kept {
            Kept::ByTurns => "both",
            Kept::Embedded => "SQLite",
            Kept::Postgres => "PostgreSQL",
        };
        let row =
            format!("| {place} | {store} | {seeds} | 0 | {kafka} | {file} | 0 | {posts} | {resumed:.1} s |");
        println!("{row}");
        table += &(row + "\n");
    }
    println!("\n{table}");
}
