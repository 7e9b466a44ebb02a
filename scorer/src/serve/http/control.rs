//! Silences and "this is normal" over HTTP: lists for everyone, changes for operators. Keeps nothing itself.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use engine::alert::Normal;
use jiff::Timestamp;
use notify::AlertRecord;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::answer::{Named, Refusal, Sent, whole};
use super::guard::Caller;
use crate::control::{
    Decision, Refused, ToldNormal, ToldSilence, View, What, end_within_a_year, export, filter_of, of_alert,
    until_of,
};
use crate::run::App;

/// The routes that only look.
pub fn read() -> Router<Shared> {
    Router::new()
        .route("/api/v1/silences", get(silences))
        .route("/api/v1/normals", get(normals))
        .route("/api/v1/normals/export", get(exported))
}

/// The routes that change something.
pub fn change() -> Router<Shared> {
    Router::new()
        .route("/api/v1/silences", post(silence))
        .route("/api/v1/silences/{id}", delete(unsilence))
        .route("/api/v1/alerts/{id}/silence", post(silence_alert))
        .route("/api/v1/alerts/{id}/normal", post(call_normal))
        .route("/api/v1/normals/{id}", delete(undo_normal))
}

/// A number of minutes or a time, in the question for a silence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSilence {
    filter: String,
    #[serde(default, deserialize_with = "whole")]
    minutes: Option<i64>,
    until: Option<Timestamp>,
    #[serde(default)]
    comment: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfAlert {
    #[serde(default, deserialize_with = "whole")]
    minutes: Option<i64>,
    until: Option<Timestamp>,
    #[serde(default)]
    comment: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    #[serde(default)]
    comment: String,
}

/// The silences over an alert and what was called normal of it.
pub fn over(shared: &Shared, alert: &AlertRecord) -> (Vec<ToldSilence>, Vec<ToldNormal>) {
    let Some(view) = shared.app.control.view() else { return (Vec::new(), Vec::new()) };
    let silences = view.silences(Timestamp::now()).filter(|silence| silence.is_over_alert(alert));
    let normals = of_alert(alert);
    let is_of = |decision: &&Decision| {
        let is_whole = |one: &Normal| {
            one.subject.is_empty()
                && normals.iter().any(|of| (&of.detector, &of.service) == (&one.detector, &one.service))
        };
        decision.normals().iter().any(|one| normals.contains(one) || is_whole(one))
    };
    (
        silences.filter_map(ToldSilence::of).collect(),
        view.normals().filter(is_of).filter_map(ToldNormal::of).collect(),
    )
}

fn view(shared: &Shared) -> Result<Arc<View>, Refusal> {
    let kept_in = shared.app.control.kept_in();
    let why = || format!("silences are not read from {kept_in} yet; come again");
    shared.app.control.view().ok_or_else(|| Refusal::unavailable(why()))
}

async fn silences(State(shared): State<Shared>) -> Result<Response, Refusal> {
    let view = view(&shared)?;
    let told: Vec<ToldSilence> = view.silences(Timestamp::now()).filter_map(ToldSilence::of).collect();
    Ok(Json(json!({ "silences": told })).into_response())
}

async fn normals(State(shared): State<Shared>) -> Result<Response, Refusal> {
    let view = view(&shared)?;
    let told: Vec<ToldNormal> = view.normals().filter_map(ToldNormal::of).collect();
    Ok(Json(json!({ "normals": told })).into_response())
}

