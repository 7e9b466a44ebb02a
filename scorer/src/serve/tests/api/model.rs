use engine::event::{EventTime, Level, LogEvent};
use engine::model::Scratch;
use rstest::rstest;
use serde_json::json;
use store::{AnomalyRow, Rows};

use super::alerts::store;
use super::*;
use crate::board::Tally;

/// Scores lines as the pipeline does: `usual` as in training, `odd` of a pattern that training never saw.
fn score(running: &Running, usual: u32, odd: u32) {
    let loaded = running.app.model.get().unwrap();
    let (mut tally, mut scratch) = (Tally::new(running.app.board.clone()), Scratch::default());
    tally.begin(loaded.model.digest());
    for number in 0..usual + odd {
        let is_usual = number < usual;
        let event = LogEvent {
            timestamp: EventTime::from_millis(1_767_323_045_000),
            service: "billing".to_owned(),
            level: Some(if is_usual { Level::Info } else { Level::Error }),
            message: if is_usual {
                format!("request {number} served in {} ms", 20 + number % 30)
            } else {
                "<i>vault</i> was opened by an intruder at midnight".to_owned()
            },
            ..LogEvent::default()
        };
        let judged = loaded.model.judge(&event, &mut scratch);
        let wanted = tally.line(&event, &judged, judged.score.score > loaded.threshold.score);
        if wanted.is_any() {
            tally.look(wanted, &event, &judged, &loaded.model, &mut scratch);
        }
    }
    tally.flush();
}

#[tokio::test]
async fn the_model_page_says_what_is_new_and_how_far_scores_moved() {
    let running = Running::start(&[]).await;
    let (_, before) = ask(&running, "/api/v1/model").await;
    assert_eq!(
        (&before["drift"]["psi"], &before["drift"]["lines"], &before["new_patterns"]),
        (&Value::Null, &json!(0), &json!([]))
    );
    // Each word stands in several lines.
    assert_eq!(before["unseen_word_share"], json!({"training": 0.0, "recent": null}));
    let parameters = &before["parameters"];
    for (name, value) in [("n_estimators", 20), ("max_samples", 64), ("n_features", 1 << 14)] {
        assert_eq!(parameters[name], value, "{parameters}");
    }
    assert_eq!(parameters["channels"], json!(["forest", "rarest_words", "word_rarity", "severity"]));
    assert_eq!(
        (&before["rows"], &before["inputs"], &before["report"]["rows_accepted"]),
        (&json!(400), &json!(["test.csv"]), &json!(400))
    );
    score(&running, 900, 0);
    let (_, usual) = ask(&running, "/api/v1/model").await;
    assert_eq!((&usual["drift"]["lines"], &usual["new_patterns"]), (&json!(900), &json!([])));
    assert_eq!(usual["unseen_word_share"]["recent"], 0.0);
    score(&running, 0, 2_000);
    let (_, moved) = ask(&running, "/api/v1/model").await;
    let psi = |answer: &Value| answer["drift"]["psi"].as_f64().unwrap();
    assert!(psi(&moved) > 0.25 && psi(&moved) > psi(&usual), "{} {}", psi(&usual), psi(&moved));
    let patterns = moved["new_patterns"].as_array().unwrap();
    assert_eq!((patterns.len(), &moved["new_patterns_beyond"]), (1, &json!(0)));
    assert_eq!(
        (&patterns[0]["count"], &patterns[0]["service"], &patterns[0]["first_seen"]),
        (&json!(2_000), &json!("billing"), &json!("2026-01-02T03:04:05Z"))
    );
    assert!(patterns[0]["pattern"].as_str().unwrap().contains("vault"), "{patterns:?}");
    assert!(moved["unseen_word_share"]["recent"].as_f64().unwrap() > 0.0);
    running.stop().await;
}

