//! What the tests share: a trained model, sample lines, a running scorer, and what scoring must come to.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use corpus::{Batch, Options, Reader, expand, save_model};
use engine::decode::{DecodeSettings, Decoder, RecordContext};
use engine::event::{EventTime, LogEvent};
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Model, OnlineCounts, OnlineSettings, Provenance, Scratch};
use serde_json::Value;
use testkit::process::Process;
use testkit::workdir::Workdir;

/// Longest wait for anything that another process does.
pub const LIMIT: Duration = Duration::from_secs(90);
/// The scorer under test.
pub const SCORER: &str = env!("CARGO_BIN_EXE_scorer");

struct Trained {
    path: PathBuf,
    model: Model,
    events: Vec<LogEvent>,
    _folder: tempfile::TempDir,
}

/// Trains once per test binary, on the sample logs.
fn trained() -> &'static Trained {
    static TRAINED: OnceLock<Trained> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let events = sample_events();
        let params = TrainParams { n_estimators: 100, ..TrainParams::default() }.check().unwrap();
        let mut first = FirstPass::new(params);
        events.chunks(1_000).for_each(|chunk| first.observe(chunk));
        let mut second = first.grow().unwrap();
        events.chunks(1_000).for_each(|chunk| drop(second.calibrate(chunk)));
        let provenance = Provenance {
            rows: events.len() as u64,
            contamination: "0.05".to_owned(),
            ..Provenance::default()
        };
        let model = second.finish(provenance);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.model");
        save_model(&path, &model).unwrap();
        Trained { path, model, events, _folder: folder }
    })
}

fn sample_events() -> Vec<LogEvent> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample_logs.csv");
    let inputs = expand(&[path.display().to_string()]).unwrap();
    let decoder = Decoder::new(DecodeSettings::default());
    let options = Options { decoder, now: EventTime::default() };
    let mut reader = Reader::new(&inputs, &options);
    let (mut batch, mut events) = (Batch::default(), Vec::new());
    while reader.next_batch(&mut batch).unwrap() {
        events.append(&mut batch.events);
    }
    events
}

/// The model file of the tests.
pub fn model() -> &'static Path {
    &trained().path
}

/// The first `count` sample lines as JSON; past the end they begin again with another user.
pub fn lines(count: usize) -> Vec<String> {
    let events = &trained().events;
    let line = |index: usize| {
        let event = &events[index % events.len()];
        let round = index / events.len();
        serde_json::json!({
            "timestamp": event.timestamp.to_string(),
            "level": event.level.map(engine::event::Level::as_str),
            "service": event.service,
            "message": event.message,
            "round": round,
        })
        .to_string()
    };
    (0..count).map(line).collect()
}

/// What scoring these records must come to.
#[derive(Debug, Default, PartialEq)]
pub struct Expected {
    /// By place in the input: the scores of odd lines.
    pub anomalies: BTreeMap<usize, f64>,
    /// Records that get a score.
    pub scored: usize,
    /// By place in the input: why it is rejected.
    pub rejected: BTreeMap<usize, &'static str>,
}

/// Scores records with the engine alone.
pub fn expected<R: AsRef<[u8]>>(records: &[R]) -> Expected {
    expected_with(records, &mut |event, scratch| trained().model.score(event, scratch).score)
}

/// As [`expected`], with online counts that take effect every `step` lines of a service.
pub fn expected_online<R: AsRef<[u8]>>(records: &[R], step: u32) -> Expected {
    let mut online = OnlineCounts::new(OnlineSettings { step, ..OnlineSettings::default() });
    let expected_online = expected_with(records, &mut |event, scratch| {
        let score = trained().model.score_online(event, &online, scratch).score;
        trained().model.count_online(event, &mut online, scratch);
        score
    });
    assert_ne!(expected_online, expected(records), "online counts make no difference to these lines");
    expected_online
}

fn expected_with<R: AsRef<[u8]>>(
    records: &[R],
    score: &mut dyn FnMut(&LogEvent, &mut Scratch) -> f64,
) -> Expected {
    let model = &trained().model;
    let threshold = model.threshold(engine::model::Contamination::Share(0.05)).score;
    let decoder = Decoder::new(DecodeSettings::default());
    let mut scratch = Scratch::default();
    let mut expected = Expected::default();
    let mut events = Vec::new();
    for (place, record) in records.iter().enumerate() {
        events.clear();
        match decoder.decode(record.as_ref(), RecordContext::default(), &mut events) {
            Ok(()) => {
                expected.scored += events.len();
                for event in &events {
                    let score = score(event, &mut scratch);
                    if score > threshold {
                        expected.anomalies.insert(place, score);
                    }
                }
            }
            Err(rejected) => {
                expected.rejected.insert(place, rejected.reason.as_str());
            }
        }
    }
    expected
}

/// Lines that no decoder accepts.
pub fn bad_records() -> Vec<Vec<u8>> {
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let mut long = vec![b'x'; (1 << 20) + 10];
    long[0] = b'y';
    vec![
        b"  ".to_vec(),
        b"\xff\xfe not text".to_vec(),
        deep.into_bytes(),
        long,
        b"{\"level\":\"INFO\"}".to_vec(),
    ]
}

