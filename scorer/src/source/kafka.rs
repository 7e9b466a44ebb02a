//! Kafka topics as a consumer group: one `BaseConsumer` on a thread of its own, positions committed only after
//! delivery. Keeps polling while the pipeline is full, so that the membership of the group survives.

mod context;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::kafka::explain;
use ::kafka::rdkafka::config::FromClientConfigAndContext;
use ::kafka::rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use ::kafka::rdkafka::error::KafkaError;
use ::kafka::rdkafka::message::{BorrowedMessage, Message};
use ::kafka::rdkafka::types::RDKafkaErrorCode;
use ::kafka::rdkafka::{ClientConfig, Offset, TopicPartitionList};
use anyhow::Context as _;
use bytes::Bytes;
use engine::event::EventTime;

use super::assembly::{Assembly, Ended};
use super::positions::{Mark, Shared};
use super::{DRAIN_SHARE, LOOK, Running, spawn, watchdog};
use crate::config::KafkaSettings;
use crate::record::{Body, Origin, Record};
use crate::run::App;
use crate::state::Stream;
use context::GroupContext;

/// A topic's partition.
pub(super) type Partition = (Arc<str>, i32);

/// Name of this source in health and messages.
pub(super) const PART: &str = "kafka";
/// A batch that waits longer than this for room makes fetching pause.
const PAUSE_AFTER: Duration = Duration::from_secs(1);
const COMMIT_EVERY: Duration = Duration::from_millis(100);
const REPEAT_COMMITS_EVERY: Duration = Duration::from_secs(5);
const LOOK_FOR_TOPICS_EVERY: Duration = Duration::from_secs(5);

type GroupConsumer = BaseConsumer<GroupContext>;

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
    let context = GroupContext::new(app, positions.clone(), session, poll);
    let watch = context.watch();
    let consumer = GroupConsumer::from_config_and_context(&config, context)
        .with_context(|| "the Kafka consumer cannot be made from the settings")?;
    let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).with_context(|| format!("cannot subscribe to {}", topics.join(", ")))?;
    watchdog::start(app, watch)?;
    let mut assembly = Assembly::new(&app.settings, app.intake.clone(), positions.clone());
    if app.keeper.learns() {
        assembly = assembly.with_cuts(|key: &Partition| (stream_of(key), "".into()));
    }
    let reader = Reader {
        taking: Taking { assembly, positions: positions.clone(), cluster: None, topics: Vec::new() },
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

/// Turns messages into records of the batch that is being filled.
struct Taking {
    assembly: Assembly<Partition>,
    positions: Shared<Partition>,
    cluster: Option<Arc<str>>,
    topics: Vec<Arc<str>>,
}

impl Taking {
    fn take(&mut self, consumer: &GroupConsumer, message: &BorrowedMessage<'_>) -> Result<(), Failure> {
        let cluster = match &self.cluster {
            Some(cluster) => Arc::clone(cluster),
            None => Arc::clone(self.cluster.insert(find_cluster(consumer)?)),
        };
        let topic = topic_of(&mut self.topics, message.topic());
        let key = (topic, message.partition());
        let Some(generation) = self.positions.generation(&key) else { return Ok(()) };
        let end = u64::try_from(message.offset()).unwrap_or_default() + 1;
        if consumer.context().is_learnt(&key, end - 1) {
            self.assembly.pass_over(Mark { key, generation, end }, Instant::now());
            return Ok(());
        }
        let record = record_of(message, cluster, &key);
        let source = || {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default());
            format!("{}/{}/{key}", message.topic(), message.partition())
        };
        self.assembly.push(&source, end - 1, Mark { key, generation, end }, record, Instant::now());
        Ok(())
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
        self.poll_for(self.taking.assembly.wait(Instant::now(), LOOK))?;
        self.taking.assembly.tick(Instant::now());
        if self.taking.assembly.due(Instant::now()) {
            self.taking.assembly.hand_over()?;
        }
        Ok(())
    }

    fn poll_for(&mut self, wait: Duration) -> Result<(), Failure> {
        match self.consumer.poll(wait) {
            // Also after a rebalance or a commit: it is not the end of anything.
            None => Ok(()),
            Some(Ok(message)) => self.taking.take(&self.consumer, &message),
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
            std::thread::sleep(Duration::from_millis(1));
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
        if let Err(error) = offsets(&moved).and_then(|list| self.consumer.commit(&list, mode)) {
            tracing::warn!(error = explain(&error), "positions could not be committed; tried again");
            self.positions.untake(moved.iter().map(|(key, _)| key));
        }
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

fn record_of(message: &BorrowedMessage<'_>, cluster: Arc<str>, (topic, partition): &Partition) -> Record {
    Record {
        origin: Origin::Kafka {
            cluster,
            topic: Arc::clone(topic),
            partition: *partition,
            offset: message.offset(),
        },
        transport_time: EventTime::from_millis(message.timestamp().to_millis().unwrap_or_default()),
        service: None,
        body: Body::Raw(Bytes::copy_from_slice(message.payload().unwrap_or_default())),
    }
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
