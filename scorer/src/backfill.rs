//! `scorer backfill`: the detectors' baselines from recorded logs, so that what needs days of history has them at the next
//! start of `scorer run`. The clock is made from the lines' own times. Tells nobody of anything and scores for nobody.

use std::collections::BTreeMap;
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
use tokio::runtime::Runtime;

use crate::EXIT_ERROR;
use crate::backtest::clock::{Clock, Step};
use crate::config::{Flags, Input, Settings, Subset, table::Group};
use crate::live::Loaded;
use crate::scan::{progress, report_rejects};
use crate::sole;
use crate::state::{Filling, Stream, Target};

/// Longest list of what still needs history.
const MOST_SHOWN: usize = 10;

const EXAMPLES: &str = "Examples:
  scorer backfill --input file:/var/log/app.log --state-dir state history/*.jsonl.zst
  STATE_DIR=state INPUT=otlp scorer backfill week.csv.gz       for what peers push
  scorer backfill --replace --state-dir state --input file:app.log history/*.gz
  scorer backfill --replace --kafka-bootstrap-servers broker:9092 history/*.gz      into STATE_TOPIC

Stop the scorers first: they write what they have learnt over this. Give it the same MODEL_PATH, INPUT, STATE_DIR and
detector settings as `scorer run`. Lines that a scorer reads later and that are older than the newest of these count as late.
With Kafka, what is learnt of a service belongs to its partition: let `scorer run` read lines of every service once, stop
it, and fill then; services that no partition has had are left out and told. How far inputs are read never changes.

Exit status: 0 when it was filled, 2 on an error.";

/// The groups that this takes as flags.
#[derive(Clone, Debug)]
pub struct Filled;

impl Subset for Filled {
    const GROUPS: &'static [Group] =
        &[Group::Input, Group::Kafka, Group::Decode, Group::Model, Group::Learn, Group::Alerts];
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
    // The topic's store asks brokers from tasks of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // A scorer that runs would write over what is filled.
    let _sole = settings.state_dir.as_deref().map(sole::take).transpose()?;
    let mut filling = begin(&settings, &runtime, args.replace)?;
    let path = &settings.model.path;
    let loaded = Loaded::new(corpus::load_model(path)?, &settings.model, Some(path.clone()));
    filling.targets.iter_mut().for_each(|target| target.learned.use_model(loaded.in_use()));
    let mut history = History {
        settings: &settings,
        loaded: &loaded,
        targets: &mut filling.targets,
        scratch: crate::remember::scratch(settings.model.table_lines),
        clock: Clock::default(),
        owners: BTreeMap::new(),
        lines: 0,
        nobodys: BTreeMap::new(),
    };
    history.read(&args.files)?;
    let (lines, nobodys) = (history.lines, history.nobodys);
    if lines == 0 {
        let left: u64 = nobodys.values().sum();
        let why = if left > 0 { "no partition has had any of their services" } else { "could not be read" };
        tell!("error: no line of {} was learnt: {why}; nothing is changed", args.files.join(" "));
        return Ok(ExitCode::from(EXIT_ERROR));
    }
    let bytes = filling.keep()?;
    report(&mut filling.targets, lines, &nobodys, bytes);
    Ok(ExitCode::SUCCESS)
}

/// What is filled.
fn begin(settings: &Settings, runtime: &Runtime, replace: bool) -> anyhow::Result<Filling> {
    match settings.inputs.as_slice() {
        [Input::Kafka] => Filling::of_topic(settings, runtime.handle().clone(), replace),
        [input] => {
            let Some(folder) = &settings.state_dir else {
                bail!(
                    "STATE_DIR is not set: name the directory in which `scorer run` keeps what it learns, with --state-dir"
                )
            };
            Filling::of_folder(settings, folder, Stream::input(&input.to_string()), replace)
        }
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
    targets: &'a mut [Target],
    scratch: Scratch,
    clock: Clock<LogEvent>,
    /// By service: its stream's place, where it has one.
    owners: BTreeMap<String, Option<usize>>,
    lines: u64,
    /// Lines of services that no partition has had.
    nobodys: BTreeMap<String, u64>,
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
                self.follow(&mut steps)?;
            }
            bar.set_position(reader.bytes_read());
        }
        self.clock.finish(&mut steps);
        self.follow(&mut steps)?;
        bar.finish_and_clear();
        report_rejects(reader.rejects(), false);
        Ok(())
    }

    fn follow(&mut self, steps: &mut Vec<Step<LogEvent>>) -> anyhow::Result<()> {
        for step in steps.drain(..) {
            match step {
                Step::Tick(now) => {
                    for watch in self.targets.iter_mut().filter_map(|target| target.learned.watch()) {
                        watch.learn_tick(Tick { now, caught_up: true });
                    }
                }
                Step::Line(event) => self.line(&event)?,
            }
        }
        Ok(())
    }

    /// Place of the stream that a service's lines are of.
    fn owner(&mut self, service: &str) -> anyhow::Result<Option<usize>> {
        if let Some(owner) = self.owners.get(service) {
            return Ok(*owner);
        }
        let mut owners = self.targets.iter_mut().enumerate();
        let mut next = || owners.find_map(|(place, target)| target.has(service).then_some(place));
        let owner = next();
        if let (Some(one), Some(other)) = (owner, next()) {
            let name = |place: usize| {
                self.targets.get(place).map_or_else(String::new, |one| one.stream().to_string())
            };
            bail!(
                "{} and {} have both had lines of the service {service:?}, so nobody has all of them: key the topic by \
                 service, or set DETECT_TOPIC",
                name(one),
                name(other)
            );
        }
        self.owners.insert(service.to_owned(), owner);
        Ok(owner)
    }

    fn line(&mut self, event: &LogEvent) -> anyhow::Result<()> {
        let owner = self.owner(&event.service)?;
        let Some(target) = owner.and_then(|place| self.targets.get_mut(place)) else {
            *self.nobodys.entry(event.service.clone()).or_default() += 1;
            return Ok(());
        };
        let learned = &mut target.learned;
        let Judged { score, pattern, known_pattern } =
            learned.judge(&self.loaded.model, event, &mut self.scratch);
        let origin = Nowhere(self.lines);
        let (score, percentile) = (score.score, score.percentile);
        if let Some(watch) = learned.watch() {
            watch.learn(&Seen { event, score, percentile, pattern, known_pattern, origin: &origin });
        }
        learned.learn(&self.loaded.model, event, &mut self.scratch);
        self.lines += 1;
        Ok(())
    }
}

fn report(targets: &mut [Target], lines: u64, nobodys: &BTreeMap<String, u64>, bytes: usize) {
    say!("learnt {lines} lines ({bytes} bytes)");
    let mut warming = Vec::new();
    for target in targets {
        let stream = target.stream().to_string();
        let Some(watch) = target.learned.watch() else { continue };
        let bank = watch.detectors();
        let Some(until) = bank.event_time() else { continue };
        say!("  {stream}: {} services until {until}", bank.services());
        warming.extend(bank.warming(MOST_SHOWN + 1));
    }
    for (service, lines) in nobodys.iter().take(MOST_SHOWN) {
        say!("left out: {lines} lines of {service:?}, which no partition has had yet");
    }
    if nobodys.len() > MOST_SHOWN {
        say!("left out: {} more services", nobodys.len() - MOST_SHOWN);
    }
    if warming.is_empty() {
        say!("no detector needs more history");
        return;
    }
    say!("what still needs history:");
    for one in warming.iter().take(MOST_SHOWN) {
        say!("  {} of {}: {}", one.detector, one.service, one.needs);
    }
    if warming.len() > MOST_SHOWN {
        say!("  and more");
    }
}
