//! Kept log lines, searched; scored lines as they come.

use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use engine::event::Level;
use serde::{Deserialize, Serialize};
use store::{LogSearch, StoredLog};

use super::super::Shared;
use super::super::answer::{Asked, Refusal};
use super::super::guard::Caller;
use super::feeds::ending;
use super::question::{self, cursor};
use crate::board::{Shown, TailFilter};
use crate::config::KeptLogs;

/// Lines where no number is asked for.
const USUAL: usize = 100;
/// Between two events of the tail.
const PACE: Duration = Duration::from_millis(200);

/// What to search for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    service: Option<String>,
    level: Option<String>,
    from: Option<String>,
    until: Option<String>,
    text: Option<String>,
    min_score: Option<String>,
    limit: Option<String>,
    after: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Answer {
    logs: Vec<Line>,
    next: Option<String>,
    kept: &'static str,
    /// The search ended because it looked at as many lines as one may; `next` goes on.
    cut_short: bool,
    /// Lines that one search looks at, at most.
    most_looked_at: usize,
}

#[derive(Debug, Serialize)]
struct Line {
    id: String,
    time: String,
    service: String,
    level: Option<&'static str>,
    message: String,
    score: f64,
    anomaly: bool,
    source: String,
}

impl Line {
    fn of(line: StoredLog, threshold: f64) -> Self {
        Self {
            id: line.id,
            time: line.log_timestamp.to_string(),
            service: line.service,
            level: line.level.map(Level::as_str),
            message: line.message,
            score: line.score,
            anomaly: line.score > threshold,
            source: line.source,
        }
    }
}

/// Kept lines that hold what is asked for, newest first. A search looks at a bounded number of lines and says so; an
/// answer without lines is not the end while there is a `next`.
pub async fn search(
    State(shared): State<Shared>,
    Asked(asked): Asked<Question>,
) -> Result<Json<impl Serialize>, Refusal> {
    let search = LogSearch {
        service: question::service(asked.service)?,
        level: question::level(asked.level.as_deref())?,
        text: question::text(asked.text)?,
        least_score: question::share("min_score", asked.min_score.as_deref())?.unwrap_or(0.0),
        from: question::time("from", asked.from.as_deref())?,
        until: question::time("until", asked.until.as_deref())?,
    };
    let page = question::page(asked.limit.as_deref(), USUAL, asked.after.as_deref())?;
    let kept = match shared.app.settings.store.as_ref().map(|store| store.logs) {
        Some(KeptLogs::All) => "all",
        Some(KeptLogs::Context(_)) => "context",
        Some(KeptLogs::None) | None => "none",
    };
    let most_looked_at = store::MOST_LOOKED_AT;
    let Some(stored) = &shared.stored else {
        return Ok(Json(Answer { kept, most_looked_at, ..Answer::default() }));
    };
    let found = stored.ask(move |store| store.search_logs(&search, &page)).await?;
    let threshold = shared.app.model.get().map_or(1.0, |loaded| loaded.threshold.score);
    Ok(Json(Answer {
        logs: found.rows.into_iter().map(|line| Line::of(line, threshold)).collect(),
        next: found.next.as_ref().map(cursor),
        kept,
        cut_short: found.is_cut_short,
        most_looked_at,
    }))
}

/// What to show of what comes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    service: Option<String>,
    level: Option<String>,
    text: Option<String>,
    min_score: Option<String>,
}

/// Scored lines from now on as server-sent events: `lines` with the first ones of a fifth of a second and how many came
/// beside them; `end` when the scorer stops or the caller's session ends.
pub async fn stream(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Asked(asked): Asked<Wanted>,
) -> Result<Response, Refusal> {
    let filter = TailFilter {
        service: question::service(asked.service)?,
        level: question::level(asked.level.as_deref())?,
        text: question::text(asked.text)?,
        least_score: question::share("min_score", asked.min_score.as_deref())?.unwrap_or(0.0),
    };
    let too_many = || Refusal::unavailable("too many event streams are open; close some and come again");
    let place = std::sync::Arc::clone(&shared.streams).try_acquire_owned().map_err(|_| too_many())?;
    let watching = shared.app.board.watch(filter).ok_or_else(too_many)?;
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let lines = futures_util::stream::unfold((watching, pace, place), |(watching, mut pace, place)| async {
        loop {
            pace.tick().await;
            let shown = watching.take();
            if shown != Shown::default() {
                let event = Event::default().event("lines").json_data(&shown);
                return Some((event, (watching, pace, place)));
            }
        }
    });
    Ok(Sse::new(ending(&shared, &caller, lines)).keep_alive(KeepAlive::default()).into_response())
}
