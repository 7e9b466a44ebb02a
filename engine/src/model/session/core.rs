//! What scores a session: how many training sessions had which event, and how often; a forest; four tails.

use std::collections::BTreeMap;

use super::super::channel::Tail;
use super::super::core::{forest_value, text_row};
use super::super::counts::Counts;
use super::customs::{Customs, MOST_PAIRED, pair_key};
use super::open::Session;
use crate::features::{finalise, stable_hash};
use crate::forest::{Forest, PathScratch};

/// Counts of an event in one session that are told apart one by one; above them, four steps to each doubling.
const EXACT_COUNTS: u32 = 8;

/// Fewest training sessions of a kin that are compared among themselves.
const LEAST_OF_KIN: u64 = 50;
/// A kin is one where the share of its sessions that has some event is so far from that of the others: which of two
/// services happens to be first in one and the same course makes none.
const UNLIKE: f64 = 0.5;
/// Most kins that are told apart.
const MOST_KINS: usize = 256;
/// Keys of one kin that are held while training.
const MOST_OF_KIN: usize = 1 << 13;
/// Keeps hashes of services apart from others.
const KIN_SEED: u64 = 12;

/// Key of an event together with how often a session has it.
pub fn repeat_key(event: u64, count: u32) -> u64 {
    let step = if count <= EXACT_COUNTS { count } else { 100 + (f64::from(count).log2() * 4.0) as u32 };
    finalise(event ^ finalise(u64::from(step)))
}

/// The features of one session.
#[derive(Clone, Debug, Default)]
pub struct SessionRow {
    /// Hashed columns of its masked words: in how many lines they stand, divided by the row's Euclidean norm.
    pub columns: Vec<(u32, f32)>,
    /// Its events, that is patterns, keys ascending, with the number of lines that have them.
    pub events: Vec<(u64, u32)>,
    /// Hash of the service of its first line.
    pub kin: u64,
}

impl SessionRow {
    /// Of `session`, with `n_features` hashed columns.
    pub fn of(session: &Session, n_features: u32) -> Self {
        let mut columns: Vec<(u32, f32)> = Vec::new();
        for event in &session.events {
            let count = event.count as f32;
            columns.extend(event.text.words.iter().map(|word| (column(*word, n_features), count)));
        }
        columns.sort_unstable_by_key(|(column, _)| *column);
        columns.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        let norm = columns.iter().map(|(_, count)| count * count).sum::<f32>().sqrt();
        columns.iter_mut().for_each(|(_, value)| *value /= norm);
        let events = session.events.iter().map(|event| (event.key, event.count)).collect();
        Self { columns, events, kin: stable_hash(KIN_SEED, session.service.as_bytes()) }
    }
}

/// Column of a word.
pub fn column(word: u64, n_features: u32) -> u32 {
    word as u32 & (n_features - 1)
}

/// How many sessions had an event, and an event so many times.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    /// By event.
    pub events: Counts,
    /// By event and number of its lines.
    pub repeats: Counts,
    /// By two events of one session; empty after [`Pool::settle`].
    pairs: Counts,
    /// What never was.
    pub customs: Customs,
    /// See [`Pool::settle`].
    absences: [f64; 2],
}

impl Pool {
    /// Of stored counts.
    pub fn of(events: Counts, repeats: Counts, customs: Customs) -> Self {
        let mut pool = Self { events, repeats, customs, ..Self::default() };
        pool.sum_up();
        pool
    }

    fn with_most(most: usize) -> Self {
        let counts = || Counts::with_most(most);
        Self { events: counts(), repeats: counts(), pairs: counts(), ..Self::default() }
    }

    fn add(&mut self, row: &SessionRow) {
        let events = &row.events[..row.events.len().min(MOST_PAIRED)];
        let others =
            |at: usize| events[at + 1..].iter().map(move |(other, _)| pair_key(events[at].0, *other));
        self.pairs.add((0..events.len()).flat_map(others));
        self.events.add(row.events.iter().map(|(event, _)| *event));
        self.repeats.add(row.events.iter().map(|(event, count)| repeat_key(*event, *count)));
    }

