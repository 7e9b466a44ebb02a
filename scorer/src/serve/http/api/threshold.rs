//! What another threshold would come to: shares of the lines, lines and alerts a day, and which of the kept lines would
//! have fired. Changes none: the answer holds the setting that would.

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
use crate::board::{Spread, cell_of};
use crate::live::Loaded;
use crate::sink::cut;

/// Steps of the curve over [0, 1].
const STEPS: u32 = 100;
/// The stored time that is looked at.
const WEEK: i64 = 7 * 86_400 * 1_000_000;
const DAY_SECONDS: f64 = 86_400.0;
/// From so many days of stored time on, alerts a day are counted in it: what a few minutes held says nothing of a day.
const LEAST_DAYS: f64 = 1.0 / 24.0;
/// From so many lines of late on, shares are theirs and not those of training.
const LEAST_LINES: u64 = 1_000;
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
    /// Of the lines of late or of training, as `share_from` says.
    share: f64,
    /// Odd lines a day, at least as many as are stored; none where nothing says how many lines a day come.
    lines_per_day: Option<f64>,
    /// Alerts that rest on odd lines, a day; never more than odd lines.
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
    share_from: &'static str,
    alerts_from: Option<&'static str>,
    stored_days: f64,
    histogram: Histogram,
    curve: Vec<Cost>,
    setting: &'static str,
}

#[derive(Debug, Serialize)]
struct Preview {
    #[serde(flatten)]
    cost: Cost,
    share_from: &'static str,
    alerts_from: Option<&'static str>,
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
    /// How long they were looked for, until now.
    days: f64,
    /// An alert of a service ends when none came for so long, in microseconds.
    resolve_after: i64,
}

impl Kept {
    /// `since` is when what is kept began; where more odd lines are kept than are looked at, the oldest of them.
    fn new(odd: Vec<Oddness>, since: EventTime, now: EventTime, resolve_after_s: f64) -> Self {
        let oldest = odd.iter().map(|one| one.time.as_micros()).min();
        let oldest = oldest.filter(|_| odd.len() >= MOST_ODD);
        let span = (now.as_micros() - oldest.unwrap_or(since.as_micros())).clamp(0, WEEK);
        Self { odd, days: span as f64 / 1e6 / DAY_SECONDS, resolve_after: (resolve_after_s * 1e6) as i64 }
    }

    const fn is_enough(&self) -> bool {
        self.days >= LEAST_DAYS
    }

    /// Lines above a score a day; none where too short a time is kept.
    fn lines_per_day(&self, score: f64) -> Option<f64> {
        let lines = self.odd.iter().filter(|one| one.score > score).count();
        self.is_enough().then(|| lines as f64 / self.days)
    }

    /// Alerts a day that lines above a score would have come to; none where too short a time is kept.
    fn alerts_per_day(&self, score: f64) -> Option<f64> {
        let mut last: HashMap<&str, i64> = HashMap::new();
        let mut alerts = 0_u64;
        // The newest come first.
        for one in self.odd.iter().filter(|one| one.score > score) {
            let time = one.time.as_micros();
            let later = last.insert(&one.service, time);
            alerts += u64::from(later.is_none_or(|later| later - time > self.resolve_after));
        }
        self.is_enough().then(|| alerts as f64 / self.days)
    }
}

/// What is known for saying what a threshold comes to.
struct Ground<'a> {
    loaded: &'a Loaded,
    kept: Kept,
    /// Lines a day.
    rate: Option<f64>,
    /// Scores of late.
    recent: &'a Spread,
}

