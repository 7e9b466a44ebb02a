//! What `trainer fit` writes and shows.

use std::io::Write as _;
use std::process::Stdio;

use crate::{run, shop, trainer, write};

#[test]
fn the_sample_trains_without_any_argument() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("isolog.model");
    let (output, stdout, stderr) =
        run(trainer().current_dir("..").env("MODEL_PATH", &model).env("N_ESTIMATORS", "50"));
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains("trained on 20,000"), "{stdout}");
    for part in ["threshold", "anomalies a day", "Oddest lines", "seen once", "most frequent patterns"] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    assert!(std::fs::metadata(&model).unwrap().len() > 10_000);
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let logs = write(folder.path(), "logs.csv", shop(1, 6_000, 0.01, false));
    let train = |name: &str, threads: &str, seed: &str| {
        let model = folder.path().join(name);
        let args = ["--threads", threads, "--seed", seed, "--n-estimators", "60", "--model-path"];
        let (output, _, stderr) = run(trainer().arg("fit").args(args).arg(&model).arg(&logs));
        assert!(output.status.success(), "{stderr}");
        std::fs::read(model).unwrap()
    };
    let one = train("one", "1", "7");
    assert!(one == train("eight", "8", "7"), "8 threads give other bytes than 1");
    assert!(one == train("again", "8", "7"), "a second run gives other bytes");
    assert!(one != train("other", "1", "8"), "another seed gives the same bytes");
}

#[test]
fn a_compressed_file_and_a_pattern_train_like_the_plain_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = shop(2, 1_500, 0.0, false);
    write(folder.path(), "logs.csv", &text);
    write(folder.path(), "logs.csv.zst", zstd::encode_all(text.as_bytes(), 1).unwrap());
    let model = folder.path().join("m");
    let scores = |pattern: &str| {
        let report = folder.path().join("report.json");
        let args = ["fit", "--n-estimators", "20", "--report-json"];
        let (output, _, stderr) = run(trainer()
            .args(args)
            .arg(&report)
            .arg("-m")
            .arg(&model)
            .arg(format!("{}/{pattern}", folder.path().display())));
        assert!(output.status.success(), "{stderr}");
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
        (report["accepted"].clone(), report["threshold"].clone(), report["histogram"].clone())
    };
    let plain = scores("logs.csv");
    assert_eq!(plain.0, 1_500);
    assert_eq!(plain, scores("*.zst"));
}

#[test]
fn standard_input_is_read_once_and_its_error_is_stated() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = trainer()
        .args(["fit", "-", "--n-estimators", "20", "-m"])
        .arg(folder.path().join("m"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = shop(3, 2_000, 0.01, false);
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("from a sample, standard error"), "{stdout}");
    assert!(stdout.contains("trained on 2,000"), "{stdout}");
}

#[test]
fn excluded_lines_are_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("timestamp,service,level,message\n");
    for minute in 0..50 {
        text += &format!("2026-01-05T10:{minute:02}:00Z,orders,INFO,ordinary line\n");
    }
    text += "2026-01-05T11:30:00Z,orders,INFO,incident line\n";
    text += "2026-01-05T10:30:00Z,batch,INFO,batch line\n";
    text += "2026-01-05T10:31:00Z,orders,CRITICAL,grave line\n";
    let logs = write(folder.path(), "logs.csv", text);
    let report = folder.path().join("report.json");
    let args = [
        "--exclude-time",
        "2026-01-05T11:00:00Z..2026-01-05T12:00:00Z",
        "--exclude-level",
        "ERROR",
        "--exclude",
        "service == \"batch\"",
        "--report-json",
    ];
    let (output, stdout, stderr) =
        run(trainer().arg("fit").args(args).arg(&report).arg("-m").arg(folder.path().join("m")).arg(&logs));
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains("left out on request: 3"), "{stdout}");
    let report = std::fs::read_to_string(report).unwrap();
    for word in ["incident", "batch", "grave"] {
        assert!(!report.contains(word), "{word}");
    }
}

#[test]
fn secrets_reach_neither_model_nor_report() {
    let folder = tempfile::tempdir().unwrap();
    let text = shop(4, 500, 0.0, false)
        + "2026-01-05T00:10:00Z,auth,ERROR,login with password=Tr0ub4dor-hunter2 and card 4111 1111 1111 1111 refused\n"
        + "2026-01-05T00:10:01Z,auth,INFO,badge QX-774411 shown\n";
    let logs = write(folder.path(), "logs.csv", text);
    let (model, report) = (folder.path().join("m"), folder.path().join("r.json"));
    let args = ["fit", "--redact", "badge=QX-\\d+", "--n-estimators", "20", "--report-json"];
    let (output, stdout, stderr) = run(trainer().args(args).arg(&report).arg("-m").arg(&model).arg(&logs));
    assert!(output.status.success(), "{stderr}");
    let kept = [std::fs::read(model).unwrap(), std::fs::read(report).unwrap(), stdout.into_bytes()].concat();
    for secret in ["Tr0ub4dor", "4111 1111", "QX-774411"] {
        assert!(!kept.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
}

#[test]
fn sessions_are_learnt_by_their_key_and_the_budget_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("timestamp,service,level,message,trace_id\n");
    for line in 0..3_000 {
        let (session, step) = (line / 3, ["begins", "goes on", "ends"][line % 3]);
        let time = format!("2026-01-05T{:02}:{:02}:{:02}Z", line / 3_600, line / 60 % 60, line % 60);
        text += &format!("{time},api,INFO,work {step},t{session}\n");
    }
    let logs = write(folder.path(), "logs.csv", text);
    let model = folder.path().join("m");
    let fit = |key: &str| {
        let args = ["fit", "--n-estimators", "20", "--session-key", key, "--model-path"];
        run(trainer().args(args).arg(&model).arg(&logs))
    };
    let (output, stdout, stderr) = fit("trace_id");
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains("Sessions by trace_id: 1,000;"), "{stdout}");
    assert!(stdout.contains("ALERT_BUDGET_PER_DAY 10: so many lines a day"), "{stdout}");
    let learnt = corpus::load_model(&model).unwrap();
    assert_eq!(learnt.sessions().unwrap().sessions(), 1_000);
    let budget = |per_day| learnt.threshold_for_budget(per_day).unwrap();
    assert!(budget(10.0) >= budget(1_000.0) && budget(0.001) >= budget(10.0) && budget(1e9) == 0.0);

    for (key, part) in [("span_id", "no two sessions by the session key span_id"), ("(", "SESSION_KEY")] {
        let (output, _, stderr) = fit(key);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}

#[test]
fn the_report_is_also_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let logs = write(folder.path(), "logs.csv", shop(3, 1_500, 0.0, false));
    let page = folder.path().join("report.html");
    let (output, stdout, stderr) = run(trainer()
        .args(["fit", "--n-estimators", "20", "--report-html"])
        .arg(&page)
        .arg("-m")
        .arg(folder.path().join("m"))
        .arg(&logs));
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains(&format!("Report written to {}", page.display())), "{stdout}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("<dd>1,500</dd>") && page.contains("<rect") && page.contains("Oddest lines"),
        "{page}"
    );
}
