//! The page's data and its controls. A file of its own for each part; every route stands in [`read`] or in [`change`].

mod alerts;
mod feeds;
mod logs;
mod model;
mod overview;
mod question;
mod simulation;
mod spread;
mod status;
mod threshold;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};

use super::Shared;
use super::answer::Refusal;

/// Most entries of one answer.
const MOST: usize = 500;

/// The routes that only look: for every role.
pub fn read() -> Router<Shared> {
    Router::new()
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/overview", get(overview::overview))
        .route("/api/v1/anomalies", get(feeds::anomalies))
        .route("/api/v1/anomalies/stream", get(feeds::anomaly_stream))
        .route("/api/v1/alerts", get(alerts::list))
        .route("/api/v1/alerts/stream", get(feeds::alert_stream))
        .route("/api/v1/alerts/{id}", get(alerts::detail))
        .route("/api/v1/logs", get(logs::search))
        .route("/api/v1/logs/stream", get(logs::stream))
        .route("/api/v1/threshold", get(threshold::threshold))
        .route("/api/v1/threshold/preview", get(threshold::preview))
        .route("/api/v1/model", get(model::model))
        .route("/api/v1/web", get(feeds::web))
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/v1/simulation", get(simulation::standing))
        .route("/summary.json", get(feeds::summary))
}

fn no_model() -> Refusal {
    Refusal::unavailable("no model is loaded yet; /readyz says what is waited for")
}

/// What this API is, for programs.
async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("../../../../../docs/openapi.json"))
}

/// The routes that change something: for operators, and from a browser with the token against forged requests.
pub fn change() -> Router<Shared> {
    Router::new()
        .route("/api/v1/simulation", put(simulation::change))
        .route("/api/v1/simulation/burst", post(simulation::burst))
}
