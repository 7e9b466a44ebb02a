//! The trained model: feature spec, vocabulary counts, forest, score distribution and provenance.
//! Scores and explains events; never learns while it does.

mod channel;
mod core;
mod counts;
mod credit;
mod distribution;
mod explain;
mod explained;
mod known;
mod online;
mod patterns;
mod recent;
mod row;
pub mod session;
mod stored;
mod tail_shape;
mod template;
pub mod train;

use std::sync::Arc;

pub use online::{OnlineCounts, OnlineSettings};
pub use recent::{RecentLines, TableCounts};
pub(crate) use stored::StoredModel;
pub use template::MOST_REASONS;

use crate::event::{LogEvent, LogLine};
use crate::features::{KeyMaker, Line, LineKey};
use core::{Channels, Core, CoreScratch, Surprisals, View};
use distribution::Distribution;
use explain::Explaining;
use explained::ExplainedLines;
use session::SessionModel;
use template::Template;

/// Nats of the sum that take a score from s to s + (1 − s)(1 − 1/e).
const NATS_PER_UNIT: f64 = 10.0;

/// The documented map of a line's sum of nats onto its score: 1 − e^(−nats/10).
pub fn score_of_nats(nats: f64) -> f64 {
    -(-nats.max(0.0) / NATS_PER_UNIT).exp_m1()
}

/// The inverse of [`score_of_nats`]: greatest at 1, where it is infinite.
pub fn nats_of_score(score: f64) -> f64 {
    -NATS_PER_UNIT * (-score.clamp(0.0, 1.0)).ln_1p()
}

/// What a score says of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// In [0, 1], greater is odder: a monotone map of the sum of the channels (see [`Model`]).
    pub score: f64,
    /// Share of training lines that score lower, in percent, 0–100.
    pub percentile: f64,
    /// The forest's own score 2^(-E[h(x)]/c(n)), in [0, 1].
    pub forest: f64,
    /// The surprisal reference: mean of the three largest word surprisals, in nats; words as in [`Model`].
    pub surprisal: f64,
}

/// What is said of one line: its score, and what detection asks of its pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judged {
    /// How odd the line is.
    pub score: Score,
    /// Stable hash of the line's masked pattern: the same with every model of these feature rules, every service and
    /// every process.
    pub pattern: u64,
    /// Whether the model still knows the pattern from training: of patterns that training saw rarely the model may
    /// keep no count (it keeps 262,144 of words and patterns). What was learnt since does not matter.
    pub known_pattern: bool,
}

/// What one reason speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReasonKind {
    /// A word that training saw rarely or never.
    RareWord,
    /// The line's whole masked pattern is rare or new.
    RarePattern,
    /// The line's severity.
    Severity,
    /// A combination of words that the forest isolates early.
    UnusualCombination,
    /// An event of a session that few training sessions have.
    RareEvent,
    /// An event that a session has unusually many or few times.
    UnusualCount,
    /// An event that a session lacks and most training sessions have.
    MissingEvent,
}

/// One part of the answer to "why is this line odd".
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Reason {
    /// What it speaks of.
    pub kind: ReasonKind,
    /// The word, pattern or level, as a person reads it in the line.
    pub word: String,
    /// Its part of the line's oddness, in nats; greater is odder.
    pub contribution: f64,
    /// Training lines that had it.
    pub seen: u64,
}

/// Why a line got its score.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Explanation {
    /// Largest contribution first.
    pub reasons: Vec<Reason>,
    /// The line's masked pattern.
    pub pattern: String,
    /// Training lines with that very pattern.
    pub pattern_seen: u64,
    /// The nearest pattern that training saw often, where one shares words with the line.
    pub nearest_pattern: Option<String>,
}

/// The share of training lines to call anomalous.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Contamination {
    /// A share in (0, 0.5].
    Share(f64),
    /// The threshold from the shape of the score distribution's tail: where a group of lines stands apart, or
    /// where the tail foretells half a line.
    Auto,
}

/// A line whose score is greater than `score` is an anomaly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// In [0, 1].
    pub score: f64,
    /// Share of training lines above it.
    pub share: f64,
}

/// Buffers that scoring reuses, one per thread; a fresh one gives the same scores. By default without a table of
/// recent lines and without a memory of explanations.
#[derive(Debug, Default)]
pub struct Scratch {
    line: Line,
    core: CoreScratch,
    recent: Option<RecentLines<Judged>>,
    explained: Option<ExplainedLines>,
}

