//! What is learnt while running, by stream (a Kafka partition, an input of files), and its snapshots: a position may
//! be committed once a snapshot that stands at it is durable, and so is everything that was produced before it.
//! Who reads a stream next starts from there. Neither scores nor commits itself.
//!
//! ```text
//! source ─open─▶ Keeper ◀─begin/finish─ scoring      every SNAPSHOT_INTERVAL_MS, on a thread of its own:
//!    ▲              │                                 what was scored is packed, and written when its
//!    └──durable─────┘◀─ack of the batch── delivery    batches are delivered
//! ```

mod fill;
mod learned;
mod learning;
mod limit;
mod snapshot;
mod store;
mod topic;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use engine::event::EventTime;
use tokio::runtime::Handle;

pub use fill::{Filling, Target};
pub use learned::{InUse, LearnSettings, Learned};
use learning::Held;
pub use learning::{Learning, Scoring};
use snapshot::Snapshot;
pub use snapshot::{Place, Places};
use store::{Folder, Packed, Store};
use topic::Topic;
pub use topic::{cleanup_policy, make_compacted};

use crate::config::Settings;
use crate::control::Control;
use crate::metrics::{Health, Metrics, ResultLabel, StreamLabel};
use crate::record::Ack;

/// Name of this room in health.
const PART: &str = "state";
/// Name of the stream of what peers push.
const PUSHED: &str = "otlp";
/// How often the thread looks whether a snapshot is due or can be written.
const LOOK: Duration = Duration::from_millis(50);
/// Between two tries after a failure.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What is read in an order of its own, and is restored and given away as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// A partition of a Kafka topic.
    Partition(Arc<str>, i32),
    /// All files of an input, standard input, OTLP.
    Input(Arc<str>),
}

impl Stream {
    /// An input by its name.
    pub fn input(name: &str) -> Self {
        Self::Input(name.into())
    }

    /// Whether a record of a batch that this stream has part in is of it; `partition` is the record's, where it came
    /// from Kafka.
    fn is_of(&self, partition: Option<(&str, i32)>) -> bool {
        match self {
            Self::Partition(topic, number) => partition == Some((&**topic, *number)),
            // A batch comes from one input.
            Self::Input(_) => true,
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(topic, partition) => write!(f, "{topic}/{partition}"),
            Self::Input(name) => f.write_str(name),
        }
    }
}

/// How far a batch goes into one member of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The stream.
    pub stream: Stream,
    /// Under which generation it was opened when the records were read.
    pub generation: u64,
    /// The member: a file; empty where the stream is one.
    pub member: Arc<str>,
    /// Where the member stands once the batch is scored.
    pub place: Place,
}

/// What a source does when a snapshot is durable: member and position.
pub type OnDurable = Arc<dyn Fn(&str, u64) + Send + Sync>;

/// Whether a source can go on from these places; `Err` says why not.
pub type IsUsable<'a> = dyn Fn(&Places) -> Result<(), String> + 'a;

/// A stream as it was opened.
#[derive(Debug, Default)]
pub struct Opened {
    /// Where its members stand; those that are not named begin as they would without a snapshot.
    pub places: Places,
    /// Whether a snapshot was restored.
    pub restored: bool,
}

/// A stream that is read.
struct Open {
    stream: Stream,
    generation: u64,
    learned: Learned,
    places: Places,
    on_durable: OnDurable,
    /// Batches that were scored, and how many of these are delivered, and in the last durable snapshot.
    scored: u64,
    delivered: u64,
    kept: u64,
    kept_at: Instant,
    number: u64,
    staged: Option<Staged>,
    try_at: Option<Instant>,
}

/// A snapshot that waits until what was produced before it is durable.
struct Staged {
    scored: u64,
    snapshot: Snapshot,
}

impl Open {
    fn stage(&mut self) {
        self.number += 1;
        let snapshot = Snapshot {
            stream: self.stream.to_string(),
            number: self.number,
            model: self.learned.model().to_owned(),
            places: self.places.clone(),
            parts: self.learned.parts(),
        };
        self.staged = Some(Staged { scored: self.scored, snapshot });
    }

