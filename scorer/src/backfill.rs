//! `scorer backfill`: the detectors' baselines from recorded logs, so that what needs days of history has them at the next
//! start of `scorer run`. The clock is made from the lines' own times. Tells nobody of anything and scores for nobody.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::builder::NonEmptyStringValueParser;
use corpus::{Batch, Options, Reader, expand};
use engine::decode::Decoder;
use engine::detect::{self, Seen, Source, Text, Tick};
use engine::event::{EventTime, LogEvent};
use engine::id::FindingId;
use engine::model::{Judged, Scratch};

use crate::EXIT_ERROR;
use crate::backtest::clock::{Clock, Step};
use crate::config::{Flags, Input, Settings, Subset, table::Group};
use crate::live::Loaded;
use crate::scan::{progress, report_rejects};
use crate::state::{Filling, Learned, Stream};

/// Longest list of what still needs history.
const MOST_SHOWN: usize = 10;

const EXAMPLES: &str = "Examples:
  scorer backfill --input file:/var/log/app.log --state-dir state history/*.jsonl.zst
  STATE_DIR=state INPUT=otlp scorer backfill week.csv.gz       for what peers push
  scorer backfill --replace --state-dir state --input file:app.log history/*.gz

Stop the scorer first: it writes what it has learnt over this. Give it the same MODEL_PATH, INPUT, STATE_DIR and detector
settings as `scorer run`. Lines that the scorer reads later and that are older than the newest of these count as late.
With Kafka as the input there is nothing to fill: what is learnt of a service belongs to its partition, which a file does
not tell; let `scorer run` read the topic from its oldest record instead (a new KAFKA_GROUP_ID).

Exit status: 0 when it was filled, 2 on an error.";

/// The groups that this takes as flags.
#[derive(Clone, Debug)]
pub struct Filled;

impl Subset for Filled {
    const GROUPS: &'static [Group] =
        &[Group::Input, Group::Decode, Group::Model, Group::Learn, Group::Alerts];
}

/// Arguments of `scorer backfill`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct BackfillArgs {
    /// Files (plain, .gz or .zst), globs, or - for standard input; lines in the order of their times
    #[arg(value_name = "FILE", required = true, value_parser = NonEmptyStringValueParser::new())]
    files: Vec<String>,
    /// Begin anew where something was learnt already
    #[arg(long)]
    replace: bool,
    /// Settings.
    #[command(flatten)]
    settings: Flags<Filled>,
}

/// `scorer backfill`.
///
/// # Errors
/// The files, the model or a setting cannot be used; something was learnt already.
pub fn run(args: BackfillArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(args.settings)?;
    if settings.learn.watch.is_none() {
        bail!("DETECT = false: there are no detectors to fill; leave it out, or set it to true");
    }
    let stream = stream_of(&settings.inputs)?;
    let Some(folder) = &settings.state_dir else {
        bail!(
            "STATE_DIR is not set: name the directory in which `scorer run` keeps what it learns, with --state-dir"
        )
    };
    let filling = Filling::begin(folder, stream.clone(), args.replace)?;
    let path = &settings.model.path;
    let loaded = Loaded::new(corpus::load_model(path)?, &settings.model, Some(path.clone()));
    let mut learned = Learned::new(&settings.learn, &stream);
    learned.use_model(loaded.in_use());
    let scratch = crate::remember::scratch(settings.model.table_lines);
    let mut history =
        History { settings: &settings, loaded: &loaded, learned, scratch, clock: Clock::default(), lines: 0 };
    history.read(&args.files)?;
    if history.lines == 0 {
        eprintln!("error: no line of {} could be read; nothing is changed", args.files.join(" "));
        return Ok(ExitCode::from(EXIT_ERROR));
    }
    let bytes = filling.keep(&history.learned)?;
    history.report(&stream, bytes);
    Ok(ExitCode::SUCCESS)
}

/// The stream whose state is filled.
fn stream_of(inputs: &[Input]) -> anyhow::Result<Stream> {
    match inputs {
        [Input::Kafka] => bail!(
            "INPUT = kafka: what is learnt of a service belongs to its partition, which a file does not tell, so it cannot \
             be filled from files; let `scorer run` read the topic from its oldest record (a new KAFKA_GROUP_ID), or set \
             INPUT to file:PATH, stdin or otlp"
        ),
        [input] => Ok(Stream::input(&input.to_string())),
        inputs => {
            let names: Vec<String> = inputs.iter().map(Input::to_string).collect();
            bail!(
                "INPUT = {}: each input learns for itself; name the one whose history this is with --input",
                names.join(",")
            )
        }
    }
}

/// A line of history has no place that anything is told of.
struct Nowhere(u64);

impl detect::Origin for Nowhere {
    fn finding_id(&self, detector: &str) -> FindingId {
        let source = detect::Origin::source(self);
        FindingId::of_record(detector, source.coordinates(), EventTime::default(), 0, &[])
    }

    fn source(&self) -> Source {
        let name = || Text(Arc::from("history"));
        Source::File { identity: name(), path: name(), offset: self.0 }
    }
}

struct History<'a> {
    settings: &'a Settings,
    loaded: &'a Loaded,
    learned: Learned,
    scratch: Scratch,
    clock: Clock<LogEvent>,
    lines: u64,
}

impl History<'_> {
    fn read(&mut self, files: &[String]) -> anyhow::Result<()> {
        let inputs = expand(files)?;
        let decoder = Decoder::new(self.settings.decode.clone());
        let now = EventTime::from_micros(jiff::Timestamp::now().as_microsecond());
        let options = Options { decoder, now };
        let bar = progress("learning", &inputs, false);
        let mut reader = Reader::new(&inputs, &options);
        let (mut batch, mut steps) = (Batch::default(), Vec::new());
        while reader.next_batch(&mut batch)? {
            for event in &mut batch.events {
                self.settings.redactor.redact(event);
                self.clock.take(event.timestamp.as_micros(), || std::mem::take(event), &mut steps);
                self.follow(&mut steps);
            }
            bar.set_position(reader.bytes_read());
        }
        self.clock.finish(&mut steps);
        self.follow(&mut steps);
        bar.finish_and_clear();
        report_rejects(reader.rejects(), false);
        Ok(())
    }

    fn follow(&mut self, steps: &mut Vec<Step<LogEvent>>) {
        for step in steps.drain(..) {
            match step {
                Step::Tick(now) => {
                    if let Some(watch) = self.learned.watch() {
                        watch.learn_tick(Tick { now, caught_up: true });
                    }
                }
                Step::Line(event) => self.line(&event),
            }
        }
    }

    fn line(&mut self, event: &LogEvent) {
        let Judged { score, pattern, known_pattern } =
            self.learned.judge(&self.loaded.model, event, &mut self.scratch);
        let origin = Nowhere(self.lines);
        let (score, percentile) = (score.score, score.percentile);
        if let Some(watch) = self.learned.watch() {
            watch.learn(&Seen { event, score, percentile, pattern, known_pattern, origin: &origin });
        }
        self.learned.learn(&self.loaded.model, event, &mut self.scratch);
        self.lines += 1;
    }

    fn report(&mut self, stream: &Stream, bytes: usize) {
        let lines = self.lines;
        let Some(watch) = self.learned.watch() else { return };
        let bank = watch.detectors();
        let until = bank.event_time().map(|time| time.to_string()).unwrap_or_default();
        println!(
            "learnt {lines} lines of {} services until {until} for {stream} ({bytes} bytes)",
            bank.services()
        );
        let warming = bank.warming(MOST_SHOWN + 1);
        if warming.is_empty() {
            println!("no detector needs more history");
            return;
        }
        println!("what still needs history:");
        for one in warming.iter().take(MOST_SHOWN) {
            println!("  {} of {}: {}", one.detector, one.service, one.needs);
        }
        if warming.len() > MOST_SHOWN {
            println!("  and more");
        }
    }
}
