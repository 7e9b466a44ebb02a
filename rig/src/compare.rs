//! `rig compare`: every pair of ours and a peer's on the same corpus, turn and turn about, and one table.

use std::cell::OnceCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::corpus;
use crate::measure::{Cost, SINGLE, measured};
use crate::pairs::{PAIRS, Pair};
use crate::table::{Row, markdown};

const EXAMPLES: &str = "Examples:
  cargo xtask bench compare --data DIR                       everything; takes about an hour
  cargo xtask bench compare --only score --only train        two of the pairs
  cargo xtask bench compare --only score-18 --peer-rows 100000

Whole processes are measured: user and system time and peak memory as the kernel accounts them, each on one core
and one thread unless the table says otherwise. A ratio is taken in every repeat, ours and the peer's in turn;
the table gives the median and, in brackets, the least and the greatest.";

/// Arguments of `rig compare`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder of raw logs for half of the corpus: each *.log, *.log.gz and *.log.zst in it is one log, plain text or
    /// JSON lines, other files are not read; without it the simulator makes it all
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Rows of the corpus
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    rows: u64,
    /// Seed of the corpus
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Repeats of each pair
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// Measure only this pair (may be given several times)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rows that the slowest peer scores; its figures are then scaled to all rows, and the table says so
    #[arg(long, value_name = "ROWS")]
    peer_rows: Option<u64>,
    /// Write the rows as JSON too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List the pairs and end
    #[arg(long)]
    list: bool,
    /// The core to measure on, as `taskset` takes it
    #[arg(long, default_value = "1", value_name = "CPU")]
    core: String,
    /// Python with the peers of rig/peers/requirements.txt (`cargo xtask bench` sets it up)
    #[arg(long)]
    python: PathBuf,
    /// Folder for corpora, models and scores
    #[arg(long)]
    work: PathBuf,
}

/// What the pairs share.
pub struct Bench {
    arguments: Arguments,
    corpus: OnceCell<PathBuf>,
    repeating: OnceCell<PathBuf>,
}

impl Bench {
    /// A file of the work folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.arguments.work.join(name)
    }

    /// Rows of the corpus.
    pub const fn rows(&self) -> u64 {
        self.arguments.rows
    }

    /// Repeats of each pair.
    pub const fn repeats(&self) -> u32 {
        self.arguments.repeats
    }

    /// Rows of the slowest peer, where they are fewer than all.
    pub fn peer_rows(&self) -> Option<u64> {
        self.arguments.peer_rows.filter(|rows| *rows < self.arguments.rows)
    }

    /// The corpus of this run.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn corpus(&self) -> Result<&Path> {
        self.made(&self.corpus, "corpus.csv", self.arguments.rows, false)
    }

    /// The corpus whose rows repeat but for their numbers.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn repeating(&self) -> Result<&Path> {
        self.made(&self.repeating, "repeating.csv", self.arguments.rows, true)
    }

    /// A corpus of another length.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn corpus_of(&self, rows: u64, name: &str) -> Result<PathBuf> {
        let out = self.file(name);
        let Arguments { seed, data, .. } = self.arguments.clone();
        corpus::write(&corpus::Arguments { rows, seed, data, repeating: false, out: out.clone() })?;
        Ok(out)
    }

    fn made<'a>(
        &'a self,
        cell: &'a OnceCell<PathBuf>,
        name: &str,
        rows: u64,
        repeating: bool,
    ) -> Result<&'a Path> {
        if let Some(path) = cell.get() {
            return Ok(path);
        }
        let out = self.file(name);
        let Arguments { seed, data, .. } = self.arguments.clone();
        corpus::write(&corpus::Arguments { rows, seed, data, repeating, out: out.clone() })?;
        Ok(cell.get_or_init(|| out))
    }

    /// The core that is measured on.
    pub fn core(&self) -> &str {
        &self.arguments.core
    }

    /// The Python of the peers.
    pub fn python(&self) -> &Path {
        &self.arguments.python
    }

    /// Runs this program with other arguments on the measured core and tells the cost.
    ///
    /// # Errors
    /// It fails.
    pub fn ours(&self, arguments: &[&str]) -> Result<Cost> {
        let this = std::env::current_exe().context("the path of this program is not known")?;
        self.on_core(this.to_string_lossy().as_ref(), arguments)
    }

    /// Runs a program that stands beside this one.
    ///
    /// # Errors
    /// It is not there, or fails.
    pub fn program(&self, name: &str, arguments: &[&str]) -> Result<Cost> {
        self.on_core(&self.beside(name)?.to_string_lossy(), arguments)
    }

    /// The path of a program that stands beside this one.
    ///
    /// # Errors
    /// It is not there.
    pub fn beside(&self, name: &str) -> Result<PathBuf> {
        let this = std::env::current_exe().context("the path of this program is not known")?;
        let path = this.with_file_name(name);
        if !path.exists() {
            bail!("{} is missing; build it: cargo build --release -p {name}", path.display());
        }
        Ok(path)
    }

    /// Runs a script of rig/peers.
    ///
    /// # Errors
    /// It fails.
    pub fn peer(&self, script: &str, arguments: &[&str]) -> Result<Cost> {
        let path = self.script(script);
        let mut all = vec![path.to_str().context("the path of the peers is not UTF-8")?];
        all.extend(arguments);
        self.on_core(&self.arguments.python.to_string_lossy(), &all)
    }

    /// The path of a script of rig/peers.
    pub fn script(&self, name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
    }

    fn on_core(&self, program: &str, arguments: &[&str]) -> Result<Cost> {
        let command = std::iter::once(program).chain(arguments.iter().copied()).map(str::to_owned).collect();
        Ok(measured(&self.arguments.core, command, &SINGLE)?.0)
    }
}

