//! What librdkafka calls back: rebalances, statistics, errors. Runs on the source's thread,
//! inside its polls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::kafka::explain;
use ::kafka::rdkafka::TopicPartitionList;
use ::kafka::rdkafka::client::ClientContext;
use ::kafka::rdkafka::config::RDKafkaLogLevel;
use ::kafka::rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use ::kafka::rdkafka::error::KafkaError;
use ::kafka::rdkafka::statistics::Statistics;
use ::kafka::rdkafka::types::RDKafkaErrorCode;

use super::{PART, Partition, offsets};
use crate::metrics::{Health, Metrics, PartitionLabel};
use crate::source::positions::Shared;
use crate::source::watchdog::Watch;

/// The same trouble is told again after this long.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// State that callbacks share with the reader.
pub struct GroupContext {
    positions: Shared<Partition>,
    health: Health,
    metrics: Metrics,
    watch: Arc<Watch>,
    session_timeout: Duration,
    rebalances: AtomicU64,
    connected: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    joined: bool,
    topic_missing: bool,
    /// What was told when; as short as librdkafka's list of errors.
    told: BTreeMap<String, Instant>,
}

impl GroupContext {
    /// For the partitions in `positions`.
    pub fn new(app: &crate::run::App, positions: Shared<Partition>, session_timeout: Duration) -> Self {
        Self {
            watch: Arc::new(Watch::new({
                let positions = positions.clone();
                move || positions.progress()
            })),
            positions,
            health: app.health.clone(),
            metrics: app.metrics.clone(),
            session_timeout,
            rebalances: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// What the watchdog looks at.
    pub fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    /// The reader goes round.
    pub fn beat(&self) {
        self.watch.beat();
    }

    /// How many rebalances there were.
    pub fn rebalances(&self) -> u64 {
        self.rebalances.load(Ordering::Relaxed)
    }

    /// Whether a broker answered lately.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// A topic of the subscription does not exist, or all do.
    pub fn topic_missing(&self, missing: bool) {
        self.state().topic_missing = missing;
    }

    /// Whether a topic was found missing and did not appear since.
    pub fn is_topic_missing(&self) -> bool {
        self.state().topic_missing
    }

    /// Something keeps the source from working: not ready, and one line in the log now and then.
    pub fn trouble(&self, why: &str) {
        self.health.not_ready(PART, why);
        let mut state = self.state();
        if state.told.get(why).is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
            state.told.insert(why.to_owned(), Instant::now());
            tracing::warn!("{why}");
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what is in flight, at most half of the session's time, and commits it before others may read on.
    fn give_back(&self, consumer: &BaseConsumer<Self>, keys: &[Partition]) {
        let deadline = Instant::now() + self.session_timeout / 2;
        if !consumer.assignment_lost() {
            if !self.positions.drain(keys, deadline) {
                tracing::warn!(
                    "partitions were taken away before all of their lines were delivered; whoever gets them \
                     reads those lines again"
                );
            }
            let mut moved = self.positions.take_moved();
            moved.retain(|(key, _)| keys.contains(key));
            self.commit_now(consumer, &moved, deadline);
        }
        for (topic, partition) in keys {
            self.positions.revoke(&(Arc::clone(topic), *partition));
            let label = PartitionLabel { topic: topic.to_string(), partition: *partition };
            self.metrics.consumer_lag_lines.remove(&label);
        }
    }

    fn commit_now(&self, consumer: &BaseConsumer<Self>, moved: &[(Partition, u64)], deadline: Instant) {
        if moved.is_empty() {
            return;
        }
        loop {
            let result = offsets(moved).and_then(|list| consumer.commit(&list, CommitMode::Sync));
            match result {
                Ok(()) => return,
                Err(error)
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::RebalanceInProgress)
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) => {
                    tracing::warn!(
                        error = explain(&error),
                        "the last positions could not be committed; their lines are read again"
                    );
                    return;
                }
            }
        }
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.connected.store(false, Ordering::Relaxed);
                self.trouble(&explain(&error));
            }
            _ => tracing::debug!(target: "librdkafka", %error, "{reason}"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        let connected = statistics.brokers.values().any(|broker| broker.state == "UP");
        self.connected.store(connected, Ordering::Relaxed);
        let (joined, missing) = {
            let state = self.state();
            (state.joined, state.topic_missing)
        };
        if connected && joined && !missing {
            self.health.ready(PART);
            self.state().told.clear();
        } else if !connected {
            self.health.not_ready(PART, "no broker answers");
        }
        let mut total = 0;
        for topic in statistics.topics.values() {
            for partition in topic.partitions.values().filter(|partition| partition.hi_offset >= 0) {
                let key: Partition = (topic.topic.as_str().into(), partition.partition);
                if self.positions.generation(&key).is_none() {
                    continue;
                }
                let delivered = match self.positions.position(&key) {
                    Some(position) => i64::try_from(position).unwrap_or(i64::MAX),
                    None if partition.committed_offset >= 0 => partition.committed_offset,
                    None => partition.lo_offset.max(0),
                };
                let lag = partition.hi_offset.saturating_sub(delivered).max(0);
                let label = PartitionLabel { topic: topic.topic.clone(), partition: partition.partition };
                self.metrics.consumer_lag_lines.get_or_create(&label).set(lag);
                total += lag;
            }
        }
        self.watch.lag(total);
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(list) => {
                let keys = keys_of(list);
                tracing::info!(partitions = named(&keys), "partitions are taken away");
                self.give_back(consumer, &keys);
            }
            // Before librdkafka starts to fetch, so that no record meets a partition without a generation.
            Rebalance::Assign(list) => {
                let keys = keys_of(list);
                tracing::info!(partitions = named(&keys), "partitions are assigned");
                for key in keys {
                    self.positions.assign(key);
                }
            }
            Rebalance::Error(error) => self.trouble(&explain(error)),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.rebalances.fetch_add(1, Ordering::Relaxed);
        self.metrics.rebalances.inc();
        if let Rebalance::Assign(partitions) = rebalance {
            // A partition that was paused when it was taken away comes back paused.
            if let Err(error) = consumer.resume(partitions) {
                tracing::warn!(%error, "partitions could not be resumed");
            }
            self.state().joined = true;
        }
    }
}

fn keys_of(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| (element.topic().into(), element.partition())).collect()
}

fn named(keys: &[Partition]) -> String {
    let names: Vec<String> = keys.iter().map(|(topic, partition)| format!("{topic}-{partition}")).collect();
    names.join(", ")
}
