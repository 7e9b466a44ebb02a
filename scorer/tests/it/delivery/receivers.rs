//! Real receivers: Alertmanager, a mail server; and the commands that try a sink.

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::{Value, json};
use testkit::alertmanager::Alertmanager;
use testkit::connect::{Converter, Standalone};
use testkit::mail::MailServer;
use testkit::workdir::Workdir;

use super::hook::{Answer, Hook, status};
use super::{Topics, record};
use crate::rig::{SCORER, model, wait};

fn scorer(arguments: &[&str]) -> Command {
    let mut command = Command::new(SCORER);
    command.args(arguments);
    command
}

#[test]
fn alertmanager_shows_the_alert_and_its_end() {
    let topics = Topics::new(1);
    let told = Hook::start(|_, _| status(200));
    let alertmanager = Alertmanager::start(&told.url()).unwrap();
    let id = "00112233445566778899aabbccddeeff";
    topics.write(&[record(id, 1, &["alertmanager"])]);
    let mut scorer = topics.start(&["--alertmanager-url", &alertmanager.url()]);
    topics.wait_settled(&mut scorer, "alertmanager");
    let shown = alertmanager.alerts().unwrap();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(
        shown[0]["labels"],
        json!({"alertname": "IsologAlert", "alert_id": id, "service": "billing_api", "severity": "error"})
    );
    assert_eq!(shown[0]["annotations"]["summary"], "[ERROR] billing_api: 6 ERROR lines in 5 s");
    let statuses = |told: &Hook| -> Vec<Value> {
        told.posts().iter().map(|post| post.body["alerts"][0]["status"].clone()).collect()
    };
    scorer.wait("Alertmanager to tell of it", |_| statuses(&told) == ["firing"]);

    let mut end = record(id, 2, &["alertmanager"]);
    end["status"] = json!("resolved");
    end["cause"] = json!("resolved");
    topics.write(&[end]);
    scorer.wait("Alertmanager to tell of its end", |_| statuses(&told) == ["firing", "resolved"]);
    assert_eq!(alertmanager.alerts().unwrap(), [] as [Value; 0]);
}

#[test]
fn a_mail_server_gets_the_mail() {
    let topics = Topics::new(1);
    let server = MailServer::start().unwrap();
    let mut hostile = record("b", 1, &["email"]);
    hostile["message"] = json!("x\r\nBcc: all@example.test\r\n\r\n<script>");
    hostile["evidence"][0]["message"] = json!("é".repeat(20_000));
    topics.write(&[record("a", 1, &["email"]), hostile, record("a", 2, &["email"])]);
    let url = server.url();
    let to = "ops@example.test, Jo <jo@example.test>";
    let settings = ["--smtp-url", &url, "--smtp-from", "isolog@example.test", "--smtp-to", to];
    let mut scorer = topics.start(&settings);
    topics.wait_settled(&mut scorer, "email");
    let mails = server.mails().unwrap();
    assert_eq!(mails.len(), 3);
    let of = |part: &str| mails.iter().find(|mail| mail.contains(part)).unwrap();
    let first = of("Message-ID: <a-1@example.test>");
    assert!(first.starts_with("X-To: ops@example.test,jo@example.test\r\n"), "{first}");
    assert!(first.contains("Subject: [ERROR] billing_api: 6 ERROR lines in 5 s\r\n"), "{first}");
    assert!(first.contains("card refused"), "{first}");
    // They stand together, also where the first was muted or went to others.
    for mail in [first, of("Message-ID: <a-2@example.test>")] {
        assert!(mail.contains("References: <a@example.test>") && !mail.contains("In-Reply-To"), "{mail}");
    }
    let hostile = of("Message-ID: <b-1@example.test>");
    assert!(hostile.starts_with("X-To: ops@example.test,jo@example.test\r\n"), "{hostile}");
    assert!(!hostile.contains("\r\nBcc:"), "{hostile}");
}

