//! `rig grow-forest`: an Isolation Forest on the hashed messages of a corpus, in one pass and with nothing in
//! memory but the trees' samples.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use engine::forest::{Forest, ForestData, IsolationForestParams, Reservoir, SparseRows};

use super::hashing::Vectorizer;
use super::messages::Messages;

/// Arguments of `rig grow-forest`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The corpus
    #[arg(long)]
    csv: PathBuf,
    /// Hashed columns
    #[arg(long, default_value_t = 1 << 12)]
    columns: u32,
    /// Trees
    #[arg(long, default_value_t = 100)]
    trees: usize,
    /// Rows drawn for each tree
    #[arg(long, default_value_t = 256)]
    samples: usize,
    /// Seed
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// Grows the forest and says how many nodes it has.
///
/// # Errors
/// The corpus cannot be read, or holds fewer than two rows.
pub fn run(arguments: &Arguments) -> Result<()> {
    let forest = grow(&arguments.csv, arguments)?;
    let nodes: usize = forest.data().trees.iter().map(|tree| tree.nodes.len()).sum();
    println!("{} trees, {nodes} nodes", forest.data().trees.len());
    Ok(())
}

fn grow(csv: &Path, arguments: &Arguments) -> Result<Forest> {
    let seed = arguments.seed;
    let mut reservoirs: Vec<Reservoir> =
        (0..arguments.trees as u64).map(|tree| Reservoir::new(arguments.samples, seed, tree)).collect();
    // The text of a drawn row waits here; it is hashed only if it is still drawn at the end.
    let mut slots: Vec<Vec<Vec<u8>>> = vec![Vec::new(); arguments.trees];
    let mut messages = Messages::open(csv)?;
    let mut drawn = Vec::new();
    let (mut row, mut planned) = (0_u64, 0_u64);
    loop {
        let ahead = planned.clamp(FIRST_PLANNED, MOST_PLANNED);
        plan(&mut reservoirs, planned, ahead, &mut drawn);
        planned += ahead;
        for of_row in drawn.chunk_by(|a, b| a.row() == b.row()) {
            let wanted = planned - ahead + of_row[0].row();
            row += messages.skip(wanted - row)?;
            let Some(message) = messages.next()?.filter(|_| row == wanted) else { break };
            row += 1;
            for draw in of_row {
                put(&mut slots[draw.tree()], draw.slot(), message);
            }
        }
        row += messages.skip(planned - row)?;
        if row < planned {
            break;
        }
    }
    ensure!(row >= 2, "{} holds {row} rows; 2 are needed", csv.display());
    let mut vectorizer = Vectorizer::new(arguments.columns);
    let mut trees = Vec::new();
    for (tree, texts) in slots.iter().enumerate() {
        let mut rows = SparseRows::new(arguments.columns as usize);
        for text in texts {
            rows.push(vectorizer.read_sorted(text).iter().copied())?;
        }
        let params = IsolationForestParams::new()
            .n_estimators(1)
            .max_samples(arguments.samples)
            .seed(seed.wrapping_add(tree as u64));
        trees.extend(params.checked()?.fit_rows(&rows)?.data().trees.clone());
    }
    let sample_size = u32::try_from(arguments.samples.min(row as usize))?;
    Ok(Forest::from_data(ForestData { n_features: arguments.columns, sample_size, trees })?)
}

/// Rows for which the reservoirs are asked at first, and at most: later rows go into fewer of them.
const FIRST_PLANNED: u64 = 1_024;
const MOST_PLANNED: u64 = 1 << 16;

/// Room for most messages, so that few slots ever grow.
const USUAL_BYTES: usize = 96;

/// A row, counted from where a plan starts, that goes into a tree's slot; ordered by the row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Draw(u64);

impl Draw {
    const fn new(row: u64, tree: usize, slot: usize) -> Self {
        Self(row << 40 | (tree as u64) << 20 | slot as u64)
    }

    const fn row(self) -> u64 {
        self.0 >> 40
    }

    const fn tree(self) -> usize {
        (self.0 >> 20) as usize & 0xf_ffff
    }

    const fn slot(self) -> usize {
        self.0 as usize & 0xf_ffff
    }
}

fn plan(reservoirs: &mut [Reservoir], start: u64, rows: u64, drawn: &mut Vec<Draw>) {
    drawn.clear();
    for (tree, reservoir) in reservoirs.iter_mut().enumerate() {
        reservoir.draw_until(start + rows, |row, slot| drawn.push(Draw::new(row - start, tree, slot)));
    }
    drawn.sort_unstable();
}

fn put(slots: &mut Vec<Vec<u8>>, slot: usize, message: &[u8]) {
    match slots.get_mut(slot) {
        Some(place) => {
            place.clear();
            place.extend_from_slice(message);
        }
        None => {
            let mut text = Vec::with_capacity(message.len().max(USUAL_BYTES));
            text.extend_from_slice(message);
            slots.push(text);
        }
    }
}
