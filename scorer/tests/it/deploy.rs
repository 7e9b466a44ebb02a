//! What is deployed beside a scorer names only what the scorer has.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// What Prometheus adds to the name of a kind, and what the registry adds for a unit.
const ENDS: [&str; 6] = ["_bucket", "_sum", "_count", "_total", "_seconds", "_bytes"];
/// Where metrics are registered: a family that holds nothing yet is on no page.
const REGISTERED: [&str; 3] = [
    include_str!("../../src/metrics.rs"),
    include_str!("../../src/metrics/store.rs"),
    include_str!("../../src/deliver/metrics.rs"),
];

/// Every `isolog_…` in an expression.
fn metrics(expression: &str) -> Vec<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter_map(|word| word.strip_prefix("isolog_")).map(str::to_owned).collect()
}

fn is_registered(metric: &str) -> bool {
    let quoted = format!("\"{metric}\"");
    let shorter = ENDS.iter().filter_map(|end| metric.strip_suffix(end));
    REGISTERED.iter().any(|source| source.contains(&quoted)) || shorter.into_iter().any(is_registered)
}

#[test]
fn every_metric_of_the_dashboard_is_one_that_a_scorer_has() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/compose/grafana/isolog.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let wanted: BTreeSet<String> =
        targets.flat_map(|target| metrics(target["expr"].as_str().unwrap())).collect();
    assert!(wanted.len() > 10, "{wanted:?}");
    let unknown: Vec<&String> = wanted.iter().filter(|metric| !is_registered(metric)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(!is_registered("no_such_metric_total"));
}
