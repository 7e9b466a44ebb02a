//! `rig score-model`: a corpus scored by the whole model, with the table of recent lines in front.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use corpus::{Batch, Options, Reader, load_model};
use engine::decode::{Decoder, level};
use engine::event::{EventTime, LogEvent, LogLine};
use engine::model::train::Item;
use engine::model::{Score, Scratch};
use engine::redact::Redactor;

use super::messages::Messages;

/// Lines that the table holds at most; an entry takes 64 bytes.
const TABLE_LINES: usize = 1 << 16;
/// Peers cannot choose what a measurement reads.
const TABLE_SEED: u128 = 0;

/// Arguments of `rig score-model`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The corpus
    #[arg(long)]
    csv: PathBuf,
    /// The model, as `trainer fit` writes it
    #[arg(long)]
    model: PathBuf,
    /// Where the scores go: 64-bit floats, little end first
    #[arg(long)]
    out: PathBuf,
    /// Score every line anew
    #[arg(long)]
    no_table: bool,
}

/// Scores and writes; says how many lines the table answered.
///
/// # Errors
/// A file cannot be read or written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let model = load_model(&arguments.model)?;
    let mut scratch = match arguments.no_table {
        true => Scratch::default(),
        false => Scratch::with_table(TABLE_LINES, TABLE_SEED),
    };
    let mut out = BufWriter::with_capacity(1 << 16, File::create(&arguments.out)?);
    let mut put = |score: Score| out.write_all(&score.score.to_le_bytes());
    match scratch.key_maker().cloned() {
        None => each_line(&arguments.csv, |line| Ok(put(model.score_line(line, &mut scratch))?))?,
        Some(maker) => {
            let inputs = corpus::expand(&[arguments.csv.to_string_lossy().into_owned()])?;
            let options = Options { decoder: Decoder::default(), now: EventTime::default() };
            // As the peer does, without looking for secrets.
            let redactor = Redactor::off();
            let mut reader = Reader::new(&inputs, &options).recall(maker, &redactor);
            let mut batch = Batch::default();
            while reader.next_batch(&mut batch)? {
                for item in &batch.items {
                    let number = item.number();
                    let judged = match *item {
                        Item::Raw(_) => None,
                        Item::Clean(_, key) | Item::Again(_, key) => model.judged_of(key, &mut scratch),
                    };
                    put(match (judged, item) {
                        (Some(judged), _) => judged.score,
                        (None, Item::Again(..)) => {
                            model.score(&batch.event_again(number, &options.decoder), &mut scratch)
                        }
                        (None, _) => model.score(&batch.events[number], &mut scratch),
                    })?;
                }
            }
        }
    }
    out.flush()?;
    let counts = scratch.table_counts();
    println!("{} of {} lines answered by the table", counts.hits, counts.hits + counts.misses);
    Ok(())
}

/// Reads the lines of a corpus without making events of them.
///
/// # Errors
/// It cannot be read, or `take` fails.
pub fn each_line(csv: &Path, mut take: impl FnMut(LogLine<'_>) -> Result<()>) -> Result<()> {
    let mut messages = Messages::open(csv)?;
    while let Some([service, level, message]) = messages.next_texts()? {
        take(LogLine { service, level: level::from_word(level), message })?;
    }
    Ok(())
}

/// Reads a corpus as the programs do.
///
/// # Errors
/// It cannot be read, or `take` fails.
pub fn each_batch(csv: &Path, mut take: impl FnMut(&[LogEvent]) -> Result<()>) -> Result<()> {
    let inputs = corpus::expand(&[csv.to_string_lossy().into_owned()])?;
    let options = Options { decoder: Decoder::default(), now: EventTime::default() };
    let (mut reader, mut batch) = (Reader::new(&inputs, &options), Batch::default());
    while reader.next_batch(&mut batch)? {
        take(&batch.events)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_that_the_programs_read() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("corpus.csv");
        let arguments =
            crate::corpus::Arguments { rows: 5_000, seed: 1, data: None, repeating: false, out: out.clone() };
        crate::corpus::write(&arguments).unwrap();
        let mut events = Vec::new();
        each_batch(&out, |batch| {
            events.extend_from_slice(batch);
            Ok(())
        })
        .unwrap();
        let mut row = 0;
        each_line(&out, |line| {
            let event = &events[row];
            assert_eq!(
                (line.service, line.level, line.message),
                (event.service.as_str(), event.level, event.message.as_str())
            );
            row += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(row, events.len());
    }
}
