//! Clients that are not ours: Python's gRPC with reflection and health, OpenTelemetry's exporter.

use engine::decode::{Decoder, RecordContext};
use engine::model::Scratch;
use serde_json::{Value, json};
use testkit::python::Venv;

use crate::rig::{Scorer, json_lines, model, odd_lines};

const ODD: &str = r#"{"timestamp":"2026-01-02T03:04:05Z","level":"ERROR","service":"billing","message":"vault sealed: quorum lost"}"#;

/// What the engine alone says of a line, as it reads back from JSON: serde_json's short way of reading a number with
/// many digits may be off by its last bit.
fn own_score(line: &str) -> f64 {
    let model = corpus::load_model(model()).unwrap();
    let mut events = Vec::new();
    Decoder::default().decode(line.as_bytes(), RecordContext::default(), &mut events).unwrap();
    let score = model.score(&events[0], &mut Scratch::default()).score;
    serde_json::from_str(&score.to_string()).unwrap()
}

#[test]
fn pythons_grpc_finds_the_service_by_reflection_and_scores_a_line() {
    let mut scorer = Scorer::start("grpc-client", &["--input", "otlp"]);
    scorer.wait_ready();
    let address = scorer.grpc.to_string();
    let script = include_str!("clients/grpc_client.py");
    let printed = Venv::find().unwrap().run_text(script, &[&address, ODD]).unwrap();
    let seen: Value = serde_json::from_str(&printed).unwrap();

    let services = seen["services"].as_array().unwrap();
    for service in ["isolog.v1.ScoringService", "grpc.health.v1.Health"] {
        assert!(services.contains(&json!(service)), "{services:?}");
    }
    let result = &seen["scored"]["result"];
    assert_eq!(result["score"].as_f64().unwrap(), own_score(ODD));
    assert_eq!(result["anomaly"], true);
    assert_eq!(result["event"]["service"], "billing");
    assert_eq!(result["event"]["level"], "LEVEL_ERROR");
    assert_eq!(result["event"]["message"], "vault sealed: quorum lost");
    assert_eq!(result["event"]["timestamp"], "2026-01-02T03:04:05Z");
    let words: Vec<&str> =
        result["reasons"].as_array().unwrap().iter().map(|it| it["word"].as_str().unwrap()).collect();
    assert!(words.iter().any(|word| word.contains("vault")), "{words:?}");
    assert_eq!(seen["batched"], json!(["scored", "rejection"]));
    let score = own_score(ODD);
    assert_eq!(seen["streamed"], json!([[1, score], [2, score], [3, score]]));
    assert_eq!(seen["rows"], 20_000);
    assert_eq!(seen["health"], json!(["SERVING", "SERVING"]));
}

#[test]
fn logs_of_opentelemetrys_exporter_are_scored_and_the_odd_one_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let anomalies = folder.path().join("anomalies.jsonl");
    let file = anomalies.to_str().unwrap();
    let mut scorer = Scorer::start("otlp-exporter", &["--input", "otlp", "--anomaly-file", file]);
    scorer.wait_ready();
    let address = scorer.grpc.to_string();
    let script = include_str!("clients/otlp_exporter.py");
    let bodies = ["vault sealed: quorum lost", "quorum lost: vault sealed", "sealed quorum"];
    let arguments: Vec<&str> = [address.as_str()].into_iter().chain(bodies).collect();
    let printed = Venv::find().unwrap().run_text(script, &arguments).unwrap();
    assert_eq!(printed.trim(), "3 SUCCESS");

    // The export was answered, so all that follows from it is on disk.
    let found = odd_lines(json_lines(&anomalies));
    let messages: Vec<&str> = found.iter().map(|it| it["message"].as_str().unwrap()).collect();
    assert_eq!(messages, bodies);
    for anomaly in &found {
        assert_eq!((&anomaly["service"], &anomaly["level"]), (&json!("checkout"), &json!("ERROR")));
        assert_eq!(anomaly["source"]["kind"], "pushed");
    }
}
