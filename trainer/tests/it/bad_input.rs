//! Input and settings that cannot be used: exit status 2 and a message that names them; bad lines are only counted.

use rstest::rstest;

use crate::{run, trainer, write};

const HEADER: &str = "timestamp,service,level,message\n";

#[rstest]
#[case::wrong_header("when,what\n1,2\n", "line 1: the CSV header `when,what` has no column for the message")]
#[case::empty("", "training needs at least 2 log lines, got 0")]
#[case::header_only(HEADER, "training needs at least 2 log lines, got 0")]
#[case::one_row(
    "timestamp,service,level,message\n2026-01-05,a,INFO,x\n",
    "training needs at least 2 log lines, got 1"
)]
#[case::all_ragged(
    "timestamp,service,level,message\na,b\nc,d\n",
    "2 rejected as wrong_column_count, the first in line 2: the row has 2 columns, its header has 4"
)]
fn a_file_without_usable_lines_is_refused(#[case] text: &str, #[case] message: &str) {
    let folder = tempfile::tempdir().unwrap();
    let logs = write(folder.path(), "logs.csv", text);
    let model = folder.path().join("m");
    let (output, _, stderr) = run(trainer().arg("fit").arg("-m").arg(&model).arg(&logs));
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(message), "{stderr}");
    assert!(!model.exists(), "a model was written");
}

#[rstest]
#[case::ragged("2026-01-05,a,INFO\n", "wrong_column_count", "the row has 3 columns, its header has 4")]
#[case::quoting("2026-01-05,a,INFO,\"x\"y\n", "malformed", "faulty quoting")]
#[case::time("soon,a,INFO,x\n", "invalid_time", "")]
#[case::long(&format!("2026-01-05,a,INFO,{}\n", "x".repeat(10 << 20)), "too_long", "at most 1048576 are allowed")]
fn bad_rows_are_shown_with_reason_and_line_number(
    #[case] row: &str,
    #[case] reason: &str,
    #[case] detail: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let good = "2026-01-05T00:00:00Z,a,INFO,good line\n".repeat(5);
    let logs = write(folder.path(), "logs.csv", format!("{HEADER}{good}{row}{good}"));
    let (output, stdout, stderr) =
        run(trainer().arg("fit").arg("-m").arg(folder.path().join("m")).arg(&logs));
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains(&format!("rejected as {reason}: 1")), "{stdout}");
    assert!(stdout.contains("logs.csv line 7: ") && stdout.contains(detail), "{stdout}");
    assert!(stdout.contains("trained on 10 "), "{stdout}");
}

#[test]
fn bytes_that_are_no_utf_8_are_rejected_and_nul_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = format!("{HEADER}{}", "2026-01-05T00:00:00Z,a,INFO,good line\n".repeat(5)).into_bytes();
    bytes.extend_from_slice(b"2026-01-05,a,INFO,\xff\xfe\n2026-01-05,a,INFO,x\0y\n");
    let logs = write(folder.path(), "logs.csv", bytes);
    let (output, stdout, stderr) =
        run(trainer().arg("fit").arg("-m").arg(folder.path().join("m")).arg(&logs));
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains("rejected as invalid_utf8: 1") && stdout.contains("trained on 6 "), "{stdout}");
}

#[test]
fn one_distinct_line_trains_and_flags_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{HEADER}{}", "2026-01-05T00:00:00Z,a,INFO,the same line\n".repeat(400));
    let logs = write(folder.path(), "logs.csv", text);
    let report = folder.path().join("r.json");
    let (output, _, stderr) = run(trainer()
        .arg("fit")
        .arg("-m")
        .arg(folder.path().join("m"))
        .arg("--report-json")
        .arg(&report)
        .arg(&logs));
    assert!(output.status.success(), "{stderr}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["share_above"], 0.0, "{report}");
}

#[test]
fn all_settings_out_of_range_are_named_together() {
    let mut command = trainer();
    command
        .env("CONTAMINATION", "0.7")
        .env("N_FEATURES", "1000")
        .env("MAX_SAMPLES", "1")
        .env("MAX_LINE_BYTES", "1");
    command.args([
        "fit",
        "--n-estimators",
        "0",
        "--threads",
        "99999",
        "--exclude-time",
        "x",
        "--exclude",
        "1 +",
        "--exclude-level",
        "LOUD",
        "--format",
        "morse",
        "--redact",
        "x",
    ]);
    let (output, _, stderr) = run(&mut command);
    assert_eq!(output.status.code(), Some(2));
    for part in [
        "11 settings cannot be used",
        "CONTAMINATION (--contamination) = 0.7 is out of range",
        "N_FEATURES (--n-features) = 1000 is out of range",
        "MAX_SAMPLES (--max-samples) = 1 is out of range",
        "N_ESTIMATORS (--n-estimators) = 0 is out of range",
        "TRAINER_THREADS (--threads) = 99999 is out of range",
        "MAX_LINE_BYTES (--max-line-bytes) = 1 is out of range",
        "--exclude-time = x",
        "--exclude: ",
        "--exclude-level = LOUD",
        "unknown format `morse`",
        "redaction pattern `x`",
    ] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}

#[rstest]
#[case::not_a_number(&["--n-estimators", "many"], "many")]
#[case::contamination(&["--contamination", "some"], "or `auto`")]
#[case::no_file(&["no/such/*.csv"], "no such file")]
#[case::folder(&["."], "is a folder")]
fn what_cannot_be_used_is_named(#[case] args: &[&str], #[case] message: &str) {
    let (output, _, stderr) = run(trainer().arg("fit").args(args));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains(message), "{stderr}");
}

#[rstest]
#[case("N_ESTIMATORS", "abc", "1 to 10000")]
#[case("CONTAMINATION", "", "a share above 0 and at most 0.5, or `auto`")]
#[case("MAX_LINE_BYTES", "1 MiB", "64 to 67108864")]
fn a_variable_of_the_wrong_kind_is_named_with_value_what_is_allowed_and_what_to_do(
    #[case] variable: &str,
    #[case] value: &str,
    #[case] allowed: &str,
) {
    let (output, _, stderr) = run(trainer().arg("fit").env(variable, value));
    assert_eq!(output.status.code(), Some(2));
    let named = format!("{variable} = {value:?} cannot be used; allowed: ");
    for part in [named.as_str(), allowed, "or leave it out", "for the default"] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}

#[test]
fn flags_win_over_the_environment() {
    let (output, _, stderr) =
        run(trainer().env("N_ESTIMATORS", "0").args(["fit", "--n-estimators", "5", "no-such-file"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("no-such-file: no such file"), "{stderr}");
}

#[test]
fn a_model_path_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let logs = write(
        folder.path(),
        "logs.csv",
        format!("{HEADER}{}", "2026-01-05T00:00:00Z,a,INFO,good line\n".repeat(5)),
    );
    let (output, _, stderr) = run(trainer().arg("fit").arg("-m").arg(folder.path()).arg(&logs));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("the model cannot be written: it is a folder"), "{stderr}");
}
