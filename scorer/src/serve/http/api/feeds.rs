//! What was found lately, as lists and as it happens; web accesses summed up.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use notify::AlertRecord;
use serde::{Deserialize, Serialize};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::super::Shared;
use super::super::answer::{Asked, Refusal};
use super::MOST;
use crate::anomaly::Feed;

/// Web accesses summed up.
pub async fn summary(State(shared): State<Shared>) -> Response {
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
pub async fn anomalies(State(shared): State<Shared>, Asked(page): Asked<Page>) -> Response {
    newest("anomalies", &shared.app.feed, &page)
}

/// The newest records of alerts, newest first.
pub async fn alerts(State(shared): State<Shared>, Asked(page): Asked<Page>) -> Response {
    newest("alerts", &shared.app.alerts, &page)
}

fn newest<T: Serialize>(name: &str, feed: &Feed<T>, page: &Page) -> Response {
    let limit = match super::number("limit", page.limit.as_deref(), MOST, 100) {
        Ok(limit) => limit,
        Err(refusal) => return refusal.into_response(),
    };
    let recent = feed.recent();
    let records: Vec<&T> = recent.iter().rev().take(limit).map(Arc::as_ref).collect();
    Json(serde_json::json!({ name: records })).into_response()
}

/// Anomalies from now on as server-sent events: `anomaly` with a record; `missed` with a number where the client
/// was too slow; `end` when the scorer stops.
pub async fn anomaly_stream(State(shared): State<Shared>) -> Response {
    stream(&shared, "anomaly", &shared.app.feed, |record| record.id.to_string())
}

/// Records of alerts from now on, as [`anomaly_stream`], each an `alert`.
pub async fn alert_stream(State(shared): State<Shared>) -> Response {
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
