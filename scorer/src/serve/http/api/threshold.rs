//! What another threshold would come to: shares of the training lines, lines and alerts a day, and which of the kept
//! lines would have fired. Changes none: the answer holds the setting that would.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use engine::alert::AlertSettings;
use engine::event::EventTime;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use store::{AnomalySearch, LogSearch, Oddness, Page};

use super::super::Shared;
use super::super::answer::{Asked, Refusal};
use super::question;
use super::spread::Histogram;
use crate::anomaly::ODD_LINE;
use crate::live::Loaded;
use crate::sink::cut;

/// Steps of the curve over [0, 1].
const STEPS: u32 = 100;
/// The stored time that is looked at.
const WEEK: i64 = 7 * 86_400 * 1_000_000;
const DAY_SECONDS: f64 = 86_400.0;
/// Odd lines that are looked at, the newest.
const MOST_ODD: usize = 20_000;
/// Lines that are shown.
const MOST_SHOWN: usize = 50;
/// Longest message that is shown, in bytes.
const MESSAGE_BYTES: usize = 2_000;
/// From so long on the rate of late is one.
const LEAST_TIME: Duration = Duration::from_secs(30);
/// The variable that sets the threshold.
const SETTING: &str = "ANOMALY_SCORE_THRESHOLD";

/// What a threshold comes to.
#[derive(Clone, Copy, Debug, Serialize)]
struct Cost {
    score: f64,
    /// Of the training lines.
    share: f64,
    /// Odd lines a day; none where nothing says how many lines a day come.
    lines_per_day: Option<f64>,
    /// Alerts that rest on odd lines, a day.
    alerts_per_day: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Answer {
    score: f64,
    source: &'static str,
    warning_score: Option<f64>,
    budget_per_day: f64,
    /// At the rate of the training data.
    lines_per_day: Option<f64>,
    /// At the rate of late, which the curve is made of where it is known.
    recent_lines_per_day: Option<f64>,
    stored_days: f64,
    histogram: Histogram,
    curve: Vec<Cost>,
    setting: &'static str,
}

#[derive(Debug, Serialize)]
struct Preview {
    #[serde(flatten)]
    cost: Cost,
    stored_days: f64,
    would_have_fired: Vec<Fired>,
    setting: String,
}

#[derive(Debug, Serialize)]
struct Fired {
    time: String,
    service: String,
    message: String,
    score: f64,
}

/// The odd lines that are kept of the last week.
struct Kept {
    odd: Vec<Oddness>,
    /// How long they span, until now.
    days: f64,
    /// An alert of a service ends when none came for so long, in microseconds.
    resolve_after: i64,
}

impl Kept {
    fn new(odd: Vec<Oddness>, now: EventTime, resolve_after_s: f64) -> Self {
        let oldest = odd.iter().map(|one| one.time.as_micros()).min();
        let span = oldest.map_or(0, |oldest| (now.as_micros() - oldest).max(0));
        Self { odd, days: span as f64 / 1e6 / DAY_SECONDS, resolve_after: (resolve_after_s * 1e6) as i64 }
    }

    /// Alerts a day that lines above a score would have come to.
    fn alerts_per_day(&self, score: f64) -> Option<f64> {
        let mut last: HashMap<&str, i64> = HashMap::new();
        let mut alerts = 0_u64;
        // The newest come first.
        for one in self.odd.iter().filter(|one| one.score > score) {
            let time = one.time.as_micros();
            let later = last.insert(&one.service, time);
            alerts += u64::from(later.is_none_or(|later| later - time > self.resolve_after));
        }
        (self.days > 0.0).then(|| alerts as f64 / self.days)
    }
}

/// What is known for saying what a threshold comes to.
struct Ground<'a> {
    loaded: &'a Loaded,
    kept: Kept,
    /// Lines a day.
    rate: Option<f64>,
}

impl Ground<'_> {
    /// Below the threshold in use the store has not all odd lines: what it tells of that one grows with the lines.
    fn cost(&self, score: f64) -> Cost {
        let share = self.loaded.model.share_above(score);
        let lines = |share: f64| self.rate.map(|rate| share * rate);
        let in_use = self.loaded.threshold.score;
        let alerts_per_day = if score >= in_use {
            self.kept.alerts_per_day(score)
        } else {
            let grown = share / self.loaded.threshold.share;
            let alerts = self.kept.alerts_per_day(in_use).filter(|_| grown.is_finite());
            alerts.map(|alerts| alerts * grown.max(1.0))
        };
        let lines_per_day = lines(share);
        let alerts_per_day = match (alerts_per_day, lines_per_day) {
            // As many alerts as lines at most, and as many where nothing is kept.
            (Some(alerts), Some(lines)) if score < in_use => Some(alerts.min(lines)),
            (Some(alerts), _) => Some(alerts),
            (None, lines) => lines,
        };
        Cost { score, share, lines_per_day, alerts_per_day }
    }
}

fn now() -> EventTime {
    EventTime::from_micros(jiff::Timestamp::now().as_microsecond())
}

fn resolve_after_s(shared: &Shared) -> f64 {
    let watch = shared.app.settings.learn.watch.as_ref();
    watch.map_or_else(|| AlertSettings::default().resolve_after_s, |watch| watch.alerts.resolve_after_s)
}

async fn kept(shared: &Shared) -> Result<Kept, Refusal> {
    let now = now();
    let from = EventTime::from_micros(now.as_micros() - WEEK);
    let odd = match &shared.stored {
        Some(stored) => stored.ask(move |store| store.oddness(ODD_LINE, from, MOST_ODD)).await?,
        None => Vec::new(),
    };
    Ok(Kept::new(odd, now, resolve_after_s(shared)))
}

