//! How the process stands: what the system panel shows.

use axum::Json;
use axum::extract::State;
use engine::decode::RejectReason;
use engine::detect::Warming;
use serde::Serialize;

use super::super::Shared;
use crate::anomaly::ODD_LINE;
use crate::board::{self, Took};
use crate::metrics::{DetectorLabel, ReasonLabel};

/// Over so many seconds the rate is taken.
const RATE_SECONDS: i64 = 10;

/// What `/api/v1/status` answers.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    uptime_seconds: u64,
    ready: bool,
    waiting_for: Vec<Waiting>,
    inputs: Vec<String>,
    /// Whether the stream is simulated, and can be changed.
    simulator: bool,
    /// Whether there is a store to search.
    store: bool,
    alerts_firing: usize,
    /// Mean of the last ten to twenty seconds.
    lines_per_second: f64,
    /// Records of Kafka that are there and not committed yet.
    lag_lines: i64,
    /// Of the last batches; none before the first.
    batch_seconds: Option<Took>,
    /// Share of the lines whose score was remembered; none where no table is asked.
    table_hit_rate: Option<f64>,
    warming_up: Vec<Warming>,
    model: Option<ModelStatus>,
    counts: Counts,
}

#[derive(Debug, Serialize)]
struct Waiting {
    part: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct ModelStatus {
    digest: String,
    threshold: f64,
    threshold_source: &'static str,
    share_above_threshold: f64,
    rows: u64,
    inputs: Vec<String>,
    loaded_at: String,
    trained_at: String,
    /// Since it was trained.
    age_seconds: i64,
}

#[derive(Debug, Serialize)]
struct Counts {
    lines_scored: u64,
    lines_rejected: u64,
    anomalies: u64,
}

/// State of the process and counts since its start.
pub async fn status(State(shared): State<Shared>) -> Json<Status> {
    let app = &shared.app;
    let waiting: Vec<Waiting> =
        app.health.why_not_ready().into_iter().map(|(part, why)| Waiting { part, why }).collect();
    let model = app.model.get().map(|loaded| ModelStatus {
        digest: loaded.model.digest().to_owned(),
        threshold: loaded.threshold.score,
        threshold_source: loaded.threshold_source,
        share_above_threshold: loaded.threshold.share,
        rows: loaded.model.provenance().rows,
        inputs: loaded.model.provenance().inputs.clone(),
        loaded_at: loaded.loaded_at.to_string(),
        trained_at: loaded.trained_at.to_string(),
        age_seconds: (board::now() - loaded.trained_at.as_second()).max(0),
    });
    let rejected = |reason: &RejectReason| {
        let label = ReasonLabel { reason: reason.as_str().to_owned() };
        app.metrics.lines_rejected.get(&label).map_or(0, |counter| counter.get())
    };
    let anomalies = app.metrics.anomalies.get(&DetectorLabel::of(ODD_LINE));
    let counts = Counts {
        lines_scored: app.metrics.lines_scored.get(),
        lines_rejected: RejectReason::ALL.iter().map(rejected).sum(),
        anomalies: anomalies.map_or(0, |counter| counter.get()),
    };
    let (hits, misses) = (app.metrics.score_table_hits.get(), app.metrics.score_table_misses.get());
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: shared.started.elapsed().as_secs(),
        ready: waiting.is_empty() && model.is_some(),
        waiting_for: waiting,
        inputs: app.settings.inputs.iter().map(ToString::to_string).collect(),
        simulator: app.simulation.is_some(),
        store: app.settings.store.is_some(),
        alerts_firing: app.board.alerts().firing(),
        lines_per_second: app.board.lanes().lines_per_second(board::now(), RATE_SECONDS),
        lag_lines: app.metrics.lag_lines.get(),
        batch_seconds: app.board.took(),
        table_hit_rate: (hits + misses > 0).then(|| hits as f64 / (hits + misses) as f64),
        warming_up: app.board.warming(),
        model,
        counts,
    })
}
