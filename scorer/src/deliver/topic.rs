//! The alerts' topic as an outbox: a consumer group of its own for each sink, positions committed only when what
//! stands before them is settled. What is settled behind an open record is committed with the position, as its
//! metadata, so that it is not told again because of the open one.
//!
//! A group that is new begins with the oldest record: a record names the sinks that are to be told, so what is older
//! than a sink does not concern it, and nothing that concerns it is passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::kafka::explain;
use ::kafka::rdkafka::client::ClientContext;
use ::kafka::rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use ::kafka::rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use ::kafka::rdkafka::error::{KafkaError, KafkaResult};
use ::kafka::rdkafka::message::Message;
use ::kafka::rdkafka::types::RDKafkaErrorCode;
use ::kafka::rdkafka::{Offset, TopicPartitionList};
use notify::dispatch::{Position, Progress};

use super::outbox::{Event, Outbox, Taken};
use crate::config::KafkaSettings;

/// One sink's view of the topic.
pub struct TopicOutbox {
    consumer: BaseConsumer<Group>,
    paused: bool,
}

/// What rebalances need to know: they happen inside of polls.
struct Group {
    topic: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How far each partition is.
    settled: BTreeMap<i32, Progress>,
    /// How far each partition was when it was assigned.
    before: BTreeMap<i32, Ahead>,
    /// Partitions that went away and were not told yet.
    gone: Vec<i32>,
}

impl Group {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to commit of the settled partitions; `None` where there is nothing.
    fn offsets<'s>(&self, settled: impl Iterator<Item = &'s Progress>) -> Option<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for progress in settled {
            let mut element = list.add_partition(&self.topic, progress.settled.partition);
            // Fails only for a negative offset that is none of the special ones, which no record has.
            let _ = element.set_offset(Offset::Offset(progress.settled.offset + 1));
            element.set_metadata(Ahead::of(progress).to_string());
        }
        (list.count() > 0).then_some(list)
    }

    /// What was settled of partitions that are assigned now, behind their positions.
    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let committed = match consumer.committed_offsets(partitions.clone(), BROKER_WAIT) {
            Ok(committed) => committed,
            Err(error) => {
                tracing::warn!(%error, "a sink does not know what it was told behind its position and is told again");
                return;
            }
        };
        let before = committed
            .elements()
            .into_iter()
            .filter_map(|element| Some((element.partition(), element.metadata().parse::<Ahead>().ok()?)));
        self.state().before.extend(before);
    }
}

impl Group {
    fn was_settled(&self, position: Position) -> bool {
        let state = self.state();
        state.before.get(&position.partition).is_some_and(|ahead| ahead.is_settled(position.offset))
    }
}

/// Longest wait for the group's positions.
const BROKER_WAIT: Duration = Duration::from_secs(10);
/// Brokers take 4,096 bytes of metadata (`offset.metadata.max.bytes`); an offset has at most 19 digits and a comma.
const MOST_OPEN: usize = 180;

/// What was read of a partition and is not settled, as it is committed: `read 41 open 7,12`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ahead {
    read: i64,
    open: Vec<i64>,
}

impl Ahead {
    /// Of what is open only so many are kept; what is settled behind them comes again.
    fn of(progress: &Progress) -> Self {
        let open: Vec<i64> = progress.open.iter().take(MOST_OPEN).copied().collect();
        let next = progress.open.get(MOST_OPEN);
        Self { read: next.map_or(progress.read, |next| next - 1), open }
    }

    fn is_settled(&self, offset: i64) -> bool {
        offset <= self.read && self.open.binary_search(&offset).is_err()
    }
}

impl fmt::Display for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open: Vec<String> = self.open.iter().map(i64::to_string).collect();
        write!(f, "read {} open {}", self.read, open.join(","))
    }
}

impl FromStr for Ahead {
    type Err = ParseIntError;

    /// Any other text says nothing: everything behind the position is open.
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let Some((read, open)) = text.strip_prefix("read ").and_then(|rest| rest.split_once(" open ")) else {
            return Ok(Self { read: -1, open: Vec::new() });
        };
        let open = open.split(',').filter(|one| !one.is_empty()).map(str::parse);
        Ok(Self { read: read.parse()?, open: open.collect::<Result<_, _>>()? })
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let partitions = match rebalance {
            Rebalance::Assign(partitions) => return self.assigned(consumer, partitions),
            Rebalance::Revoke(partitions) => partitions,
            Rebalance::Error(error) => {
                tracing::warn!(%error, "a sink's group could not share the alerts' partitions");
                return;
            }
        };
        let mut state = self.state();
        let gone: Vec<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
        let settled = state.settled.values().filter(|one| gone.contains(&one.settled.partition));
        if let Some(offsets) = self.offsets(settled)
            && let Err(error) = consumer.commit(&offsets, CommitMode::Sync)
            && !is_nothing_new(&error)
        {
            tracing::debug!(%error, "positions of a sink could not be committed before its partitions went");
        }
        state.settled.retain(|partition, _| !gone.contains(partition));
        state.before.retain(|partition, _| !gone.contains(partition));
        state.gone.extend(gone);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result
            && !is_nothing_new(&error)
        {
            tracing::debug!(%error, "positions of a sink could not be committed; they are with the next ones");
        }
    }
}

fn is_nothing_new(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset)
}

