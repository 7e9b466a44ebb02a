//! Silences and "this is normal", from the API to what receivers are told and are not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use assert_cmd::Command;
use predicates::str::contains;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::kafka::{Broker, NewRecord};
use testkit::postgres::Server;

use crate::delivery::hook::{Hook, status};
use crate::rig::{SCORER, Scorer, append, json_lines, wait};

/// Six ERROR lines of a service in the given hour: one more than is allowed.
fn burst(service: &str, hour: u32) -> Vec<String> {
    let line = |second: u32| {
        json!({
            "timestamp": format!("2026-01-02T{hour:02}:00:{second}Z"),
            "level": "ERROR",
            "service": service,
            "message": "card refused",
        })
        .to_string()
    };
    [10, 10, 10, 11, 12, 12].map(line).to_vec()
}

/// Asks the API as the page does: with the token against forged requests of its session.
fn ask(scorer: &Scorer, request: &str, body: &Value) -> Value {
    let session = send(scorer, "GET /api/v1/session", "", "");
    let csrf = format!("X-CSRF-Token: {}\r\n", session["csrf"].as_str().unwrap());
    send(scorer, request, &csrf, &body.to_string())
}

fn send(scorer: &Scorer, request: &str, header: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(scorer.http).unwrap();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: {}\r\n{header}Content-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        scorer.http,
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{request}: {answer}");
    serde_json::from_str(body).unwrap()
}

fn listed(scorer: &Scorer, what: &str) -> Vec<Value> {
    let answer = send(scorer, &format!("GET /api/v1/{what}"), "", "");
    answer[what].as_array().unwrap().clone()
}

