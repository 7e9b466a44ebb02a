//! Sessions: lines that belong together by a key, scored as a whole by the same machinery as lines. Reads no clock;
//! never learns while it scores.

mod core;
mod customs;
mod explain;
mod key;
mod open;
mod stored;
mod train;

pub use customs::{LEAST_SUPPORT, SORTS, Sort};
pub use key::{SessionKey, SessionKeyError};
pub(crate) use open::StoredOpen;
pub use open::{OpenSessions, Session, SessionReader, SessionSettings};
pub use train::SessionTrainer;

pub(crate) use stored::StoredSessions;

use super::distribution::Distribution;
use super::{Contamination, Reason, Threshold, score_of_nats};
use crate::forest::PathScratch;
use core::{SessionCore, SessionRow};

/// What a score says of one session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionScore {
    /// In [0, 1], greater is odder: a monotone map of the sum of the channels (see [`SessionModel`]).
    pub score: f64,
    /// Share of training sessions that score lower, in percent, 0–100.
    pub percentile: f64,
    /// The forest's own score 2^(-E[h(x)]/c(n)), in [0, 1].
    pub forest: f64,
    /// The surprisal reference: the greatest surprisal of one of its events, in nats.
    pub surprisal: f64,
}

/// One thing of a session that no training session like it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeverSeen {
    /// What sort of thing.
    pub sort: Sort,
    /// The event that is there.
    pub event: String,
    /// How many lines it has.
    pub count: u32,
    /// The event that every session with `event` has, where that is missing; else `event`.
    pub lacks: String,
    /// Training sessions without an exception: those with the event, or for a new one all.
    pub support: u32,
}

/// A model of sessions.
///
/// An event of a session is a masked pattern. A session's oddness is a sum, in nats, of four channels:
/// - the Isolation Forest on the hashed masked words of all its lines, by how many lines have them;
/// - the greatest surprisal of an event, −ln((d + ½)/(N + 1)) for one that d of N training sessions have;
/// - the mean surprisal of its keys {event} and {event, number of its lines};
/// - the surprisal of all events together that it lacks, −ln(1 − (d + ½)/(N + 1)) each: what breaks off early has
///   too little of everything.
///
/// Where training saw 50 sessions or more that begin at the same service and take another course than the rest (some
/// event is in at least half more, or less, of them), N and d are those of that service's sessions
/// for every event that any session has: a session is not odd for being of a rarer sort, and lacks what its like have.
///
/// Each counts with its log tail probability among the training sessions, and the sum is mapped to [0, 1], both as
/// for lines (see [`super::Model`]). Training sessions are scored with themselves left out of the counts.
#[derive(Debug)]
pub struct SessionModel {
    core: SessionCore,
    /// Masked patterns by their keys, keys ascending, at most 4,096.
    texts: Vec<(u64, String)>,
    distribution: Distribution,
    key: SessionKey,
    settings: SessionSettings,
}

impl SessionModel {
    fn new(
        core: SessionCore,
        texts: Vec<(u64, String)>,
        distribution: Distribution,
        key: SessionKey,
        settings: SessionSettings,
    ) -> Self {
        Self { core, texts, distribution, key, settings }
    }

    /// Sessions that it was trained on.
    pub const fn sessions(&self) -> u64 {
        self.core.counts.all.events.lines()
    }

    /// Training sessions that a session is compared with: those that begin at the same service, where they are enough,
    /// else all. What [`Reason::seen`] counts is a part of them.
    pub fn sessions_like(&self, session: &Session) -> u64 {
        self.core.counts.like(&SessionRow::of(session, self.core.n_features)).events.lines()
    }

    /// What of a session no training session like it had, of the sorts that are asked for. `None` where fewer than
    /// [`LEAST_SUPPORT`] are like it, or too many different things are in them to know: then nothing can be said.
    pub fn never(&self, session: &Session, sorts: &[Sort]) -> Option<Vec<NeverSeen>> {
        let found = self.core.counts.never(&SessionRow::of(session, self.core.n_features), sorts)?;
        let text = |key: u64| {
            let own = session.events.binary_search_by_key(&key, |event| event.key);
            let known = || self.texts.binary_search_by_key(&key, |(event, _)| *event);
            match own {
                Ok(at) => session.events[at].text.pattern.to_string(),
                Err(_) => known().map_or_else(|_| "…".to_owned(), |at| self.texts[at].1.clone()),
            }
        };
        let found = found.into_iter().map(|never| NeverSeen {
            sort: never.sort,
            event: text(never.event),
            count: never.count,
            lacks: text(never.lacks),
            support: never.support,
        });
        Some(found.collect())
    }

