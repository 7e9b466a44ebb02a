//! The report as a person reads it in a terminal.

use std::fmt::Write as _;

use engine::model::{Reason, ReasonKind};
use engine::terminal::{lines, shown, thousands};

use crate::report::{Bin, OddLine, Report};

/// Widest bar of the histogram, in characters.
const BAR: f64 = 40.0;
/// Longest text of a line that is shown, in characters.
const SHOWN_CHARACTERS: usize = 160;

/// The whole report.
pub fn report(report: &Report) -> String {
    // Writing to a String cannot fail, so the results below are dropped.
    let mut text = String::new();
    read(&mut text, report);
    scores(&mut text, report);
    expected(&mut text, report);
    budget_and_sessions(&mut text, report);
    oddest(&mut text, &report.oddest);
    patterns(&mut text, report);
    let _ = writeln!(
        text,
        "\nModel {} written to {} ({} bytes)",
        report.model.get(..12).unwrap_or(&report.model),
        report.model_path,
        thousands(report.model_bytes)
    );
    text
}

fn read(text: &mut String, report: &Report) {
    let _ = writeln!(text, "Read {} from {}", lines(report.lines), report.inputs.join(", "));
    let _ = write!(text, "  trained on {}", thousands(report.accepted));
    if let (Some(first), Some(last)) = (&report.first_time, &report.last_time) {
        let _ = write!(text, " from {first} to {last}");
    }
    text.push('\n');
    if report.excluded > 0 {
        let _ = writeln!(text, "  left out on request: {}", thousands(report.excluded));
    }
    if report.blank > 0 {
        let _ = writeln!(text, "  blank: {}", thousands(report.blank));
    }
    if report.joined() > 0 {
        let joined = thousands(report.joined());
        let _ = writeln!(text, "  headers, and lines that go on with the one before: {joined}");
    }
    for rejected in &report.rejected {
        let _ = writeln!(text, "  rejected as {}: {}", rejected.reason, thousands(rejected.count));
        for row in &rejected.examples {
            let _ = writeln!(
                text,
                "    {} line {}: {}",
                row.input,
                row.line,
                shown(&row.detail, SHOWN_CHARACTERS)
            );
        }
    }
}

fn scores(text: &mut String, report: &Report) {
    let _ = writeln!(text, "\nScores (0 usual, 1 odd)");
    let most = report.histogram.iter().map(|bin| bin.lines).max().unwrap_or(0).max(1);
    let mut marked = false;
    let width = report.histogram.iter().map(|bin| thousands(bin.lines).len()).max().unwrap_or(0);
    for bin in &report.histogram {
        if !marked && bin.to > report.threshold {
            marked = true;
            row(text, bin, most, width);
            let error = report.sample_error.map_or(String::new(), |error| {
                format!(" (from a sample, standard error {:.2} %)", error * 100.0)
            });
            let _ = writeln!(
                text,
                "  ---- threshold {:.4}: {:.2} % of the lines are above{error}",
                report.threshold,
                report.share_above * 100.0
            );
            continue;
        }
        row(text, bin, most, width);
    }
}

fn row(text: &mut String, bin: &Bin, most: u64, width: usize) {
    let length = (bin.lines as f64 / most as f64 * BAR).ceil() as usize;
    let _ = writeln!(
        text,
        "  {:.3}-{:.3} {:>width$} {}",
        bin.from,
        bin.to,
        thousands(bin.lines),
        "#".repeat(length)
    );
}

fn expected(text: &mut String, report: &Report) {
    let _ = writeln!(text, "\nWhat a threshold would give, at the rate of these logs");
    let _ = writeln!(text, "  CONTAMINATION  score     share above  anomalies a day");
    for row in &report.expected {
        let per_day = per_day(row.per_day);
        let share = format!("{:.3} %", row.share_above * 100.0);
        let _ = writeln!(text, "  {:<13}  {:<8.4}  {share:<11}  {per_day}", row.contamination, row.threshold);
    }
}

/// A number of anomalies a day.
pub fn per_day(count: Option<f64>) -> String {
    match count {
        None => "the logs span too little time".to_owned(),
        Some(count) if count < 10.0 => format!("{count:.1}"),
        Some(count) => thousands(count.round() as u64),
    }
}

fn budget_and_sessions(text: &mut String, report: &Report) {
    if let Some(score) = report.budget.score {
        let per_day = report.budget.per_day;
        let _ = writeln!(
            text,
            "  ALERT_BUDGET_PER_DAY {per_day}: so many lines a day are expected above score {score:.4}"
        );
    }
    if let Some(sessions) = &report.sessions {
        let _ = writeln!(
            text,
            "\nSessions by {}: {}; {:.2} % of them are above the threshold {:.4}",
            shown(&sessions.key, 60),
            thousands(sessions.count),
            sessions.share_above * 100.0,
            sessions.threshold
        );
    }
}

fn oddest(text: &mut String, lines: &[OddLine]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nOddest lines");
    for odd in lines {
        let place = odd.line.map_or(String::new(), |line| {
            format!("{} {line}, ", unit(odd.input.as_deref().unwrap_or_default()))
        });
        let level = odd.level.unwrap_or("-");
        let _ = writeln!(text, "  {:.3}  {place}{} {level} {}", odd.score, odd.timestamp, odd.service);
        let _ = writeln!(text, "         {}", shown(&odd.message, SHOWN_CHARACTERS));
        let _ = writeln!(
            text,
            "         {}{}",
            why(&odd.reasons),
            match odd.more {
                0 => String::new(),
                more => format!("; {} more like it", thousands(more)),
            }
        );
    }
}

fn patterns(text: &mut String, report: &Report) {
    let _ = writeln!(text, "\nWhat the model takes for usual (most frequent patterns)");
    for pattern in &report.frequent_patterns {
        let _ = writeln!(
            text,
            "  {:>9}  {}",
            thousands(pattern.lines),
            shown(&pattern.pattern, SHOWN_CHARACTERS)
        );
    }
}

/// The first reasons in words.
pub fn why(reasons: &[Reason]) -> String {
    let (levels, others): (Vec<_>, Vec<_>) =
        reasons.iter().partition(|part| part.kind == ReasonKind::Severity);
    let parts: Vec<_> = others.into_iter().chain(levels).take(4).map(reason).collect();
    if parts.is_empty() { "no single reason".to_owned() } else { parts.join("; ") }
}

fn reason(reason: &Reason) -> String {
    let seen = match reason.seen {
        0 => "never seen".to_owned(),
        1 => "seen once".to_owned(),
        times => format!("seen {} times", thousands(times)),
    };
    let word = shown(&reason.word, 60);
    match reason.kind {
        ReasonKind::RareWord => format!("'{word}' {seen}"),
        ReasonKind::RarePattern => format!("pattern {seen}"),
        ReasonKind::Severity => format!("level {word}"),
        ReasonKind::UnusualCombination => format!("'{word}' unusual here"),
        _ => format!("'{word}'"),
    }
}

/// What a place in this input is called.
pub fn unit(input: &str) -> &'static str {
    match input {
        _ if input.starts_with("topic ") => "offset",
        _ if input.starts_with("log rows ") => "seq",
        _ => "line",
    }
}
