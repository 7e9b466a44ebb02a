//! A group consumer whose messages are taken many at a time, which costs a fraction of one poll for each. Rebalances,
//! statistics and errors of the client still come by the polls of the consumer inside. Keeps no message.
#![expect(unsafe_code, reason = "librdkafka's batch call has no safe counterpart in rdkafka")]

use std::ffi::{CStr, CString};
use std::ops::Deref;
use std::ptr::{NonNull, null_mut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};

/// Most messages of one call.
pub const MOST: usize = 512;

/// librdkafka's queue that the messages of all assigned partitions are sent to.
struct Queue(NonNull<native::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues lock for themselves and may be used and destroyed by any thread.
unsafe impl Send for Queue {}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `rd_kafka_queue_new` and is given back here only.
        unsafe { native::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// Sends the messages of assigned partitions to the batch. The consumer's context keeps one and calls
/// [`Forwarding::forward`] in `pre_rebalance` for every assignment: librdkafka forgets it when a partition goes.
#[derive(Clone, Default)]
pub struct Forwarding(Arc<Mutex<Option<Queue>>>);

impl Forwarding {
    fn queue(&self) -> MutexGuard<'_, Option<Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets messages of these partitions come in batches; those of others, and of partitions that librdkafka does
    /// not know, come by polling the consumer.
    pub fn forward<C: ConsumerContext>(&self, consumer: &BaseConsumer<C>, partitions: &TopicPartitionList) {
        let guard = self.queue();
        let Some(queue) = &*guard else { return };
        for element in partitions.elements() {
            let Ok(topic) = CString::new(element.topic()) else { continue };
            // SAFETY: the client lives as long as `consumer`; the topic is a C string; the handle that comes back is
            // destroyed here, after its last use, and `queue` is alive while its lock is held.
            unsafe {
                let client = consumer.client().native_ptr();
                let source =
                    native::rd_kafka_queue_get_partition(client, topic.as_ptr(), element.partition());
                if !source.is_null() {
                    native::rd_kafka_queue_forward(source, queue.0.as_ptr());
                    native::rd_kafka_queue_destroy(source);
                }
            }
        }
    }
}

/// One message, as long as its batch lasts.
#[derive(Clone, Copy)]
pub struct Fetched<'b>(&'b native::rd_kafka_message_t);

impl Fetched<'_> {
    /// The partition's number.
    pub const fn partition(&self) -> i32 {
        self.0.partition
    }

    /// The offset in the partition.
    pub const fn offset(&self) -> i64 {
        self.0.offset
    }

    /// Equal for the messages of one topic within a batch; says nothing beyond it.
    pub fn topic_identity(&self) -> usize {
        self.0.rkt as usize
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        // SAFETY: a message that is no error holds its topic; the name lives as long as the topic.
        let name = unsafe { CStr::from_ptr(native::rd_kafka_topic_name(self.0.rkt)) };
        name.to_str().unwrap_or_default()
    }

    /// The record's time in milliseconds since the epoch, where it has one.
    pub fn timestamp_ms(&self) -> Option<i64> {
        // SAFETY: the message is alive; the kind of time is not asked for.
        let time = unsafe { native::rd_kafka_message_timestamp(self.0, null_mut()) };
        (time >= 0).then_some(time)
    }

    /// The record's bytes, none for a tombstone.
    pub fn payload(&self) -> &[u8] {
        // SAFETY: librdkafka owns `len` bytes there as long as the message lives.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// The record's key, empty where it has none.
    pub fn key(&self) -> &[u8] {
        // SAFETY: as in `payload`.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }
}

/// # Safety
/// `start` is null, or `length` bytes there live as long as `'a`.
unsafe fn bytes<'a>(start: *const std::ffi::c_void, length: usize) -> &'a [u8] {
    if start.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: by the caller's promise.
    unsafe { std::slice::from_raw_parts(start.cast(), length) }
}

/// The messages of one call; those that nobody took are given back when it goes.
struct Batch {
    messages: [*mut native::rd_kafka_message_t; MOST],
    count: usize,
}

impl Batch {
    /// Adds messages until there are `most`, or the time is over.
    fn fill(&mut self, queue: &Queue, wait: Duration, most: usize) {
        let most = most.min(MOST);
        let Some(room) = self.messages.get_mut(self.count..most).filter(|room| !room.is_empty()) else {
            return;
        };
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive, and `room` has as many places as it is said to have.
        let taken = unsafe {
            native::rd_kafka_consume_batch_queue(queue.0.as_ptr(), millis, room.as_mut_ptr(), room.len())
        };
        self.count += usize::try_from(taken).unwrap_or(0);
    }

    /// Passes every message on, then gives it back, whatever happens in `each`.
    fn drain(mut self, mut each: impl FnMut(KafkaResult<Fetched<'_>>)) -> usize {
        let count = self.count;
        // The last one first, so that what is left is always at the front.
        self.messages[..count].reverse();
        while self.count > 0 {
            let held = Held(self.messages[self.count - 1]);
            self.count -= 1;
            // SAFETY: librdkafka gave the message to this batch, and `held` gives it back after `each`.
            let message = unsafe { &*held.0 };
            each(match message.err {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(Fetched(message)),
                Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => Err(KafkaError::PartitionEOF(message.partition)),
                Code::RD_KAFKA_RESP_ERR__FATAL => {
                    Err(KafkaError::MessageConsumptionFatal(message.err.into()))
                }
                other => Err(KafkaError::MessageConsumption(other.into())),
            });
        }
        count
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.messages[..self.count].iter().for_each(|message| drop(Held(*message)));
    }
}

/// A message that is given back when this goes.
struct Held(*mut native::rd_kafka_message_t);

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the message came from librdkafka, and only here is it given back.
        unsafe { native::rd_kafka_message_destroy(self.0) }
    }
}

/// A consumer with a queue for batches.
pub struct BatchConsumer<C: ConsumerContext> {
    inner: BaseConsumer<C>,
    forwarding: Forwarding,
}

impl<C: ConsumerContext> BatchConsumer<C> {
    /// A consumer whose context calls the same `forwarding`.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(config: &ClientConfig, context: C, forwarding: Forwarding) -> KafkaResult<Self> {
        let inner = BaseConsumer::from_config_and_context(config, context)?;
        // SAFETY: the client is alive; the queue is destroyed before it, in `drop`.
        let queue = NonNull::new(unsafe { native::rd_kafka_queue_new(inner.client().native_ptr()) });
        *forwarding.queue() = queue.map(Queue);
        Ok(Self { inner, forwarding })
    }

    /// Waits at most `wait` for a message and passes on all that are there, at most `most` and [`MOST`]; returns how
    /// many. Messages of a partition come in order. An error is passed on in its place.
    pub fn take(&self, most: usize, wait: Duration, each: impl FnMut(KafkaResult<Fetched<'_>>)) -> usize {
        let mut batch = Batch { messages: [null_mut(); MOST], count: 0 };
        // Locked while waiting: only this thread's own callbacks and `drop` take it as well, and neither runs now.
        let guard = self.forwarding.queue();
        if let Some(queue) = &*guard {
            batch.fill(queue, Duration::ZERO, most);
            if batch.count == 0 && !wait.is_zero() {
                batch.fill(queue, wait, 1);
                if batch.count == 1 {
                    batch.fill(queue, Duration::ZERO, most);
                }
            }
        }
        drop(guard);
        batch.drain(each)
    }
}

impl<C: ConsumerContext> Deref for BatchConsumer<C> {
    type Target = BaseConsumer<C>;

    fn deref(&self) -> &BaseConsumer<C> {
        &self.inner
    }
}

impl<C: ConsumerContext> Drop for BatchConsumer<C> {
    fn drop(&mut self) {
        // Before the client, and before its last rebalance forwards anything.
        *self.forwarding.queue() = None;
    }
}