    /// The staged snapshot, once its time has come.
    fn ready(&mut self, interval: Duration, now: bool) -> Option<Staged> {
        if self.try_at.is_some_and(|at| Instant::now() < at) && !now {
            return None;
        }
        let stale = self.staged.as_ref().is_none_or(|staged| now && staged.scored < self.scored);
        if stale && self.scored > self.kept && (now || self.kept_at.elapsed() >= interval) {
            self.stage();
        }
        let is_delivered = self.staged.as_ref().is_some_and(|staged| staged.scored <= self.delivered);
        if is_delivered { self.staged.take() } else { None }
    }
}

struct Inner {
    settings: LearnSettings,
    open: Mutex<Vec<Open>>,
    /// Whether a source reads as fast as lines come; not among the open streams, held while a batch is scored.
    caught_up: Mutex<BTreeMap<Stream, bool>>,
    topic: Option<Mutex<Box<dyn Store>>>,
    folder: Option<Mutex<Box<dyn Store>>>,
    metrics: Metrics,
    health: Health,
    /// What people decided about alerts.
    control: OnceLock<Control>,
    told_partial: limit::Told,
}

/// All streams that are read, and their snapshots; a clone is the same one.
#[derive(Clone, Default)]
pub struct Keeper(Option<Arc<Inner>>);

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keeper").field(&self.0.is_some()).finish()
    }
}

impl Keeper {
    /// For the settings; where nothing learns, it keeps nothing.
    ///
    /// # Errors
    /// STATE_DIR cannot be made, no thread can be started.
    pub fn start(
        settings: &Settings,
        metrics: &Metrics,
        health: &Health,
        runtime: Handle,
    ) -> anyhow::Result<Self> {
        let learn = settings.learn.clone();
        if !learn.is_on() {
            return Ok(Self::default());
        }
        let topic = learn.topic.clone().filter(|_| settings.kafka.in_use).map(|name| -> Box<dyn Store> {
            let kafka = &settings.kafka;
            Box::new(Topic::new(kafka.client.clone(), name, kafka.group_id.clone(), runtime))
        });
        let folder = match &settings.state_dir {
            Some(folder) => Some(Box::new(Folder::new(folder)?) as Box<dyn Store>),
            None => None,
        };
        Self::with(learn, topic, folder, metrics, health)
    }

    fn with(
        settings: LearnSettings,
        topic: Option<Box<dyn Store>>,
        folder: Option<Box<dyn Store>>,
        metrics: &Metrics,
        health: &Health,
    ) -> anyhow::Result<Self> {
        let inner = Arc::new(Inner {
            settings,
            open: Mutex::default(),
            caught_up: Mutex::default(),
            topic: topic.map(Mutex::new),
            folder: folder.map(Mutex::new),
            metrics: metrics.clone(),
            health: health.clone(),
            control: OnceLock::new(),
            told_partial: limit::Told::default(),
        });
        let weak = Arc::downgrade(&inner);
        std::thread::Builder::new().name("state".to_owned()).spawn(move || keep(&weak))?;
        Ok(Self(Some(inner)))
    }

    /// From now on the streams' alerts know what people decide, each from its next batch or tick on.
    pub fn obey(&self, control: &Control) {
        if let Some(inner) = &self.0 {
            inner.control.get_or_init(|| control.clone());
        }
    }

