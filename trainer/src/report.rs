//! What training found, as data: the terminal shows it, `--report-json` writes it.

use engine::event::EventTime;
use engine::model::{Contamination, Model, Reason, Scratch};
use serde::Serialize;

use crate::args::FitArgs;
use crate::fit::Found;
use crate::intake::Counts;

/// Shares of lines for which the expected anomalies are shown.
const SHARES: [f64; 5] = [0.1, 0.05, 0.01, 0.001, 0.0001];
/// Frequent patterns that are shown.
const PATTERNS: usize = 12;

/// The report of one training.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Where the model was written.
    pub model_path: String,
    /// Its size.
    pub model_bytes: u64,
    /// Its digest.
    pub model: String,
    /// Names of the inputs.
    pub inputs: Vec<String>,
    /// Lines of the inputs, headers included.
    pub lines: u64,
    /// Events that the model was trained on.
    pub accepted: u64,
    /// Events left out on request.
    pub excluded: u64,
    /// Blank lines.
    pub blank: u64,
    /// What could not be read, blank lines apart.
    pub rejected: Vec<RejectedRows>,
    /// First time that a line states, RFC 3339; none where no line states one.
    pub first_time: Option<String>,
    /// Last time that a line states.
    pub last_time: Option<String>,
    /// Parameters.
    pub params: Params,
    /// A line whose score is greater is an anomaly.
    pub threshold: f64,
    /// Share of the training lines above it.
    pub share_above: f64,
    /// Standard error of that share, where it rests on a sample.
    pub sample_error: Option<f64>,
    /// Training lines by score.
    pub histogram: Vec<Bin>,
    /// What to expect at some thresholds.
    pub expected: Vec<Expected>,
    /// What the budget of warnings buys.
    pub budget: Budget,
    /// The sessions that were learnt, where there was a session key.
    pub sessions: Option<Sessions>,
    /// The oddest lines, one of each kind.
    pub oddest: Vec<OddLine>,
    /// The most frequent patterns: what the model takes for usual.
    pub frequent_patterns: Vec<Pattern>,
}

/// Lines rejected for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct RejectedRows {
    /// The reason.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
    /// The first ones.
    pub examples: Vec<RejectedRow>,
}

/// One rejected line.
#[derive(Clone, Debug, Serialize)]
pub struct RejectedRow {
    /// Name of the input.
    pub input: String,
    /// Counted from 1.
    pub line: u64,
    /// What was found, what is allowed.
    pub detail: String,
}

/// Parameters of the model.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Params {
    /// A share, or `auto`.
    pub contamination: String,
    /// Trees.
    pub n_estimators: usize,
    /// Lines drawn for each tree.
    pub max_samples: usize,
    /// Hashed columns.
    pub n_features: usize,
    /// Seed.
    pub seed: u64,
}

/// Lines with a score from `from` to below `to`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// In [0, 1].
    pub from: f64,
    /// In [0, 1].
    pub to: f64,
    /// Lines.
    pub lines: u64,
}

/// What one threshold would give.
#[derive(Clone, Debug, Serialize)]
pub struct Expected {
    /// The contamination that gives it.
    pub contamination: f64,
    /// The score.
    pub threshold: f64,
    /// Share of the training lines above it.
    pub share_above: f64,
    /// Anomalies a day at the rate of the training data; none where that spans too little time.
    pub per_day: Option<f64>,
}

/// What the budget of warnings buys.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Budget {
    /// Odd lines a day.
    pub per_day: f64,
    /// The score that so many lines a day exceed, at the rate of the training data; none where that spans too
    /// little time.
    pub score: Option<f64>,
}

/// The sessions that were learnt.
#[derive(Clone, Debug, Serialize)]
pub struct Sessions {
    /// The session key.
    pub key: String,
    /// How many.
    pub count: u64,
    /// A session whose score is greater is an anomaly.
    pub threshold: f64,
    /// Share of the training sessions above it.
    pub share_above: f64,
}

/// A line that stands out.
#[derive(Clone, Debug, Serialize)]
pub struct OddLine {
    /// Name of the input.
    pub input: Option<String>,
    /// Line number, from 1.
    pub line: Option<u64>,
    /// RFC 3339.
    pub timestamp: String,
    /// Service.
    pub service: String,
    /// Level.
    pub level: Option<&'static str>,
    /// The text, secrets taken out.
    pub message: String,
    /// In [0, 1].
    pub score: f64,
    /// Further odd lines of its kind.
    pub more: u64,
    /// Why, largest contribution first.
    pub reasons: Vec<Reason>,
    /// The nearest usual pattern.
    pub nearest_pattern: Option<String>,
}

/// A masked pattern of the training lines.
#[derive(Clone, Debug, Serialize)]
pub struct Pattern {
    /// Its text.
    pub pattern: String,
    /// Lines that have it.
    pub lines: u64,
}

/// Counts of scores, fine enough to be put together into any readable number of bins.
#[derive(Clone, Debug)]
pub struct Histogram(Vec<u64>);

const FINE: usize = 1_000;
/// Most bins that are shown.
const SHOWN_BINS: usize = 20;

impl Default for Histogram {
    fn default() -> Self {
        Self(vec![0; FINE])
    }
}

impl Histogram {
    /// Counts the score of `lines` lines.
    pub fn add(&mut self, score: f64, lines: u64) {
        let bin = (score * FINE as f64) as usize;
        self.0[bin.min(FINE - 1)] += lines;
    }

    /// From the distribution that a model holds.
    pub fn of_model(model: &Model) -> Self {
        let rows = model.provenance().rows as f64;
        let above = |bin: usize| if bin == 0 { 1.0 } else { model.share_above(bin as f64 / FINE as f64) };
        Self((0..FINE).map(|bin| ((above(bin) - above(bin + 1)).max(0.0) * rows).round() as u64).collect())
    }

