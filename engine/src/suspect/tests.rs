//! Small worlds whose culprit is known, and what holds for every stream.

use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;
/// When the trouble of a small world begins, and when it is asked about.
const TROUBLE: i64 = 1_800 * SECOND;
const ASKED: i64 = TROUBLE + 120 * SECOND;

/// One line of a trace: service, what it says, milliseconds since the line before, whether it is an error.
type Line = (&'static str, &'static str, i64, bool);

/// The usual way of a request: shop asks stock, which asks its store, then shop asks pay.
const USUAL: [Line; 6] = [
    ("shop", "order comes in", 0, false),
    ("stock", "look up the article", 4, false),
    ("store", "read a row", 2, false),
    ("stock", "article found", 2, false),
    ("pay", "charge the card", 5, false),
    ("shop", "order done", 6, false),
];

#[derive(Default)]
struct World {
    suspects: Suspects,
    requests: u64,
}

fn hash(text: &str) -> u64 {
    crate::features::stable_hash(4, text.as_bytes())
}

impl World {
    /// A world in which a request went its usual way each second until the trouble begins.
    fn usual() -> Self {
        let mut world = Self::default();
        for second in 0..TROUBLE / SECOND {
            world.request(second * SECOND, &USUAL);
        }
        world
    }

    fn request(&mut self, mut time: i64, lines: &[Line]) {
        self.requests += 1;
        let trace = format!("request {}", self.requests);
        for (service, message, after_ms, is_error) in lines {
            // Times vary a little, as they do.
            time += after_ms * 1_000 + (self.requests as i64 * 37 % 11) * 20;
            self.suspects.observe(&Told {
                service,
                pattern: hash(message),
                message,
                trace: Some(&trace),
                time,
                is_error: *is_error,
            });
        }
    }

    fn trouble(mut self, lines: &[Line]) -> Vec<Suspect> {
        for second in 0..120 {
            self.request(TROUBLE + second * SECOND, lines);
        }
        self.suspects.rank(ASKED)
    }
}

fn names(suspects: &[Suspect]) -> Vec<&str> {
    suspects.iter().map(|suspect| suspect.service.as_str()).collect()
}

#[test]
fn nobody_is_suspected_while_all_is_as_usual() {
    let suspects = World::usual().trouble(&USUAL);
    assert!(suspects.iter().all(|suspect| suspect.nats < 1.0), "{suspects:?}");
}

#[test]
fn a_callee_that_fails_comes_before_the_callers_that_fail_with_it() {
    let suspects = World::usual().trouble(&[
        USUAL[0],
        USUAL[1],
        ("store", "connection lost", 2, true),
        ("stock", "cannot look up the article", 2, true),
        ("shop", "order failed", 2, true),
    ]);
    assert_eq!(names(&suspects)[0], "store", "{suspects:?}");
    let reason = &suspects[0].reasons[0];
    assert!(reason.contains("`read a row` follows `look up the article` of stock in 0 of"), "{reason}");
}

#[test]
fn a_callee_that_says_nothing_any_more_is_suspected_before_its_caller() {
    let suspects = World::usual().trouble(&[
        USUAL[0],
        USUAL[1],
        ("stock", "cannot look up the article", 900, true),
        ("shop", "order failed", 2, true),
    ]);
    assert_eq!(names(&suspects)[0], "store", "{suspects:?}");
}

#[test]
fn a_trace_that_breaks_off_points_at_the_line_that_should_have_come_next() {
    let suspects = World::usual().trouble(&USUAL[..4]);
    assert_eq!(names(&suspects)[0], "pay", "{suspects:?}");
}

/// The usual way, with every step from or to a service longer.
fn delayed(service: &str, by_ms: i64) -> Vec<Line> {
    let mut lines = USUAL.to_vec();
    for at in 1..lines.len() {
        if USUAL[at].0 == service || USUAL[at - 1].0 == service {
            lines[at].2 += by_ms;
        }
    }
    lines
}

#[test]
fn the_service_at_an_end_of_all_slow_steps_comes_first() {
    for service in ["stock", "store", "pay"] {
        let suspects = World::usual().trouble(&delayed(service, 80));
        assert_eq!(names(&suspects)[0], service, "{suspects:?}");
        assert!(suspects[0].reasons[0].contains("slow"), "{suspects:?}");
    }
}

#[test]
fn errors_count_where_lines_have_no_trace() {
    let mut suspects = Suspects::default();
    let line =
        |service, time, is_error| Told { service, pattern: 1, message: "x", trace: None, time, is_error };
    for second in 0..1_920 {
        suspects.observe(&line("noisy", second * SECOND, second % 10 == 0));
        suspects.observe(&line("quiet", second * SECOND, second >= 1_860 && second % 10 == 0));
    }
    let ranked = suspects.rank(1_920 * SECOND);
    assert_eq!(names(&ranked)[0], "quiet");
    assert_eq!(ranked[0].reasons, ["6 error lines within 120 s"]);
}