    /// Surprisal −ln(1 − (d + ½)/(N + 1)) that a session does not have an event that d of N sessions have; `own` is
    /// 1 where the session is one of them and is left out.
    pub fn absence(&self, event: u64, own: u32) -> f64 {
        absence(self.events.seen(event), self.events.lines(), own)
    }

    /// Whether there is an event that these sessions have so much more or less often than the rest of all have.
    fn is_unlike(&self, all: &Self) -> bool {
        let (own, rest) = (self.events.lines(), all.events.lines().saturating_sub(self.events.lines()));
        rest > 0
            && all.events.pairs().iter().any(|(event, seen)| {
                let of_own = self.events.seen(*event);
                let share = f64::from(of_own) / own.max(1) as f64;
                let share_of_rest = f64::from(seen.saturating_sub(of_own)) / rest as f64;
                (share - share_of_rest).abs() >= UNLIKE
            })
    }

    /// Sessions with both events; known while training alone.
    pub(super) fn pairs_seen(&self, a: u64, b: u64) -> u32 {
        self.pairs.seen(pair_key(a, b))
    }

    /// Brings it to what a model keeps.
    fn settle(&mut self) {
        self.customs = Customs::of(self);
        self.pairs = Counts::default();
        self.events.shrink();
        self.repeats.shrink();
        self.sum_up();
    }

    /// Sums up the absences of all events, for `own` 0 and 1; always added up in the order of the keys.
    fn sum_up(&mut self) {
        let pairs = self.events.pairs();
        let lines = self.events.lines();
        self.absences = [0, 1].map(|own| pairs.iter().map(|(_, seen)| absence(*seen, lines, own)).sum());
    }
}

fn absence(seen: u32, sessions: u64, own: u32) -> f64 {
    let sessions = sessions.saturating_sub(u64::from(own)) as f64;
    let seen = f64::from(seen).min(sessions);
    -((sessions - seen + 0.5) / (sessions + 1.0)).ln()
}

/// What the training sessions had: all of them, and those of one kin, which begin at the same service, where training
/// saw enough of these and they take another course. A session is compared with its kin, else with all: what orders have in common says nothing of
/// refunds, and neither is odd for being the rarer of the two.
#[derive(Clone, Debug, Default)]
pub struct SessionCounts {
    /// All sessions.
    pub all: Pool,
    /// By kin.
    pub kins: BTreeMap<u64, Pool>,
}

impl SessionCounts {
    /// Counts one session.
    pub fn add(&mut self, row: &SessionRow) {
        self.all.add(row);
        if let Some(kin) = self.kins.get_mut(&row.kin) {
            kin.add(row);
        } else if self.kins.len() < MOST_KINS {
            let mut kin = Pool::with_most(MOST_OF_KIN);
            kin.add(row);
            self.kins.insert(row.kin, kin);
        }
    }

    /// Keeps of what was counted what a model keeps: no kin of few sessions, and none that is like the others.
    pub fn settle(&mut self) {
        let all = &self.all;
        self.kins.retain(|_, kin| kin.events.lines() >= LEAST_OF_KIN && kin.is_unlike(all));
        for pool in self.kins.values_mut().chain([&mut self.all]) {
            pool.settle();
        }
    }

    /// Those that a session is compared with.
    pub fn like(&self, row: &SessionRow) -> &Pool {
        self.kins.get(&row.kin).unwrap_or(&self.all)
    }

    /// Surprisal of an event among those like the session; among all where no session has it.
    pub fn event(&self, row: &SessionRow, event: u64, own: u32) -> f64 {
        self.surprisal(row, event, own, |pool| &pool.events)
    }

