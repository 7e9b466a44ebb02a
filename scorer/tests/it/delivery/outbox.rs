//! Alerts in a real topic reach their sinks, whatever the sinks answer and whatever is killed.

use std::collections::BTreeSet;

use super::hook::{Answer, Hook, status};
use super::{Topics, record};
use crate::rig::Scorer;

fn webhook(hook: &Hook) -> [String; 2] {
    ["--alert-webhook-url".to_owned(), hook.url()]
}

fn start(topics: &Topics, settings: &[String]) -> Scorer {
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    topics.start(&settings)
}

fn words(topics: &Topics, sink: &str) -> Vec<String> {
    let of_sink = |result: &&serde_json::Value| result["sink"] == sink;
    let results = topics.results();
    results.iter().filter(of_sink).map(|result| result["result"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_alert_that_names_a_sink_is_told_once_in_order_and_never_again() {
    let topics = Topics::new(1);
    let hook = Hook::start(|_, _| status(204));
    topics.write(&[record("a", 1, &["webhook"]), record("b", 1, &["slack"]), record("a", 2, &["webhook"])]);
    topics.broker.produce(&topics.alerts, ["no alert"]).unwrap();
    let mut scorer = start(&topics, &webhook(&hook));
    topics.wait_settled(&mut scorer, "webhook");
    assert_eq!(hook.ids(), ["a", "a"]);
    let posts = hook.posts();
    assert_eq!(posts[0].body, record("a", 1, &["webhook"]));
    assert_eq!(posts[1].headers["webhook-id"], "a-2");
    let delivered = scorer.metric("isolog_sink_deliveries_total");
    assert_eq!(delivered, 3.0, "two delivered, one unreadable");
    assert!(scorer.stop().0.success());
    assert_eq!(words(&topics, "webhook"), ["delivered", "delivered"]);
    assert!(topics.dead_letters().is_empty());

    topics.write(&[record("c", 1, &["webhook"])]);
    let mut scorer = start(&topics, &webhook(&hook));
    topics.wait_settled(&mut scorer, "webhook");
    assert_eq!(hook.ids(), ["a", "a", "c"]);
    let log = scorer.log();
    assert!(!log.contains("topsecret"), "{log}");
}

#[test]
fn a_sink_that_fails_gets_it_when_it_works_and_the_other_one_does_not_wait() {
    let topics = Topics::new(1);
    let broken = Hook::start(|number, _| match number {
        0 => status(500),
        1 => Answer::Status(429, vec![("retry-after", "1".to_owned())], "slow down"),
        _ => status(200),
    });
    let works = Hook::start(|_, _| status(200));
    let settings = [webhook(&broken), ["--slack-webhook-url".to_owned(), works.url()]].concat();
    topics.write(&[record("a", 1, &["webhook", "slack"])]);
    let mut scorer = start(&topics, &settings);
    topics.wait_settled(&mut scorer, "slack");
    topics.wait_settled(&mut scorer, "webhook");
    assert_eq!(broken.ids(), ["a", "a", "a"]);
    assert_eq!(works.posts().len(), 1);
    assert!(scorer.stop().0.success());
    assert_eq!(words(&topics, "webhook"), ["retried", "retried", "delivered"]);
    let results = topics.results();
    let why = |at: usize| {
        let of_webhook = results.iter().filter(|result| result["sink"] == "webhook");
        of_webhook.map(|result| result["detail"].clone()).nth(at).unwrap()
    };
    assert_eq!((why(0), why(1)), ("HTTP 500".into(), "HTTP 429: slow down".into()));
}

#[test]
fn a_sink_that_hangs_stops_neither_scoring_nor_another_sink_and_is_told_in_the_end() {
    let topics = Topics::new(1);
    let hangs = Hook::start(|number, _| if number == 0 { Answer::Silence } else { status(200) });
    let works = Hook::start(|_, _| status(200));
    let settings = [
        webhook(&hangs).as_slice(),
        &["--slack-webhook-url".to_owned(), works.url(), "--sink-timeout-s".to_owned(), "2".to_owned()],
    ]
    .concat();
    topics.write(&[record("a", 1, &["webhook", "slack"]), record("b", 1, &["webhook", "slack"])]);
    let mut scorer = start(&topics, &settings);
    topics.wait_settled(&mut scorer, "slack");
    let lines = crate::rig::lines(500);
    topics.broker.produce(&topics.logs, lines.clone()).unwrap();
    scorer.wait("scoring", |scorer| scorer.counted() == lines.len());
    topics.wait_settled(&mut scorer, "webhook");
    // The one that hung comes twice, the other one once; what the lines gave comes beside them.
    let mut told: Vec<String> = hangs.ids().into_iter().filter(|id| id.len() == 1).collect();
    let hung = told[0].clone();
    told.sort();
    assert_eq!(told, if hung == "a" { ["a", "a", "b"] } else { ["a", "b", "b"] });
    let retried = topics.results().into_iter().find(|result| result["result"] == "retried").unwrap();
    assert!(retried["detail"].as_str().unwrap().contains("timed out"), "{retried}");
}

#[test]
fn a_scorer_that_is_killed_while_a_sink_hangs_loses_nothing() {
    let topics = Topics::new(1);
    let hangs = Hook::start(|_, _| Answer::Silence);
    let ids = ["a", "b", "c", "d", "e", "f"];
    topics.write(&ids.map(|id| record(id, 1, &["webhook"])));
    let mut scorer = start(&topics, &webhook(&hangs));
    scorer.wait("requests under way", |_| !hangs.posts().is_empty());
    scorer.kill();
    let works = Hook::start(|_, _| status(200));
    let mut scorer = start(&topics, &webhook(&works));
    topics.wait_settled(&mut scorer, "webhook");
    let told: BTreeSet<String> = works.ids().into_iter().collect();
    assert_eq!(told, ids.map(str::to_owned).into());
}

#[test]
fn an_alert_that_a_sink_cannot_take_does_not_make_the_others_come_again_after_a_restart() {
    let topics = Topics::new(1);
    let hook = Hook::start(|_, post| status(if post.body["id"] == "b" { 503 } else { 200 }));
    topics.write(&["a", "b", "c", "d"].map(|id| record(id, 1, &["webhook"])));
    let of_others = |hook: &Hook| -> Vec<String> {
        let mut ids: Vec<String> = hook.ids().into_iter().filter(|id| id != "b").collect();
        ids.sort();
        ids
    };
    let mut scorer = start(&topics, &webhook(&hook));
    scorer.wait("the others", |_| of_others(&hook).len() == 3);
    assert!(scorer.stop().0.success());
    topics.write(&[record("e", 1, &["webhook"])]);
    let mut scorer = start(&topics, &webhook(&hook));
    scorer.wait("the next", |_| hook.ids().contains(&"e".to_owned()));
    assert_eq!(of_others(&hook), ["a", "c", "d", "e"]);
    let before = hook.ids().len();
    scorer.wait("another try", |_| hook.ids().len() > before && hook.ids().ends_with(&["b".to_owned()]));
}

#[test]
fn scorers_of_one_group_share_the_alerts_and_take_over_from_one_that_is_killed() {
    let topics = Topics::new(4);
    let hook = Hook::start(|_, _| status(200));
    let mut first = start(&topics, &webhook(&hook));
    let mut second = start(&topics, &webhook(&hook));
    let batch = |from: usize| -> Vec<serde_json::Value> {
        (from..from + 40).map(|id| record(&format!("{id:032x}"), 1, &["webhook"])).collect()
    };
    first.wait_ready();
    second.wait_ready();
    topics.write(&batch(0));
    topics.wait_settled(&mut first, "webhook");
    first.kill();
    topics.write(&batch(40));
    topics.wait_settled(&mut second, "webhook");
    let told: BTreeSet<String> = hook.ids().into_iter().collect();
    assert_eq!(told.len(), 80);
}

#[test]
fn a_stopping_scorer_tells_what_is_there_already() {
    let topics = Topics::new(1);
    let hook = Hook::start(|_, _| status(200));
    let mut scorer = start(&topics, &webhook(&hook));
    topics.write(&[record("a", 1, &["webhook"])]);
    topics.wait_settled(&mut scorer, "webhook");
    topics.write(&[record("b", 1, &["webhook"])]);
    assert!(scorer.stop().0.success());
    assert_eq!(hook.ids(), ["a", "b"]);
}

#[test]
fn a_redirect_is_refused_and_kept_as_a_dead_letter() {
    let topics = Topics::new(1);
    let target = Hook::start(|_, _| status(200));
    let location = target.url();
    let hook = Hook::start(move |_, _| Answer::Status(307, vec![("location", location.clone())], ""));
    topics.write(&[record("a", 1, &["webhook"]), record("b", 1, &[])]);
    let mut scorer = start(&topics, &webhook(&hook));
    topics.wait_settled(&mut scorer, "webhook");
    assert!(target.posts().is_empty());
    let letters = topics.dead_letters();
    let letter = letters[0].json().unwrap();
    assert_eq!((letters.len(), letter["record"].clone()), (1, record("a", 1, &["webhook"])));
    assert!(letter["reason"].as_str().unwrap().contains("redirects are not followed"), "{letter}");
    assert!(!scorer.log().contains("topsecret") && !letter.to_string().contains("topsecret"));
    assert_eq!(words(&topics, "webhook"), ["refused"]);
}
