//! The model in use: what it was trained on, and whether what comes still looks like that.

use axum::Json;
use axum::extract::State;
use engine::event::EventTime;
use engine::model::{Dimensions, Model};
use serde::Serialize;

use super::super::Shared;
use super::super::answer::Refusal;
use super::spread::{Histogram, stability_index};
use crate::board;

/// Frequent patterns that are told.
const MOST_PATTERNS: usize = 12;
/// Names of inputs that are told.
const MOST_INPUTS: usize = 100;

#[derive(Debug, Serialize)]
struct Answer {
    digest: String,
    trained_at: String,
    age_seconds: i64,
    rows: u64,
    inputs: Vec<String>,
    parameters: Parameters,
    report: Report,
    drift: Drift,
    /// The newest first, at most 200.
    new_patterns: Vec<Pattern>,
    /// Lines of further new patterns, which are not told apart.
    new_patterns_beyond: u64,
    unseen_word_share: Shares,
}

#[derive(Debug, Serialize)]
struct Parameters {
    #[serde(flatten)]
    dimensions: Dimensions,
    /// What a score adds up.
    channels: [&'static str; 4],
    contamination: String,
    seed: u64,
    program_version: String,
    session_key: Option<String>,
}

/// What training found, as far as the model holds it.
#[derive(Debug, Serialize)]
struct Report {
    rows_accepted: u64,
    rows_rejected: u64,
    first_time: Option<String>,
    last_time: Option<String>,
    /// None where the rows span less than a minute.
    lines_per_day: Option<f64>,
    threshold: f64,
    threshold_source: &'static str,
    share_above_threshold: f64,
    odd_lines_per_day: Option<f64>,
    warning_score: Option<f64>,
    frequent_patterns: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Drift {
    #[serde(flatten)]
    histogram: Histogram,
    /// None where fewer than 200 lines came.
    psi: Option<f64>,
    lines: u64,
    /// Over which `recent` was counted.
    seconds: u64,
}

#[derive(Debug, Serialize)]
struct Pattern {
    pattern: String,
    service: String,
    count: u64,
    first_seen: String,
}

/// Shares of the words.
#[derive(Debug, Serialize)]
struct Shares {
    /// Of the words of training lines, those that no other line has; none where the model is too old to hold it.
    training: Option<f64>,
    /// Of the words of some lines of late; none before the first.
    recent: Option<f64>,
}

/// The model in use.
pub async fn model(State(shared): State<Shared>) -> Result<Json<impl Serialize>, Refusal> {
    let loaded = shared.app.model.get().ok_or_else(super::no_model)?;
    let (model, provenance) = (&loaded.model, loaded.model.provenance());
    let (spread, time) = shared.app.board.scores();
    let patterns = shared.app.board.patterns();
    let has_times = provenance.first_time != 0 || provenance.last_time != 0;
    let time_of = |micros| has_times.then(|| EventTime::from_micros(micros).to_string());
    let frequent = model.frequent_patterns().iter().take(MOST_PATTERNS);
    let told = patterns.all.into_iter().rev().map(|one| Pattern {
        pattern: one.pattern,
        service: one.service,
        count: one.count,
        first_seen: one.first_seen.to_string(),
    });
    Ok(Json(Answer {
        digest: model.digest().to_owned(),
        trained_at: loaded.trained_at.to_string(),
        age_seconds: (board::now() - loaded.trained_at.as_second()).max(0),
        rows: provenance.rows,
        inputs: provenance.inputs.iter().take(MOST_INPUTS).cloned().collect(),
        parameters: Parameters {
            dimensions: model.dimensions(),
            channels: Model::CHANNELS,
            contamination: provenance.contamination.clone(),
            seed: provenance.seed,
            program_version: provenance.program_version.clone(),
            session_key: model.sessions().map(|sessions| sessions.key().as_str().to_owned()),
        },
        report: Report {
            rows_accepted: provenance.rows,
            rows_rejected: provenance.rejected,
            first_time: time_of(provenance.first_time),
            last_time: time_of(provenance.last_time),
            lines_per_day: model.lines_per_day(),
            threshold: loaded.threshold.score,
            threshold_source: loaded.threshold_source,
            share_above_threshold: loaded.threshold.share,
            odd_lines_per_day: model.expected_per_day(loaded.threshold.score),
            warning_score: loaded.warning_score,
            frequent_patterns: frequent.map(|(pattern, lines)| format!("{lines} × {pattern}")).collect(),
        },
        drift: Drift {
            psi: stability_index(model, &spread),
            lines: spread.lines(),
            seconds: time.as_secs(),
            histogram: Histogram::new(model, &spread),
        },
        new_patterns: told.collect(),
        new_patterns_beyond: patterns.beyond,
        unseen_word_share: Shares {
            training: model.unseen_word_share(),
            recent: (spread.words > 0).then(|| spread.unseen as f64 / spread.words as f64),
        },
    }))
}
