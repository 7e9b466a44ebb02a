//! Dead letters are sent again by a command that says what became of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::hook::{Hook, status};
use super::{Topics, record};
use crate::rig::SCORER;

fn replay(topics: &Topics, url: &str, sink: &str) -> Command {
    let mut command = Command::new(SCORER);
    command.arg("replay-dead-letters");
    command.args(topics.arguments(&["--sink", sink, "--alert-webhook-url", url]));
    command
}

#[test]
fn dead_letters_are_sent_again_until_they_are_taken() {
    let topics = Topics::new(1);
    let answer = Arc::new(AtomicU16::new(400));
    let answers = Arc::clone(&answer);
    let hook = Hook::start(move |_, _| status(answers.load(Ordering::Relaxed)));
    let url = hook.url();
    topics.write(&[record("a", 1, &["webhook"]), record("b", 1, &["webhook"])]);
    let mut scorer = topics.start(&["--alert-webhook-url", &url]);
    topics.wait_settled(&mut scorer, "webhook");
    assert!(scorer.stop().0.success());
    assert_eq!(topics.dead_letters().len(), 2);

    replay(&topics, &url, "webhook")
        .assert()
        .code(1)
        .stdout(contains("alert a revision 1: refused again: HTTP 400").and(contains("2 refused again")));
    answer.store(503, Ordering::Relaxed);
    let sent = hook.posts().len();
    replay(&topics, &url, "webhook").assert().code(1).stdout(contains("the sink does not work"));
    assert_eq!(hook.posts().len(), sent + 1, "a sink that does not work is asked once");
    answer.store(200, Ordering::Relaxed);
    replay(&topics, &url, "all")
        .assert()
        .success()
        .stdout(contains("alert a revision 1: delivered").and(contains("2 delivered, 0 refused again")));
    let sent = hook.posts().len();
    replay(&topics, &url, "webhook").assert().success().stdout(contains("0 delivered"));
    assert_eq!(hook.posts().len(), sent);
    replay(&topics, &url, "slack").assert().code(2).stderr(contains("no such sink is set"));
}
