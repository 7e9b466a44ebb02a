//! A position is durable only with its snapshot, and a snapshot only after what was produced before it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine::detect::{Origin, Seen, Source, Text, Thresholds};
use engine::event::LogEvent;
use engine::id::FindingId;
use engine::model::OnlineSettings;

use super::*;
use crate::record::Outcome;

/// By stream and slot.
type Slots = BTreeMap<(String, u64), Vec<u8>>;

/// Keeps snapshots in memory, and refuses them while it is told to.
#[derive(Clone, Default)]
struct Memory {
    slots: Arc<Mutex<Slots>>,
    refuses: Arc<AtomicBool>,
}

impl Store for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn load(&mut self, stream: &str, _: &dyn Fn() -> bool) -> Result<Vec<Vec<u8>>, String> {
        let slots = self.slots.lock().unwrap();
        Ok(slots.iter().filter(|((of, _), _)| of == stream).map(|(_, bytes)| bytes.clone()).collect())
    }

    fn save(&mut self, snapshots: &[Packed], _: &dyn Fn() -> bool) -> Result<(), String> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err("full".to_owned());
        }
        for snapshot in snapshots {
            let key = (snapshot.stream.clone(), snapshot.slot());
            self.slots.lock().unwrap().insert(key, snapshot.bytes.clone());
        }
        Ok(())
    }
}

const IN_USE: InUse<'_> =
    InUse { digest: "model", thresholds: Thresholds { odd: 0.5, warning: 0.9 }, sessions: None };

struct Rig {
    keeper: Keeper,
    store: Memory,
    durable: Arc<AtomicU64>,
    metrics: Metrics,
    health: Health,
}

impl Rig {
    /// With snapshots only when they are asked for.
    fn new(store: Memory) -> Self {
        let settings = LearnSettings {
            online: Some(OnlineSettings::default()),
            watch: None,
            interval: Duration::from_secs(86_400),
            topic: None,
            detect_topic: None,
        };
        let (metrics, health) = (Metrics::default(), Health::default());
        let boxed: Box<dyn Store> = Box::new(store.clone());
        let keeper = Keeper::with(settings, None, Some(boxed), &metrics, &health).unwrap();
        Self { keeper, store, durable: Arc::default(), metrics, health }
    }

    fn open(&self, generation: u64) -> Opened {
        let durable = Arc::clone(&self.durable);
        let on_durable: OnDurable = Arc::new(move |_, end| {
            durable.fetch_max(end, Ordering::SeqCst);
        });
        self.keeper.open(&stream(), generation, on_durable, &|_| Ok(()), &|| false).unwrap()
    }

    /// Scores a batch; what comes back says that it is delivered.
    fn score(&self, generation: u64, end: u64) -> Ack {
        let cuts = [cut(generation, end)];
        self.keeper.begin(&cuts, IN_USE).finish(Box::new(|_| {}))
    }

    fn flush(&self) -> bool {
        self.keeper.flush(&[stream()], Instant::now())
    }

    fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }
}

fn stream() -> Stream {
    Stream::input("file:x.log")
}

fn cut(generation: u64, end: u64) -> Cut {
    Cut { stream: stream(), generation, member: "1:2".into(), place: Place { end, ahead: Vec::new() } }
}

struct Nowhere;

impl Origin for Nowhere {
    fn finding_id(&self, detector: &str) -> FindingId {
        FindingId::of_record(detector, self.source().coordinates(), EventTime::default(), 0, b"")
    }

    fn source(&self) -> Source {
        Source::File { identity: Text::from("1:2"), path: Text::from("x.log"), offset: 0 }
    }
}

#[test]
fn the_first_line_of_a_stream_meets_a_clock() {
    const YEAR: i64 = 31_536_000_000_000;
    let mut rig = Rig::new(Memory::default());
    let settings = rig.keeper.0.as_ref().unwrap().settings.clone();
    let settings = LearnSettings { watch: Some(Arc::default()), ..settings };
    let store: Box<dyn Store> = Box::new(rig.store.clone());
    rig.keeper = Keeper::with(settings, None, Some(store), &rig.metrics, &rig.health).unwrap();
    rig.open(1);
    let ahead = EventTime::from_micros(now().as_micros() + YEAR);
    let event = LogEvent { timestamp: ahead, service: "a".to_owned(), ..LogEvent::default() };
    let (score, percentile, pattern, known_pattern) = (0.0, 0.0, 1, true);
    let seen = Seen { event: &event, score, percentile, pattern, known_pattern, origin: &Nowhere };
    let cuts = [cut(1, 10)];
    let mut learning = rig.keeper.begin(&cuts, IN_USE);
    let future = match learning.of(None) {
        Scoring::Learned(learned) => learned.watch().map(|watch| {
            watch.learn(&seen);
            watch.detectors().counters().future
        }),
        _ => None,
    };
    assert_eq!(future, Some(1));
}

