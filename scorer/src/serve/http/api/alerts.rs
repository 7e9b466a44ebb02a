//! Alerts: a list of them as their newest records, and one with its history, its deliveries and why its lines are odd.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use engine::detect::Severity;
use engine::event::{EventTime, Level, LogEvent};
use engine::model::{Reason, Scratch};
use notify::{AlertRecord, EvidenceField, Status};
use serde::{Deserialize, Serialize};
use store::{AlertSearch, Found, FoundAlert, Page, PageKey};

use super::super::Shared;
use super::super::answer::{Asked, Named, Refusal};
use super::super::control;
use super::question::{self, cursor};
use crate::board::{holds, last_seen};
use crate::control::{ToldNormal, ToldSilence};
use crate::deliver::SinkResult;
use crate::live::Loaded;

/// Alerts where no number is asked for.
const USUAL: usize = 100;
/// Records of one alert that are told: the first and the newest.
const MOST_RECORDS: usize = 100;
/// Deliveries of one alert that are told, the newest.
const MOST_DELIVERIES: usize = 500;
const STATUSES: [Status; 3] = [Status::Firing, Status::Resolved, Status::Muted];

/// Which alerts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    status: Option<String>,
    severity: Option<String>,
    service: Option<String>,
    text: Option<String>,
    limit: Option<String>,
    after: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer {
    alerts: Vec<AlertRecord>,
    next: Option<String>,
}

/// What is asked for, checked.
struct Filter {
    status: Option<Status>,
    severity: Option<Severity>,
    service: Option<String>,
    text: String,
}

impl Filter {
    fn wants(&self, record: &AlertRecord) -> bool {
        self.status.is_none_or(|status| record.status == status)
            && self.severity.is_none_or(|severity| record.severity == severity)
            && self.service.as_ref().is_none_or(|service| record.service == *service)
            && [&record.message, &record.service, &record.detector].iter().any(|name| holds(name, &self.text))
    }

    fn search(&self) -> AlertSearch {
        AlertSearch {
            status: self.status.map(|status| status.as_str().to_owned()),
            severity: self.severity.map(|severity| severity.as_str().to_owned()),
            service: self.service.clone(),
            text: self.text.clone(),
        }
    }
}

/// Alerts, those with the newest anomaly first, each as its newest record with what came since: out of the store, and out of memory what is
/// not there yet or where there is none.
pub async fn list(
    State(shared): State<Shared>,
    Asked(asked): Asked<Question>,
) -> Result<Json<impl Serialize>, Refusal> {
    let filter = Filter {
        status: question::one_of("status", asked.status.as_deref(), &STATUSES, Status::as_str)?,
        severity: question::one_of("severity", asked.severity.as_deref(), &Severity::ALL, Severity::as_str)?,
        service: question::service(asked.service)?,
        text: question::text(asked.text)?,
    };
    let page = question::page(asked.limit.as_deref(), USUAL, asked.after.as_deref())?;
    let found = match &shared.stored {
        Some(stored) => {
            let (search, page) = (filter.search(), page.clone());
            stored.ask(move |store| store.search_alerts(&search, &page)).await?
        }
        None => Found { rows: Vec::new(), next: None, is_cut_short: false },
    };
    let newest = shared.app.board.alerts().newest();
    let (alerts, next) = merged(found, newest, &filter, &page);
    let alerts = alerts.into_iter().map(Arc::unwrap_or_clone).collect();
    Ok(Json(Answer { alerts, next: next.as_ref().map(cursor) }))
}

