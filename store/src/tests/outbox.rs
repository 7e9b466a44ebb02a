//! Receivers of alerts get each record once, in order, and know where they were.

use rstest::rstest;

use super::*;
use crate::{DeadLetter, SinkResult};

#[rstest]
fn records_come_in_the_order_in_which_they_were_written(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    let mut store = place.handle();
    assert_eq!(store.sink_position("slack").unwrap(), 0);
    store.write(&alerts([alert(1, 1), alert(2, 1)])).unwrap();
    store.write(&alerts([alert(1, 2)])).unwrap();
    let first = store.outbox_after(0, 2).unwrap();
    let texts: Vec<&[u8]> = first.iter().map(|(_, record)| record.as_slice()).collect();
    assert_eq!(texts, [alert(1, 1).record.as_bytes(), alert(2, 1).record.as_bytes()]);
    store.settle("slack", first[1].0).unwrap();
    let position = place.handle().sink_position("slack").unwrap();
    let rest = store.outbox_after(position, 10).unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].1, alert(1, 2).record.as_bytes());
}

#[rstest]
fn a_position_never_goes_back(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.settle("slack", 7).unwrap();
    store.settle("slack", 3).unwrap();
    assert_eq!(store.sink_position("slack").unwrap(), 7);
}

#[rstest]
fn a_sink_that_asks_for_the_first_time_begins_with_the_oldest_record(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.write(&alerts([alert(1, 1)])).unwrap();
    for _ in 0..2 {
        assert_eq!(store.sink_position("late").unwrap(), 0);
    }
    assert_eq!(store.outbox_after(0, 10).unwrap().len(), 1);
}

#[rstest]
fn numbers_are_never_given_twice_even_when_all_records_are_gone(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.write(&alerts([alert(1, 1)])).unwrap();
    let number = store.outbox_after(0, 1).unwrap()[0].0;
    place.by_hand("DELETE FROM alert_records");
    store.write(&alerts([alert(2, 1)])).unwrap();
    assert!(store.outbox_after(number, 1).unwrap()[0].0 > number);
}

#[rstest]
fn of_two_programs_one_leads_until_it_ends(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let (mut one, mut other) = (place.handle(), place.handle());
    assert!(one.lead("slack").unwrap());
    assert!(one.lead("slack").unwrap());
    assert!(!other.lead("slack").unwrap());
    assert!(other.lead("mail").unwrap());
    drop(one);
    // The server notices the end of a connection by itself, a moment later.
    let mut leads = false;
    while !leads {
        leads = other.lead("slack").unwrap();
    }
}

#[rstest]
fn writers_beside_each_other_skip_no_number(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    const WRITERS: u32 = 4;
    const EACH: u32 = 25;
    let place = Place::new(which);
    place.handle().prepare().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut store = place.handle();
            scope.spawn(move || {
                for number in 0..EACH {
                    store.write(&alerts([alert(writer * 1_000 + number, 1)])).unwrap();
                }
            });
        }
        let mut reader = place.handle();
        let (mut position, mut seen) = (0, 0);
        while seen < WRITERS * EACH {
            for (number, _) in reader.outbox_after(position, 7).unwrap() {
                assert!(number > position);
                position = number;
                seen += 1;
            }
        }
    });
}

#[rstest]
fn a_dead_letter_is_kept_once_and_forgotten_when_asked(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    let mut store = place.handle();
    let letter = |number: i64| DeadLetter {
        sink: "slack".to_owned(),
        alert_id: format!("b{number}"),
        revision: 1,
        reason: "refused with 400".to_owned(),
        at: at(number),
        record: "{\"a\":1}".to_owned(),
    };
    for number in [1, 2, 1] {
        store.dead_letter(&letter(number)).unwrap();
    }
    let kept = store.dead_letters("slack", 0, 10).unwrap();
    assert_eq!(kept.iter().map(|kept| kept.letter.clone()).collect::<Vec<_>>(), [letter(1), letter(2)]);
    assert!(store.dead_letters("mail", 0, 10).unwrap().is_empty());
    assert_eq!(store.dead_letters("slack", kept[0].number, 10).unwrap().len(), 1);
    store.forget_dead_letter(kept[0].number).unwrap();
    assert_eq!(store.dead_letters("slack", 0, 10).unwrap()[0].letter, letter(2));
}

#[rstest]
fn what_became_of_a_delivery_is_kept(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    let result = SinkResult {
        sink: "slack".to_owned(),
        alert_id: "b1".to_owned(),
        revision: 1,
        outcome: "delivered".to_owned(),
        status: Some(200),
        detail: "ok".to_owned(),
        at: at(1),
    };
    store.sink_result(&result).unwrap();
    store.sink_result(&SinkResult { status: None, ..result }).unwrap();
    place.by_hand(
        "CREATE TABLE seen AS SELECT 1 / (COUNT(*) - 1) AS fine FROM sink_results WHERE outcome = 'delivered'",
    );
}