    /// Share of the sessions to come, at most, that brings something of a sort which never was, by what single
    /// training sessions had alone.
    pub fn share_alone(&self, sort: Sort) -> f64 {
        self.core.counts.share_alone(sort)
    }

    /// How lines were put together to sessions.
    pub const fn key(&self) -> &SessionKey {
        &self.key
    }

    /// When sessions were closed.
    pub const fn settings(&self) -> SessionSettings {
        self.settings
    }

    /// None open yet, by the key and the settings that it was trained with.
    pub fn open_sessions(&self) -> OpenSessions {
        OpenSessions::new(self.key.clone(), self.settings)
    }

    /// Scores a session.
    pub fn score(&self, session: &Session) -> SessionScore {
        self.score_without(0, session)
    }

    /// Scores a session that the model was trained on, with itself left out of the counts.
    pub fn score_training(&self, session: &Session) -> SessionScore {
        self.score_without(1, session)
    }

    fn score_without(&self, own: u32, session: &Session) -> SessionScore {
        let row = SessionRow::of(session, self.core.n_features);
        let channels = self.core.channels(&row, own, &mut PathScratch::default());
        let score = score_of_nats(channels.sum());
        SessionScore {
            score,
            percentile: self.distribution.percentile(score),
            forest: self.core.forest.score_of(channels.path_sum),
            surprisal: channels.evidence.greatest,
        }
    }

    /// Says why a session got its score, largest contribution first, at most 5 reasons.
    pub fn explain(&self, session: &Session) -> Vec<Reason> {
        self.explain_without(0, session)
    }

    /// Says why a session that the model was trained on got its training score; what was seen counts itself.
    pub fn explain_training(&self, session: &Session) -> Vec<Reason> {
        self.explain_without(1, session)
    }

    fn explain_without(&self, own: u32, session: &Session) -> Vec<Reason> {
        let row = SessionRow::of(session, self.core.n_features);
        let channels = self.core.channels(&row, own, &mut PathScratch::default());
        explain::reasons(self, session, &row, &channels, own)
    }

    /// The threshold for a contamination, from the stored distribution of training scores.
    pub fn threshold(&self, contamination: Contamination) -> Threshold {
        self.distribution.threshold(contamination)
    }

    /// The score that `share` of what is like the training sessions exceeds; foretold where so few of them do that they
    /// say little (see [`super::Model::threshold_for_budget`]).
    pub fn exceeded_by(&self, share: f64) -> f64 {
        self.distribution.exceeded_by(share)
    }

    /// Share of training sessions that score above `score`.
    pub fn share_above(&self, score: f64) -> f64 {
        self.distribution.share_above(score)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::train::TrainParams;
    use super::explain::SessionShares;
    use super::*;
    use crate::event::LogEvent;

    fn session(reader: &mut SessionReader, words: &[u8]) -> Session {
        let mut session = Session::default();
        for word in words {
            let message = format!("step {} of the {} part", char::from(b'a' + word % 7), word % 3);
            let message = format!("{message} {}", ["begins", "ends", "fails"][usize::from(word % 3)]);
            reader.add(&LogEvent { message, ..LogEvent::default() }, &mut session);
        }
        session
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_shares_add_up_to_the_nats_of_the_score(
            training in proptest::collection::vec(proptest::collection::vec(0_u8..9, 1..6), 2..40),
            asked in proptest::collection::vec(0_u8..14, 1..6),
            own in 0_u32..2,
        ) {
            let params = TrainParams { n_estimators: 8, ..TrainParams::default() }.check().unwrap();
            let key = SessionKey::parse("trace_id").unwrap();
            let mut trainer = SessionTrainer::new(params, key, SessionSettings::default());
            let mut reader = SessionReader::default();
            training.iter().for_each(|words| trainer.add(&session(&mut reader, words)));
            let model = trainer.finish().unwrap();
            let words = if own == 1 { &training[0] } else { &asked };
            let session = session(&mut reader, words);
            let row = SessionRow::of(&session, model.core.n_features);
            let channels = model.core.channels(&row, own, &mut PathScratch::default());
            let shares = SessionShares::new(&model, &session, &row, &channels, own);
            let parts = shares.events.iter().chain(&shares.repeats).sum::<f64>() + shares.absent;
            prop_assert!((parts - channels.sum()).abs() < 1e-9, "{parts} of {}", channels.sum());
            prop_assert!(shares.events.iter().chain(&shares.repeats).all(|part| *part >= 0.0));
            let reasons = model.explain(&session);
            prop_assert!(reasons.is_sorted_by(|a, b| a.contribution >= b.contribution));
        }
    }
}
