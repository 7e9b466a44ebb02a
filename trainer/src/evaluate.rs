//! `trainer evaluate`: how well a model tells labelled anomalies from other lines.

use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use corpus::{Batch, Options, Reader, expand, load_model};
use engine::event::{EventTime, LogEvent};
use engine::metrics::{Quality, quality};
use engine::model::{Scratch, Threshold};
use engine::redact::Redactor;
use serde::Serialize;

use crate::args::EvaluateArgs;

/// The figures, as `--json` prints them.
#[derive(Debug, Serialize)]
struct Figures {
    model: String,
    #[serde(flatten)]
    quality: Quality,
    threshold: f64,
    rejected: u64,
}

/// Scores labelled logs and prints the figures.
///
/// # Errors
/// Settings, model or inputs cannot be used, or there are no labels of both kinds.
pub fn run(args: EvaluateArgs) -> anyhow::Result<()> {
    let decoder = args.read.check()?;
    let model = load_model(&args.model)?;
    let inputs = expand(&args.logs)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let now = EventTime::from_micros(i64::try_from(since.as_micros()).context("the clock stands too late")?);
    let options = Options { decoder, now };
    let mut reader = Reader::new(&inputs, &options);
    let (mut batch, mut scratch, mut rows) = (Batch::default(), Scratch::default(), Vec::new());
    let (redactor, mut labelled) = (Redactor::default(), false);
    while reader.next_batch(&mut batch)? {
        for event in &mut batch.events {
            let label = take_label(event, &args.label);
            labelled |= label.is_some();
            redactor.redact(event);
            rows.push((model.score(event, &mut scratch).score, label.is_some_and(|label| is_odd(&label))));
        }
    }
    if !labelled {
        bail!("no line has a `{}` column or field; name the label's column with --label", args.label);
    }
    let threshold = model.threshold(model.contamination());
    let quality = quality(&rows, threshold.score).with_context(|| {
        format!(
            "0, 0.0, empty, `normal`, `false`, `no` and `-` in `{}` are ordinary lines, all else is odd",
            args.label
        )
    })?;
    let rejected = reader.rejects().faulty();
    if args.json {
        let model = model.digest().to_owned();
        let figures = Figures { model, quality, threshold: threshold.score, rejected };
        writeln!(io::stdout().lock(), "{}", serde_json::to_string(&figures)?)?;
    } else {
        print(&quality, threshold, rejected)?;
    }
    Ok(())
}

fn print(quality: &Quality, threshold: Threshold, rejected: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "lines              {} ({} odd, {} rejected)", quality.rows, quality.anomalies, rejected)?;
    writeln!(out, "ROC-AUC            {:.4}", quality.roc_auc)?;
    writeln!(out, "average precision  {:.4}", quality.average_precision)?;
    writeln!(out, "best F1            {:.4}", quality.best_f1)?;
    writeln!(out, "F1 at threshold    {:.4} (score above {:.4})", quality.f1_at_threshold, threshold.score)
}

/// Takes the label off, so that the model cannot see it.
fn take_label(event: &mut LogEvent, name: &str) -> Option<String> {
    let at = event.attributes.iter().position(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(event.attributes.remove(at).1)
}

fn is_odd(label: &str) -> bool {
    !["", "0", "0.0", "-", "false", "normal", "no"]
        .iter()
        .any(|ordinary| label.trim().eq_ignore_ascii_case(ordinary))
}
