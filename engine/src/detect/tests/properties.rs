//! What must hold for every stream: order between services does not matter, nor a restart, nor order within the
//! allowed lateness.

use proptest::prelude::*;

use super::*;

/// Lines and ticks of three services over some minutes, in order of time.
#[derive(Clone, Debug)]
enum Item {
    Line(Box<TestLine>),
    Tick(f64),
}

const SERVICES: [&str; 3] = ["a", "b", "c"];

fn line(time_s: f64, draw: (usize, u8, u8, u16), number: u64) -> TestLine {
    let (service, level, kind, value) = draw;
    let level = if level < 90 { Level::Error } else { Level::Info };
    let message = match kind % 5 {
        0 => "deadlock found".to_owned(),
        1 => format!("moved {value} boxes"),
        2 => "login failed".to_owned(),
        _ => "heartbeat".to_owned(),
    };
    let line = TestLine::new(time_s, SERVICES[service], level, &message);
    let line = match kind % 4 {
        0 => line.with("duration_ms", &(u32::from(value) * 4).to_string()),
        1 => line.with("outcome", if value % 3 == 0 { "failed" } else { "ok" }).with("operation", "pay"),
        2 => line
            .with("transaction_id", &format!("t{}", value % 40))
            .with("phase", if value % 2 == 0 { "started" } else { "finished" }),
        _ => line,
    };
    TestLine { number, score: f64::from(kind) / 255.0, known_pattern: kind % 7 > 0, ..line }
}

fn streams() -> impl Strategy<Value = Vec<Item>> {
    let gap = prop_oneof![8 => 0u32..40, 1 => 200u32..6_000];
    let draws = prop::collection::vec((gap, (0usize..3, any::<u8>(), any::<u8>(), any::<u16>())), 50..400);
    draws.prop_map(|draws| {
        let mut items = Vec::new();
        let mut tenths = 0u32;
        let mut ticked = 0u32;
        for (number, (gap, draw)) in draws.into_iter().enumerate() {
            tenths += gap;
            while ticked + 10 <= tenths {
                ticked += 10;
                items.push(Item::Tick(NOON + f64::from(ticked) / 10.0));
            }
            let line = line(NOON + f64::from(tenths) / 10.0, draw, number as u64 + 1);
            items.push(Item::Line(Box::new(line)));
        }
        (1..700)
            .for_each(|second| items.push(Item::Tick(NOON + f64::from(ticked) / 10.0 + f64::from(second))));
        items
    })
}

fn rig() -> Rig {
    let mut settings = Settings::default();
    settings.set(None, "missing_heartbeat", "known_after_s", Value::Number(60.0)).unwrap();
    settings.set(None, "failure_spike", "history_s", Value::Number(300.0)).unwrap();
    Rig::with(settings)
}

fn feed(rig: &mut Rig, item: &Item) {
    match item {
        Item::Line(line) => rig.push(line),
        Item::Tick(time) => rig.tick(*time),
    }
}

fn of_service(found: &[Finding], service: &str) -> Vec<Finding> {
    let name = |finding: &Finding| match finding {
        Finding::Anomaly(anomaly) => anomaly.service.clone(),
        Finding::Holds { service, .. } => service.clone(),
    };
    found.iter().filter(|finding| name(finding) == service).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn lines_that_a_detector_does_not_care_about_would_change_nothing(items in streams()) {
        let (mut some, mut all) = (rig(), rig());
        all.bank.bank.iter_mut().for_each(|banked| banked.cares = u8::MAX);
        for item in &items {
            feed(&mut some, item);
            feed(&mut all, item);
        }
        prop_assert_eq!(&some.found, &all.found);
    }

    #[test]
    fn services_do_not_see_each_other(items in streams()) {
        let mut together = rig();
        items.iter().for_each(|item| feed(&mut together, item));
        prop_assert!(!together.found.is_empty());
        for service in SERVICES {
            let mut alone = rig();
            let own = |item: &&Item| !matches!(item, Item::Line(line) if line.event.service != service);
            items.iter().filter(own).for_each(|item| feed(&mut alone, item));
            // A trace goes from service to service: its detector needs them all.
            let without_steps = |found: Vec<Finding>| -> Vec<Finding> {
                let is_step = |finding: &Finding| match finding {
                    Finding::Anomaly(anomaly) => anomaly.detector == "slow_step",
                    Finding::Holds { detector, .. } => detector == "slow_step",
                };
                found.into_iter().filter(|finding| !is_step(finding)).collect()
            };
            prop_assert_eq!(
                without_steps(of_service(&together.found, service)),
                without_steps(of_service(&alone.found, service))
            );
        }
    }

    #[test]
    fn a_restart_at_any_place_changes_nothing(items in streams(), share in 0.0f64..1.0) {
        let cut = (items.len() as f64 * share) as usize;
        let mut whole = rig();
        items.iter().for_each(|item| feed(&mut whole, item));
        let mut first = rig();
        items[..cut].iter().for_each(|item| feed(&mut first, item));
        let bytes = state::save(&first.bank.snapshot().unwrap()).unwrap();
        let mut second = rig();
        second.bank.restore(&state::load(&bytes).unwrap()).unwrap();
        items[cut..].iter().for_each(|item| feed(&mut second, item));
        let found: Vec<Finding> = first.found.into_iter().chain(second.found).collect();
        prop_assert_eq!(found, whole.found);
        prop_assert_eq!(second.bank.counters(), whole.bank.counters());
        let asked = EventTime::from_micros(micros(NOON + 120.0));
        prop_assert_eq!(second.bank.suspects(asked), whole.bank.suspects(asked));
    }

    #[test]
    fn order_within_the_lateness_does_not_matter(items in streams(), delays in prop::collection::vec(0u32..95, 400)) {
        const WINDOWED: [&str; 7] = [
            "error_burst", "error_rate", "failure_spike", "slow_responses", "volume", "degradation", "error_class",
        ];
        let mut lines: Vec<TestLine> = items.into_iter().filter_map(|item| match item {
            Item::Line(line) => Some(*line),
            Item::Tick(_) => None,
        }).collect();
        lines.push(TestLine::new(NOON + 1e6, "a", Level::Info, "end"));
        lines.push(TestLine::new(NOON + 1e6, "b", Level::Info, "end"));
        lines.push(TestLine::new(NOON + 1e6, "c", Level::Info, "end"));
        let told = |lines: &[TestLine]| {
            let mut rig = rig();
            lines.iter().for_each(|line| rig.push(line));
            let windowed = |anomaly: &&&Anomaly| WINDOWED.contains(&anomaly.detector.as_str());
            let mut ids: Vec<(String, FindingId)> =
                rig.anomalies().iter().filter(windowed).map(|a| (a.detector.clone(), a.id)).collect();
            ids.sort();
            ids
        };
        let in_order = told(&lines);
        let mut delayed: Vec<(i64, usize)> = lines.iter().enumerate()
            .map(|(index, line)| {
                let delay = delays.get(index).copied().unwrap_or(0);
                (line.event.timestamp.as_micros() + i64::from(delay) * 100_000, index)
            })
            .collect();
        delayed.sort_unstable();
        let shuffled: Vec<TestLine> = delayed.into_iter().map(|(_, index)| lines[index].clone()).collect();
        prop_assert_eq!(told(&shuffled), in_order);
    }
}
