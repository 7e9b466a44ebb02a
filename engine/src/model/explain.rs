//! Why a line got its score: its nats, shared out among the words and the level that brought them.
//!
//! The forest's nats are shared out by path credits ([`credit`]): words that say the same thing share instead of
//! hiding each other. Surprisal's nats go to the words whose surprisals were averaged. What no word brought, such as
//! words that are missing, belongs to the pattern as a whole; so the parts add up to the score's nats.

use std::sync::OnceLock;

use hashbrown::hash_map::{Entry, HashMap};

use super::core::{self, Channels, Core, CoreScratch, Surprisals, View, severity_nats};
use super::credit::{CreditIndex, Credits};
use super::patterns::FrequentPatterns;
use super::template::{Template, Varying, shown};
use super::{Reason, ReasonKind};
use crate::event::{Level, LogEvent};
use crate::features::{Keyed, Line, WordKind};

/// A word of fewer lines than this share is rare.
const RARE_SHARE: f64 = 0.05;

/// Nats by the index of [`Line::keyed`], and those of the pattern.
struct Shares {
    surprisal: Vec<f64>,
    forest: Vec<f64>,
    pattern: f64,
}

/// What all explanations of a model read.
#[derive(Debug)]
pub struct Explaining {
    patterns: FrequentPatterns,
    /// Made when the first line is explained.
    credits: OnceLock<CreditIndex>,
}

impl Explaining {
    /// With the patterns that are told as the nearest.
    pub const fn new(patterns: FrequentPatterns) -> Self {
        Self { patterns, credits: OnceLock::new() }
    }

    /// The frequent patterns.
    pub const fn patterns(&self) -> &FrequentPatterns {
        &self.patterns
    }

    fn credits(&self, core: &Core, row: &[(u32, f64)]) -> Credits {
        self.credits.get_or_init(|| CreditIndex::new(&core.text)).credits(&core.text, row)
    }
}

/// What an explanation of the event that `line` has read, its columns included, holds for all lines of its key, with
/// surprisals by `counts`.
pub fn template(
    core: &Core,
    counts: &impl Surprisals,
    explaining: &Explaining,
    event: &LogEvent,
    own: u32,
    line: &Line,
    scratch: &mut CoreScratch,
) -> Template {
    let channels = core.channels_by(counts, View::from(line), own, scratch);
    let shares = shares(core, counts, explaining, event, own, line, &channels);
    let pattern = line.masked().pattern();
    let pattern_seen = u64::from(core.counts.seen(line.pattern_key()));
    let mut template = Template::new(pattern.to_owned(), pattern_seen);
    template.nearest_pattern = explaining.patterns.nearest(pattern).map(str::to_owned);
    put_words(core, event, line, &shares, &mut template);
    if let Some(level) = event.level {
        put_level(core, line, level, &shares, &mut template);
    }
    template.put(Reason {
        kind: if is_rare(core, pattern_seen) {
            ReasonKind::RarePattern
        } else {
            ReasonKind::UnusualCombination
        },
        word: pattern.to_owned(),
        contribution: shares.pattern,
        seen: pattern_seen,
    });
    template.finish();
    template
}

/// Parts of the channels' nats; with the severity prior they add up to [`Channels::sum`].
fn shares(
    core: &Core,
    counts: &impl Surprisals,
    explaining: &Explaining,
    event: &LogEvent,
    own: u32,
    line: &Line,
    channels: &Channels,
) -> Shares {
    let keyed = line.keyed();
    let mut shares =
        Shares { surprisal: vec![0.0; keyed.len() + 1], forest: vec![0.0; keyed.len()], pattern: 0.0 };
    let mut surprisals = surprisals(counts, line, own);
    shares.pattern += add_scaled(&mut shares.surprisal, &surprisals, channels.mean_nats);
    keep_greatest(&mut surprisals);
    shares.pattern += add_scaled(&mut shares.surprisal, &surprisals, channels.top_nats);
    shares.pattern += shares.surprisal.pop().unwrap_or_default();
    let row: Vec<(u32, f64)> = core::text_row(line.columns()).collect();
    let credits = explaining.credits(core, &row);
    let nats = channels.forest_nats;
    shares.pattern += share_text_forest(core, &credits, event, line, nats, &mut shares.forest);
    prefer_words(line, &mut shares);
    shares
}

/// Adds `nats` in proportion to `weights`; returns what could not be added for want of weight.
fn add_scaled(to: &mut [f64], weights: &[f64], nats: f64) -> f64 {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return nats;
    }
    to.iter_mut().zip(weights).for_each(|(to, weight)| *to += nats * weight / total);
    0.0
}

/// The surprisals that the channels are made of, as [`core::surprisal`] has them: those of the message's words, a
/// repeated one once, that of a new service, and last that of the pattern, for a line without words.
fn surprisals(counts: &impl Surprisals, line: &Line, own: u32) -> Vec<f64> {
    let keyed = line.keyed();
    let mut met = hashbrown::HashSet::with_capacity(keyed.len());
    let service = line.service_key().filter(|service| counts.is_new_service(*service, own));
    let of = |keyed: &Keyed| match keyed.kind {
        WordKind::Message(_) if met.insert(keyed.key) => counts.surprisal(keyed.key, own),
        WordKind::Service => service.map_or(0.0, |service| counts.surprisal(service, own)),
        WordKind::Message(_) | WordKind::Level => 0.0,
    };
    let mut surprisals: Vec<f64> = keyed.iter().map(of).collect();
    let is_wordless = line.keys().is_empty();
    surprisals.push(if is_wordless { counts.surprisal(line.pattern_key(), own) } else { 0.0 });
    surprisals
}

