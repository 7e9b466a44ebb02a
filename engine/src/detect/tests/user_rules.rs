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
