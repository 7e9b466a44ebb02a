//! How far each stream (partition, file) was delivered without a gap: batches may finish in any order, a
//! position only follows when everything before it is finished. Never moves back; does no I/O.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::record::Ack;

/// What a batch holds of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark<K> {
    /// The stream.
    pub key: K,
    /// The stream's generation when the records were read.
    pub generation: u64,
    /// The position behind the batch's last record: where a restart would go on.
    pub end: u64,
}

#[derive(Debug)]
struct Stream {
    generation: u64,
    in_flight: VecDeque<(u64, u64, bool)>,
    position: Option<u64>,
    /// What a snapshot that stands there made durable; only where positions are held for snapshots.
    durable: Option<u64>,
    told: Option<u64>,
}

/// The positions of all streams of a source.
#[derive(Debug)]
struct Positions<K> {
    streams: HashMap<K, Stream>,
    tickets: u64,
    generations: u64,
    /// A position is told only when it is durable.
    held: bool,
}

/// Positions shared between the thread that reads and those that acknowledge.
#[derive(Debug)]
pub struct Shared<K>(Arc<(Mutex<Positions<K>>, Condvar)>);

impl<K> Clone for Shared<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Shared<K> {
    fn default() -> Self {
        let positions = Positions { streams: HashMap::new(), tickets: 0, generations: 0, held: false };
        Self(Arc::new((Mutex::new(positions), Condvar::new())))
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> Shared<K> {
    fn lock(&self) -> MutexGuard<'_, Positions<K>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on positions are told only when [`Shared::durable`] named them: what is learnt up to them is kept.
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Everything of the stream before `end` is delivered, and a snapshot that stands there is durable.
    pub fn durable(&self, key: &K, generation: u64, end: u64) {
        let mut positions = self.lock();
        let stream = positions.streams.get_mut(key).filter(|stream| stream.generation == generation);
        if let Some(stream) = stream {
            stream.durable = stream.durable.max(Some(end));
        }
    }

    /// Starts a stream anew: what is still in flight from before changes nothing any more.
    pub fn assign(&self, key: K) -> u64 {
        let mut positions = self.lock();
        positions.generations += 1;
        let generation = positions.generations;
        let stream =
            Stream { generation, in_flight: VecDeque::new(), position: None, durable: None, told: None };
        positions.streams.insert(key, stream);
        generation
    }

    /// Ends a stream: what is still in flight changes nothing any more.
    pub fn revoke(&self, key: &K) {
        self.lock().streams.remove(key);
        self.0.1.notify_all();
    }

    /// The stream's generation; `None` when it is not assigned.
    pub fn generation(&self, key: &K) -> Option<u64> {
        self.lock().streams.get(key).map(|stream| stream.generation)
    }

    /// Notes that a batch with these marks is on its way, and returns what acknowledges it.
    pub fn sent(&self, marks: Vec<Mark<K>>) -> Ack {
        let mut positions = self.lock();
        positions.tickets += 1;
        let ticket = positions.tickets;
        for mark in &marks {
            if let Some(stream) = positions.current(mark) {
                stream.in_flight.push_back((ticket, mark.end, false));
            }
        }
        let shared = self.clone();
        Box::new(move |_| shared.done(ticket, &marks))
    }

    fn done(&self, ticket: u64, marks: &[Mark<K>]) {
        let mut positions = self.lock();
        for mark in marks {
            let Some(stream) = positions.current(mark) else { continue };
            if let Some(entry) = stream.in_flight.iter_mut().find(|(sent, _, _)| *sent == ticket) {
                entry.2 = true;
            }
            while let Some((_, end, true)) = stream.in_flight.front().copied() {
                stream.in_flight.pop_front();
                stream.position = stream.position.max(Some(end));
            }
        }
        drop(positions);
        self.0.1.notify_all();
    }

    /// Positions that moved since they were last taken.
    pub fn take_moved(&self) -> Vec<(K, u64)> {
        let mut positions = self.lock();
        let held = positions.held;
        let moved = positions.streams.iter_mut().filter_map(|(key, stream)| {
            let reached = if held { stream.durable } else { stream.position };
            let position = reached.filter(|_| reached > stream.told)?;
            stream.told = Some(position);
            Some((key.clone(), position))
        });
        moved.collect()
    }

    /// Makes the next `take_moved` name these streams again, because what was taken could not be kept.
    pub fn untake<'a>(&self, keys: impl IntoIterator<Item = &'a K>)
    where
        K: 'a,
    {
        let mut positions = self.lock();
        for key in keys {
            if let Some(stream) = positions.streams.get_mut(key) {
                stream.told = None;
            }
        }
    }

    /// As `untake`, for every stream.
    pub fn untake_all(&self) {
        self.lock().streams.values_mut().for_each(|stream| stream.told = None);
    }

    /// The position of a stream, once something of it was delivered.
    pub fn position(&self, key: &K) -> Option<u64> {
        self.lock().streams.get(key)?.position
    }

    /// The sum of all positions: it stands still when nothing is delivered.
    pub fn progress(&self) -> u64 {
        self.lock().streams.values().filter_map(|stream| stream.position).fold(0, u64::wrapping_add)
    }

    /// Waits until nothing of these streams is in flight; `false` when `deadline` comes first.
    pub fn drain(&self, keys: &[K], deadline: Instant) -> bool {
        let mut positions = self.lock();
        loop {
            let busy = keys
                .iter()
                .any(|key| positions.streams.get(key).is_some_and(|stream| !stream.in_flight.is_empty()));
            if !busy {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (positions, _) = self.0.1.wait_timeout(positions, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether nothing at all is in flight, after a wait of at most `wait`.
    pub fn idle(&self, wait: Duration) -> bool {
        let keys: Vec<K> = self.lock().streams.keys().cloned().collect();
        self.drain(&keys, Instant::now() + wait)
    }
}

impl<K: Eq + Hash> Positions<K> {
    fn current(&mut self, mark: &Mark<K>) -> Option<&mut Stream> {
        self.streams.get_mut(&mark.key).filter(|stream| stream.generation == mark.generation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Outcome;

    fn mark(generation: u64, end: u64) -> Vec<Mark<&'static str>> {
        vec![Mark { key: "p", generation, end }]
    }

    #[test]
    fn a_position_waits_for_everything_before_it() {
        let shared = Shared::default();
        let generation = shared.assign("p");
        let first = shared.sent(mark(generation, 10));
        let second = shared.sent(mark(generation, 20));
        second(Outcome::default());
        assert_eq!(shared.take_moved(), []);
        first(Outcome::default());
        assert_eq!(shared.take_moved(), [("p", 20)]);
        assert_eq!(shared.take_moved(), []);
    }

    #[test]
    fn a_late_batch_of_an_old_generation_moves_nothing() {
        let shared = Shared::default();
        let old = shared.assign("p");
        let late = shared.sent(mark(old, 10));
        shared.revoke(&"p");
        let new = shared.assign("p");
        shared.sent(mark(new, 30))(Outcome::default());
        late(Outcome::default());
        assert_eq!(shared.position(&"p"), Some(30));
    }

    #[test]
    fn a_batch_that_is_never_acknowledged_holds_its_position() {
        let shared = Shared::default();
        let generation = shared.assign("p");
        drop(shared.sent(mark(generation, 10)));
        shared.sent(mark(generation, 20))(Outcome::default());
        assert_eq!(shared.position(&"p"), None);
        assert!(!shared.idle(Duration::ZERO));
    }

    #[test]
    fn a_position_that_could_not_be_kept_is_named_again() {
        let shared = Shared::default();
        let generation = shared.assign("p");
        shared.sent(mark(generation, 10))(Outcome::default());
        assert_eq!(shared.take_moved(), [("p", 10)]);
        shared.untake([&"p"]);
        assert_eq!(shared.take_moved(), [("p", 10)]);
    }

    #[test]
    fn a_held_position_is_told_when_its_snapshot_is_durable_and_never_moves_back() {
        let shared = Shared::default();
        shared.hold();
        let old = shared.assign("p");
        let generation = shared.assign("p");
        shared.sent(mark(generation, 20))(Outcome::default());
        assert_eq!(shared.take_moved(), []);
        shared.durable(&"p", generation, 10);
        shared.durable(&"p", old, 15);
        assert_eq!(shared.take_moved(), [("p", 10)]);
        shared.durable(&"p", generation, 5);
        assert_eq!(shared.take_moved(), []);
        assert_eq!(shared.position(&"p"), Some(20));
    }

    proptest! {
        #[test]
        fn in_any_order_of_finishing_the_position_is_the_first_gap(order in Just((0..12_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let shared = Shared::default();
            let generation = shared.assign("p");
            let mut acks: Vec<_> = (0..12).map(|i| Some(shared.sent(mark(generation, i + 1)))).collect();
            let mut finished = [false; 12];
            for index in order {
                let index = usize::try_from(index).unwrap();
                acks[index].take().unwrap()(Outcome::default());
                finished[index] = true;
                let gap = finished.iter().take_while(|finished| **finished).count() as u64;
                prop_assert_eq!(shared.position(&"p").unwrap_or(0), gap);
            }
            prop_assert!(shared.idle(Duration::ZERO));
        }
    }
}
