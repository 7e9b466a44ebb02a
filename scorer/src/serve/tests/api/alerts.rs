use std::sync::Arc;

use engine::alert::{News, Watch, WatchSettings};
use engine::detect::{Origin, Seen, Source, Text, Tick};
use engine::event::{EventTime, Level, LogEvent};
use engine::id::FindingId;
use rstest::rstest;
use serde_json::json;
use store::{AlertRow, Rows, Store, StoreSettings};

use super::overview::alert;
use super::*;
use crate::board::Tally;
use crate::deliver::{SinkResult, Verdict};

/// The row of a record.
pub(super) fn row(record: &notify::AlertRecord) -> AlertRow {
    let time = |text: &str| EventTime::from_micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond());
    AlertRow {
        id: record.id.clone(),
        revision: record.revision.into(),
        cause: record.cause.as_str().to_owned(),
        status: record.status.as_str().to_owned(),
        severity: record.severity.as_str().to_owned(),
        service: record.service.clone(),
        detector: record.detector.clone(),
        message: record.message.clone(),
        first_seen: time(&record.first_seen),
        last_seen: time(&record.last_seen),
        resolved_at: None,
        count: 1,
        score: record.score,
        record: serde_json::to_string(record).unwrap(),
    }
}

/// An embedded store in a folder of its own, and its path.
pub(super) fn store() -> (tempfile::TempDir, String, Box<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("isolog.db");
    let store = store::open(&StoreSettings::Embedded { path: path.clone() }).unwrap();
    (folder, path.display().to_string(), store)
}

#[rstest]
#[tokio::test]
async fn an_alert_that_fires_counts_on_between_its_records(#[values(false, true)] with_store: bool) {
    let (_folder, path, mut store) = store();
    let path = if with_store { path.as_str() } else { "" };
    let running = Running::start(&[("STORE_PATH", path)]).await;
    let mut watch = Watch::new(&WatchSettings::default());
    let (mut news, start) = (News::default(), 1_800_000_000);
    let mut burst = |news: &mut News, at: i64| {
        for number in 0..12 {
            let event = LogEvent {
                timestamp: EventTime::from_micros(at * 1_000_000 + number),
                service: "billing".to_owned(),
                level: Some(Level::Error),
                message: "Payment gateway refused the call".to_owned(),
                ..LogEvent::default()
            };
            let origin = Line(at.unsigned_abs() * 100 + number.unsigned_abs());
            let seen = Seen {
                event: &event,
                score: 0.4,
                percentile: 40.0,
                pattern: 7,
                known_pattern: true,
                origin: &origin,
            };
            watch.line(&seen, &mut |_| {}, news);
        }
        for second in at..at + 90 {
            let now = EventTime::from_micros(second * 1_000_000);
            watch.tick(Tick { now, caught_up: true }, news);
        }
        let mut tally = Tally::new(running.app.board.clone());
        tally.watched(&watch);
        tally.flush();
    };
    burst(&mut news, start);
    let opened = news.changes.first().expect("a burst opens an alert").clone();
    let record = Arc::new(crate::alert::record_of(opened, "digest", None));
    running.app.board.alert(Arc::clone(&record));
    if with_store {
        store.write(&Rows { alerts: vec![row(&record)], ..Rows::default() }).unwrap();
    }
    news.changes.clear();
    burst(&mut news, start + 90);
    assert!(news.changes.is_empty(), "no record is due: {:?}", news.changes);
    let (_, list) = ask(&running, "/api/v1/alerts").await;
    let (_, detail) = ask(&running, &format!("/api/v1/alerts/{}", record.id)).await;
    assert_eq!(list["alerts"].as_array().unwrap().len(), 1);
    for alert in [&list["alerts"][0], &detail["alert"]] {
        assert!(alert["count"].as_u64().unwrap() > record.count, "{alert}");
        assert!(alert["last_seen"].as_str().unwrap() > record.last_seen.as_str(), "{alert}");
        assert_eq!(
            alert["count"],
            alert["parts"].as_array().unwrap().iter().map(|it| it["count"].as_u64().unwrap()).sum::<u64>()
        );
    }
    assert_eq!(detail["history"][0]["count"], record.count, "a record stays as it was written");
    running.stop().await;
}

