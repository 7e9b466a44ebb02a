//! What was found lately, as lists and as it happens; web accesses summed up.

use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use engine::detect::Severity;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use notify::AlertRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::AnomalySearch;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::super::Shared;
use super::super::answer::{Asked, Refusal};
use super::super::guard::Caller;
use super::super::session;
use super::question;
use crate::anomaly::{AnomalyRecord, Feed};
use crate::summary::{self, Report};

/// Anomalies where no number is asked for.
const USUAL: usize = 100;

/// Web accesses summed up.
pub async fn summary(State(shared): State<Shared>) -> Json<impl Serialize> {
    Json(shared.app.summary.report())
}

#[derive(Debug, Serialize)]
struct Web {
    #[serde(flatten)]
    report: Report,
    accesses: u64,
    window_seconds: u64,
}

/// As [`summary`], with how many accesses it is of.
pub async fn web(State(shared): State<Shared>) -> Json<impl Serialize> {
    let (report, accesses) = shared.app.summary.report_and_accesses();
    Json(Web { report, accesses, window_seconds: summary::WINDOW_SECONDS })
}

/// Which anomalies.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    service: Option<String>,
    severity: Option<String>,
    detector: Option<String>,
    limit: Option<String>,
    after: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Answer {
    anomalies: Vec<Value>,
    next: Option<String>,
}

/// The newest anomalies, newest first: of all detectors out of the store, where there is one; else the newest odd lines
/// out of memory, on one page.
pub async fn anomalies(
    State(shared): State<Shared>,
    Asked(asked): Asked<Question>,
) -> Result<Json<impl Serialize>, Refusal> {
    let name = |severity: Severity| severity.as_str();
    let severity = question::one_of("severity", asked.severity.as_deref(), &Severity::ALL, name)?;
    let search = AnomalySearch {
        service: question::service(asked.service)?,
        severity: severity.map(|severity| severity.as_str().to_owned()),
        detector: question::service(asked.detector)?,
        ..AnomalySearch::default()
    };
    let page = question::page(asked.limit.as_deref(), USUAL, asked.after.as_deref())?;
    if let Some(stored) = &shared.stored {
        let found = stored.ask(move |store| store.search_anomalies(&search, &page)).await?;
        let read = |row: &store::StoredAnomaly| serde_json::from_str(&row.record).ok();
        let anomalies = found.rows.iter().filter_map(read).collect();
        return Ok(Json(Answer { anomalies, next: found.next.as_ref().map(question::cursor) }));
    }
    let wants = |record: &&Arc<AnomalyRecord>| {
        search.service.as_ref().is_none_or(|service| record.service == *service)
            && search.severity.as_ref().is_none_or(|severity| record.severity == severity)
            && search.detector.as_ref().is_none_or(|detector| record.detector == detector)
    };
    let recent = shared.app.feed.recent();
    let records = recent.iter().rev().filter(wants).take(page.most);
    let anomalies = records.filter_map(|record| serde_json::to_value(record.as_ref()).ok()).collect();
    Ok(Json(Answer { anomalies, next: None }))
}

/// Anomalies from now on as server-sent events: `anomaly` with a record; `missed` with a number where the client
/// was too slow; `end` when the scorer stops or the caller's session ends.
pub async fn anomaly_stream(State(shared): State<Shared>, Extension(caller): Extension<Caller>) -> Response {
    stream(&shared, &caller, "anomaly", &shared.app.feed, |record| record.id.to_string())
}

/// Records of alerts from now on, as [`anomaly_stream`], each an `alert`.
pub async fn alert_stream(State(shared): State<Shared>, Extension(caller): Extension<Caller>) -> Response {
    stream(&shared, &caller, "alert", &shared.app.alerts, AlertRecord::delivery_id)
}

/// The events until the scorer stops or the caller's session ends, and then `end` with which of the two.
pub fn ending<E: Send, S: Stream<Item = Result<Event, E>> + Send>(
    shared: &Shared,
    caller: &Caller,
    events: S,
) -> impl Stream<Item = Result<Event, E>> + Send + use<E, S> {
    let stop = shared.app.stop.clone().cancelled_owned();
    let over = session::over(Arc::clone(&shared.guard), caller.session);
    let end = async {
        tokio::select! {
            () = stop => "the scorer stops",
            () = over => "the session is over",
        }
    };
    let end = end.boxed().shared();
    let last = end.clone().map(|why| Ok(Event::default().event("end").data(why)));
    events.take_until(end).chain(futures_util::stream::once(last))
}

fn stream<T>(
    shared: &Shared,
    caller: &Caller,
    name: &'static str,
    feed: &Feed<T>,
    id: fn(&T) -> String,
) -> Response
where
    T: Serialize + Send + Sync + 'static,
{
    let Ok(place) = Arc::clone(&shared.streams).try_acquire_owned() else {
        let why = "too many event streams are open; close some and come again";
        return Refusal::unavailable(why).into_response();
    };
    let events = BroadcastStream::new(feed.subscribe()).map(move |item| {
        let _held_while_open = &place;
        match item {
            Ok(record) => Event::default().event(name).id(id(&record)).json_data(record.as_ref()),
            Err(BroadcastStreamRecvError::Lagged(missed)) => {
                Ok(Event::default().event("missed").data(missed.to_string()))
            }
        }
    });
    Sse::new(ending(shared, caller, events)).keep_alive(KeepAlive::default()).into_response()
}
