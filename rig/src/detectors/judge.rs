//! Which incidents were found, and which findings no incident explains.

use std::collections::{BTreeMap, BTreeSet};

use engine::detect::Anomaly;
use simulator::days::{Injection, KINDS};

use crate::table::figure;

const SECOND: i64 = 1_000_000;
/// Least recall and precision of every kind.
const RECALL: f64 = 0.95;
const PRECISION: f64 = 0.90;

/// One kind's line of the table.
#[derive(Debug, serde::Serialize)]
pub struct Row {
    kind: &'static str,
    injected: usize,
    found_little: f64,
    found_far: f64,
    recall: f64,
    matched: usize,
    beside: usize,
    unexplained: usize,
    precision: f64,
    reached: bool,
}

/// How long after an incident's end a detector may still tell it, in seconds: its window and the lateness.
fn tail(kind: &str) -> i64 {
    match kind {
        "failure_spike" | "slow_responses" | "volume" | "degradation" => 330,
        "error_rate" | "error_class" | "slow_step" | "transaction_timeout" => 90,
        _ => 30,
    }
}

fn is_within(anomaly: &Anomaly, injection: &Injection, before: i64, after: i64) -> bool {
    let time = anomaly.time.as_micros();
    anomaly.service == injection.service
        && (anomaly.detector != injection.kind
            || injection.session().is_none_or(|session| anomaly.subject == session))
        && time >= injection.start.as_micros() - before * SECOND
        && time <= injection.end.as_micros() + after * SECOND
}

/// The incident of its own kind that an anomaly tells.
fn told<'i>(anomaly: &Anomaly, injections: &'i [Injection]) -> Option<&'i Injection> {
    let own = |injection: &&Injection| {
        injection.kind == anomaly.detector && is_within(anomaly, injection, 0, tail(injection.kind))
    };
    injections.iter().find(own)
}

/// Whether an incident of another kind goes on, or is still within the windows that are compared with it.
fn is_beside(anomaly: &Anomaly, injections: &[Injection]) -> bool {
    injections.iter().any(|injection| is_within(anomaly, injection, 0, 1_860))
}

/// The table, one row a kind.
pub fn judge(injections: &[Injection], anomalies: &[Anomaly]) -> Vec<Row> {
    let mut by_kind: BTreeMap<&str, Vec<&Anomaly>> = BTreeMap::new();
    let mut odd_patterns = BTreeSet::new();
    for anomaly in anomalies {
        // Every line of a pattern is odd again and joins the same alert: a pattern counts once per service.
        let again =
            anomaly.detector == "odd_line" && !odd_patterns.insert((&anomaly.service, &anomaly.subject));
        if !again {
            by_kind.entry(&anomaly.detector).or_default().push(anomaly);
        }
    }
    KINDS.iter().map(|kind| row(kind, injections, by_kind.get(kind).map_or(&[], Vec::as_slice))).collect()
}

fn row(kind: &'static str, injections: &[Injection], anomalies: &[&Anomaly]) -> Row {
    let own: Vec<&Injection> = injections.iter().filter(|injection| injection.kind == kind).collect();
    let is_found =
        |injection: &&Injection| anomalies.iter().any(|anomaly| is_within(anomaly, injection, 0, tail(kind)));
    let share = |of: &dyn Fn(&Injection) -> bool| {
        let all: Vec<&Injection> = own.iter().copied().filter(|injection| of(injection)).collect();
        all.iter().filter(|injection| is_found(injection)).count() as f64 / all.len().max(1) as f64
    };
    let matched = anomalies.iter().filter(|anomaly| told(anomaly, injections).is_some()).count();
    let others = || anomalies.iter().filter(|anomaly| told(anomaly, injections).is_none());
    let beside = others().filter(|anomaly| is_beside(anomaly, injections)).count();
    let unexplained = others().count() - beside;
    let recall = share(&|_| true);
    let precision = matched as f64 / (matched + unexplained).max(1) as f64;
    Row {
        kind,
        injected: own.len(),
        found_little: share(&|injection| injection.strength < 2.0),
        found_far: share(&|injection| injection.strength >= 2.0),
        recall,
        matched,
        beside,
        unexplained,
        precision,
        reached: recall >= RECALL && precision >= PRECISION,
    }
}

/// Prints the table.
pub fn print(rows: &[Row]) {
    println!(
        "| kind | incidents | found at 1.2× | found at 3× | recall (≥ {RECALL}) | findings that tell one | beside another kind's | unexplained | precision (≥ {PRECISION}) | reached |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let Row { kind, injected, matched, beside, unexplained, .. } = row;
        println!(
            "| {kind} | {injected} | {} | {} | {} | {matched} | {beside} | {unexplained} | {} | {} |",
            figure(row.found_little),
            figure(row.found_far),
            figure(row.recall),
            figure(row.precision),
            if row.reached { "yes" } else { "NO" }
        );
    }
}

/// Prints findings of a kind that nothing explains.
pub fn show_false(kind: &str, injections: &[Injection], anomalies: &[Anomaly]) {
    let unexplained = anomalies
        .iter()
        .filter(|anomaly| anomaly.detector == kind)
        .filter(|anomaly| told(anomaly, injections).is_none() && !is_beside(anomaly, injections));
    for anomaly in unexplained.take(40) {
        let line = anomaly.evidence.first().map_or("", |line| line.message.as_str());
        println!("{} {} {} [{line}]", anomaly.time, anomaly.service, anomaly.headline);
    }
}

/// Prints incidents of a kind that were not found.
pub fn show_missed(kind: &str, injections: &[Injection], anomalies: &[Anomaly]) {
    let own = injections.iter().filter(|injection| injection.kind == kind);
    let found = |injection: &Injection| {
        anomalies
            .iter()
            .any(|anomaly| anomaly.detector == kind && is_within(anomaly, injection, 0, tail(kind)))
    };
    own.filter(|injection| !found(injection)).take(40).for_each(|injection| println!("{injection:?}"));
}
