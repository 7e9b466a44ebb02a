//! Why a line got its score: its nats, shared out among the words, the pattern and the level that brought them.
//!
//! A forest's nats are shared by what each test on the row's paths took off the expected path length (the
//! decomposition of Saabas, 2014, on path lengths, as DIFFI, Carletti et al. 2023, does with weights): exact, and
//! words that say the same thing share instead of hiding each other. Surprisal's nats go to the words whose
//! surprisals were averaged.

use hashbrown::hash_map::{Entry, HashMap};

use super::core::{self, Channels, Core, CoreScratch, STATISTICS, Surprisals, View, severity_nats};
use super::patterns::FrequentPatterns;
use super::{Explanation, Reason, ReasonKind};
use crate::event::{Level, LogEvent};
use crate::features::{Keyed, Line, WordKind, for_each_column};
use crate::forest::{Forest, Node, average_path_length};

/// Most reasons of one line.
const MOST_REASONS: usize = 5;
/// What brings less than this is not worth a reason.
const LEAST_NATS: f64 = 0.05;
/// Longest word that is shown, in bytes.
const LONGEST_WORD: usize = 120;
/// A word of fewer lines than this share is rare.
const RARE_SHARE: f64 = 0.05;

/// Nats by the index of [`Line::keyed`], and those of the pattern.
struct Shares {
    surprisal: Vec<f64>,
    forest: Vec<f64>,
    pattern: f64,
}

/// Explains the event that `line` has read, its columns included, with surprisals by `counts`.
pub fn explain(
    core: &Core,
    counts: &impl Surprisals,
    patterns: &FrequentPatterns,
    event: &LogEvent,
    own: u32,
    line: &Line,
    scratch: &mut CoreScratch,
) -> Explanation {
    let channels = core.channels_by(counts, View::from(line), own, scratch);
    let mut shares = shares(core, counts, event, own, line, &channels);
    prefer_words(line, &mut shares);
    let pattern = line.masked().pattern();
    let mut reasons = word_reasons(core, event, line, &shares);
    if let Some(level) = event.level {
        push_level(core, line, level, &shares, &mut reasons);
    }
    reasons.push(Reason {
        kind: ReasonKind::RarePattern,
        word: pattern.to_owned(),
        contribution: shares.pattern,
        seen: u64::from(core.counts.seen(line.pattern_key())),
    });
    reasons.retain(|reason| reason.contribution >= LEAST_NATS && !reason.word.is_empty());
    reasons.sort_by(|a, b| b.contribution.total_cmp(&a.contribution));
    reasons.truncate(MOST_REASONS);
    Explanation {
        reasons,
        pattern: pattern.to_owned(),
        pattern_seen: u64::from(core.counts.seen(line.pattern_key())),
        nearest_pattern: patterns.nearest(pattern).map(str::to_owned),
    }
}

fn shares(
    core: &Core,
    counts: &impl Surprisals,
    event: &LogEvent,
    own: u32,
    line: &Line,
    channels: &Channels,
) -> Shares {
    let keyed = line.keyed();
    let mut shares =
        Shares { surprisal: vec![0.0; keyed.len()], forest: vec![0.0; keyed.len()], pattern: 0.0 };
    let among = most_surprising(counts, keyed, own);
    add_scaled(&mut shares.surprisal, &among, channels.surprisal_nats);

    let values = core::statistics(counts, View::from(line), own);
    let row: Vec<(u32, f64)> = core::sparse(&core::surplus(values, core.medians)).collect();
    let credit = credit(&core.statistics, &row);
    let total: f64 = credit.iter().map(|(_, nats)| nats).sum();
    if total > 0.0 {
        for (column, part) in credit {
            let nats = channels.statistics_nats * part / total;
            if column as usize >= STATISTICS - 2 {
                shares.pattern += nats;
            } else {
                add_scaled(&mut shares.surprisal, &among, nats);
            }
        }
    }
    share_text_forest(core, event, line, channels.forest_nats, &mut shares.forest);
    shares
}

/// Adds `nats` in proportion to `weights`.
fn add_scaled(to: &mut [f64], weights: &[f64], nats: f64) {
    let total: f64 = weights.iter().sum();
    if total > 0.0 {
        to.iter_mut().zip(weights).for_each(|(to, weight)| *to += nats * weight / total);
    }
}