#[test]
fn a_snapshot_waits_for_the_delivery_of_what_was_scored_before_it() {
    let rig = Rig::new(Memory::default());
    rig.open(1);
    let first = rig.score(1, 10);
    let second = rig.score(1, 20);
    first(Outcome::default());
    assert!(!rig.flush(), "the second batch is not delivered");
    assert_eq!(rig.durable(), 0);
    second(Outcome::default());
    assert!(rig.flush());
    assert_eq!(rig.durable(), 20);
}

#[test]
fn what_is_restored_stands_where_the_last_durable_snapshot_did() {
    let rig = Rig::new(Memory::default());
    assert!(!rig.open(1).restored);
    rig.score(1, 10)(Outcome::default());
    assert!(rig.flush());
    rig.score(1, 30)(Outcome::default());
    let next = Rig::new(rig.store.clone());
    let opened = next.open(1);
    assert!(opened.restored);
    assert_eq!(opened.places["1:2"].end, 10);
}

#[test]
fn a_store_that_refuses_holds_the_position_and_is_tried_again() {
    let rig = Rig::new(Memory::default());
    rig.open(1);
    rig.store.refuses.store(true, Ordering::SeqCst);
    rig.score(1, 10)(Outcome::default());
    assert!(!rig.flush());
    assert_eq!(rig.durable(), 0);
    assert!(rig.health.why_not_ready().iter().any(|(part, why)| part == PART && why.contains("full")));
    assert!(rig.metrics.render().contains("isolog_state_snapshots_total{result=\"failed\"} 1"));
    rig.store.refuses.store(false, Ordering::SeqCst);
    assert!(rig.flush());
    assert_eq!(rig.durable(), 10);
    assert!(rig.health.why_not_ready().is_empty());
}

#[test]
fn a_batch_of_a_stream_that_was_given_away_is_skipped_and_changes_nothing() {
    let rig = Rig::new(Memory::default());
    rig.open(1);
    let late = rig.score(1, 10);
    rig.keeper.close(&stream());
    rig.open(2);
    late(Outcome::default());
    let cuts = [cut(1, 20)];
    let mut learning = rig.keeper.begin(&cuts, IN_USE);
    assert!(matches!(learning.of(None), Scoring::Skip));
    learning.finish(Box::new(|_| {}))(Outcome::default());
    assert!(rig.flush());
    assert_eq!(rig.durable(), 0);
}

#[test]
fn a_snapshot_that_its_source_refuses_is_not_restored() {
    let rig = Rig::new(Memory::default());
    rig.open(1);
    rig.score(1, 10)(Outcome::default());
    assert!(rig.flush());
    let refuse = |_: &Places| Err("made anew".to_owned());
    let opened = rig.keeper.open(&stream(), 2, Arc::new(|_, _| {}), &refuse, &|| false).unwrap();
    assert!(!opened.restored && opened.places.is_empty());
    // Its number goes on: the next snapshot is the last one from now on.
    rig.score(2, 3)(Outcome::default());
    assert!(rig.flush());
    assert_eq!(Rig::new(rig.store.clone()).open(1).places["1:2"].end, 3);
}

#[test]
fn torn_at_every_length_the_snapshot_before_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(Memory::default());
    let settings = rig.keeper.0.as_ref().unwrap().settings.clone();
    let store: Box<dyn Store> = Box::new(Folder::new(folder.path()).unwrap());
    rig.keeper = Keeper::with(settings, None, Some(store), &rig.metrics, &rig.health).unwrap();
    rig.open(1);
    for end in [10, 20] {
        rig.score(1, end)(Outcome::default());
        assert!(rig.flush());
    }
    let written = |number: u64| {
        let mut paths = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        paths.find(|path| path.to_string_lossy().ends_with(&format!(".{}", number % 2))).unwrap()
    };
    let newest = std::fs::read(written(2)).unwrap();
    assert_eq!(rig.open(2).places["1:2"].end, 20);
    for length in 0..newest.len() {
        std::fs::write(written(2), &newest[..length]).unwrap();
        assert_eq!(rig.open(3).places["1:2"].end, 10, "cut to {length} bytes");
    }
    assert!(rig.metrics.render().contains("isolog_state_restores_total{result=\"damaged\"}"));
    std::fs::write(written(1), b"").unwrap();
    assert!(!rig.open(4).restored);
}