/// A `scorer run` with a directory of its own.
pub struct Scorer {
    process: Process,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// Where it answers gRPC.
    pub grpc: SocketAddr,
    /// Its directory.
    pub folder: Workdir,
}

impl Scorer {
    /// Starts it with the test's model; `arguments` win. Returns before it is ready.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_under(name, &[], arguments)
    }

    /// As [`Scorer::start`], with variables (`NAME=VALUE`) in its environment.
    pub fn start_with(name: &str, variables: &[&str], arguments: &[&str]) -> Self {
        Self::start_under(name, &[&["env"], variables].concat(), arguments)
    }

    /// As [`Scorer::start`], by another program that takes it as its arguments.
    pub fn start_under(name: &str, wrapper: &[&str], arguments: &[&str]) -> Self {
        let folder = Workdir::create(name).unwrap();
        let free = || SocketAddr::from(([127, 0, 0, 1], testkit::free_port().unwrap()));
        let (http, grpc) = (free(), free());
        let (http_text, grpc_text) = (http.to_string(), grpc.to_string());
        let model = model().display().to_string();
        let mut all = wrapper.to_vec();
        all.extend([SCORER, "run", "--http-addr", &http_text, "--grpc-addr", &grpc_text]);
        if !arguments.contains(&"--model-path") {
            all.extend(["--model-path", &model]);
        }
        let store = folder.path().join("isolog.db").display().to_string();
        if !arguments.contains(&"--store-path") {
            all.extend(["--store-path", &store]);
        }
        all.extend(arguments);
        let process = Process::spawn(name, all[0], &all[1..], &folder.path().join("scorer.log")).unwrap();
        Self { process, http, grpc, folder }
    }

    /// Waits until `/readyz` is green.
    pub fn wait_ready(&mut self) {
        let http = self.http;
        self.process
            .wait_ready(LIMIT, || get(http, "/readyz").is_some_and(|(status, _)| status == 200))
            .unwrap();
    }

    /// Waits until something holds of it; names it when it does not.
    pub fn wait(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: not after {LIMIT:?}; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Status and body of an HTTP page; `None` when it does not answer.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.http, path)
    }

    /// A metric's value, summed over its labels; 0 where it does not exist yet.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").map(|(_, body)| body).unwrap_or_default();
        page.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Scored and rejected records.
    pub fn counted(&self) -> usize {
        (self.metric("isolog_lines_scored_total") + self.metric("isolog_lines_rejected_total")) as usize
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.is_running().unwrap()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.process.output().unwrap()
    }

    /// SIGKILL: nothing is tidied up.
    pub fn kill(self) -> Workdir {
        self.process.signal("KILL").unwrap();
        self.folder
    }

    /// SIGTERM, and the end it comes to in time.
    pub fn stop(self) -> (std::process::ExitStatus, Workdir) {
        (self.process.stop(Duration::from_secs(30)).unwrap(), self.folder)
    }
}

/// Waits until something holds; names it when it does not.
pub fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not after {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Lines as a file has them.
fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Appends lines to a file, which it makes where it does not exist.
pub fn append(path: &Path, lines: &[String]) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text(lines).as_bytes()).unwrap();
}

/// The JSON lines of a file; none where it does not exist.
pub fn json_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The odd lines among findings: what detectors find beside them has tests of its own.
pub fn odd_lines(found: Vec<Value>) -> Vec<Value> {
    found.into_iter().filter(|one| one["detector"] == "odd_line").collect()
}

/// A score as it is once it was written as JSON and read: without its feature `float_roundtrip`, `serde_json` may read the
/// double beside it.
fn as_read(score: &f64) -> f64 {
    serde_json::from_str(&serde_json::to_string(score).unwrap()).unwrap()
}

/// Asserts that odd lines are exactly the expected ones, by place and score, and that each has one id however
/// often it came. `place` tells where in the input an anomaly's source points.
pub fn assert_anomalies(found: &[Value], expected: &Expected, place: impl Fn(&Value) -> usize) {
    let mut ids: BTreeMap<usize, String> = BTreeMap::new();
    for anomaly in found {
        let at = place(&anomaly["source"]);
        let score = anomaly["score"].as_f64().unwrap();
        assert_eq!(expected.anomalies.get(&at).map(as_read), Some(score), "unexpected: {anomaly}");
        let id = anomaly["id"].as_str().unwrap().to_owned();
        let first = ids.entry(at).or_insert_with(|| id.clone());
        assert_eq!(*first, id, "one line, two ids: {anomaly}");
    }
    let missing: Vec<_> = expected.anomalies.keys().filter(|at| !ids.contains_key(at)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} odd lines are missing: {missing:?}",
        missing.len(),
        expected.anomalies.len()
    );
    let distinct: std::collections::BTreeSet<_> = ids.values().collect();
    assert_eq!(distinct.len(), ids.len(), "two lines have the same id");
}