/// The page out of the store with the alerts in memory that belong into it.
fn merged(
    found: Found<FoundAlert>,
    newest: Vec<Arc<AlertRecord>>,
    filter: &Filter,
    page: &Page,
) -> (Vec<Arc<AlertRecord>>, Option<PageKey>) {
    let key = |record: &AlertRecord| (last_seen(record), record.id.clone());
    let mut all: BTreeMap<(i64, String), Arc<AlertRecord>> = BTreeMap::new();
    let mut newer: BTreeSet<&str> = BTreeSet::new();
    let stored: Vec<AlertRecord> = found
        .rows
        .iter()
        .filter_map(|row| {
            let read = serde_json::from_str(&row.record);
            read.inspect_err(|error| tracing::warn!(id = row.id, %error, "an alert cannot be read")).ok()
        })
        .collect();
    let before = page.after.as_ref().map(|after| (after.time.as_micros(), after.id.clone()));
    // What comes behind the page comes with a later one.
    let end = found.next.as_ref().map(|next| (next.time.as_micros(), next.id.clone()));
    for record in &newest {
        let stands = stored.iter().find(|stored| stored.id == record.id);
        // Of one revision, the one in memory may have grown since it was written.
        let age = |record: &AlertRecord| (record.revision, last_seen(record), record.count);
        if stands.is_some_and(|stored| age(stored) >= age(record)) {
            continue;
        }
        newer.insert(&record.id);
        let at = key(record);
        if filter.wants(record)
            && before.as_ref().is_none_or(|before| at < *before)
            && end.as_ref().is_none_or(|end| at >= *end)
        {
            all.insert(at, Arc::clone(record));
        }
    }
    let kept: Vec<AlertRecord> =
        stored.into_iter().filter(|record| !newer.contains(record.id.as_str())).collect();
    all.extend(kept.into_iter().map(|record| (key(&record), Arc::new(record))));
    let too_many = all.len() > page.most;
    let alerts: Vec<Arc<AlertRecord>> = all.into_values().rev().take(page.most).collect();
    let last = alerts.last().filter(|_| too_many).map(|record| PageKey {
        time: EventTime::from_micros(last_seen(record)),
        number: 0,
        id: record.id.clone(),
    });
    (alerts, last.or(found.next))
}

#[derive(Debug, Serialize)]
struct Detail {
    /// The newest record, with what came since.
    alert: AlertRecord,
    /// Oldest first; the first and the newest of very many.
    history: Vec<AlertRecord>,
    deliveries: Vec<DeliveryField>,
    evidence: Vec<Explained>,
    /// Silences over it that are in force.
    silences: Vec<ToldSilence>,
    /// What was called normal of it.
    normals: Vec<ToldNormal>,
    /// Digest of the model that explains the evidence; none while no model is loaded.
    explained_by: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
struct DeliveryField {
    sink: String,
    revision: u32,
    /// `delivered`, `refused`, `retried`, `dead`, or `waiting` where nothing was tried yet.
    outcome: String,
    time: Option<String>,
    detail: Option<String>,
}

#[derive(Debug, Serialize)]
struct Explained {
    #[serde(flatten)]
    line: EvidenceField,
    /// The forest's own score by that model, in [0, 1].
    forest: Option<f64>,
    /// Mean of the three greatest word surprisals by that model, in nats.
    surprisal: Option<f64>,
    reasons: Vec<Reason>,
    pattern: Option<String>,
    pattern_seen: Option<u64>,
    nearest_pattern: Option<String>,
}

/// One alert.
pub async fn detail(State(shared): State<Shared>, Named(id): Named) -> Result<Json<impl Serialize>, Refusal> {
    let is_id = id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let unknown = || {
        let id: String = id.chars().take(100).collect();
        Refusal::missing(format!(
            "there is no alert {id:?}: ids are those of /api/v1/alerts; what is older than the retention is gone"
        ))
    };
    if !is_id {
        return Err(unknown());
    }
    let board = &shared.app.board;
    let (mut stored, mut results) = (Vec::new(), Vec::new());
    if let Some(store) = &shared.stored {
        let asked = id.clone();
        let question = move |store: &mut dyn store::Store| {
            Ok((store.alert(&asked)?, store.sink_results(&asked, MOST_DELIVERIES)?))
        };
        let (alert, told) = store.ask(question).await?;
        stored = alert.map(|alert| alert.records).unwrap_or_default();
        results = told;
    }
    let read = |json: &String| serde_json::from_str::<AlertRecord>(json).ok();
    let mut by_revision: BTreeMap<u32, AlertRecord> =
        stored.iter().filter_map(read).map(|record| (record.revision, record)).collect();
    for record in board.alerts().records(&id) {
        by_revision.entry(record.revision).or_insert_with(|| (*record).clone());
    }
    let mut history: Vec<AlertRecord> = by_revision.into_values().collect();
    let Some(newest) = history.last().cloned() else { return Err(unknown()) };
    let alert = Arc::unwrap_or_clone(board.alerts().as_it_stands(&Arc::new(newest)));
    let deliveries = deliveries(results, board.outcomes(&id), &history);
    if history.len() > MOST_RECORDS {
        history.drain(1..=history.len() - MOST_RECORDS);
    }
    let loaded = shared.app.model.get();
    let explained_by = loaded.as_ref().map(|loaded| loaded.model.digest().to_owned());
    let (service, lines) = (alert.service.clone(), alert.evidence.clone());
    let explained = tokio::task::spawn_blocking(move || {
        lines.into_iter().map(|line| explain(line, &service, loaded.as_deref())).collect()
    });
    let evidence = explained.await.map_err(|error| {
        tracing::error!(%error, "explaining an alert failed");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "explaining the alert failed")
    })?;
    let (silences, normals) = control::over(&shared, &alert);
    Ok(Json(Detail { alert, history, deliveries, evidence, silences, normals, explained_by }))
}

