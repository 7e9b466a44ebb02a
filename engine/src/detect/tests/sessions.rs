//! Sessions that are judged as a whole while lines come.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::detect::Sessions;
use crate::model::session::{SessionKey, SessionSettings, SessionTrainer};
use crate::model::train::{FirstPass, TrainParams};
use crate::model::{Contamination, Model, Provenance};

const USUAL: [&str; 4] = ["order comes in", "card is charged", "parcel is packed", "order is done"];

/// One session's lines, two seconds apart.
fn session(id: u64, begins_s: f64, messages: &[&str]) -> Vec<TestLine> {
    let line = |(at, message): (usize, &&str)| {
        let level = if message.contains("failed") { Level::Error } else { Level::Info };
        let time = NOON + begins_s + 2.0 * at as f64;
        TestLine::new(time, "shop", level, message).with("order", &format!("o{id}"))
    };
    messages.iter().enumerate().map(line).collect()
}

/// A model that was trained on sessions that go the usual way.
fn model(key: Option<&str>) -> Arc<Model> {
    let lines: Vec<LogEvent> =
        (0..300).flat_map(|id| session(id, 100.0 * id as f64, &USUAL)).map(|line| line.event).collect();
    let params = TrainParams { n_estimators: 20, ..TrainParams::default() }.check().unwrap();
    let mut first = FirstPass::new(params.clone());
    first.observe(&lines);
    let mut second = first.grow().unwrap();
    second.calibrate(&lines);
    let model = second.finish(Provenance::default());
    let Some(key) = key else { return Arc::new(model) };
    let key = SessionKey::parse(key).unwrap();
    let mut trainer = SessionTrainer::new(params, key, SessionSettings::default());
    trainer.observe(&lines);
    Arc::new(model.with_sessions(trainer.finish().unwrap()))
}

/// A bank with nothing but sessions, judged by a model of this key.
fn rig(key: &str) -> Rig {
    let mut rig = Rig::only(&["odd_session"]);
    rig.bank.set_sessions(Sessions::of(&model(Some(key)), Some(Contamination::Share(0.01))));
    rig
}

fn told(rig: &Rig) -> Vec<(String, f64)> {
    let since_noon = |time: EventTime| time.as_micros() as f64 / 1e6 - NOON;
    rig.anomalies().iter().map(|found| (found.subject.clone(), since_noon(found.time))).collect()
}

#[test]
fn a_session_that_breaks_off_is_told_after_its_idle_time_and_the_lateness() {
    let mut rig = rig("order");
    let failed = ["order comes in", "charging the card failed: no money"];
    let mut lines: Vec<TestLine> = session(1, 0.0, &USUAL);
    lines.extend(session(2, 1.0, &failed));
    lines.sort_by_key(|line| line.event.timestamp);
    lines.iter().for_each(|line| rig.push(line));
    for second in 7..68 {
        rig.tick(NOON + f64::from(second));
        assert_eq!(told(&rig), [], "{second}");
    }
    for second in 68..90 {
        rig.tick(NOON + f64::from(second));
    }
    assert_eq!(told(&rig), [("o2".to_owned(), 3.0)]);
    let found = rig.anomalies()[0].clone();
    assert_eq!((found.service.as_str(), found.severity), ("shop", Severity::Warning));
    assert!(found.headline.starts_with("odd session o2: score 0."), "{}", found.headline);
    let texts: Vec<&str> = found.evidence.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(texts, failed);
    assert!(
        found.reasons.iter().any(|why| why.contains("in none of 300 training sessions")),
        "{:?}",
        found.reasons
    );
    assert!(found.reasons.iter().any(|why| why.starts_with("lacks `")), "{:?}", found.reasons);
}

