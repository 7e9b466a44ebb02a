use proptest::prelude::*;

use super::*;
use crate::testing::record;

const fn at(offset: i64) -> Position {
    Position { partition: 0, offset }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn retry() -> Outcome {
    Outcome::Retry { why: "HTTP 503".to_owned(), after: None }
}

fn dispatcher(alerts: &[&str]) -> Dispatcher {
    let mut dispatcher = Dispatcher::new(Limits::default(), 7);
    for (offset, id) in alerts.iter().enumerate() {
        dispatcher.take(at(offset as i64), Some(AlertRecord { id: (*id).to_owned(), ..record() }));
    }
    dispatcher
}

fn settled(dispatcher: &Dispatcher) -> Vec<i64> {
    dispatcher.progress().map(|progress| progress.settled.offset).collect()
}

#[test]
fn a_position_passes_only_what_is_settled() {
    let mut dispatcher = dispatcher(&["a", "b", "c"]);
    let first = dispatcher.next(seconds(0)).unwrap();
    let second = dispatcher.next(seconds(0)).unwrap();
    assert_eq!((first.position, second.position), (at(0), at(1)));
    assert!(dispatcher.done(at(1), &Outcome::Delivered, seconds(1)).unwrap().dead.is_none());
    assert_eq!(settled(&dispatcher), [-1]);
    let progress = dispatcher.progress().next().unwrap();
    assert_eq!((progress.read, progress.open), (2, vec![0, 2]));
    dispatcher.done(at(0), &Outcome::Delivered, seconds(1));
    assert_eq!(settled(&dispatcher), [1]);
    dispatcher.take(at(3), None);
    dispatcher.done(at(2), &Outcome::Delivered, seconds(1));
    assert_eq!(settled(&dispatcher), [3]);
}

#[test]
fn records_of_one_alert_stay_in_order_and_do_not_hold_up_another() {
    let mut dispatcher = dispatcher(&["a", "a", "b"]);
    assert_eq!(dispatcher.next(seconds(0)).unwrap().position, at(0));
    assert_eq!(dispatcher.next(seconds(0)).unwrap().position, at(2));
    assert_eq!(dispatcher.next(seconds(0)), None);
    assert_eq!(dispatcher.done(at(0), &retry(), seconds(0)), None);
    assert_eq!(dispatcher.next(seconds(0)), None);
    let again = dispatcher.next(seconds(1)).unwrap();
    assert_eq!((again.position, again.attempt), (at(0), 1));
}

#[test]
fn a_refused_record_is_a_dead_letter_and_the_next_is_tried() {
    let mut dispatcher = dispatcher(&["a", "a"]);
    dispatcher.next(seconds(0)).unwrap();
    let settled = dispatcher.done(at(0), &Outcome::Refused("HTTP 400".to_owned()), seconds(0)).unwrap();
    assert_eq!(settled.dead.as_deref(), Some("HTTP 400"));
    assert_eq!(dispatcher.next(seconds(0)).unwrap().position, at(1));
}

#[test]
fn what_fails_for_a_day_is_given_up() {
    let mut dispatcher = dispatcher(&["a"]);
    let mut now = seconds(0);
    let mut attempts = 0;
    let settled = loop {
        let work = dispatcher.next(now).unwrap();
        attempts += 1;
        if let Some(settled) = dispatcher.done(work.position, &retry(), now) {
            break settled;
        }
        now = dispatcher.wakes_at(now).unwrap();
    };
    assert!(settled.dead.unwrap().contains("HTTP 503"));
    assert!(now >= seconds(24 * 3_600) && now < seconds(25 * 3_600), "{now:?}");
    assert!(attempts > 280, "{attempts}");
}

#[test]
fn retry_after_is_honoured_for_all_records() {
    let mut dispatcher = dispatcher(&["a", "b"]);
    dispatcher.next(seconds(0)).unwrap();
    let asked = Outcome::Retry { why: "HTTP 429".to_owned(), after: Some(seconds(90)) };
    dispatcher.done(at(0), &asked, seconds(0));
    assert_eq!(dispatcher.next(seconds(89)), None);
    assert_eq!(dispatcher.wakes_at(seconds(89)), Some(seconds(90)));
    assert!(dispatcher.next(seconds(90)).is_some());
}

#[test]
fn a_receiver_that_fails_is_probed_with_one_request() {
    let mut dispatcher = dispatcher(&["a", "b", "c", "d", "e", "f"]);
    let now = seconds(0);
    for _ in 0..2 {
        while let Some(work) = dispatcher.next(now) {
            dispatcher.done(work.position, &retry(), now);
        }
    }
    let later = seconds(10);
    assert!(dispatcher.next(later).is_some());
    assert_eq!(dispatcher.next(later), None);
}

#[test]
fn a_partition_that_went_away_is_forgotten() {
    let mut dispatcher = dispatcher(&["a"]);
    dispatcher.next(seconds(0)).unwrap();
    dispatcher.forget(0);
    assert_eq!(dispatcher.done(at(0), &Outcome::Delivered, seconds(0)), None);
    assert_eq!(settled(&dispatcher), [0_i64; 0]);
}

proptest! {
    #[test]
    fn every_record_is_settled_once_and_in_the_order_of_its_alert(
        alerts in prop::collection::vec(0_u8..4, 1..40),
        outcomes in prop::collection::vec(0_u8..4, 1..200),
    ) {
        let mut dispatcher = Dispatcher::new(Limits { held: 8, ..Limits::default() }, 3);
        let (mut now, mut taken, mut outcomes) = (Duration::ZERO, 0, outcomes.into_iter());
        let mut finished: Vec<(u8, i64)> = Vec::new();
        let mut highest = -1;
        while finished.len() < alerts.len() {
            while dispatcher.room() > 0 && taken < alerts.len() {
                let id = alerts[taken].to_string();
                dispatcher.take(at(taken as i64), Some(AlertRecord { id, ..record() }));
                taken += 1;
            }
            match dispatcher.next(now) {
                Some(work) => {
                    let outcome = match outcomes.next() {
                        Some(0) => retry(),
                        Some(1) => Outcome::Refused(String::new()),
                        _ => Outcome::Delivered,
                    };
                    if dispatcher.done(work.position, &outcome, now).is_some() {
                        let alert = work.record.id.parse().unwrap();
                        finished.push((alert, work.position.offset));
                    }
                }
                None => now = dispatcher.wakes_at(now).unwrap(),
            }
            let settled = dispatcher.progress().next().unwrap().settled.offset;
            prop_assert!(settled >= highest);
            highest = settled;
        }
        prop_assert_eq!(highest, alerts.len() as i64 - 1);
        for alert in 0..4 {
            let of_alert: Vec<i64> = finished.iter().filter(|(id, _)| *id == alert).map(|(_, at)| *at).collect();
            prop_assert!(of_alert.is_sorted());
        }
    }
}
