//! What tests do with topics: create, fill, read to the end. Never how the programs under test do it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use super::Broker;

const CALL_LIMIT: Duration = Duration::from_secs(30);

static NEXT_TOPIC: AtomicU32 = AtomicU32::new(0);

/// A record to produce.
#[derive(Clone, Debug, Default)]
pub struct NewRecord {
    /// Key; `None` for a record without one.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub payload: Vec<u8>,
    /// Partition; `None` leaves it to the key.
    pub partition: Option<i32>,
    /// Create time in milliseconds since 1970; `None` is now.
    pub timestamp_ms: Option<i64>,
}

impl NewRecord {
    /// A record without a key.
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }

    /// A record that goes to its key's partition.
    pub fn keyed(key: impl Into<Vec<u8>>, payload: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), payload: payload.into(), ..Self::default() }
    }
}

/// A record as read from a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Partition number.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Create or append time in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value; empty for a tombstone.
    pub payload: Vec<u8>,
    /// Headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// The value as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The value as JSON.
    ///
    /// # Errors
    /// When it is not JSON; names the value.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.payload).with_context(|| format!("not JSON: {}", self.text()))
    }
}

impl Broker {
    /// Creates a topic with one replica and waits until it can be used.
    ///
    /// # Errors
    /// When the broker refuses, as it does for a topic that exists.
    pub fn create_topic(&self, name: &str, partitions: u16) -> Result<()> {
        use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
        let admin: AdminClient<_> = self.client_config().create()?;
        let topic = NewTopic::new(name, i32::from(partitions), TopicReplication::Fixed(1));
        let options =
            AdminOptions::new().operation_timeout(Some(CALL_LIMIT)).request_timeout(Some(CALL_LIMIT));
        let created = futures_executor::block_on(admin.create_topics([&topic], &options))?;
        for result in created {
            result.map_err(|(name, code)| anyhow::anyhow!("cannot create topic {name}: {code}"))?;
        }
        let deadline = Instant::now() + CALL_LIMIT;
        let client = self.client()?;
        while self.partitions(&client, name)?.len() < usize::from(partitions) {
            if Instant::now() >= deadline {
                bail!("topic {name} has no leaders after {CALL_LIMIT:?}");
            }
        }
        Ok(())
    }