impl Scratch {
    /// With a table that answers lines which were scored a moment ago, of `lines` entries of 64 bytes (see
    /// [`RecentLines::new`]; 0 for none). What is said of a line is the same with and without it.
    pub fn with_table(lines: usize, seed: u128) -> Self {
        Self { recent: (lines > 0).then(|| RecentLines::new(lines, seed)), ..Self::default() }
    }

    /// What the keys of the table's lines are made with; none without a table.
    pub fn key_maker(&self) -> Option<&KeyMaker> {
        self.recent.as_ref().map(RecentLines::key_maker)
    }

    /// With a memory of what [`Model::explain`] said a moment ago of lines that differ only in numbers and identifiers:
    /// of at most 2,048 of them and 8 MiB. Explanations are the same with and without it. See [`RecentLines::new`] for
    /// the `seed`.
    #[must_use]
    pub fn with_explanations(self, seed: u128) -> Self {
        Self { explained: Some(ExplainedLines::new(seed)), ..self }
    }

    /// Lines that the table answered, and lines that it could not answer, so far.
    pub fn table_counts(&self) -> TableCounts {
        self.recent.as_ref().map_or_else(TableCounts::default, RecentLines::counts)
    }

    /// Forgets the table's lines: after something changed that scores depend on, other than the model.
    pub fn clear_table(&mut self) {
        if let Some(recent) = &mut self.recent {
            recent.clear();
        }
        if let Some(explained) = &mut self.explained {
            explained.clear();
        }
    }
}

/// A trained model.
///
/// A line's oddness is a sum, in nats, of three channels and a prior:
/// - the Isolation Forest on the hashed shapes of its words, its service and its level;
/// - the mean of its three greatest word surprisals, −ln((d + ½)/(N + 1)) for a masked word that d of N lines have;
/// - the mean of all its word surprisals, where a service that training never saw counts as one word more, and the
///   pattern in place of the words where there are none, in both means;
/// - 3 nats for each step of severity above INFO (WARN 1, ERROR 2, FATAL 3).
///
/// Each channel counts with its log tail probability, −ln((k + ½)/(n + 1)) where k of n training lines are at
/// least as odd; beyond the oddest of them it grows by at most 3 nats more. The score is
/// 1 − e^(−sum/10). Training lines are scored with themselves left out of the counts.
#[derive(Debug)]
pub struct Model {
    core: Core,
    explaining: Explaining,
    distribution: Distribution,
    sessions: Option<SessionModel>,
    unseen_word_share: Option<f64>,
    provenance: Provenance,
    contamination: Contamination,
    digest: String,
}

impl Model {
    /// What a score adds up: three channels and the severity prior.
    pub const CHANNELS: [&str; 4] = ["forest", "rarest_words", "word_rarity", "severity"];

    /// Scores one event.
    pub fn score(&self, event: &LogEvent, scratch: &mut Scratch) -> Score {
        self.score_line(event.into(), scratch)
    }

    /// Scores one line.
    pub fn score_line(&self, line: LogLine<'_>, scratch: &mut Scratch) -> Score {
        self.judge_line(line, scratch).score
    }

    /// Scores one event and says what its pattern is.
    pub fn judge(&self, event: &LogEvent, scratch: &mut Scratch) -> Judged {
        self.judge_line(event.into(), scratch)
    }

    /// Scores one line and says what its pattern is.
    pub fn judge_line(&self, line: LogLine<'_>, scratch: &mut Scratch) -> Judged {
        scratch.line.canonicalise(line);
        let Some(recent) = &mut scratch.recent else {
            return self.judge_read(0, line, scratch);
        };
        recent.serve(&self.digest);
        let key = scratch.line.key(recent.key_maker(), line);
        if let Some(judged) = recent.get(key) {
            return judged;
        }
        let judged = self.judge_read(0, line, scratch);
        if let Some(recent) = &mut scratch.recent {
            recent.put(key, judged);
        }
        judged
    }

    /// What the table of recent lines says of the line with this key, which was made with [`Scratch::key_maker`].
    pub fn judged_of(&self, key: LineKey, scratch: &mut Scratch) -> Option<Judged> {
        let recent = scratch.recent.as_mut()?;
        recent.serve(&self.digest);
        recent.get(key)
    }

