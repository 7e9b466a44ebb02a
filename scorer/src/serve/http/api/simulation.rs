//! The controls of the simulated stream, where there is one.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use simulator::ParamError;

use super::super::Shared;
use super::super::answer::{Raw, Refusal, whole};
use crate::demo::{Change, Controls, Standing};

/// Lines of a burst where none are asked for: two more than an alert needs.
const BURST_LINES: usize = 8;

#[derive(Debug, Serialize)]
pub struct Answer {
    services: Vec<Service>,
    error_rate: f64,
    anomaly_ratio: f64,
    rate: f64,
}

#[derive(Debug, Serialize)]
struct Service {
    service: &'static str,
    on: bool,
}

impl From<Standing> for Answer {
    fn from(standing: Standing) -> Self {
        let service = |(service, on)| Service { service, on };
        Self {
            services: standing.services.into_iter().map(service).collect(),
            error_rate: standing.params.error_rate,
            anomaly_ratio: standing.params.anomaly_ratio,
            rate: standing.params.rate,
        }
    }
}

/// What is to change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(default)]
    services: Vec<Switch>,
    error_rate: Option<f64>,
    anomaly_ratio: Option<f64>,
    rate: Option<f64>,
}

/// Whether a service is to write.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    service: String,
    on: bool,
}

/// Errors of one service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    service: String,
    #[serde(default, deserialize_with = "whole")]
    lines: Option<i64>,
}

fn controls(shared: &Shared) -> Result<&Controls, Refusal> {
    shared.app.simulation.as_ref().ok_or_else(|| {
        Refusal::missing("no simulator is attached: this is `scorer run`; `scorer demo` has one")
    })
}

fn out_of_range(errors: &[ParamError]) -> Refusal {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Refusal::bad(errors.join("; "))
}

fn sent<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("the body cannot be used: {error}")))
}

/// How the stream stands.
pub async fn standing(State(shared): State<Shared>) -> Result<Json<Answer>, Refusal> {
    Ok(Json(controls(&shared)?.standing().into()))
}

/// Changes the stream: all of it or, where anything is out of range, nothing.
pub async fn change(State(shared): State<Shared>, Raw(body): Raw) -> Result<Json<Answer>, Refusal> {
    let controls = controls(&shared)?;
    let wanted: Wanted = sent(&body)?;
    let change = Change {
        services: wanted.services.into_iter().map(|switch| (switch.service, switch.on)).collect(),
        error_rate: wanted.error_rate,
        anomaly_ratio: wanted.anomaly_ratio,
        rate: wanted.rate,
    };
    Ok(Json(controls.change(&change).map_err(|errors| out_of_range(&errors))?.into()))
}

/// Asks for lines of level ERROR of one service, all at one time.
pub async fn burst(State(shared): State<Shared>, Raw(body): Raw) -> Result<Json<serde_json::Value>, Refusal> {
    let controls = controls(&shared)?;
    let burst: Burst = sent(&body)?;
    let lines = match burst.lines.map(|lines| usize::try_from(lines).map_err(|_| lines)) {
        None => BURST_LINES,
        Some(Ok(lines)) => lines,
        Some(Err(lines)) => {
            return Err(Refusal::bad(format!("lines = {lines} is out of range: a number from 1 to 1000")));
        }
    };
    controls.burst(&burst.service, lines).map_err(|error| out_of_range(&[error]))?;
    Ok(Json(serde_json::json!({ "service": burst.service, "lines": lines })))
}
