//! What a scorer that runs keeps, in both databases, and that nothing of it is lost when the store is down, full, or
//! the scorer is killed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;
use serde_json::Value;
use store::{AlertFilter, AnomalyFilter, LogFilter, Page, Store, StoreSettings, StoredLog};
use testkit::postgres::Server;

use crate::alerts::burst;
use crate::rig::{Scorer, append, json_lines, lines};

/// Which database a case is about.
#[derive(Clone, Copy, Debug)]
enum Which {
    Embedded,
    Postgres,
}

struct Setup {
    folder: tempfile::TempDir,
    place: StoreSettings,
}

impl Setup {
    fn new(which: Which) -> Self {
        let url = || Server::shared().unwrap().database().unwrap();
        Self::at(match which {
            Which::Embedded => None,
            Which::Postgres => Some(url()),
        })
    }

    fn at(url: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept").join("isolog.db");
        let place = match url {
            None => StoreSettings::Embedded { path },
            Some(url) => StoreSettings::Postgres(url),
        };
        Self { folder, place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, lines: &[String]) {
        append(&self.path("shop/app.log"), lines);
    }

    fn start(&self, more: &[&str]) -> Scorer {
        self.start_under(&[], more)
    }

    /// Under another program.
    fn start_under(&self, wrapper: &[&str], more: &[&str]) -> Scorer {
        std::fs::create_dir_all(self.path("shop")).unwrap();
        let text = |name: &str| self.path(name).display().to_string();
        let input = format!("file:{}", text("shop/app.log"));
        let (anomalies, state) = (text("anomalies.jsonl"), text("state"));
        let mut arguments = vec!["--input", &input, "--anomaly-file", &anomalies, "--state-dir", &state];
        arguments.extend(["--file-poll-ms", "20", "--batch-wait-ms", "20", "--snapshot-interval-ms", "100"]);
        let (path, variable);
        let mut wrapper = wrapper.to_vec();
        match &self.place {
            StoreSettings::Embedded { path: file } => {
                path = file.display().to_string();
                arguments.extend(["--store-path", &path]);
            }
            StoreSettings::Postgres(url) => {
                variable = format!("DATABASE_URL={url}");
                wrapper.extend(["env", &variable]);
            }
        }
        arguments.extend(more);
        Scorer::start_under("store", &wrapper, &arguments)
    }

    fn store(&self) -> Box<dyn Store> {
        store::open(&self.place).unwrap()
    }

    /// All kept lines, oldest first.
    fn logs(&self) -> Vec<StoredLog> {
        let (mut store, mut page, mut all) = (self.store(), Page::first(1_000), Vec::new());
        loop {
            let lines = store.last_logs(&LogFilter::default(), &page).unwrap();
            let Some(last) = lines.last() else { break };
            page = Page::after(last.key(), 1_000);
            all.extend(lines);
        }
        all.sort_by_key(|line| line.source.rsplit(':').next().unwrap().parse::<u64>().unwrap());
        all
    }

    fn anomaly_ids(&self) -> BTreeSet<String> {
        let found = self.store().last_anomalies(&AnomalyFilter::default(), &Page::first(1_000)).unwrap();
        found.into_iter().map(|anomaly| anomaly.id).collect()
    }

    /// As the file of anomalies tells.
    fn told(&self) -> Vec<Value> {
        json_lines(&self.path("anomalies.jsonl"))
    }

    fn told_ids(&self) -> BTreeSet<String> {
        self.told().iter().map(|anomaly| anomaly["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn messages(lines: &[String]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| (text(&line["service"]), text(&line["message"])))
        .collect()
}

#[rstest]
fn lines_around_anomalies_the_anomalies_and_alerts_are_kept(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    const CONTEXT: usize = 3;
    let setup = Setup::new(which);
    let mut lines = lines(1_500);
    lines.extend(burst());
    let mut scorer = setup.start(&["--store-context-lines", "3", "--store-context-severity", "info"]);
    setup.append(&lines);
    scorer.wait("all lines", |scorer| scorer.counted() == lines.len());
    let alert = || {
        let alerts = setup.store().alerts(&AlertFilter::default(), &Page::first(1_000)).unwrap();
        alerts.into_iter().find(|alert| alert.service == "billing_api")
    };
    scorer.wait("an alert", |_| alert().is_some());
    // Each batch makes a temporary table where there is none.
    assert!(!scorer.log().contains("already exists"), "{}", scorer.log());
    assert!(scorer.stop().0.success());
    assert_eq!(setup.anomaly_ids(), setup.told_ids());
    // What an odd line asks for by itself is there; what other detectors found asks for more.
    let all = messages(&lines);
    let kept: BTreeSet<u64> =
        setup.logs().iter().map(|line| line.source.rsplit(':').next().unwrap().parse().unwrap()).collect();
    let starts: Vec<u64> =
        lines.iter().scan(0, |at, line| Some(std::mem::replace(at, *at + line.len() as u64 + 1))).collect();
    let odd = setup.told().into_iter().filter(|anomaly| anomaly["detector"] == "odd_line");
    let mut wanted = BTreeSet::new();
    for anomaly in odd {
        let at = starts.binary_search(&anomaly["source"]["offset"].as_u64().unwrap()).unwrap();
        let same = |other: &usize| all[*other].0 == all[at].0;
        wanted.insert(starts[at]);
        wanted.extend((0..at).rev().filter(same).take(CONTEXT).map(|other| starts[other]));
        wanted.extend((at + 1..lines.len()).filter(same).take(CONTEXT).map(|other| starts[other]));
    }
    assert!(wanted.len() > 100 && wanted.len() < lines.len(), "{} lines are wanted", wanted.len());
    let missing: Vec<_> = wanted.difference(&kept).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(kept.len() < lines.len());
    let found = setup.store().alert(&alert().unwrap().id).unwrap().unwrap();
    let record: Value = serde_json::from_str(&found.records[0]).unwrap();
    assert_eq!(record["id"], found.summary.id.as_str());
}

#[rstest]
#[case("all", 900)]
#[case("none", 0)]
fn all_lines_are_kept_or_none(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
    #[case] logs: &str,
    #[case] count: usize,
) {
    let setup = Setup::new(which);
    let lines = lines(900);
    let mut scorer = setup.start(&["--store-logs", logs]);
    setup.append(&lines);
    scorer.wait("all lines", |scorer| scorer.counted() == lines.len());
    assert!(scorer.stop().0.success());
    let kept = setup.logs();
    assert_eq!(kept.len(), count);
    let found: Vec<_> = kept.iter().map(|line| (line.service.clone(), line.message.clone())).collect();
    assert_eq!(found, messages(&lines)[..count]);
    assert!(kept.iter().all(|line| line.family == "shop" && line.score > 0.0));
    assert_eq!(setup.anomaly_ids(), setup.told_ids());
}

#[rstest]
fn killed_and_started_again_it_keeps_each_line_once(
    #[values(Which::Embedded, Which::Postgres)] which: Which,
) {
    let setup = Setup::new(which);
    let lines = lines(3_000);
    for until in [1_000, 2_000] {
        let mut scorer = setup.start(&["--store-logs", "all", "--batch-size", "50"]);
        setup.append(&lines[until - 1_000..until]);
        scorer.wait("some lines", |scorer| scorer.counted() >= 300);
        drop(scorer.kill());
    }
    let mut scorer = setup.start(&["--store-logs", "all", "--batch-size", "50"]);
    setup.append(&lines[2_000..]);
    scorer.wait("the last lines", |_| setup.logs().len() == lines.len());
    assert!(scorer.stop().0.success());
    let found: Vec<_> =
        setup.logs().iter().map(|line| (line.service.clone(), line.message.clone())).collect();
    assert_eq!(found, messages(&lines));
    assert_eq!(setup.anomaly_ids(), setup.told_ids());
}

#[test]
fn a_scorer_waits_for_a_server_that_stops_and_goes_on_with_nothing_lost() {
    let mut server = Server::start().unwrap();
    let url = server.database().unwrap().replace("isolog@", "isolog:geheim@");
    let setup = Setup::at(Some(url));
    let lines = lines(1_200);
    let mut scorer = setup.start(&["--store-logs", "all"]);
    setup.append(&lines[..600]);
    scorer.wait("the first lines", |_| setup.logs().len() == 600);
    server.stop().unwrap();
    setup.append(&lines[600..]);
    scorer.wait("to be told of it", |scorer| {
        scorer
            .get("/readyz")
            .is_some_and(|(status, why)| status == 503 && why.contains("PostgreSQL at 127.0.0.1:"))
    });
    scorer.wait("a second try", |scorer| scorer.metric("isolog_store_writes_total") >= 3.0);
    server.resume().unwrap();
    scorer.wait("the others", |_| setup.logs().len() == lines.len());
    scorer.wait_ready();
    assert!(!scorer.log().contains("geheim"));
    assert!(scorer.stop().0.success());
    assert_eq!(setup.anomaly_ids(), setup.told_ids());
}

#[test]
fn a_scorer_waits_while_the_disk_is_full_and_goes_on_with_nothing_lost() {
    let setup = Setup::new(Which::Embedded);
    let lines = lines(6_000);
    // No file may grow beyond 1 MiB: what a full disk refuses, for every user and everywhere.
    let full = ["sh", "-c", "trap '' XFSZ; ulimit -S -f 2048; exec \"$@\"", "sh"];
    let mut scorer = setup.start_under(&full, &["--store-logs", "all"]);
    setup.append(&lines);
    scorer.wait("to be told of it", |scorer| {
        scorer
            .get("/readyz")
            .is_some_and(|(status, why)| status == 503 && why.contains("isolog.db") && why.contains("disk"))
    });
    let held = setup.logs().len();
    assert!(held < lines.len(), "{held}");
    let lifted = Command::new("prlimit")
        .args(["--pid", &scorer.id().to_string(), "--fsize=unlimited"])
        .status()
        .unwrap();
    assert!(lifted.success(), "prlimit of util-linux is needed");
    scorer.wait("all lines", |_| setup.logs().len() == lines.len());
    scorer.wait_ready();
    assert!(scorer.stop().0.success());
    let found: Vec<_> =
        setup.logs().iter().map(|line| (line.service.clone(), line.message.clone())).collect();
    assert_eq!(found, messages(&lines));
}

#[test]
fn the_embedded_store_stays_within_its_bytes() {
    let setup = Setup::new(Which::Embedded);
    let lines = lines(30_000);
    // Alerts give way last, and those of so many days at once would need all of it.
    let without_alerts = ["env", "DETECT=false"];
    let mut scorer =
        setup.start_under(&without_alerts, &["--store-logs", "all", "--store-max-bytes", "6291456"]);
    setup.append(&lines);
    scorer.wait("all lines", |scorer| scorer.counted() == lines.len());
    assert!(scorer.stop().0.success());
    let StoreSettings::Embedded { path } = &setup.place else { panic!("it is embedded") };
    // The size is looked at after each 4 MiB; anomalies need far less than the cap.
    let size = std::fs::metadata(path).unwrap().len();
    assert!(size < 16 << 20, "{size}");
    let newest = messages(&lines).pop().unwrap();
    let kept = setup.logs();
    assert!(kept.len() < lines.len(), "{}", kept.len());
    assert_eq!(kept.last().map(|line| (line.service.clone(), line.message.clone())), Some(newest));
    assert_eq!(setup.anomaly_ids().is_empty(), setup.told().is_empty());
}

#[test]
fn a_store_that_cannot_be_used_stops_the_start_and_names_the_setting() {
    let start = |name: &str, value: &str| {
        let mut command = assert_cmd::Command::new(crate::rig::SCORER);
        command.args(["run", "--input", "otlp", "--http-addr", "", "--grpc-addr", ""]);
        command.env(name, value).assert().failure()
    };
    let contains = predicates::str::contains::<&str>;
    start("STORE_PATH", "/proc/nowhere/isolog.db").stderr(contains("STORE_PATH that can be written"));
    start("DATABASE_URL", "mysql://root:geheim@localhost/x")
        .stderr(contains("DATABASE_URL"))
        .stderr(contains("postgres://"))
        .stderr(predicates::boolean::PredicateBooleanExt::not(contains("geheim")));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("isolog.db");
    let settings = StoreSettings::Embedded { path: path.clone() };
    store::open(&settings).unwrap().prepare().unwrap();
    newer(&path);
    start("STORE_PATH", &path.display().to_string()).stderr(contains("written by a newer program"));
}

/// Makes the tables those of a newer program.
fn newer(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("UPDATE isolog_schema SET version = 99").unwrap();
}
