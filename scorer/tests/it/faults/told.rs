//! From each kind of outbox to each kind of receiver: killed after the receiver's answer, around settling and around a
//! dead letter, every alert is told (or kept as a dead letter), and again only with the same id.

use std::time::{Duration, Instant};

use engine::event::EventTime;
use serde_json::{Value, json};
use store::{AlertRow, Rows, StoreSettings};
use testkit::kafka::Broker;
use testkit::mail::MailServer;
use testkit::postgres::Server;

use super::{median, moment, variable, wait_dead};
use crate::delivery::hook::{Answer, Hook, status};
use crate::delivery::{Topics, record};
use crate::rig::Scorer;

/// Where the alerts wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outbox {
    Kafka,
    Embedded,
    Postgres,
}

impl Outbox {
    const ALL: [Self; 3] = [Self::Kafka, Self::Embedded, Self::Postgres];

    const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "Kafka",
            Self::Embedded => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Who is told.
enum Receiver {
    Http(Hook),
    Mail(MailServer),
}

impl Receiver {
    /// As the receivers of this sink answer what they take.
    fn takes(sink: &str) -> Self {
        let created = r#"{"took":1,"errors":false,"items":[{"create":{"status":201}}]}"#;
        match sink {
            "email" => Self::Mail(MailServer::start().unwrap()),
            "elasticsearch" => Self::Http(Hook::start(|_, _| Answer::Status(200, Vec::new(), created))),
            "pagerduty" => Self::Http(Hook::start(|_, _| status(202))),
            _ => Self::Http(Hook::start(|_, _| status(200))),
        }
    }

    fn refuses() -> Self {
        Self::Http(Hook::start(|_, _| status(400)))
    }

    fn settings(&self, sink: &str) -> Vec<String> {
        let url = match self {
            Self::Http(hook) => hook.url(),
            Self::Mail(server) => server.url(),
        };
        let given: &[&str] = match sink {
            "webhook" => &["--alert-webhook-url", &url],
            "slack" => &["--slack-webhook-url", &url],
            "pagerduty" => {
                &["--pagerduty-url", &url, "--pagerduty-routing-key", "0123456789abcdef0123456789abcdef"]
            }
            "alertmanager" => &["--alertmanager-url", &url],
            "elasticsearch" => &["--elasticsearch-url", &url],
            "email" => &["--smtp-url", &url, "--smtp-from", "i@example.test", "--smtp-to", "o@example.test"],
            other => panic!("{other} is no sink"),
        };
        given.iter().map(|&text| text.to_owned()).collect()
    }

    /// Everything that came, as it came.
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Http(hook) => hook.posts().into_iter().map(|post| post.text).collect(),
            Self::Mail(server) => server.mails().unwrap(),
        }
    }
}

/// Alerts in an outbox.
struct Run {
    sink: &'static str,
    alerts: usize,
    /// With Kafka.
    topics: Option<Topics>,
    /// Else.
    store: Option<StoreSettings>,
    folder: tempfile::TempDir,
}

/// Stands in every shape of alert `number`.
fn marker(number: usize) -> String {
    format!("marker{number:03}x")
}

impl Run {
    fn new(sink: &'static str, outbox: Outbox, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = match outbox {
            Outbox::Kafka => None,
            Outbox::Embedded => Some(StoreSettings::Embedded { path: folder.path().join("isolog.db") }),
            Outbox::Postgres => Some(StoreSettings::Postgres(Server::shared().unwrap().database().unwrap())),
        };
        let topics = store.is_none().then(|| Topics::new(1));
        let run = Self { sink, alerts: 5 + (seed * 7 % 20) as usize, topics, store, folder };
        run.write();
        run
    }

    fn write(&self) {
        let records: Vec<Value> = (0..self.alerts)
            .map(|number| {
                let mut record = record(&marker(number), 1, &[self.sink]);
                record["message"] = json!(marker(number));
                record
            })
            .collect();
        if let Some(topics) = &self.topics {
            topics.write(&records);
        }
        if let Some(place) = &self.store {
            let alerts = records.iter().map(row).collect();
            // What is older than the store keeps would be removed.
            let now = EventTime::from_micros(jiff::Timestamp::now().as_microsecond());
            store::open(place).unwrap().write(&Rows { now, alerts, ..Rows::default() }).unwrap();
        }
    }

    fn start(&self, receiver: &Receiver, variables: &[&str]) -> Scorer {
        let sink = receiver.settings(self.sink);
        let mut more: Vec<&str> = sink.iter().map(String::as_str).collect();
        if let Some(topics) = &self.topics {
            more.extend(["--kafka-property", "group.instance.id=one"]);
            return Scorer::start_with("told", variables, &topics.arguments(&more));
        }
        let log = self.folder.path().join("app.log");
        std::fs::write(&log, "").unwrap();
        let (input, place) = (format!("file:{}", log.display()), self.store.as_ref().unwrap());
        let place = match place {
            StoreSettings::Embedded { path } => ["--store-path".to_owned(), path.display().to_string()],
            StoreSettings::Postgres(url) => ["--database-url".to_owned(), url.clone()],
        };
        more.extend(["--input", &input]);
        more.extend(place.iter().map(String::as_str));
        Scorer::start_with("told", variables, &more)
    }

    /// Whether the sink's position is at the end of the outbox.
    fn is_settled(&self) -> bool {
        if let Some(topics) = &self.topics {
            let group = format!("{}-sink-{}", topics.logs, self.sink);
            let end = self.alerts as i64;
            return topics.broker.committed(&group, &topics.alerts).unwrap() == [Some(end)];
        }
        let mut store = store::open(self.store.as_ref().unwrap()).unwrap();
        let last = store.outbox_after(0, 1_000).unwrap().last().unwrap().0;
        store.sink_position(self.sink).unwrap() == last
    }

    /// The dead letters, as they are kept.
    fn dead_letters(&self) -> Vec<String> {
        if let Some(topics) = &self.topics {
            return topics.dead_letters().iter().map(testkit::kafka::Record::text).collect();
        }
        let mut store = store::open(self.store.as_ref().unwrap()).unwrap();
        let kept = store.dead_letters(self.sink, 0, 1_000).unwrap();
        kept.into_iter().map(|kept| kept.letter.record).collect()
    }

    /// Kills it at `place` at a moment of the seed, starts it again, and checks what came.
    fn kill_at(&self, place: &str, often: Often, seed: u64, receiver: &Receiver) -> Outcome {
        let times = match often {
            Often::Alerts => moment(seed, self.alerts as u64),
            Often::Once => 1,
        };
        let mut scorer = self.start(receiver, &[&variable(place, times)]);
        wait_dead(&mut scorer, place, times);
        let before = receiver.texts().len();
        let began = Instant::now();
        let mut resumed = None;
        let mut scorer = self.start(receiver, &[]);
        scorer.wait("all settled", |_| {
            let is_settled = self.is_settled();
            if resumed.is_none() && (is_settled || receiver.texts().len() > before) {
                resumed = Some(began.elapsed());
            }
            is_settled
        });
        assert!(scorer.stop().0.success());
        let texts = receiver.texts();
        let letters = self.dead_letters();
        let is_refused = !letters.is_empty();
        let count =
            |texts: &[String], number| texts.iter().filter(|text| text.contains(&marker(number))).count();
        let (mut told, mut kept) = (0, 0);
        for number in 0..self.alerts {
            let (times, letters) = (count(&texts, number), count(&letters, number));
            assert!(times > 0, "alert {number} of {} was never told", self.alerts);
            assert!(letters > 0 || !is_refused, "alert {number} of {} is no dead letter", self.alerts);
            told += times - 1;
            kept += letters.saturating_sub(1);
        }
        Outcome { told, letters: kept, resumed: resumed.unwrap_or_default() }
    }
}

