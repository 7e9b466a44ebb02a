//! `scorer replay-dead-letters`: sends what sinks gave up on once more and says what became of each. What is refused
//! again is kept again; where a sink does not work, its dead letters stay where they are.

use std::process::ExitCode;
use std::time::Duration;

use ::kafka::rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use ::kafka::rdkafka::error::KafkaError;
use ::kafka::rdkafka::message::Message;
use ::kafka::rdkafka::{Offset, TopicPartitionList};
use ::kafka::{Producer, explain};
use ::store::{Store, StoredDeadLetter};
use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use notify::{Outcome, Receiver};
use tokio::runtime::Runtime;

use super::dead_letter_topic;
use super::ledger::{DeadLetter, Keep, SCHEMA, Topics};
use crate::EXIT_FOUND;
use crate::config::{Flags, KafkaSettings, Settings, SinkSettings};
use crate::test_sink::chosen;

/// Longest wait for a broker's answer.
const BROKER_WAIT: Duration = Duration::from_secs(10);

/// Arguments of `scorer replay-dead-letters`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  scorer replay-dead-letters --sink slack
  scorer replay-dead-letters --config isolog.toml

Exit status: 0 nothing is left, 1 some were refused again or could not be sent, 2 an error.")]
pub struct ReplayArgs {
    /// Only this sink's: webhook, slack, pagerduty, alertmanager, elasticsearch or email
    #[arg(long, value_name = "NAME", default_value = "all")]
    sink: String,
    /// Settings.
    #[command(flatten)]
    settings: Flags,
}

/// What became of a sink's dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    delivered: usize,
    refused: usize,
    /// The sink did not work; this one and those behind it were left alone.
    stopped: bool,
}

/// `scorer replay-dead-letters`.
///
/// # Errors
/// The settings cannot be used; the dead letters cannot be read or kept.
pub fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(args.settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the system gives no resources for a network client")?;
    let mut complete = true;
    for sink in chosen(&settings.sinks.all, &args.sink)? {
        let name = &sink.audience.name;
        let receiver = {
            let _within = runtime.enter();
            Receiver::new(sink, settings.sinks.timeout)
                .map_err(|why| anyhow!("the sink {name} cannot be made: {why}"))?
        };
        let mut sender = Sender { name, receiver, runtime: &runtime, counts: Counts::default() };
        if let Some(topic) = dead_letter_topic(&settings) {
            replay_topic(&settings.kafka, topic, sink, &mut sender)
                .map_err(|why| anyhow!("SINK_DEAD_LETTER_TOPIC {topic}: {why}"))?;
        } else if let Some(store) = &settings.store {
            replay_store(::store::open(&store.place)?.as_mut(), &mut sender)?;
        } else {
            say!("{name}: no dead letters are kept, SINK_DEAD_LETTER_TOPIC and the store are off");
        }
        let Counts { delivered, refused, stopped } = sender.counts;
        let end = if stopped { "; the sink does not work, the others were left alone" } else { "" };
        say!("{name}: {delivered} delivered, {refused} refused again{end}");
        complete &= refused == 0 && !stopped;
    }
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND) })
}

/// What is to become of a dead letter that was tried.
enum Tried {
    /// It is done with.
    Delivered,
    /// It is to be kept again, as this.
    Refused(Box<DeadLetter>),
    /// It stays where it is, and so do those behind it.
    Stopped,
}

struct Sender<'s> {
    name: &'s str,
    receiver: Receiver,
    runtime: &'s Runtime,
    counts: Counts,
}

impl Sender<'_> {
    fn send(&mut self, mut letter: DeadLetter) -> Tried {
        let now = Timestamp::now();
        let outcome = self.runtime.block_on(self.receiver.deliver(&letter.record, now.as_second()));
        let what = format!("{}: alert {} revision {}", self.name, letter.record.id, letter.record.revision);
        match outcome {
            Outcome::Delivered => {
                say!("{what}: delivered");
                self.counts.delivered += 1;
                Tried::Delivered
            }
            Outcome::Refused(why) => {
                say!("{what}: refused again: {why}");
                self.counts.refused += 1;
                letter.reason = why;
                letter.attempts = letter.attempts.saturating_add(1);
                letter.at = now;
                Tried::Refused(Box::new(letter))
            }
            Outcome::Retry { why, .. } => {
                say!("{what}: not delivered: {why}");
                self.counts.stopped = true;
                Tried::Stopped
            }
        }
    }
}

/// Dead letters that are read of the store at a time.
const AT_A_TIME: usize = 100;

