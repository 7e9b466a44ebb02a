//! The model that a scan scores with: one from a file, or one trained on the input itself.

use std::path::Path;

use anyhow::bail;
use corpus::{Input, Options, load_model};
use engine::event::LogEvent;
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Contamination, Explanation, Model, Provenance, Score, Scratch};
use engine::redact::Redactor;

use crate::config::Settings;
use crate::live::Loaded;
use crate::remember;

/// A model with its threshold, and whether the lines to be scored are its own training lines.
#[derive(Debug)]
pub struct Judge {
    /// Model and threshold.
    pub loaded: Loaded,
    /// The model was trained on the input itself.
    pub on_itself: bool,
    redactor: Redactor,
    table_lines: usize,
}

/// What a line came to.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// Its score.
    pub score: Score,
    /// Whether it is above the threshold.
    pub anomaly: bool,
}

impl Judge {
    /// Loads a model.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn with_model(path: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let loaded = Loaded::new(load_model(path)?, &settings.model, Some(path.to_owned()));
        let table_lines = settings.model.table_lines;
        Ok(Self { loaded, on_itself: false, redactor: settings.redactor.clone(), table_lines })
    }

    /// Trains on the inputs and says so.
    ///
    /// # Errors
    /// They cannot be read, or hold fewer than two lines.
    pub fn trained_on(inputs: &[Input], options: &Options, settings: &Settings) -> anyhow::Result<Self> {
        let redactor = settings.redactor.clone();
        let contamination = settings.model.contamination.unwrap_or(TrainParams::default().contamination);
        let params = TrainParams { contamination, ..TrainParams::default() }.check();
        let mut first = match params {
            Ok(params) => FirstPass::new(params),
            Err(errors) => bail!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        };
        let (mut rows, mut span) = (0, None);
        let (_, rejects) = super::read_all(inputs, options, "training", |batch| {
            for event in &mut batch.events {
                redactor.redact(event);
                let time = event.timestamp.as_micros();
                let (from, to) = span.unwrap_or((time, time));
                span = Some((time.min(from), time.max(to)));
            }
            rows += batch.events.len() as u64;
            first.observe(&batch.events);
        })?;
        if rows < 2 {
            super::report_rejects(&rejects, false);
            let name = inputs.first().map(Input::name).unwrap_or_default();
            bail!("{name} holds {rows} log lines; without --model at least 2 are needed to train on");
        }
        let mut second = first.grow()?;
        super::read_all(inputs, options, "measuring", |batch| {
            for event in &mut batch.events {
                redactor.redact(event);
            }
            second.calibrate(&batch.events);
        })?;
        let (first_time, last_time) = span.unwrap_or_default();
        let model = second.finish(Provenance {
            inputs: inputs.iter().map(Input::name).collect(),
            rows,
            rejected: rejects.faulty(),
            first_time,
            last_time,
            contamination: match contamination {
                Contamination::Share(share) => share.to_string(),
                Contamination::Auto => "auto".to_owned(),
            },
            seed: TrainParams::default().seed,
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        tell!("no --model: trained on the {rows} lines of the input itself");
        let table_lines = settings.model.table_lines;
        Ok(Self { loaded: Loaded::new(model, &settings.model, None), on_itself: true, redactor, table_lines })
    }

    /// For lines that the model was not trained on.
    pub fn for_new_lines(self) -> Self {
        Self { on_itself: false, ..self }
    }

    /// Fresh buffers, with a table of recent lines.
    pub fn scratch(&self) -> Scratch {
        remember::scratch(self.table_lines)
    }

    fn model(&self) -> &Model {
        &self.loaded.model
    }

    /// Training lines.
    pub fn rows(&self) -> u64 {
        self.model().provenance().rows
    }

    /// Takes secrets out of a line, then scores it.
    pub fn score(&self, event: &mut LogEvent, scratch: &mut Scratch) -> Verdict {
        self.redactor.redact(event);
        let score = self.score_redacted(event, scratch);
        Verdict { score, anomaly: score.score > self.loaded.threshold.score }
    }

    /// The score of a line whose secrets were taken out.
    pub fn score_redacted(&self, event: &LogEvent, scratch: &mut Scratch) -> Score {
        match self.on_itself {
            true => self.model().score_training(event, scratch),
            false => self.model().score(event, scratch),
        }
    }

    /// Says why.
    pub fn explain(&self, event: &LogEvent, scratch: &mut Scratch) -> Explanation {
        match self.on_itself {
            true => self.model().explain_training(event, scratch),
            false => self.model().explain(event, scratch),
        }
    }
}
