//! One pass over the training events makes the model of their sessions. Memory is flat in the number of events;
//! threads never change a bit of the result.

use std::sync::Arc;

use hashbrown::HashMap;
use rayon::prelude::*;

use super::super::channel::Tail;
use super::super::core::{forest_value, text_row};
use super::super::distribution::Histogram;
use super::super::score_of_nats;
use super::super::train::{CheckedTrainParams, TrainParams};
use super::core::{Evidence, SessionCore, SessionCounts, SessionRow, evidence};
use super::open::{OpenSessions, Session, SessionSettings};
use super::{SessionKey, SessionModel};
use crate::event::LogEvent;
use crate::forest::{Forest, ForestData, Grower, PathScratch, Reservoir, tree_rng};

/// Sessions of the uniform sample from which tails and distribution are measured; fewer are all measured.
const SAMPLE: usize = 1 << 14;
/// Stream of the uniform sample; the trees' are 0, 1, ….
const SAMPLE_STREAM: u64 = 1 << 40;
/// Seeds differ from those of the forest on lines.
const SEED: u64 = 0x5e55_1045;
/// Texts of events that a model keeps.
pub const MOST_TEXTS: usize = 4_096;

/// Makes a model of sessions.
#[derive(Debug)]
pub struct SessionTrainer {
    params: TrainParams,
    settings: SessionSettings,
    key: SessionKey,
    /// `None` only while its sessions are taken.
    open: Option<OpenSessions>,
    counts: SessionCounts,
    texts: HashMap<u64, (String, u64)>,
    reservoirs: Vec<Reservoir>,
    /// The rows in each reservoir's slots; the last reservoir is the uniform sample.
    slots: Vec<Vec<Arc<SessionRow>>>,
    sessions: u64,
}

impl SessionTrainer {
    /// Nothing seen yet.
    pub fn new(params: CheckedTrainParams, key: SessionKey, settings: SessionSettings) -> Self {
        let params = params.into_inner();
        let seed = params.seed ^ SEED;
        let trees =
            (0..params.n_estimators as u64).map(|tree| Reservoir::new(params.max_samples, seed, tree));
        let reservoirs: Vec<_> = trees.chain([Reservoir::new(SAMPLE, seed, SAMPLE_STREAM)]).collect();
        Self {
            open: Some(OpenSessions::new(key.clone(), settings)),
            counts: SessionCounts::default(),
            texts: HashMap::new(),
            slots: vec![Vec::new(); reservoirs.len()],
            reservoirs,
            sessions: 0,
            params,
            settings,
            key,
        }
    }

    /// Takes a batch of events in their order; how events are cut into batches changes nothing.
    pub fn observe(&mut self, events: &[LogEvent]) {
        let Some(mut open) = self.open.take() else { return };
        for event in events {
            open.advance(event.timestamp, |session| self.add(&session));
            open.observe(event, |session| self.add(&session));
        }
        self.open = Some(open);
    }

    /// Takes a whole session.
    pub fn add(&mut self, session: &Session) {
        let row = Arc::new(SessionRow::of(session, self.params.n_features as u32));
        self.counts.add(&row);
        for event in &session.events {
            if let Some((_, seen)) = self.texts.get_mut(&event.key) {
                *seen += 1;
            } else {
                self.texts.insert(event.key, (event.text.pattern.to_string(), 1));
            }
        }
        if self.texts.len() > 4 * MOST_TEXTS {
            keep_most_frequent(&mut self.texts, 2 * MOST_TEXTS);
        }
        self.sessions += 1;
        let Self { reservoirs, slots, sessions, .. } = self;
        for (reservoir, slots) in reservoirs.iter_mut().zip(slots) {
            reservoir.draw_until(*sessions, |_, slot| match slots.get_mut(slot) {
                Some(place) => *place = Arc::clone(&row),
                None => slots.push(Arc::clone(&row)),
            });
        }
    }

    /// The model of the sessions, open ones included; `None` where there were fewer than two.
    pub fn finish(mut self) -> Option<SessionModel> {
        if let Some(mut open) = self.open.take() {
            open.finish(|session| self.add(&session));
        }
        if self.sessions < 2 {
            return None;
        }
        self.counts.settle();
        keep_most_frequent(&mut self.texts, MOST_TEXTS);
        let sample = self.slots.pop().unwrap_or_default();
        let forest = self.forest()?;
        let values: Vec<(f64, Evidence)> = sample
            .par_iter()
            .map_init(PathScratch::default, |scratch, row| {
                let path_sum = forest.path_sum(text_row(&row.columns), scratch);
                (forest_value(&forest, path_sum), evidence(&self.counts, row, 1))
            })
            .collect();
        let tail = |of: fn(&(f64, Evidence)) -> f64| Tail::new(values.iter().map(of).collect());
        let tails = [tail(|v| v.0), tail(|v| v.1.greatest), tail(|v| v.1.mean), tail(|v| v.1.absent)];
        let n_features = self.params.n_features as u32;
        let core = SessionCore { n_features, counts: self.counts, forest, tails };
        let scores: Vec<f64> = sample
            .par_iter()
            .map_init(PathScratch::default, |scratch, row| {
                score_of_nats(core.channels(row, 1, scratch).sum())
            })
            .collect();
        let mut histogram = Histogram::default();
        scores.into_iter().for_each(|score| histogram.add(score));
        let mut texts: Vec<(u64, String)> =
            self.texts.into_iter().map(|(key, (text, _))| (key, text)).collect();
        texts.sort_unstable();
        Some(SessionModel::new(core, texts, histogram.distribution(), self.key, self.settings))
    }

    fn forest(&self) -> Option<Forest> {
        let sample_size = self.params.max_samples.min(self.sessions as usize);
        let trees = self
            .slots
            .par_iter()
            .enumerate()
            .map_init(Grower::default, |grower, (tree, slots)| {
                let rows = slots.iter().map(|row| text_row(&row.columns));
                grower.grow(rows, sample_size, &mut tree_rng(self.params.seed ^ SEED, tree as u64))
            })
            .collect();
        let n_features = self.params.n_features as u32;
        Forest::from_data(ForestData { n_features, sample_size: sample_size as u32, trees }).ok()
    }
}

/// Keeps the `most` most frequent texts; of equals those with smaller keys.
fn keep_most_frequent(texts: &mut HashMap<u64, (String, u64)>, most: usize) {
    if texts.len() <= most {
        return;
    }
    let mut order: Vec<(u64, u64)> = texts.iter().map(|(key, (_, seen))| (*seen, *key)).collect();
    order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, key) in &order[most..] {
        texts.remove(key);
    }
}