impl Ground<'_> {
    /// Share of the lines of late above a score, those of one cell evenly spread in it; of training while too few came.
    fn share(&self, score: f64) -> f64 {
        let lines = self.recent.lines();
        if lines < LEAST_LINES {
            return self.loaded.model.share_above(score);
        }
        let cell = cell_of(score);
        let above: u64 = self.recent.cells[cell + 1..].iter().sum();
        let within = (cell + 1) as f64 - score * self.recent.cells.len() as f64;
        (above as f64 + self.recent.cells[cell] as f64 * within.clamp(0.0, 1.0)) / lines as f64
    }

    fn share_from(&self) -> &'static str {
        if self.recent.lines() < LEAST_LINES { "training" } else { "recent" }
    }

    /// Below the threshold in use the store has not all odd lines: what it tells of that one grows with the lines. Where
    /// it tells nothing, each line is an alert, which is the most that there can be.
    fn cost(&self, score: f64) -> Cost {
        let share = self.share(score);
        let in_use = self.loaded.threshold.score;
        let stored = self.kept.lines_per_day(score).filter(|_| score >= in_use || self.rate.is_some());
        let expected = self.rate.map(|rate| share * rate);
        let lines_per_day = expected.into_iter().chain(stored).reduce(f64::max);
        let alerts_per_day = if score >= in_use {
            self.kept.alerts_per_day(score)
        } else {
            let grown = share / self.share(in_use);
            let alerts = self.kept.alerts_per_day(in_use).filter(|_| grown.is_finite());
            alerts.map(|alerts| alerts * grown.max(1.0))
        };
        let alerts_per_day = match (alerts_per_day, lines_per_day) {
            (Some(alerts), Some(lines)) => Some(alerts.min(lines)),
            (alerts, lines) => alerts.or(lines),
        };
        Cost { score, share, lines_per_day, alerts_per_day }
    }

    fn alerts_from(&self) -> Option<&'static str> {
        if self.kept.is_enough() { Some("stored") } else { self.rate.map(|_| "lines") }
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
    let Some(stored) = &shared.stored else { return Ok(Kept::new(Vec::new(), now, now, 0.0)) };
    let question = move |store: &mut dyn store::Store| {
        Ok((store.oddness(ODD_LINE, from, MOST_ODD)?, store.oldest(from)?))
    };
    let (odd, oldest) = stored.ask(question).await?;
    // Since its start this process stores what it finds, be it nothing.
    let uptime = i64::try_from(shared.started.elapsed().as_micros()).unwrap_or(WEEK);
    let started = EventTime::from_micros(now.as_micros() - uptime);
    let since = oldest.map_or(started, |oldest| oldest.min(started));
    Ok(Kept::new(odd, since, now, resolve_after_s(shared)))
}

/// Lines a day at the rate of late, once it is one.
fn rate_of((spread, time): &(Spread, Duration)) -> Option<f64> {
    let is_known = *time >= LEAST_TIME && spread.lines() > 0;
    is_known.then(|| spread.lines() as f64 * DAY_SECONDS / time.as_secs_f64())
}

fn loaded(shared: &Shared) -> Result<std::sync::Arc<Loaded>, Refusal> {
    shared.app.model.get().ok_or_else(super::no_model)
}

/// The threshold in use, how scores are spread, and what others would come to.
pub async fn threshold(State(shared): State<Shared>) -> Result<Json<impl Serialize>, Refusal> {
    let loaded = loaded(&shared)?;
    let kept = kept(&shared).await?;
    let late = shared.app.board.scores();
    let (recent, training) = (rate_of(&late), loaded.model.lines_per_day());
    let stored_days = kept.days;
    let ground = Ground { loaded: &loaded, kept, rate: recent.or(training), recent: &late.0 };
    let curve = (0..=STEPS).map(|step| ground.cost(f64::from(step) / f64::from(STEPS))).collect();
    Ok(Json(Answer {
        score: loaded.threshold.score,
        source: loaded.threshold_source,
        warning_score: loaded.warning_score,
        budget_per_day: shared.app.settings.model.alert_budget_per_day,
        lines_per_day: training,
        recent_lines_per_day: recent,
        share_from: ground.share_from(),
        alerts_from: ground.alerts_from(),
        stored_days,
        histogram: Histogram::new(&loaded.model, &late.0),
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
    let late = shared.app.board.scores();
    let rate = rate_of(&late).or_else(|| loaded.model.lines_per_day());
    let ground = Ground { loaded: &loaded, kept, rate, recent: &late.0 };
    let (cost, share_from, alerts_from) = (ground.cost(score), ground.share_from(), ground.alerts_from());
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
    let setting = format!("{SETTING}={score}");
    Ok(Json(Preview { cost, share_from, alerts_from, stored_days, would_have_fired, setting }))
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
        let ago = |days: i64| EventTime::from_micros(now.as_micros() - days * day * 1_000_000);
        let kept = Kept::new(all, ago(2), now, 60.0);
        assert!((kept.days - 2.0).abs() < 1e-9);
        // Of a: 0 to 100 s ago, and 900; of b: 60 s and two days ago.
        assert_eq!(kept.alerts_per_day(0.5), Some(2.0));
        // Without the one between, those at 0 and 100 s are two.
        assert_eq!(kept.alerts_per_day(0.75), Some(2.5));
        assert_eq!(kept.alerts_per_day(0.95), Some(0.0));
        assert_eq!(kept.lines_per_day(0.5), Some(3.0));
        let short = Kept::new(
            vec![odd(0, "a", 0.9)],
            EventTime::from_micros(now.as_micros() - 600_000_000),
            now,
            60.0,
        );
        assert_eq!(
            (short.alerts_per_day(0.5), short.lines_per_day(0.5)),
            (None, None),
            "ten minutes are no day"
        );
        assert_eq!(Kept::new(vec![odd(0, "a", 0.9)], ago(4), now, 60.0).alerts_per_day(0.5), Some(0.25));
        assert_eq!(Kept::new(Vec::new(), ago(30), now, 60.0).days, 7.0);
    }
}