/// Lines a day at the rate of late, once it is one.
fn recent_rate(shared: &Shared) -> Option<f64> {
    let (spread, time) = shared.app.board.scores();
    let is_known = time >= LEAST_TIME && spread.lines() > 0;
    is_known.then(|| spread.lines() as f64 * DAY_SECONDS / time.as_secs_f64())
}

fn loaded(shared: &Shared) -> Result<std::sync::Arc<Loaded>, Refusal> {
    shared.app.model.get().ok_or_else(super::no_model)
}

/// The threshold in use, how scores are spread, and what others would come to.
pub async fn threshold(State(shared): State<Shared>) -> Result<Json<impl Serialize>, Refusal> {
    let loaded = loaded(&shared)?;
    let kept = kept(&shared).await?;
    let recent = recent_rate(&shared);
    let training = loaded.model.lines_per_day();
    let stored_days = kept.days;
    let ground = Ground { loaded: &loaded, kept, rate: recent.or(training) };
    let curve = (0..=STEPS).map(|step| ground.cost(f64::from(step) / f64::from(STEPS))).collect();
    Ok(Json(Answer {
        score: loaded.threshold.score,
        source: loaded.threshold_source,
        warning_score: loaded.warning_score,
        budget_per_day: shared.app.settings.model.alert_budget_per_day,
        lines_per_day: training,
        recent_lines_per_day: recent,
        stored_days,
        histogram: Histogram::new(&loaded.model, &shared.app.board.scores().0),
        curve,
        setting: SETTING,
    }))
}

/// Which threshold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    score: Option<String>,
}

/// What one threshold would come to, and the newest kept lines that would have fired.
pub async fn preview(
    State(shared): State<Shared>,
    Asked(asked): Asked<Question>,
) -> Result<Json<impl Serialize>, Refusal> {
    let Some(score) = question::share("score", asked.score.as_deref())? else {
        return Err(Refusal::bad("score is missing: a number in [0, 1], such as ?score=0.9"));
    };
    let loaded = loaded(&shared)?;
    let kept = kept(&shared).await?;
    let (stored_days, since) = (kept.days, EventTime::from_micros(now().as_micros() - WEEK));
    let rate = recent_rate(&shared).or_else(|| loaded.model.lines_per_day());
    let cost = Ground { loaded: &loaded, kept, rate }.cost(score);
    let above = score.next_up();
    let has_all = score >= loaded.threshold.score;
    let would_have_fired = match &shared.stored {
        Some(stored) => {
            stored
                .ask(move |store| if has_all { odd(store, above, since) } else { lines(store, above, since) })
                .await?
        }
        None => Vec::new(),
    };
    Ok(Json(Preview { cost, stored_days, would_have_fired, setting: format!("{SETTING}={score}") }))
}

/// Odd lines, as they were found.
fn odd(store: &mut dyn store::Store, above: f64, since: EventTime) -> store::Result<Vec<Fired>> {
    let search = AnomalySearch {
        detector: Some(ODD_LINE.to_owned()),
        least_score: above,
        from: Some(since),
        ..AnomalySearch::default()
    };
    let found = store.search_anomalies(&search, &Page::first(MOST_SHOWN))?;
    let fired = |row: store::StoredAnomaly| Fired {
        time: row.detected_at.to_string(),
        service: row.affected_service,
        message: cut(&row.details, MESSAGE_BYTES).to_owned(),
        score: row.score,
    };
    Ok(found.rows.into_iter().map(fired).collect())
}

/// Kept lines, whatever was found of them.
fn lines(store: &mut dyn store::Store, above: f64, since: EventTime) -> store::Result<Vec<Fired>> {
    let search = LogSearch { least_score: above, from: Some(since), ..LogSearch::default() };
    let found = store.search_logs(&search, &Page::first(MOST_SHOWN))?;
    let fired = |row: store::StoredLog| Fired {
        time: row.log_timestamp.to_string(),
        service: row.service,
        message: cut(&row.message, MESSAGE_BYTES).to_owned(),
        score: row.score,
    };
    Ok(found.rows.into_iter().map(fired).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_lines_of_a_service_that_follow_each_other_are_one_alert() {
        let now = EventTime::from_micros(1_800_000_000_000_000);
        let odd = |seconds_ago: i64, service: &str, score: f64| Oddness {
            time: EventTime::from_micros(now.as_micros() - seconds_ago * 1_000_000),
            service: service.to_owned(),
            score,
        };
        let day = 86_400;
        let all = vec![
            odd(0, "a", 0.9),
            odd(50, "a", 0.7),
            odd(60, "b", 0.9),
            odd(100, "a", 0.9),
            odd(900, "a", 0.9),
            odd(2 * day, "b", 0.8),
        ];
        let kept = Kept::new(all, now, 60.0);
        assert!((kept.days - 2.0).abs() < 1e-9);
        // Of a: 0 to 100 s ago, and 900; of b: 60 s and two days ago.
        assert_eq!(kept.alerts_per_day(0.5), Some(2.0));
        // Without the one between, those at 0 and 100 s are two.
        assert_eq!(kept.alerts_per_day(0.75), Some(2.5));
        assert_eq!(kept.alerts_per_day(0.95), Some(0.0));
        assert_eq!(Kept::new(Vec::new(), now, 60.0).alerts_per_day(0.5), None);
    }
}
