//! Explanations with a memory of those of a moment ago are those without, bit for bit.

use engine::event::{Level, LogEvent};
use engine::model::{Explanation, OnlineCounts, OnlineSettings, Scratch};
use proptest::prelude::*;

use crate::events::{odd, params, train, usual};
use crate::recent::sample;

/// Everything that an explanation says, nats to their bits.
fn told(explanation: &Explanation) -> String {
    let reasons: Vec<_> = explanation
        .reasons
        .iter()
        .map(|reason| (reason.kind, &reason.word, reason.contribution.to_bits(), reason.seen))
        .collect();
    let Explanation { pattern, pattern_seen, nearest_pattern, .. } = explanation;
    format!("{reasons:?} {pattern:?} {pattern_seen} {nearest_pattern:?}")
}

/// A line with other numbers and identifiers in the same places: mostly one of the same key.
fn redrawn(text: &str, mut draws: u64) -> String {
    let mut draw = |kinds: &str| {
        draws = draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        kinds.as_bytes()[(draws >> 33) as usize % kinds.len()] as char
    };
    let redraw = |letter: char| match letter {
        // Few digits, so that words become equal and unequal.
        '1'..='9' => draw("123"),
        'a'..='f' if text.len().is_multiple_of(2) => draw("abcdef"),
        letter => letter,
    };
    text.chars().map(redraw).collect()
}

#[test]
fn the_sample_logs_are_explained_the_same_from_memory() {
    let events = sample();
    let model = train(&events[..2_000], params());
    let (mut plain, mut remembering) = (Scratch::default(), Scratch::default().with_explanations(5));
    for (number, event) in events[1_000..6_000].iter().enumerate() {
        let message = redrawn(&event.message, number as u64);
        let event = LogEvent { message, ..event.clone() };
        let expected = told(&model.explain(&event, &mut plain));
        assert_eq!(told(&model.explain(&event, &mut remembering)), expected, "{}", event.message);
        assert_eq!(told(&model.explain(&event, &mut remembering)), expected, "{}", event.message);
    }
}

#[test]
fn words_inside_of_addresses_are_those_of_each_line() {
    let model = train(&usual(60), params());
    let mut remembering = Scratch::default().with_explanations(7);
    for octets in ["aa:11:0a:00", "aa:ff:ff:ff", "aa:32:0b:10"] {
        let event = LogEvent { message: format!("/var/a1/b.{octets}/var/a2/b"), ..odd() };
        let expected = told(&model.explain(&event, &mut Scratch::default()));
        assert_eq!(told(&model.explain(&event, &mut remembering)), expected, "{octets}");
    }
}

#[test]
fn explanations_follow_the_model_and_what_was_learnt() {
    let (events, other) = (usual(300), usual(900));
    let (first, second) = (train(&events, params()), train(&other[500..], params()));
    let mut online = OnlineCounts::new(OnlineSettings { step: 1, ..OnlineSettings::default() });
    let mut scratch = Scratch::default().with_explanations(5);
    for event in events[..20].iter().chain([&odd()]) {
        for model in [&first, &second, &first] {
            let mut plain = Scratch::default();
            let expected = told(&model.explain(event, &mut plain));
            assert_eq!(told(&model.explain(event, &mut scratch)), expected);
            let expected = told(&model.explain_training(event, &mut plain));
            assert_eq!(told(&model.explain_training(event, &mut scratch)), expected);
            let expected = told(&model.explain_online(event, &online, &mut plain));
            assert_eq!(told(&model.explain_online(event, &online, &mut scratch)), expected);
            model.count_online(event, &mut online, &mut scratch);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn remembered_equals_computed_anew(
        lines in prop::collection::vec(
            (
                "(took 1 of 2|node7|[a-f]{0,3}[0-9]{0,4}|-5|v1[.]2|/var/a1/b|_|(x|1){9}| |:|[.]|api|a1|\
                  [0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}|failed|10[.]0[.]0[.]7|é){0,9}",
                0usize..6,
                0usize..7,
            ),
            1..12,
        ),
        draws in prop::collection::vec((0usize..12, any::<u64>()), 1..60),
        seed: u128,
    ) {
        let model = train(&usual(60), params());
        let mut remembering = Scratch::default().with_explanations(seed);
        for (line, draw) in draws {
            let (text, service, level) = &lines[line % lines.len()];
            let event = LogEvent {
                service: ["api", "a1", "", "orders", "node7", "_"][*service].into(),
                level: Level::ALL.get(*level).copied(),
                message: redrawn(text, draw),
                ..LogEvent::default()
            };
            let expected = told(&model.explain(&event, &mut Scratch::default()));
            prop_assert_eq!(told(&model.explain(&event, &mut remembering)), expected, "{}", event.message);
        }
    }
}
