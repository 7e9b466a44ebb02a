//! `scorer explain`: says why a line gets its score, for one line, for each line of standard input, or for the lines
//! that an alert shows.

mod evidence;

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use corpus::load_model;
use engine::decode::{Decoder, RecordContext};
use engine::event::{EventTime, LogEvent};
use engine::model::{Explanation, ReasonKind, Score, Scratch};
use engine::terminal::{shown, thousands};
use serde::Serialize;

use crate::config::{Flags, ReadingKept, Settings};
use crate::live::Loaded;
use crate::scan::{Colours, is_closed_pipe, reasons_in_words};
use crate::{EXIT_ERROR, scan};

/// Longest text that is shown, in characters.
const SHOWN_CHARACTERS: usize = 300;

/// Arguments of `scorer explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A line as it stands in a log, - for the lines of standard input, or the id of an alert in the store
    #[arg(value_name = "LINE", allow_hyphen_values = true)]
    line: String,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    /// Settings.
    #[command(flatten)]
    settings: Flags<ReadingKept>,
}

/// One explained line as `--json` prints it.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    timestamp: String,
    service: &'a str,
    level: Option<&'static str>,
    message: &'a str,
    score: f64,
    percentile: f64,
    anomaly: bool,
    threshold: f64,
    forest: f64,
    surprisal: f64,
    #[serde(flatten)]
    explanation: &'a Explanation,
    model: &'a str,
}

/// `scorer explain`.
///
/// # Errors
/// The model or a setting cannot be used, or the line cannot be read.
pub fn run(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    match explain(args) {
        Err(error) if is_closed_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn explain(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(args.settings)?;
    let path = settings.model.path.clone();
    let loaded = Loaded::new(load_model(&path)?, &settings.model, Some(path));
    let decoder = Decoder::new(settings.decode.clone());
    let limit = settings.decode.limits.max_line_bytes;
    let mut out = io::stdout().lock();
    let colours = Colours::new(!args.json && out.is_terminal());
    let mut explained = |mut event: LogEvent| -> anyhow::Result<()> {
        settings.redactor.redact(&mut event);
        let mut scratch = Scratch::default();
        let score = loaded.model.score(&event, &mut scratch);
        let explanation = loaded.model.explain(&event, &mut scratch);
        if args.json {
            json(&loaded, &event, score, &explanation, &mut out)?;
        } else {
            text(&loaded, &event, score, &explanation, colours, &mut out)?;
        }
        Ok(())
    };
    if evidence::is_alert(&args.line) {
        for event in evidence::of_alert(&settings, &args.line)? {
            explained(event)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut one = |bytes: &[u8]| -> anyhow::Result<bool> {
        let now = EventTime::from_micros(jiff::Timestamp::now().as_microsecond());
        let context = RecordContext { transport_time: now, service: None };
        let mut events = Vec::new();
        if let Err(rejected) = decoder.decode(bytes, context, &mut events) {
            tell!("error: the line cannot be read: {rejected}");
            return Ok(false);
        }
        for event in events {
            explained(event)?;
        }
        Ok(true)
    };
    let mut read = true;
    if args.line == "-" {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            let most = limit as u64 + 2;
            let length = io::Read::take(&mut input, most)
                .read_until(b'\n', &mut line)
                .context("standard input cannot be read")?;
            if length == 0 {
                break;
            }
            if length as u64 == most && line.last() != Some(&b'\n') {
                input.skip_until(b'\n').context("standard input cannot be read")?;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            read &= text.iter().all(u8::is_ascii_whitespace) || one(text)?;
        }
    } else {
        read = one(args.line.as_bytes())?;
    }
    Ok(if read { ExitCode::SUCCESS } else { ExitCode::from(EXIT_ERROR) })
}

fn json(
    loaded: &Loaded,
    event: &LogEvent,
    score: Score,
    explanation: &Explanation,
    out: &mut impl Write,
) -> io::Result<()> {
    let explained = Explained {
        timestamp: event.timestamp.to_string(),
        service: &event.service,
        level: event.level.map(|level| level.as_str()),
        message: &event.message,
        score: score.score,
        percentile: score.percentile,
        anomaly: score.score > loaded.threshold.score,
        threshold: loaded.threshold.score,
        forest: score.forest,
        surprisal: score.surprisal,
        explanation,
        model: loaded.model.digest(),
    };
    serde_json::to_writer(&mut *out, &explained)?;
    out.write_all(b"\n")
}

fn text(
    loaded: &Loaded,
    event: &LogEvent,
    score: Score,
    explanation: &Explanation,
    colours: Colours,
    out: &mut impl Write,
) -> io::Result<()> {
    let rows = loaded.model.provenance().rows;
    let threshold = loaded.threshold.score;
    let verdict = if score.score > threshold { "an anomaly" } else { "no anomaly" };
    let level = event.level.map_or("-", |level| level.as_str());
    let service = if event.service.is_empty() { "-" } else { &event.service };
    let message = shown(&event.message, SHOWN_CHARACTERS);
    let marked = scan::marked(&message, &scan::odd_words(explanation), colours);
    writeln!(out, "line       {marked}")?;
    writeln!(out, "read as    time {}, level {level}, service {}", event.timestamp, shown(service, 80))?;
    writeln!(
        out,
        "score      {}: {verdict} (threshold {threshold:.3})",
        colours.bold(&format!("{:.3}", score.score))
    )?;
    writeln!(out, "           odder than {:.2} % of the training lines", score.percentile)?;
    writeln!(out, "why        {}", reasons_in_words(&event.message, explanation, rows, false))?;
    if !explanation.reasons.is_empty() {
        writeln!(out, "           {:>12}  {:>11}  reason", "contribution", "in training")?;
    }
    for reason in &explanation.reasons {
        let kind = match reason.kind {
            ReasonKind::RareWord => "rare word",
            ReasonKind::RarePattern => "rare pattern",
            ReasonKind::Severity => "level",
            ReasonKind::UnusualCombination => "unusual combination",
            _ => "other",
        };
        let seen = thousands(reason.seen);
        writeln!(
            out,
            "           {:>7.2} nats  {seen:>11}  {kind}: {}",
            reason.contribution,
            shown(&reason.word, 120)
        )?;
    }
    let seen = thousands(explanation.pattern_seen);
    writeln!(out, "pattern    {} (in training: {seen})", shown(&explanation.pattern, SHOWN_CHARACTERS))?;
    if let Some(nearest) = &explanation.nearest_pattern {
        writeln!(out, "usual      {}", shown(nearest, SHOWN_CHARACTERS))?;
    }
    writeln!(
        out,
        "channels   forest {:.3} (0 to 1), surprisal of the rarest words {:.2} nats\n",
        score.forest, score.surprisal
    )
}