#[tokio::test]
async fn the_curve_falls_and_the_preview_holds_the_setting() {
    let running = Running::start(&[("ANOMALY_SCORE_THRESHOLD", "0.6")]).await;
    score(&running, 300, 3);
    let (status, answer) = ask(&running, "/api/v1/threshold").await;
    assert_eq!(
        (status, &answer["score"], &answer["source"]),
        (200, &json!(0.6), &json!("ANOMALY_SCORE_THRESHOLD"))
    );
    let curve = answer["curve"].as_array().unwrap();
    assert_eq!(curve.len(), 101);
    for name in ["share", "lines_per_day"] {
        let values: Vec<f64> = curve.iter().filter_map(|point| point[name].as_f64()).collect();
        assert!(values.is_sorted_by(|a, b| a >= b), "{name}: {values:?}");
    }
    let histogram = &answer["histogram"];
    let sum: u64 = histogram["recent"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(sum, 303);
    let (status, preview) = ask(&running, "/api/v1/threshold/preview?score=0.8731").await;
    assert_eq!((status, &preview["setting"]), (200, &json!("ANOMALY_SCORE_THRESHOLD=0.8731")));
    assert_eq!((&preview["stored_days"], &preview["would_have_fired"]), (&json!(0.0), &json!([])));
    for bad in ["", "?score=", "?score=1.1", "?score=NaN", "?score=0.5&score=0.6", "?threshold=0.5"] {
        let answer = ask(&running, &format!("/api/v1/threshold/preview{bad}")).await;
        assert!(error(&answer, 400).contains("score"), "{bad}: {answer:?}");
    }
    running.stop().await;
}

#[rstest]
#[case("0.6", 4)]
#[case("0.8", 2)]
#[case("0.99", 0)]
#[tokio::test]
async fn what_would_have_fired_is_what_was_found_above_the_score(#[case] score: &str, #[case] fired: usize) {
    let (_folder, path, mut store) = store();
    let now = jiff::Timestamp::now().as_microsecond();
    let hour = 3_600_000_000;
    let odd = |number: i64| AnomalyRow {
        id: format!("{number:032x}"),
        time: EventTime::from_micros(now - number * hour),
        severity: "warning".to_owned(),
        detector: "odd_line".to_owned(),
        service: "billing".to_owned(),
        details: format!("<b>{number}</b>"),
        score: [0.65, 0.75, 0.85, 0.95][number as usize - 1],
        record: "{}".to_owned(),
    };
    let burst = AnomalyRow { detector: "error_burst".to_owned(), score: 1.0, id: "b".to_owned(), ..odd(1) };
    store.write(&Rows { anomalies: (1..5).map(odd).chain([burst]).collect(), ..Rows::default() }).unwrap();
    let running = Running::start(&[("STORE_PATH", &path), ("ANOMALY_SCORE_THRESHOLD", "0.6")]).await;
    let (_, preview) = ask(&running, &format!("/api/v1/threshold/preview?score={score}")).await;
    let found = preview["would_have_fired"].as_array().unwrap();
    assert_eq!(found.len(), fired);
    assert!(found.iter().all(|line| line["score"].as_f64().unwrap() > score.parse().unwrap()), "{found:?}");
    let days = preview["stored_days"].as_f64().unwrap();
    assert!((days - 4.0 / 24.0).abs() < 0.01, "{days}");
    // Lines an hour apart are alerts of their own.
    let alerts = preview["alerts_per_day"].as_f64().unwrap();
    assert!((alerts * days - fired as f64).abs() < 1e-6, "{alerts}");
    running.stop().await;
}

/// An odd line of `seconds` ago.
fn odd(number: usize, seconds: i64, score: f64) -> AnomalyRow {
    let now = jiff::Timestamp::now().as_microsecond();
    AnomalyRow {
        id: format!("{number:032x}"),
        time: EventTime::from_micros(now - seconds * 1_000_000),
        severity: "warning".to_owned(),
        detector: "odd_line".to_owned(),
        service: "billing".to_owned(),
        details: "odd".to_owned(),
        score,
        record: "{}".to_owned(),
    }
}

#[tokio::test]
async fn there_are_never_more_alerts_a_day_than_odd_lines() {
    let (_folder, path, mut store) = store();
    // Each an alert of its own, 10 minutes apart, over four hours.
    let rows = (0..24).map(|number| odd(number, number as i64 * 600, 0.61 + number as f64 / 100.0));
    store.write(&Rows { anomalies: rows.collect(), ..Rows::default() }).unwrap();
    let running = Running::start(&[("STORE_PATH", &path), ("ANOMALY_SCORE_THRESHOLD", "0.6")]).await;
    let (_, answer) = ask(&running, "/api/v1/threshold").await;
    assert_eq!(answer["alerts_from"], "stored");
    let curve = answer["curve"].as_array().unwrap();
    for point in curve {
        let (lines, alerts) = (point["lines_per_day"].as_f64(), point["alerts_per_day"].as_f64());
        assert!(alerts.unwrap() <= lines.unwrap(), "{point}");
    }
    assert!(curve[70]["alerts_per_day"].as_f64().unwrap() > 50.0, "those that are stored: {}", curve[70]);
    running.stop().await;
}

#[tokio::test]
async fn a_few_stored_minutes_are_no_day_and_each_line_is_an_alert() {
    let (_folder, path, mut store) = store();
    let rows = (0..10).map(|number| odd(number, 600, 0.7)).collect();
    store.write(&Rows { anomalies: rows, ..Rows::default() }).unwrap();
    let running = Running::start(&[("STORE_PATH", &path), ("ANOMALY_SCORE_THRESHOLD", "0.6")]).await;
    let (_, answer) = ask(&running, "/api/v1/threshold").await;
    assert_eq!(answer["alerts_from"], "lines");
    for point in answer["curve"].as_array().unwrap() {
        assert_eq!(point["alerts_per_day"], point["lines_per_day"], "{point}");
    }
    // What is kept of three days ago makes it three days, be it no odd line.
    let old = AnomalyRow { detector: "quiet".to_owned(), ..odd(99, 3 * 86_400, 0.0) };
    store.write(&Rows { anomalies: vec![old], ..Rows::default() }).unwrap();
    let (_, preview) = ask(&running, "/api/v1/threshold/preview?score=0.65").await;
    assert_eq!(preview["alerts_from"], "stored");
    let (days, alerts) = (preview["stored_days"].as_f64(), preview["alerts_per_day"].as_f64());
    assert!((days.unwrap() - 3.0).abs() < 0.01, "{preview}");
    assert!((alerts.unwrap() - 1.0 / 3.0).abs() < 0.01, "{preview}");
    running.stop().await;
}

#[tokio::test]
async fn shares_are_those_of_late_once_there_are_enough_lines() {
    let running = Running::start(&[("ANOMALY_SCORE_THRESHOLD", "0.6")]).await;
    score(&running, 900, 0);
    let (_, few) = ask(&running, "/api/v1/threshold/preview?score=0.6").await;
    assert_eq!(few["share_from"], "training");
    score(&running, 900, 900);
    let (_, many) = ask(&running, "/api/v1/threshold/preview?score=0.6").await;
    assert_eq!(many["share_from"], "recent");
    assert!((many["share"].as_f64().unwrap() - 0.5).abs() < 0.05, "half of them are odd: {many}");
    let (_, all) = ask(&running, "/api/v1/threshold/preview?score=0").await;
    assert_eq!((&all["share"], many["share"] == few["share"]), (&json!(1.0), false));
    running.stop().await;
}

#[tokio::test]
async fn without_a_model_its_pages_say_what_is_waited_for() {
    let running = Running::start_without_model(&[]).await;
    for path in ["model", "threshold", "threshold/preview?score=0.5"] {
        let answer = ask(&running, &format!("/api/v1/{path}")).await;
        assert!(error(&answer, 503).contains("no model is loaded"), "{answer:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn web_accesses_are_summed_up_with_their_number() {
    let running = Running::start(&[]).await;
    for status in ["200", "503", "200"] {
        let event = LogEvent {
            timestamp: EventTime::from_micros(jiff::Timestamp::now().as_microsecond()),
            attributes: [("ip", "10.0.0.1"), ("method", "GET"), ("url", "/<x>"), ("status", status)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            ..LogEvent::default()
        };
        running.app.summary.add(&event);
    }
    let (_, web) = ask(&running, "/api/v1/web").await;
    assert_eq!((&web["accesses"], &web["window_seconds"]), (&json!(3), &json!(3_600)));
    assert_eq!(web["top_urls"], json!([{"url": "/<x>", "count": 3}]));
    running.stop().await;
}
