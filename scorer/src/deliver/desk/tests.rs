use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::super::ledger::Keep;
use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const ZERO: Duration = Duration::ZERO;

#[derive(Default)]
struct Outside {
    events: Vec<Event>,
    settled: Vec<i64>,
    asked: Vec<usize>,
    results: Vec<SinkResult>,
    letters: Vec<DeadLetter>,
    cannot_keep: bool,
}

/// What the desk sees of the world: an outbox and a place for results, both in memory.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Outside>>);

impl Outbox for World {
    fn poll(&mut self, most: usize, _wait: Duration) -> Result<Vec<Event>, String> {
        let mut outside = self.0.lock().unwrap();
        outside.asked.push(most);
        let most = most.min(outside.events.len());
        Ok(outside.events.drain(..most).collect())
    }

    fn settle(&mut self, progress: &[Progress]) -> Result<(), String> {
        self.0.lock().unwrap().settled = progress.iter().map(|one| one.settled.offset).collect();
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl Keep for World {
    fn results(&mut self, results: &[SinkResult]) -> Result<(), String> {
        self.0.lock().unwrap().results.extend_from_slice(results);
        Ok(())
    }

    fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), String> {
        let mut outside = self.0.lock().unwrap();
        if outside.cannot_keep {
            return Err("the disk is full".to_owned());
        }
        outside.letters.extend_from_slice(letters);
        Ok(())
    }
}

/// A record as it stands in an outbox.
pub fn record(id: &str, notify: &[&str]) -> Value {
    json!({
        "schema": 1, "id": id, "revision": 1, "cause": "opened", "status": "firing", "severity": "error",
        "service": "billing", "detector": "error_burst", "message": "6 ERROR lines in 5 s",
        "first_seen": "2026-01-02T12:00:10Z", "last_seen": "2026-01-02T12:00:12Z", "resolved_at": null,
        "count": 1, "score": 0.5, "reasons": [], "parts": [], "evidence": [], "source": null, "model": "",
        "link": null, "notify": notify, "held_back": false,
    })
}

fn taken(offset: i64, json: &[u8]) -> Event {
    let position = Position { partition: 0, offset };
    Event::Taken(Taken { position, json: json.to_vec(), written_ms: Some(0) })
}

fn told(offset: i64, id: &str, notify: &[&str]) -> Event {
    taken(offset, record(id, notify).to_string().as_bytes())
}

fn desk(events: Vec<Event>) -> (Desk, World) {
    let world = World::default();
    world.0.lock().unwrap().events = events;
    let metrics = SinkMetrics::default();
    let ledger = Ledger::new("slack", vec![Box::new(world.clone())], metrics.clone());
    let limits = Limits { held: 4, retry_for: Duration::from_secs(60), ..Limits::default() };
    let mut desk = Desk::new("slack", Box::new(world.clone()), ledger, metrics, limits, 1);
    desk.take(ZERO, NOW);
    (desk, world)
}

fn end(desk: &mut Desk, work: Work, outcome: Outcome, now: Duration) {
    desk.done(Done { work, outcome, took: ZERO }, now, NOW);
    desk.keep(now, NOW);
}

fn settled(world: &World) -> Vec<i64> {
    world.0.lock().unwrap().settled.clone()
}

#[test]
fn only_records_that_name_the_sink_are_sent_and_the_others_are_settled() {
    let (mut desk, world) =
        desk(vec![told(0, "a", &["email"]), told(1, "b", &["slack"]), told(2, "c", &[]), taken(3, b"")]);
    desk.keep(ZERO, NOW);
    assert_eq!(settled(&world), [0]);
    let work = desk.next(ZERO).unwrap();
    assert_eq!((work.record.id.as_str(), desk.next(ZERO)), ("b", None));
    end(&mut desk, work, Outcome::Delivered, ZERO);
    assert_eq!(settled(&world), [3]);
    let results = world.0.lock().unwrap().results.clone();
    assert_eq!((results.len(), results[0].result, results[0].attempt), (1, Verdict::Delivered, 1));
}

#[test]
fn what_is_no_alert_record_holds_nothing_up() {
    let mut newer = record("a", &["slack"]);
    newer["schema"] = json!(2);
    let newer = newer.to_string();
    let (mut desk, world) =
        desk(vec![taken(0, b"{"), taken(1, newer.as_bytes()), taken(2, b"[]"), told(3, "b", &["slack"])]);
    assert_eq!(desk.next(ZERO).unwrap().record.id, "b");
    desk.keep(ZERO, NOW);
    assert_eq!(settled(&world), [2]);
}

#[test]
fn a_refused_record_is_settled_only_once_its_dead_letter_is_kept() {
    let (mut desk, world) = desk(vec![told(0, "a", &["slack"])]);
    world.0.lock().unwrap().cannot_keep = true;
    let work = desk.next(ZERO).unwrap();
    end(&mut desk, work, Outcome::Refused("HTTP 400".to_owned()), ZERO);
    assert_eq!(settled(&world), [0_i64; 0]);
    world.0.lock().unwrap().cannot_keep = false;
    desk.keep(Duration::from_secs(5), NOW);
    assert_eq!(settled(&world), [0]);
    let outside = world.0.lock().unwrap();
    assert_eq!((outside.letters.len(), outside.letters[0].reason.as_str()), (1, "HTTP 400"));
    assert_eq!(outside.letters[0].record.id, "a");
    assert_eq!(outside.results[0].result, Verdict::Refused);
}

#[test]
fn dead_letters_that_nobody_keeps_take_the_room_of_new_records() {
    let events = (0..8).map(|offset| told(offset, &offset.to_string(), &["slack"])).collect();
    let (mut desk, world) = desk(events);
    world.0.lock().unwrap().cannot_keep = true;
    for _ in 0..3 {
        let work = desk.next(ZERO).unwrap();
        end(&mut desk, work, Outcome::Refused(String::new()), ZERO);
    }
    desk.take(ZERO, NOW);
    assert_eq!(world.0.lock().unwrap().asked, [4, 0]);
}

#[test]
fn what_fails_for_too_long_is_a_dead_letter_that_says_why() {
    let (mut desk, world) = desk(vec![told(0, "a", &["slack"])]);
    let mut now = ZERO;
    let retry = Outcome::Retry { why: "HTTP 503".to_owned(), after: None };
    while let Some(work) = desk.next(now) {
        end(&mut desk, work, retry.clone(), now);
        now += desk.idle_for(now, Duration::from_secs(1_000));
        if world.0.lock().unwrap().letters.is_empty() {
            assert_eq!(settled(&world), [-1]);
        }
    }
    assert_eq!(settled(&world), [0]);
    let outside = world.0.lock().unwrap();
    assert!(outside.letters[0].reason.contains("HTTP 503"), "{}", outside.letters[0].reason);
    let (last, before) = outside.results.split_last().unwrap();
    assert_eq!(last.result, Verdict::Dead);
    assert!(before.iter().all(|result| result.result == Verdict::Retried));
    assert_eq!(last.attempt as usize, outside.results.len());
}

#[test]
fn a_partition_that_went_away_is_neither_sent_nor_settled() {
    let (mut desk, world) = desk(vec![told(0, "a", &["slack"]), Event::Gone(0)]);
    assert_eq!(desk.next(ZERO), None);
    desk.keep(ZERO, NOW);
    assert_eq!(settled(&world), [0_i64; 0]);
}
