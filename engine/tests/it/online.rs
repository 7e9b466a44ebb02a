//! Online counts: what recurs becomes usual, faults do not, and only the order of a service's lines matters.

use engine::event::{Level, LogEvent};
use engine::learnt::Learnt;
use engine::model::{Model, OnlineCounts, OnlineSettings, Scratch};
use proptest::prelude::*;
use std::sync::LazyLock;

use crate::events::{event, params, train, usual};

static MODEL: LazyLock<Model> = LazyLock::new(|| train(&usual(1_000), params()));

fn settings(step: u32) -> OnlineSettings {
    OnlineSettings { step, ..OnlineSettings::default() }
}

/// Scores lines in order, each counted after it was scored.
fn replay<'a>(online: &mut OnlineCounts, lines: impl IntoIterator<Item = &'a LogEvent>) -> Vec<u64> {
    let mut scratch = Scratch::default();
    let score = |event| {
        let score = MODEL.score_online(event, online, &mut scratch).score;
        MODEL.count_online(event, online, &mut scratch);
        score.to_bits()
    };
    lines.into_iter().map(score).collect()
}

fn score(online: &OnlineCounts, event: &LogEvent) -> f64 {
    MODEL.score_online(event, online, &mut Scratch::default()).score
}

fn new_feature(level: Level) -> LogEvent {
    event("orders", level, "voucher redeemed by reseller gateway")
}

#[test]
fn what_recurs_becomes_usual_at_the_step_and_not_before() {
    let mut online = OnlineCounts::new(settings(100));
    let line = new_feature(Level::Info);
    let scores = replay(&mut online, std::iter::repeat_n(&line, 101));
    assert_eq!(scores[0], MODEL.score(&line, &mut Scratch::default()).score.to_bits());
    assert!(scores[..100].iter().all(|score| *score == scores[0]));
    assert!(f64::from_bits(scores[100]) < f64::from_bits(scores[0]));
}

#[test]
fn a_recurring_fault_stays_odder_than_its_weight_allows() {
    let after = |level| {
        let mut online = OnlineCounts::new(settings(100));
        let line = new_feature(level);
        let before = score(&online, &line);
        replay(&mut online, std::iter::repeat_n(&line, 5_000));
        before - score(&online, &line)
    };
    let (usual, fault) = (after(Level::Info), after(Level::Error));
    assert!(fault < usual / 2.0, "a fault lost {fault} of its score, another line {usual}");
    let mut deaf = OnlineCounts::new(OnlineSettings { severe_weight: 0.0, ..settings(100) });
    let line = new_feature(Level::Fatal);
    let before = score(&deaf, &line);
    replay(&mut deaf, std::iter::repeat_n(&line, 1_000));
    assert_eq!(score(&deaf, &line), before);
}

/// The bound of the weight: even where a service says nothing but the fault.
#[test]
fn words_of_a_fault_alone_never_count_as_more_frequent_than_its_weight() {
    for weight in [0.01, 0.05, 0.3] {
        let mut online = OnlineCounts::new(OnlineSettings { severe_weight: weight, ..settings(100) });
        let line = new_feature(Level::Error);
        let surprisal =
            |online: &OnlineCounts| MODEL.score_online(&line, online, &mut Scratch::default()).surprisal;
        let before = surprisal(&online);
        replay(&mut online, std::iter::repeat_n(&line, 40_000));
        let (after, bound) = (surprisal(&online), -f64::ln(weight));
        // A weight is kept in units of 1/1024 of a line.
        assert!(after > bound - 0.05, "{after} nats are below {bound} at weight {weight}");
        // And it is the bound that holds it: the fault did become far more usual.
        assert!(after < bound + 0.3 && after < before - 0.5, "{after} nats of {before} at weight {weight}");
    }
}

#[test]
fn nothing_becomes_odder_by_what_other_lines_say() {
    let mut online = OnlineCounts::new(settings(50));
    let lines = usual(200);
    let plain: Vec<f64> = lines.iter().map(|line| MODEL.score(line, &mut Scratch::default()).score).collect();
    replay(&mut online, std::iter::repeat_n(&new_feature(Level::Info), 500));
    for (line, plain) in lines.iter().zip(plain) {
        assert!(score(&online, line) <= plain, "{line:?}");
    }
}

#[test]
fn what_one_service_says_changes_nothing_for_another() {
    let mut online = OnlineCounts::new(settings(50));
    let other = LogEvent { service: "auth".into(), ..new_feature(Level::Info) };
    let before = score(&online, &other);
    replay(&mut online, std::iter::repeat_n(&new_feature(Level::Info), 500));
    assert_eq!(score(&online, &other), before);
}