/// A followed file whose alerts go to a file and to a receiver, and everything else to a store.
struct Setup {
    folder: tempfile::TempDir,
    hook: Hook,
    /// Of PostgreSQL, else the store is a file.
    database: Option<String>,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.log"), "").unwrap();
        Self { folder, hook: Hook::start(|_, _| status(200)), database: None }
    }

    fn on(database: bool) -> Self {
        let database = database.then(|| Server::shared().unwrap().database().unwrap());
        Self { database, ..Self::new() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn start(&self) -> Scorer {
        let input = format!("file:{}", self.path("app.log"));
        let [alerts, state, store] = ["alerts.jsonl", "state", "isolog.db"].map(|name| self.path(name));
        let mut arguments = vec!["--input", &input, "--alert-file", &alerts, "--state-dir", &state];
        arguments.extend(["--file-poll-ms", "20", "--snapshot-interval-ms", "100"]);
        let url = self.hook.url();
        arguments.extend(["--alert-webhook-url", &url]);
        let database = self.database.as_ref().map(|url| format!("DATABASE_URL={url}"));
        if database.is_none() {
            arguments.extend(["--store-path", &store]);
        }
        let variables: Vec<&str> = database.iter().map(String::as_str).collect();
        let mut scorer = Scorer::start_with("control", &variables, &arguments);
        scorer.wait_ready();
        scorer
    }

    fn append(&self, lines: &[String]) {
        append(self.path("app.log").as_ref(), lines);
    }

    /// Records of error bursts with this cause.
    fn records(&self, cause: &str) -> Vec<Value> {
        let path = self.path("alerts.jsonl");
        let all = json_lines(path.as_ref()).into_iter();
        all.filter(|record| record["detector"] == "error_burst" && record["cause"] == cause).collect()
    }
}

#[rstest]
fn a_silenced_alert_is_told_to_nobody_until_the_silence_is_ended(#[values(false, true)] database: bool) {
    let setup = Setup::on(database);
    let mut scorer = setup.start();
    setup.append(&burst("billing_api", 12));
    scorer.wait("the first alert's POST", |_| setup.hook.posts().len() == 1);
    let first = setup.hook.posts()[0].body["id"].as_str().unwrap().to_owned();
    let path = format!("POST /api/v1/alerts/{first}/silence");
    let silence = ask(&scorer, &path, &json!({"minutes": 60, "comment": "known"}));
    scorer.wait("the mark on the open alert", |_| setup.records("muted").len() == 1);

    // A restart keeps it.
    assert!(scorer.stop().0.success());
    let mut scorer = setup.start();
    assert_eq!(listed(&scorer, "silences"), std::slice::from_ref(&silence));
    // An hour later: another alert.
    setup.append(&burst("billing_api", 13));
    scorer.wait("the second alert", |_| setup.records("opened").len() == 2);
    let second = &setup.records("opened")[1];
    assert_eq!((&second["status"], &second["notify"]), (&"muted".into(), &json!([])));
    scorer.wait("the muted alert counted", |scorer| scorer.metric("isolog_alerts_muted_total") == 1.0);
    scorer.wait("the silence counted", |scorer| scorer.metric("isolog_silences") == 1.0);

    ask(&scorer, &format!("DELETE /api/v1/silences/{}", silence["id"].as_str().unwrap()), &Value::Null);
    scorer.wait("the second alert's POST", |_| setup.hook.posts().len() > 1);
    scorer.wait("no silence counted", |scorer| scorer.metric("isolog_silences") == 0.0);
    let told = setup.hook.posts()[1].body.clone();
    assert_eq!((&told["id"], &told["cause"]), (&second["id"], &"unmuted".into()));
    assert!(scorer.stop().0.success());
    assert_eq!(setup.hook.ids().len(), 2);
}

#[rstest]
fn what_is_called_normal_raises_no_alert_until_that_is_undone(#[values(false, true)] database: bool) {
    let setup = Setup::on(database);
    let mut scorer = setup.start();
    setup.append(&burst("billing_api", 12));
    scorer.wait("the first alert's POST", |_| setup.hook.posts().len() == 1);
    let first = setup.hook.posts()[0].body.clone();
    let path = format!("POST /api/v1/alerts/{}/normal", first["id"].as_str().unwrap());
    let called = ask(&scorer, &path, &json!({"comment": "every noon"}));
    scorer.wait("what is normal counted", |scorer| scorer.metric("isolog_normals") == 1.0);
    let is_part = |normal: &Value| normal["detector"] == "error_burst" && normal["service"] == "billing_api";
    assert!(called["normals"].as_array().unwrap().iter().any(is_part), "{called}");

    // Of the service nothing is found any more; of the other one it is, and after it.
    setup.append(&burst("billing_api", 13));
    setup.append(&burst("orders", 13));
    scorer.wait("the other service's POST", |_| setup.hook.posts().len() == 2);
    assert_eq!(setup.hook.posts()[1].body["service"], "orders");
    assert_eq!(setup.records("opened").len(), 2, "{:?}", setup.records("opened"));

    ask(&scorer, &format!("DELETE /api/v1/normals/{}", called["id"].as_str().unwrap()), &Value::Null);
    setup.append(&burst("billing_api", 14));
    scorer.wait("a POST again", |_| setup.hook.posts().len() == 3);
    let again = setup.hook.posts()[2].body.clone();
    assert_eq!((&again["service"], &again["detector"]), (&"billing_api".into(), &"error_burst".into()));
    assert_ne!(again["id"], first["id"]);
    assert!(scorer.stop().0.success());
}

#[test]
fn two_scorers_on_kafka_are_silent_by_one_decision_and_one_that_comes_later_knows_it() {
    let broker = Broker::shared().unwrap();
    let topic = |name: &str, partitions| broker.unique_topic(name, partitions).unwrap();
    let (logs, alerts) = (topic("silent-logs", 2), topic("silent-alerts", 1));
    // Made by whoever comes first.
    let control = format!("{logs}-control");
    let hook = Hook::start(|_, _| status(200));
    let url = hook.url();
    let begin = || {
        let mut arguments = vec!["--kafka-bootstrap-servers", broker.bootstrap(), "--log-topic", &logs];
        arguments.extend(["--kafka-group-id", &logs, "--alert-topic", &alerts, "--control-topic", &control]);
        arguments.extend(["--alert-webhook-url", &url, "--kafka-property", "session.timeout.ms=6000"]);
        Scorer::start("control", &arguments)
    };
    let start = || {
        let mut scorer = begin();
        scorer.wait("partitions", |scorer| scorer.log().contains("partitions are assigned"));
        scorer.wait_ready();
        scorer
    };
    let (mut one, mut other) = (start(), start());
    let wanted =
        json!({"filter": "attributes.detector == \"error_burst\"", "minutes": 60, "comment": "a test"});
    let silence = ask(&one, "POST /api/v1/silences", &wanted);
    other.wait("the silence there", |other| listed(other, "silences") == std::slice::from_ref(&silence));

    let lines = |partition: i32, service: &str| {
        let lines = burst(service, 12).into_iter();
        lines
            .map(move |line| NewRecord { partition: Some(partition), ..NewRecord::new(line) })
            .collect::<Vec<_>>()
    };
    broker.produce_records(&logs, lines(0, "billing_api").into_iter().chain(lines(1, "orders"))).unwrap();
    let records = |cause: &str| -> Vec<Value> {
        let all = broker.read_all(&alerts).unwrap().into_iter().map(|record| record.json().unwrap());
        all.filter(|record: &Value| record["cause"] == cause).collect()
    };
    wait("both alerts", || records("opened").len() == 2);
    for record in records("opened") {
        assert_eq!((&record["status"], &record["notify"]), (&"muted".into(), &json!([])), "{record}");
    }
    assert_eq!([one.counted(), other.counted()], [6, 6], "each has one of the partitions");
    // Of the two partitions none may be left for it; with one, it tells what the others told.
    let mut third = begin();
    third.wait("the silence at the third", |third| {
        let (_, silences) = third.get("/api/v1/silences").unwrap_or_default();
        silences.contains(silence["id"].as_str().unwrap())
    });
    assert!(hook.posts().is_empty());

    ask(&other, &format!("DELETE /api/v1/silences/{}", silence["id"].as_str().unwrap()), &Value::Null);
    one.wait("both POSTs", |_| hook.posts().len() == 2);
    one.wait("its end there", |one| listed(one, "silences").is_empty());
    for scorer in [one, other, third] {
        assert!(scorer.stop().0.success());
    }
}

/// Runs a twin as a person does, on the store of a setup or on a scorer; what it prints as JSON.
fn twin(arguments: &[&str]) -> Value {
    let mut command = Command::new(SCORER);
    let output = command.args(arguments).arg("--json").assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).unwrap()
}

