//! Standard input as a pipe gives it.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::rig::{SCORER, assert_anomalies, bad_records, expected, json_lines, lines, model, odd_lines};

#[test]
fn every_line_of_a_pipe_is_scored_or_a_dead_letter_and_its_end_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let (anomalies, dead) = (folder.path().join("a.jsonl"), folder.path().join("d.jsonl"));
    let mut records: Vec<Vec<u8>> = lines(3_000).into_iter().map(String::into_bytes).collect();
    for (index, bad) in bad_records().into_iter().enumerate() {
        records.insert(index * 500 + 7, bad);
    }
    let mut scorer = Command::new(SCORER)
        .args(["run", "--input", "stdin", "--http-addr", "", "--grpc-addr", "", "--model-path"])
        .arg(model())
        .arg("--anomaly-file")
        .arg(&anomalies)
        .arg("--dead-letter-file")
        .arg(&dead)
        .args(["--store-path", ""])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = scorer.stdin.take().unwrap();
    // The last line has no line end.
    input.write_all(&records.join(&b'\n')).unwrap();
    drop(input);
    assert!(scorer.wait().unwrap().success());

    let expected = expected(&records);
    let line = |source: &serde_json::Value| source["line"].as_u64().unwrap() as usize - 1;
    assert!(expected.anomalies.len() > 50);
    assert_anomalies(&odd_lines(json_lines(&anomalies)), &expected, line);
    let letters = json_lines(&dead);
    assert_eq!(letters.len(), expected.rejected.len());
    for letter in letters {
        let reason = letter["reason"].as_str().unwrap();
        assert_eq!(expected.rejected.get(&line(&letter["source"])), Some(&reason), "{letter}");
        assert!(letter["payload"].as_str().unwrap().len() <= 4_096);
    }
}
