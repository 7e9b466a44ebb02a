//! `trainer fit`: one pass over the logs makes a model, or two where they repeat little; then the report.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use corpus::{Batch, Oddest, Options, Place, expand, save_model};
use engine::decode::Decoder;
use engine::event::{EventTime, LogEvent};
use engine::model::session::SessionTrainer;
use engine::model::train::{FirstPass, Item, SecondPass, Tag};
use engine::model::{Contamination, Model, Provenance, Scratch};
use engine::redact::Redactor;

use crate::args::{FitArgs, FitSettings};
use crate::html;
use crate::intake::{Counts, Intake, Secrets, Source};
use crate::report::{Histogram, Report};
use crate::stored::Stored;
use crate::text;
use crate::topic::Topic;

/// Oddest lines that the report shows.
const SHOWN: usize = 10;

/// What calibrating gave beside the model.
struct Calibrated {
    model: Model,
    histogram: Histogram,
    oddest: Vec<Found>,
    /// Standard error of the share above the threshold, where it rests on a sample.
    sample_error: Option<f64>,
}

/// A training line that stands out.
pub struct Found {
    /// The line.
    pub event: LogEvent,
    /// Where it stands; not known for what was read once.
    pub place: Option<Place>,
    /// In [0, 1].
    pub score: f64,
    /// Further odd lines of its kind.
    pub more: u64,
}

/// Fits and writes a model.
///
/// # Errors
/// Settings, inputs or the output cannot be used, or there is nothing to train on.
pub fn run(args: FitArgs) -> anyhow::Result<()> {
    let settings = args.check()?;
    let mut pool = rayon::ThreadPoolBuilder::new();
    if args.threads > 0 {
        pool = pool.num_threads(args.threads);
    }
    pool.build()
        .context("the threads could not be started; ask for fewer with --threads")?
        .install(|| fit(&args, settings))
}

fn fit(args: &FitArgs, settings: FitSettings) -> anyhow::Result<()> {
    let source = match (&settings.topic, settings.store) {
        (_, Some(store)) => Source::Store(Stored::open(store.place, store.since, store.until)?),
        (Some(topic), None) => {
            Source::Topic(Topic::open(&topic.client, &topic.name, topic.since, topic.until)?)
        }
        (None, None) => Source::Files(expand(&args.logs)?),
    };
    let names = source.names();
    let options = Options { decoder: settings.decoder, now: now()? };
    let redactor = settings.redactor;
    let intake =
        Intake { source: &source, options: &options, excluded: &settings.excluded, redactor: &redactor };

    let mut sessions =
        settings.sessions.map(|(key, bounds)| SessionTrainer::new(settings.params.clone(), key, bounds));
    let mut first = FirstPass::new(settings.params);
    // Of sessions, more of each event is read than its kind.
    let secrets = if sessions.is_some() { Secrets::TakenOut } else { Secrets::Left };
    let tag = |place: Place| [place.input as u64, place.line];
    let counts = intake.pass("reading", secrets, |batch| match &mut sessions {
        Some(sessions) => {
            first.observe_tagged(&batch.events, |at| tag(batch.places[at]));
            sessions.observe(&batch.events);
        }
        None => observe(&mut first, batch, &options.decoder, &redactor, tag),
    })?;
    if counts.accepted < 2 {
        bail!("{}", too_few(&names, &counts));
    }
    let second = first.grow()?;
    let provenance = provenance(args, &names, &counts);
    let mut calibrated = if source.is_read_once() {
        from_sample(second, provenance)
    } else {
        exact(second, provenance, &intake, &counts)?
    };
    if let Some(sessions) = sessions {
        let Some(sessions) = sessions.finish() else {
            bail!(
                "no two sessions by the session key {} were found in {}: check --session-key (SESSION_KEY)",
                args.session_key.as_deref().unwrap_or_default(),
                names.join(", ")
            );
        };
        calibrated.model = calibrated.model.with_sessions(sessions);
    }
    let bytes = save_model(&args.model_path, &calibrated.model)?;
    let report = Report::new(args, &names, &counts, &calibrated.model, bytes)
        .with_scores(&calibrated.model, &calibrated.histogram, calibrated.sample_error)
        .with_oddest(&calibrated.model, &names, &calibrated.oddest, &mut Scratch::default());
    print!("{}", text::report(&report));
    if let Some(path) = &args.report_json {
        let json = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(path, json)
            .with_context(|| format!("cannot write the report to {}", path.display()))?;
    }
    if let Some(path) = &args.report_html {
        std::fs::write(path, html::report(&report))
            .with_context(|| format!("cannot write the report to {}", path.display()))?;
        writeln!(io::stdout().lock(), "Report written to {}", path.display())?;
    }
    Ok(())
}

