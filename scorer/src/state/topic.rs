//! Snapshots in a compacted Kafka topic, keyed by group, source topic and partition. A large one is cut into
//! pieces; the last two snapshots of a partition have different keys, so that one is whole whenever the other is
//! being written.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ::kafka::rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use ::kafka::rdkafka::client::{ClientContext, DefaultClientContext};
use ::kafka::rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use ::kafka::rdkafka::error::KafkaError;
use ::kafka::rdkafka::message::Message as _;
use ::kafka::rdkafka::types::RDKafkaErrorCode;
use ::kafka::rdkafka::{Offset, TopicPartitionList};
use ::kafka::{ClientSettings, Message, Producer, explain};
use tokio::runtime::Handle;

use super::store::{Packed, Store};

const MAGIC: [u8; 8] = *b"ISOPIECE";
const HEADER: usize = 48;
/// Longest piece, in bytes: brokers take records of 1 MiB unless they are told otherwise.
const PIECE: usize = 512 << 10;
/// Longest wait for one answer of a broker.
const CALL: Duration = Duration::from_secs(10);
/// Longest time in which the topic is read to its end.
const READ: Duration = Duration::from_secs(120);
/// Small segments are compacted early, so that a restart reads little.
const TOPIC_SETTINGS: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "16777216"),
    ("segment.ms", "600000"),
    ("min.cleanable.dirty.ratio", "0.1"),
];

/// Ends of partitions are what is read for: no error to tell of, as the default would.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(%error, "reading what was learnt: {reason}");
        }
    }
}

impl ConsumerContext for Quiet {}

/// The topic.
pub struct Topic {
    client: ClientSettings,
    name: String,
    group: String,
    producer: Option<Producer>,
    is_there: bool,
    /// What was read of streams before they were asked for.
    prefetched: BTreeMap<String, Vec<Vec<u8>>>,
    runtime: Handle,
}

impl Topic {
    /// Snapshots of the members of `group` in the topic `name`; brokers need not be there yet.
    pub fn new(client: ClientSettings, name: String, group: String, runtime: Handle) -> Self {
        Self { client, name, group, producer: None, is_there: false, prefetched: BTreeMap::new(), runtime }
    }

    fn key_prefix(&self, stream: &str) -> String {
        format!("{}/{stream}#", self.group)
    }

    /// Makes the topic where it is missing.
    fn make(&mut self, consumer: &BaseConsumer<Quiet>) -> Result<(), String> {
        if !self.is_there {
            make_compacted(consumer, &self.client, &self.runtime, "STATE_TOPIC", &self.name)?;
            self.is_there = true;
        }
        Ok(())
    }

    /// Every partition of the topic that holds anything, from its beginning.
    fn beginnings(&self, consumer: &BaseConsumer<Quiet>) -> Result<TopicPartitionList, String> {
        let metadata = consumer.fetch_metadata(Some(&self.name), CALL).map_err(|error| explain(&error))?;
        let mut list = TopicPartitionList::new();
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.name);
        let topic = topic.filter(|topic| topic.error().is_none() && !topic.partitions().is_empty());
        for partition in topic.ok_or("is not ready yet")?.partitions() {
            let (low, high) = consumer
                .fetch_watermarks(&self.name, partition.id(), CALL)
                .map_err(|error| explain(&error))?;
            if low < high {
                list.add_partition_offset(&self.name, partition.id(), Offset::Beginning)
                    .map_err(|error| explain(&error))?;
            }
        }
        Ok(list)
    }

    /// Reads the topic to its end once, for all of these streams.
    fn read(
        &mut self,
        streams: &[String],
        give_up: &dyn Fn() -> bool,
    ) -> Result<BTreeMap<String, Vec<Vec<u8>>>, String> {
        let mut config = self.client.consumer_config(&self.group, "earliest");
        config.set("enable.partition.eof", "true").set("log_level", "0");
        // Its own name among the clients of the group; it only reads, and never joins.
        config.set("client.id", "isolog-state");
        let consumer: BaseConsumer<Quiet> =
            config.create_with_context(Quiet).map_err(|error| explain(&error))?;
        self.make(&consumer)?;
        let deadline = Instant::now() + READ;
        let list = loop {
            // A topic that was just made has no leader for a moment.
            match self.beginnings(&consumer) {
                Ok(list) => break list,
                Err(why) if give_up() || Instant::now() >= deadline => return Err(why),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let mut waiting: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        consumer.assign(&list).map_err(|error| explain(&error))?;
        let mut pieces: BTreeMap<String, Pieces> =
            streams.iter().map(|stream| (self.key_prefix(stream), Pieces::default())).collect();
        while !waiting.is_empty() {
            if give_up() || Instant::now() >= deadline {
                return Err(format!("was not read to its end within {} s", READ.as_secs()));
            }
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(partition))) => waiting.retain(|one| *one != partition),
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) => {}
                Some(Err(error)) => return Err(explain(&error)),
                Some(Ok(message)) => {
                    let key = message.key().unwrap_or_default();
                    let end = key.iter().rposition(|byte| *byte == b'#').map_or(0, |at| at + 1);
                    let (prefix, place) = key.split_at(end);
                    let of = std::str::from_utf8(prefix).ok().and_then(|prefix| pieces.get_mut(prefix));
                    if let Some(pieces) = of {
                        pieces.take(place, message.payload().unwrap_or_default());
                    }
                }
            }
        }
        let mut found = BTreeMap::new();
        for stream in streams {
            let pieces = pieces.remove(&self.key_prefix(stream)).unwrap_or_default();
            found.insert(stream.clone(), pieces.whole());
        }
        Ok(found)
    }
}

