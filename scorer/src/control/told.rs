//! Decisions as people are told them: over HTTP and on the command line.

use engine::alert::Normal;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decision::{Decision, What};

/// A silence.
#[derive(Debug, Deserialize, Serialize)]
pub struct ToldSilence {
    /// Its id.
    pub id: String,
    /// A filter expression over alerts.
    pub filter: String,
    /// When it ends.
    pub until: Timestamp,
    /// Why.
    pub comment: String,
    /// When it was made; unknown of one in the config file.
    pub created_at: Option<Timestamp>,
    /// By whom.
    pub created_by: String,
}

/// What was called normal at once.
#[derive(Debug, Deserialize, Serialize)]
pub struct ToldNormal {
    /// Its id.
    pub id: String,
    /// The alert on whose page it was.
    pub alert: Option<String>,
    /// What is normal.
    pub normals: Vec<Normal>,
    /// Why.
    pub comment: String,
    /// When it was called so; unknown of what stands in the config file.
    pub created_at: Option<Timestamp>,
    /// By whom.
    pub created_by: String,
}

impl ToldSilence {
    /// `None` for what is no silence.
    pub fn of(decision: &Decision) -> Option<Self> {
        let Decision { id, created_at, created_by, comment, what } = decision.clone();
        match what {
            What::Silence { filter, until } => {
                Some(Self { id, filter, until, comment, created_at, created_by })
            }
            What::Normal { .. } => None,
        }
    }
}

impl ToldNormal {
    /// `None` for a silence.
    pub fn of(decision: &Decision) -> Option<Self> {
        let Decision { id, created_at, created_by, comment, what } = decision.clone();
        match what {
            What::Normal { alert, normals } => {
                Some(Self { id, alert, normals, comment, created_at, created_by })
            }
            What::Silence { .. } => None,
        }
    }
}
