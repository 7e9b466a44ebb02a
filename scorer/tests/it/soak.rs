//! Long and hostile streams: memory stays near what it was at idle, and the scorer reads on. An hour of ordinary lines
//! leaves memory, state and store where they were.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::iter::Peekable;
use std::path::Path;

use engine::event::EventTime;
use simulator::{Params, Simulator};
use testkit::kafka::Broker;
use testkit::long_tests;
use testkit::plot::{Plot, Scale, figure};
use testkit::workdir::Workdir;

use crate::rig::Scorer;

/// What hostile input may cost over idle.
const MOST_KIB: u64 = 64 * 1024;

/// Rounds of [`hostile`], each 16 MB: the short form is 260 MB, the long one 8.2 GB.
fn rounds() -> usize {
    if long_tests() { 500 } else { 16 }
}

/// So many rounds may wait in a topic: more than a client fetches ahead.
const WAITING: usize = 16;

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
    status_kib(process, "VmHWM:")
}

/// A size that the kernel tells of a process, in KiB.
fn status_kib(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
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
    let folder = Workdir::create("hostile").unwrap();
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
        if (round + 1) % WAITING == 0 || round + 1 == rounds() {
            let end = broker.end_offsets(&logs).unwrap()[0];
            scorer.wait("all committed", |_| broker.committed(&logs, &logs).unwrap() == [Some(end)]);
        }
    }
    assert_grew_little(process, idle);
    assert!(scorer.stop().0.success());
}

/// Lines of a second of the simulator.
const RATE: u32 = 2_000;
/// The store's cap, below what the hour would fill.
const STORE_BYTES: u64 = 64 << 20;
/// A snapshot of what is learnt may grow to this.
const STATE_BYTES: u64 = 64 << 20;

/// Minutes of event time.
fn minutes() -> u32 {
    if long_tests() { 60 } else { 4 }
}

/// What a scorer holds at one minute, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    resident: u64,
    state: u64,
    store: u64,
}

impl Held {
    fn of(scorer: &Scorer, store: &Path) -> Self {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let log = store.with_extension("db-wal");
        Self {
            resident: status_kib(scorer.id(), "VmRSS:") * 1024,
            state: scorer.metric("isolog_state_snapshot_bytes") as u64,
            store: length(store) + length(&log),
        }
    }
}

/// Appends the simulator's lines until `until`; how many there were.
fn append_until(simulator: &mut Peekable<Simulator>, until: EventTime, output: &mut impl Write) -> usize {
    let mut count = 0;
    while let Some(line) = simulator.next_if(|line| line.timestamp < until) {
        let event = serde_json::json!({
            "timestamp": line.timestamp.to_string(),
            "level": line.level.as_str(),
            "service": line.service,
            "message": line.message,
            "trace_id": line.trace_id,
        });
        writeln!(output, "{event}").unwrap();
        count += 1;
    }
    output.flush().unwrap();
    count
}

/// Event time runs faster than the clock: each minute's lines come as soon as those before are scored.
#[test]
fn an_hour_of_two_thousand_lines_a_second_leaves_memory_flat_and_state_and_store_bounded() {
    let folder = Workdir::create("soak-hour").unwrap();
    let log = folder.write("app.log", "").unwrap();
    let store = folder.path().join("isolog.db");
    let (input, path, bytes) =
        (format!("file:{}", log.display()), store.display().to_string(), STORE_BYTES.to_string());
    let state = folder.path().join("state").display().to_string();
    let mut arguments = vec!["--input", &input, "--store-path", &path, "--store-max-bytes", &bytes];
    arguments.extend(["--state-dir", &state, "--file-poll-ms", "20", "--store-logs", "all"]);
    let mut scorer = Scorer::start_with("soak", &["LOG_LEVEL=warn"], &arguments);
    scorer.wait_ready();
    let start = jiff::Timestamp::now().as_microsecond() - i64::from(minutes()) * 60_000_000;
    let start = start.div_euclid(60_000_000) * 60_000_000;
    let params = Params { start: EventTime::from_micros(start), rate: RATE.into(), ..Params::default() };
    let mut simulator = Simulator::new(params).unwrap().peekable();
    let mut output = std::io::BufWriter::new(OpenOptions::new().append(true).open(&log).unwrap());
    let mut sent = 0;
    let mut held = Vec::new();
    println!("| minute | lines | resident MiB | state MiB | store MiB |\n|---|---|---|---|---|");
    for minute in 1..=minutes() {
        let until = EventTime::from_micros(start + i64::from(minute) * 60_000_000);
        sent += append_until(&mut simulator, until, &mut output);
        scorer.wait("all lines of the minute", |scorer| scorer.counted() == sent);
        let now = Held::of(&scorer, &store);
        println!("| {minute} | {sent} | {} | {} | {} |", mib(now.resident), mib(now.state), mib(now.store));
        held.push(now);
    }
    assert!(scorer.metric("isolog_lines_rejected_total") == 0.0);
    assert!(scorer.stop().0.success());
    if long_tests() {
        draw(&held);
    }
    let worst = |part: &[Held], of: fn(&Held) -> u64| part.iter().map(of).max().unwrap();
    let (early, late) = held.split_at(held.len() / 2);
    let (before, after) = (worst(early, |one| one.resident), worst(late, |one| one.resident));
    // Tables and caches fill in the first minutes.
    let room = if long_tests() { before / 10 } else { before / 2 };
    assert!(after <= before + room + (8 << 20), "memory went from {before} to {after} bytes");
    let state = worst(&held, |one| one.state);
    assert!((1..STATE_BYTES).contains(&state), "{state}");
    // Its size is looked at after each 4 MiB; the log of SQLite is beside it.
    let store = worst(&held, |one| one.store);
    assert!((1 << 20..STORE_BYTES + STORE_BYTES / 2).contains(&store), "{store}");
}

fn mib(bytes: u64) -> String {
    figure(bytes as f64 / f64::from(1 << 20))
}

fn draw(held: &[Held]) {
    let series = |name: &str, of: fn(&Held) -> u64| {
        let point =
            |(minute, one): (usize, &Held)| (minute as f64 + 1.0, of(one) as f64 / f64::from(1 << 20));
        (name.to_owned(), held.iter().enumerate().map(point).collect())
    };
    let series = [
        series("resident memory", |one| one.resident),
        series("store (cap 64 MiB)", |one| one.store),
        series("snapshot of the state", |one| one.state),
    ];
    let title = "An hour at 2,000 lines/s";
    let plot = Plot { title, x: "minutes of event time", scale: Scale::Linear, y: "MiB", series: &series };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/plots/soak.svg");
    std::fs::write(path, plot.svg()).unwrap();
}