    /// Whether anything learns, so that batches need their cuts.
    pub fn learns(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the stream's snapshots are kept: then positions are committed only with them.
    pub fn keeps(&self, stream: &Stream) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.store(stream).is_some())
    }

    /// Begins a stream: reads its last snapshot, restores what was learnt, and tells where it stands. `is_usable`
    /// may refuse a snapshot by its places, as one of a topic that was made anew. Blocks.
    ///
    /// # Errors
    /// The snapshots cannot be read. A damaged one is no error: the one before it counts, or none.
    pub fn open(
        &self,
        stream: &Stream,
        generation: u64,
        on_durable: OnDurable,
        is_usable: &IsUsable<'_>,
        give_up: &dyn Fn() -> bool,
    ) -> Result<Opened, String> {
        let Some(inner) = &self.0 else { return Ok(Opened::default()) };
        let began = Instant::now();
        let (found, number) = inner.last(stream, give_up)?;
        let found = found.filter(|snapshot| match is_usable(&snapshot.places) {
            Ok(()) => true,
            Err(why) => {
                tracing::warn!(%stream, "what was learnt is not used: {why}");
                inner.count_restore("refused");
                false
            }
        });
        let mut learned = Learned::new(&inner.settings, stream);
        let places = match &found {
            Some(snapshot) => {
                learned.restore(snapshot);
                inner.count_restore("ok");
                inner.metrics.state_restore_seconds.observe(began.elapsed().as_secs_f64());
                tracing::info!(%stream, number = snapshot.number, "what was learnt is restored");
                snapshot.places.clone()
            }
            None => Places::new(),
        };
        learned.begin(now());
        let mut open = inner.open();
        open.retain(|other| other.stream != *stream);
        open.push(Open {
            stream: stream.clone(),
            generation,
            learned,
            places: places.clone(),
            on_durable,
            scored: 0,
            delivered: 0,
            kept: 0,
            kept_at: Instant::now(),
            number,
            staged: None,
            try_at: None,
        });
        Ok(Opened { restored: found.is_some(), places })
    }

    /// Reads the snapshots of several streams of Kafka at once: each of them is opened next. Blocks.
    ///
    /// # Errors
    /// They cannot be read; opening a stream then reads its own.
    pub fn prefetch(&self, streams: &[Stream], give_up: &dyn Fn() -> bool) -> Result<(), String> {
        let store = self.0.as_ref().and_then(|inner| inner.topic.as_ref());
        let Some(store) = store else { return Ok(()) };
        let streams: Vec<String> = streams.iter().map(Stream::to_string).collect();
        store.lock().unwrap_or_else(PoisonError::into_inner).prefetch(&streams, give_up)
    }

    /// Begins the stream of what peers push (OTLP). It has no position: what is learnt of it goes on after a restart
    /// where its last snapshot stood.
    ///
    /// # Errors
    /// Its snapshots cannot be read.
    pub fn open_pushed(&self) -> Result<(), String> {
        self.open_unplaced(&Stream::input(PUSHED))
    }

    /// Begins a stream that has no position.
    ///
    /// # Errors
    /// Its snapshots cannot be read.
    pub fn open_unplaced(&self, stream: &Stream) -> Result<(), String> {
        let nothing: OnDurable = Arc::new(|_, _| {});
        self.open(stream, 0, nothing, &|_| Ok(()), &|| false).map(drop)
    }

    /// As [`Keeper::flush`], for what peers pushed.
    pub fn flush_pushed(&self, deadline: Instant) -> bool {
        self.flush(&[Stream::input(PUSHED)], deadline)
    }

    /// The cuts of a batch that a peer pushed.
    pub fn pushed(&self) -> Vec<Cut> {
        self.unplaced(&Stream::input(PUSHED))
    }

    /// The cuts of a batch of a stream that has no position.
    pub fn unplaced(&self, stream: &Stream) -> Vec<Cut> {
        let cut =
            || Cut { stream: stream.clone(), generation: 0, member: "".into(), place: Place::default() };
        self.0.iter().map(|_| cut()).collect()
    }

    /// A member of a stream is read to its end and gone.
    pub fn forget(&self, stream: &Stream, member: &str) {
        if let Some(inner) = &self.0
            && let Some(open) = inner.open().iter_mut().find(|open| open.stream == *stream)
        {
            open.places.remove(member);
        }
    }

    /// Ends a stream: what is still on its way changes nothing any more.
    pub fn close(&self, stream: &Stream) {
        let Some(inner) = &self.0 else { return };
        inner.open().retain(|open| open.stream != *stream);
        inner.caught_up().remove(stream);
        let label = StreamLabel { stream: stream.to_string() };
        inner.metrics.state_snapshot_bytes.remove(&label);
        inner.metrics.state_snapshot_age_seconds.remove(&label);
    }

    /// Writes what these streams have learnt, after their batches were delivered; `false` when `deadline` came first.
    pub fn flush(&self, streams: &[Stream], deadline: Instant) -> bool {
        let Some(inner) = &self.0 else { return true };
        let is_mine = |open: &Open| streams.contains(&open.stream) && inner.store(&open.stream).is_some();
        loop {
            inner.keep(&is_mine, true, &|| Instant::now() >= deadline);
            if inner.open().iter().filter(|open| is_mine(open)).all(|open| open.kept == open.scored) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A source tells whether it reads as fast as lines come.
    pub fn caught_up(&self, stream: &Stream, caught_up: bool) {
        if let Some(inner) = &self.0 {
            inner.caught_up().insert(stream.clone(), caught_up);
        }
    }

    /// The clock moves on for every stream. `each` says whether anything followed from that for a stream; returns
    /// what acknowledges it, where anything did.
    pub fn tick(&self, model: InUse<'_>, each: &mut dyn FnMut(&mut Learned, bool) -> bool) -> Option<Ack> {
        let inner = self.0.as_ref()?;
        let mut ticked: Vec<(Stream, u64)> = Vec::new();
        let caught_up = inner.caught_up().clone();
        let control = inner.decisions_now();
        for open in inner.open().iter_mut() {
            open.learned.use_model(model);
            open.learned.obey(control.as_deref());
            // What comes at its own pace is never behind; the others tell.
            let at_ease = matches!(open.stream, Stream::Input(_));
            if each(&mut open.learned, caught_up.get(&open.stream).copied().unwrap_or(at_ease)) {
                open.scored += 1;
                ticked.push((open.stream.clone(), open.generation));
            }
        }
        (!ticked.is_empty()).then(|| delivered(inner, ticked, Box::new(|_| {})))
    }

    /// For a batch that is scored under this model; nothing else changes its streams until it is finished.
    pub fn begin<'a>(&'a self, cuts: &'a [Cut], model: InUse<'_>) -> Learning<'a> {
        let Some(inner) = self.0.as_ref().filter(|_| !cuts.is_empty()) else { return Learning(None) };
        let control = inner.decisions();
        let mut open = inner.open();
        let places = cuts
            .iter()
            .map(|cut| {
                let is_it = |open: &Open| open.stream == cut.stream && open.generation == cut.generation;
                let place = open.iter().position(is_it);
                if let Some(open) = place.and_then(|place| open.get_mut(place)) {
                    open.learned.use_model(model);
                    open.learned.obey(control.as_deref());
                }
                place
            })
            .collect();
        Learning(Some(Held { inner, open, cuts, places, last: 0 }))
    }
}

