//! Kafka topics as a consumer group: one consumer on a thread of its own, positions committed only after
//! delivery. Keeps polling while the pipeline is full, so that the membership of the group survives.

mod context;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::kafka::batch::{BatchConsumer, Forwarding};
use ::kafka::explain;
use ::kafka::rdkafka::consumer::{CommitMode, Consumer};
use ::kafka::rdkafka::error::KafkaError;
use ::kafka::rdkafka::message::Message;
use ::kafka::rdkafka::types::RDKafkaErrorCode;
use ::kafka::rdkafka::{ClientConfig, Offset, TopicPartitionList};
use anyhow::Context as _;
use engine::event::EventTime;

use super::assembly::{Arrived, Assembly, Ended, Open};
use super::positions::{Mark, Shared};
use super::{DRAIN_SHARE, LOOK, Running, spawn, watchdog};
use crate::config::KafkaSettings;
use crate::record::KafkaStream;
use crate::run::App;
use crate::state::Stream;
use context::GroupContext;

/// A topic's partition.
pub(super) type Partition = (Arc<str>, i32);

/// Name of this source in health and messages.
pub(super) const PART: &str = "kafka";
/// Between two looks for room; the batches that the pipeline holds take it longer.
const ROOM: Duration = Duration::from_millis(1);
/// A batch that waits longer than this for room makes fetching pause.
const PAUSE_AFTER: Duration = Duration::from_secs(1);
/// Events other than messages that are served between two calls for messages.
const EVENTS_PER_ROUND: usize = 4;
const COMMIT_EVERY: Duration = Duration::from_millis(100);
const REPEAT_COMMITS_EVERY: Duration = Duration::from_secs(5);
const LOOK_FOR_TOPICS_EVERY: Duration = Duration::from_secs(5);

type GroupConsumer = BatchConsumer<GroupContext>;

/// Starts the source.
///
/// # Errors
/// librdkafka refuses the configuration. Brokers need not be there.
pub fn start(app: &App) -> anyhow::Result<Running> {
    let settings = &app.settings.kafka;
    let config = consumer_config(settings);
    let positions = Shared::default();
    app.health.not_ready(PART, format!("not yet connected to {}", settings.client.bootstrap_servers));
    let millis = |name: &str, default| {
        Duration::from_millis(config.get(name).and_then(|text| text.parse().ok()).unwrap_or(default))
    };
    let (session, poll) = (millis("session.timeout.ms", 45_000), millis("max.poll.interval.ms", 300_000));
    let forwarding = Forwarding::default();
    let context = GroupContext::new(app, positions.clone(), forwarding.clone(), session, poll);
    let watch = context.watch();
    let consumer = GroupConsumer::new(&config, context, forwarding)
        .with_context(|| "the Kafka consumer cannot be made from the settings")?;
    let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).with_context(|| format!("cannot subscribe to {}", topics.join(", ")))?;
    watchdog::start(app, watch)?;
    let mut assembly = Assembly::new(&app.settings, app.intake.clone(), positions.clone());
    if app.keeper.learns() {
        assembly = assembly.with_cuts(|key: &Partition| (stream_of(key), "".into()));
    }
    let reader = Reader {
        taking: Taking {
            assembly,
            positions: positions.clone(),
            cluster: None,
            topics: Vec::new(),
            open: Vec::new(),
            now: None,
            looks_for_keys: app.settings.learn.watch.is_some() && settings.detect_topic.is_none(),
        },
        app: app.clone(),
        consumer,
        positions,
        blocked_since: None,
        paused: None,
        committed_at: Instant::now(),
        repeated_at: Instant::now(),
        topics_checked_at: Instant::now(),
    };
    tracing::info!(
        topics = topics.join(","),
        group = settings.group_id,
        brokers = settings.client.bootstrap_servers,
        "reading from Kafka"
    );
    spawn(PART.to_owned(), move || reader.run())
}

/// The consumer's configuration, also for `scorer check`.
pub fn consumer_config(settings: &KafkaSettings) -> ClientConfig {
    let mut config = settings.client.consumer_config(&settings.group_id, settings.start.as_offset_reset());
    config.set("statistics.interval.ms", "1000");
    for (name, value) in [
        // Bounds what librdkafka holds for us; its defaults are 64 MiB and more.
        ("queued.max.messages.kbytes", "16384"),
        ("fetch.max.bytes", "8388608"),
        // While that is full, librdkafka looks so often whether it still is; its default of 1000 ms lets a queue of small
        // messages run empty long before.
        ("fetch.queue.backoff.ms", "20"),
        ("session.timeout.ms", "45000"),
    ] {
        if settings.client.property(name).is_none() {
            config.set(name, value);
        }
    }
    config
}

