//! What people decided is seen by every program on the database, and stays until it is taken back.

use rstest::rstest;

use super::*;

#[rstest]
fn a_control_is_seen_by_every_handle_until_it_is_removed(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    let (mut one, mut other) = (place.handle(), place.handle());
    assert_eq!(one.controls().unwrap(), []);
    one.put_control("b", r#"{"kind":"silence"}"#, at(1)).unwrap();
    other.put_control("a", r#"{"kind":"normal"}"#, at(2)).unwrap();
    let both = [("a", r#"{"kind":"normal"}"#), ("b", r#"{"kind":"silence"}"#)];
    let both = both.map(|(id, record)| (id.to_owned(), record.to_owned()));
    assert_eq!(one.controls().unwrap(), both);
    assert_eq!(other.controls().unwrap(), both);
    assert!(other.remove_control("b").unwrap());
    assert!(!one.remove_control("b").unwrap(), "it is gone");
    assert_eq!(one.controls().unwrap(), both[..1]);
}

#[rstest]
fn a_control_of_the_same_id_takes_the_place_of_the_one_before(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.put_control("a", "{}", at(1)).unwrap();
    store.put_control("a", r#"{"until":2}"#, at(2)).unwrap();
    assert_eq!(store.controls().unwrap(), [("a".to_owned(), r#"{"until":2}"#.to_owned())]);
}

#[rstest]
fn retention_leaves_what_people_decided_alone(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.put_control("a", "{}", at(1)).unwrap();
    let retention = crate::Retention { days: 1, most_bytes: 1 };
    store.maintain(at(400 * 86_400), &retention).unwrap();
    assert_eq!(store.controls().unwrap().len(), 1);
}
