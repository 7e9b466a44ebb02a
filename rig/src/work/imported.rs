//! `rig score-trees`: the messages of a corpus scored by trees that scikit-learn grew, as its users would score
//! them: the file read, hashed, scored, the scores written.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use engine::forest::{Forest, PathScratch, TreeArrays};
use serde::Deserialize;

use super::hashing::Vectorizer;
use super::messages::Messages;

/// Arguments of `rig score-trees`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The corpus
    #[arg(long)]
    csv: PathBuf,
    /// The trees, as `peers/fit.py` writes them
    #[arg(long)]
    trees: PathBuf,
    /// Where the scores go: 64-bit floats, little end first
    #[arg(long)]
    out: PathBuf,
}

/// A forest as `peers/fit.py` writes it.
#[derive(Deserialize)]
pub struct Exported {
    columns: u32,
    sample_size: u32,
    trees: Vec<TreeArrays>,
}

/// Reads trees that scikit-learn grew.
///
/// # Errors
/// The file cannot be read, or holds no forest.
pub fn read_forest(path: &Path) -> Result<(Forest, u32)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let exported: Exported = serde_json::from_slice(&bytes)?;
    let forest = Forest::from_arrays(&exported.trees, exported.columns, exported.sample_size)?;
    Ok((forest, exported.columns))
}

/// Scores and writes.
///
/// # Errors
/// A file cannot be read or written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let (forest, columns) = read_forest(&arguments.trees)?;
    let (mut vectorizer, mut scratch) = (Vectorizer::new(columns), PathScratch::default());
    let mut messages = Messages::open(&arguments.csv)?;
    let mut out = BufWriter::with_capacity(1 << 16, File::create(&arguments.out)?);
    while let Some(message) = messages.next()? {
        let score = forest.score(vectorizer.read(message), &mut scratch);
        out.write_all(&score.to_le_bytes())?;
    }
    Ok(out.flush()?)
}
