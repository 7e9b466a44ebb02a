//! The page's data: state and counts, recent anomalies, anomalies as they happen. A file of its own for each part;
//! every route stands in [`read`] or in [`change`].

use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use engine::decode::RejectReason;
use futures_util::StreamExt;
use notify::AlertRecord;
use serde::{Deserialize, Serialize};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::Shared;
use super::answer::{Asked, Refusal};
use crate::anomaly::{Feed, ODD_LINE};
use crate::metrics::{DetectorLabel, ReasonLabel};

/// Most anomalies of one answer: what the feed keeps.
const MOST: usize = 500;

/// The routes that only look: for every role.
pub fn read() -> Router<Shared> {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/anomalies", get(anomalies))
        .route("/api/v1/anomalies/stream", get(anomaly_stream))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/alerts/stream", get(alert_stream))
        .route("/summary.json", get(summary))
}

/// The routes that change something: for operators, and from a browser with the token against forged requests.
pub fn change() -> Router<Shared> {
    Router::new()
}

/// What `/api/v1/status` answers.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    uptime_seconds: u64,
    ready: bool,
    waiting_for: Vec<Waiting>,
    inputs: Vec<String>,
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
}

#[derive(Debug, Serialize)]
struct Counts {
    lines_scored: u64,
    lines_rejected: u64,
    anomalies: u64,
}

/// State of the process and counts since its start.
async fn status(State(shared): State<Shared>) -> Json<Status> {
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
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: shared.started.elapsed().as_secs(),
        ready: waiting.is_empty() && model.is_some(),
        waiting_for: waiting,
        inputs: app.settings.inputs.iter().map(ToString::to_string).collect(),
        model,
        counts,
    })
}

/// Web accesses summed up.
async fn summary(State(shared): State<Shared>) -> Response {
    match &shared.app.summary {
        Some(summary) => Json(summary.report()).into_response(),
        None => Refusal::missing("set SUMMARY_PATH to have web accesses summed up").into_response(),
    }
}

/// What `/api/v1/anomalies` may be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    limit: Option<String>,
}

/// The newest anomalies, newest first.
async fn anomalies(State(shared): State<Shared>, Asked(page): Asked<Page>) -> Response {
    newest("anomalies", &shared.app.feed, &page)
}

/// The newest records of alerts, newest first.
async fn alerts(State(shared): State<Shared>, Asked(page): Asked<Page>) -> Response {
    newest("alerts", &shared.app.alerts, &page)
}

fn newest<T: Serialize>(name: &str, feed: &Feed<T>, page: &Page) -> Response {
    let limit = match page.limit.as_deref().map(|limit| (limit, limit.parse::<usize>())) {
        None => 100,
        Some((_, Ok(limit))) if (1..=MOST).contains(&limit) => limit,
        Some((written, _)) => {
            let why = format!("limit = {written:?} is not allowed: a number from 1 to {MOST}");
            return Refusal::bad(why).into_response();
        }
    };
    let recent = feed.recent();
    let records: Vec<&T> = recent.iter().rev().take(limit).map(Arc::as_ref).collect();
    Json(serde_json::json!({ name: records })).into_response()
}

/// Anomalies from now on as server-sent events: `anomaly` with a record; `missed` with a number where the client
/// was too slow; `end` when the scorer stops.
async fn anomaly_stream(State(shared): State<Shared>) -> Response {
    stream(&shared, "anomaly", &shared.app.feed, |record| record.id.to_string())
}

/// Records of alerts from now on, as [`anomaly_stream`], each an `alert`.
async fn alert_stream(State(shared): State<Shared>) -> Response {
    stream(&shared, "alert", &shared.app.alerts, AlertRecord::delivery_id)
}

fn stream<T>(shared: &Shared, name: &'static str, feed: &Feed<T>, id: fn(&T) -> String) -> Response
where
    T: Serialize + Send + Sync + 'static,
{
    let Ok(place) = Arc::clone(&shared.streams).try_acquire_owned() else {
        let why = "too many event streams are open; close some and come again";
        return Refusal::unavailable(why).into_response();
    };
    let stop = shared.app.stop.clone().cancelled_owned();
    let events = BroadcastStream::new(feed.subscribe()).take_until(stop).map(move |item| {
        let _held_while_open = &place;
        match item {
            Ok(record) => Event::default().event(name).id(id(&record)).json_data(record.as_ref()),
            Err(BroadcastStreamRecvError::Lagged(missed)) => {
                Ok(Event::default().event("missed").data(missed.to_string()))
            }
        }
    });
    let end = futures_util::stream::iter([Ok(Event::default().event("end").data("the scorer stops"))]);
    Sse::new(events.chain(end)).keep_alive(KeepAlive::default()).into_response()
}