    /// Scores lines in order and appends the scores to `out`.
    pub fn score_batch<'a>(
        &self,
        lines: impl IntoIterator<Item = LogLine<'a>>,
        scratch: &mut Scratch,
        out: &mut Vec<Score>,
    ) {
        out.extend(lines.into_iter().map(|line| self.score_line(line, scratch)));
    }

    /// Scores an event that the model was trained on, with itself left out of the counts: its training score.
    pub fn score_training(&self, event: &LogEvent, scratch: &mut Scratch) -> Score {
        let line = event.into();
        scratch.line.canonicalise(line);
        self.judge_read(1, line, scratch).score
    }

    /// Scores one event by the training's counts and what its source partition said since; counts nothing.
    pub fn score_online(&self, event: &LogEvent, online: &OnlineCounts, scratch: &mut Scratch) -> Score {
        self.judge_online(event, online, scratch).score
    }

    /// As [`Model::score_online`], and says what the event's pattern is.
    pub fn judge_online(&self, event: &LogEvent, online: &OnlineCounts, scratch: &mut Scratch) -> Judged {
        scratch.line.read(event);
        scratch.line.read_columns(event, self.core.spec);
        let counts = online.over(&self.core.counts, &scratch.line);
        let channels = self.core.channels_by(&counts, View::from(&scratch.line), 0, &mut scratch.core);
        self.judged(&channels, scratch.line.pattern_key(), 0)
    }

    /// Says why an event got its score from [`Model::score_online`], before it was counted.
    pub fn explain_online(
        &self,
        event: &LogEvent,
        online: &OnlineCounts,
        scratch: &mut Scratch,
    ) -> Explanation {
        scratch.line.canonicalise(event.into());
        let online = |line: &Line| online.over(&self.core.counts, line);
        self.template(0, event, scratch, online).fill(event)
    }

    /// Counts an event that was scored: it takes effect with its service's next full step.
    pub fn count_online(&self, event: &LogEvent, online: &mut OnlineCounts, scratch: &mut Scratch) {
        scratch.line.read(event);
        online.count(&self.core.counts, &scratch.line);
    }

    /// Explains the event whose canonical text was read, by the counts that `counts` makes of it.
    fn template<C: Surprisals>(
        &self,
        own: u32,
        event: &LogEvent,
        scratch: &mut Scratch,
        counts: impl FnOnce(&Line) -> C,
    ) -> Template {
        let Scratch { line, core, .. } = scratch;
        line.read_words(event.into());
        line.read_columns(event, self.core.spec);
        explain::template(&self.core, &counts(line), &self.explaining, event, own, line, core)
    }

    /// Judges the line whose canonical text was read.
    fn judge_read(&self, own: u32, line: LogLine<'_>, scratch: &mut Scratch) -> Judged {
        scratch.line.read_words(line);
        scratch.line.read_line_columns(line, self.core.spec);
        let channels = self.core.channels(View::from(&scratch.line), own, &mut scratch.core);
        self.judged(&channels, scratch.line.pattern_key(), own)
    }

    fn judged(&self, channels: &Channels, pattern: u64, own: u32) -> Judged {
        let known_pattern = self.core.counts.seen(pattern) > own;
        Judged { score: self.score_of(channels), pattern, known_pattern }
    }

    fn score_of(&self, channels: &Channels) -> Score {
        let score = score_of_nats(channels.sum());
        Score {
            score,
            percentile: self.distribution.percentile(score),
            forest: self.core.text.score_of(channels.path_sum),
            surprisal: channels.surprisal.top,
        }
    }

    /// Says why an event got its score.
    pub fn explain(&self, event: &LogEvent, scratch: &mut Scratch) -> Explanation {
        scratch.line.canonicalise(event.into());
        let Some(explained) = &mut scratch.explained else {
            return self.template(0, event, scratch, |_| &self.core.counts).fill(event);
        };
        explained.serve(&self.digest);
        let key = scratch.line.key(explained.key_maker(), event.into());
        if let Some(template) = explained.get(key) {
            return template.fill(event);
        }
        let template = Arc::new(self.template(0, event, scratch, |_| &self.core.counts));
        if let Some(explained) = &mut scratch.explained {
            explained.put(key, &template);
        }
        template.fill(event)
    }

    /// Says why an event that the model was trained on got its training score; what was seen counts itself.
    pub fn explain_training(&self, event: &LogEvent, scratch: &mut Scratch) -> Explanation {
        scratch.line.canonicalise(event.into());
        self.template(1, event, scratch, |_| &self.core.counts).fill(event)
    }

    /// The threshold for a contamination, from the stored distribution of training scores.
    pub fn threshold(&self, contamination: Contamination) -> Threshold {
        self.distribution.threshold(contamination)
    }

    /// The contamination that the model was trained with: what [`Model::threshold`] is asked by default.
    pub const fn contamination(&self) -> Contamination {
        self.contamination
    }

    /// Share of training lines that score above `score`.
    pub fn share_above(&self, score: f64) -> f64 {
        self.distribution.share_above(score)
    }

    /// Lines above `score` that the training data would bring in a day, at its own rate; `None` where it spans
    /// less than a minute.
    pub fn expected_per_day(&self, score: f64) -> Option<f64> {
        self.lines_per_day().map(|lines| self.share_above(score) * lines)
    }

    /// The score that the training distribution expects to be exceeded `per_day` times a day, at the rate of the
    /// training data: what a budget of warnings buys. Beyond what so few training lines reach that they say little
    /// (fewer than ten), a generalised Pareto tail foretells it. `None` where the training data spans less than a
    /// minute; 0 where it brings fewer lines a day than that.
    pub fn threshold_for_budget(&self, per_day: f64) -> Option<f64> {
        let share = per_day / self.lines_per_day()?;
        Some(if share >= 1.0 { 0.0 } else { self.distribution.exceeded_by(share.max(0.0)) })
    }

    /// The same for sessions: the score that those of the training data exceed `per_day` times a day. `None` also where
    /// the model knows no sessions.
    pub fn session_threshold_for_budget(&self, per_day: f64) -> Option<f64> {
        let sessions = self.sessions()?;
        let share = per_day / self.per_day(sessions.sessions())?;
        Some(if share >= 1.0 { 0.0 } else { sessions.exceeded_by(share.max(0.0)) })
    }

    /// How many sessions a day are expected to bring something of a sort that never was, at most; `None` likewise.
    pub fn never_seen_per_day(&self, sort: session::Sort) -> Option<f64> {
        let sessions = self.sessions()?;
        Some(sessions.share_alone(sort) * self.per_day(sessions.sessions())?)
    }

    /// How many of an event's words training has no count of, and how many words it has. A repeated word counts each
    /// time; of words that training saw rarely the model may keep no count.
    pub fn unseen_words(&self, event: &LogEvent, scratch: &mut Scratch) -> (u64, u64) {
        scratch.line.read(event);
        scratch.line.unseen_words(|key| self.core.counts.seen(key) == 0)
    }

    /// What [`Model::unseen_words`] comes to among the training lines, each with itself left out: the share of the words
    /// of a uniform sample of at most 32 768 lines (the first 512 bytes of each message) that no other line has, in
    /// [0, 1]. `None` where the artifact is of format version 3, which does not hold it.
    pub const fn unseen_word_share(&self) -> Option<f64> {
        self.unseen_word_share
    }

    /// The forest's trees, the lines drawn for each of them, and the hashed columns.
    pub fn dimensions(&self) -> Dimensions {
        let forest = self.core.text.data();
        Dimensions {
            n_estimators: forest.trees.len(),
            max_samples: forest.sample_size as usize,
            n_features: self.core.spec.n_features as usize,
        }
    }

    /// Lines a day at the rate of the training data; `None` where it spans less than a minute.
    pub fn lines_per_day(&self) -> Option<f64> {
        self.per_day(self.provenance.rows)
    }

    /// What came `count` times in the training data, in a day.
    fn per_day(&self, count: u64) -> Option<f64> {
        const MICROS_PER_DAY: f64 = 86_400e6;
        const LEAST_SPAN_MICROS: i64 = 60_000_000;
        let span = self.provenance.last_time.checked_sub(self.provenance.first_time)?;
        (span >= LEAST_SPAN_MICROS).then(|| count as f64 * MICROS_PER_DAY / span as f64)
    }

    /// The most frequent patterns of the training lines with their counts, most frequent first, at most 4,096.
    pub fn frequent_patterns(&self) -> &[(String, u64)] {
        self.explaining.patterns().as_slice()
    }

    /// The model of whole sessions, where it was trained with a session key.
    pub const fn sessions(&self) -> Option<&SessionModel> {
        self.sessions.as_ref()
    }

    /// The model of whole sessions alone.
    pub fn into_sessions(self) -> Option<SessionModel> {
        self.sessions
    }

    /// How the model came about.
    pub const fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Digest of the artifact's content, 32 hexadecimal digits: the model's name in records and messages.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// How large a model's forest is. Named as the parameters of its training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Dimensions {
    /// Trees.
    pub n_estimators: usize,
    /// Lines drawn for each tree: as asked for, or all where there were fewer.
    pub max_samples: usize,
    /// Hashed columns.
    pub n_features: usize,
}

/// How a model came about.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Provenance {
    /// Names of the inputs.
    pub inputs: Vec<String>,
    /// Rows that were accepted.
    pub rows: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// First and last event time, microseconds since the epoch.
    pub first_time: i64,
    /// See `first_time`.
    pub last_time: i64,
    /// Contamination that was asked for: a share, or `auto`.
    pub contamination: String,
    /// Seed of the random generators.
    pub seed: u64,
    /// Version of the program.
    pub program_version: String,
}
