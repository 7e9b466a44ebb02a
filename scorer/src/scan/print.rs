//! What a scan prints: for people the oddest kinds of line with reasons, for programs one JSON object per line.

use std::io::{self, Write};

use corpus::{Oddest, Place};
use engine::event::{LogEvent, TimeSource};
use engine::model::{Reason, Score, Scratch};
use engine::terminal::{shown, thousands};
use serde::Serialize;

use super::Counts;
use super::fold::{Kind, fold};
use super::judge::{Judge, Verdict};
use super::words::{Colours, marked, odd_words, reasons_in_words};

/// Longest text of a line that people are shown, in characters.
const SHOWN_CHARACTERS: usize = 220;
/// Candidates that are held for each kind that is shown, because patterns that are alike are folded afterwards.
const CANDIDATES: usize = 10;

/// One line as `--json` prints it.
#[derive(Debug, Serialize)]
struct JsonLine<'a> {
    line: u64,
    timestamp: String,
    service: &'a str,
    level: Option<&'static str>,
    message: &'a str,
    score: f64,
    percentile: f64,
    forest: f64,
    surprisal: f64,
    anomaly: bool,
    reasons: Vec<Reason>,
    nearest_pattern: Option<String>,
}

enum Style {
    Json { all: bool },
    JsonTop { top: usize, lines: Vec<(LogEvent, Place, Verdict)> },
    Human { top: usize, oddest: Oddest },
    Live,
}

/// Prints verdicts.
pub struct Printer {
    style: Style,
    colours: Colours,
}

impl Printer {
    /// Anomalies (or all lines) as JSON objects, as they come.
    pub fn json(all: bool) -> Self {
        Self { style: Style::Json { all }, colours: Colours::new(false) }
    }

    /// The `top` oddest anomalies as JSON objects, oddest first.
    pub fn json_top(top: usize) -> Self {
        Self { style: Style::JsonTop { top, lines: Vec::new() }, colours: Colours::new(false) }
    }

    /// The `top` oddest kinds of line for people.
    pub fn human(top: usize, colours: Colours) -> Self {
        let oddest = Oddest::new(top.saturating_mul(CANDIDATES).clamp(1, 100_000));
        Self { style: Style::Human { top, oddest }, colours }
    }

    /// Anomalies as they come, for people or as JSON.
    pub fn live(json: bool, all: bool, colours: Colours) -> Self {
        if json { Self::json(all) } else { Self { style: Style::Live, colours } }
    }

    /// Takes one scored line.
    pub fn take(
        &mut self,
        judge: &Judge,
        event: &LogEvent,
        place: Place,
        verdict: Verdict,
        scratch: &mut Scratch,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match &mut self.style {
            Style::Json { all } if verdict.anomaly || *all => {
                json(judge, event, place, verdict, scratch, out)
            }
            Style::JsonTop { top, lines } if verdict.anomaly => {
                lines.push((event.clone(), place, verdict));
                if lines.len() > top.saturating_mul(2).max(1_024) {
                    keep_top(lines, *top);
                }
                Ok(())
            }
            Style::Human { oddest, .. } if verdict.anomaly => {
                oddest.offer(event, place, verdict.score.score);
                Ok(())
            }
            Style::Live if verdict.anomaly => {
                let explanation = judge.explain(event, scratch);
                let why = reasons_in_words(&event.message, &explanation, judge.rows(), judge.on_itself);
                let text =
                    marked(&shown(&event.message, SHOWN_CHARACTERS), &odd_words(&explanation), self.colours);
                writeln!(
                    out,
                    "{}\n    {text}\n    {why}\n    score: {}",
                    head(event, place, verdict.score.score, self.colours),
                    standing(verdict.score)
                )
            }
            _ => Ok(()),
        }
    }

    /// Prints what was held back until the end.
    pub fn finish(self, judge: &Judge, counts: &Counts, name: &str, out: &mut impl Write) -> io::Result<()> {
        let mut scratch = judge.scratch();
        match self.style {
            Style::Json { .. } | Style::Live => Ok(()),
            Style::JsonTop { top, mut lines } => {
                keep_top(&mut lines, top);
                lines.iter().try_for_each(|(event, place, verdict)| {
                    json(judge, event, *place, *verdict, &mut scratch, out)
                })
            }
            Style::Human { top, oddest } => {
                let kinds = fold(oddest.into_sorted(), judge, top, &mut scratch);
                summary(judge, counts, name, &kinds, out)?;
                kinds.iter().try_for_each(|kind| print_kind(kind, judge, self.colours, &mut scratch, out))
            }
        }
    }
}

