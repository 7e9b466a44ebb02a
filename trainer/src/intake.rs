//! One pass over the input: decoded, secrets taken out, excluded lines left out.

use std::sync::mpsc;

use corpus::{Batch, Input, Options, Reader, Rejects};
use engine::event::{EventTime, LogEvent, TimeSource};
use engine::model::train;
use engine::redact::Redactor;

use crate::exclude::Excluded;
use crate::progress::Progress;
use crate::stored::Stored;
use crate::topic::Topic;

/// Batches that are read before they are asked for.
const READ_AHEAD: usize = 2;

/// What a pass read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines of the inputs, headers included.
    pub lines: u64,
    /// Events that were taken.
    pub accepted: u64,
    /// Events that were left out on request.
    pub excluded: u64,
    /// What could not be read.
    pub rejects: Rejects,
    /// First and last event time, microseconds since the epoch, of what states its time; a file's own time and the
    /// time of reading say nothing of a line's.
    pub span: Option<(i64, i64)>,
}

/// Where the lines are.
pub enum Source {
    /// Files and standard input.
    Files(Vec<Input>),
    /// A stretch of a topic.
    Topic(Topic),
    /// What a scorer kept.
    Store(Stored),
}

impl Source {
    /// Names of the inputs, as [`corpus::Place::input`] counts them.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Files(inputs) => inputs.iter().map(Input::name).collect(),
            Self::Topic(topic) => topic.names(),
            Self::Store(stored) => vec![stored.name()],
        }
    }

    /// Whether it cannot be read a second time.
    pub fn is_read_once(&self) -> bool {
        matches!(self, Self::Files(inputs) if inputs.iter().any(|input| matches!(input, Input::Stdin)))
    }
}

/// How a pass is made.
pub struct Intake<'a> {
    /// What is read.
    pub source: &'a Source,
    /// How it is read.
    pub options: &'a Options,
    /// What is left out.
    pub excluded: &'a Excluded,
    /// Takes secrets out.
    pub redactor: &'a Redactor,
}

/// What becomes of secrets in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// The pass takes them out.
    TakenOut,
    /// They are left to whom the batches are given; of lines that are known events are not made.
    Left,
}

impl Intake<'_> {
    /// Reads everything once and hands it on in batches.
    ///
    /// # Errors
    /// An input cannot be read, or a filter cannot be evaluated.
    pub fn pass(
        &self,
        what: &'static str,
        secrets: Secrets,
        mut take: impl FnMut(&mut Batch),
    ) -> anyhow::Result<Counts> {
        match self.source {
            Source::Files(inputs) => {
                let total = inputs.iter().map(Input::stored_bytes).sum::<Option<u64>>();
                let progress = Progress::bytes(what, total);
                self.read(inputs, secrets, |batch, bytes_read| {
                    take(batch);
                    progress.at(bytes_read);
                })
            }
            Source::Topic(topic) => {
                let progress = Progress::records(what, topic.records());
                let (mut counts, mut rejects) = (Counts::default(), Rejects::default());
                counts.lines = topic.read(&self.options.decoder, &mut rejects, |batch, records| {
                    progress.at(records);
                    self.accept(batch, secrets, &mut counts, |_| true)?;
                    take(batch);
                    Ok(())
                })?;
                Ok(Counts { rejects, ..counts })
            }
            Source::Store(stored) => {
                let progress = Progress::records(what, stored.records());
                let mut counts = Counts::default();
                counts.lines = stored.read(|batch, rows| {
                    progress.at(rows);
                    self.accept(batch, secrets, &mut counts, |_| true)?;
                    take(batch);
                    Ok(())
                })?;
                Ok(counts)
            }
        }
    }

    /// Reads files, ahead on a thread of its own where there is more than one. `take` is given each batch and how
    /// many stored bytes were read.
    fn read(
        &self,
        inputs: &[Input],
        secrets: Secrets,
        mut take: impl FnMut(&mut Batch, u64),
    ) -> anyhow::Result<Counts> {
        if rayon::current_num_threads() == 1 {
            return self.read_batches(inputs, secrets, |batch, bytes_read| {
                take(batch, bytes_read);
                true
            });
        }
        let (full, batches) = mpsc::sync_channel::<(Batch, u64)>(READ_AHEAD);
        let (empty, spare) = mpsc::channel::<Batch>();
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                self.read_batches(inputs, secrets, |batch, bytes_read| {
                    let next = spare.try_recv().unwrap_or_default();
                    full.send((std::mem::replace(batch, next), bytes_read)).is_ok()
                })
            });
            for (mut batch, bytes_read) in batches {
                take(&mut batch, bytes_read);
                // The reader may be done, and then needs no more of them.
                let _ = empty.send(batch);
            }
            reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Reads files in batches, until `take` says that no more are wanted.
    fn read_batches(
        &self,
        inputs: &[Input],
        secrets: Secrets,
        mut take: impl FnMut(&mut Batch, u64) -> bool,
    ) -> anyhow::Result<Counts> {
        let states_time = |event: &LogEvent| event.time_source == TimeSource::Record;
        let mut reader = Reader::new(inputs, self.options);
        match secrets {
            Secrets::TakenOut => reader = reader.look_for_secrets(self.redactor),
            // A filter asks for every event.
            Secrets::Left if self.excluded.is_empty() => {
                reader = reader.recall(train::key_maker(), self.redactor);
            }
            Secrets::Left => {}
        }
        let (mut batch, mut counts) = (Batch::default(), Counts::default());
        while reader.next_batch(&mut batch)? {
            self.accept(&mut batch, secrets, &mut counts, states_time)?;
            if !take(&mut batch, reader.bytes_read()) {
                break;
            }
        }
        counts.lines = reader.lines_read();
        counts.rejects = reader.rejects().clone();
        Ok(counts)
    }

    fn accept(
        &self,
        batch: &mut Batch,
        secrets: Secrets,
        counts: &mut Counts,
        states_time: impl Fn(&LogEvent) -> bool,
    ) -> anyhow::Result<()> {
        counts.excluded += self.leave_out(batch)?;
        let mut span = |time: EventTime| {
            let time = time.as_micros();
            let (first, last) = counts.span.unwrap_or((time, time));
            counts.span = Some((first.min(time), last.max(time)));
        };
        for (at, event) in batch.events.iter_mut().enumerate() {
            match (secrets, batch.clean.get(at)) {
                (Secrets::Left, _) => {}
                (Secrets::TakenOut, Some(true)) => {
                    self.redactor.redact_named(event);
                }
                (Secrets::TakenOut, _) => {
                    self.redactor.redact(event);
                }
            }
            if states_time(event) {
                span(event.timestamp);
            }
        }
        batch.again.iter().filter_map(|again| again.time).for_each(span);
        counts.accepted += (batch.events.len() + batch.again.len()) as u64;
        Ok(())
    }

    fn leave_out(&self, batch: &mut Batch) -> anyhow::Result<u64> {
        if self.excluded.is_empty() {
            return Ok(0);
        }
        let held = batch
            .events
            .iter()
            .map(|event| self.excluded.holds(event))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let (mut of_events, mut of_places, mut of_clean) = (held.iter(), held.iter(), held.iter());
        batch.events.retain(|_| of_events.next() != Some(&true));
        batch.places.retain(|_| of_places.next() != Some(&true));
        batch.clean.retain(|_| of_clean.next() != Some(&true));
        Ok(held.iter().filter(|held| **held).count() as u64)
    }
}