/// Measures and prints.
///
/// # Errors
/// An unknown name, or a pair that cannot be measured; the others' rows are printed all the same.
pub fn run(arguments: Arguments) -> Result<()> {
    if arguments.list {
        PAIRS.iter().for_each(|pair| println!("{:<14} {}", pair.name, pair.about));
        return Ok(());
    }
    let pairs = chosen(&arguments.only)?;
    std::fs::create_dir_all(&arguments.work)
        .with_context(|| format!("cannot create {}", arguments.work.display()))?;
    let json = arguments.json.clone();
    println!("{}", headline(&arguments));
    let bench = Bench { arguments, corpus: OnceCell::new(), repeating: OnceCell::new() };
    let (mut rows, mut failures): (Vec<Row>, Vec<String>) = (Vec::new(), Vec::new());
    for pair in pairs {
        eprintln!("measuring {}: {}", pair.name, pair.about);
        match (pair.run)(&bench) {
            Ok(more) => {
                eprint!("{}", markdown(&more));
                rows.extend(more);
            }
            Err(error) => failures.push(format!("{} was not measured: {error:#}", pair.name)),
        }
    }
    print!("{}", report(&rows));
    if let Some(path) = json {
        std::fs::write(&path, serde_json::to_string_pretty(&rows)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}

/// The table, and which bars are missed.
fn report(rows: &[Row]) -> String {
    let mut text = markdown(rows);
    let missed: Vec<&Row> = rows.iter().filter(|row| !row.is_reached()).collect();
    if rows.is_empty() {
        text.push_str("\nNothing was measured.\n");
    } else if missed.is_empty() {
        text.push_str("\nEvery bar is reached.\n");
    } else {
        let _ = writeln!(text, "\nMissed, {} of {} rows:", missed.len(), rows.len());
        missed.iter().for_each(|row| {
            let _ = writeln!(text, "- {}, against {}", row.what, row.against);
        });
    }
    text
}

fn chosen(only: &[String]) -> Result<Vec<&'static Pair>> {
    if only.is_empty() {
        return Ok(PAIRS.iter().collect());
    }
    let find = |name: &String| {
        PAIRS.iter().find(|pair| pair.name == name.as_str()).with_context(|| {
            let known: Vec<&str> = PAIRS.iter().map(|pair| pair.name).collect();
            format!("--only {name}: no such pair; there are {}", known.join(", "))
        })
    };
    only.iter().map(find).collect()
}

fn headline(arguments: &Arguments) -> String {
    format!(
        "{} rows, seed {}, {}; {} repeats; {}",
        arguments.rows,
        arguments.seed,
        if arguments.data.is_some() { "half from raw logs" } else { "from the simulator alone" },
        arguments.repeats,
        machine(),
    )
}

/// Processor, cores and memory.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model = value(&cpu, "model name").unwrap_or_else(|| "an unknown processor".to_owned());
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let avx = if cpu.contains("avx512bw") { " with AVX-512" } else { "" };
    let kib = value(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    format!("{cores} cores of {model}{avx}, {:.0} GiB", kib.unwrap_or_default() / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_pair_is_refused_with_the_known_ones() {
        let error = chosen(&["scoer".to_owned()]).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("--only scoer") && error.contains("score"), "{error}");
        assert_eq!(chosen(&[]).unwrap().len(), PAIRS.len());
    }

    #[test]
    fn names_of_pairs_are_distinct() {
        let mut names: Vec<&str> = PAIRS.iter().map(|pair| pair.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PAIRS.len());
    }
}
