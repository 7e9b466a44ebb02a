use engine::event::{EventTime, Level, LogEvent};
use engine::model::{Judged, Score};
use serde_json::json;
use store::{LogRow, Rows};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::super::http::open;
use super::alerts::store;
use super::*;
use crate::board::Tally;

fn log(number: u32) -> LogRow {
    LogRow {
        id: format!("{number:032x}"),
        time: EventTime::from_millis(1_767_323_045_000 + i64::from(number) * 1_000),
        service: ["billing", "orders"][number as usize % 2].to_owned(),
        level: Some(if number.is_multiple_of(3) { Level::Error } else { Level::Info }),
        message: format!("<img src=x onerror=alert({number})>\u{1b}[31m\u{202e}\0"),
        score: f64::from(number) / 20.0,
        family: "file".to_owned(),
        source: format!("a.log:{number}"),
    }
}

fn scores(answer: &Value) -> Vec<f64> {
    answer["logs"].as_array().unwrap().iter().map(|line| line["score"].as_f64().unwrap() * 20.0).collect()
}

#[tokio::test]
async fn kept_lines_are_searched_page_by_page() {
    let (_folder, path, mut store) = store();
    store.write(&Rows { logs: (0..20).map(log).collect(), ..Rows::default() }).unwrap();
    let running = Running::start(&[("STORE_PATH", &path), ("ANOMALY_SCORE_THRESHOLD", "0.5")]).await;
    let (status, all) = ask(&running, "/api/v1/logs").await;
    assert_eq!((status, scores(&all).len(), &all["next"]), (200, 20, &Value::Null));
    assert_eq!(
        (&all["kept"], &all["cut_short"], &all["most_looked_at"]),
        (&json!("context"), &json!(false), &json!(20_000))
    );
    let newest = &all["logs"][0];
    assert_eq!(newest["message"], "<img src=x onerror=alert(19)>\u{1b}[31m\u{202e}\u{2400}");
    assert_eq!(
        (&newest["service"], &newest["level"], &newest["anomaly"], &newest["source"], &newest["time"]),
        (&json!("orders"), &json!("INFO"), &json!(true), &json!("a.log:19"), &json!("2026-01-02T03:04:24Z"))
    );
    assert_eq!(all["logs"][19]["anomaly"], false);
    for (question, expected) in [
        ("service=billing&level=error", vec![18.0, 12.0, 6.0, 0.0]),
        ("min_score=0.9", vec![19.0, 18.0]),
        ("text=ALERT(7)", vec![7.0]),
        ("from=2026-01-02T03:04:07Z&until=2026-01-02T03:04:09Z", vec![3.0, 2.0]),
        ("service=%27%20OR%201=1%20--", vec![]),
    ] {
        let (status, answer) = ask(&running, &format!("/api/v1/logs?{question}")).await;
        assert_eq!((status, scores(&answer)), (200, expected), "{question}");
    }
    let (mut next, mut seen) = (String::new(), Vec::new());
    loop {
        let (_, answer) = ask(&running, &format!("/api/v1/logs?limit=7&after={next}")).await;
        seen.extend(scores(&answer));
        let Some(after) = answer["next"].as_str() else { break };
        after.clone_into(&mut next);
    }
    assert_eq!(seen, (0..20).rev().map(f64::from).collect::<Vec<_>>());
    running.stop().await;
}

#[tokio::test]
async fn without_a_store_no_lines_are_kept_and_the_answer_says_so() {
    let running = Running::start(&[]).await;
    let (status, answer) = ask(&running, "/api/v1/logs?text=x").await;
    assert_eq!((status, &answer["kept"], &answer["logs"]), (200, &json!("none"), &json!([])));
    running.stop().await;
}

fn score_lines(tally: &mut Tally, services: &[&str]) {
    tally.begin("digest");
    for (number, service) in services.iter().enumerate() {
        let message = format!("line {number} </script>\n\ndata: x");
        let event = LogEvent { service: (*service).to_owned(), message, ..LogEvent::default() };
        let score = Score { score: 0.75, ..Score::default() };
        tally.line(&event, &Judged { score, ..Judged::default() }, true);
    }
    tally.flush();
}

async fn next_event(lines: &mut tokio::io::Lines<BufReader<TcpStream>>) -> (String, String) {
    let mut name = String::new();
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut name);
        }
        if let Some(data) = line.strip_prefix("data: ") {
            return (name, data.to_owned());
        }
    }
}

#[tokio::test]
async fn the_tail_shows_what_comes_and_counts_what_is_too_much() {
    let running = Running::start(&[]).await;
    let mut tally = Tally::new(running.app.board.clone());
    score_lines(&mut tally, &["before"]);
    let stream = open(&running, "/api/v1/logs/stream?service=billing&min_score=0.5", "").await;
    let mut lines = BufReader::new(stream).lines();
    // The header says that the viewer is there.
    while !lines.next_line().await.unwrap().unwrap().is_empty() {}
    score_lines(&mut tally, &["orders", "billing", "orders"]);
    let (name, data) = next_event(&mut lines).await;
    let data: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(name, "lines");
    assert_eq!(
        data,
        json!({"lines": [{"time": "1970-01-01T00:00:00Z", "service": "billing", "level": null,
            "message": "line 1 </script>\n\ndata: x", "score": 0.75, "anomaly": true}], "skipped": 0})
    );
    // A second's worth of 5,000 lines a second, in one batch.
    score_lines(&mut tally, &["billing"; 5_000]);
    let (_, data) = next_event(&mut lines).await;
    let data: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((data["lines"].as_array().unwrap().len(), &data["skipped"]), (40, &json!(4_960)));
    running.app.stop.cancel();
    assert_eq!(next_event(&mut lines).await.0, "end");
    running.stop().await;
}

#[tokio::test]
async fn too_many_viewers_are_refused() {
    let running = Running::start(&[]).await;
    let mut open_ones = Vec::new();
    for _ in 0..8 {
        let mut lines = BufReader::new(open(&running, "/api/v1/logs/stream", "").await).lines();
        while !lines.next_line().await.unwrap().unwrap().is_empty() {}
        open_ones.push(lines);
    }
    let answer = ask(&running, "/api/v1/logs/stream").await;
    assert!(error(&answer, 503).contains("too many event streams"), "{answer:?}");
    drop(open_ones);
    running.stop().await;
}