/// Sets those below the third greatest to 0.
fn keep_greatest(surprisals: &mut [f64]) {
    let mut sorted = surprisals.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let third = sorted.get(2).or(sorted.last()).copied().unwrap_or_default();
    surprisals.iter_mut().filter(|surprisal| **surprisal < third).for_each(|surprisal| *surprisal = 0.0);
}

/// Adds the forest's nats to the words that brought them; returns what none of them brought.
fn share_text_forest(
    core: &Core,
    credits: &Credits,
    event: &LogEvent,
    line: &Line,
    nats: f64,
    forest: &mut [f64],
) -> f64 {
    let row = line.columns();
    let words = line.masked().words();
    let mut occurrences = vec![0_u32; row.len()];
    let place = |column: u32| row.binary_search_by_key(&column, |(column, _)| *column);
    line.for_each_column(event.into(), core.spec, |column, _, _| {
        if let Ok(at) = place(column) {
            occurrences[at] += 1;
        }
    });
    let mut parts = vec![0.0; row.len()];
    credits.share_out(nats, |column, part| {
        if let Ok(at) = place(column) {
            parts[at] = part;
        }
    });
    let mut rest = nats;
    line.for_each_column(event.into(), core.spec, |column, span, kind| {
        let Ok(at) = place(column) else { return };
        let part = parts[at] / f64::from(occurrences[at].max(1));
        let index = match (kind, span) {
            (WordKind::Service, _) => Some(0),
            (WordKind::Level, _) => Some(1),
            (WordKind::Message(_), Some((start, end))) => {
                let word = words.partition_point(|word| word.source.end <= start);
                words.get(word).filter(|word| word.source.start < end).map(|_| word + 2)
            }
            (WordKind::Message(_), None) => None,
        };
        if let Some(slot) = index.and_then(|index| forest.get_mut(index)) {
            *slot += part;
            rest -= part;
        }
    });
    rest.max(0.0)
}

/// Moves what numbers and addresses brought to the words, in proportion, unless they brought most of it: then the
/// number itself is what is odd.
fn prefer_words(line: &Line, shares: &mut Shares) {
    let words = line.masked().words();
    let is_mask: Vec<bool> = line
        .keyed()
        .iter()
        .map(|keyed| match keyed.kind {
            WordKind::Message(index) => words.get(index).is_some_and(|word| word.is_mask),
            WordKind::Service | WordKind::Level => false,
        })
        .collect();
    for part in [&mut shares.surprisal, &mut shares.forest] {
        let total: f64 = part.iter().sum();
        let masks: f64 =
            part.iter().zip(&is_mask).filter(|(_, is_mask)| **is_mask).map(|(nats, _)| nats).sum();
        if masks > 0.0 && masks <= total / 2.0 {
            let scale = total / (total - masks);
            for (nats, is_mask) in part.iter_mut().zip(&is_mask) {
                *nats = if *is_mask { 0.0 } else { *nats * scale };
            }
        }
    }
}

/// The service and the message's words, equal ones together.
fn put_words(core: &Core, event: &LogEvent, line: &Line, shares: &Shares, template: &mut Template) {
    let canonical = line.canonical();
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(line.keyed().len());
    for (at, keyed) in line.keyed().iter().enumerate() {
        let contribution = shares.surprisal[at] + shares.forest[at];
        let seen = u64::from(core.counts.seen(keyed.key));
        let kind = if is_rare(core, seen) { ReasonKind::RareWord } else { ReasonKind::UnusualCombination };
        let word = match keyed.kind {
            WordKind::Service => event.service.as_str(),
            WordKind::Level => continue,
            WordKind::Message(index) => {
                let Some(word) = line.masked().words().get(index) else { continue };
                let span = word.source.clone();
                if word.is_mask || canonical.may_vary(&span) {
                    template.put_varying(Varying { span, kind, contribution, seen });
                    continue;
                }
                event.message.get(span).unwrap_or_default()
            }
        };
        match places.entry(shown(word)) {
            Entry::Occupied(known) => template.add(*known.get(), contribution),
            Entry::Vacant(free) => {
                let word = (*free.key()).to_owned();
                free.insert(template.put(Reason { kind, word, contribution, seen }));
            }
        }
    }
}

fn is_rare(core: &Core, seen: u64) -> bool {
    seen as f64 <= RARE_SHARE * core.counts.lines() as f64
}

fn put_level(core: &Core, line: &Line, level: Level, shares: &Shares, template: &mut Template) {
    let at = line.keyed().iter().position(|keyed| keyed.kind == WordKind::Level);
    let Some(at) = at else { return };
    template.put(Reason {
        kind: ReasonKind::Severity,
        word: level.as_str().to_owned(),
        contribution: severity_nats(Some(level)) + shares.surprisal[at] + shares.forest[at],
        seen: u64::from(core.counts.seen(line.keyed()[at].key)),
    });
}
