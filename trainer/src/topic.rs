//! Training from a Kafka topic between two times, through the same decoders. Partition after partition, so that a
//! second pass sees the same order; joins no group and commits nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use corpus::{Batch, Place, Rejects};
use engine::decode::{Decoder, RecordContext, RejectReason, Rejected};
use engine::event::EventTime;
use kafka::ClientSettings;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// Longest wait for an answer of the brokers.
const ANSWER: Duration = Duration::from_secs(15);
/// Longest time without a record although there are more.
const SILENCE: Duration = Duration::from_secs(30);
const BATCH_EVENTS: usize = 1_024;

/// A stretch of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    partition: i32,
    /// First offset that is read.
    from: i64,
    /// First offset that is not read.
    to: i64,
}

/// A topic between two times: its offsets are settled once, so that every pass reads the same records.
pub struct Topic {
    name: String,
    consumer: BaseConsumer,
    stretches: Vec<Stretch>,
}

impl Topic {
    /// Settles which offsets lie from `since` until before `until` by the records' times.
    ///
    /// # Errors
    /// The brokers do not answer, or there is no such topic.
    pub fn open(
        settings: &ClientSettings,
        name: &str,
        since: Option<EventTime>,
        until: Option<EventTime>,
    ) -> anyhow::Result<Self> {
        let mut config = settings.consumer_config("isolog-trainer", "earliest");
        config.set("enable.partition.eof", "false");
        let consumer: BaseConsumer = config.create().context("the Kafka client cannot be made")?;
        let servers = &settings.bootstrap_servers;
        let metadata = consumer.fetch_metadata(Some(name), ANSWER).map_err(|error| {
            anyhow::anyhow!(
                "Kafka at {servers}: {}; is it running, is KAFKA_BOOTSTRAP_SERVERS right?",
                kafka::explain(&error)
            )
        })?;
        let found = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none());
        let Some(found) = found.filter(|topic| !topic.partitions().is_empty()) else {
            bail!("there is no topic {name} on Kafka at {servers}");
        };
        let mut partitions: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
        partitions.sort_unstable();
        let mut stretches = Vec::new();
        for partition in partitions {
            let (low, high) = consumer
                .fetch_watermarks(name, partition, ANSWER)
                .with_context(|| format!("the offsets of {name}[{partition}] cannot be read"))?;
            let from = since.map_or(Ok(low), |time| offset_at(&consumer, name, partition, time, high))?;
            let to = until.map_or(Ok(high), |time| offset_at(&consumer, name, partition, time, high))?;
            stretches.push(Stretch { partition, from: from.max(low), to: to.min(high) });
        }
        Ok(Self { name: name.to_owned(), consumer, stretches })
    }

    /// Names of the partitions; [`Place::input`] counts them, [`Place::line`] is the offset.
    pub fn names(&self) -> Vec<String> {
        self.stretches.iter().map(|stretch| format!("topic {}[{}]", self.name, stretch.partition)).collect()
    }

    /// Records at most, gaps included.
    pub fn records(&self) -> u64 {
        self.stretches.iter().map(|stretch| u64::try_from(stretch.to - stretch.from).unwrap_or(0)).sum()
    }

    /// Reads all stretches and hands their events on in batches, with the number of records so far.
    ///
    /// # Errors
    /// The brokers fall silent, or `take` fails.
    pub fn read(
        &self,
        decoder: &Decoder,
        rejects: &mut Rejects,
        mut take: impl FnMut(&mut Batch, u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let (mut batch, mut records) = (Batch::default(), 0);
        for (input, stretch) in
            self.stretches.iter().enumerate().filter(|(_, stretch)| stretch.from < stretch.to)
        {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&self.name, stretch.partition, Offset::Offset(stretch.from))?;
            self.consumer.assign(&list)?;
            let mut last_record = Instant::now();
            let mut done = false;
            while !done {
                match self.consumer.poll(Duration::from_millis(200)) {
                    Some(Ok(message)) if message.offset() >= stretch.to => done = true,
                    Some(Ok(message)) => {
                        last_record = Instant::now();
                        records += 1;
                        done = message.offset() + 1 >= stretch.to;
                        let place =
                            Place { input, line: u64::try_from(message.offset()).unwrap_or_default() };
                        let time = message
                            .timestamp()
                            .to_millis()
                            .map_or(EventTime::default(), EventTime::from_millis);
                        let context = RecordContext { transport_time: time, service: None };
                        match decode(decoder, message.payload(), context, &mut batch) {
                            Ok(()) => batch.places.resize(batch.events.len(), place),
                            Err(rejected) => rejects.add(&self.names()[input], place.line, rejected),
                        }
                    }
                    Some(Err(error)) if last_record.elapsed() > SILENCE => {
                        bail!("{}: {}", self.names()[input], kafka::explain(&error));
                    }
                    Some(Err(_)) => {}
                    None => done = self.is_past(stretch) || is_silent(&self.names()[input], last_record)?,
                }
                if batch.events.len() >= BATCH_EVENTS || done {
                    take(&mut batch, records)?;
                    batch = Batch::default();
                }
            }
        }
        self.consumer.unassign()?;
        Ok(records)
    }

    /// Whether the position went over the end without a record: the last ones were compacted away or are markers.
    fn is_past(&self, stretch: &Stretch) -> bool {
        let Ok(positions) = self.consumer.position() else { return false };
        let position = positions.find_partition(&self.name, stretch.partition).map(|found| found.offset());
        matches!(position, Some(Offset::Offset(at)) if at >= stretch.to)
    }
}

fn is_silent(name: &str, last_record: Instant) -> anyhow::Result<bool> {
    if last_record.elapsed() > SILENCE {
        bail!(
            "{name}: no record for {} s although there are more; are the brokers reachable?",
            SILENCE.as_secs()
        );
    }
    Ok(false)
}

fn decode(
    decoder: &Decoder,
    payload: Option<&[u8]>,
    context: RecordContext<'_>,
    batch: &mut Batch,
) -> Result<(), Rejected> {
    let empty = || Rejected { reason: RejectReason::Empty, detail: "the record has no value".to_owned() };
    decoder.decode(payload.ok_or_else(empty)?, context, &mut batch.events)
}

/// The first offset whose record is at `time` or later; the end where there is none.
fn offset_at(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    time: EventTime,
    end: i64,
) -> anyhow::Result<i64> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(time.as_micros().div_euclid(1_000)))?;
    let found = consumer
        .offsets_for_times(list, ANSWER)
        .with_context(|| format!("the offsets of {topic}[{partition}] at {time} cannot be found"))?;
    match found.find_partition(topic, partition).map(|element| element.offset()) {
        Some(Offset::Offset(offset)) if offset >= 0 => Ok(offset),
        _ => Ok(end),
    }
}