#[test]
fn an_address_that_a_mail_server_refuses_keeps_nobody_else_from_being_told() {
    let server = MailServer::start().unwrap();
    let url = server.url();
    let test = |to: &str| {
        let mut command =
            scorer(&["test-sink", "email", "--smtp-url", &url, "--smtp-from", "a@example.test"]);
        command.args(["--smtp-to", to]);
        command
    };
    test("refused@example.test,ops@example.test")
        .assert()
        .code(2)
        .stderr(contains("refused@example.test: ").and(contains("550")).and(contains("1 other addresses")));
    let mails = server.mails().unwrap();
    assert!(mails.len() == 1 && mails[0].starts_with("X-To: ops@example.test\r\n"), "{mails:?}");
    test("later@example.test").assert().code(2).stderr(contains("would be tried again").and(contains("451")));
    test("ops@example.test").assert().success().stdout(contains("email: delivered"));
}

/// `anomaly_alerts` under the converters that an HTTP sink connector would be given.
#[test]
fn any_connect_sink_reads_the_alerts_with_the_schemaless_json_converter() {
    let topics = Topics::new(1);
    let folder = Workdir::create("connect-out").unwrap();
    let file = folder.write("alerts.txt", "").unwrap();
    topics.write(&[record("a", 1, &["webhook"]), record("a", 2, &[])]);
    let _connect =
        Standalone::file_sink(topics.broker, &topics.alerts, &file, Converter::SchemalessJson).unwrap();
    topics.write(&[record("b", 1, &[])]);
    let lines =
        || -> Vec<String> { std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect() };
    wait("the connector to write three lines", || lines().len() == 3);
    for (line, (id, revision)) in lines().iter().zip([("a", 1), ("a", 2), ("b", 1)]) {
        // A Java map: the converter understood the object and did not take it for text.
        let names = [format!("id={id}"), format!("revision={revision}"), "service=billing_api".to_owned()];
        assert!(line.starts_with('{') && names.iter().all(|name| line.contains(name)), "{line}");
    }
}

#[test]
fn test_sink_says_what_the_receiver_answered() {
    let hook = Hook::start(|number, _| match number {
        0 => status(200),
        1 => Answer::Status(403, Vec::new(), "who are you?"),
        _ => Answer::Status(503, Vec::new(), "later"),
    });
    let url = hook.url();
    let test = |sink: &str| {
        scorer(&["test-sink", sink, "--alert-webhook-url", &url, "--public-url", "https://i.example"])
    };
    test("webhook").assert().success().stdout(contains("webhook: delivered, alert id"));
    let sent = &hook.posts()[0].body;
    assert_eq!((&sent["service"], &sent["detector"]), (&json!("isolog-test"), &json!("test")));
    let link = format!("https://i.example/alerts/{}", sent["id"].as_str().unwrap());
    assert_eq!(sent["link"].as_str(), Some(link.as_str()));
    test("all")
        .assert()
        .code(2)
        .stderr(contains("refused").and(contains("HTTP 403: who are you?")).and(contains("topsecret").not()));
    test("webhook").assert().code(2).stderr(contains("would be tried again: HTTP 503: later"));
    test("slack").assert().code(2).stderr(contains("no such sink is set").and(contains("set: webhook")));
    test("pigeon").assert().code(2).stderr(contains("is no sink"));
    scorer(&["test-sink", "--help"]).assert().success().stdout(contains("Examples:"));
}

#[test]
fn check_reaches_for_the_sinks_and_tells_them_nothing() {
    let hook = Hook::start(|_, _| status(404));
    let gone = format!("http://127.0.0.1:{}", testkit::free_port().unwrap());
    let url = hook.url();
    let model = model().display().to_string();
    let always = ["check", "--online", "--input", "stdin", "--model-path", &model];
    let mut good = scorer(&always);
    good.args(["--alert-webhook-url", &url]).assert().success().stdout(contains("sink webhook"));
    assert!(hook.posts().iter().all(|post| post.body.is_null()));
    let mut bad = scorer(&always);
    bad.args(["--alert-webhook-url", &url, "--slack-webhook-url", &format!("{gone}/topsecret")]);
    bad.args(["--alertmanager-url", &url])
        .assert()
        .code(2)
        .stdout(contains("FAILED").and(contains("sink slack")).and(contains("topsecret").not()))
        .stdout(contains("sink alertmanager").and(contains("HTTP 404")));
}
