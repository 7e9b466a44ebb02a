//! What one sink has to do: takes records from its outbox, says what is to be sent next, keeps what became of it and
//! settles positions. Sends nothing and reads no clock, so that its rules can be tested.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use notify::dispatch::{Dispatcher, Limits, Position, Progress, Work};
use notify::{AlertRecord, Outcome};

use super::ledger::{self, DeadLetter, Ledger, SinkResult, Verdict};
use super::metrics::SinkMetrics;
use super::outbox::{Event, Outbox, Taken};

/// An attempt that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// What was sent.
    pub work: Work,
    /// What the receiver said.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// The work of one sink.
pub struct Desk {
    name: String,
    outbox: Box<dyn Outbox>,
    dispatcher: Dispatcher,
    ledger: Ledger,
    metrics: SinkMetrics,
    /// When what is held was written, in milliseconds since the Unix epoch.
    written: BTreeMap<Position, i64>,
    /// What was settled last.
    settled: Vec<Progress>,
    was_open: bool,
    /// What is wrong with the outbox, once it was told.
    trouble: Option<String>,
}

impl Desk {
    /// The work of the sink `name`; `jitter` seeds the pauses.
    pub fn new(
        name: &str,
        outbox: Box<dyn Outbox>,
        ledger: Ledger,
        metrics: SinkMetrics,
        limits: Limits,
        jitter: u64,
    ) -> Self {
        metrics.show(name);
        Self {
            name: name.to_owned(),
            outbox,
            dispatcher: Dispatcher::new(limits, jitter),
            ledger,
            metrics,
            written: BTreeMap::new(),
            settled: Vec::new(),
            was_open: false,
            trouble: None,
        }
    }

    /// Takes what is in the outbox, waiting at most `wait` for it; how many events there were, `None` where it cannot
    /// be read.
    pub fn take(&mut self, wait: Duration, at: Timestamp) -> Option<usize> {
        // Dead letters that nobody could keep yet take their room too, so that they stay bounded.
        let room = self.dispatcher.room().saturating_sub(self.ledger.unkept());
        let events = match self.outbox.poll(room, wait) {
            Ok(events) => {
                if self.trouble.take().is_some() {
                    tracing::info!(sink = self.name, "the alerts can be read again");
                }
                events
            }
            Err(why) => {
                if self.trouble.as_ref() != Some(&why) {
                    tracing::warn!(sink = self.name, "the alerts cannot be read, tried again: {why}");
                    self.trouble = Some(why);
                }
                return None;
            }
        };
        let count = events.len();
        for event in events {
            match event {
                Event::Taken(taken) => self.take_one(&taken, at),
                Event::Gone(partition) => {
                    self.dispatcher.forget(partition);
                    self.written.retain(|position, _| position.partition != partition);
                    self.settled.retain(|one| one.settled.partition != partition);
                }
            }
        }
        Some(count)
    }

    fn take_one(&mut self, taken: &Taken, at: Timestamp) {
        let position = taken.position;
        let record = match read(&taken.json) {
            Ok(record) => record.filter(|record| record.notify.contains(&self.name)),
            Err(why) => {
                self.metrics.count(&self.name, "unreadable");
                tracing::error!(
                    sink = self.name,
                    partition = position.partition,
                    offset = position.offset,
                    "what stands among the alerts is none and is passed over: {why}"
                );
                None
            }
        };
        if record.is_some() {
            self.written.insert(position, taken.written_ms.unwrap_or_else(|| at.as_millisecond()));
        }
        self.dispatcher.take(position, record);
    }

    /// The next record to send at `now`.
    pub fn next(&mut self, now: Duration) -> Option<Work> {
        self.dispatcher.next(now)
    }