/// The consumer group of a sink.
pub fn group_of(settings: &KafkaSettings, sink: &str) -> String {
    format!("{}-sink-{sink}", settings.group_id)
}

impl TopicOutbox {
    /// Joins the sink's group on `topic`. Brokers need not be there.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn join(settings: &KafkaSettings, topic: &str, sink: &str) -> Result<Self, String> {
        let mut config = settings.client.consumer_config(&group_of(settings, sink), "earliest");
        for (name, value) in [
            // The topic is made by the first of us who asks, where brokers allow that, and found soon after.
            ("allow.auto.create.topics", "true"),
            ("topic.metadata.refresh.interval.ms", "2000"),
            ("queued.max.messages.kbytes", "4096"),
            ("fetch.max.bytes", "4194304"),
        ] {
            if settings.client.property(name).is_none() {
                config.set(name, value);
            }
        }
        let group = Group { topic: topic.to_owned(), state: Mutex::default() };
        let consumer = BaseConsumer::from_config_and_context(&config, group)
            .and_then(|consumer| consumer.subscribe(&[topic]).map(|()| consumer))
            .map_err(|error| explain(&error))?;
        Ok(Self { consumer, paused: false })
    }

    /// Fetches nothing while there is no room, and goes on where it stopped.
    fn pause(&mut self, pause: bool) -> KafkaResult<()> {
        if !pause && !self.paused {
            return Ok(());
        }
        let assigned = self.consumer.assignment()?;
        if pause {
            self.consumer.pause(&assigned)?;
        } else {
            self.consumer.resume(&assigned)?;
        }
        self.paused = pause;
        Ok(())
    }

    fn gone(&self) -> Vec<Event> {
        std::mem::take(&mut self.consumer.context().state().gone).into_iter().map(Event::Gone).collect()
    }

    fn commit(&self, mode: CommitMode) -> Result<(), String> {
        let group = self.consumer.context();
        // Not locked while committing: the answer comes by a callback.
        let settled = group.state().settled.clone();
        let Some(offsets) = group.offsets(settled.values()) else { return Ok(()) };
        match self.consumer.commit(&offsets, mode) {
            Err(error) if !is_nothing_new(&error) => Err(explain(&error)),
            _ => Ok(()),
        }
    }
}

impl Outbox for TopicOutbox {
    fn poll(&mut self, most: usize, wait: Duration) -> Result<Vec<Event>, String> {
        self.pause(most == 0).map_err(|error| explain(&error))?;
        let mut events = Vec::new();
        let mut wait = wait;
        let mut taken = 0;
        loop {
            let polled = self.consumer.poll(wait);
            // A rebalance happens before the message of the same poll.
            events.extend(self.gone());
            match polled {
                None => return Ok(events),
                Some(Ok(message)) => {
                    let position = Position { partition: message.partition(), offset: message.offset() };
                    let settled = self.consumer.context().was_settled(position);
                    let payload = message.payload().filter(|_| !settled).unwrap_or_default();
                    let written_ms = message.timestamp().to_millis();
                    events.push(Event::Taken(Taken { position, json: payload.to_vec(), written_ms }));
                    taken += 1;
                    wait = Duration::ZERO;
                    if taken >= most {
                        return Ok(events);
                    }
                }
                // What came before is not lost with it: an error that lasts comes again.
                Some(Err(error)) if !events.is_empty() => {
                    tracing::debug!(%error, "reading the alerts' topic");
                    return Ok(events);
                }
                Some(Err(error)) => return Err(explain(&error)),
            }
        }
    }

    fn settle(&mut self, progress: &[Progress]) -> Result<(), String> {
        let mut state = self.consumer.context().state();
        for one in progress {
            state.settled.insert(one.settled.partition, one.clone());
        }
        drop(state);
        self.commit(CommitMode::Async)
    }

    fn close(&mut self) -> Result<(), String> {
        self.commit(CommitMode::Sync)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(read: i64, open: Vec<i64>) -> Progress {
        let offset = open.first().map_or(read, |oldest| oldest - 1);
        Progress { settled: Position { partition: 0, offset }, read, open }
    }

    #[test]
    fn what_is_settled_behind_an_open_record_is_known_again() {
        let ahead: Ahead = Ahead::of(&progress(41, vec![7, 12])).to_string().parse().unwrap();
        assert_eq!(ahead, Ahead { read: 41, open: vec![7, 12] });
        let settled: Vec<i64> = (5..45).filter(|offset| ahead.is_settled(*offset)).collect();
        let expected: Vec<i64> = (5..=41).filter(|offset| ![7, 12].contains(offset)).collect();
        assert_eq!(settled, expected);
    }

    #[test]
    fn what_brokers_would_not_take_is_left_out_and_told_again() {
        let open: Vec<i64> = (0..1_000).map(|number| i64::MAX - 10_000 + 2 * number).collect();
        let ahead = Ahead::of(&progress(i64::MAX, open.clone()));
        assert!(ahead.to_string().len() <= 4_096);
        assert!(open.iter().all(|offset| !ahead.is_settled(*offset)));
    }

    #[test]
    fn metadata_of_others_says_nothing() {
        for text in ["", "NONE", "{}"] {
            assert!(!text.parse::<Ahead>().unwrap().is_settled(0), "{text}");
        }
        assert!("read x open ".parse::<Ahead>().is_err());
    }
}
