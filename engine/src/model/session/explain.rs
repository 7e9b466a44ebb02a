//! Why a session got its score: its nats, shared out among the events that it has, how often it has them, and those
//! that it lacks. The parts add up to the score's nats.

use super::super::core::text_row;
use super::super::credit::credits;
use super::super::{Reason, ReasonKind};
use super::SessionModel;
use super::core::{SessionChannels, SessionRow, column, repeat_key};
use super::open::Session;

/// Most reasons of one session.
const MOST_REASONS: usize = 5;
/// What brings less than this is not worth a reason.
const LEAST_NATS: f64 = 0.05;

/// Nats by event of the session, and those of what it lacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionShares {
    /// For having the event.
    pub events: Vec<f64>,
    /// For having it so many times.
    pub repeats: Vec<f64>,
    /// For what the session lacks.
    pub absent: f64,
}

impl SessionShares {
    /// The channels' nats shared out; the parts add up to [`SessionChannels::sum`].
    pub fn new(
        model: &SessionModel,
        session: &Session,
        row: &SessionRow,
        channels: &SessionChannels,
        own: u32,
    ) -> Self {
        let count = row.events.len();
        let mut shares =
            Self { events: vec![0.0; count], repeats: vec![0.0; count], absent: channels.absent_nats };
        shares.share_surprisal(model, row, channels, own);
        shares.share_forest(model, session, row, channels.forest_nats);
        shares
    }

    fn share_surprisal(
        &mut self,
        model: &SessionModel,
        row: &SessionRow,
        channels: &SessionChannels,
        own: u32,
    ) {
        let counts = &model.core.counts;
        let parts: Vec<(f64, f64)> = row
            .events
            .iter()
            .map(|(event, count)| (counts.event(row, *event, own), counts.repeat(row, *event, *count, own)))
            .collect();
        let greatest = channels.evidence.greatest;
        let ties = parts.iter().filter(|(alone, _)| *alone >= greatest).count();
        let total: f64 = parts.iter().map(|(alone, repeated)| alone + repeated).sum();
        if ties == 0 || total <= 0.0 {
            self.absent += channels.greatest_nats + channels.mean_nats;
            return;
        }
        for (at, (alone, repeated)) in parts.iter().enumerate() {
            if *alone >= greatest {
                self.events[at] += channels.greatest_nats / ties as f64;
            }
            // What is surprising in the number of lines beyond the event itself.
            let excess = (repeated - alone).max(0.0);
            self.events[at] += channels.mean_nats * (alone + repeated - excess) / total;
            self.repeats[at] += channels.mean_nats * excess / total;
        }
    }

    fn share_forest(&mut self, model: &SessionModel, session: &Session, row: &SessionRow, nats: f64) {
        let row: Vec<(u32, f64)> = text_row(&row.columns).collect();
        let mut parts = vec![0.0; row.len()];
        let place = |column: u32| row.binary_search_by_key(&column, |(column, _)| *column);
        let rest = credits(&model.core.forest, &row).share_out(nats, |column, part| {
            if let Ok(at) = place(column) {
                parts[at] = part;
            }
        });
        self.absent += rest;
        let mut lines = vec![0.0; row.len()];
        let columns_of = |event: &super::open::SessionEvent| -> Vec<usize> {
            let words = event.text.words.iter();
            words.filter_map(|word| place(column(*word, model.core.n_features)).ok()).collect()
        };
        for event in &session.events {
            columns_of(event).into_iter().for_each(|at| lines[at] += f64::from(event.count));
        }
        for (number, event) in session.events.iter().enumerate() {
            for at in columns_of(event) {
                self.events[number] += parts[at] * f64::from(event.count) / lines[at];
            }
        }
    }
}

/// The reasons of a session, largest contribution first.
pub fn reasons(
    model: &SessionModel,
    session: &Session,
    row: &SessionRow,
    channels: &SessionChannels,
    own: u32,
) -> Vec<Reason> {
    let shares = SessionShares::new(model, session, row, channels, own);
    let counts = model.core.counts.like(row);
    let mut reasons = Vec::new();
    for (at, event) in session.events.iter().enumerate() {
        let repeated = repeat_key(event.key, event.count);
        reasons.push(Reason {
            kind: ReasonKind::RareEvent,
            word: event.text.pattern.to_string(),
            contribution: shares.events[at],
            seen: u64::from(counts.events.seen(event.key)),
        });
        reasons.push(Reason {
            kind: ReasonKind::UnusualCount,
            word: format!("{} × {}", event.count, event.text.pattern),
            contribution: shares.repeats[at],
            seen: u64::from(counts.repeats.seen(repeated)),
        });
    }
    push_missing(model, row, channels.evidence.absent, shares.absent, own, &mut reasons);
    reasons.retain(|reason| reason.contribution >= LEAST_NATS);
    reasons.sort_by(|a, b| b.contribution.total_cmp(&a.contribution));
    reasons.truncate(MOST_REASONS);
    reasons
}

/// The events that most others have and this session lacks, each with its part of `nats`.
fn push_missing(
    model: &SessionModel,
    row: &SessionRow,
    absent: f64,
    nats: f64,
    own: u32,
    reasons: &mut Vec<Reason>,
) {
    if absent <= 0.0 {
        return;
    }
    let counts = model.core.counts.like(row);
    for (key, text) in &model.texts {
        if row.events.binary_search_by_key(key, |(event, _)| *event).is_ok() {
            continue;
        }
        let contribution = nats * (counts.absence(*key, own) / absent).min(1.0);
        if contribution >= LEAST_NATS {
            reasons.push(Reason {
                kind: ReasonKind::MissingEvent,
                word: text.clone(),
                contribution,
                seen: u64::from(counts.events.seen(*key)),
            });
        }
    }
}
