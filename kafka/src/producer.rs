//! A producer that hands over a batch and waits for the delivery report of every record in it. Never drops a
//! record silently: what was not confirmed is told to the caller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use crate::{ClientSettings, explain};

/// One record to produce.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Key; records of one key stay in order.
    pub key: &'a [u8],
    /// The record's bytes; none where empty, which takes the key out of a compacted topic.
    pub payload: &'a [u8],
}

/// Records of a batch that were not confirmed.
#[derive(Debug)]
pub struct Undelivered {
    /// Their places in the batch, in order.
    pub indices: Vec<usize>,
    /// The first error with advice; what was waited for when the caller gave up.
    pub why: String,
}

/// A producer with `acks=all` and idempotence.
pub struct Producer {
    settings: ClientSettings,
    inner: Polled,
    reports: Reports,
    /// Counts calls of `deliver`, so that a report that comes after its caller gave up confirms nothing else.
    round: u32,
}

#[derive(Clone, Default)]
struct Reports(Arc<(Mutex<Vec<Report>>, Condvar)>);

struct Report {
    token: u64,
    error: Option<KafkaError>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, token: Box<u64>) {
        let error = result.as_ref().err().map(|(error, _)| error.clone());
        let (reports, arrived) = &*self.0;
        reports.lock().unwrap_or_else(PoisonError::into_inner).push(Report { token: *token, error });
        arrived.notify_all();
    }
}

impl Reports {
    /// The reports so far, after a wait of at most `wait` for the first.
    fn take(&self, wait: Duration) -> Vec<Report> {
        let (reports, arrived) = &*self.0;
        let guard = reports.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut guard, _) = arrived
            .wait_timeout_while(guard, wait, |reports| reports.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *guard)
    }
}

/// A client whose events a thread of its own waits for.
struct Polled {
    client: Arc<BaseProducer<Reports>>,
    stopped: Arc<AtomicBool>,
    polling: Option<JoinHandle<()>>,
}

/// How long one wait for events takes. The client spends the last millisecond of each looking at the clock, which at
/// the 100 ms of rdkafka's own polling thread is 1 % of a core for each idle producer; dropping may take this long.
const POLL: Duration = Duration::from_millis(400);

impl Polled {
    fn new(settings: &ClientSettings, reports: &Reports) -> KafkaResult<Self> {
        let client = BaseProducer::from_config_and_context(&settings.producer_config(), reports.clone())?;
        let (client, stopped) = (Arc::new(client), Arc::new(AtomicBool::new(false)));
        let (polled, is_stopped) = (Arc::clone(&client), Arc::clone(&stopped));
        let poll = move || {
            while !is_stopped.load(Ordering::Relaxed) {
                polled.poll(POLL);
            }
        };
        let polling = std::thread::Builder::new().name("producer".to_owned()).spawn(poll);
        let failed = |error: std::io::Error| KafkaError::ClientCreation(format!("no thread for it: {error}"));
        Ok(Self { client, stopped, polling: Some(polling.map_err(failed)?) })
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(polling) = self.polling.take() {
            // It ends by itself; a panic was told by the hook.
            let _ = polling.join();
        }
    }
}

/// Between two looks at whether the caller gives up.
const LOOK: Duration = Duration::from_millis(100);

impl Producer {
    /// Makes the client; brokers need not be there yet.
    ///
    /// # Errors
    /// librdkafka refuses the configuration.
    pub fn new(settings: &ClientSettings) -> KafkaResult<Self> {
        let reports = Reports::default();
        let inner = Polled::new(settings, &reports)?;
        Ok(Self { settings: settings.clone(), inner, reports, round: 0 })
    }

    /// Produces a batch and returns when every record has its report. `give_up` is asked while it waits.
    ///
    /// # Errors
    /// The records that were not confirmed; trying again is safe, though a record whose confirmation was lost
    /// may then be there twice.
    pub fn deliver(&mut self, batch: &[Message<'_>], give_up: &dyn Fn() -> bool) -> Result<(), Undelivered> {
        self.renew_after_fatal_error();
        self.round = self.round.wrapping_add(1);
        let mut confirmed = vec![false; batch.len()];
        let mut why = None;
        let mut waiting = 0;
        for (index, message) in batch.iter().enumerate() {
            loop {
                let record =
                    BaseRecord::with_opaque_to(message.topic, Box::new(self.token(index))).key(message.key);
                let record =
                    if message.payload.is_empty() { record } else { record.payload(message.payload) };
                match self.inner.client.send(record) {
                    Ok(()) => waiting += 1,
                    Err((error, _)) if is_full(&error) && !give_up() => {
                        waiting -= self.settle(LOOK, &mut confirmed, &mut why);
                        continue;
                    }
                    Err((error, _)) => why = why.or_else(|| Some(explain(&error))),
                }
                break;
            }
        }
        while waiting > 0 && !give_up() {
            waiting -= self.settle(LOOK, &mut confirmed, &mut why);
        }
        let indices: Vec<usize> = confirmed
            .iter()
            .enumerate()
            .filter(|(_, confirmed)| !**confirmed)
            .map(|(index, _)| index)
            .collect();
        if indices.is_empty() {
            return Ok(());
        }
        let why = why.unwrap_or_else(|| format!("no confirmation from {}", self.settings.bootstrap_servers));
        Err(Undelivered { indices, why })
    }

    /// Takes the reports that came in; returns how many.
    fn settle(&self, wait: Duration, confirmed: &mut [bool], why: &mut Option<String>) -> usize {
        let mut count = 0;
        for report in self.reports.take(wait) {
            let index = (report.token & u64::from(u32::MAX)) as usize;
            if report.token != self.token(index) {
                continue;
            }
            count += 1;
            match report.error {
                None => {
                    if let Some(slot) = confirmed.get_mut(index) {
                        *slot = true;
                    }
                }
                Some(error) => *why = why.take().or_else(|| Some(explain(&error))),
            }
        }
        count
    }

    /// The round in the upper half, the place in the batch in the lower.
    fn token(&self, index: usize) -> u64 {
        (u64::from(self.round) << 32) | index as u64
    }

    /// An idempotent producer that met a fatal error refuses everything from then on: a new one takes its place.
    fn renew_after_fatal_error(&mut self) {
        let Some((code, reason)) = self.inner.client.client().fatal_error() else { return };
        tracing::warn!(%code, reason, "the Kafka producer met a fatal error; a new one takes its place");
        match Self::new(&self.settings) {
            Ok(new) => *self = Self { round: self.round, ..new },
            Err(error) => tracing::error!(%error, "no new Kafka producer could be made"),
        }
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}
