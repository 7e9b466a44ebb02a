//! `scorer backtest`: the detectors and alerts of `scorer run` over recorded logs, as fast as they can be read. The
//! clock is made from the lines' own times, a tick a second. Sends nothing anywhere.

pub mod clock;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::builder::NonEmptyStringValueParser;
use corpus::{Batch, Input, Options, Place, Reader, expand};
use engine::alert::{AlertChange, Audience, News, Watch};
use engine::decode::Decoder;
use engine::detect::{self, Anomaly, Seen, Source, Text, Tick};
use engine::event::{EventTime, LogEvent};
use engine::id::FindingId;
use engine::model::{Judged, Scratch};

use crate::config::{Flags, Settings, Subset, table::Group};
use crate::finding::FindingRecord;
use crate::live::Loaded;
use crate::scan::{is_closed_pipe, progress, report_rejects};
use crate::{EXIT_ERROR, EXIT_FOUND, alert};
use clock::{Clock, Step};
use table::Days;

/// Name of the receiver that is counted where no sink is set.
const ANYBODY: &str = "default";
/// After the last line the clock goes on for so long, so that what waits is told.
const AFTER_S: i64 = 60;

const EXAMPLES: &str = "Examples:
  scorer backtest logs/*.csv.gz               what would have fired, by day and detector
  scorer backtest --alerts app.log            each alert on a line
  scorer backtest --json app.log > alerts.jsonl
  DETECT_ERROR_BURST_MORE_THAN=20 scorer backtest app.log
  0 * * * * scorer backtest --exit-code /var/log/app/last-hour.log   (every hour, from cron)

Exit status: 0 when it ran, 1 when an alert worth a warning fired and --exit-code was given, 2 on an error.";

/// The groups that a backtest takes as flags.
#[derive(Clone, Debug)]
pub struct Detecting;

impl Subset for Detecting {
    const GROUPS: &'static [Group] = &[Group::Decode, Group::Model, Group::Alerts];
}

/// Arguments of `scorer backtest`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct BacktestArgs {
    /// Files (plain, .gz or .zst), globs, or - for standard input; lines in the order of their times
    #[arg(value_name = "FILE", required = true, value_parser = NonEmptyStringValueParser::new())]
    inputs: Vec<String>,
    /// Print each alert as it stood in the end
    #[arg(long)]
    alerts: bool,
    /// Print one JSON object per record of an alert, as ALERT_FILE holds them
    #[arg(long, conflicts_with_all = ["alerts", "anomalies"])]
    json: bool,
    /// Print one JSON object per finding of a detector
    #[arg(long, conflicts_with = "alerts")]
    anomalies: bool,
    /// Exit with status 1 when an alert of severity warning or above fired
    #[arg(long)]
    exit_code: bool,
    /// Settings.
    #[command(flatten)]
    settings: Flags<Detecting>,
}

/// `scorer backtest`.
///
/// # Errors
/// The inputs, the model or a setting cannot be used.
pub fn run(args: BacktestArgs) -> anyhow::Result<ExitCode> {
    match backtest(&args) {
        Err(error) if is_closed_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn backtest(args: &BacktestArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(args.settings.clone())?;
    let Some(watch) = &settings.learn.watch else {
        bail!("DETECT = false: there is nothing to test; leave it out, or set it to true");
    };
    let mut watch = (**watch).clone();
    if watch.alerts.audiences.is_empty() {
        watch.alerts.audiences.push(Audience::new(ANYBODY));
    }
    let path = &settings.model.path;
    let model = corpus::load_model(path)?;
    let loaded = Loaded::new(model, &settings.model, Some(path.clone()));
    let decoder = Decoder::new(settings.decode.clone());
    let options = Options { decoder, now: EventTime::from_micros(jiff::Timestamp::now().as_microsecond()) };
    let inputs = expand(&args.inputs)?;
    let mut watch = Watch::new(&watch);
    watch.set_thresholds(loaded.in_use().thresholds);
    watch.set_sessions(loaded.sessions.clone());
    let test = Test {
        loaded: &loaded,
        watch,
        scratch: crate::remember::scratch(settings.model.table_lines),
        clock: Clock::default(),
        news: News::default(),
        days: Days::default(),
        args,
        out: io::BufWriter::new(io::stdout().lock()),
    };
    test.read(&inputs, &options, &settings)
}

/// Where a line came from.
struct Origin<'a> {
    file: &'a Arc<str>,
    place: Place,
    event: &'a LogEvent,
}

impl detect::Origin for Origin<'_> {
    fn finding_id(&self, detector: &str) -> FindingId {
        let (source, message) = (self.source(), self.event.message.as_bytes());
        FindingId::of_record(detector, source.coordinates(), EventTime::default(), 0, message)
    }

    fn source(&self) -> Source {
        let file = || Text(Arc::clone(self.file));
        Source::File { identity: file(), path: file(), offset: self.place.line }
    }
}

struct Test<'a> {
    loaded: &'a Loaded,
    watch: Watch,
    scratch: Scratch,
    clock: Clock<(LogEvent, Place)>,
    news: News,
    days: Days,
    args: &'a BacktestArgs,
    out: io::BufWriter<io::StdoutLock<'static>>,
}

impl Test<'_> {
    fn read(mut self, inputs: &[Input], options: &Options, settings: &Settings) -> anyhow::Result<ExitCode> {
        let prints_json = self.args.json || self.args.anomalies;
        let bar = progress("testing", inputs, prints_json);
        let names: Vec<Arc<str>> = inputs.iter().map(|input| input.name().into()).collect();
        let mut reader = Reader::new(inputs, options);
        let mut batch = Batch::default();
        let mut steps = Vec::new();
        while reader.next_batch(&mut batch)? {
            for (event, place) in batch.events.iter_mut().zip(&batch.places) {
                settings.redactor.redact(event);
                self.clock.take(event.timestamp.as_micros(), || (std::mem::take(event), *place), &mut steps);
                self.follow(&mut steps, &names)?;
            }
            bar.set_position(reader.bytes_read());
        }
        self.clock.finish(&mut steps);
        self.follow(&mut steps, &names)?;
        // Whether the input is silent from here on or only ends is not known.
        for _ in 0..AFTER_S {
            if let Some(now) = self.clock.go_on() {
                self.tick(now, false)?;
            }
        }
        bar.finish_and_clear();
        report_rejects(reader.rejects(), prints_json);
        if self.days.lines() == 0 {
            self.out.flush()?;
            tell!("error: no line of {} could be read", self.args.inputs.join(" "));
            return Ok(ExitCode::from(EXIT_ERROR));
        }
        if !prints_json {
            let open = self.watch.alerts().open().count();
            self.days.print(self.args.alerts, open, &mut self.out)?;
        }
        self.out.flush()?;
        let found = self.args.exit_code && self.days.any_told();
        Ok(if found { ExitCode::from(EXIT_FOUND) } else { ExitCode::SUCCESS })
    }

    fn follow(&mut self, steps: &mut Vec<Step<(LogEvent, Place)>>, names: &[Arc<str>]) -> io::Result<()> {
        for step in steps.drain(..) {
            match step {
                Step::Tick(now) => self.tick(now, true)?,
                Step::Line((event, place)) => self.line(&event, place, names)?,
            }
        }
        Ok(())
    }

    fn line(&mut self, event: &LogEvent, place: Place, names: &[Arc<str>]) -> io::Result<()> {
        let Judged { score, pattern, known_pattern } = self.loaded.model.judge(event, &mut self.scratch);
        let unnamed = Arc::from("");
        let origin = Origin { file: names.get(place.input).unwrap_or(&unnamed), place, event };
        let seen = Seen {
            event,
            score: score.score,
            percentile: score.percentile,
            pattern,
            known_pattern,
            origin: &origin,
        };
        let (model, scratch) = (&self.loaded.model, &mut self.scratch);
        let mut explain = |anomaly: &mut Anomaly| {
            if anomaly.detector == crate::anomaly::ODD_LINE {
                let explanation = model.explain(event, scratch);
                let rows = model.provenance().rows;
                anomaly.reasons.push(crate::scan::reasons_in_words(
                    &event.message,
                    &explanation,
                    rows,
                    false,
                ));
            }
        };
        self.watch.line(&seen, &mut explain, &mut self.news);
        self.days.line();
        self.tell()
    }

    fn tick(&mut self, now: EventTime, caught_up: bool) -> io::Result<()> {
        self.watch.tick(Tick { now, caught_up }, &mut self.news);
        self.tell()
    }

    fn tell(&mut self) -> io::Result<()> {
        let model = self.loaded.model.digest();
        for anomaly in self.news.anomalies.drain(..) {
            self.days.anomaly(&anomaly);
            if self.args.anomalies {
                write_json(&mut self.out, &FindingRecord::of(&anomaly, model))?;
            }
        }
        for change in self.news.changes.drain(..) {
            self.days.change(&change);
            if self.args.json {
                write_json(&mut self.out, &alert::record_of(without_anybody(change), model, None))?;
            }
        }
        Ok(())
    }
}

/// The record names sinks that are set, not the one that stands for any.
fn without_anybody(mut change: AlertChange) -> AlertChange {
    change.notify.retain(|name| name != ANYBODY);
    change
}

fn write_json(out: &mut impl Write, record: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}