/// A model of 1,200 usual sessions in 100 days, and `more`.
fn long_trained(more: &[&str]) -> Arc<Model> {
    let mut lines: Vec<LogEvent> = (0..1_200)
        .flat_map(|id| session(id, 7_200.0 * id as f64, &USUAL))
        .chain(session(1_200, 7_200.0 * 1_200.0, more))
        .map(|line| line.event)
        .collect();
    let params = TrainParams { n_estimators: 20, ..TrainParams::default() }.check().unwrap();
    let mut trainer =
        SessionTrainer::new(params.clone(), SessionKey::parse("order").unwrap(), SessionSettings::default());
    trainer.observe(&lines);
    let time = |line: Option<&LogEvent>| line.map_or(0, |line| line.timestamp.as_micros());
    let (first_time, last_time) = (time(lines.first()), time(lines.last()));
    let rows = lines.len() as u64;
    lines.truncate(400);
    let mut first = FirstPass::new(params);
    first.observe(&lines);
    let mut second = first.grow().unwrap();
    second.calibrate(&lines);
    let model = second.finish(Provenance { rows, first_time, last_time, ..Provenance::default() });
    Arc::new(model.with_sessions(trainer.finish().unwrap()))
}

#[test]
fn what_never_was_in_a_thousand_sessions_is_a_warning_while_single_ones_do_not_bring_it_anyway() {
    let without_a_charge = [USUAL[0], USUAL[2], USUAL[3]];
    let charged_twice = [USUAL[0], USUAL[1], USUAL[1], USUAL[2], USUAL[3]];
    let told = |more: &[&str], asked: &[&str], per_day: f64| {
        let judge = Sessions::of(&long_trained(more), Some(Contamination::Share(0.5))).unwrap();
        let mut rig = Rig::only(&["odd_session"]);
        rig.bank.set_sessions(Some(judge.with_warnings_a_day(per_day)));
        session(1, 0.0, asked).iter().for_each(|line| rig.push(line));
        (0..200).for_each(|second| rig.tick(NOON + f64::from(second)));
        rig.anomalies().first().map(|found| (found.severity, found.headline.clone(), found.reasons.clone()))
    };
    let (severity, headline, reasons) = told(&USUAL, &without_a_charge, 10.0).unwrap();
    let missing = "lacks `card is charged`, which each of the 1201 sessions with ";
    assert_eq!(severity, Severity::Warning);
    assert!(headline.contains(missing) && reasons[0].starts_with(missing), "{headline} {reasons:?}");
    let (severity, headline, _) = told(&USUAL, &charged_twice, 10.0).unwrap();
    assert_eq!(severity, Severity::Warning);
    assert!(headline.contains("2 × card is charged` in none of 1201 training sessions"), "{headline}");
    // One training session alone did so in a hundred days: more of them will, but not one a day.
    let severity = |more, asked, per_day| told(more, asked, per_day).map(|(severity, _, _)| severity);
    let thrice = [USUAL[0], USUAL[1], USUAL[1], USUAL[1], USUAL[2], USUAL[3]];
    assert_eq!(severity(&charged_twice[..], &thrice[..], 1.0), Some(Severity::Warning));
    assert_ne!(severity(&charged_twice[..], &thrice[..], 0.001), Some(Severity::Warning));
    // What a training session did is no news.
    assert_ne!(severity(&charged_twice[..], &charged_twice[..], 1.0), Some(Severity::Warning));
    assert_eq!(severity(&USUAL, &USUAL, 10.0), None);
}

#[test]
fn a_clock_that_is_ahead_closes_nobodys_session() {
    let mut rig = rig("order");
    rig.tick(NOON);
    rig.push(&session(1, 0.0, &USUAL[..1])[0]);
    let ahead = TestLine::new(NOON + 86_400.0, "other", Level::Info, "hello").with("order", "o9");
    rig.push(&ahead);
    rig.push(&TestLine::new(NOON + 1.0, "other", Level::Info, "hello"));
    session(1, 0.0, &USUAL)[1..].iter().for_each(|line| rig.push(line));
    for second in 1..200 {
        rig.tick(NOON + f64::from(second));
    }
    assert!(told(&rig).iter().all(|(key, _)| key == "o9"), "{:?}", told(&rig));
}

#[test]
fn without_a_model_of_sessions_nothing_is_open() {
    let model = model(None);
    assert!(Sessions::of(&model, None).is_none());
    let mut rig = Rig::only(&["odd_session"]);
    rig.bank.set_sessions(None);
    session(1, 0.0, &["nothing usual", "at all"]).iter().for_each(|line| rig.push(line));
    (0..200).for_each(|second| rig.tick(NOON + f64::from(second)));
    assert_eq!(told(&rig), []);
}