struct Reader {
    app: App,
    consumer: GroupConsumer,
    positions: Shared<Partition>,
    taking: Taking,
    /// Since when a batch waits for room.
    blocked_since: Option<Instant>,
    /// The rebalance count under which the partitions were paused.
    paused: Option<u64>,
    committed_at: Instant,
    repeated_at: Instant,
    topics_checked_at: Instant,
}

/// A partition whose messages are taken, and its generation.
type Opened = (Open, Partition, u64);

/// Turns messages into records of the batch that is being filled.
struct Taking {
    assembly: Assembly<Partition>,
    positions: Shared<Partition>,
    cluster: Option<Arc<str>>,
    topics: Vec<Arc<str>>,
    /// The partitions of one call by topic identity and number; `None` where the group has given them away.
    open: Vec<((usize, i32), Option<Opened>)>,
    /// The time of the call, once it is known.
    now: Option<Instant>,
    /// Detectors run, and it was not told yet that a topic is not keyed.
    looks_for_keys: bool,
}

/// What is taken of a message.
struct Incoming<'m> {
    /// Equal for the messages of one topic within one call.
    topic_identity: usize,
    partition: i32,
    key: &'m [u8],
    arrived: Arrived<'m>,
}

impl Taking {
    /// Begins the messages of one call; between two calls partitions may come and go.
    fn begin(&mut self) {
        self.open.clear();
        self.now = None;
    }

    fn take(
        &mut self,
        consumer: &GroupConsumer,
        topic: &dyn Fn() -> String,
        message: &Incoming<'_>,
    ) -> Result<(), Failure> {
        let place = (message.topic_identity, message.partition);
        let known = match self.open.iter().position(|(known, _)| *known == place) {
            Some(known) => known,
            None => {
                let open = self.open(consumer, &topic(), message)?;
                self.open.push((place, open));
                self.open.len() - 1
            }
        };
        let Some((open, key, generation)) = &self.open[known].1 else { return Ok(()) };
        let now = *self.now.get_or_insert_with(Instant::now);
        let offset = u64::try_from(message.arrived.offset).unwrap_or_default();
        if consumer.context().is_learnt(key, offset) {
            let mark = Mark { key: key.clone(), generation: *generation, end: offset + 1 };
            self.assembly.pass_over(mark, now);
            return Ok(());
        }
        let source = || format!("{}/{}/{}", topic(), message.partition, String::from_utf8_lossy(message.key));
        self.assembly.push_of(*open, &source, &message.arrived, now);
        Ok(())
    }

    fn open(
        &mut self,
        consumer: &GroupConsumer,
        topic: &str,
        message: &Incoming<'_>,
    ) -> Result<Option<Opened>, Failure> {
        let cluster = match &self.cluster {
            Some(cluster) => Arc::clone(cluster),
            None => Arc::clone(self.cluster.insert(find_cluster(consumer)?)),
        };
        let topic = topic_of(&mut self.topics, topic);
        let partition = message.partition;
        let key = (Arc::clone(&topic), partition);
        let Some(generation) = self.positions.generation(&key) else { return Ok(None) };
        if self.looks_for_keys && message.key.is_empty() {
            self.tell_of_keys(consumer, &topic);
        }
        let end = u64::try_from(message.arrived.offset).unwrap_or_default();
        let stream = KafkaStream { cluster, topic, partition };
        let open = self.assembly.open(&Mark { key: key.clone(), generation, end }, &stream);
        Ok(Some((open, key, generation)))
    }
}

impl Taking {
    /// Without keys the lines of a service are spread over the partitions, and each has detectors of its own.
    fn tell_of_keys(&mut self, consumer: &GroupConsumer, topic: &str) {
        self.looks_for_keys = false;
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(5));
        let partitions = metadata
            .ok()
            .and_then(|metadata| metadata.topics().first().map(|topic| topic.partitions().len()));
        if partitions.is_some_and(|partitions| partitions > 1) {
            tracing::warn!(
                topic,
                partitions,
                "records have no key: each partition is watched by itself, so counts and rates of a service are those \
                 of one partition; key the records by service, or set DETECT_TOPIC"
            );
        }
    }
}

/// The cluster's id is part of every record's identity, so nothing is handed on before it is known.
fn find_cluster(consumer: &GroupConsumer) -> Result<Arc<str>, Failure> {
    match consumer.client().fetch_cluster_id(Duration::from_secs(20)) {
        Some(id) => Ok(id.into()),
        None => Err(Failure::Fatal("the brokers tell no cluster id (Kafka 0.10.1 or newer does)".to_owned())),
    }
}

