//! `scorer scan`: one file or standard input, its odd lines with reasons. Without a model it trains on the input
//! itself. Sends nothing anywhere.

mod fold;
mod follow;
mod judge;
mod print;
mod sessions;
mod words;

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use corpus::{Batch, Input, MAX_SPOOL_BYTES, Options, Reader, Rejects, expand, spool};
use engine::decode::Decoder;
use engine::event::{EventTime, TimeSource};
use engine::terminal::{lines, shown};
use indicatif::{ProgressBar, ProgressStyle};

use crate::config::{Flags, Reading, Settings};
use crate::live;
use crate::{EXIT_ERROR, EXIT_FOUND};
use follow::Followed;
pub use judge::Judge;
use print::Printer;
pub use words::{Colours, marked, odd_words, reasons_in_words};

/// Kinds of odd lines that are shown where `--top` says nothing.
const TOP: usize = 20;

const EXAMPLES: &str = "Examples:
  scorer scan app.log                        trains on app.log and shows its oddest lines
  zstdcat app.log.zst | scorer scan -        the same from standard input
  scorer scan app.log --model models/isolog.model --json
  scorer scan app.log --follow               goes on as the file grows
  scorer scan app.log --session-key trace_id odd traces in place of odd lines

Exit status: 0 when it ran, 1 when anomalies were found and --exit-code was given, 2 on an error.";

/// Arguments of `scorer scan`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ScanArgs {
    /// A file (plain, .gz or .zst), or - for standard input
    #[arg(value_name = "FILE")]
    input: String,
    /// Score with this model; without one the input itself is trained on
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Show the N oddest only (kinds of line; single lines with --json)
    #[arg(long, value_name = "N", conflicts_with = "follow", value_parser = at_least_one)]
    top: Option<usize>,
    /// Print one JSON object per anomaly, in the order of the input
    #[arg(long)]
    json: bool,
    /// With --json: print every line, not only anomalies
    #[arg(long, requires = "json", conflicts_with = "top")]
    all: bool,
    /// Exit with status 1 when an anomaly was found
    #[arg(long, conflicts_with = "follow")]
    exit_code: bool,
    /// Go on as the file grows, until interrupted
    #[arg(long)]
    follow: bool,
    /// Print odd sessions in place of odd lines: lines belong together by this field, such as trace_id, a comma
    /// list of fields, or a regular expression on the message with one group, such as (blk_-?\d+)
    #[arg(long, value_name = "KEY", conflicts_with = "follow")]
    session_key: Option<String>,
    /// With --session-key and without --model: a session ends when it was idle for longer, 1 to 604800 s
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "session_key",
        value_parser = clap::value_parser!(u32).range(1..=604_800))]
    session_idle_s: u32,
    /// Settings.
    #[command(flatten)]
    settings: Flags<Reading>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("allowed: a whole number from 1 on; leave --top out for {TOP} kinds of line")),
    }
}