    /// The range that holds lines, in at most [`SHOWN_BINS`] bins of a round width.
    pub fn bins(&self) -> Vec<Bin> {
        let Some(first) = self.0.iter().position(|lines| *lines > 0) else { return Vec::new() };
        let last = self.0.iter().rposition(|lines| *lines > 0).unwrap_or(first);
        let widths = [1, 2, 5, 10, 20, 25, 50];
        let width = widths.into_iter().find(|width| last / width - first / width < SHOWN_BINS).unwrap_or(100);
        let edge = |bin: usize| (bin * width) as f64 / FINE as f64;
        let count = |bin: usize| self.0.iter().skip(bin * width).take(width).sum();
        (first / width..=last / width)
            .map(|bin| Bin { from: edge(bin), to: edge(bin + 1), lines: count(bin) })
            .collect()
    }
}

fn time(micros: i64) -> String {
    EventTime::from_micros(micros).to_string()
}

impl Report {
    /// Lines that are no event of their own: headers, and those that go on with the event before.
    pub fn joined(&self) -> u64 {
        let rejected: u64 = self.rejected.iter().map(|rows| rows.count).sum();
        self.lines.saturating_sub(self.accepted + self.excluded + self.blank + rejected)
    }

    /// What was read and written.
    pub fn new(args: &FitArgs, names: &[String], counts: &Counts, model: &Model, model_bytes: u64) -> Self {
        let provenance = model.provenance();
        let faulty = counts.rejects.iter().filter(|(reason, ..)| reason.as_str() != "empty");
        Self {
            budget: Budget {
                per_day: args.alert_budget_per_day,
                score: model.threshold_for_budget(args.alert_budget_per_day),
            },
            sessions: model.sessions().map(|sessions| {
                let threshold = sessions.threshold(model.contamination());
                Sessions {
                    key: sessions.key().as_str().to_owned(),
                    count: sessions.sessions(),
                    threshold: threshold.score,
                    share_above: threshold.share,
                }
            }),
            model_path: args.model_path.display().to_string(),
            model_bytes,
            model: model.digest().to_owned(),
            inputs: names.to_vec(),
            lines: counts.lines,
            accepted: counts.accepted,
            excluded: counts.excluded,
            blank: counts.rejects.total() - counts.rejects.faulty(),
            rejected: faulty
                .map(|(reason, count, examples)| RejectedRows {
                    reason: reason.as_str(),
                    count,
                    examples: examples
                        .iter()
                        .map(|row| RejectedRow {
                            input: row.input.clone(),
                            line: row.line,
                            detail: row.detail.clone(),
                        })
                        .collect(),
                })
                .collect(),
            first_time: counts.span.map(|(first, _)| time(first)),
            last_time: counts.span.map(|(_, last)| time(last)),
            params: Params {
                contamination: provenance.contamination.clone(),
                n_estimators: args.n_estimators,
                max_samples: args.max_samples,
                n_features: args.n_features,
                seed: args.seed,
            },
            frequent_patterns: model
                .frequent_patterns()
                .iter()
                .take(PATTERNS)
                .map(|(pattern, lines)| Pattern { pattern: pattern.clone(), lines: *lines })
                .collect(),
            ..Self::default()
        }
    }

    /// Scores and thresholds.
    pub fn with_scores(mut self, model: &Model, histogram: &Histogram, sample_error: Option<f64>) -> Self {
        let threshold = model.threshold(model.contamination());
        self.threshold = threshold.score;
        self.share_above = threshold.share;
        self.sample_error = sample_error;
        self.histogram = histogram.bins();
        self.expected = SHARES
            .into_iter()
            .map(|contamination| {
                let threshold = model.threshold(Contamination::Share(contamination));
                Expected {
                    contamination,
                    threshold: threshold.score,
                    share_above: threshold.share,
                    per_day: model.expected_per_day(threshold.score),
                }
            })
            .collect();
        self
    }

    /// The oddest lines with their reasons.
    pub fn with_oddest(
        mut self,
        model: &Model,
        names: &[String],
        found: &[Found],
        scratch: &mut Scratch,
    ) -> Self {
        self.oddest = found
            .iter()
            .map(|found| {
                let explanation = model.explain(&found.event, scratch);
                OddLine {
                    input: found.place.and_then(|place| names.get(place.input)).cloned(),
                    line: found.place.map(|place| place.line),
                    timestamp: found.event.timestamp.to_string(),
                    service: found.event.service.clone(),
                    level: found.event.level.map(|level| level.as_str()),
                    message: found.event.message.clone(),
                    score: found.score,
                    more: found.more,
                    reasons: explanation.reasons,
                    nearest_pattern: explanation.nearest_pattern,
                }
            })
            .collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_score_and_are_few() {
        let mut histogram = Histogram::default();
        for at in 0..=1_000 {
            histogram.add(f64::from(at) / 1_000.0, 1);
        }
        let bins = histogram.bins();
        assert!(bins.len() <= SHOWN_BINS);
        assert_eq!(bins.iter().map(|bin| bin.lines).sum::<u64>(), 1_001);
        assert!(bins.windows(2).all(|pair| (pair[0].to - pair[1].from).abs() < 1e-12));
    }

    #[test]
    fn close_scores_get_narrow_bins() {
        let mut histogram = Histogram::default();
        histogram.add(0.500, 1);
        histogram.add(0.509, 1);
        assert_eq!(histogram.bins().len(), 10);
        assert_eq!(Histogram::default().bins(), []);
    }
}