fn keep_top(lines: &mut Vec<(LogEvent, Place, Verdict)>, top: usize) {
    lines.sort_by(|a, b| b.2.score.score.total_cmp(&a.2.score.score).then(a.1.line.cmp(&b.1.line)));
    lines.truncate(top);
}

fn json(
    judge: &Judge,
    event: &LogEvent,
    place: Place,
    verdict: Verdict,
    scratch: &mut Scratch,
    out: &mut impl Write,
) -> io::Result<()> {
    let explanation = judge.explain(event, scratch);
    let line = JsonLine {
        line: place.line,
        timestamp: event.timestamp.to_string(),
        service: &event.service,
        level: event.level.map(|level| level.as_str()),
        message: &event.message,
        score: verdict.score.score,
        percentile: verdict.score.percentile,
        forest: verdict.score.forest,
        surprisal: verdict.score.surprisal,
        anomaly: verdict.anomaly,
        reasons: explanation.reasons,
        nearest_pattern: explanation.nearest_pattern,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn summary(
    judge: &Judge,
    counts: &Counts,
    name: &str,
    kinds: &[Kind],
    out: &mut impl Write,
) -> io::Result<()> {
    let span = counts.span.map_or(String::new(), |(first, last)| format!(", {first} to {last}"));
    let noun = if counts.events == 1 { "log line" } else { "log lines" };
    writeln!(out, "{name}: {} {noun}{span}", thousands(counts.events))?;
    let threshold = judge.loaded.threshold.score;
    match counts.anomalies {
        0 => writeln!(out, "no line scores above {threshold:.3}"),
        1 => writeln!(out, "1 line scores above {threshold:.3}\n"),
        anomalies => {
            let shown: u64 = kinds.iter().map(|kind| 1 + kind.kept.more).sum();
            let rest = if shown < anomalies { ", the oddest of them here" } else { "" };
            writeln!(
                out,
                "{} lines score above {threshold:.3}{rest}; lines that say the same are shown once\n",
                thousands(anomalies)
            )
        }
    }
}

fn head(event: &LogEvent, place: Place, score: f64, colours: Colours) -> String {
    let mut parts = vec![colours.bold(&format!("{score:.3}")), format!("line {}", place.line)];
    if event.time_source == TimeSource::Record {
        parts.push(colours.dim(&event.timestamp.to_string()));
    }
    let level = event.level.map_or("", |level| level.as_str());
    let about: Vec<&str> =
        [level, event.service.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    if !about.is_empty() {
        parts.push(shown(&about.join(" "), 80));
    }
    parts.join("  ")
}

/// Where a score stands among the training lines, and what it is reported beside.
fn standing(score: Score) -> String {
    format!(
        "odder than {:.2} % of the training lines; forest {:.3} (0 to 1), surprisal of the rarest words {:.2} nats",
        score.percentile, score.forest, score.surprisal
    )
}

fn print_kind(
    kind: &Kind,
    judge: &Judge,
    colours: Colours,
    scratch: &mut Scratch,
    out: &mut impl Write,
) -> io::Result<()> {
    let Kind { kept, explanation } = kind;
    writeln!(out, "{}", head(&kept.event, kept.place, kept.score, colours))?;
    let text = shown(&kept.event.message, SHOWN_CHARACTERS);
    writeln!(out, "    {}", marked(&text, &odd_words(explanation), colours))?;
    writeln!(
        out,
        "    why: {}",
        reasons_in_words(&kept.event.message, explanation, judge.rows(), judge.on_itself)
    )?;
    writeln!(out, "    score: {}", standing(judge.score_redacted(&kept.event, scratch)))?;
    if let Some(nearest) = &explanation.nearest_pattern {
        writeln!(out, "    usual: {}", colours.dim(&shown(nearest, SHOWN_CHARACTERS)))?;
    }
    if kept.more > 0 {
        let lines: Vec<String> = kept.others.iter().map(|place| place.line.to_string()).collect();
        let dots = if kept.more > kept.others.len() as u64 { ", \u{2026}" } else { "" };
        let word = if kept.more == 1 { "line" } else { "lines" };
        writeln!(out, "    and {} more like it: {word} {}{dots}", thousands(kept.more), lines.join(", "))?;
    }
    writeln!(out)
}
