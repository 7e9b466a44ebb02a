//! A model of sessions as plain data, and the checks that make it a model again.

use serde::{Deserialize, Serialize};

use super::super::channel::Tail;
use super::super::counts::Counts;
use super::super::distribution::Distribution;
use super::core::{SessionCore, SessionCounts};
use super::train::MOST_TEXTS;
use super::{SessionKey, SessionModel, SessionSettings};
use crate::forest::{Forest, ForestData};

/// Everything of a model of sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSessions {
    key: String,
    idle_micros: i64,
    most_open: u64,
    most_lines: u32,
    sessions: u64,
    events: Vec<(u64, u32)>,
    repeats: Vec<(u64, u32)>,
    forest: ForestData,
    tails: [Tail; 4],
    cells: Vec<(u32, u64)>,
    texts: Vec<(u64, String)>,
}

impl StoredSessions {
    /// The model that was stored, with `n_features` hashed columns.
    ///
    /// # Errors
    /// Says which part cannot be what training made.
    pub fn into_model(self, n_features: u32) -> Result<SessionModel, String> {
        let key = SessionKey::parse(&self.key).map_err(|error| error.to_string())?;
        if self.forest.n_features != n_features {
            return Err(format!("{n_features} hashed columns do not fit the forest of its sessions"));
        }
        let ascending = |pairs: &[(u64, u32)]| pairs.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !ascending(&self.events) || !ascending(&self.repeats) {
            return Err("the counts of its sessions are out of order".into());
        }
        if !self.tails.iter().all(Tail::is_sound) || self.idle_micros < 0 {
            return Err("the training statistics of its sessions are damaged".into());
        }
        if self.texts.len() > MOST_TEXTS || self.texts.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err("the patterns of its sessions are damaged".into());
        }
        let distribution =
            Distribution::from_pairs(&self.cells).ok_or("the scores of its sessions are damaged")?;
        let counts = |pairs: Vec<(u64, u32)>| Counts::from_pairs(self.sessions, pairs.into_iter());
        let counts = SessionCounts { events: counts(self.events), repeats: counts(self.repeats) };
        let core = SessionCore {
            n_features,
            absences: counts.absences(),
            counts,
            forest: Forest::from_data(self.forest).map_err(|error| error.to_string())?,
            tails: self.tails,
        };
        let settings = SessionSettings {
            idle_micros: self.idle_micros,
            most_open: usize::try_from(self.most_open).unwrap_or(usize::MAX),
            most_lines: self.most_lines,
        };
        Ok(SessionModel::new(core, self.texts, distribution, key, settings))
    }
}

impl SessionModel {
    /// The model as plain data.
    pub(crate) fn to_stored(&self) -> StoredSessions {
        StoredSessions {
            key: self.key.as_str().to_owned(),
            idle_micros: self.settings.idle_micros,
            most_open: self.settings.most_open as u64,
            most_lines: self.settings.most_lines,
            sessions: self.sessions(),
            events: self.core.counts.events.pairs(),
            repeats: self.core.counts.repeats.pairs(),
            forest: self.core.forest.data().clone(),
            tails: self.core.tails.clone(),
            cells: self.distribution.pairs(),
            texts: self.texts.clone(),
        }
    }
}