/// Gives the lines of a batch to the first pass.
fn observe(
    first: &mut FirstPass,
    batch: &mut Batch,
    decoder: &Decoder,
    redactor: &Redactor,
    tag: impl Fn(Place) -> Tag,
) {
    let mut events = std::mem::take(&mut batch.events);
    if batch.items.is_empty() {
        first.observe_raw(&mut events, redactor, |at| tag(batch.places[at]));
    } else {
        let place = |item: Item| match item {
            Item::Again(..) => batch.again[item.number()].place,
            Item::Raw(_) | Item::Clean(..) => batch.places[item.number()],
        };
        let again = |number: usize| batch.event_again(number, decoder);
        first.observe_lines(&batch.items, &mut events, again, redactor, |item| tag(place(item)));
    }
    batch.events = events;
}

fn exact(
    mut second: SecondPass,
    provenance: Provenance,
    intake: &Intake<'_>,
    counts: &Counts,
) -> anyhow::Result<Calibrated> {
    let (mut histogram, mut oddest) = (Histogram::default(), Oddest::new(SHOWN));
    let was_remembered = second.calibrate_from_memory(|known| {
        let [input, line] = known.tag;
        histogram.add(known.score, known.lines);
        oddest.offer_many(&known.event, Place { input: input as usize, line }, known.score, known.lines);
    });
    if !was_remembered {
        let again = intake.pass("scoring", Secrets::TakenOut, |batch| {
            let scores = second.calibrate(&batch.events);
            for ((event, place), score) in batch.events.iter().zip(&batch.places).zip(scores) {
                histogram.add(score, 1);
                oddest.offer(event, *place, score);
            }
        })?;
        if again != *counts {
            bail!(
                "the input changed while it was read: {} lines first, {} then; train on files that are not written to",
                counts.lines,
                again.lines
            );
        }
    }
    let found = |kept: corpus::Kept| Found {
        event: kept.event,
        place: Some(kept.place),
        score: kept.score,
        more: kept.more,
    };
    let oddest = oddest.into_sorted().into_iter().map(found).collect();
    Ok(Calibrated { model: second.finish(provenance), histogram, oddest, sample_error: None })
}

fn from_sample(mut second: SecondPass, provenance: Provenance) -> Calibrated {
    let error = second.calibrate_from_sample();
    let found = |odd: &engine::model::train::OddLine| Found {
        event: odd.event.clone(),
        place: None,
        score: odd.score,
        more: 0,
    };
    let oddest = second.oddest().iter().take(SHOWN).map(found).collect();
    let model = second.finish(provenance);
    let histogram = Histogram::of_model(&model);
    Calibrated { model, histogram, oddest, sample_error: Some(error) }
}

/// Where a file lies does not change the model, so that its path must not either.
fn file_name(name: &str) -> String {
    Path::new(name).file_name().map_or_else(|| name.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn provenance(args: &FitArgs, names: &[String], counts: &Counts) -> Provenance {
    let (first_time, last_time) = counts.span.unwrap_or_default();
    Provenance {
        inputs: names.iter().map(|name| file_name(name)).collect(),
        rows: counts.accepted,
        rejected: counts.rejects.faulty(),
        first_time,
        last_time,
        contamination: match args.contamination.0 {
            Contamination::Share(share) => share.to_string(),
            Contamination::Auto => "auto".to_owned(),
        },
        seed: args.seed,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn too_few(names: &[String], counts: &Counts) -> String {
    let mut message =
        format!("training needs at least 2 log lines, got {} from {}", counts.accepted, names.join(", "));
    if counts.excluded > 0 {
        message += &format!("; {} were left out by --exclude settings", counts.excluded);
    }
    for (reason, count, examples) in counts.rejects.iter() {
        let first = examples
            .first()
            .map(|example| format!(", the first in line {}: {}", example.line, example.detail));
        message += &format!("\n  {count} rejected as {reason}{}", first.unwrap_or_default());
    }
    message
}

fn now() -> anyhow::Result<EventTime> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    Ok(EventTime::from_micros(i64::try_from(since.as_micros()).context("the clock stands too late")?))
}