impl Reader {
    fn run(mut self) -> Result<(), String> {
        let result = self.read();
        self.taking.assembly.discard();
        self.finish();
        // Dropping closes the group membership and may block while brokers are gone; this thread may.
        drop(self.consumer);
        result
    }

    fn read(&mut self) -> Result<(), String> {
        while !self.app.stop.is_cancelled() {
            self.consumer.context().beat();
            if let Some(why) = self.consumer.context().failure() {
                return Err(why);
            }
            self.commit_moved();
            self.look_for_topics();
            let step = if self.taking.assembly.is_blocked() { self.wait_for_room() } else { self.poll() };
            match step {
                Ok(()) => {}
                Err(Failure::Ended) => return Ok(()),
                Err(Failure::Fatal(why)) => return Err(why),
            }
        }
        Ok(())
    }

    /// One poll and, when it is due, the hand-over of the batch.
    fn poll(&mut self) -> Result<(), Failure> {
        self.resume();
        for _ in 0..EVENTS_PER_ROUND {
            self.poll_for(Duration::ZERO)?;
        }
        self.take(self.taking.assembly.wait(Instant::now(), LOOK))?;
        self.taking.assembly.tick(Instant::now());
        if self.taking.assembly.due(Instant::now()) {
            self.taking.assembly.hand_over()?;
        }
        Ok(())
    }

    /// Takes the messages that are there, after a wait for the first.
    fn take(&mut self, wait: Duration) -> Result<(), Failure> {
        let Self { consumer, taking, .. } = self;
        let (mut result, mut errors) = (Ok(()), Vec::new());
        taking.begin();
        let most = taking.assembly.room();
        consumer.take(most, wait, |message| match message {
            Ok(message) if result.is_ok() => {
                let incoming = Incoming {
                    topic_identity: message.topic_identity(),
                    partition: message.partition(),
                    key: message.key(),
                    arrived: Arrived {
                        offset: message.offset(),
                        time: EventTime::from_millis(message.timestamp_ms().unwrap_or_default()),
                        bytes: message.payload(),
                    },
                };
                result = taking.take(consumer, &|| message.topic().to_owned(), &incoming);
            }
            Ok(_) => {}
            Err(error) => errors.push(error),
        });
        errors.iter().try_for_each(|error| self.tell(error))?;
        result
    }

    /// What does not come in batches: rebalances, statistics, commits, errors.
    fn poll_for(&mut self, wait: Duration) -> Result<(), Failure> {
        match self.consumer.poll(wait) {
            // Also after a rebalance or a commit: it is not the end of anything.
            None => Ok(()),
            // A partition that could not be forwarded.
            Some(Ok(message)) => {
                let incoming = Incoming {
                    topic_identity: message.topic_ptr() as usize,
                    partition: message.partition(),
                    key: message.key().unwrap_or_default(),
                    arrived: Arrived {
                        offset: message.offset(),
                        time: EventTime::from_millis(message.timestamp().to_millis().unwrap_or_default()),
                        bytes: message.payload().unwrap_or_default(),
                    },
                };
                self.taking.begin();
                self.taking.take(&self.consumer, &|| message.topic().to_owned(), &incoming)
            }
            Some(Err(error)) => self.tell(&error),
        }
    }

    /// The pipeline is full: fetching pauses, polling goes on. Not at once: a paused partition's records are
    /// fetched again, which takes longer than most waits.
    fn wait_for_room(&mut self) -> Result<(), Failure> {
        if self.taking.assembly.retry()? {
            self.blocked_since = None;
            return Ok(());
        }
        if self.blocked_since.get_or_insert_with(Instant::now).elapsed() < PAUSE_AFTER {
            std::thread::sleep(ROOM);
            return Ok(());
        }
        let rebalances = self.consumer.context().rebalances();
        if self.paused != Some(rebalances)
            && let Ok(assignment) = self.consumer.assignment()
        {
            match self.consumer.pause(&assignment) {
                Ok(()) => self.paused = Some(rebalances),
                Err(error) => tracing::debug!(%error, "partitions could not be paused"),
            }
        }
        self.poll_for(Duration::from_millis(5))
    }

    fn resume(&mut self) {
        if self.paused.take().is_some()
            && let Ok(assignment) = self.consumer.assignment()
            && let Err(error) = self.consumer.resume(&assignment)
        {
            tracing::debug!(%error, "partitions could not be resumed");
        }
    }

