//! Lines and findings by service and time.

use axum::Json;
use axum::extract::State;
use engine::detect::Severity;
use notify::AlertRecord;
use serde::{Deserialize, Serialize};

use super::super::Shared;
use super::super::answer::{Asked, Refusal};
use super::question::number;
use crate::board::{self, MOST_MINUTES, Total, last_seen};

/// Grave alerts that are shown.
const MOST_CRITICAL: usize = 10;

/// What may be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    minutes: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer {
    from: String,
    /// Excluded; the step that is not over is in it.
    until: String,
    step_seconds: i64,
    services: Vec<Lane>,
    /// What the services beyond those come to, where there are any.
    others: Option<Row>,
    over_time: Vec<Step>,
    severity: Counts,
    top_services: Vec<Top>,
    /// Alerts of severity error or critical that were seen in this time, firing or over.
    critical: Vec<AlertRecord>,
}

#[derive(Debug, Serialize)]
struct Lane {
    service: String,
    #[serde(flatten)]
    row: Row,
}

#[derive(Debug, Serialize)]
struct Row {
    lines: u64,
    anomalies: u64,
    worst: Option<&'static str>,
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    /// None where they came before this process and only what was found is known.
    lines: Option<u64>,
    anomalies: u64,
    severity: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Step {
    time: String,
    /// As of cells.
    lines: Option<u64>,
    #[serde(flatten)]
    found: Counts,
}

#[derive(Debug, Serialize)]
struct Counts {
    info: u64,
    warning: u64,
    error: u64,
    critical: u64,
}

impl From<[u64; 4]> for Counts {
    fn from([info, warning, error, critical]: [u64; 4]) -> Self {
        Self { info, warning, error, critical }
    }
}

#[derive(Debug, Serialize)]
struct Top {
    service: String,
    anomalies: u64,
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

fn worst(total: &Total) -> Option<&'static str> {
    total.worst().map(Severity::as_str)
}

/// The last `minutes` minutes (60): what came and what was found, by service and step, by the time at which lines
/// came.
pub async fn overview(
    State(shared): State<Shared>,
    Asked(question): Asked<Question>,
) -> Result<Json<impl Serialize>, Refusal> {
    let most = MOST_MINUTES as usize;
    let minutes = number("minutes", question.minutes.as_deref(), most, 60)?;
    let board = &shared.app.board;
    let overview = board.lanes().overview(board::now(), u32::try_from(minutes).unwrap_or(MOST_MINUTES));
    let severity = overview.severity().into();
    let began = board::now() - i64::try_from(shared.started.elapsed().as_secs()).unwrap_or(i64::MAX);
    // What was found before this process is known from the store; how many lines came is not.
    let lines = |number: usize, total: &Total| {
        let end = overview.from + overview.step_seconds * (number as i64 + 1);
        let is_unknown = end <= began && total.lines == 0 && total.anomalies() > 0;
        (!is_unknown).then_some(total.lines)
    };
    let cell = |(number, total): (usize, &Total)| Cell {
        lines: lines(number, total),
        anomalies: total.anomalies(),
        severity: worst(total),
    };
    let row = |lane: &board::Lane| Row {
        lines: lane.total.lines,
        anomalies: lane.total.anomalies(),
        worst: worst(&lane.total),
        cells: lane.cells.iter().enumerate().map(cell).collect(),
    };
    let lane = |lane: board::Lane| Lane { row: row(&lane), service: lane.service };
    let steps = overview.over_time.iter().enumerate();
    let step = |(number, total): (usize, &Total)| Step {
        time: time(overview.from + overview.step_seconds * number as i64),
        lines: lines(number, total),
        found: total.found.map(u64::from).into(),
    };
    let newest = board.alerts().newest();
    let is_recent = |alert: &AlertRecord| last_seen(alert) >= overview.from.saturating_mul(1_000_000);
    let grave = newest.iter().filter(|alert| alert.severity >= Severity::Error && is_recent(alert));
    Ok(Json(Answer {
        from: time(overview.from),
        until: time(overview.until),
        step_seconds: overview.step_seconds,
        over_time: steps.map(step).collect(),
        services: overview.services.into_iter().map(lane).collect(),
        others: overview.others.as_ref().map(row),
        severity,
        top_services: overview
            .top_services
            .into_iter()
            .map(|(service, anomalies)| Top { service, anomalies })
            .collect(),
        critical: grave.take(MOST_CRITICAL).map(|alert| AlertRecord::clone(alert)).collect(),
    }))
}
