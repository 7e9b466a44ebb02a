//! Words that were seen since training, counted per service: what recurs becomes usual, but a recurring fault does
//! not. Reads no clock; learns only where it is told to, and only from the order of the lines.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::core::Surprisals;
use super::counts::Counts;
use crate::event::Level;
use crate::features::Line;
use crate::learnt::{Learnt, RestoreError, decode, encode};

/// Units of one line of weight 1.
const UNITS: u32 = 1 << 10;
/// Training says as much of a service as so many of its own lines would: the strength of the prior, in lines.
const PRIOR_LINES: f64 = 1_000.0;
/// What training finds less surprising than this, in nats, is usual already and not counted again: a twentieth of
/// the training lines have it.
const LEAST_NATS: f64 = 3.0;
/// Words that are kept of a service, and as many of its unfinished step, where there are few services.
const MOST_KEYS: usize = 512;
/// Words of all services together: as many services as are counted apart share them.
const MOST_KEYS_TOGETHER: usize = 1 << 21;
/// Lines after which the weights of a service are halved, so that what stopped recurring fades.
const HALVE_AT: u64 = 1 << 20;
/// Key of the service that stands for all beyond the cap.
const OTHER: u64 = 0;

/// How lines that were seen since training are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnlineSettings {
    /// Lines of a service after which what they held takes effect, 1–1 000 000.
    pub step: u32,
    /// What a line of level ERROR or FATAL weighs against one of any other level, 0–1: words that only such lines
    /// have never count as more frequent than this share of their service's lines.
    pub severe_weight: f64,
    /// Services that are counted apart; those beyond share one place. 1–100 000.
    pub services: usize,
}

impl Default for OnlineSettings {
    fn default() -> Self {
        Self { step: 1_000, severe_weight: 0.05, services: 10_000 }
    }
}

impl OnlineSettings {
    /// Words that are kept of one service, and again of its unfinished step.
    fn most_keys(&self) -> usize {
        (MOST_KEYS_TOGETHER / (self.services + 1)).clamp(8, MOST_KEYS)
    }

    fn units(&self, level: Option<Level>) -> u32 {
        let weight = match level {
            Some(Level::Error | Level::Fatal) => self.severe_weight.clamp(0.0, 1.0),
            _ => 1.0,
        };
        (weight * f64::from(UNITS)).round() as u32
    }
}

/// What one service said since training.
#[derive(Clone, Debug, Default, PartialEq)]
struct Service {
    /// Lines that took effect; halved together with `known`.
    lines: u64,
    /// Units by key, that took effect.
    known: HashMap<u64, u32>,
    /// Steps that took effect.
    steps: u64,
    /// Lines of the step that is not finished.
    pending_lines: u32,
    /// Units by key, of the step that is not finished.
    pending: HashMap<u64, u32>,
}

impl Service {
    /// Counts a line's keys; beyond `most` different ones in a step no new ones are taken.
    fn count(&mut self, keys: impl Iterator<Item = u64>, units: u32, step: u32, most: usize) {
        if units > 0 {
            for key in keys {
                let has_room = self.pending.len() < most;
                if let Some(held) = self.pending.get_mut(&key) {
                    *held = held.saturating_add(units);
                } else if has_room {
                    self.pending.insert(key, units);
                }
            }
        }
        self.pending_lines += 1;
        if self.pending_lines >= step {
            self.take_effect(most);
        }
    }

    /// Keeps the `most` keys of the greatest weight, of equal ones those of the greater key.
    fn take_effect(&mut self, most: usize) {
        self.steps += 1;
        self.lines += u64::from(std::mem::take(&mut self.pending_lines));
        for (key, units) in self.pending.drain() {
            let known = self.known.entry(key).or_insert(0);
            *known = known.saturating_add(units);
        }
        if self.lines >= HALVE_AT {
            self.lines /= 2;
            self.known.retain(|_, units| {
                *units /= 2;
                *units > 0
            });
        }
        if self.known.len() > most {
            let mut order: Vec<(u32, u64)> = self.known.iter().map(|(key, units)| (*units, *key)).collect();
            order.sort_unstable();
            for (_, key) in &order[..order.len() - most] {
                self.known.remove(key);
            }
        }
    }
}

/// Counts of one source partition.
///
/// A line is counted after it was scored. What it held takes effect when its service has `step` further lines, so a
/// score depends on the order of a service's lines alone, never on how they were cut into batches. It holds at most 512
/// words of a service and as many of its unfinished step, and at most 2^22 of all services together (50 MB as a
/// snapshot), which the services share: 209 and 209 of each of 10,000.
#[derive(Clone, Debug, PartialEq)]
pub struct OnlineCounts {
    settings: OnlineSettings,
    services: HashMap<u64, Service>,
}

impl OnlineCounts {
    /// Nothing seen yet.
    pub fn new(settings: OnlineSettings) -> Self {
        Self { settings, services: HashMap::new() }
    }