    /// librdkafka tells once that a topic is missing and never that it appeared.
    fn look_for_topics(&mut self) {
        if !self.consumer.context().is_topic_missing()
            || self.topics_checked_at.elapsed() < LOOK_FOR_TOPICS_EVERY
        {
            return;
        }
        self.topics_checked_at = Instant::now();
        let wanted = &self.app.settings.kafka.topics;
        if let Ok(metadata) = self.consumer.fetch_metadata(None, Duration::from_secs(2)) {
            let there: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
            let missing = wanted.iter().any(|topic| !there.contains(&topic.as_str()));
            self.consumer.context().topic_missing(missing);
        }
    }

    /// Errors that pass are told and waited out; only a fatal one ends the source.
    fn tell(&self, error: &KafkaError) -> Result<(), Failure> {
        let context = self.consumer.context();
        match error {
            KafkaError::MessageConsumptionFatal(_) => return Err(Failure::Fatal(explain(error))),
            KafkaError::PartitionEOF(_) => {}
            _ => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                    context.topic_missing(true);
                    let topics = self.app.settings.kafka.topics.join(", ");
                    context.trouble(&format!(
                        "LOG_TOPIC = {topics:?}: a topic does not exist on {}; create it, the scorer goes on by itself",
                        self.app.settings.kafka.client.bootstrap_servers
                    ));
                }
                _ => context.trouble(&explain(error)),
            },
        }
        Ok(())
    }

    /// Commits what moved, without waiting for the answer. librdkafka tells nobody how such a commit ended, so
    /// all positions are committed again now and then: one that failed is made good.
    fn commit_moved(&mut self) {
        if self.committed_at.elapsed() < COMMIT_EVERY {
            return;
        }
        self.committed_at = Instant::now();
        if self.repeated_at.elapsed() >= REPEAT_COMMITS_EVERY {
            self.repeated_at = Instant::now();
            self.positions.untake_all();
        }
        self.commit(CommitMode::Async);
    }

    fn commit(&self, mode: CommitMode) {
        let moved = self.positions.take_moved();
        if moved.is_empty() {
            return;
        }
        fault::here("before commit");
        if let Err(error) = offsets(&moved).and_then(|list| self.consumer.commit(&list, mode)) {
            tracing::warn!(error = explain(&error), "positions could not be committed; tried again");
            self.positions.untake(moved.iter().map(|(key, _)| key));
        }
        fault::here("commit asked for");
    }

    /// After the stop: waits for what is in flight, still polling, and commits it.
    fn finish(&mut self) {
        let deadline = Instant::now() + self.app.settings.shutdown_timeout.mul_f64(DRAIN_SHARE);
        if let Ok(assignment) = self.consumer.assignment()
            && let Err(error) = self.consumer.pause(&assignment)
        {
            tracing::debug!(%error, "partitions could not be paused");
        }
        while Instant::now() < deadline {
            // What these polls return is not taken, so its position does not move and it is read again.
            let _ = self.consumer.poll(Duration::from_millis(5));
            self.commit_moved();
            let handed_over = matches!(self.taking.assembly.retry(), Ok(true) | Err(Ended));
            if handed_over && self.positions.idle(Duration::ZERO) {
                break;
            }
        }
        let assigned = self.consumer.assignment().map(|list| context::keys_of(&list)).unwrap_or_default();
        let streams: Vec<Stream> = assigned.iter().map(stream_of).collect();
        if !self.app.keeper.flush(&streams, deadline) {
            tracing::warn!(
                "what was learnt last could not be kept; whoever gets the partitions reads its lines again"
            );
        }
        if self.consumer.context().is_connected() {
            self.positions.untake_all();
            self.commit(CommitMode::Sync);
        }
    }
}

enum Failure {
    Ended,
    Fatal(String),
}

impl From<Ended> for Failure {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

/// What is learnt of a partition.
fn stream_of((topic, partition): &Partition) -> Stream {
    Stream::Partition(Arc::clone(topic), *partition)
}

fn topic_of(known: &mut Vec<Arc<str>>, topic: &str) -> Arc<str> {
    if let Some(found) = known.iter().find(|name| ***name == *topic) {
        return Arc::clone(found);
    }
    let name: Arc<str> = topic.into();
    known.push(Arc::clone(&name));
    name
}

/// Positions in the form of a commit.
pub(super) fn offsets(positions: &[(Partition, u64)]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), position) in positions {
        let offset = Offset::Offset(i64::try_from(*position).unwrap_or(i64::MAX));
        list.add_partition_offset(topic, *partition, offset)?;
    }
    Ok(list)
}
