use std::sync::Arc;

use engine::id::{Coordinates, FindingId};
use engine::model::{Reason, ReasonKind};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::Running;
use crate::anomaly::{AnomalyRecord, ODD_LINE, SCHEMA, SourceField};

pub(super) async fn open(running: &Running, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", running.http) };
    let request = format!("GET {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Status and everything after it.
pub(super) async fn get(running: &Running, path: &str, headers: &str) -> (u16, String) {
    let mut answer = String::new();
    open(running, path, headers).await.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

pub(super) fn json(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn record(n: u32) -> Arc<AnomalyRecord> {
    let coordinates = Coordinates::Stdin { line: n.into() };
    let id = FindingId::of_record(ODD_LINE, coordinates, engine::event::EventTime::default(), 0, b"x");
    Arc::new(AnomalyRecord {
        schema: SCHEMA,
        id,
        detector: ODD_LINE,
        service: "billing".to_owned(),
        level: Some("ERROR"),
        severity: "info",
        timestamp: "2026-01-02T03:04:05Z".to_owned(),
        score: 0.9,
        percentile: 99.9,
        forest: 0.7,
        surprisal: 9.0,
        threshold: 0.5,
        message: format!("<script>alert({n})</script>\nvault sealed"),
        message_cut: false,
        reasons: vec![Reason {
            kind: ReasonKind::RareWord,
            word: "vault".to_owned(),
            contribution: 5.0,
            seen: 0,
        }],
        pattern: "vault sealed".to_owned(),
        pattern_seen: 0,
        nearest_pattern: None,
        source: SourceField::Pushed,
        model: "abc".to_owned(),
    })
}

#[tokio::test]
async fn readiness_names_each_part_that_is_in_the_way() {
    let running = Running::start_without_model(&[]).await;
    let (status, body) = get(&running, "/readyz", "").await;
    assert_eq!(status, 503);
    assert!(body.contains("model: none is loaded"), "{body}");
    running.stop().await;

    let running = Running::start(&[]).await;
    assert_eq!(get(&running, "/readyz", "").await.0, 200);
    running.app.health.not_ready("kafka", "no broker answers at localhost:9092");
    let (status, body) = get(&running, "/readyz", "").await;
    assert_eq!(status, 503);
    assert!(body.contains("kafka: no broker answers at localhost:9092"), "{body}");
    assert_eq!(get(&running, "/healthz", "").await.0, 200);
    running.app.health.not_live("kafka", "the position stands still");
    assert_eq!(get(&running, "/healthz", "").await.0, 503);
    running.stop().await;
}

#[tokio::test]
async fn metrics_are_openmetrics_under_the_programs_name() {
    let running = Running::start(&[]).await;
    running.app.metrics.lines_scored.inc_by(7);
    let (status, body) = get(&running, "/metrics", "Host: prometheus.example\r\n").await;
    assert_eq!(status, 200);
    assert!(body.contains("\nisolog_lines_scored_total 7\n"), "{body}");
    assert!(body.ends_with("# EOF\n"));
    running.stop().await;
}

#[tokio::test]
async fn the_page_and_its_files_forbid_everything_from_elsewhere() {
    let running = Running::start(&[]).await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/app.js", "text/javascript"),
        ("/base.css", "text/css"),
        ("/vendor/uplot.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let (status, answer) = get(&running, path, "").await;
        assert_eq!(status, 200, "{path}");
        assert!(answer.contains(&format!("content-type: {kind}")), "{path}");
        assert!(answer.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{path}");
        assert!(answer.contains("cross-origin-resource-policy: same-origin"), "{path}");
    }
    // A link of another site leads to the page; its images, scripts and fetches lead to no data.
    let cross = "Sec-Fetch-Site: cross-site\r\n";
    assert_eq!(get(&running, "/", cross).await.0, 200);
    for path in ["/api/v1/status", "/api/v1/session", "/summary.json", "/api/v1/alerts/stream"] {
        let (status, answer) = get(&running, path, cross).await;
        assert_eq!(status, 403, "{path}");
        assert!(json(&answer)["error"].as_str().unwrap().contains("another origin"), "{answer}");
    }
    running.stop().await;
}

#[tokio::test]
async fn the_status_counts_lines_and_names_the_model() {
    let running = Running::start(&[("INPUT", "otlp")]).await;
    running.app.metrics.lines_scored.inc_by(9);
    let (_, answer) = get(&running, "/api/v1/status", "").await;
    let status = json(&answer);
    assert_eq!(status["ready"], true);
    assert_eq!(status["inputs"][0], "otlp");
    assert_eq!(status["counts"]["lines_scored"], 9);
    assert_eq!(status["model"]["digest"], running.app.model.get().unwrap().model.digest());
    running.stop().await;
}

#[tokio::test]
async fn recent_anomalies_come_newest_first_up_to_the_limit() {
    let running = Running::start(&[]).await;
    (0..5).for_each(|n| running.app.feed.publish(record(n)));
    let (_, answer) = get(&running, "/api/v1/anomalies?limit=2", "").await;
    let records = json(&answer);
    let ids: Vec<_> = records["anomalies"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
    assert_eq!(ids, [record(4).id.to_string(), record(3).id.to_string()]);
    for bad in ["0", "501", "x", "-1"] {
        let (status, answer) = get(&running, &format!("/api/v1/anomalies?limit={bad}"), "").await;
        assert_eq!(status, 400);
        assert!(answer.contains("from 1 to 500"), "{answer}");
    }
    running.stop().await;
}

#[tokio::test]
async fn anomalies_are_streamed_as_they_happen_until_the_stop() {
    let running = Running::start(&[]).await;
    let mut lines = BufReader::new(open(&running, "/api/v1/anomalies/stream", "").await).lines();
    // The header says that the subscription stands.
    while !lines.next_line().await.unwrap().unwrap().is_empty() {}
    running.app.feed.publish(record(1));
    let mut event = Vec::new();
    while event.len() < 3 {
        let line = lines.next_line().await.unwrap().unwrap();
        if line.contains(": ") || line.starts_with("data:") {
            event.push(line);
        }
    }
    let event = event.join("\n");
    assert!(event.contains("event: anomaly"), "{event}");
    assert!(event.contains(&record(1).id.to_string()), "{event}");
    assert!(event.contains(r"</script>\nvault sealed"), "one line of JSON: {event}");

    running.stop().await;
    let mut rest = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        rest.push_str(&line);
    }
    assert!(rest.contains("event: end"), "{rest}");
}

#[tokio::test]
async fn a_slow_reader_is_told_how_many_it_missed() {
    let running = Running::start(&[]).await;
    let mut lines = BufReader::new(open(&running, "/api/v1/anomalies/stream", "").await).lines();
    while !lines.next_line().await.unwrap().unwrap().is_empty() {}
    // More than the feed holds, before the stream gets its turn.
    (0..1_100).for_each(|n| running.app.feed.publish(record(n)));
    while lines.next_line().await.unwrap().unwrap() != "event: missed" {}
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "data: 76");
    running.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_cannot_read_the_data() {
    let running = Running::start(&[]).await;
    for path in ["/", "/api/v1/status", "/api/v1/anomalies", "/api/v1/anomalies/stream"] {
        let (status, answer) = get(&running, path, "Host: evil.example\r\n").await;
        assert_eq!(status, 403, "{path}");
        assert!(answer.contains("HTTP_TOKEN"), "{answer}");
        let origin = "Origin: http://evil.example\r\n";
        assert_eq!(get(&running, path, origin).await.0, 403, "{path}");
    }
    let own = format!("Host: localhost:{0}\r\nOrigin: http://localhost:{0}\r\n", running.http.port());
    assert_eq!(get(&running, "/api/v1/status", &own).await.0, 200);
    running.stop().await;
}

#[tokio::test]
async fn with_a_token_data_needs_it_and_the_page_does_not() {
    let running = Running::start(&[("HTTP_TOKEN", "correct-horse")]).await;
    assert_eq!(get(&running, "/", "Host: logs.example\r\n").await.0, 200);
    let (status, answer) = get(&running, "/api/v1/status", "").await;
    assert_eq!(status, 401);
    assert!(answer.contains("HTTP_TOKEN") && !answer.contains("correct-horse"), "{answer}");
    let with = "Host: logs.example\r\nAuthorization: Bearer correct-horse\r\n";
    assert_eq!(get(&running, "/api/v1/status", with).await.0, 200);
    assert_eq!(get(&running, "/readyz", "").await.0, 200);
    running.stop().await;
}

#[tokio::test]
async fn an_unknown_path_is_named_with_the_known_ones() {
    let running = Running::start(&[]).await;
    let (status, answer) = get(&running, "/nothing", "").await;
    assert_eq!(status, 404);
    assert!(answer.contains("/nothing is not here") && answer.contains("/metrics"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn the_web_summary_is_answered_without_a_setting() {
    let running = Running::start(&[]).await;
    let event = engine::event::LogEvent {
        timestamp: engine::event::EventTime::from_millis(1_700_000_000_000),
        attributes: [("ip", "10.0.0.1"), ("method", "GET"), ("url", "/x"), ("status", "503")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        ..engine::event::LogEvent::default()
    };
    running.app.summary.add(&event);
    let expected = r#"{"top_ips":[{"ip":"10.0.0.1","count":1}],"top_urls":[{"url":"/x","count":1}],"errors":[{"status":503,"ip":"10.0.0.1","url":"/x"}]}"#;
    let (status, answer) = get(&running, "/summary.json", "").await;
    assert_eq!((status, answer.split_once("\r\n\r\n").unwrap().1), (200, expected));
    running.stop().await;
}