/// For the config file.
async fn exported(State(shared): State<Shared>) -> Result<Response, Refusal> {
    let view = view(&shared)?;
    let text = export(view.normals()).map_err(|error| Refusal::unavailable(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/toml; charset=utf-8")], text).into_response())
}

async fn silence(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Sent(new): Sent<NewSilence>,
) -> Result<Response, Refusal> {
    let now = Timestamp::now();
    let until = end_of(new.minutes, new.until, now)?;
    begin_silence(&shared, &caller, What::Silence { filter: new.filter, until }, new.comment, now).await
}

async fn silence_alert(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
    Sent(new): Sent<OfAlert>,
) -> Result<Response, Refusal> {
    let now = Timestamp::now();
    let until = end_of(new.minutes, new.until, now)?;
    let alert = alert(&shared, id).await?;
    let what = What::Silence { filter: filter_of(&alert.service, &alert.detector), until };
    begin_silence(&shared, &caller, what, new.comment, now).await
}

async fn begin_silence(
    shared: &Shared,
    caller: &Caller,
    what: What,
    comment: String,
    now: Timestamp,
) -> Result<Response, Refusal> {
    let decision = Decision::new(what, comment, caller.name(), now);
    put(&shared.app, decision.clone()).await?;
    Ok(Json(ToldSilence::of(&decision)).into_response())
}

async fn call_normal(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
    Sent(why): Sent<Why>,
) -> Result<Response, Refusal> {
    let alert = alert(&shared, id).await?;
    let normals = of_alert(&alert);
    let what = What::Normal { alert: Some(alert.id), normals };
    let decision = Decision::new(what, why.comment, caller.name(), Timestamp::now());
    put(&shared.app, decision.clone()).await?;
    Ok(Json(ToldNormal::of(&decision)).into_response())
}

async fn unsilence(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
) -> Result<Response, Refusal> {
    let is_there = view(&shared)?.get(&id).is_some_and(|decision| decision.silence().is_some());
    remove(&shared, &caller, id, is_there).await
}

async fn undo_normal(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Named(id): Named,
) -> Result<Response, Refusal> {
    let is_there = view(&shared)?.get(&id).is_some_and(|decision| decision.silence().is_none());
    remove(&shared, &caller, id, is_there).await
}

fn end_of(minutes: Option<i64>, until: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Refusal> {
    match (minutes, until) {
        (Some(minutes), None) => until_of(minutes, now).map_err(Refusal::bad),
        (None, Some(until)) => end_within_a_year(until, now).map_err(Refusal::bad),
        _ => Err(Refusal::bad("one of minutes and until is needed, such as \"minutes\": 60")),
    }
}

/// The newest record of an alert, by what this process saw of late or by the store.
async fn alert(shared: &Shared, id: String) -> Result<AlertRecord, Refusal> {
    if let Some(record) = shared.app.board.alerts().records(&id).pop() {
        return Ok(Arc::unwrap_or_clone(record));
    }
    let wanted: String = id.chars().take(64).collect();
    let kept = match &shared.stored {
        Some(stored) => {
            let id = wanted.clone();
            stored.ask(move |store| store.alert(&id)).await?.and_then(|mut alert| alert.records.pop())
        }
        None => None,
    };
    let unknown =
        || Refusal::missing(format!("no alert {wanted:?} is known; GET /api/v1/alerts lists those that are"));
    serde_json::from_str(&kept.ok_or_else(unknown)?)
        .map_err(|error| Refusal::unavailable(format!("the alert's record cannot be read: {error}")))
}

async fn put(app: &App, decision: Decision) -> Result<(), Refusal> {
    let control = app.control.clone();
    let (id, by, what) = (decision.id.clone(), decision.created_by.clone(), decision.what.clone());
    done(tokio::task::spawn_blocking(move || control.put(decision)).await)?;
    tracing::info!(id, by, ?what, "decided about alerts");
    Ok(())
}

async fn remove(shared: &Shared, caller: &Caller, id: String, is_there: bool) -> Result<Response, Refusal> {
    if !is_there {
        return Err(told(Refused::Unknown(id)));
    }
    let (control, gone) = (shared.app.control.clone(), id.clone());
    done(tokio::task::spawn_blocking(move || control.remove(&gone)).await)?;
    tracing::info!(id, by = caller.name(), "a decision about alerts was taken back");
    Ok(Json(json!({ "id": id, "removed": true })).into_response())
}

fn done(result: Result<Result<(), Refused>, tokio::task::JoinError>) -> Result<(), Refusal> {
    match result {
        Ok(result) => result.map_err(told),
        Err(error) => Err(Refusal::unavailable(error.to_string())),
    }
}

fn told(refused: Refused) -> Refusal {
    let status = match refused {
        Refused::Bad(_) => StatusCode::BAD_REQUEST,
        Refused::Unknown(_) => StatusCode::NOT_FOUND,
        Refused::Fixed(_) => StatusCode::CONFLICT,
        Refused::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, refused.to_string())
}
