//! Long and hostile streams: memory stays near what it was at idle, and the scorer reads on.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use testkit::kafka::Broker;
use testkit::long_tests;

use crate::rig::Scorer;

/// What hostile input may cost over idle.
const MOST_KIB: u64 = 64 * 1024;

/// Rounds of [`hostile`], each over 6 MB: the short form is 100 MB, the long one 3 GB.
fn rounds() -> usize {
    if long_tests() { 500 } else { 16 }
}

/// Records that ask for memory: long, deep, wide, endless, unreadable, and never the same twice.
fn hostile(round: usize) -> Vec<Vec<u8>> {
    let deep = format!("{}1{}", r#"{"a":["#.repeat(100_000), "]}".repeat(100_000));
    let wide: Vec<String> = (0..2_900).map(|n| format!(r#""field{n}":"{}""#, "v".repeat(300))).collect();
    let escapes = format!(r#"{{"message":"{}"}}"#, r"A\n".repeat(300_000));
    let words: String = (0..90_000).map(|n| format!("w{round}x{n} ")).collect();
    let length = format!(r#"{{"message":"{}""#, "cut short ".repeat(90_000));
    let mut records = vec![
        deep.into_bytes(),
        format!("{{{}}}", wide.join(",")).into_bytes(),
        escapes.into_bytes(),
        words.into_bytes(),
        length.into_bytes(),
        vec![0xff; 900_000],
        vec![0; 900_000],
    ];
    records.extend((0..2_000).map(|n| format!("\tat com.example.Deep.call{n}(Deep.java:{n})").into_bytes()));
    records.extend((0..500).map(|n| format!("unseen{round}x{n} word{n}x{round} happened").into_bytes()));
    records
}

fn marker(round: usize) -> String {
    format!(r#"{{"level":"INFO","service":"soak","message":"end of round {round}"}}"#)
}

/// The end of a file.
fn tail(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024))).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Peak resident memory since the last [`forget_peak`], in KiB.
fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn forget_peak(process: u32) {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
}

fn assert_grew_little(process: u32, idle: u64) {
    let grown = peak_kib(process).saturating_sub(idle);
    println!("memory grew by {grown} KiB over {idle} KiB at idle");
    assert!(grown <= MOST_KIB, "memory grew by {grown} KiB over {idle} KiB at idle; at most {MOST_KIB}");
}

#[test]
fn a_hostile_file_costs_at_most_64_mib_and_stops_nothing() {
    let folder = testkit::workdir::Workdir::create("hostile").unwrap();
    let log = folder.write("app.log", "").unwrap();
    let found = folder.path().join("anomalies.jsonl");
    let input = format!("file:{}", log.display());
    let file = found.display().to_string();
    let arguments = ["--input", &input, "--anomaly-file", &file, "--anomaly-score-threshold", "0"];
    let mut scorer = Scorer::start("soak", &arguments);
    scorer.wait_ready();
    let process = scorer.id();
    forget_peak(process);
    let idle = peak_kib(process);
    let mut output = OpenOptions::new().append(true).open(&log).unwrap();
    for round in 0..rounds() {
        for record in hostile(round).into_iter().chain([vec![b'x'; 10_000_000], marker(round).into_bytes()]) {
            output.write_all(&record).unwrap();
            output.write_all(b"\n").unwrap();
        }
        let end = format!("end of round {round}");
        scorer.wait(&end, |_| tail(&found).contains(&end));
    }
    assert_grew_little(process, idle);
    assert!(scorer.stop().0.success());
}

#[test]
fn hostile_kafka_records_cost_at_most_64_mib_and_stop_nothing() {
    let broker = Broker::shared().unwrap();
    let logs = broker.unique_topic("hostile", 1).unwrap();
    let dead_letters = broker.unique_topic("hostile-dead-letters", 1).unwrap();
    let arguments = ["--kafka-bootstrap-servers", broker.bootstrap(), "--log-topic", &logs];
    let more = ["--kafka-group-id", &logs, "--anomaly-topic", "", "--dead-letter-topic", &dead_letters];
    let mut scorer = Scorer::start("soak", &[arguments.as_slice(), &more].concat());
    scorer.wait_ready();
    let process = scorer.id();
    forget_peak(process);
    let idle = peak_kib(process);
    for round in 0..rounds() {
        broker.produce(&logs, hostile(round).into_iter().chain([marker(round).into_bytes()])).unwrap();
        let end = broker.end_offsets(&logs).unwrap()[0];
        scorer.wait("all committed", |_| broker.committed(&logs, &logs).unwrap() == [Some(end)]);
    }
    assert_grew_little(process, idle);
    assert!(scorer.stop().0.success());
}
