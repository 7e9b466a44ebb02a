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
    let mut drawn: Vec<(u64, usize, usize)> = Vec::new();
    let (mut row, mut planned, mut next) = (0_u64, 0_u64, 0_usize);
    loop {
        if row == planned {
            planned += PLANNED;
            (next, drawn) = (0, plan(&mut reservoirs, planned, drawn));
        }
        let is_drawn = |next: usize| drawn.get(next).filter(|(at, ..)| *at == row);
        if is_drawn(next).is_none() {
            if !messages.skip()? {
                break;
            }
        } else {
            let Some(message) = messages.next()? else { break };
            while let Some(&(_, tree, slot)) = is_drawn(next) {
                put(&mut slots[tree], slot, message);
                next += 1;
            }
        }
        row += 1;
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

/// Rows for which the reservoirs are asked at a time.
const PLANNED: u64 = 4_096;

fn plan(
    reservoirs: &mut [Reservoir],
    until: u64,
    mut drawn: Vec<(u64, usize, usize)>,
) -> Vec<(u64, usize, usize)> {
    drawn.clear();
    for (tree, reservoir) in reservoirs.iter_mut().enumerate() {
        reservoir.draw_until(until, |row, slot| drawn.push((row, tree, slot)));
    }
    drawn.sort_unstable();
    drawn
}

fn put(slots: &mut Vec<Vec<u8>>, slot: usize, message: &[u8]) {
    match slots.get_mut(slot) {
        Some(place) => {
            place.clear();
            place.extend_from_slice(message);
        }
        None => slots.push(message.to_vec()),
    }
}