/// `scorer scan`.
///
/// # Errors
/// The input, the model or a setting cannot be used.
pub fn run(args: ScanArgs) -> anyhow::Result<ExitCode> {
    match scan(args) {
        Err(error) if is_closed_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

/// The reader of standard output has gone (`scorer scan x | head`): not an error.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What was read.
#[derive(Debug, Default)]
struct Counts {
    lines: u64,
    events: u64,
    anomalies: u64,
    rejects: Rejects,
    span: Option<(EventTime, EventTime)>,
}

fn scan(args: ScanArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(args.settings.clone())?;
    let decoder = Decoder::new(settings.decode.clone());
    let options = Options { decoder, now: EventTime::from_micros(jiff::Timestamp::now().as_microsecond()) };
    let mut followed = match args.follow {
        true => Some(follow(&args, settings.decode.limits.max_line_bytes)?),
        false => None,
    };
    let inputs = [input(&args, followed.as_ref())?];
    if let Some(setting) = &args.session_key {
        return sessions::run(&args, setting, &inputs, &options, &settings);
    }
    let judge = match &args.model {
        Some(path) => Judge::with_model(path, &settings)?,
        None => Judge::trained_on(&inputs, &options, &settings)?,
    };
    if let Some(doubt) = live::doubt(judge.loaded.threshold, judge.loaded.threshold_source) {
        tell!("warning: {doubt}");
    }
    let out = io::stdout();
    let colours = Colours::new(!args.json && out.is_terminal());
    let mut printer = match (args.json, args.top) {
        (true, None) => Printer::json(args.all),
        (true, Some(top)) => Printer::json_top(top),
        (false, top) => Printer::human(top.unwrap_or(TOP), colours),
    };
    let counts = pass(&inputs, &options, &judge, &mut printer, args.json)?;
    let mut out = io::BufWriter::new(out.lock());
    printer.finish(&judge, &counts, &inputs[0].name(), &mut out)?;
    out.flush()?;
    report_rejects(&counts.rejects, args.json);
    let found = counts.anomalies > 0;
    if let Some(followed) = &mut followed {
        let printer = Printer::live(args.json, args.all, colours);
        match followed.run(&options, &judge.for_new_lines(), counts.lines, printer, &mut out)? {}
    }
    if counts.events == 0 && counts.rejects.faulty() > 0 {
        tell!("error: no line of {} could be read", inputs[0].name());
        return Ok(ExitCode::from(EXIT_ERROR));
    }
    Ok(if found && args.exit_code { ExitCode::from(EXIT_FOUND) } else { ExitCode::SUCCESS })
}

fn follow(args: &ScanArgs, limit: usize) -> anyhow::Result<Followed> {
    if args.input == "-" {
        bail!(
            "--follow needs a file; standard input ends when its writer ends (try: scorer run --input stdin)"
        );
    }
    Followed::open(Path::new(&args.input), limit)
}

fn input(args: &ScanArgs, followed: Option<&Followed>) -> anyhow::Result<Input> {
    if let Some(followed) = followed {
        return Ok(Input::Prefix { path: PathBuf::from(&args.input), bytes: followed.start() });
    }
    if args.input == "-" && args.model.is_none() {
        return Ok(spool(io::stdin().lock().by_ref(), MAX_SPOOL_BYTES)?);
    }
    let mut inputs = expand(std::slice::from_ref(&args.input))?;
    match (inputs.pop(), inputs.is_empty()) {
        (Some(input), true) => Ok(input),
        _ => bail!("{} matches several files; scan them one by one", args.input),
    }
}

/// Scores everything once and hands it to the printer.
fn pass(
    inputs: &[Input],
    options: &Options,
    judge: &Judge,
    printer: &mut Printer,
    json: bool,
) -> anyhow::Result<Counts> {
    let bar = progress("scoring", inputs, json);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut reader = Reader::new(inputs, options);
    let (mut batch, mut counts, mut scratch) = (Batch::default(), Counts::default(), judge.scratch());
    let streams = matches!(inputs, [Input::Stdin]);
    while reader.next_batch(&mut batch)? {
        for (event, place) in batch.events.iter_mut().zip(&batch.places) {
            let verdict = judge.score(event, &mut scratch);
            counts.events += 1;
            counts.anomalies += u64::from(verdict.anomaly);
            if event.time_source == TimeSource::Record {
                let (first, last) = counts.span.unwrap_or((event.timestamp, event.timestamp));
                counts.span = Some((first.min(event.timestamp), last.max(event.timestamp)));
            }
            printer.take(judge, event, *place, verdict, &mut scratch, &mut out)?;
        }
        if streams {
            out.flush()?;
        }
        bar.set_position(reader.bytes_read());
    }
    out.flush()?;
    bar.finish_and_clear();
    counts.lines = reader.lines_read();
    counts.rejects = reader.rejects().clone();
    Ok(counts)
}

/// A bar on standard error where that is a terminal and nothing else is printed there meanwhile.
pub fn progress(what: &'static str, inputs: &[Input], json: bool) -> ProgressBar {
    if json && io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let total = inputs.iter().map(Input::stored_bytes).sum::<Option<u64>>();
    let (bar, template) = match total {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{msg} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec}, {eta} to go",
        ),
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {bytes} {binary_bytes_per_sec}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_message(what)
}

/// Says on standard error what could not be read.
pub fn report_rejects(rejects: &Rejects, json: bool) {
    if rejects.faulty() == 0 {
        return;
    }
    tell!("{} could not be read:", lines(rejects.faulty()));
    for (reason, count, examples) in rejects.iter().filter(|(reason, ..)| reason.as_str() != "empty") {
        tell!("  {count} {reason}");
        for example in examples.iter().take(if json { 1 } else { 3 }) {
            tell!("    line {}: {}", example.line, shown(&example.detail, 160));
        }
    }
}

/// Reads everything once; `take` is called for each batch.
fn read_all(
    inputs: &[Input],
    options: &Options,
    what: &'static str,
    mut take: impl FnMut(&mut Batch),
) -> anyhow::Result<(u64, Rejects)> {
    let bar = progress(what, inputs, false);
    let mut reader = Reader::new(inputs, options);
    let mut batch = Batch::default();
    let mut events = 0;
    while reader.next_batch(&mut batch)? {
        events += batch.events.len() as u64;
        take(&mut batch);
        bar.set_position(reader.bytes_read());
    }
    bar.finish_and_clear();
    Ok((events, reader.rejects().clone()))
}
