//! The page's data and its controls. A file of its own for each part; every route stands in [`read`] or in [`change`].

mod feeds;
mod overview;
mod simulation;
mod status;

use axum::Router;
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
        .route("/api/v1/alerts", get(feeds::alerts))
        .route("/api/v1/alerts/stream", get(feeds::alert_stream))
        .route("/api/v1/simulation", get(simulation::standing))
        .route("/summary.json", get(feeds::summary))
}

/// The routes that change something: for operators, and from a browser with the token against forged requests.
pub fn change() -> Router<Shared> {
    Router::new()
        .route("/api/v1/simulation", put(simulation::change))
        .route("/api/v1/simulation/burst", post(simulation::burst))
}

/// A whole number that was asked for, or the default.
fn number(name: &str, written: Option<&str>, most: usize, default: usize) -> Result<usize, Refusal> {
    match written.map(|written| (written, written.parse::<usize>())) {
        None => Ok(default),
        Some((_, Ok(number))) if (1..=most).contains(&number) => Ok(number),
        Some((written, _)) => {
            let written: String = written.chars().take(100).collect();
            Err(Refusal::bad(format!("{name} = {written:?} is not allowed: a number from 1 to {most}")))
        }
    }
}
