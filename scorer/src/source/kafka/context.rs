//! What librdkafka calls back: rebalances, statistics, errors. Runs on the source's thread,
//! inside its polls.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::kafka::batch::Forwarding;
use ::kafka::explain;
use ::kafka::rdkafka::client::ClientContext;
use ::kafka::rdkafka::config::RDKafkaLogLevel;
use ::kafka::rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use ::kafka::rdkafka::error::KafkaError;
use ::kafka::rdkafka::statistics::Statistics;
use ::kafka::rdkafka::types::RDKafkaErrorCode;
use ::kafka::rdkafka::{Offset, TopicPartitionList};

use tokio_util::sync::CancellationToken;

use super::{PART, Partition, offsets, stream_of};
use crate::metrics::{Health, Metrics, PartitionLabel};
use crate::source::positions::Shared;
use crate::source::watchdog::Watch;
use crate::state::{Keeper, Place, Places, Stream};

/// Longest wait for one answer of a broker.
const CALL: Duration = Duration::from_secs(10);
/// Between two tries to restore what was learnt.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// The same trouble is told again after this long.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// State that callbacks share with the reader.
pub struct GroupContext {
    positions: Shared<Partition>,
    health: Health,
    metrics: Metrics,
    watch: Arc<Watch>,
    keeper: Keeper,
    stop: CancellationToken,
    forwarding: Forwarding,
    session_timeout: Duration,
    /// Longest time without a poll, after which the group takes the partitions away.
    poll_interval: Duration,
    /// Places behind which some lines are learnt already, and whether there are any.
    ahead: Mutex<HashMap<Partition, Place>>,
    any_ahead: AtomicBool,
    rebalances: AtomicU64,
    connected: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    joined: bool,
    topic_missing: bool,
    /// Why the source cannot go on.
    failure: Option<String>,
    /// Where the partitions ended at the last look.
    ends: BTreeMap<Partition, i64>,
    /// What was told when; as short as librdkafka's list of errors.
    told: BTreeMap<String, Instant>,
}

impl GroupContext {
    /// For the partitions in `positions`.
    pub fn new(
        app: &crate::run::App,
        positions: Shared<Partition>,
        forwarding: Forwarding,
        session_timeout: Duration,
        poll_interval: Duration,
    ) -> Self {
        if app.keeper.keeps(&Stream::Partition("".into(), 0)) {
            positions.hold();
        }
        Self {
            keeper: app.keeper.clone(),
            stop: app.stop.clone(),
            poll_interval,
            ahead: Mutex::default(),
            any_ahead: AtomicBool::new(false),
            watch: Arc::new(Watch::new({
                let positions = positions.clone();
                move || positions.progress()
            })),
            positions,
            health: app.health.clone(),
            metrics: app.metrics.clone(),
            forwarding,
            session_timeout,
            rebalances: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Whether a record is in what was learnt, though those before it were still to be read.
    pub fn is_learnt(&self, key: &Partition, offset: u64) -> bool {
        self.any_ahead.load(Ordering::Relaxed)
            && self.ahead().get(key).is_some_and(|place| place.holds(offset))
    }

    fn ahead(&self) -> std::sync::MutexGuard<'_, HashMap<Partition, Place>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the source cannot go on, if so.
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
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
            let streams: Vec<Stream> = keys.iter().map(stream_of).collect();
            if !self.keeper.flush(&streams, deadline) {
                tracing::warn!("what was learnt last of partitions that were taken away could not be kept");
            }
            let mut moved = self.positions.take_moved();
            moved.retain(|(key, _)| keys.contains(key));
            self.commit_now(consumer, &moved, deadline);
        }
        for (topic, partition) in keys {
            let key = (Arc::clone(topic), *partition);
            self.keeper.close(&stream_of(&key));
            self.ahead().remove(&key);
            self.positions.revoke(&(Arc::clone(topic), *partition));
            let label = PartitionLabel { topic: topic.to_string(), partition: *partition };
            self.metrics.consumer_lag_lines.remove(&label);
        }
    }

    /// Restores what was learnt of a partition; where its snapshot stands, reading begins. Tries until it is known
    /// whether there is one: going on without it would give other scores.
    fn restore(&self, consumer: &BaseConsumer<Self>, key: &Partition) -> Option<Offset> {
        let generation = self.positions.assign(key.clone());
        if !self.keeper.learns() {
            return None;
        }
        let deadline = Instant::now() + self.poll_interval / 2;
        loop {
            match self.try_restore(consumer, key, generation) {
                Ok(offset) => return offset,
                Err(why) if self.stop.is_cancelled() || Instant::now() >= deadline => {
                    let (topic, partition) = key;
                    let why = format!("what was learnt of {topic}/{partition} cannot be read: {why}");
                    self.state().failure = Some(why);
                    self.positions.revoke(key);
                    return None;
                }
                Err(why) => {
                    self.trouble(&format!("what was learnt cannot be read, tried again: {why}"));
                    std::thread::sleep(TRY_AGAIN);
                }
            }
        }
    }

