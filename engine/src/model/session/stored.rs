//! A model of sessions as plain data, and the checks that make it a model again.

use serde::{Deserialize, Serialize};

use super::super::channel::Tail;
use super::super::counts::Counts;
use super::super::distribution::Distribution;
use super::core::{Pool, SessionCore, SessionCounts};
use super::customs::Customs;
use super::train::MOST_TEXTS;
use super::{SessionKey, SessionModel, SessionSettings};
use crate::forest::{Forest, ForestData};

/// What a number of sessions had; keys ascending.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredPool {
    sessions: u64,
    events: Vec<(u64, u32)>,
    repeats: Vec<(u64, u32)>,
    customs: Customs,
}

impl StoredPool {
    fn of(pool: &Pool) -> Self {
        let Pool { events, repeats, customs, .. } = pool;
        let customs = customs.clone();
        Self { sessions: events.lines(), events: events.pairs(), repeats: repeats.pairs(), customs }
    }

    fn into_pool(self) -> Result<Pool, String> {
        let ascending = |pairs: &[(u64, u32)]| pairs.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !ascending(&self.events) || !ascending(&self.repeats) || !self.customs.is_sound() {
            return Err("the counts of its sessions are out of order".into());
        }
        let counts = |pairs: Vec<(u64, u32)>| Counts::from_pairs(self.sessions, pairs.into_iter());
        Ok(Pool::of(counts(self.events), counts(self.repeats), self.customs))
    }
}

/// Everything of a model of sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSessions {
    key: String,
    idle_micros: i64,
    most_open: u64,
    most_lines: u32,
    all: StoredPool,
    /// By kin, ascending.
    kins: Vec<(u64, StoredPool)>,
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
        if self.kins.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err("the services of its sessions are out of order".into());
        }
        if !self.tails.iter().all(Tail::is_sound) || self.idle_micros < 0 {
            return Err("the training statistics of its sessions are damaged".into());
        }
        if self.texts.len() > MOST_TEXTS || self.texts.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err("the patterns of its sessions are damaged".into());
        }
        let distribution =
            Distribution::from_pairs(&self.cells).ok_or("the scores of its sessions are damaged")?;
        let kins = self.kins.into_iter().map(|(kin, pool)| Ok((kin, pool.into_pool()?)));
        let kins = kins.collect::<Result<_, String>>()?;
        let core = SessionCore {
            n_features,
            counts: SessionCounts { all: self.all.into_pool()?, kins },
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
            all: StoredPool::of(&self.core.counts.all),
            kins: self.core.counts.kins.iter().map(|(kin, pool)| (*kin, StoredPool::of(pool))).collect(),
            forest: self.core.forest.data().clone(),
            tails: self.core.tails.clone(),
            cells: self.distribution.pairs(),
            texts: self.texts.clone(),
        }
    }
}
