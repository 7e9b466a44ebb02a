//! Rules of the user: the error burst in four lines, and each condition at its boundary.

use rstest::rstest;

use super::*;

fn rule(condition: &str) -> Rule {
    let fields = format!(r#"{{"name": "r", "filter": "severity >= ERROR", "window_s": 5, {condition}}}"#);
    serde_json::from_str(&fields).unwrap()
}

fn rig(rule: Rule) -> Rig {
    let mut rig = Rig::only(&[]);
    rig.bank = Detectors::new(Settings::default(), &BusinessNames::default())
        .with_rules(Rules::read(&[rule]).unwrap());
    rig
}

fn told(rig: &Rig) -> Vec<&Anomaly> {
    rig.anomalies().into_iter().filter(|anomaly| anomaly.detector == "rule:r").collect()
}

#[test]
fn the_error_burst_is_a_rule_of_four_lines() {
    let mut rig = rig(rule(r#""more_than": 5"#));
    for (index, second) in [10, 10, 10, 11, 12, 12].into_iter().enumerate() {
        assert!(told(&rig).is_empty(), "told at line {index}");
        rig.say(NOON + f64::from(second), "billing_api", Level::Error);
    }
    rig.say(NOON + 12.5, "billing_api", Level::Error);
    assert_eq!(told(&rig).len(), 1);
    assert_eq!(told(&rig)[0].window.unwrap().0, EventTime::from_micros(micros(NOON + 10.0)));
}

#[test]
fn groups_are_counted_apart() {
    let mut rig = rig(rule(r#""more_than": 1, "group_by": ["host"]"#));
    for host in ["a", "b", "b"] {
        rig.push(&TestLine::new(NOON, "s", Level::Error, "x").with("host", host));
    }
    let subjects: Vec<&str> = told(&rig).iter().map(|anomaly| anomaly.subject.as_str()).collect();
    assert_eq!(subjects, ["host=b"]);
}

#[test]
fn groups_are_forgotten_when_their_windows_are_over_and_those_without_room_are_not_told() {
    let mut rig = rig(rule(r#""more_than": 1, "group_by": ["host"]"#));
    let say = |rig: &mut Rig, time: f64, host: &str| {
        rig.push(&TestLine::new(time, "s", Level::Error, "x").with("host", host));
    };
    (0..1_200).for_each(|host| say(&mut rig, NOON, &format!("h{host}")));
    assert!(told(&rig).is_empty(), "those that found no room are no group: {:?}", told(&rig));
    assert_eq!(rig.bank.held_back().find(|(name, _)| *name == "rules"), Some(("rules", 200)));
    (0..3).for_each(|_| say(&mut rig, NOON + 60.0, "late"));
    say(&mut rig, NOON + 120.0, "late");
    (0..3).for_each(|_| say(&mut rig, NOON + 120.0, "new"));
    let subjects: Vec<&str> = told(&rig).iter().map(|anomaly| anomaly.subject.as_str()).collect();
    assert_eq!(subjects, ["host=late", "host=new"]);
}

#[test]
fn groups_of_all_services_have_one_cap() {
    let mut rig = rig(rule(r#""more_than": 1, "group_by": ["host"]"#));
    for service in 0..21 {
        for host in 0..1_000 {
            let line = TestLine::new(NOON, &format!("s{service}"), Level::Error, "x");
            rig.push(&line.with("host", &host.to_string()));
        }
    }
    let kept = rig.bank.snapshot().unwrap();
    rig.bank.restore(&kept).unwrap();
    let full = TestLine::new(NOON, "s20", Level::Error, "x").with("host", "0");
    (0..3).for_each(|_| rig.push(&full));
    assert!(told(&rig).is_empty());
    (0..3).for_each(|_| rig.push(&TestLine::new(NOON, "s19", Level::Error, "x").with("host", "0")));
    assert_eq!(told(&rig).len(), 1);
    (0..21).for_each(|service| rig.say(NOON + 3_600.0, &format!("s{service}"), Level::Info));
    let again = TestLine::new(NOON + 3_600.0, "s20", Level::Error, "x").with("host", "0");
    (0..3).for_each(|_| rig.push(&again));
    assert_eq!(told(&rig).len(), 2);
}

#[rstest]
#[case(3, 7, 0)]
#[case(4, 6, 1)]
#[case(4, 5, 0)]
fn a_share_is_judged_in_a_whole_window(
    #[case] errors: usize,
    #[case] others: usize,
    #[case] expected: usize,
) {
    let mut rig = rig(rule(r#""share_above": 0.3, "least_events": 10"#));
    (0..errors).for_each(|_| rig.say(NOON, "s", Level::Error));
    (0..others).for_each(|_| rig.say(NOON, "s", Level::Info));
    rig.say(NOON + 60.0, "s", Level::Info);
    assert_eq!(told(&rig).len(), expected);
}

#[test]
fn too_few_is_told_once_after_a_window_that_had_some() {
    let mut rig = rig(rule(r#""fewer_than": 2"#));
    for second in [1.0, 2.0, 6.0, 7.0, 11.0, 100.0] {
        rig.say(NOON + second, "s", Level::Error);
    }
    let starts: Vec<i64> =
        told(&rig).iter().map(|a| a.window.unwrap().0.as_micros() - micros(NOON)).collect();
    assert_eq!(starts, [micros(10.0), micros(15.0)]);
}

#[rstest]
#[case(r#""more_than": 5, "share_above": 0.1"#, "2 conditions")]
#[case(r#""severity": "info""#, "0 conditions")]
#[case(r#""share_above": 1.5"#, "`share_above` is 1.5; allowed are 0 to 1")]
fn a_faulty_rule_is_refused_with_the_reason(#[case] condition: &str, #[case] part: &str) {
    let errors = Rules::read(&[rule(condition)]).unwrap_err();
    assert!(errors.iter().any(|error| error.to_string().contains(part)), "{errors:?}");
}

#[test]
fn a_name_twice_and_a_faulty_filter_are_both_told() {
    let faulty = Rule { filter: "severty > 1".to_owned(), ..rule(r#""more_than": 5"#) };
    let errors = Rules::read(&[rule(r#""more_than": 5"#), faulty]).unwrap_err();
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(text[0].contains("there twice") && text[1].contains("`severty`"), "{text:?}");
}