/// Where a line of a test came from.
struct Line(u64);

impl Origin for Line {
    fn finding_id(&self, detector: &str) -> FindingId {
        FindingId::of_record(detector, self.source().coordinates(), EventTime::default(), 0, b"x")
    }

    fn source(&self) -> Source {
        Source::File { identity: Text::from("1:2"), path: Text::from("a.log"), offset: self.0 }
    }
}

fn messages(answer: &Value) -> Vec<&str> {
    answer["alerts"].as_array().unwrap().iter().map(|alert| alert["message"].as_str().unwrap()).collect()
}

#[rstest]
#[tokio::test]
async fn alerts_are_listed_once_as_their_newest_records(#[values(false, true)] with_store: bool) {
    let (_folder, path, mut store) = store();
    let path = if with_store { path.as_str() } else { "" };
    let running = Running::start(&[("STORE_PATH", path)]).await;
    let records = [
        alert(1, 1, "warning", "firing"),
        alert(2, 1, "critical", "firing"),
        alert(2, 2, "critical", "resolved"),
        alert(3, 1, "error", "firing"),
    ];
    if with_store {
        // The newest is not in the store yet.
        let alerts = records.iter().take(3).map(|record| row(record)).collect();
        store.write(&Rows { alerts, ..Rows::default() }).unwrap();
        running.app.board.alert(records[3].clone());
    } else {
        records.iter().for_each(|record| running.app.board.alert(record.clone()));
    }
    let (status, all) = ask(&running, "/api/v1/alerts").await;
    assert_eq!((status, messages(&all)), (200, vec!["alert 3", "alert 2", "alert 1"]));
    assert_eq!((&all["alerts"][1]["revision"], &all["next"]), (&json!(2), &Value::Null));
    for (question, expected) in [
        ("status=firing", vec!["alert 3", "alert 1"]),
        ("status=resolved", vec!["alert 2"]),
        ("status=muted", vec![]),
        ("severity=critical", vec!["alert 2"]),
        ("service=billing&text=ALERT%203", vec!["alert 3"]),
        ("text=Burst", vec!["alert 3", "alert 2", "alert 1"]),
        ("text=BILLing", vec!["alert 3", "alert 2", "alert 1"]),
        ("text=orders", vec![]),
        ("service=%3Cscript%3E", vec![]),
    ] {
        let (status, answer) = ask(&running, &format!("/api/v1/alerts?{question}")).await;
        assert_eq!((status, messages(&answer)), (200, expected), "{question}");
    }
    let (_, first) = ask(&running, "/api/v1/alerts?limit=2").await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = ask(&running, &format!("/api/v1/alerts?limit=2&after={next}")).await;
    assert_eq!((messages(&first).len(), messages(&second)), (2, vec!["alert 1"]));
    assert_eq!(second["next"], Value::Null);
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_name() {
    let (_folder, path, _store) = store();
    let running = Running::start(&[("STORE_PATH", &path)]).await;
    let long = "x".repeat(600);
    for (question, said) in [
        ("alerts?status=open", "status = \"open\" is not allowed: one of firing, resolved, muted"),
        ("alerts?severity=%27--", "one of info, warning, error, critical"),
        ("alerts?after=%00", "what `next` of the page before said"),
        ("alerts?limit=501", "from 1 to 500"),
        ("alerts?limit=1&limit=2", "duplicate field `limit`"),
        ("alerts?order=id", "unknown field `order`"),
        (&format!("alerts?text={long}"), "at most 256 bytes"),
        (&format!("logs?service={long}"), "at most 512 bytes"),
        ("logs?level=LOUD", "one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL"),
        ("logs?from=yesterday", "from = \"yesterday\" is not allowed: a time as in RFC 3339"),
        ("logs?min_score=NaN", "min_score = \"NaN\" is not allowed: a number in [0, 1]"),
        ("logs/stream?min_score=2", "a number in [0, 1]"),
        ("logs/stream?limit=2", "unknown field `limit`"),
        ("anomalies?severity=loud", "one of info, warning, error, critical"),
    ] {
        let answer = ask(&running, &format!("/api/v1/{question}")).await;
        let said_so = error(&answer, 400);
        assert!(said_so.to_lowercase().contains(&said.to_lowercase()), "{question}: {said_so}");
    }
    for id in ["0", "zz", "..%2f..", "%3Cb%3E"] {
        let answer = ask(&running, &format!("/api/v1/alerts/{id}")).await;
        assert!(error(&answer, 404).contains("there is no alert"), "{answer:?}");
    }
    running.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_alert_is_told_with_history_deliveries_and_why_its_lines_are_odd(
    #[values(false, true)] with_store: bool,
) {
    let (_folder, path, mut store) = store();
    let path = if with_store { path.as_str() } else { "" };
    let running = Running::start(&[("STORE_PATH", path)]).await;
    let mut first = (*alert(7, 1, "error", "firing")).clone();
    first.evidence.push(notify::EvidenceField {
        timestamp: "2026-01-02T03:04:05Z".to_owned(),
        level: Some("ERROR".to_owned()),
        message: "vault <b>sealed</b> by the intruder".to_owned(),
        score: 0.97,
        percentile: 99.9,
        source: json!({"kind": "pushed"}),
    });
    let second = notify::AlertRecord { revision: 2, ..first.clone() };
    if with_store {
        let alerts = vec![row(&first), row(&second)];
        store.write(&Rows { alerts, ..Rows::default() }).unwrap();
    } else {
        [&first, &second].into_iter().for_each(|record| running.app.board.alert(record.clone().into()));
    }
    running.app.board.outcome(SinkResult {
        schema: 1,
        sink: "slack".to_owned(),
        alert_id: first.id.clone(),
        revision: 1,
        service: "billing".to_owned(),
        result: Verdict::Refused,
        attempt: 1,
        detail: Some("HTTP 404: no such channel".to_owned()),
        duration_ms: 12,
        at: jiff::Timestamp::UNIX_EPOCH,
    });
    let (status, answer) = ask(&running, &format!("/api/v1/alerts/{}", first.id)).await;
    assert_eq!(status, 200);
    assert_eq!(answer["alert"], serde_json::to_value(&second).unwrap());
    let revisions: Vec<&Value> =
        answer["history"].as_array().unwrap().iter().map(|it| &it["revision"]).collect();
    assert_eq!(revisions, [1, 2]);
    assert_eq!(
        answer["deliveries"],
        json!([
            {"sink": "slack", "revision": 1, "outcome": "refused", "time": "1970-01-01T00:00:00Z",
             "detail": "HTTP 404: no such channel"},
            {"sink": "slack", "revision": 2, "outcome": "waiting", "time": null, "detail": null},
        ])
    );
    let line = &answer["evidence"][0];
    assert_eq!(line["message"], "vault <b>sealed</b> by the intruder");
    let reasons = line["reasons"].as_array().unwrap();
    let vault = reasons.iter().find(|reason| reason["word"] == "vault").unwrap();
    assert_eq!((&vault["kind"], &vault["seen"]), (&json!("rare_word"), &json!(0)));
    assert!(
        line["pattern_seen"] == 0 && line["nearest_pattern"].is_string() | line["nearest_pattern"].is_null()
    );
    assert_eq!(answer["explained_by"], running.app.model.get().unwrap().model.digest());
    running.stop().await;
}
