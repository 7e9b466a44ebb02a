//! The page with the engine inside: the same answers as the engine compiled for this machine, and what a person sees.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;

use playground::Flow;
use serde_json::{Value, json};
use testkit::browser::Browser;

/// 2026-01-06, half past nine.
const START: i64 = 1_767_691_800_000;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a script against the page as it is opened from disk.
fn play(script: &str, arguments: &[&str]) -> String {
    let script = folder().join("tests/it").join(script);
    // The committed page, or one that was just made.
    let page = std::env::var_os("PLAYGROUND_PAGE").map_or_else(|| folder().join("index.html"), PathBuf::from);
    let page = format!("file://{}", std::fs::canonicalize(page).unwrap().display());
    let all = [&[page.as_str()], arguments].concat();
    Browser::find().unwrap().run(&script, &all).unwrap_or_else(|error| panic!("{error:#}"))
}

fn ask(flow: &mut Option<Flow>, question: &Value) -> Value {
    serde_json::from_slice(&Flow::ask(flow, question.to_string().as_bytes())).unwrap()
}

/// A minute of the simulated stream with six ERROR lines in it, a line of somebody's own, and what is no line.
fn questions() -> Vec<Value> {
    let mut all = vec![
        json!({"ask": "start", "now": START, "seed": 5}),
        json!({"ask": "simulate", "rate": 12.0, "error_rate": 0.05, "anomaly_ratio": 0.02}),
    ];
    for second in 1..60 {
        let now = START + second * 1_000;
        all.push(json!({"ask": "advance", "now": now}));
        match second {
            20 => all.push(json!({"ask": "burst", "now": now})),
            30 => all.push(
                json!({"ask": "write", "now": now, "lines": ["ERROR disk /dev/sdb1 is full", "{\"a\": "]}),
            ),
            _ => {}
        }
    }
    all
}

/// Two answers are equal, numbers to nine digits: the mathematics of a browser may differ in the last bit.
fn alike(here: &Value, there: &Value) -> bool {
    match (here, there) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-9 * a.abs().max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| alike(a, b)))
        }
        _ => here == there,
    }
}

#[test]
fn the_model_inside_is_what_training_makes() {
    assert!(
        playground::train().unwrap() == playground::MODEL,
        "model.isolog is stale: run `cargo xtask playground`"
    );
}

#[test]
fn the_page_answers_as_the_engine_does() {
    let questions = questions();
    let mut flow = None;
    let here: Vec<Value> = questions.iter().map(|question| ask(&mut flow, question)).collect();
    let there = play("answers.js", &[&Value::Array(questions.clone()).to_string()]);
    let there: Vec<Value> = serde_json::from_str(&there).unwrap();
    assert_eq!(here.len(), there.len());
    for ((here, there), question) in here.iter().zip(&there).zip(&questions) {
        let stale = "playground/index.html is stale: run `cargo xtask playground`";
        assert!(alike(here, there), "{stale}; to {question} it answers\n{there}\nand not\n{here}");
    }
}

#[test]
fn six_errors_are_one_alert_and_one_delivery() {
    let mut flow = None;
    let told: Vec<Value> = questions()
        .iter()
        .flat_map(|question| ask(&mut flow, question)["alerts"].as_array().unwrap().clone())
        .collect();
    let of_billing: Vec<&Value> = told
        .iter()
        .filter(|told| told["service"] == "billing_api" && told["notify"] == json!(["webhook"]))
        .collect();
    assert_eq!(of_billing.len(), 1, "{told:#?}");
    assert_eq!(of_billing[0]["detector"], "error_burst");
    let evidence = of_billing[0]["evidence"].as_array().unwrap();
    assert!(
        evidence.iter().any(|line| line["message"].as_str().unwrap().contains("gateway refused")),
        "{evidence:?}"
    );
}

#[test]
fn lines_come_in_order_whatever_the_clock_does() {
    let mut flow = None;
    ask(&mut flow, &json!({"ask": "start", "now": START, "seed": 9}));
    let mut next = 0;
    // An hour at once is more than one answer takes; the clock then goes back, and on.
    for now in [3_600_000, 3_600_000, 10, 3_600_001, 7_200_000] {
        let answer = ask(&mut flow, &json!({"ask": "advance", "now": START + now}));
        for line in answer["lines"].as_array().unwrap() {
            assert_eq!(line["offset"], next);
            next += 1;
        }
    }
    assert!(next > 2_000, "{next}");
}

#[test]
fn what_is_no_question_is_refused_in_words() {
    let mut flow = None;
    let early = ask(&mut flow, &json!({"ask": "advance", "now": START}));
    assert!(early["error"].as_str().unwrap().contains("start"), "{early}");
    ask(&mut flow, &json!({"ask": "start", "now": START, "seed": 1}));
    for question in [
        json!({"ask": "nothing"}),
        json!({"ask": "advance"}),
        json!([]),
        json!({"ask": "simulate", "rate": -1.0, "error_rate": 0.0, "anomaly_ratio": 7.0}),
    ] {
        let answer = ask(&mut flow, &question);
        assert!(answer["error"].is_string(), "{question}: {answer}");
    }
    let times = [i64::MIN, i64::MAX, 0];
    assert!(
        times.iter().all(
            |now| ask(&mut flow, &json!({"ask": "write", "now": now, "lines": ["x"]}))["error"].is_null()
        )
    );
}

#[test]
fn opened_from_disk_without_a_network_its_button_makes_one_alert_and_one_delivery() {
    play("burst.js", &[]);
}
