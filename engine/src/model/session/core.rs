//! What scores a session: how many training sessions had which event, and how often; a forest; four tails.

use super::super::channel::Tail;
use super::super::core::{forest_value, text_row};
use super::super::counts::Counts;
use super::open::Session;
use crate::features::finalise;
use crate::forest::{Forest, PathScratch};

/// Counts of an event in one session that are told apart one by one; above them, four steps to each doubling.
const EXACT_COUNTS: u32 = 8;

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
        Self { columns, events: session.events.iter().map(|event| (event.key, event.count)).collect() }
    }
}

/// Column of a word.
pub fn column(word: u64, n_features: u32) -> u32 {
    word as u32 & (n_features - 1)
}

/// How many training sessions had an event, and an event so many times.
#[derive(Clone, Debug, Default)]
pub struct SessionCounts {
    /// By event.
    pub events: Counts,
    /// By event and number of its lines.
    pub repeats: Counts,
}

impl SessionCounts {
    /// Counts one session.
    pub fn add(&mut self, row: &SessionRow) {
        self.events.add(row.events.iter().map(|(event, _)| *event));
        self.repeats.add(row.events.iter().map(|(event, count)| repeat_key(*event, *count)));
    }

    /// Surprisal −ln(1 − (d + ½)/(N + 1)) that a session does not have an event that d of N sessions have; `own` is
    /// 1 where the session is one of them and is left out.
    pub fn absence(&self, event: u64, own: u32) -> f64 {
        absence(self.events.seen(event), self.events.lines(), own)
    }

    /// Sum of the absences of all events, for `own` 0 and 1; always added up in the order of the keys.
    pub fn absences(&self) -> [f64; 2] {
        let pairs = self.events.pairs();
        [0, 1].map(|own| pairs.iter().map(|(_, seen)| absence(*seen, self.events.lines(), own)).sum())
    }
}

fn absence(seen: u32, sessions: u64, own: u32) -> f64 {
    let sessions = sessions.saturating_sub(u64::from(own)) as f64;
    let seen = f64::from(seen).min(sessions);
    -((sessions - seen + 0.5) / (sessions + 1.0)).ln()
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
    /// See [`SessionCounts::absences`].
    pub absences: [f64; 2],
    pub forest: Forest,
    /// Tails of the forest, the greatest surprisal, the mean surprisal and what is absent.
    pub tails: [Tail; 4],
}

/// See [`Evidence`]; `own` is 1 for a training session, which is then left out of the counts.
pub fn evidence(counts: &SessionCounts, absences: [f64; 2], row: &SessionRow, own: u32) -> Evidence {
    let (mut greatest, mut sum) = (0.0_f64, 0.0);
    let mut absent = absences[own.min(1) as usize];
    for (event, count) in &row.events {
        let surprisal = counts.events.surprisal(*event, own);
        greatest = greatest.max(surprisal);
        sum += surprisal + counts.repeats.surprisal(repeat_key(*event, *count), own);
        if counts.events.seen(*event) > 0 {
            absent -= counts.absence(*event, own);
        }
    }
    let keys = 2.0 * row.events.len().max(1) as f64;
    Evidence { greatest, mean: sum / keys, absent: absent.max(0.0) }
}

impl SessionCore {
    /// What the channels say of a session.
    pub fn channels(&self, row: &SessionRow, own: u32, scratch: &mut PathScratch) -> SessionChannels {
        let path_sum = self.forest.path_sum(text_row(&row.columns), scratch);
        let evidence = evidence(&self.counts, self.absences, row, own);
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
        SessionRow { columns: Vec::new(), events: events.to_vec() }
    }

    #[test]
    fn a_session_that_lacks_what_all_others_have_is_surprising_for_it() {
        let mut counts = SessionCounts::default();
        for n in 0..99 {
            counts.add(&row(&[(1, 1), (2, 1 + n % 2)]));
        }
        let absences = counts.absences();
        let whole = evidence(&counts, absences, &row(&[(1, 1), (2, 1)]), 0);
        assert_eq!(whole.absent, 0.0);
        let cut = evidence(&counts, absences, &row(&[(1, 1)]), 0);
        assert!((cut.absent - 200_f64.ln()).abs() < 1e-12);
        assert!((cut.greatest - whole.greatest).abs() < 1e-12);
        let new = evidence(&counts, absences, &row(&[(1, 1), (2, 1), (7, 1)]), 0);
        assert!((new.greatest - 200_f64.ln()).abs() < 1e-12 && new.absent == 0.0);
    }

    #[test]
    fn a_training_session_is_left_out_of_its_own_counts() {
        let mut all = SessionCounts::default();
        let mut others = SessionCounts::default();
        let own = row(&[(1, 1), (5, 3)]);
        for session in [row(&[(1, 1)]), row(&[(1, 2), (2, 1)]), row(&[(2, 9)])] {
            all.add(&session);
            others.add(&session);
        }
        all.add(&own);
        let left_out = evidence(&all, all.absences(), &own, 1);
        let unseen = evidence(&others, others.absences(), &own, 0);
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
