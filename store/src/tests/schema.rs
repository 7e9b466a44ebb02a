//! Tables of an older, a newer and the same program.

use rstest::rstest;

use super::*;
use crate::{Error, LogFilter, Page};

#[rstest]
fn tables_are_made_once_however_many_handles_open_at_the_same_time(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let mut store = place.handle();
            scope.spawn(move || store.write(&rows([log(number)])).unwrap());
        }
    });
    assert_eq!(place.handle().last_logs(&LogFilter::default(), &Page::first(10)).unwrap().len(), 4);
    place.by_hand(
        "CREATE TABLE seen AS SELECT 1 / (2 - COUNT(*)) AS fine FROM isolog_schema WHERE version = 2",
    );
}

#[rstest]
fn tables_of_a_newer_program_are_refused_and_left_alone(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    place.handle().write(&rows([log(1)])).unwrap();
    place.by_hand("UPDATE isolog_schema SET version = 99");
    assert!(matches!(place.handle().version(), Err(Error::NewerSchema { found: 99, .. })));
    let error = place.handle().prepare().unwrap_err();
    assert!(matches!(error, Error::NewerSchema { found: 99, known: 2, .. }), "{error}");
    assert!(!error.is_transient());
    assert!(error.to_string().contains("newer program"), "{error}");
    place.by_hand("UPDATE isolog_schema SET version = 2");
    assert_eq!(place.handle().last_logs(&LogFilter::default(), &Page::first(10)).unwrap().len(), 1);
}

#[rstest]
fn a_step_that_fails_leaves_nothing_behind(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    if let StoreSettings::Embedded { path } = &place.settings {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    }
    // In the way of the last table of the step.
    place.by_hand("CREATE TABLE dead_letters (x BIGINT)");
    let error = place.handle().prepare().unwrap_err();
    assert!(error.to_string().contains("dead_letters"), "{error}");
    place.by_hand("DROP TABLE dead_letters");
    place.handle().write(&rows([log(1)])).unwrap();
}

#[rstest]
fn looking_at_the_version_makes_no_table(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    assert_eq!(store.version().unwrap(), 0);
    assert_eq!(store.version().unwrap(), 0);
    store.prepare().unwrap();
    assert_eq!(place.handle().version().unwrap(), 2);
}

#[rstest]
fn tables_of_an_older_program_are_brought_forward_with_what_they_hold(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    place.handle().write(&rows([log(1)])).unwrap();
    place.by_hand("DROP TABLE controls; UPDATE isolog_schema SET version = 1");
    let mut store = place.handle();
    store.put_control("a", "{}", at(1)).unwrap();
    assert_eq!(store.version().unwrap(), 2);
    assert_eq!(store.last_logs(&LogFilter::default(), &Page::first(10)).unwrap().len(), 1);
}