#[test]
fn services_beyond_the_cap_share_one_place() {
    let mut online = OnlineCounts::new(OnlineSettings { services: 3, ..settings(10) });
    let line = |service: &str| LogEvent { service: service.into(), ..new_feature(Level::Info) };
    for service in 0..200 {
        replay(&mut online, &[line(&format!("s{service}"))]);
    }
    assert_eq!(online.services(), 4);
    // 197 lines of services without a place of their own made it usual for all of these, though not for the first.
    assert!(score(&online, &line("s150")) < score(&online, &line("s1")));
}

#[test]
fn memory_is_bounded_when_every_line_is_new() {
    let mut online = OnlineCounts::new(settings(1_000));
    let lines: Vec<LogEvent> = (0..20_000_u32)
        .map(|n| {
            let word = |salt: u32| -> String {
                let mut rest = n.wrapping_mul(2_654_435_761) ^ salt;
                std::iter::repeat_with(|| {
                    let letter = char::from(b'g' + (rest % 19) as u8);
                    rest /= 19;
                    letter
                })
                .take(7)
                .collect()
            };
            event("orders", Level::Info, &format!("{} {} {}", word(1), word(2), word(3)))
        })
        .collect();
    replay(&mut online, &lines);
    let mut bytes = Vec::new();
    online.snapshot(&mut bytes);
    assert!(bytes.len() < 20_000, "{} bytes", bytes.len());
}

#[test]
fn damaged_bytes_are_refused_and_change_nothing() {
    let mut online = OnlineCounts::new(settings(10));
    replay(&mut online, &usual(300));
    let mut bytes = Vec::new();
    online.snapshot(&mut bytes);
    let before = online.clone();
    for length in 0..bytes.len() {
        assert!(online.restore(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
    assert!(online.restore(&[&bytes[..], &[0]].concat()).is_err());
    let hostile = [&u64::MAX.to_le_bytes()[..], &[0; 64]].concat();
    assert!(online.restore(&hostile).is_err());
    assert_eq!(online, before);
}

/// Lines of a few services, some new to the model, some severe.
fn lines() -> impl Strategy<Value = Vec<LogEvent>> {
    let line = (0_usize..6, 0_usize..8, prop::bool::weighted(0.2)).prop_map(|(service, text, severe)| {
        let level = if severe { Level::Error } else { Level::Info };
        let texts = [
            "order 7 created for customer 9",
            "voucher redeemed by reseller gateway",
            "cache warmed after failover",
            "replica lagging behind primary",
            "session refreshed",
            "gateway timeout while settling voucher",
            "GET /api/orders/3 200 in 4 ms",
            "certificate rotated",
        ];
        event(&format!("service-{service}"), level, texts[text])
    });
    prop::collection::vec(line, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn restored_anywhere_it_goes_on_bit_for_bit(lines in lines(), at in 0.0..1.0_f64, step in 1_u32..40) {
        let mut whole = OnlineCounts::new(settings(step));
        let expected = replay(&mut whole, &lines);
        let cut = (at * lines.len() as f64) as usize;
        let mut first = OnlineCounts::new(settings(step));
        let mut scores = replay(&mut first, &lines[..cut]);
        let mut bytes = Vec::new();
        first.snapshot(&mut bytes);
        let mut second = OnlineCounts::new(settings(step));
        second.restore(&bytes).unwrap();
        scores.extend(replay(&mut second, &lines[cut..]));
        prop_assert_eq!(scores, expected);
        prop_assert_eq!(&second, &whole);
        let (mut again, mut twin) = (Vec::new(), Vec::new());
        second.snapshot(&mut again);
        whole.snapshot(&mut twin);
        prop_assert_eq!(again, twin);
    }

    #[test]
    fn one_partition_scores_as_eight_that_are_keyed_by_service(lines in lines(), step in 1_u32..40) {
        let expected = replay(&mut OnlineCounts::new(settings(step)), &lines);
        let mut partitions: Vec<OnlineCounts> =
            (0..8).map(|_| OnlineCounts::new(settings(step))).collect();
        // Any function of the service; the partitions then take turns differently than the services did.
        let partition = |line: &LogEvent| line.service.bytes().map(usize::from).sum::<usize>() % 8;
        let mut scores = vec![0; lines.len()];
        for (number, counts) in partitions.iter_mut().enumerate() {
            let mine: Vec<usize> = (0..lines.len()).filter(|at| partition(&lines[*at]) == number).collect();
            let found = replay(counts, mine.iter().map(|at| &lines[*at]));
            for (at, score) in mine.into_iter().zip(found) {
                scores[at] = score;
            }
        }
        prop_assert_eq!(scores, expected);
    }
}
