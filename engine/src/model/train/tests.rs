//! What is remembered of lines changes no bit of a model.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::artifact;
use crate::event::Level;

/// How much is remembered, and when what is rare is dropped.
#[derive(Clone, Copy)]
struct Room {
    lines: usize,
    keys: usize,
    patterns: usize,
}

fn params() -> CheckedTrainParams {
    let params =
        TrainParams { n_estimators: 9, max_samples: 32, n_features: 1 << 10, ..TrainParams::default() };
    params.check().unwrap()
}

/// Lines from few words: some come again to the letter, some but for their numbers, some never.
fn lines() -> impl Strategy<Value = Vec<LogEvent>> {
    let words =
        proptest::sample::select(vec!["open", "close", "read", "0x1f", "7", "42", "10.0.0.1", "été", "<x>"]);
    let message = proptest::collection::vec(words, 1..4).prop_map(|words| words.join(" "));
    let line = (message, 0_u32..3, 0_usize..40).prop_map(|(message, service, rare)| LogEvent {
        service: format!("s{service}"),
        level: Some(Level::ALL[service as usize + 2]),
        message: match rare {
            0..8 => format!("{message} {}", "abcdefgh".repeat(rare + 1)),
            // Beyond what is kept of a line.
            8..11 => format!("{} {message}", "ijkl mnop ".repeat(60)),
            _ => message,
        },
        ..LogEvent::default()
    });
    proptest::collection::vec(line, 2..400)
}

/// Lines of few kinds, in which what is put for `#` may make them hold a secret.
fn secretive() -> impl Strategy<Value = Vec<LogEvent>> {
    let kind = proptest::sample::select(vec![
        "paid # today",
        "key # used",
        "token=#",
        "open #",
        "at node# up",
        "PASSWORD # set",
        "to # and #",
        "url a://#:#@b",
    ]);
    let value = proptest::sample::select(vec![
        "4111 1111 1111 1111",
        "4111 1111 1111 1112",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
        "7",
        "12",
        "k9",
        "k8",
        "abC1d2e3fGciOiJIUzI1NiJ9.aBCzdWIiOiIxMjM0In0.abc",
        "AKIAIOSFODNN7EXAMPLE",
        "ABCDIOSFODNN7EXAMPLE",
        "0xbead12",
        "'x1'",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "abc_9876543210abcdefghijABCDEFGHIJ012345",
        "aws12345",
        "aab12345",
    ]);
    let line = (kind, value, 0_u32..3).prop_map(|(kind, value, service)| LogEvent {
        service: if service == 0 { "pin=1234".to_owned() } else { format!("s{service}") },
        message: kind.replace('#', value),
        attributes: vec![("password".to_owned(), "x".to_owned())],
        ..LogEvent::default()
    });
    proptest::collection::vec(line, 2..300)
}

fn observed(lines: &[LogEvent], room: Room, batch: usize) -> FirstPass {
    let mut first = FirstPass::new(params());
    first.known = Known::new(room.lines);
    first.counts = Counts::with_most(room.keys);
    first.patterns = PatternTable::with_most(room.patterns);
    let mut before = 0;
    for events in lines.chunks(batch) {
        first.observe_tagged(events, |at| [before + at as u64, 0]);
        before += events.len() as u64;
    }
    first
}

