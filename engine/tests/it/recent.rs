//! Scores with a table of recent lines are those without, bit for bit, however small the table.

use engine::event::{Level, LogEvent, LogLine};
use engine::features::Line;
use engine::model::{Judged, OnlineCounts, OnlineSettings, Scratch};
use proptest::prelude::*;

use crate::events::{odd, params, train, usual};

/// The lines of the sample logs, which the simulator made.
pub fn sample() -> Vec<LogEvent> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/sample_logs.csv");
    let level = |text: &str| Level::ALL.into_iter().find(|level| level.as_str() == text);
    let event = |row: csv::StringRecord| LogEvent {
        service: row[1].into(),
        level: level(&row[2]),
        message: row[3].into(),
        ..LogEvent::default()
    };
    csv::Reader::from_path(path).unwrap().records().map(|row| event(row.unwrap())).collect()
}

fn bits(Judged { score, pattern, known_pattern }: Judged) -> [u64; 6] {
    let [oddness, percentile, forest, surprisal] =
        [score.score, score.percentile, score.forest, score.surprisal].map(f64::to_bits);
    [oddness, percentile, forest, surprisal, pattern, u64::from(known_pattern)]
}

#[test]
fn the_sample_logs_are_judged_the_same_with_a_table_of_any_size() {
    let events = sample();
    let model = train(&events[..5_000], params());
    let mut plain = Scratch::default();
    let expected: Vec<_> = events.iter().map(|event| bits(model.judge(event, &mut plain))).collect();
    for lines in [4, 64, 65_536] {
        let mut scratch = Scratch::with_table(lines, 11);
        for (event, expected) in events.iter().zip(&expected) {
            assert_eq!(bits(model.judge(event, &mut scratch)), *expected, "{}", event.message);
        }
        let counts = scratch.table_counts();
        assert_eq!(counts.hits + counts.misses, events.len() as u64);
        assert!(lines < 65_536 || counts.hits > counts.misses * 9, "{counts:?}");
    }
}

#[test]
fn a_table_follows_the_model() {
    let (events, other) = (usual(500), usual(900));
    let (first, second) = (train(&events, params()), train(&other, params()));
    let mut scratch = Scratch::with_table(1_024, 5);
    for event in events.iter().chain([&odd()]) {
        for model in [&first, &second, &first] {
            let expected = model.judge(event, &mut Scratch::default());
            assert_eq!(bits(model.judge(event, &mut scratch)), bits(expected));
        }
    }
}

#[test]
fn a_pattern_is_known_where_training_saw_it_and_no_online_count_changes_that() {
    let model = train(&usual(500), params());
    let (mut line, mut scratch) = (Line::default(), Scratch::with_table(64, 1));
    let mut online = OnlineCounts::new(OnlineSettings { step: 1, ..OnlineSettings::default() });
    let known = usual(3).remove(2);
    for event in [&known, &odd(), &LogEvent { service: "elsewhere".into(), ..known.clone() }] {
        line.read(event);
        for _ in 0..3 {
            let judged = model.judge(event, &mut scratch);
            assert_eq!(judged.pattern, line.pattern_key());
            assert_eq!(judged.known_pattern, model.explain(event, &mut scratch).pattern_seen > 0);
            assert_eq!(judged.known_pattern, event.message == known.message);
            let while_learning = model.judge_online(event, &online, &mut scratch);
            assert_eq!(
                (while_learning.pattern, while_learning.known_pattern),
                (judged.pattern, judged.known_pattern)
            );
            model.count_online(event, &mut online, &mut scratch);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn cached_equals_uncached_and_a_batch_equals_its_lines(
        picks in prop::collection::vec((0usize..40, 0usize..4, 0usize..7, "[0-9a-f:-]{0,12}"), 1..300),
        lines in 4usize..64,
        seed: u128,
        cleared in 0usize..300,
    ) {
        let model = train(&usual(400), params());
        let messages = usual(40);
        let texts: Vec<_> = picks
            .iter()
            .map(|(line, _, _, end)| format!("{} {end}", messages[*line].message))
            .collect();
        let batch = || picks.iter().zip(&texts).map(|((_, service, level, _), text)| LogLine {
            service: ["orders", "auth", "", "new"][*service],
            level: Level::ALL.get(*level).copied(),
            message: text,
        });
        let (mut cached, mut together) = (Scratch::with_table(lines, seed), Scratch::with_table(lines, !seed));
        let mut scores = Vec::new();
        model.score_batch(batch(), &mut together, &mut scores);
        prop_assert_eq!(scores.len(), picks.len());
        for (number, (line, score)) in batch().zip(scores).enumerate() {
            if number == cleared {
                cached.clear_table();
            }
            let expected = model.judge_line(line, &mut Scratch::default());
            prop_assert_eq!(bits(model.judge_line(line, &mut cached)), bits(expected));
            prop_assert_eq!(bits(Judged { score, ..expected }), bits(expected));
        }
    }
}