    /// Deletes a topic with all its records, and creates it again.
    ///
    /// # Errors
    /// The broker refuses, or takes longer than half a minute.
    pub fn make_anew(&self, name: &str, partitions: u16) -> Result<()> {
        use rdkafka::admin::{AdminClient, AdminOptions};
        let admin: AdminClient<_> = self.client_config().create()?;
        let options =
            AdminOptions::new().operation_timeout(Some(CALL_LIMIT)).request_timeout(Some(CALL_LIMIT));
        for result in futures_executor::block_on(admin.delete_topics(&[name], &options))? {
            result.map_err(|(name, code)| anyhow::anyhow!("cannot delete topic {name}: {code}"))?;
        }
        let deadline = Instant::now() + CALL_LIMIT;
        loop {
            match self.create_topic(name, partitions) {
                Err(error) if Instant::now() >= deadline => return Err(error),
                // It is being deleted for a moment yet.
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Creates a topic whose name nobody else on this broker has.
    ///
    /// # Errors
    /// As [`Broker::create_topic`].
    pub fn unique_topic(&self, prefix: &str, partitions: u16) -> Result<String> {
        let name = format!("{prefix}-{}", NEXT_TOPIC.fetch_add(1, Ordering::Relaxed));
        self.create_topic(&name, partitions)?;
        Ok(name)
    }

    /// Produces values without keys, in order where the topic has one partition; returns when all are acknowledged.
    ///
    /// # Errors
    /// When one was not delivered.
    pub fn produce<P: Into<Vec<u8>>>(
        &self,
        topic: &str,
        payloads: impl IntoIterator<Item = P>,
    ) -> Result<()> {
        self.produce_records(topic, payloads.into_iter().map(NewRecord::new))
    }

    /// Produces records; returns when all are acknowledged.
    ///
    /// # Errors
    /// When one was not delivered.
    pub fn produce_records(&self, topic: &str, records: impl IntoIterator<Item = NewRecord>) -> Result<()> {
        let failures = Failures::default();
        let mut config = self.client_config();
        config.set("enable.idempotence", "true").set("linger.ms", "5").set("message.max.bytes", "20000000");
        let producer: BaseProducer<Failures> = config.create_with_context(failures.clone())?;
        for record in records {
            let mut new = BaseRecord::<[u8], [u8]>::to(topic).payload(&record.payload);
            new.key = record.key.as_deref();
            new.partition = record.partition;
            new.timestamp = record.timestamp_ms;
            while let Err((error, returned)) = producer.send(new) {
                let full = RDKafkaErrorCode::QueueFull;
                if error.rdkafka_error_code() != Some(full) {
                    return Err(error).with_context(|| format!("cannot produce to {topic}"));
                }
                producer.poll(Duration::from_millis(100));
                new = returned;
            }
        }
        producer.flush(CALL_LIMIT)?;
        match failures.0.lock().map_err(|_| anyhow::anyhow!("a delivery callback panicked"))?.first() {
            Some(error) => bail!("cannot produce to {topic}: {error}"),
            None => Ok(()),
        }
    }

    /// Everything in a topic at this moment: partition after partition, each in order.
    ///
    /// # Errors
    /// When the topic does not exist or cannot be read.
    pub fn read_all(&self, topic: &str) -> Result<Vec<Record>> {
        let mut reader = Reader::open(self, topic)?;
        reader.read_to_end()?;
        Ok(reader.into_records())
    }

    /// Reads a topic from its beginning until `enough` holds of everything read (in order of arrival).
    ///
    /// # Errors
    /// When the topic cannot be read, or `limit` passes first; says how many records there were.
    pub fn read_until(
        &self,
        topic: &str,
        limit: Duration,
        mut enough: impl FnMut(&[Record]) -> bool,
    ) -> Result<Vec<Record>> {
        let deadline = Instant::now() + limit;
        let mut reader = Reader::open(self, topic)?;
        while !enough(&reader.records) {
            if Instant::now() >= deadline {
                let last = reader.records.last().map(Record::text);
                bail!("{topic}: not enough after {limit:?}; {} records, last {last:?}", reader.records.len());
            }
            reader.poll(Duration::from_millis(100))?;
        }
        Ok(reader.records)
    }

    /// Reads a topic from its beginning until it has yielded `count` records, and returns all that it has then.
    ///
    /// # Errors
    /// As [`Broker::read_until`].
    pub fn read_at_least(&self, topic: &str, count: usize, limit: Duration) -> Result<Vec<Record>> {
        self.read_until(topic, limit, |records| records.len() >= count)?;
        self.read_all(topic)
    }

    /// The offset that a group has committed, by partition; `None` where it has committed nothing.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<i64>>> {
        let mut config = self.client_config();
        let consumer: BaseConsumer = config.set("group.id", group).create()?;
        let mut asked = TopicPartitionList::new();
        for partition in self.partitions(&consumer, topic)? {
            asked.add_partition(topic, partition);
        }
        // A broker that has just started answers before it has read what groups committed.
        let until = Instant::now() + CALL_LIMIT;
        let committed = loop {
            match consumer.committed_offsets(asked.clone(), CALL_LIMIT) {
                Err(KafkaError::MetadataFetch(
                    RDKafkaErrorCode::NotCoordinator
                    | RDKafkaErrorCode::CoordinatorLoadInProgress
                    | RDKafkaErrorCode::CoordinatorNotAvailable,
                )) if Instant::now() < until => drop(consumer.poll(Duration::from_millis(100))),
                answer => break answer?,
            };
        };
        Ok(committed
            .elements()
            .iter()
            .map(|element| element.offset().to_raw().filter(|raw| *raw >= 0))
            .collect())
    }

    /// Where each partition ends: the offset that its next record gets.
    ///
    /// # Errors
    /// When the topic does not exist or the broker does not answer.
    pub fn end_offsets(&self, topic: &str) -> Result<Vec<i64>> {
        let client = self.client()?;
        let partitions = self.partitions(&client, topic)?;
        partitions.iter().map(|id| Ok(client.fetch_watermarks(topic, *id, CALL_LIMIT)?.1)).collect()
    }

    /// The partitions that have a leader.
    fn partitions(&self, client: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
        let metadata = client.fetch_metadata(Some(topic), CALL_LIMIT)?;
        let found = metadata.topics().first().context("the broker told nothing about the topic")?;
        let mut partitions: Vec<i32> =
            found.partitions().iter().filter(|p| p.leader() >= 0).map(|p| p.id()).collect();
        partitions.sort_unstable();
        Ok(partitions)
    }
}

struct Reader {
    consumer: BaseConsumer,
    records: Vec<Record>,
    ends: Vec<(i32, i64)>,
}

impl Reader {
    fn open(broker: &Broker, topic: &str) -> Result<Self> {
        let mut config = broker.client_config();
        config.set("group.id", "testkit-reader").set("enable.auto.commit", "false");
        config.set("fetch.wait.max.ms", "50").set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = config.create()?;
        let mut assignment = TopicPartitionList::new();
        let mut ends = Vec::new();
        for partition in broker.partitions(&consumer, topic)? {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
            ends.push((partition, consumer.fetch_watermarks(topic, partition, CALL_LIMIT)?.1));
        }
        if ends.is_empty() {
            bail!("topic {topic} does not exist");
        }
        consumer.assign(&assignment)?;
        Ok(Self { consumer, records: Vec::new(), ends })
    }

    fn poll(&mut self, wait: Duration) -> Result<()> {
        let Some(polled) = self.consumer.poll(wait) else { return Ok(()) };
        let message = polled?;
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        self.records.push(Record {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: headers.map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect(),
        });
        Ok(())
    }

    /// Positions rather than offsets are compared: control records of transactions take offsets, too.
    fn read_to_end(&mut self) -> Result<()> {
        let deadline = Instant::now() + CALL_LIMIT;
        loop {
            let positions = self.consumer.position()?;
            let topic_ended = self.ends.iter().filter(|(_, end)| *end > 0).all(|(partition, end)| {
                let mut elements = positions.elements().into_iter();
                let element = elements.find(|element| element.partition() == *partition);
                element.and_then(|element| element.offset().to_raw()).is_some_and(|position| position >= *end)
            });
            if topic_ended {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("the end {:?} was not reached after {CALL_LIMIT:?}: {positions:?}", self.ends);
            }
            self.poll(Duration::from_millis(100))?;
        }
    }

    fn into_records(mut self) -> Vec<Record> {
        self.records.sort_by_key(|record| (record.partition, record.offset));
        self.records
    }
}

/// What was not delivered.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Vec<KafkaError>>>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let (Err((error, _)), Ok(mut failures)) = (result, self.0.lock()) {
            failures.push(error.clone());
        }
    }
}