    /// Surprisal of an event so many times, likewise.
    pub fn repeat(&self, row: &SessionRow, event: u64, count: u32, own: u32) -> f64 {
        self.surprisal(row, repeat_key(event, count), own, |pool| &pool.repeats)
    }

    fn surprisal(&self, row: &SessionRow, key: u64, own: u32, of: fn(&Pool) -> &Counts) -> f64 {
        let (like, all) = (of(self.like(row)), of(&self.all));
        let among = if all.seen(key) <= own { all } else { like };
        among.surprisal(key, own)
    }
}

/// What a session's events say, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// The greatest surprisal of an event: the reference that is reported beside every score.
    pub greatest: f64,
    /// Mean surprisal of the keys {event} and {event, number of its lines}.
    pub mean: f64,
    /// Surprisal of all events together that the session does not have.
    pub absent: f64,
}

/// What the channels say of one session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionChannels {
    /// Raw: the forest's sum of paths.
    pub path_sum: i64,
    /// Raw: what the events say.
    pub evidence: Evidence,
    /// Log tail probabilities, in nats: of the forest, …
    pub forest_nats: f64,
    /// … the greatest surprisal, …
    pub greatest_nats: f64,
    /// … the mean surprisal, …
    pub mean_nats: f64,
    /// … and what is absent.
    pub absent_nats: f64,
}

impl SessionChannels {
    /// The sum, in nats.
    pub fn sum(&self) -> f64 {
        self.forest_nats + self.greatest_nats + self.mean_nats + self.absent_nats
    }
}

/// Counts, forest and tails.
#[derive(Clone, Debug)]
pub struct SessionCore {
    pub n_features: u32,
    pub counts: SessionCounts,
    pub forest: Forest,
    /// Tails of the forest, the greatest surprisal, the mean surprisal and what is absent.
    pub tails: [Tail; 4],
}

/// See [`Evidence`]; `own` is 1 for a training session, which is then left out of the counts.
pub fn evidence(counts: &SessionCounts, row: &SessionRow, own: u32) -> Evidence {
    let like = counts.like(row);
    let (mut greatest, mut sum) = (0.0_f64, 0.0);
    let mut absent = like.absences[own.min(1) as usize];
    for (event, count) in &row.events {
        let surprisal = counts.event(row, *event, own);
        greatest = greatest.max(surprisal);
        sum += surprisal + counts.repeat(row, *event, *count, own);
        if like.events.seen(*event) > 0 {
            absent -= like.absence(*event, own);
        }
    }
    let keys = 2.0 * row.events.len().max(1) as f64;
    Evidence { greatest, mean: sum / keys, absent: absent.max(0.0) }
}