/// What is refused again stays where it is.
fn replay_store(store: &mut dyn Store, sender: &mut Sender<'_>) -> anyhow::Result<()> {
    let mut last = 0;
    loop {
        let letters = store.dead_letters(sender.name, last, AT_A_TIME)?;
        if letters.is_empty() {
            return Ok(());
        }
        for StoredDeadLetter { number, letter } in letters {
            last = number;
            let record = match serde_json::from_str(&letter.record) {
                Ok(record) => record,
                Err(error) => {
                    say!("{}: dead letter {number} holds no alert record: {error}", sender.name);
                    continue;
                }
            };
            let at = Timestamp::from_microsecond(letter.at.as_micros()).unwrap_or_default();
            let (sink, reason) = (letter.sink, letter.reason);
            match sender.send(DeadLetter { schema: SCHEMA, sink, reason, attempts: 0, at, record }) {
                Tried::Delivered => store.forget_dead_letter(number)?,
                Tried::Refused(_) => {}
                Tried::Stopped => return Ok(()),
            }
        }
    }
}

/// The group that keeps how far a sink's dead letters were sent again.
fn group_of(settings: &KafkaSettings, sink: &str) -> String {
    format!("{}-replay-{sink}", settings.group_id)
}

fn replay_topic(
    settings: &KafkaSettings,
    topic: &str,
    sink: &SinkSettings,
    sender: &mut Sender<'_>,
) -> Result<(), String> {
    let mut config = settings.client.consumer_config(&group_of(settings, &sink.audience.name), "earliest");
    config.set("log_level", "0").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().map_err(|error| explain(&error))?;
    let mut ends = open(&consumer, topic).map_err(|error| explain(&error))?;
    let producer = Producer::new(&settings.client).map_err(|error| explain(&error))?;
    let producer = std::sync::Arc::new(std::sync::Mutex::new(producer));
    let mut again = Topics { producer, results: None, dead_letters: Some(topic.to_owned()) };
    while !ends.is_empty() {
        let message = match consumer.poll(BROKER_WAIT) {
            Some(Ok(message)) => message,
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ends.retain(|(of, _)| *of != partition);
                continue;
            }
            Some(Err(error)) => return Err(explain(&error)),
            None => return Err(format!("no answer within {} s", BROKER_WAIT.as_secs())),
        };
        let (partition, offset) = (message.partition(), message.offset());
        let Some(end) = ends.iter().position(|(of, _)| *of == partition) else { continue };
        // What is kept again comes behind the end and is not tried twice.
        if offset + 1 >= ends[end].1 {
            ends.remove(end);
        }
        match serde_json::from_slice::<DeadLetter>(message.payload().unwrap_or_default()) {
            Ok(letter) if letter.sink == sink.audience.name => match sender.send(letter) {
                Tried::Delivered => {}
                Tried::Refused(letter) => again.dead_letters(&[*letter])?,
                Tried::Stopped => return Ok(()),
            },
            Ok(_) => {}
            Err(error) => {
                say!("{}: what stands at {partition}:{offset} is no dead letter: {error}", sender.name);
            }
        }
        commit(&consumer, topic, partition, offset + 1).map_err(|error| explain(&error))?;
    }
    Ok(())
}

/// Assigns the partitions from where the last replay stopped; those that hold something, with their ends.
fn open(consumer: &BaseConsumer, topic: &str) -> Result<Vec<(i32, i64)>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), BROKER_WAIT)?;
    let mut partitions = TopicPartitionList::new();
    for found in metadata.topics().iter().filter(|found| found.error().is_none()) {
        for partition in found.partitions() {
            partitions.add_partition(topic, partition.id());
        }
    }
    let committed = consumer.committed_offsets(partitions, BROKER_WAIT)?;
    let mut ends = Vec::new();
    let mut assignment = TopicPartitionList::new();
    for element in committed.elements() {
        let (oldest, end) = consumer.fetch_watermarks(topic, element.partition(), BROKER_WAIT)?;
        let start = match element.offset() {
            Offset::Offset(offset) => offset.max(oldest),
            _ => oldest,
        };
        if start < end {
            ends.push((element.partition(), end));
            assignment.add_partition_offset(topic, element.partition(), Offset::Offset(start))?;
        }
    }
    consumer.assign(&assignment)?;
    Ok(ends)
}

fn commit(consumer: &BaseConsumer, topic: &str, partition: i32, offset: i64) -> Result<(), KafkaError> {
    let mut position = TopicPartitionList::new();
    position.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.commit(&position, CommitMode::Sync)
}
