//! Decisions in a compacted Kafka topic: the key is the consumer group and the decision's id, and a record without
//! content takes it back. Every replica reads the whole topic and then follows it; nothing is committed.

use std::time::{Duration, Instant};

use ::kafka::rdkafka::client::ClientContext;
use ::kafka::rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use ::kafka::rdkafka::error::KafkaError;
use ::kafka::rdkafka::message::Message as _;
use ::kafka::rdkafka::types::RDKafkaErrorCode;
use ::kafka::rdkafka::{Offset, TopicPartitionList};
use ::kafka::{ClientSettings, Message, Producer, explain};
use tokio::runtime::Handle;

use super::place::{Kept, Look, Place};
use crate::state::make_compacted;

/// Longest wait for one answer of a broker.
const CALL: Duration = Duration::from_secs(10);
/// Longest wait for a topic that was just made.
const READY: Duration = Duration::from_secs(10);
/// Looks during which a record may stay unconfirmed.
const LOOKS: u32 = 100;

/// Ends of partitions are what is read for: no error to tell of, as the default would.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Quiet {}

/// The topic.
pub struct Topic {
    client: ClientSettings,
    name: String,
    group: String,
    runtime: Handle,
    reader: Option<Reader>,
    producer: Option<Producer>,
}

struct Reader {
    consumer: BaseConsumer<Quiet>,
    /// Partitions that are not read to their end yet.
    waiting: Vec<i32>,
}

impl Topic {
    /// Decisions of the members of `group` in the topic `name`; brokers need not be there yet.
    pub fn new(client: ClientSettings, name: String, group: String, runtime: Handle) -> Self {
        Self { client, name, group, runtime, reader: None, producer: None }
    }

    fn open(&self) -> Result<Reader, String> {
        let mut config = self.client.consumer_config(&self.group, "earliest");
        config.set("enable.partition.eof", "true").set("log_level", "0");
        // Its own name among the clients of the group; it only reads, and never joins.
        config.set("client.id", "isolog-control");
        let consumer: BaseConsumer<Quiet> =
            config.create_with_context(Quiet).map_err(|error| explain(&error))?;
        make_compacted(&consumer, &self.client, &self.runtime, "CONTROL_TOPIC", &self.name)?;
        let deadline = Instant::now() + READY;
        let waiting = loop {
            let waiting = self.partitions(&consumer)?;
            if !waiting.is_empty() {
                break waiting;
            }
            if Instant::now() >= deadline {
                return Err("is not ready yet".to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let mut list = TopicPartitionList::new();
        for partition in &waiting {
            list.add_partition_offset(&self.name, *partition, Offset::Beginning)
                .map_err(|error| explain(&error))?;
        }
        consumer.assign(&list).map_err(|error| explain(&error))?;
        Ok(Reader { consumer, waiting })
    }

    /// None while a topic that was just made has no leader.
    fn partitions(&self, consumer: &BaseConsumer<Quiet>) -> Result<Vec<i32>, String> {
        let metadata = consumer.fetch_metadata(Some(&self.name), CALL).map_err(|error| explain(&error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.name);
        let partitions = topic.filter(|topic| topic.error().is_none()).map(|topic| topic.partitions());
        Ok(partitions.unwrap_or_default().iter().map(|partition| partition.id()).collect())
    }

    fn key(&self, id: &str) -> String {
        format!("{}/{id}", self.group)
    }

    fn produce(&mut self, id: &str, payload: &[u8]) -> Result<(), String> {
        let key = self.key(id);
        let producer = match &mut self.producer {
            Some(producer) => producer,
            None => self.producer.insert(Producer::new(&self.client).map_err(|error| explain(&error))?),
        };
        let message = Message { topic: &self.name, key: key.as_bytes(), payload };
        let looks = std::cell::Cell::new(0);
        let give_up = || looks.replace(looks.get() + 1) >= LOOKS;
        producer.deliver(&[message], &give_up).map_err(|undelivered| undelivered.why)
    }
}

impl Place for Topic {
    fn describe(&self) -> String {
        format!("CONTROL_TOPIC = {}", self.name)
    }

    fn look(&self) -> Duration {
        Duration::from_millis(100)
    }

    fn follow(&mut self, kept: &mut Kept) -> Result<Look, String> {
        let mut is_changed = self.reader.is_none();
        if is_changed {
            self.reader = Some(self.open()?);
            kept.clear();
        }
        let prefix = self.key("");
        let Some(Reader { consumer, waiting }) = &mut self.reader else {
            return Ok(Look { is_whole: false, is_changed });
        };
        while let Some(polled) = consumer.poll(Duration::ZERO) {
            match polled {
                Ok(message) => {
                    is_changed = true;
                    let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
                    let Some(id) = key.and_then(|key| key.strip_prefix(&prefix)) else { continue };
                    match message.payload().map(std::str::from_utf8) {
                        None | Some(Ok("")) => {
                            kept.remove(id);
                        }
                        Some(Ok(json)) => {
                            kept.insert(id.to_owned(), json.to_owned());
                        }
                        Some(Err(error)) => {
                            tracing::warn!(id, %error, "a record of CONTROL_TOPIC is no text and is passed over");
                        }
                    }
                }
                Err(KafkaError::PartitionEOF(partition)) => waiting.retain(|one| *one != partition),
                // librdkafka connects again by itself.
                Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) => {}
                Err(error) => {
                    self.reader = None;
                    return Err(explain(&error));
                }
            }
        }
        Ok(Look { is_whole: waiting.is_empty(), is_changed })
    }

    fn put(&mut self, id: &str, json: &str) -> Result<(), String> {
        self.produce(id, json.as_bytes())
    }

    fn remove(&mut self, id: &str) -> Result<(), String> {
        self.produce(id, b"")
    }
}
