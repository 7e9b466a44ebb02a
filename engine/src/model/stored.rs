//! A model as plain data: what an artifact holds, and the checks that make it a model again.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::channel::Tail;
use super::core::Core;
use super::counts::Counts;
use super::distribution::Distribution;
use super::explain::Explaining;
use super::patterns::{FrequentPatterns, MOST_PATTERNS};
use super::session::{SessionModel, StoredSessions};
use super::{Contamination, Model, Provenance};
use crate::artifact;
use crate::features::FeatureSpec;
use crate::forest::{Forest, ForestData};

/// Everything of a model but its digest; what is large is borrowed where it is only written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredModel<'m> {
    pub(crate) spec: FeatureSpec,
    provenance: Provenance,
    /// `None` for [`Contamination::Auto`].
    contamination: Option<f64>,
    lines: u64,
    counts: Vec<(u64, u32)>,
    text: Cow<'m, ForestData>,
    tails: [Tail; 3],
    cells: Vec<(u32, u64)>,
    patterns: Cow<'m, [(String, u64)]>,
    sessions: Option<StoredSessions>,
    /// What artifacts hold from version 4 on, behind all other.
    #[serde(skip)]
    pub(crate) unseen_word_share: Option<f64>,
}

impl StoredModel<'_> {
    /// Whether it holds a model of sessions.
    pub(crate) const fn has_sessions(&self) -> bool {
        self.sessions.is_some()
    }

    /// The model that was stored under `digest`.
    ///
    /// # Errors
    /// Says which part cannot be what training made.
    pub(crate) fn into_model(self, digest: String) -> Result<Model, String> {
        if self.spec.rules != FeatureSpec::RULES {
            return Err(format!(
                "it was made with feature rules {}, this program has {}: train it again",
                self.spec.rules,
                FeatureSpec::RULES
            ));
        }
        if !self.spec.n_features.is_power_of_two() || self.spec.n_features != self.text.n_features {
            return Err(format!("{} hashed columns do not fit its forest", self.spec.n_features));
        }
        if self.counts.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err("its counts are out of order".into());
        }
        if !self.tails.iter().all(Tail::is_sound) {
            return Err("its training statistics are damaged".into());
        }
        if self.patterns.len() > MOST_PATTERNS {
            return Err(format!("{} patterns, more than {MOST_PATTERNS}", self.patterns.len()));
        }
        if self.unseen_word_share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(format!("a share of {:?} of its words is not in [0, 1]", self.unseen_word_share));
        }
        let contamination = match self.contamination {
            None => Contamination::Auto,
            Some(share) if 0.0 < share && share <= 0.5 => Contamination::Share(share),
            Some(share) => return Err(format!("contamination {share} is not in (0, 0.5]")),
        };
        let distribution =
            Distribution::from_pairs(&self.cells).ok_or("its score distribution is damaged")?;
        let n_features = self.spec.n_features;
        let sessions = self.sessions.map(|sessions| sessions.into_model(n_features)).transpose()?;
        let forest = |data| Forest::from_data(data).map_err(|error| error.to_string());
        Ok(Model {
            core: Core {
                spec: self.spec,
                counts: Counts::from_pairs(self.lines, self.counts.into_iter()),
                text: forest(self.text.into_owned())?,
                tails: self.tails,
            },
            explaining: Explaining::new(FrequentPatterns::new(self.patterns.into_owned())),
            distribution,
            sessions,
            unseen_word_share: self.unseen_word_share,
            provenance: self.provenance,
            contamination,
            digest,
        })
    }
}

impl Model {
    pub(super) fn new(
        core: Core,
        patterns: FrequentPatterns,
        distribution: Distribution,
        unseen_word_share: f64,
        provenance: Provenance,
        contamination: Contamination,
    ) -> Self {
        let mut model = Self {
            core,
            explaining: Explaining::new(patterns),
            distribution,
            sessions: None,
            unseen_word_share: Some(unseen_word_share),
            provenance,
            contamination,
            digest: String::new(),
        };
        model.digest = artifact::digest(&model);
        model
    }

    /// The model with one of whole sessions, trained with as many hashed columns.
    #[must_use]
    pub fn with_sessions(mut self, sessions: SessionModel) -> Self {
        self.sessions = Some(sessions);
        self.digest = artifact::digest(&self);
        self
    }

    /// The model as plain data.
    pub(crate) fn to_stored(&self) -> StoredModel<'_> {
        StoredModel {
            spec: self.core.spec,
            provenance: self.provenance.clone(),
            contamination: match self.contamination {
                Contamination::Share(share) => Some(share),
                Contamination::Auto => None,
            },
            lines: self.core.counts.lines(),
            counts: self.core.counts.pairs(),
            text: Cow::Borrowed(self.core.text.data()),
            tails: self.core.tails.clone(),
            cells: self.distribution.pairs(),
            patterns: Cow::Borrowed(self.explaining.patterns().as_slice()),
            sessions: self.sessions.as_ref().map(SessionModel::to_stored),
            unseen_word_share: self.unseen_word_share,
        }
    }
}
