//! What scores a line: counts, a forest and the tails of three channels.

use crate::event::Level;
use crate::features::{FeatureSpec, Line};
use crate::forest::{Forest, PathScratch};

use super::channel::Tail;
use super::counts::Counts;

/// Nats that each level above INFO adds.
const NATS_PER_STEP: f64 = 3.0;

/// The severity prior: 3 nats a step above INFO, a step for WARN, two for ERROR, three for FATAL.
pub fn severity_nats(level: Option<Level>) -> f64 {
    let steps = match level {
        Some(Level::Warn) => 1.0,
        Some(Level::Error) => 2.0,
        Some(Level::Fatal) => 3.0,
        Some(Level::Trace | Level::Debug | Level::Info) | None => 0.0,
    };
    steps * NATS_PER_STEP
}

/// The features of a line, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Hashed columns of the shape words.
    pub columns: &'a [(u32, f32)],
    /// Distinct keys of the masked words.
    pub keys: &'a [u64],
    /// Key of the service, where the line names one.
    pub service: Option<u64>,
    /// Key of the pattern.
    pub pattern: u64,
    /// The level.
    pub level: Option<Level>,
}

impl<'a> From<&'a Line> for View<'a> {
    fn from(line: &'a Line) -> Self {
        Self {
            columns: line.columns(),
            keys: line.keys(),
            service: line.service_key(),
            pattern: line.pattern_key(),
            level: line.level(),
        }
    }
}

/// What the channels say of one line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channels {
    /// Raw: the forest's sum of paths.
    pub path_sum: i64,
    /// Raw: what the words' surprisals come to.
    pub surprisal: Surprisal,
    /// The forest's log tail probability, in nats.
    pub forest_nats: f64,
    /// That of the mean of the three greatest surprisals.
    pub top_nats: f64,
    /// That of the mean surprisal.
    pub mean_nats: f64,
    /// The severity prior.
    pub severity_nats: f64,
}

impl Channels {
    /// The sum, in nats.
    pub fn sum(&self) -> f64 {
        self.forest_nats + self.top_nats + self.mean_nats + self.severity_nats
    }
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub struct CoreScratch {
    text: PathScratch,
}

/// Counts, the forest and the tails.
#[derive(Clone, Debug)]
pub struct Core {
    /// How features are made.
    pub spec: FeatureSpec,
    /// How many lines had what.
    pub counts: Counts,
    /// The forest on shape words.
    pub text: Forest,
    /// Tails of the forest, the mean of the three greatest surprisals and the mean surprisal.
    pub tails: [Tail; 3],
}

/// How surprising a key is: what training counted, or that with what was seen since.
pub trait Surprisals {
    /// In nats; `own` is 1 where the line itself is one of those counted and is left out.
    fn surprisal(&self, key: u64, own: u32) -> f64;

    /// Whether neither training nor anything since knows the service; `own` as above.
    fn is_new_service(&self, service: u64, own: u32) -> bool;
}

impl Surprisals for Counts {
    fn surprisal(&self, key: u64, own: u32) -> f64 {
        Self::surprisal(self, key, own)
    }

    fn is_new_service(&self, service: u64, own: u32) -> bool {
        self.seen(service) <= own
    }
}

impl<T: Surprisals> Surprisals for &T {
    fn surprisal(&self, key: u64, own: u32) -> f64 {
        (**self).surprisal(key, own)
    }

    fn is_new_service(&self, service: u64, own: u32) -> bool {
        (**self).is_new_service(service, own)
    }
}

/// What the surprisals of some words come to, in nats; 0 where there are no words.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Surprisal {
    /// The greatest.
    pub greatest: f64,
    /// Mean of the three greatest: the reference that is reported beside every score.
    pub top: f64,
    /// Mean of all.
    pub mean: f64,
}

impl Surprisal {
    /// Of single surprisals.
    pub fn of(surprisals: impl Iterator<Item = f64>) -> Self {
        let mut top = [0.0_f64; 3];
        let (mut sum, mut words) = (0.0, 0.0_f64);
        for surprisal in surprisals {
            sum += surprisal;
            words += 1.0;
            let mut rest = surprisal;
            for slot in &mut top {
                if rest > *slot {
                    std::mem::swap(slot, &mut rest);
                }
            }
        }
        let words = words.max(1.0);
        Self { greatest: top[0], top: top.iter().sum::<f64>() / words.min(3.0), mean: sum / words }
    }
}

/// The surprisal of a line's words, or where it has none of its pattern, and of a service that is new; `own` is 1 for a
/// training line, which is then left out of the counts.
pub fn surprisal(counts: &impl Surprisals, view: View<'_>, own: u32) -> Surprisal {
    let wordless = view.keys.is_empty().then_some(view.pattern);
    let service = view.service.filter(|service| counts.is_new_service(*service, own));
    let keys = view.keys.iter().copied().chain(wordless).chain(service);
    Surprisal::of(keys.map(|key| counts.surprisal(key, own)))
}

/// A forest's raw channel value: the shorter the paths, the odder.
pub fn forest_value(forest: &Forest, path_sum: i64) -> f64 {
    -forest.mean_path(path_sum)
}

/// Hashed columns as a forest takes them.
pub fn text_row(columns: &[(u32, f32)]) -> impl Iterator<Item = (u32, f64)> + Clone {
    columns.iter().map(|(column, value)| (*column, f64::from(*value)))
}

impl Core {
    /// What the channels say of a line.
    pub fn channels(&self, view: View<'_>, own: u32, scratch: &mut CoreScratch) -> Channels {
        self.channels_by(&self.counts, view, own, scratch)
    }

    /// As [`Core::channels`], with surprisals by `counts`.
    pub fn channels_by(
        &self,
        counts: &impl Surprisals,
        view: View<'_>,
        own: u32,
        scratch: &mut CoreScratch,
    ) -> Channels {
        let path_sum = self.text.path_sum(text_row(view.columns), &mut scratch.text);
        let surprisal = surprisal(counts, view, own);
        let [forest, top, mean] = &self.tails;
        Channels {
            path_sum,
            surprisal,
            forest_nats: forest.nats(forest_value(&self.text, path_sum)),
            top_nats: top.nats(surprisal.top),
            mean_nats: mean.nats(surprisal.mean),
            severity_nats: severity_nats(view.level),
        }
    }
}