    /// Changes with each step of the service that takes effect, and never otherwise: what was computed under another
    /// generation must be computed anew.
    pub fn generation(&self, service: u64) -> u64 {
        self.services.get(&self.place(service)).map_or(0, |service| service.steps)
    }

    /// Services that are counted apart, with the place of those beyond the cap.
    pub fn services(&self) -> usize {
        self.services.len()
    }

    /// Where a service is counted.
    fn place(&self, service: u64) -> u64 {
        if self.services.contains_key(&service) || self.apart() < self.settings.services {
            service
        } else {
            OTHER
        }
    }

    fn apart(&self) -> usize {
        self.services.len() - usize::from(self.services.contains_key(&OTHER))
    }

    /// Counts a line that was scored.
    pub(super) fn count(&mut self, counts: &Counts, line: &Line) {
        let place = self.place(line.context_keys()[0]);
        let units = self.settings.units(line.level());
        let service = self.services.entry(place).or_default();
        let surprising = |key: &u64| counts.surprisal(*key, 0) >= LEAST_NATS;
        let wordless = line.keys().is_empty().then(|| line.pattern_key());
        service.count(
            line.keys().iter().copied().chain(wordless).filter(surprising),
            units,
            self.settings.step,
            self.settings.most_keys(),
        );
    }

    /// The training's counts with those of the line's service laid over them.
    pub(super) fn over<'a>(&'a self, counts: &'a Counts, line: &Line) -> Overlaid<'a> {
        let service = self.services.get(&self.place(line.context_keys()[0]));
        Overlaid { counts, service: service.filter(|service| service.lines > 0) }
    }
}

/// Training counts and those of one service since then.
///
/// A word's share of the lines is (u + P·p)/(n + P), with u of the service's n lines since training by weight, p its
/// share in training and P = 1,000 lines (Dirichlet smoothing, Zhai & Lafferty, ACM TOIS 2004). What was seen only
/// ever makes a key less surprising. Since u ≤ w·n for a word that only lines of weight w have, its share never
/// exceeds the greater of w and p: however often a fault comes, its words stay as surprising as −ln w, 3 nats at .05.
#[derive(Clone, Copy, Debug)]
pub struct Overlaid<'a> {
    counts: &'a Counts,
    service: Option<&'a Service>,
}

impl Surprisals for Overlaid<'_> {
    fn surprisal(&self, key: u64, own: u32) -> f64 {
        let trained = self.counts.surprisal(key, own);
        let Some(service) = self.service else { return trained };
        let Some(units) = service.known.get(&key) else { return trained };
        let seen = f64::from(*units) / f64::from(UNITS);
        let share = (seen + PRIOR_LINES * (-trained).exp()) / (service.lines as f64 + PRIOR_LINES);
        trained.min(-share.ln())
    }

    fn is_new_service(&self, service: u64, own: u32) -> bool {
        self.service.is_none() && self.counts.seen(service) <= own
    }
}

/// What is stored; keys ascending, so that equal counts give equal bytes.
#[derive(Serialize, Deserialize)]
struct Stored {
    services: Vec<StoredService>,
}

#[derive(Serialize, Deserialize)]
struct StoredService {
    key: u64,
    lines: u64,
    steps: u64,
    pending_lines: u32,
    known: Vec<(u64, u32)>,
    pending: Vec<(u64, u32)>,
}

fn sorted(map: &HashMap<u64, u32>) -> Vec<(u64, u32)> {
    let mut pairs: Vec<_> = map.iter().map(|(key, units)| (*key, *units)).collect();
    pairs.sort_unstable();
    pairs
}

impl Learnt for OnlineCounts {
    fn name(&self) -> &'static str {
        "online counts"
    }

    fn version(&self) -> u32 {
        1
    }

    fn snapshot(&self, out: &mut Vec<u8>) {
        let mut services: Vec<StoredService> = self
            .services
            .iter()
            .map(|(key, service)| StoredService {
                key: *key,
                lines: service.lines,
                steps: service.steps,
                pending_lines: service.pending_lines,
                known: sorted(&service.known),
                pending: sorted(&service.pending),
            })
            .collect();
        services.sort_unstable_by_key(|service| service.key);
        encode(&Stored { services }, out);
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let stored: Stored = decode(bytes)?;
        if stored.services.len() > self.settings.services + 1 {
            return Err(RestoreError::Invalid {
                detail: format!(
                    "it holds {} services, at most {} are counted apart",
                    stored.services.len(),
                    self.settings.services
                ),
            });
        }
        self.services = stored
            .services
            .into_iter()
            .map(|stored| {
                let service = Service {
                    lines: stored.lines,
                    known: stored.known.into_iter().collect(),
                    steps: stored.steps,
                    pending_lines: stored.pending_lines,
                    pending: stored.pending.into_iter().collect(),
                };
                (stored.key, service)
            })
            .collect();
        Ok(())
    }
}