#[test]
fn open_sessions_survive_another_model_of_the_same_key_and_no_other() {
    for (key, expected) in [("order", 1), ("other", 0)] {
        let mut rig = rig("order");
        session(1, 0.0, &["order comes in", "charging failed"]).iter().for_each(|line| rig.push(line));
        rig.bank.set_sessions(Sessions::of(&model(Some("order")), None));
        if key == "other" {
            let (before, mut after) = (rig.bank.snapshot().unwrap(), Rig::only(&["odd_session"]));
            let mut other = TestLine::new(NOON, "shop", Level::Info, "x").event;
            other.attributes = vec![("other".to_owned(), "1".to_owned())];
            let key = SessionKey::parse(key).unwrap();
            let params = TrainParams { n_estimators: 20, ..TrainParams::default() }.check().unwrap();
            let mut trainer = SessionTrainer::new(params, key, SessionSettings::default());
            trainer.observe(&[other.clone()]);
            other.attributes[0].1 = "2".to_owned();
            trainer.observe(&[other]);
            let lines = Arc::into_inner(model(None)).unwrap();
            let other = Arc::new(lines.with_sessions(trainer.finish().unwrap()));
            after.bank.set_sessions(Sessions::of(&other, None));
            after.bank.restore(&before).unwrap();
            rig = after;
        }
        (4..90).for_each(|second| rig.tick(NOON + f64::from(second)));
        assert_eq!(told(&rig).len(), expected, "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn restored_anywhere_sessions_are_judged_as_if_nothing_had_been(
        draws in prop::collection::vec((0_u64..9, 0_usize..6, 0_u32..30), 1..150),
        cut in 0_usize..150,
    ) {
        let judge = Sessions::of(&MODEL, Some(Contamination::Share(0.01)));
        let run = |cut: Option<usize>| {
            let mut rig = Rig::only(&["odd_session"]);
            rig.bank.set_sessions(judge.clone());
            let mut time = NOON;
            for (number, (id, message, after)) in draws.iter().enumerate() {
                if cut == Some(number) {
                    let bytes = state::save(&rig.bank.snapshot().unwrap()).unwrap();
                    let mut next = Rig::only(&["odd_session"]);
                    // The model may come before the snapshot or after it.
                    if number % 2 == 0 {
                        next.bank.set_sessions(judge.clone());
                    }
                    next.bank.restore(&state::load(&bytes).unwrap()).unwrap();
                    next.bank.set_sessions(judge.clone());
                    next.found = std::mem::take(&mut rig.found);
                    next.lines = rig.lines;
                    rig = next;
                }
                time += f64::from(*after);
                let message = USUAL.get(*message).copied().unwrap_or("it failed");
                let mut line = session(*id, time - NOON, &[message]).remove(0);
                line.number = number as u64 + 1;
                rig.push(&line);
                rig.tick(time);
            }
            (1..200).for_each(|second| rig.tick(time + f64::from(second)));
            rig.found
        };
        prop_assert_eq!(run(None), run(Some(cut)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_was_said_of_a_like_session_changes_no_finding(
        draws in prop::collection::vec((0_u64..40, 0_usize..6, 0_u32..30), 1..200),
    ) {
        let judge = Sessions::of(&MODEL, Some(Contamination::Share(0.01)));
        let run = |forgets: bool| {
            let mut rig = Rig::only(&["odd_session"]);
            rig.bank.set_sessions(judge.clone());
            let mut time = NOON;
            for (number, (id, message, after)) in draws.iter().enumerate() {
                time += f64::from(*after);
                let message = USUAL.get(*message).copied().unwrap_or("it failed");
                let mut line = session(*id, time - NOON, &[message]).remove(0);
                line.number = number as u64 + 1;
                if forgets {
                    rig.bank.set_sessions(judge.clone());
                }
                rig.push(&line);
                rig.tick(time);
            }
            (1..200).for_each(|second| rig.tick(time + f64::from(second)));
            rig.found
        };
        prop_assert_eq!(run(false), run(true));
    }
}

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| model(Some("order")));
