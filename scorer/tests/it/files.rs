//! Files that grow, rotate, are truncated, and a scorer that is killed while it reads them.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::rig::{Scorer, append, assert_anomalies, expected, json_lines, lines, odd_lines};

/// The place among `lines` of a source's byte offset.
fn place_of(lines: &[String]) -> impl Fn(&Value) -> usize {
    let starts: Vec<u64> = lines
        .iter()
        .scan(0, |at, line| {
            let start = *at;
            *at += line.len() as u64 + 1;
            Some(start)
        })
        .collect();
    move |source| starts.binary_search(&source["offset"].as_u64().unwrap()).unwrap()
}

struct Setup {
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn start(&self, input: &str, more: &[&str]) -> Scorer {
        let input = format!("file:{}", self.path(input));
        let (anomalies, state) = (self.path("out.jsonl"), self.path("state"));
        let mut arguments = vec![
            "--input",
            &input,
            "--anomaly-file",
            &anomalies,
            "--state-dir",
            &state,
            "--file-poll-ms",
            "20",
        ];
        arguments.extend(more);
        Scorer::start("files", &arguments)
    }

    fn anomalies(&self) -> Vec<Value> {
        odd_lines(json_lines(Path::new(&self.path("out.jsonl"))))
    }
}

#[test]
fn lines_appended_while_it_runs_are_scored_and_a_half_written_one_waits() {
    let setup = Setup::new();
    let lines = lines(900);
    let log = setup.path("app.log");
    append(Path::new(&log), &lines[..500]);
    let mut scorer = setup.start("app.log", &[]);
    scorer.wait("the first lines", |scorer| scorer.counted() == 500);
    let (half, rest) = lines[500].split_at(20);
    File::options().append(true).open(&log).unwrap().write_all(half.as_bytes()).unwrap();
    append(Path::new(&log), &[rest.to_owned()]);
    append(Path::new(&log), &lines[501..]);
    scorer.wait("all lines", |scorer| scorer.counted() == 900);
    assert!(scorer.stop().0.success());
    assert_anomalies(&setup.anomalies(), &expected(&lines), place_of(&lines));
}

#[test]
fn a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let setup = Setup::new();
    let lines = lines(1_000);
    let log = setup.path("app.log");
    append(Path::new(&log), &lines[..400]);
    let mut scorer = setup.start("app.log", &[]);
    scorer.wait("the first lines", |scorer| scorer.counted() == 400);
    std::fs::rename(&log, setup.path("app.log.1")).unwrap();
    append(Path::new(&setup.path("app.log.1")), &lines[400..600]);
    append(Path::new(&log), &lines[600..]);
    scorer.wait("all lines", |scorer| scorer.counted() == 1_000);
    scorer.stop();
    assert_eq!(setup.anomalies().len(), expected(&lines).anomalies.len());
}

#[test]
fn a_truncated_file_is_read_from_its_beginning_and_gives_new_ids() {
    let setup = Setup::new();
    let lines = lines(600);
    let log = setup.path("app.log");
    append(Path::new(&log), &lines);
    let mut scorer = setup.start("app.log", &[]);
    scorer.wait("the first time", |scorer| scorer.counted() == 600);
    File::create(&log).unwrap();
    append(Path::new(&log), &lines[..300]);
    scorer.wait("the second time", |scorer| scorer.counted() == 900);
    scorer.stop();
    let once = expected(&lines).anomalies.len() + expected(&lines[..300]).anomalies.len();
    let found = setup.anomalies();
    assert_eq!(found.len(), once);
    let ids: std::collections::BTreeSet<&str> = found.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), once);
}

#[test]
fn killed_while_reading_it_goes_on_where_it_was_and_repeats_only_ids() {
    let setup = Setup::new();
    let lines = lines(30_000);
    // However late it is killed, half is left.
    append(Path::new(&setup.path("app.log")), &lines[..15_000]);
    let mut scorer = setup.start("app.log", &["--batch-size", "20"]);
    scorer.wait("some positions kept", |scorer| scorer.counted() > 2_000);
    scorer.kill();
    append(Path::new(&setup.path("app.log")), &lines[15_000..]);

    let mut scorer = setup.start("app.log", &[]);
    let all = expected(&lines);
    scorer.wait("the last odd line", |_| {
        let place = place_of(&lines);
        setup
            .anomalies()
            .last()
            .is_some_and(|last| Some(place(&last["source"])) == all.anomalies.keys().next_back().copied())
    });
    assert!(scorer.stop().0.success());
    assert_anomalies(&setup.anomalies(), &all, place_of(&lines));

    let mut scorer = setup.start("app.log", &[]);
    scorer.wait_ready();
    append(Path::new(&setup.path("app.log")), &lines[..10]);
    scorer.wait("only the new lines", |scorer| scorer.counted() >= 10);
    assert_eq!(scorer.counted(), 10, "a stop keeps the position of everything that was delivered");
}