impl Store for Topic {
    fn name(&self) -> String {
        format!("STATE_TOPIC = {}", self.name)
    }

    fn prefetch(&mut self, streams: &[String], give_up: &dyn Fn() -> bool) -> Result<(), String> {
        self.prefetched = self.read(streams, give_up)?;
        Ok(())
    }

    fn load(&mut self, stream: &str, give_up: &dyn Fn() -> bool) -> Result<Vec<Vec<u8>>, String> {
        if let Some(found) = self.prefetched.remove(stream) {
            return Ok(found);
        }
        let mut found = self.read(&[stream.to_owned()], give_up)?;
        Ok(found.remove(stream).unwrap_or_default())
    }

    fn save(&mut self, snapshots: &[Packed], give_up: &dyn Fn() -> bool) -> Result<(), String> {
        let records: Vec<(String, Vec<u8>)> = snapshots
            .iter()
            .flat_map(|snapshot| {
                let prefix = format!("{}{}.", self.key_prefix(&snapshot.stream), snapshot.slot());
                cut(&snapshot.bytes).enumerate().map(move |(at, piece)| (format!("{prefix}{at}"), piece))
            })
            .collect();
        let batch: Vec<Message<'_>> = records
            .iter()
            .map(|(key, piece)| Message { topic: &self.name, key: key.as_bytes(), payload: piece })
            .collect();
        if self.producer.is_none() {
            self.producer = Some(Producer::new(&self.client).map_err(|error| explain(&error))?);
        }
        match &mut self.producer {
            Some(producer) => producer.deliver(&batch, give_up).map_err(|undelivered| undelivered.why),
            None => Ok(()),
        }
    }
}