#[test]
fn the_command_line_tells_and_changes_what_the_pages_do() {
    let setup = Setup::new();
    let mut scorer = setup.start();
    setup.append(&burst("billing_api", 12));
    scorer.wait("the alert's POST", |_| setup.hook.posts().len() == 1);
    let id = setup.hook.ids().remove(0);
    let url = format!("http://{}", scorer.http);
    let store = setup.path("isolog.db");
    let on_store = ["--store-path", &store, "--input", "stdin"];
    let of = |arguments: &[&'static str], place: &[&str]| {
        let all: Vec<&str> =
            arguments.iter().map(|argument| if *argument == "ID" { &id } else { *argument }).collect();
        twin(&[&all, place].concat())
    };
    let on_scorer = ["--url", url.as_str()];
    for place in [&on_scorer[..], &on_store[..]] {
        let all = of(&["alerts", "--status", "firing"], place);
        assert_eq!(all["alerts"][0]["id"], id.as_str(), "{all}");
        assert_eq!(of(&["alerts", "--status", "resolved"], place)["alerts"], json!([]));
        let history = of(&["alerts", "ID"], place);
        let opened = &history["history"][0];
        assert_eq!(opened["service"], "billing_api", "{history}");
        let (written, seen) =
            (opened["recorded_at"].as_str().unwrap(), opened["last_seen"].as_str().unwrap());
        assert_ne!(written, seen, "the lines' time is not the clock's");
        let mut as_text = Command::new(SCORER);
        as_text.args(["alerts", &id]).args(place);
        as_text.assert().success().stdout(contains(format!("{written}  opened ")));

        let called = of(&["normal", "ID", "--comment", "every noon"], place);
        assert_eq!((&called["alert"], &called["comment"]), (&id.as_str().into(), &"every noon".into()));
        let called = called["id"].as_str().unwrap().to_owned();
        scorer.wait("it at the scorer", |scorer| listed(scorer, "normals").len() == 1);
        assert_eq!(of(&["normal", "--list"], place)["normals"][0]["id"], called.as_str());
        twin(&[&["normal", "--undo", &called], place].concat());
        scorer.wait("its end at the scorer", |scorer| listed(scorer, "normals").is_empty());

        let made = of(&["silence", "--alert", "ID", "--minutes", "5"], place);
        assert!(made["filter"].as_str().unwrap().contains("billing_api"), "{made}");
        scorer.wait("it at the scorer", |scorer| listed(scorer, "silences").len() == 1);
        assert_eq!(of(&["silence", "--list"], place)["silences"], json!([made]));
        twin(&[&["silence", "--remove", made["id"].as_str().unwrap()], place].concat());
        scorer.wait("its end at the scorer", |scorer| listed(scorer, "silences").is_empty());
    }
    let model = crate::rig::model().display().to_string();
    let mut explain = Command::new(SCORER);
    explain.args(["explain", &id, "--store-path", &store, "--model-path", &model]);
    explain.assert().success().stdout(contains("card refused"));
    assert!(scorer.stop().0.success());
}