    fn try_restore(
        &self,
        consumer: &BaseConsumer<Self>,
        key: &Partition,
        generation: u64,
    ) -> Result<Option<Offset>, String> {
        let stream = stream_of(key);
        let kept = self.keeper.keeps(&stream);
        let (low, high, committed) = if kept { there_is(consumer, key)? } else { (0, 0, None) };
        // A topic that was made anew has no committed offset, or ends before what was learnt of its namesake.
        let is_usable = |places: &Places| match (places.get(""), committed) {
            (None, _) => Err("it names no offset".to_owned()),
            (_, None) => Err("the group has no committed offset any more; reading begins anew".to_owned()),
            (Some(place), _) if place.end > high => {
                Err(format!("it stands at offset {}, the partition ends at {high}", place.end))
            }
            (Some(_), Some(_)) => Ok(()),
        };
        let (positions, mine) = (self.positions.clone(), key.clone());
        let on_durable = Arc::new(move |_: &str, end| positions.durable(&mine, generation, end));
        let give_up = || self.stop.is_cancelled();
        let opened = self.keeper.open(&stream, generation, on_durable, &is_usable, &give_up)?;
        let Some(place) = opened.places.get("").filter(|_| opened.restored) else { return Ok(None) };
        if place.end < low {
            let lost = low - place.end;
            tracing::warn!(%stream, lost, "lines behind what was learnt were deleted before they were read");
        }
        if let Some(again) =
            committed.and_then(|committed| committed.checked_sub(place.end)).filter(|n| *n > 0)
        {
            // Its last snapshot was damaged, or the group read on without learning.
            tracing::warn!(%stream, again, "what was learnt stands before the committed offset: lines are read again");
        }
        if !place.ahead.is_empty() {
            self.ahead().insert(key.clone(), place.clone());
            self.any_ahead.store(true, Ordering::Relaxed);
        }
        let start = place.end.max(low);
        tracing::info!(%stream, offset = start, "reading begins where what was learnt stands");
        Ok(Some(Offset::Offset(i64::try_from(start).unwrap_or(i64::MAX))))
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
        // The group's own state: after an outage the brokers are back before the partitions are.
        let in_group =
            statistics.cgrp.is_some_and(|group| group.state == "up" && group.join_state == "steady");
        if connected && joined && in_group && !missing {
            self.health.ready(PART);
            self.state().told.clear();
        } else if !connected {
            self.health.not_ready(PART, "no broker answers");
        } else if joined && !in_group {
            self.health.not_ready(PART, "the partitions are being assigned again");
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
                // Everything that was there at the last look is read.
                let before = self.state().ends.insert(key.clone(), partition.hi_offset);
                let read = partition.app_offset.max(delivered);
                let caught_up = connected && in_group && before.is_some_and(|end| read >= end);
                self.keeper.caught_up(&stream_of(&key), caught_up);
            }
        }
        self.metrics.lag_lines.set(total);
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
                let streams: Vec<Stream> = keys.iter().map(stream_of).collect();
                if let Err(why) = self.keeper.prefetch(&streams, &|| self.stop.is_cancelled()) {
                    tracing::debug!("what was learnt cannot be read at once: {why}");
                }
                for mut element in list.elements() {
                    let key: Partition = (element.topic().into(), element.partition());
                    if let Some(offset) = self.restore(consumer, &key)
                        && let Err(error) = element.set_offset(offset)
                    {
                        self.state().failure = Some(error.to_string());
                    }
                }
                self.forwarding.forward(consumer, list);
            }
            Rebalance::Error(error) => self.trouble(&explain(error)),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.rebalances.fetch_add(1, Ordering::Relaxed);
        self.metrics.rebalances.inc();
        if let Rebalance::Assign(partitions) = rebalance {
            // Once more, in case that librdkafka was still giving up what it had of them before.
            self.forwarding.forward(consumer, partitions);
            // A partition that was paused when it was taken away comes back paused.
            if let Err(error) = consumer.resume(partitions) {
                tracing::warn!(%error, "partitions could not be resumed");
            }
            self.state().joined = true;
        }
    }
}

/// First and next offset of a partition, and the group's committed one.
fn there_is(
    consumer: &BaseConsumer<GroupContext>,
    (topic, partition): &Partition,
) -> Result<(u64, u64, Option<u64>), String> {
    let (low, high) = consumer.fetch_watermarks(topic, *partition, CALL).map_err(|error| explain(&error))?;
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, *partition);
    let committed = consumer.committed_offsets(list, CALL).map_err(|error| explain(&error))?;
    let committed = committed.elements().first().and_then(|element| match element.offset() {
        Offset::Offset(offset) => u64::try_from(offset).ok(),
        _ => None,
    });
    Ok((u64::try_from(low).unwrap_or_default(), u64::try_from(high).unwrap_or_default(), committed))
}

pub(super) fn keys_of(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| (element.topic().into(), element.partition())).collect()
}

fn named(keys: &[Partition]) -> String {
    let names: Vec<String> = keys.iter().map(|(topic, partition)| format!("{topic}-{partition}")).collect();
    names.join(", ")
}