/// Why a line of the evidence is as odd as it is, by the model in use: it may be another one than the line was scored
/// by, and knows nothing of what was learnt since.
fn explain(line: EvidenceField, service: &str, loaded: Option<&Loaded>) -> Explained {
    let level = line.level.as_deref();
    let event = LogEvent {
        service: service.to_owned(),
        level: level.and_then(|name| Level::ALL.into_iter().find(|level| level.as_str() == name)),
        message: line.message.clone(),
        ..LogEvent::default()
    };
    let Some(loaded) = loaded else {
        return Explained {
            line,
            forest: None,
            surprisal: None,
            reasons: Vec::new(),
            pattern: None,
            pattern_seen: None,
            nearest_pattern: None,
        };
    };
    let mut scratch = Scratch::default();
    let score = loaded.model.score(&event, &mut scratch);
    let explanation = loaded.model.explain(&event, &mut scratch);
    Explained {
        line,
        forest: Some(score.forest),
        surprisal: Some(score.surprisal),
        reasons: explanation.reasons,
        pattern: Some(explanation.pattern),
        pattern_seen: Some(explanation.pattern_seen),
        nearest_pattern: explanation.nearest_pattern,
    }
}

/// What became of each attempt, and which sinks still wait for which record.
fn deliveries(
    stored: Vec<store::SinkResult>,
    remembered: Vec<SinkResult>,
    history: &[AlertRecord],
) -> Vec<DeliveryField> {
    let mut attempts: BTreeMap<(i64, String, u32), DeliveryField> = BTreeMap::new();
    for result in stored {
        let revision = u32::try_from(result.revision).unwrap_or(u32::MAX);
        let field = DeliveryField {
            sink: result.sink.clone(),
            revision,
            outcome: result.outcome,
            time: Some(result.at.to_string()),
            detail: Some(result.detail).filter(|detail| !detail.is_empty()),
        };
        attempts.insert((result.at.as_micros(), result.sink, revision), field);
    }
    for result in remembered {
        let at = EventTime::from_micros(result.at.as_microsecond());
        let field = DeliveryField {
            sink: result.sink.clone(),
            revision: result.revision,
            outcome: result.result.as_str().to_owned(),
            time: Some(at.to_string()),
            detail: result.detail,
        };
        attempts.insert((at.as_micros(), result.sink, result.revision), field);
    }
    let told: BTreeSet<(String, u32)> =
        attempts.values().map(|attempt| (attempt.sink.clone(), attempt.revision)).collect();
    let wait =
        history.iter().flat_map(|record| record.notify.iter().map(|sink| (sink.clone(), record.revision)));
    let waiting: Vec<DeliveryField> = wait
        .filter(|waiting| !told.contains(waiting))
        .map(|(sink, revision)| DeliveryField {
            sink,
            revision,
            outcome: "waiting".to_owned(),
            time: None,
            detail: None,
        })
        .collect();
    let mut all: Vec<DeliveryField> = attempts.into_values().chain(waiting).collect();
    all.drain(..all.len().saturating_sub(MOST_DELIVERIES));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: i64, revision: u32, status: &str) -> AlertRecord {
        let time = EventTime::from_micros(number).to_string();
        serde_json::from_value(serde_json::json!({
            "schema": 1, "id": format!("{number:032x}"), "revision": revision, "cause": "opened",
            "status": status, "severity": "error", "service": "a", "detector": "d", "message": "m",
            "first_seen": time, "last_seen": time, "resolved_at": null, "count": 1, "score": 0.5,
            "reasons": [], "parts": [], "evidence": [], "source": null, "model": "d", "link": null,
            "notify": ["slack"], "held_back": false,
        }))
        .unwrap()
    }

    fn found(records: &[AlertRecord], next: Option<i64>) -> Found<FoundAlert> {
        let row = |record: &AlertRecord| FoundAlert {
            last_seen: EventTime::from_micros(last_seen(record)),
            id: record.id.clone(),
            record: serde_json::to_string(record).unwrap(),
        };
        let key = |number| PageKey {
            time: EventTime::from_micros(number),
            number: 0,
            id: format!("{number:032x}"),
        };
        Found { rows: records.iter().map(row).collect(), next: next.map(key), is_cut_short: false }
    }

    fn told((alerts, next): (Vec<Arc<AlertRecord>>, Option<PageKey>)) -> (Vec<(i64, u32)>, Option<i64>) {
        let told = alerts.iter().map(|record| (last_seen(record), record.revision)).collect();
        (told, next.map(|key| key.time.as_micros()))
    }

    #[test]
    fn what_is_newer_in_memory_takes_the_place_of_what_the_store_has() {
        let any = Filter { status: None, severity: None, service: None, text: String::new() };
        let firing = Filter { status: Some(Status::Firing), ..any };
        let any = Filter { status: None, severity: None, service: None, text: String::new() };
        let stored = [record(9, 1, "firing"), record(5, 1, "firing"), record(3, 2, "firing")];
        let memory: Vec<Arc<AlertRecord>> =
            [record(9, 2, "resolved"), record(7, 1, "firing"), record(3, 1, "firing")].map(Arc::new).into();
        let page = |most| Page::first(most);
        let merge =
            |filter, most, next| told(merged(found(&stored, next), memory.clone(), filter, &page(most)));
        assert_eq!(merge(&any, 10, None), (vec![(9, 2), (7, 1), (5, 1), (3, 2)], None));
        assert_eq!(merge(&firing, 10, None), (vec![(7, 1), (5, 1), (3, 2)], None));
        assert_eq!(merge(&any, 2, None), (vec![(9, 2), (7, 1)], Some(7)));
        // A page of the store that ends at 5: what is older comes with the next one.
        let cut = found(&stored[..2], Some(5));
        let old: Vec<_> = [record(2, 1, "firing")].map(Arc::new).into();
        assert_eq!(told(merged(cut, old, &any, &page(2))), (vec![(9, 1), (5, 1)], Some(5)));
    }

    #[test]
    fn without_a_store_pages_follow_each_other_too() {
        let any = Filter { status: None, severity: None, service: None, text: String::new() };
        let memory: Vec<_> = (0..7).map(|number| Arc::new(record(number, 1, "firing"))).collect();
        let (mut page, mut seen) = (Page::first(3), Vec::new());
        loop {
            let (alerts, next) = merged(found(&[], None), memory.clone(), &any, &page);
            seen.extend(alerts.iter().map(|record| last_seen(record)));
            let Some(next) = next else { break };
            page = Page::after(next, 3);
        }
        assert_eq!(seen, [6, 5, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn a_sink_that_was_not_tried_yet_waits_and_an_attempt_is_told_once() {
        let at = jiff::Timestamp::from_microsecond(5).unwrap();
        let remembered = SinkResult {
            schema: 1,
            sink: "slack".to_owned(),
            alert_id: "a".to_owned(),
            revision: 1,
            service: "a".to_owned(),
            result: crate::deliver::Verdict::Delivered,
            attempt: 1,
            detail: None,
            duration_ms: 3,
            at,
        };
        let stored = store::SinkResult {
            sink: "slack".to_owned(),
            alert_id: "a".to_owned(),
            revision: 1,
            outcome: "delivered".to_owned(),
            status: None,
            detail: String::new(),
            at: EventTime::from_micros(5),
        };
        let history = [record(1, 1, "firing"), record(1, 2, "resolved")];
        let told = deliveries(vec![stored], vec![remembered], &history);
        let told: Vec<(u32, &str)> = told.iter().map(|it| (it.revision, it.outcome.as_str())).collect();
        assert_eq!(told, [(1, "delivered"), (2, "waiting")]);
    }
}