#[test]
fn what_a_twin_cannot_do_is_said_and_ends_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("none.db").display().to_string();
    let on_store = ["--input", "stdin", "--store-path", &empty];
    let nowhere = ["--input", "stdin", "--store-path", ""];
    for (arguments, said) in [
        ([&["alerts"], &on_store[..]].concat(), "there is no store at"),
        ([&["silence", "--list"], &on_store[..]].concat(), "there is no store at"),
        ([&["normal", "--list"], &on_store[..]].concat(), "there is no store at"),
        (vec!["explain", "5e0c7a9d1f22b3440000000000000001", "--store-path", &empty], "there is none at"),
        (vec!["looks", "make none"], ""),
        ([&["alerts"], &on_store[..]].concat(), "holds nothing"),
        ([&["alerts"], &nowhere[..]].concat(), "no store is set"),
        ([&["silence", "true"], &nowhere[..]].concat(), "in its memory"),
        ([&["silence", "service ==", "--minutes", "5"], &on_store[..]].concat(), "faulty"),
        ([&["silence", "true", "--minutes", "0"], &on_store[..]].concat(), "1 to 525600"),
        ([&["silence", "--remove", "s-1"], &on_store[..]].concat(), "no s-1 is in force"),
        ([&["silence"], &on_store[..]].concat(), "required"),
        ([&["normal", "--list", "--url", "scorer:8080"], &nowhere[..]].concat(), "http://HOST:PORT"),
        (vec!["threshold", "--score", "2"], "0 to 1"),
        (vec!["threshold", "--share", "0.9"], "up to 0.5"),
    ] {
        if said.is_empty() {
            assert!(!Path::new(&empty).exists(), "whoever only looks makes no store");
            // From here on there is a file.
            std::fs::write(&empty, "").unwrap();
            continue;
        }
        let mut command = Command::new(SCORER);
        let model = crate::rig::model().display().to_string();
        command.args(&arguments).env("MODEL_PATH", &model);
        command.assert().code(2).stderr(contains(said));
    }
}

#[test]
fn a_threshold_says_what_it_comes_to() {
    let model = crate::rig::model().display().to_string();
    let told = twin(&["threshold", "--share", "0.01", "--model-path", &model]);
    let score = told["rows"][0]["score"].as_f64().unwrap();
    assert!(told["rows"][0]["share"].as_f64().unwrap() <= 0.01, "{told}");
    assert_eq!(told["rows"][0]["setting"], format!("ANOMALY_SCORE_THRESHOLD={score}"));
    let score = score.to_string();
    let in_use = twin(&["threshold", "--model-path", &model, "--anomaly-score-threshold", &score]);
    assert_eq!(in_use["in_use"], told["rows"][0]);
    assert_eq!(in_use["source"], "ANOMALY_SCORE_THRESHOLD");
    assert_eq!(in_use["rows"].as_array().unwrap().len(), 7);
}
