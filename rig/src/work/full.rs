//! `rig score-model`: a corpus scored by the whole model, read and decoded as the programs do it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use corpus::{Batch, Options, Reader, load_model};
use engine::decode::Decoder;
use engine::event::{EventTime, LogEvent};
use engine::model::Scratch;

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
}

/// Scores and writes.
///
/// # Errors
/// A file cannot be read or written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let model = load_model(&arguments.model)?;
    let mut scratch = Scratch::default();
    let mut out = BufWriter::with_capacity(1 << 16, File::create(&arguments.out)?);
    each_batch(&arguments.csv, |events| {
        for event in events {
            out.write_all(&model.score(event, &mut scratch).score.to_le_bytes())?;
        }
        Ok(())
    })?;
    Ok(out.flush()?)
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