/// The surprisals of the words that reach the third greatest one, others 0; a repeated word counts once.
fn most_surprising(counts: &impl Surprisals, keyed: &[Keyed], own: u32) -> Vec<f64> {
    let mut met = hashbrown::HashSet::with_capacity(keyed.len());
    let surprisals: Vec<f64> = keyed
        .iter()
        .map(|keyed| match keyed.kind {
            WordKind::Message(_) if met.insert(keyed.key) => counts.surprisal(keyed.key, own),
            WordKind::Message(_) | WordKind::Service | WordKind::Level => 0.0,
        })
        .collect();
    let mut sorted = surprisals.clone();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let third = sorted.get(2).or(sorted.last()).copied().unwrap_or_default();
    surprisals.into_iter().map(|surprisal| if surprisal >= third { surprisal } else { 0.0 }).collect()
}

/// What each column of a row took off the expected path length, over all trees; only what shortened it.
fn credit(forest: &Forest, row: &[(u32, f64)]) -> Vec<(u32, f64)> {
    let mut credit: Vec<(u32, f64)> = row.iter().map(|(column, _)| (*column, 0.0)).collect();
    for tree in &forest.data().trees {
        let value =
            |feature| row.binary_search_by_key(&feature, |(column, _)| *column).map_or(0.0, |at| row[at].1);
        tree.walk(value, |parent, child| {
            if let Ok(at) = credit.binary_search_by_key(&parent.feature, |(column, _)| *column) {
                credit[at].1 += expected_rest(parent) - expected_rest(child) - 1.0;
            }
        });
    }
    credit.iter_mut().for_each(|(_, nats)| *nats = nats.max(0.0));
    credit
}

/// Expected path length from a node on.
fn expected_rest(node: &Node) -> f64 {
    average_path_length(node.samples)
}

fn share_text_forest(core: &Core, event: &LogEvent, line: &Line, nats: f64, forest: &mut [f64]) {
    let row: Vec<(u32, f64)> = core::text_row(line.columns()).collect();
    let credit = credit(&core.text, &row);
    let total: f64 = credit.iter().map(|(_, part)| part).sum();
    if total <= 0.0 {
        return;
    }
    let words = line.masked().words();
    let mut occurrences = vec![0_u32; credit.len()];
    let place = |column: u32| credit.binary_search_by_key(&column, |(column, _)| *column);
    for_each_column(event, core.spec, &mut Vec::new(), |column, _, _| {
        if let Ok(at) = place(column) {
            occurrences[at] += 1;
        }
    });
    for_each_column(event, core.spec, &mut Vec::new(), |column, span, kind| {
        let Ok(at) = place(column) else { return };
        let part = nats * credit[at].1 / total / f64::from(occurrences[at].max(1));
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
        }
    });
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

fn word_reasons(core: &Core, event: &LogEvent, line: &Line, shares: &Shares) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (at, keyed) in line.keyed().iter().enumerate() {
        let word = match keyed.kind {
            WordKind::Service => event.service.as_str(),
            WordKind::Level => continue,
            WordKind::Message(index) => {
                let word = line.masked().words().get(index);
                word.and_then(|word| event.message.get(word.source.clone())).unwrap_or_default()
            }
        };
        let word = &word[..word.floor_char_boundary(LONGEST_WORD)];
        let contribution = shares.surprisal[at] + shares.forest[at];
        match places.entry(word) {
            Entry::Occupied(known) => {
                reasons[*known.get()].contribution += contribution;
                continue;
            }
            Entry::Vacant(free) => {
                free.insert(reasons.len());
            }
        }
        let seen = u64::from(core.counts.seen(keyed.key));
        let rare = seen as f64 <= RARE_SHARE * core.counts.lines() as f64;
        let kind = if rare { ReasonKind::RareWord } else { ReasonKind::UnusualCombination };
        reasons.push(Reason { kind, word: word.to_owned(), contribution, seen });
    }
    reasons
}

fn push_level(core: &Core, line: &Line, level: Level, shares: &Shares, reasons: &mut Vec<Reason>) {
    let at = line.keyed().iter().position(|keyed| keyed.kind == WordKind::Level);
    let Some(at) = at else { return };
    reasons.push(Reason {
        kind: ReasonKind::Severity,
        word: level.as_str().to_owned(),
        contribution: severity_nats(Some(level)) + shares.surprisal[at] + shares.forest[at],
        seen: u64::from(core.counts.seen(line.keyed()[at].key)),
    });
}
