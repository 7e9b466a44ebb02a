use std::sync::Arc;
use std::time::Duration;

use engine::detect::Severity;
use engine::event::{EventTime, LogEvent};
use engine::model::Judged;
use serde_json::json;

use super::*;
use crate::board::{Board, Tally};

/// A record of an alert of this severity.
pub(super) fn alert(number: u32, revision: u32, severity: &str, status: &str) -> Arc<notify::AlertRecord> {
    let time = format!("2026-01-02T03:{:02}:{:02}.000000Z", number / 60, number % 60);
    Arc::new(
        serde_json::from_value(json!({
            "schema": 1, "id": format!("{number:032x}"), "revision": revision, "cause": "opened",
            "status": status, "severity": severity, "service": "billing", "detector": "error_burst",
            "message": format!("alert {number}"), "first_seen": time, "last_seen": time, "resolved_at": null,
            "count": 1, "score": 0.5, "reasons": [], "parts": [], "evidence": [], "source": null,
            "model": "d", "link": null, "notify": ["slack"], "held_back": false,
        }))
        .unwrap(),
    )
}

pub(super) fn fill(board: &Board) {
    let mut tally = Tally::new(board.clone());
    tally.begin("digest");
    for service in ["billing"; 7].into_iter().chain(["<script>"]) {
        let event = LogEvent { service: service.to_owned(), ..LogEvent::default() };
        tally.line(&event, &Judged::default(), false);
    }
    tally.found("billing", Severity::Info);
    tally.found("billing", Severity::Critical);
    tally.flush();
}

#[tokio::test]
async fn the_overview_says_by_service_and_step_what_came_and_what_was_found() {
    let running = Running::start(&[]).await;
    fill(&running.app.board);
    let ago = |number: u32, minutes: i64, severity: &str, status: &str| {
        let mut record = Arc::unwrap_or_clone(alert(number, 1, severity, status));
        let seen = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
        record.last_seen = EventTime::from_micros(seen.as_microsecond()).to_string();
        Arc::new(record)
    };
    for record in [
        ago(1, 1, "warning", "firing"),
        ago(2, 2, "critical", "firing"),
        ago(3, 3, "error", "resolved"),
        ago(4, 70, "critical", "resolved"),
    ] {
        running.app.board.alert(record);
    }
    let (status, overview) = ask(&running, "/api/v1/overview").await;
    assert_eq!((status, &overview["step_seconds"]), (200, &json!(60)));
    let services = overview["services"].as_array().unwrap();
    let billing = &services[0];
    assert_eq!(
        (&billing["service"], &billing["lines"], &billing["anomalies"], &billing["worst"]),
        (&json!("billing"), &json!(7), &json!(2), &json!("critical"))
    );
    assert_eq!(services[1]["service"], "<script>");
    let cells = billing["cells"].as_array().unwrap();
    let steps = overview["over_time"].as_array().unwrap();
    assert_eq!((cells.len(), steps.len()), (60, 60));
    let lines = |of: &[Value]| of.iter().map(|one| one["lines"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((lines(cells), lines(steps)), (7, 8));
    assert_eq!(overview["severity"], json!({"info": 1, "warning": 0, "error": 0, "critical": 1}));
    assert_eq!(overview["top_services"], json!([{"service": "billing", "anomalies": 2}]));
    let critical: Vec<(&Value, &Value)> =
        overview["critical"].as_array().unwrap().iter().map(|it| (&it["message"], &it["status"])).collect();
    let told = [(&json!("alert 2"), &json!("firing")), (&json!("alert 3"), &json!("resolved"))];
    assert_eq!(critical, told, "not what was last seen before the hour");
    assert!(overview["from"].as_str() < overview["until"].as_str());
    running.stop().await;
}

#[tokio::test]
async fn lines_of_before_the_process_are_unknown_where_only_findings_are_read() {
    let (_folder, path, mut store) = alerts::store();
    let now = jiff::Timestamp::now().as_second();
    let row = store::AnomalyRow {
        id: format!("{:032x}", 1),
        time: EventTime::from_micros((now - 1_200) * 1_000_000),
        severity: "error".to_owned(),
        detector: "error_burst".to_owned(),
        service: "billing".to_owned(),
        details: "d".to_owned(),
        score: 0.5,
        record: "{}".to_owned(),
    };
    store.write(&store::Rows { anomalies: vec![row], ..store::Rows::default() }).unwrap();
    let running = Running::start(&[("STORE_PATH", &path)]).await;
    crate::board::prefill(&running.app.board, store.as_mut(), now).unwrap();
    fill(&running.app.board);
    let (_, overview) = ask(&running, "/api/v1/overview").await;
    for cells in [&overview["services"][0]["cells"], &overview["over_time"]] {
        let unknown: Vec<usize> = cells
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .filter(|(_, it)| it["lines"].is_null())
            .map(|(at, _)| at)
            .collect();
        assert_eq!(unknown.len(), 1, "{cells}");
        assert!((38..=40).contains(&unknown[0]), "{unknown:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn minutes_out_of_range_and_unknown_names_are_refused_by_name() {
    let running = Running::start(&[]).await;
    for minutes in ["0", "1441", "x", "-1", "1e3", "%00", ""] {
        let answer = ask(&running, &format!("/api/v1/overview?minutes={minutes}")).await;
        assert!(error(&answer, 400).contains("from 1 to 1440"), "{answer:?}");
    }
    let answer = ask(&running, "/api/v1/overview?minute=5").await;
    assert!(error(&answer, 400).contains("minute"), "{answer:?}");
    assert_eq!(ask(&running, "/api/v1/overview?minutes=1440").await.0, 200);
    running.stop().await;
}

#[tokio::test]
async fn the_status_holds_what_the_system_panel_shows() {
    let running = Running::start(&[]).await;
    running.app.board.batch_took(Duration::from_millis(250));
    running.app.board.alert(alert(1, 1, "error", "firing"));
    running.app.board.alert(alert(2, 1, "error", "resolved"));
    running.app.metrics.score_table_hits.inc_by(3);
    running.app.metrics.score_table_misses.inc();
    running.app.metrics.lag_lines.set(12);
    let (_, status) = ask(&running, "/api/v1/status").await;
    assert_eq!(status["batch_seconds"], json!({"p50": 0.25, "p99": 0.25}));
    assert_eq!(status["alerts_firing"], 1);
    assert_eq!(status["table_hit_rate"], 0.75);
    assert_eq!(status["lag_lines"], 12);
    assert_eq!(status["lines_per_second"], 0.0);
    assert_eq!((&status["simulator"], &status["store"]), (&json!(false), &json!(false)));
    assert_eq!(status["warming_up"], json!([]));
    assert!(status["model"]["age_seconds"].as_i64().unwrap() >= 0);
    assert_eq!(status["model"]["trained_at"], status["model"]["loaded_at"], "a model without a file");
    running.stop().await;
}