impl SessionCore {
    /// What the channels say of a session.
    pub fn channels(&self, row: &SessionRow, own: u32, scratch: &mut PathScratch) -> SessionChannels {
        let path_sum = self.forest.path_sum(text_row(&row.columns), scratch);
        let evidence = evidence(&self.counts, row, own);
        let [forest, greatest, mean, absent] = &self.tails;
        SessionChannels {
            path_sum,
            evidence,
            forest_nats: forest.nats(forest_value(&self.forest, path_sum)),
            greatest_nats: greatest.nats(evidence.greatest),
            mean_nats: mean.nats(evidence.mean),
            absent_nats: absent.nats(evidence.absent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(events: &[(u64, u32)]) -> SessionRow {
        of_kin(0, events)
    }

    fn of_kin(kin: u64, events: &[(u64, u32)]) -> SessionRow {
        SessionRow { columns: Vec::new(), events: events.to_vec(), kin }
    }

    fn counted(rows: impl IntoIterator<Item = SessionRow>) -> SessionCounts {
        let mut counts = SessionCounts::default();
        rows.into_iter().for_each(|row| counts.add(&row));
        counts.settle();
        counts
    }

    #[test]
    fn a_session_that_lacks_what_all_others_have_is_surprising_for_it() {
        let counts = counted((0..99).map(|n| row(&[(1, 1), (2, 1 + n % 2)])));
        let whole = evidence(&counts, &row(&[(1, 1), (2, 1)]), 0);
        assert_eq!(whole.absent, 0.0);
        let cut = evidence(&counts, &row(&[(1, 1)]), 0);
        assert!((cut.absent - 200_f64.ln()).abs() < 1e-12);
        assert!((cut.greatest - whole.greatest).abs() < 1e-12);
        let new = evidence(&counts, &row(&[(1, 1), (2, 1), (7, 1)]), 0);
        assert!((new.greatest - 200_f64.ln()).abs() < 1e-12 && new.absent == 0.0);
    }

    #[test]
    fn a_session_is_compared_with_those_that_begin_at_its_service() {
        let many = (0..900).map(|_| of_kin(1, &[(1, 1), (2, 1)]));
        let few = (0..99).map(|_| of_kin(2, &[(3, 1), (4, 1)]));
        let counts = counted(many.chain(few).chain((0..9).map(|_| of_kin(3, &[(5, 1)]))));
        let rare = evidence(&counts, &of_kin(2, &[(3, 1), (4, 1)]), 0);
        assert!((rare.greatest - (100.0 / 99.5_f64).ln()).abs() < 1e-12 && rare.absent == 0.0);
        let cut = evidence(&counts, &of_kin(2, &[(3, 1)]), 0);
        assert!((cut.absent - 200_f64.ln()).abs() < 1e-12);
        let astray = evidence(&counts, &of_kin(2, &[(1, 1), (3, 1), (4, 1)]), 0);
        assert!((astray.greatest - 200_f64.ln()).abs() < 1e-12);
        // What no session has is as surprising as among all; nine sessions are too few to be a kin.
        let new = evidence(&counts, &of_kin(2, &[(3, 1), (4, 1), (9, 1)]), 0);
        assert!((new.greatest - (1_009.0 / 0.5_f64).ln()).abs() < 1e-12);
        let small = evidence(&counts, &of_kin(3, &[(5, 1)]), 0);
        assert!((small.greatest - (1_009.0 / 9.5_f64).ln()).abs() < 1e-12);
    }

    #[test]
    fn where_all_take_one_course_they_are_compared_with_all() {
        let counts = counted((0..99).map(|_| of_kin(4, &[(1, 1)])));
        assert!(counts.kins.is_empty());
        let counts = counted((0..200).map(|n| of_kin(n % 2, &[(1, 1), (2 + n % 3, 1)])));
        assert!(counts.kins.is_empty(), "which of two is first");
    }

    #[test]
    fn a_training_session_is_left_out_of_its_own_counts() {
        let own = row(&[(1, 1), (5, 3)]);
        let others = || [row(&[(1, 1)]), row(&[(1, 2), (2, 1)]), row(&[(2, 9)])];
        let all = counted(others().into_iter().chain([own.clone()]));
        let left_out = evidence(&all, &own, 1);
        let unseen = evidence(&counted(others()), &own, 0);
        assert!((left_out.greatest - unseen.greatest).abs() < 1e-12);
        assert!((left_out.mean - unseen.mean).abs() < 1e-12);
        // An event that only this session has is still one of the events, with no session.
        let nobody = absence(0, 3, 0);
        assert!((left_out.absent - unseen.absent).abs() < nobody + 1e-12);
    }

    #[test]
    fn great_counts_share_keys_and_small_ones_do_not() {
        let distinct: std::collections::HashSet<u64> = (1..=8).map(|count| repeat_key(3, count)).collect();
        assert_eq!(distinct.len(), 8);
        assert_eq!(repeat_key(3, 1_000), repeat_key(3, 1_001));
        assert_ne!(repeat_key(3, 1_000), repeat_key(3, 2_000));
        assert_ne!(repeat_key(3, 1), repeat_key(4, 1));
    }
}
