//! What one sink has to deliver, in which order and when: retries with jitter, the records of one alert in order,
//! one slow alert in nobody's way, and the position up to which everything is settled. Sends nothing and reads no
//! clock; times are those since any fixed moment.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::AlertRecord;
use super::circuit::Circuit;
use super::shape::Outcome;

/// Place of a record in the outbox: partition and offset of a topic, or 0 and the row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Partition.
    pub partition: i32,
    /// Offset within it.
    pub offset: i64,
}

/// How far a sink is in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Up to here, inclusive, everything is settled.
    pub settled: Position,
    /// Offset of the last record that was taken.
    pub read: i64,
    /// Offsets up to `read` that are not settled, in order.
    pub open: Vec<i64>,
}

/// How long a sink tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records that are held at a time; more are not read from the outbox.
    pub held: usize,
    /// Requests under way at a time.
    pub under_way: usize,
    /// How long one record is tried before it becomes a dead letter.
    pub retry_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { held: 256, under_way: 4, retry_for: Duration::from_secs(24 * 3_600) }
    }
}

/// A record that is to be sent now.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Where it stands.
    pub position: Position,
    /// What is to be sent.
    pub record: AlertRecord,
    /// 0 for the first attempt.
    pub attempt: u32,
}

/// A record that no longer concerns its sink.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The record.
    pub record: AlertRecord,
    /// Attempts that were made.
    pub attempts: u32,
    /// Why it was given up; `None` where it was delivered.
    pub dead: Option<String>,
}

#[derive(Debug)]
struct Held {
    position: Position,
    record: AlertRecord,
    attempts: u32,
    first_tried: Option<Duration>,
    not_before: Duration,
    under_way: bool,
}

/// The deliveries of one sink.
#[derive(Debug)]
pub struct Dispatcher {
    limits: Limits,
    /// In the order of arrival.
    held: VecDeque<Held>,
    /// Per partition: what was read, and of it what is settled out of order.
    read: BTreeMap<i32, i64>,
    circuit: Circuit,
    jitter: u64,
}

/// Longest pause between two attempts at one record.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_millis(500);

impl Dispatcher {
    /// Nothing held; `jitter` seeds the pauses.
    pub fn new(limits: Limits, jitter: u64) -> Self {
        Self {
            limits,
            held: VecDeque::new(),
            read: BTreeMap::new(),
            circuit: Circuit::default(),
            jitter: jitter | 1,
        }
    }

    /// How many more records may be taken.
    pub fn room(&self) -> usize {
        self.limits.held.saturating_sub(self.held.len())
    }

    /// Takes a record from the outbox; `None` where the record at this position does not concern the sink.
    pub fn take(&mut self, position: Position, record: Option<AlertRecord>) {
        self.read.insert(position.partition, position.offset);
        if let Some(record) = record {
            self.held.push_back(Held {
                position,
                record,
                attempts: 0,
                first_tried: None,
                not_before: Duration::ZERO,
                under_way: false,
            });
        }
    }

    /// The partition went to another member: what is held of it is forgotten.
    pub fn forget(&mut self, partition: i32) {
        self.read.remove(&partition);
        self.held.retain(|held| held.position.partition != partition);
    }

    /// The next record to send at `now`: the oldest whose pause is over and whose alert has no older one left.
    pub fn next(&mut self, now: Duration) -> Option<Work> {
        let busy = self.held.iter().filter(|held| held.under_way).count();
        // A receiver that just failed is tried with one request at a time.
        let most = if self.circuit.is_open() { 1 } else { self.limits.under_way };
        if busy >= most || !self.circuit.allows(now) {
            return None;
        }
        let at = (0..self.held.len()).find(|at| self.held[*at].not_before <= now && self.is_ready(*at))?;
        let held = &mut self.held[at];
        held.under_way = true;
        held.first_tried.get_or_insert(now);
        Some(Work { position: held.position, record: held.record.clone(), attempt: held.attempts })
    }

    /// Not under way, and no older record of its alert is left.
    fn is_ready(&self, at: usize) -> bool {
        let held = &self.held[at];
        !held.under_way && self.held.iter().take(at).all(|other| other.record.id != held.record.id)
    }

    /// When [`Dispatcher::next`] may have something again, where it has nothing at `now` and nothing is under way.
    pub fn wakes_at(&self, now: Duration) -> Option<Duration> {
        let ready = (0..self.held.len()).filter(|at| self.is_ready(*at));
        let soonest = ready.map(|at| self.held[at].not_before).min()?;
        Some(soonest.max(self.circuit.closed_until(now).unwrap_or_default()))
    }

    /// What became of an attempt; a record that is settled by it is returned.
    pub fn done(&mut self, position: Position, outcome: &Outcome, now: Duration) -> Option<Settled> {
        let at = self.held.iter().position(|held| held.position == position)?;
        let jitter = self.draw();
        let held = &mut self.held[at];
        held.under_way = false;
        held.attempts += 1;
        let dead = match outcome {
            Outcome::Delivered => {
                self.circuit.succeeded();
                None
            }
            Outcome::Refused(why) => {
                self.circuit.succeeded();
                Some(why.clone())
            }
            Outcome::Retry { why, after } => {
                self.circuit.failed(now, *after);
                let tried_for = now.saturating_sub(held.first_tried.unwrap_or(now));
                if tried_for < self.limits.retry_for {
                    let pause = pause(held.attempts, jitter).max(after.unwrap_or_default());
                    held.not_before = now.saturating_add(pause);
                    return None;
                }
                Some(format!("given up after {} attempts in {} s: {why}", held.attempts, tried_for.as_secs()))
            }
        };
        let held = self.held.remove(at)?;
        Some(Settled { record: held.record, attempts: held.attempts, dead })
    }

    /// How far each partition is.
    pub fn progress(&self) -> impl Iterator<Item = Progress> {
        self.read.iter().map(|(partition, read)| {
            let of_partition = self.held.iter().map(|held| held.position);
            let of_partition = of_partition.filter(|position| position.partition == *partition);
            let mut open: Vec<i64> = of_partition.map(|position| position.offset).collect();
            open.sort_unstable();
            let offset = open.first().map_or(*read, |oldest| oldest - 1);
            Progress { settled: Position { partition: *partition, offset }, read: *read, open }
        })
    }

    /// Records that are held.
    pub fn waiting(&self) -> usize {
        self.held.len()
    }

    /// Whether the receiver is left alone for now.
    pub const fn is_open(&self) -> bool {
        self.circuit.is_open()
    }

    /// A share in [0, 1) (xorshift; it only spreads attempts over time).
    fn draw(&mut self) -> f64 {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        (self.jitter >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Half of an exponentially growing pause, and a random share of the other half.
fn pause(attempts: u32, jitter: f64) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + jitter / 2.0)
}

#[cfg(test)]
mod tests;