/// Makes the compacted topic that a setting names where it is missing, and warns where it is there and not compacted.
/// Blocks; not from an asynchronous task.
///
/// # Errors
/// No broker answers; it cannot be made.
pub fn make_compacted<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    client: &ClientSettings,
    runtime: &Handle,
    setting: &str,
    name: &str,
) -> Result<(), String> {
    let metadata = consumer.fetch_metadata(None, CALL).map_err(|error| explain(&error))?;
    if metadata.topics().iter().any(|topic| topic.name() == name) {
        match runtime.block_on(cleanup_policy(client, name)) {
            Ok(policy) if !policy.contains("compact") => tracing::warn!(
                topic = name,
                "{setting} has cleanup.policy={policy}: what it keeps is lost with its oldest records; set it to compact"
            ),
            Ok(_) => {}
            Err(why) => tracing::debug!(topic = name, why, "cleanup.policy is not known"),
        }
        return Ok(());
    }
    let admin: AdminClient<DefaultClientContext> =
        client.config().create().map_err(|error| explain(&error))?;
    // The broker's own default; since Kafka 2.4.
    let mut topic = NewTopic::new(name, 1, TopicReplication::Fixed(-1));
    for (name, value) in TOPIC_SETTINGS {
        topic = topic.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(CALL)).request_timeout(Some(CALL));
    let made = runtime.block_on(admin.create_topics([&topic], &options));
    for result in made.map_err(|error| explain(&error))? {
        match result {
            Ok(_) => tracing::info!(topic = name, "the topic of {setting} was made"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => {
                return Err(format!(
                    "cannot be made ({code}): make it with cleanup.policy=compact, or set {setting}"
                ));
            }
        }
    }
    Ok(())
}

/// The `cleanup.policy` of a topic.
///
/// # Errors
/// The broker does not tell.
pub async fn cleanup_policy(client: &ClientSettings, topic: &str) -> Result<String, String> {
    let admin: AdminClient<DefaultClientContext> =
        client.config().create().map_err(|error| explain(&error))?;
    let options = AdminOptions::new().operation_timeout(Some(CALL)).request_timeout(Some(CALL));
    let resource = [ResourceSpecifier::Topic(topic)];
    let found = admin.describe_configs(&resource, &options).await.map_err(|error| explain(&error))?;
    let topic = found.into_iter().next().ok_or("no answer")?.map_err(|code| code.to_string())?;
    topic.get("cleanup.policy").and_then(|entry| entry.value.clone()).ok_or_else(|| "not told".to_owned())
}

/// Pieces of a snapshot, each with the digest of the whole, its number and how many there are.
fn cut(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let digest = blake3::hash(bytes);
    let count = bytes.len().div_ceil(PIECE).max(1) as u32;
    (0..count).map(move |at| {
        let start = at as usize * PIECE;
        let content = bytes.get(start..bytes.len().min(start + PIECE)).unwrap_or_default();
        let mut piece = Vec::with_capacity(HEADER + content.len());
        piece.extend(MAGIC);
        piece.extend(digest.as_bytes());
        piece.extend(at.to_le_bytes());
        piece.extend(count.to_le_bytes());
        piece.extend(content);
        piece
    })
}

/// The last piece under each key.
#[derive(Default)]
struct Pieces(BTreeMap<Vec<u8>, Vec<u8>>);

/// What there is of one snapshot.
#[derive(Default)]
struct Whole {
    count: u32,
    pieces: BTreeMap<u32, Vec<u8>>,
}

impl Pieces {
    fn take(&mut self, place: &[u8], piece: &[u8]) {
        if piece.is_empty() {
            self.0.remove(place);
        } else {
            self.0.insert(place.to_owned(), piece.to_owned());
        }
    }

    /// The snapshots of which all pieces are there. Pieces of two writers never mix: they carry their whole's digest.
    fn whole(self) -> Vec<Vec<u8>> {
        let mut snapshots: BTreeMap<[u8; 32], Whole> = BTreeMap::new();
        for piece in self.0.into_values() {
            let Some((header, content)) = piece.split_first_chunk::<HEADER>() else { continue };
            let digest = header.get(8..40).and_then(|digest| <[u8; 32]>::try_from(digest).ok());
            let number = |at: usize| {
                let four = header.get(at..at + 4).and_then(|four| four.try_into().ok());
                u32::from_le_bytes(four.unwrap_or_default())
            };
            if let Some(digest) = digest.filter(|_| header.starts_with(&MAGIC)) {
                let whole = snapshots.entry(digest).or_default();
                whole.count = number(44);
                whole.pieces.insert(number(40), content.to_owned());
            }
        }
        let whole = snapshots.into_iter().filter_map(|(digest, Whole { count, pieces })| {
            let is_whole = pieces.len() as u64 == u64::from(count);
            let bytes: Vec<u8> = pieces.into_values().flatten().collect();
            (is_whole && *blake3::hash(&bytes).as_bytes() == digest).then_some(bytes)
        });
        whole.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(slot: u8, bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        cut(bytes).enumerate().map(|(at, piece)| (format!("{slot}.{at}").into_bytes(), piece)).collect()
    }

    #[test]
    fn a_snapshot_of_which_a_piece_is_missing_is_left_out_and_the_other_one_found() {
        let (old, new) = (vec![1; PIECE * 2 + 5], vec![2; PIECE * 3]);
        for torn in 0..3 {
            let mut pieces = Pieces::default();
            for (place, piece) in keyed(0, &old).iter().chain(keyed(1, &new).iter().take(torn)) {
                pieces.take(place, piece);
            }
            assert_eq!(pieces.whole(), std::slice::from_ref(&old));
        }
        let mut pieces = Pieces::default();
        for (place, piece) in keyed(0, &old).iter().chain(&keyed(1, &new)) {
            pieces.take(place, piece);
        }
        assert_eq!(pieces.whole().len(), 2);
    }

    #[test]
    fn pieces_of_two_writers_are_never_put_together() {
        let (one, other) = (vec![1; PIECE * 2], vec![2; PIECE * 2]);
        let mut pieces = Pieces::default();
        let (one, other) = (keyed(0, &one), keyed(0, &other));
        for (place, piece) in [&one[0], &other[0], &other[1], &one[1]] {
            pieces.take(place, piece);
        }
        assert_eq!(pieces.whole(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn hostile_pieces_are_left_out() {
        let mut pieces = Pieces::default();
        for (at, length) in (0..HEADER + 2).enumerate() {
            pieces.take(&at.to_le_bytes(), &vec![0xff; length]);
        }
        let mut many = keyed(0, b"x").remove(0).1;
        many[44..48].copy_from_slice(&u32::MAX.to_le_bytes());
        pieces.take(b"many", &many);
        assert_eq!(pieces.whole(), Vec::<Vec<u8>>::new());
    }
}