/// The clock's time.
fn now() -> EventTime {
    EventTime::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// What follows from a batch or a tick of these streams is delivered: then `ack` is called.
fn delivered(inner: &Arc<Inner>, streams: Vec<(Stream, u64)>, ack: Ack) -> Ack {
    let inner = Arc::clone(inner);
    Box::new(move |outcome| {
        for open in inner.open().iter_mut() {
            if streams.iter().any(|(stream, at)| *stream == open.stream && *at == open.generation) {
                open.delivered += 1;
            }
        }
        ack(outcome);
    })
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn caught_up(&self) -> MutexGuard<'_, BTreeMap<Stream, bool>> {
        self.caught_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, stream: &Stream) -> Option<&Mutex<Box<dyn Store>>> {
        match stream {
            Stream::Partition(..) => self.topic.as_ref(),
            Stream::Input(_) => self.folder.as_ref(),
        }
    }

    fn count_restore(&self, result: &'static str) {
        self.metrics.state_restores.get_or_create(&ResultLabel { result }).inc();
    }

    /// The newest whole snapshot of a stream, and the greatest number that any has.
    fn last(&self, stream: &Stream, give_up: &dyn Fn() -> bool) -> Result<(Option<Snapshot>, u64), String> {
        let Some(store) = self.store(stream) else { return Ok((None, 0)) };
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let name = store.name();
        let found = store.load(&stream.to_string(), give_up).map_err(|why| format!("{name}: {why}"))?;
        drop(store);
        let mut last: Option<Snapshot> = None;
        for bytes in found {
            match Snapshot::unpack(&bytes) {
                // The digest of a name may be another's, and so may a hash of it.
                Ok(snapshot) if snapshot.stream != stream.to_string() => {}
                Ok(snapshot) if last.as_ref().is_none_or(|last| last.number < snapshot.number) => {
                    last = Some(snapshot);
                }
                Ok(_) => {}
                Err(error) => {
                    self.count_restore("damaged");
                    tracing::warn!(
                        %stream,
                        "{name}: a snapshot of what was learnt cannot be used: {error}; the one before it is"
                    );
                }
            }
        }
        let number = last.as_ref().map_or(0, |last| last.number);
        Ok((last, number))
    }

    /// Writes the snapshots that are due; all of these streams `now`.
    fn keep(&self, is_mine: &dyn Fn(&Open) -> bool, now: bool, give_up: &dyn Fn() -> bool) {
        for of_topic in [true, false] {
            let Some(store) = (if of_topic { &self.topic } else { &self.folder }) else { continue };
            let is_here = |stream: &Stream| matches!(stream, Stream::Partition(..)) == of_topic;
            let mut ready: Vec<(Stream, u64, Staged)> = Vec::new();
            for open in self.open().iter_mut().filter(|open| is_here(&open.stream) && is_mine(open)) {
                if let Some(staged) = open.ready(self.settings.interval, now) {
                    ready.push((open.stream.clone(), open.generation, staged));
                }
            }
            if ready.is_empty() {
                continue;
            }
            let result = self.write(store, &mut ready, give_up);
            if let Err(why) = &result {
                self.metrics.state_snapshots.get_or_create(&ResultLabel { result: "failed" }).inc();
                self.health.not_ready(PART, why.clone());
                tracing::warn!(
                    "what was learnt cannot be kept: {why}; positions stay where they are, tried again"
                );
            } else {
                self.health.ready(PART);
            }
            self.settle(ready, result.is_ok());
        }
    }

    fn write(
        &self,
        store: &Mutex<Box<dyn Store>>,
        ready: &mut [(Stream, u64, Staged)],
        give_up: &dyn Fn() -> bool,
    ) -> Result<(), String> {
        let mut packed = Vec::with_capacity(ready.len());
        for (stream, _, staged) in ready {
            let bytes = self.pack(stream, &mut staged.snapshot)?;
            let label = StreamLabel { stream: stream.to_string() };
            self.metrics.state_snapshot_bytes.get_or_create(&label).set(bytes.len() as i64);
            let number = staged.snapshot.number;
            packed.push(Packed { stream: staged.snapshot.stream.clone(), number, bytes });
        }
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let name = store.name();
        fault::here("before snapshot");
        store.save(&packed, give_up).map_err(|why| format!("{name}: {why}"))?;
        fault::here("snapshot written");
        Ok(())
    }

    /// Tells the sources what is durable.
    fn settle(&self, written: Vec<(Stream, u64, Staged)>, is_durable: bool) {
        let mut told = Vec::new();
        let mut all = self.open();
        for (stream, generation, staged) in written {
            let is_it = |open: &&mut Open| open.stream == stream && open.generation == generation;
            let Some(open) = all.iter_mut().find(is_it) else { continue };
            if !is_durable {
                open.try_at = Some(Instant::now() + TRY_AGAIN);
                continue;
            }
            open.try_at = None;
            open.kept = open.kept.max(staged.scored);
            open.kept_at = Instant::now();
            self.metrics.state_snapshots.get_or_create(&ResultLabel { result: "ok" }).inc();
            told.push((Arc::clone(&open.on_durable), staged.snapshot.places));
        }
        drop(all);
        for (on_durable, places) in told {
            for (member, place) in places {
                on_durable(&member, place.end);
            }
        }
    }

    fn show_age(&self) {
        for open in self.open().iter().filter(|open| self.store(&open.stream).is_some()) {
            let label = StreamLabel { stream: open.stream.to_string() };
            let age = if open.kept == open.scored { 0.0 } else { open.kept_at.elapsed().as_secs_f64() };
            self.metrics.state_snapshot_age_seconds.get_or_create(&label).set(age);
        }
    }
}

/// Writes snapshots until the keeper is gone.
fn keep(keeper: &Weak<Inner>) {
    while let Some(inner) = keeper.upgrade() {
        inner.keep(&|_| true, false, &|| false);
        inner.show_age();
        drop(inner);
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests;
