//! Without Kafka the store is the outbox: embedded and in PostgreSQL.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use rstest::rstest;
use testkit::postgres::Server;

use super::burst::{append, only_post};
use super::hook::{Answer, Hook, status};
use crate::rig::{SCORER, Scorer};

struct Setup {
    folder: tempfile::TempDir,
    store: [String; 2],
}

impl Setup {
    fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("isolog.db").display().to_string();
        Self::new(folder, ["--store-path".to_owned(), path])
    }

    fn new(folder: tempfile::TempDir, store: [String; 2]) -> Self {
        std::fs::write(folder.path().join("app.log"), "").unwrap();
        Self { folder, store }
    }

    fn postgres() -> Self {
        Self::on(&Server::shared().unwrap().database().unwrap())
    }

    fn on(url: &str) -> Self {
        Self::new(tempfile::tempdir().unwrap(), ["--database-url".to_owned(), url.to_owned()])
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("app.log")
    }

    fn start(&self, hook: &Hook) -> Scorer {
        let input = format!("file:{}", self.log().display());
        let state = self.folder.path().join("state").display().to_string();
        let url = hook.url();
        let mut arguments = vec!["--input", &input, "--state-dir", &state, "--alert-webhook-url", &url];
        arguments.extend(self.store.iter().map(String::as_str));
        Scorer::start("stored", &arguments)
    }

    fn replay(&self, hook: &Hook) -> Command {
        let mut command = Command::new(SCORER);
        command.args(["replay-dead-letters", "--input", "stdin", "--alert-webhook-url", &hook.url()]);
        command.args(&self.store);
        command
    }
}

#[rstest]
#[case::embedded(Setup::embedded())]
#[case::postgres(Setup::postgres())]
fn six_errors_in_a_file_make_exactly_one_post_without_kafka(#[case] setup: Setup) {
    let hook = Hook::start(|_, _| status(200));
    let mut scorer = setup.start(&hook);
    scorer.wait_ready();
    append(&setup.log());
    let post = only_post(scorer, &hook).body;
    assert_eq!((&post["detector"], &post["service"]), (&"error_burst".into(), &"billing_api".into()));
    assert_eq!(post["source"]["kind"], "file");
}

#[rstest]
#[case::embedded(Setup::embedded())]
#[case::postgres(Setup::postgres())]
fn a_scorer_that_is_killed_before_its_sink_answers_tells_it_after_a_restart(#[case] setup: Setup) {
    let hangs = Hook::start(|_, _| Answer::Silence);
    let mut scorer = setup.start(&hangs);
    scorer.wait_ready();
    append(&setup.log());
    scorer.wait("the request", |_| !hangs.posts().is_empty());
    scorer.kill();
    let hook = Hook::start(|_, _| status(200));
    let mut scorer = setup.start(&hook);
    scorer.wait("the POST", |_| !hook.posts().is_empty());
    assert!(scorer.stop().0.success());
    let sent = |hook: &Hook| hook.posts()[0].headers["webhook-id"].clone();
    assert_eq!((hook.posts().len(), sent(&hook)), (1, sent(&hangs)));
}

#[rstest]
#[case::embedded(Setup::embedded())]
#[case::postgres(Setup::postgres())]
fn dead_letters_in_the_store_are_sent_again_until_they_are_taken(#[case] setup: Setup) {
    let answer = Arc::new(AtomicU16::new(400));
    let answers = Arc::clone(&answer);
    let hook = Hook::start(move |_, _| status(answers.load(Ordering::Relaxed)));
    let mut scorer = setup.start(&hook);
    scorer.wait_ready();
    append(&setup.log());
    only_post(scorer, &hook);
    setup.replay(&hook).assert().code(1).stdout(contains("refused again: HTTP 400"));
    answer.store(200, Ordering::Relaxed);
    setup
        .replay(&hook)
        .assert()
        .success()
        .stdout(contains("delivered").and(contains("1 delivered, 0 refused")));
    setup.replay(&hook).assert().success().stdout(contains("0 delivered"));
    assert_eq!(hook.posts().len(), 3);
}

#[test]
fn of_two_scorers_on_one_database_one_tells_each_alert() {
    let url = Server::shared().unwrap().database().unwrap();
    let (first, second) = (Setup::on(&url), Setup::on(&url));
    let hook = Hook::start(|_, _| status(200));
    let (mut one, mut other) = (first.start(&hook), second.start(&hook));
    one.wait_ready();
    other.wait_ready();
    append(&first.log());
    append(&second.log());
    one.wait("both POSTs", |_| hook.posts().len() >= 2);
    assert!(one.stop().0.success() && other.stop().0.success());
    let mut ids: Vec<_> = hook.posts().iter().map(|post| post.headers["webhook-id"].clone()).collect();
    ids.sort_by_key(|id| id.to_str().unwrap().to_owned());
    ids.dedup();
    assert_eq!((ids.len(), hook.posts().len()), (2, 2));
}
