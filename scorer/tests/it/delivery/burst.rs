//! From six lines in a file to one POST: the whole way, with real programs.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use testkit::connect::{Converter, Standalone};
use testkit::workdir::Workdir;

use super::Topics;
use super::hook::{Hook, Post, status};
use crate::rig::Scorer;

/// Six ERROR lines within five seconds: one more than is allowed.
const SECONDS: [u32; 6] = [10, 10, 10, 11, 12, 12];

pub fn append(path: &Path) {
    let line = |second| {
        format!(
            r#"{{"timestamp":"2026-01-02T12:00:{second}Z","level":"ERROR","service":"billing_api","message":"card refused"}}"#
        )
    };
    let text: String = SECONDS.iter().map(|second| line(second) + "\n").collect();
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Waits for the first POST, stops the scorer, and says that there was no other one.
pub fn only_post(mut scorer: Scorer, hook: &Hook) -> Post {
    scorer.wait("the POST", |_| !hook.posts().is_empty());
    scorer.wait("all lines", |scorer| scorer.counted() == SECONDS.len());
    assert!(scorer.stop().0.success());
    let [post] = hook.posts().try_into().unwrap();
    post
}

#[test]
fn six_errors_through_connect_and_kafka_make_exactly_one_post_that_names_the_burst() {
    let topics = Topics::new(1);
    let hook = Hook::start(|_, _| status(200));
    let folder = Workdir::create("app").unwrap();
    let file = folder.write("app.log", "").unwrap();
    let _connect =
        Standalone::file_source(topics.broker, &file, &topics.logs, Converter::SchemalessJson).unwrap();
    let mut scorer = topics.start(&["--alert-webhook-url", &hook.url()]);
    scorer.wait_ready();
    append(&file);
    let post = only_post(scorer, &hook).body;
    assert_eq!((&post["detector"], &post["service"]), (&"error_burst".into(), &"billing_api".into()));
    assert_eq!((&post["status"], &post["severity"]), (&"firing".into(), &"error".into()));
    assert_eq!(post["source"]["topic"], topics.logs.as_str());
    assert_eq!(topics.results()[0]["result"], "delivered");
}