    /// Takes the end of an attempt, at `now` since the start, which is the time `at`.
    pub fn done(&mut self, done: Done, now: Duration, at: Timestamp) {
        let Done { work, outcome, took } = done;
        let attempt = work.attempt + 1;
        let settled = self.dispatcher.done(work.position, &outcome, now);
        let (verdict, detail) = match (&outcome, &settled) {
            (Outcome::Delivered, _) => (Verdict::Delivered, None),
            (Outcome::Refused(why), _) => (Verdict::Refused, Some(why.clone())),
            (Outcome::Retry { why, .. }, None) => (Verdict::Retried, Some(why.clone())),
            (Outcome::Retry { .. }, Some(settled)) => (Verdict::Dead, settled.dead.clone()),
        };
        self.tell(&work, verdict, detail.as_deref());
        self.ledger.result(SinkResult {
            schema: ledger::SCHEMA,
            sink: self.name.clone(),
            alert_id: work.record.id,
            revision: work.record.revision,
            service: work.record.service,
            result: verdict,
            attempt,
            detail,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            at,
        });
        if let Some(settled) = settled {
            self.written.remove(&work.position);
            if let Some(reason) = settled.dead {
                self.ledger.dead_letter(DeadLetter {
                    schema: ledger::SCHEMA,
                    sink: self.name.clone(),
                    reason,
                    attempts: settled.attempts,
                    at,
                    record: settled.record,
                });
            }
        }
    }

    fn tell(&mut self, work: &Work, verdict: Verdict, detail: Option<&str>) {
        self.metrics.count(&self.name, verdict.as_str());
        let AlertRecord { id, revision, service, .. } = &work.record;
        let (sink, attempt, detail) = (&self.name, work.attempt + 1, detail.unwrap_or_default());
        match verdict {
            Verdict::Delivered => {
                tracing::info!(sink, id, revision, service, attempt, "the sink was told of an alert")
            }
            Verdict::Retried => {
                tracing::warn!(
                    sink,
                    id,
                    revision,
                    service,
                    attempt,
                    "an alert is not delivered yet, it is tried again: {detail}"
                );
            }
            Verdict::Refused | Verdict::Dead => tracing::error!(
                sink,
                id,
                revision,
                service,
                attempt,
                "an alert was not delivered and is a dead letter now; `scorer replay-dead-letters --sink {sink}` sends \
                 it again: {detail}"
            ),
        }
        let open = self.dispatcher.is_open();
        if open && !self.was_open {
            tracing::warn!(sink, "the sink fails and is left alone for a while");
        } else if !open && self.was_open {
            tracing::info!(sink, "the sink works again");
        }
        self.was_open = open;
    }

    /// Keeps what became of deliveries, then settles what stands before everything open.
    pub fn keep(&mut self, now: Duration, at: Timestamp) {
        let age = self.written.values().min().map_or(0.0, |oldest| {
            Duration::from_millis(u64::try_from(at.as_millisecond() - oldest).unwrap_or(0)).as_secs_f64()
        });
        self.metrics.state(&self.name, self.dispatcher.is_open(), self.dispatcher.waiting(), age);
        if !self.ledger.keep(now) {
            return;
        }
        let settled: Vec<Progress> = self.dispatcher.progress().collect();
        if settled == self.settled {
            return;
        }
        fault::here("before settling");
        match self.outbox.settle(&settled) {
            Ok(()) => {
                fault::here("settled");
                self.settled = settled;
            }
            Err(why) => tracing::debug!(sink = self.name, "a position could not be kept, tried again: {why}"),
        }
    }

    /// How long nothing is to be done but waiting for the outbox, at most `most`.
    pub fn idle_for(&self, now: Duration, most: Duration) -> Duration {
        self.dispatcher.wakes_at(now).map_or(most, |at| at.saturating_sub(now).min(most))
    }

    /// The last call.
    pub fn close(&mut self) {
        if let Err(why) = self.outbox.close() {
            tracing::warn!(
                sink = self.name,
                "the position could not be kept, some alerts are told again at the next start: {why}"
            );
        }
    }
}

/// A record as it stands in an outbox; `None` for an empty place.
///
/// # Errors
/// It is no alert record of a version that this program knows.
pub fn read(json: &[u8]) -> Result<Option<AlertRecord>, String> {
    if json.is_empty() {
        return Ok(None);
    }
    let record: AlertRecord = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if record.schema > notify::SCHEMA {
        let (found, known) = (record.schema, notify::SCHEMA);
        return Err(format!("its schema is {found}, this program knows up to {known}: update the program"));
    }
    Ok(Some(record))
}

#[cfg(test)]
pub(super) mod tests;