#[test]
fn a_line_that_is_delivered_twice_changes_nothing() {
    let (once, mut twice) = (World::usual(), World::default());
    for second in 0..TROUBLE / SECOND {
        twice.request(second * SECOND, &USUAL);
        let last = Told {
            service: "shop",
            pattern: hash("order done"),
            message: "order done",
            trace: Some(&format!("request {}", twice.requests)),
            time: second * SECOND + 19_000 + (twice.requests as i64 * 37 % 11) * 20 * 6,
            is_error: false,
        };
        twice.suspects.observe(&last);
    }
    let lines = [USUAL[0], USUAL[1], USUAL[3]];
    assert_eq!(once.trouble(&lines), twice.trouble(&lines));
}

#[test]
fn what_is_held_is_bounded_and_the_newest_stays() {
    let mut suspects = Suspects::default();
    for n in 0..100_000_u64 {
        let (service, trace) = (format!("service {}", n % 20_000), format!("trace {}", n / 3));
        for (pattern, is_error) in [(n, false), (n % 7, true)] {
            suspects.observe(&Told {
                service: &service,
                pattern,
                message: "one of very many",
                trace: (n % 5 > 0).then_some(&trace),
                time: n as i64 * 10_000,
                is_error,
            });
        }
    }
    let held = suspects.held();
    assert!(held[0] <= 8_192 && held[1] <= 8_192 && held[2] <= 32_768, "{held:?}");
    let newest = suspects.state.places.places.last().unwrap();
    assert_eq!(suspects.state.places.services[newest.service as usize].name, "service 19999");
    assert!(suspects.rank(1_000 * SECOND).iter().all(|suspect| suspect.nats.is_finite()));
}

#[test]
fn a_state_that_points_at_nothing_is_refused() {
    let world = World::usual();
    let good = world.suspects.save().unwrap();
    for (position, part) in [(good.len() / 3, "place"), (good.len() / 2, "step"), (good.len() - 60, "trace")]
    {
        let mut taken = Suspects::default();
        let torn = taken.load(VERSION, &good[..position]).unwrap_err();
        assert!(!torn.is_empty() && taken.held() == [0; 3], "{part}");
    }
    let mut wrong = World::usual().suspects;
    wrong.state.places.steps[0].to = 99;
    let error = Suspects::default().load(VERSION, &wrong.save().unwrap()).unwrap_err();
    assert_eq!(error, "a step ends at place 99 of 6");
    let error = Suspects::default().load(VERSION + 1, &good).unwrap_err();
    assert!(error.contains("version 2"), "{error}");
}

/// Lines as numbers: service, pattern, trace (0: none), milliseconds since the one before, error.
fn streams() -> impl Strategy<Value = Vec<(u8, u8, u8, i64, bool)>> {
    let line = (0_u8..5, 0_u8..4, 0_u8..6, prop_oneof![0_i64..50, 0_i64..60_000], any::<bool>());
    proptest::collection::vec(line, 0..400)
}

fn tell(suspects: &mut Suspects, lines: &[(u8, u8, u8, i64, bool)], time: &mut i64, rename: fn(u8) -> u8) {
    for (service, pattern, trace, after, is_error) in lines {
        *time += after * 1_000;
        suspects.observe(&Told {
            service: &format!("service {}", rename(*service)),
            pattern: u64::from(*pattern),
            message: "a line",
            trace: (*trace > 0).then_some(&format!("trace {trace}")),
            time: *time,
            is_error: *is_error,
        });
    }
}

proptest! {
    #[test]
    fn restored_anywhere_it_goes_on_as_if_nothing_had_been(lines in streams(), cut in 0_usize..400) {
        let (first, second) = lines.split_at(cut.min(lines.len()));
        let (mut whole, mut time) = (Suspects::default(), 0);
        tell(&mut whole, &lines, &mut time, |service| service);
        let (mut before, mut after, mut at) = (Suspects::default(), Suspects::default(), 0);
        tell(&mut before, first, &mut at, |service| service);
        after.load(VERSION, &before.save().unwrap()).unwrap();
        tell(&mut after, second, &mut at, |service| service);
        prop_assert_eq!(after.rank(time), whole.rank(time));
        prop_assert_eq!(after.held(), whole.held());
    }

    #[test]
    fn names_of_services_do_not_matter(lines in streams()) {
        let (mut one, mut other, mut time) = (Suspects::default(), Suspects::default(), 0);
        tell(&mut one, &lines, &mut time, |service| service);
        time = 0;
        tell(&mut other, &lines, &mut time, |service| 9 - service);
        let nats = |suspects: &Suspects, rename: fn(u8) -> u8| -> Vec<Option<f64>> {
            let ranked = suspects.rank(time);
            (0..5)
                .map(|service| format!("service {}", rename(service)))
                .map(|name| ranked.iter().find(|suspect| suspect.service == name).map(|suspect| suspect.nats))
                .collect()
        };
        prop_assert_eq!(nats(&one, |service| service), nats(&other, |service| 9 - service));
    }

    #[test]
    fn suspects_are_in_order_and_have_reasons(lines in streams()) {
        let (mut suspects, mut time) = (Suspects::default(), 0);
        prop_assert!(suspects.rank(0).is_empty());
        tell(&mut suspects, &lines, &mut time, |service| service);
        let ranked = suspects.rank(time);
        prop_assert!(ranked.is_sorted_by(|a, b| a.nats >= b.nats));
        for suspect in &ranked {
            prop_assert!(suspect.nats.is_finite() && suspect.nats > 0.0 && !suspect.reasons.is_empty());
        }
    }
}