#[test]
fn a_directory_is_followed_with_new_files_and_services_by_path() {
    let setup = Setup::new();
    let lines = lines(400);
    std::fs::create_dir_all(setup.path("logs/audit")).unwrap();
    append(Path::new(&setup.path("logs/audit/one.json")), &lines[..200]);
    let mut scorer = setup.start("logs", &["--file-services", "logs/{service}/*.json"]);
    scorer.wait("the first file", |scorer| scorer.counted() == 200);
    std::fs::create_dir_all(setup.path("logs/bpm")).unwrap();
    append(Path::new(&setup.path("logs/bpm/two.json")), &lines[200..]);
    append(
        Path::new(&setup.path("logs/bpm/two.json")),
        &["ZXQ flux capacitor imploded terminally".to_owned()],
    );
    scorer.wait("the second file", |scorer| scorer.counted() == 401);
    scorer.stop();
    let found = setup.anomalies();
    let odd = found.iter().find(|one| one["message"].as_str().unwrap().contains("capacitor")).unwrap();
    assert_eq!(odd["service"], "bpm");
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for() {
    let setup = Setup::new();
    let mut scorer = setup.start("later.log", &[]);
    scorer.wait("not ready", |scorer| {
        scorer.get("/readyz").is_some_and(|(status, body)| status == 503 && body.contains("later.log"))
    });
    append(Path::new(&setup.path("later.log")), &lines(10));
    scorer.wait_ready();
    scorer.wait("its lines", |scorer| scorer.counted() == 10);
    assert!(scorer.stop().0.success());
}

#[test]
fn a_stack_trace_is_one_record_and_its_first_line_holds_the_position_back() {
    let setup = Setup::new();
    let log = setup.path("app.log");
    let trace = [
        "2026-01-05T12:00:00Z ERROR zebra Unhandled ZorgException: quux vanished",
        "    at zorg.Quux.vanish(Quux.java:7)",
        "    at zorg.Main.main(Main.java:3)",
    ]
    .map(str::to_owned);
    append(Path::new(&log), &trace);
    // As long as the record may go on, nothing of it is delivered.
    let mut scorer = setup.start("app.log", &["--multiline-wait-ms", "60000"]);
    scorer.wait_ready();
    let after = "2026-01-05T12:00:01Z INFO zebra all is well";
    append(Path::new(&log), &[after.to_owned()]);
    scorer.wait("the trace", |scorer| scorer.counted() == 1);
    assert!(scorer.stop().0.success());
    let found = setup.anomalies();
    let message = found[0]["message"].as_str().unwrap();
    assert!(message.contains("quux vanished") && message.contains("Main.java:3"), "{message}");
    assert_eq!(found[0]["source"]["offset"], 0);

    // The line that waited for its next one when the scorer stopped is read again.
    let mut scorer = setup.start("app.log", &[]);
    scorer.wait("the last line", |scorer| scorer.counted() == 1);
    assert!(scorer.stop().0.success());
}

/// The first core that this process may run on, as `taskset` takes it.
fn first_core() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    cores.chars().take_while(char::is_ascii_digit).collect()
}

fn reads_ahead(scorer: &Scorer) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", scorer.id())).unwrap();
    let names = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")));
    names.flatten().any(|name| name.trim() == "read")
}

#[test]
fn reading_ahead_of_detection_changes_nothing_that_is_found() {
    let setup = Setup::new();
    let mut lines = lines(3_000);
    // A record that cannot be read, one of two lines, and a burst.
    lines.insert(700, r#"{"level":"INFO"}"#.to_owned());
    lines.insert(1_500, format!("[{},{}]", lines[3], lines[4]));
    lines.splice(2_000..2_000, crate::alerts::burst());
    append(Path::new(&setup.path("app.log")), &lines);
    let input = format!("file:{}", setup.path("app.log"));
    let core = first_core();
    let mut found = Vec::new();
    for (run, wrapper, cores) in [
        ("one", &["taskset", "-c", &core][..], 1),
        ("all", &["env"][..], std::thread::available_parallelism().unwrap().get()),
    ] {
        let (out, state) = (setup.path(&format!("{run}.jsonl")), setup.path(&format!("{run}.state")));
        let arguments = ["--input", &input, "--anomaly-file", &out, "--state-dir", &state];
        let mut scorer = Scorer::start_under("ahead", wrapper, &arguments);
        scorer.wait("all lines", |scorer| scorer.counted() >= 3_009);
        assert_eq!(reads_ahead(&scorer), cores > 1);
        assert_eq!(scorer.counted(), 3_009, "{}", scorer.log());
        assert!(scorer.stop().0.success());
        let of_lines = |one: &Value| one["window"].is_null() || one["detector"] == "error_burst";
        let all = json_lines(Path::new(&out)).into_iter().filter(of_lines);
        let id_and_score =
            |one: Value| (one["id"].to_string(), one["detector"].to_string(), one["score"].as_f64());
        found.push(all.map(id_and_score).collect::<Vec<_>>());
    }
    assert_eq!(found[0], found[1]);
    let bursts = found[0].iter().filter(|(_, detector, _)| detector.contains("error_burst")).count();
    assert!(bursts >= 1 && found[0].len() > 100, "{bursts} of {}", found[0].len());
}