/// How often the process comes to a place.
#[derive(Clone, Copy, Debug)]
enum Often {
    /// Once for each alert.
    Alerts,
    /// At least once.
    Once,
}

/// What one kill came to.
struct Outcome {
    /// Alerts that were told twice.
    told: usize,
    /// Dead letters that were kept twice.
    letters: usize,
    /// From the second start to the first delivery or settled position of it.
    resumed: Duration,
}

/// As the store has it.
fn row(record: &Value) -> AlertRow {
    let text = |name: &str| record[name].as_str().unwrap().to_owned();
    AlertRow {
        id: text("id"),
        revision: record["revision"].as_i64().unwrap(),
        cause: text("cause"),
        status: text("status"),
        severity: text("severity"),
        service: text("service"),
        detector: text("detector"),
        message: text("message"),
        first_seen: EventTime::default(),
        last_seen: EventTime::default(),
        resolved_at: None,
        count: 6,
        score: 0.75,
        record: record.to_string(),
    }
}

const HEAD: &str = "| killed | outbox | sink | kills | lost | told twice | dead letters twice | resumed after |\n\
                    |---|---|---|---|---|---|---|---|\n";

/// Kills at one place with every seed; a row of the table.
fn kill(
    place: &str,
    often: Often,
    outbox: Outbox,
    sink: &'static str,
    receiver: fn(&str) -> Receiver,
) -> String {
    let seeds = testkit::seeds();
    let outcomes: Vec<Outcome> = (0..seeds)
        .map(|seed| Run::new(sink, outbox, seed).kill_at(place, often, seed, &receiver(sink)))
        .collect();
    let told = outcomes.iter().map(|one| one.told).max().unwrap();
    let letters = outcomes.iter().map(|one| one.letters).max().unwrap();
    let resumed = median(outcomes.iter().map(|one| one.resumed).collect());
    let outbox = outbox.name();
    let row = format!("| {place} | {outbox} | {sink} | {seeds} | 0 | {told} | {letters} | {resumed:.1} s |");
    println!("{row}");
    row + "\n"
}

#[test]
fn killed_after_a_receiver_answered_each_alert_is_told_and_again_only_with_its_id() {
    Broker::shared().unwrap();
    let mut table = HEAD.to_owned();
    for sink in notify::settings::NAMES {
        let place = format!("answered by {sink}");
        table += &kill(&place, Often::Alerts, Outbox::Kafka, sink, Receiver::takes);
    }
    for outbox in [Outbox::Embedded, Outbox::Postgres] {
        table += &kill("answered by webhook", Often::Alerts, outbox, "webhook", Receiver::takes);
    }
    println!("\n{table}");
}

#[test]
fn killed_around_settling_and_dead_letters_each_alert_is_told_or_kept() {
    let mut table = HEAD.to_owned();
    for outbox in Outbox::ALL {
        for place in ["before settling", "settled"] {
            table += &kill(place, Often::Once, outbox, "webhook", Receiver::takes);
        }
        for place in ["before dead letter", "dead letter kept"] {
            table += &kill(place, Often::Once, outbox, "webhook", |_| Receiver::refuses());
        }
    }
    println!("\n{table}");
}