fn finished(second: SecondPass) -> Vec<u8> {
    artifact::to_bytes(&second.finish(Provenance::default())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_remembered_changes_no_byte(
        lines in lines(), most_known in 1_usize..30, keys in 8_usize..60, patterns in 2_usize..20, batch in 1_usize..90,
    ) {
        let one_by_one = Room { lines: 1, keys, patterns };
        let room = Room { lines: most_known, keys, patterns };
        let mut plain = observed(&lines, one_by_one, lines.len()).grow().unwrap();
        let mut remembered = observed(&lines, room, batch).grow().unwrap();
        let scores = plain.calibrate(&lines);
        let again: Vec<f64> = lines.chunks(batch).flat_map(|events| remembered.calibrate(events)).collect();
        prop_assert_eq!(scores, again);
        prop_assert_eq!(finished(plain), finished(remembered));
    }

    #[test]
    fn lines_that_come_without_an_event_change_no_byte(
        lines in lines(), most_known in 1_usize..30, keys in 8_usize..60, patterns in 2_usize..20, batch in 1_usize..90,
    ) {
        let room = Room { lines: most_known, keys, patterns };
        let plain = observed(&lines, room, batch).grow().unwrap();
        let mut sparing = observed(&[], room, batch);
        let (redactor, mut keys, mut met) = (Redactor::default(), Keys::default(), HashSet::new());
        for lines in lines.chunks(batch) {
            let (mut items, mut events, mut away) = (Vec::new(), Vec::new(), Vec::new());
            for line in lines {
                let key = keys.key(line);
                if met.insert(key) {
                    items.push(Item::Clean(events.len() as u32, key));
                    events.push(line.clone());
                } else {
                    items.push(Item::Again(away.len() as u32, key));
                    away.push(line.clone());
                }
            }
            sparing.observe_lines(&items, &mut events, |number| away[number].clone(), &redactor, |_| Tag::default());
        }
        prop_assert_eq!(finished(plain), finished(sparing.grow().unwrap()));
    }

    #[test]
    fn scores_from_memory_are_those_of_a_second_pass(lines in lines(), batch in 1_usize..90) {
        let room = Room { lines: 1 << 14, keys: 1 << 19, patterns: 1 << 14 };
        let mut plain = observed(&lines, room, batch).grow().unwrap();
        let scores = plain.calibrate(&lines);
        let mut from_memory = observed(&lines, room, batch).grow().unwrap();
        let mut met = 0;
        let mut wrong = Vec::new();
        let whole = from_memory.calibrate_from_memory(|known| {
            let first = known.tag[0] as usize;
            met += known.lines;
            if scores[first] != known.score || Row::shortened(&lines[first]) != known.event {
                wrong.push(known);
            }
        });
        prop_assert!(whole && met == lines.len() as u64);
        prop_assert_eq!(wrong, Vec::new());
        prop_assert_eq!(plain.oddest().len(), from_memory.oddest().len());
        prop_assert_eq!(finished(plain), finished(from_memory));
    }

    #[test]
    fn lines_that_are_not_searched_again_hold_no_secret(lines in secretive(), most_known in 1_usize..30, batch in 1_usize..90) {
        let redactor = Redactor::default();
        let mut searched = lines.clone();
        searched.iter_mut().for_each(|event| {
            redactor.redact(event);
        });
        let room = Room { lines: most_known, keys: 60, patterns: 20 };
        let plain = observed(&searched, room, batch).grow().unwrap();
        let mut raw = observed(&[], room, batch);
        let mut unsearched = lines;
        unsearched.chunks_mut(batch).for_each(|events| raw.observe_raw(events, &redactor, |_| Tag::default()));
        for (searched, unsearched) in searched.iter().zip(&unsearched) {
            prop_assert_eq!((&searched.service, &searched.message), (&unsearched.service, &unsearched.message));
        }
        prop_assert_eq!(finished(plain), finished(raw.grow().unwrap()));
    }
}

#[test]
fn more_distinct_lines_than_are_remembered_ask_for_a_second_pass() {
    let letter = |at: usize| char::from(b'g' + at as u8);
    let word = |line: usize| [line % 7, line / 7 % 7, line / 49].map(letter).iter().collect::<String>();
    let lines: Vec<LogEvent> =
        (0..50).map(|line| LogEvent { message: word(line), ..LogEvent::default() }).collect();
    let calibrated = |most: usize| {
        let room = Room { lines: most, keys: 1 << 19, patterns: 1 << 14 };
        observed(&lines, room, 7).grow().unwrap().calibrate_from_memory(|_| ())
    };
    assert!(calibrated(50));
    assert!(!calibrated(49));
}
