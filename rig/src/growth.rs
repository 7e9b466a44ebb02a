//! `rig growth`: how the cost of a line grows with trees, columns, vocabulary, length of the corpus and services.
//! One thread, CPU time, median of the repeats; writes a chart each.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use engine::event::{EventTime, Level, LogEvent};
use engine::forest::{IsolationForestParams, PathScratch, PlainForest, SparseRows};
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Model, Provenance, Scratch};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use simulator::{Params, Simulator};
use testkit::plot::{Plot, Scale};

use crate::compare::machine;
use crate::corpus;
use crate::measure::own_cpu_s;
use crate::table::{figure, median};
use crate::work::full::each_batch;
use crate::work::hashing::Vectorizer;

const EXAMPLES: &str = "Examples:
  cargo xtask bench growth --data DIR              every chart, into docs/plots
  cargo xtask bench growth --only trees --lines 20000 --out /tmp/plots

Charts: trees, columns, vocabulary, rows, services.";

/// Arguments of `rig growth`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder of raw logs for half of the lines: each *.log, *.log.gz and *.log.zst in it is one log, plain text or
    /// JSON lines, other files are not read; without it the simulator makes them all
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Lines of a measurement
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    lines: u64,
    /// Repeats; the median is taken
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// Draw only this chart (may be given several times)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Folder of the charts
    #[arg(long, default_value = "docs/plots", value_name = "DIR")]
    out: PathBuf,
    /// Folder for corpora
    #[arg(long)]
    work: PathBuf,
}

type Series = Vec<(String, Vec<(f64, f64)>)>;

struct Chart {
    name: &'static str,
    title: &'static str,
    x: &'static str,
    draw: fn(&Arguments, &[LogEvent]) -> Result<Series>,
}

const CHARTS: [Chart; 5] = [
    Chart {
        name: "trees",
        title: "Forest on hashed text: cost of a line by number of trees",
        x: "trees",
        draw: trees,
    },
    Chart {
        name: "columns",
        title: "Whole model: cost of a line by hashed columns",
        x: "columns",
        draw: columns,
    },
    Chart {
        name: "vocabulary",
        title: "Cost of a line by words of the vocabulary",
        x: "distinct words",
        draw: vocabulary,
    },
    Chart { name: "rows", title: "Training: cost of a line by length of the corpus", x: "rows", draw: rows },
    Chart { name: "services", title: "Cost of a line by number of services", x: "services", draw: services },
];

/// Measures, prints the figures and writes the charts.
///
/// # Errors
/// A corpus or chart cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    for name in &arguments.only {
        let known = CHARTS.map(|chart| chart.name);
        anyhow::ensure!(
            known.contains(&name.as_str()),
            "--only {name}: no such chart; there are {}",
            known.join(", ")
        );
    }
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot create {}", arguments.out.display()))?;
    std::fs::create_dir_all(&arguments.work)?;
    println!("{}", machine());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    pool.install(|| {
        let lines = mixed(arguments, arguments.lines)?;
        let is_wanted = |chart: &&Chart| {
            arguments.only.is_empty() || arguments.only.iter().any(|name| name == chart.name)
        };
        for chart in CHARTS.iter().filter(is_wanted) {
            let series = (chart.draw)(arguments, &lines)?;
            for (name, points) in &series {
                let points: Vec<String> =
                    points.iter().map(|(x, y)| format!("{x} → {} ns", figure(*y))).collect();
                println!("{}: {name}: {}", chart.name, points.join(", "));
            }
            let plot = Plot {
                title: chart.title,
                x: chart.x,
                scale: Scale::Logarithmic,
                y: "ns a line",
                series: &series,
            };
            let path = arguments.out.join(format!("{}.svg", chart.name));
            std::fs::write(&path, plot.svg()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    })
}

fn mixed(arguments: &Arguments, rows: u64) -> Result<Vec<LogEvent>> {
    let path = corpus_file(arguments, rows)?;
    let mut lines = Vec::new();
    each_batch(&path, |events| {
        lines.extend_from_slice(events);
        Ok(())
    })?;
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(lines)
}

fn corpus_file(arguments: &Arguments, rows: u64) -> Result<PathBuf> {
    let out = arguments.work.join(format!("growth-{rows}.csv"));
    let data = arguments.data.clone();
    corpus::write(&corpus::Arguments { rows, seed: 42, data, repeating: false, out: out.clone() })?;
    Ok(out)
}

/// Median CPU time of a line, ns.
fn cost(arguments: &Arguments, lines: u64, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut costs = Vec::new();
    for _ in 0..arguments.repeats {
        let start = own_cpu_s()?;
        work()?;
        costs.push((own_cpu_s()? - start) * 1e9 / lines as f64);
    }
    Ok(median(&costs))
}

fn train(lines: &[LogEvent], params: TrainParams) -> Result<Model> {
    let params = params.check().map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let mut first = FirstPass::new(params);
    first.observe(lines);
    let mut second = first.grow()?;
    second.calibrate(lines);
    Ok(second.finish(Provenance::default()))
}

fn score_cost(arguments: &Arguments, model: &Model, lines: &[LogEvent]) -> Result<f64> {
    let mut scratch = Scratch::default();
    cost(arguments, lines.len() as u64, || {
        lines.iter().for_each(|line| {
            std::hint::black_box(model.score(line, &mut scratch));
        });
        Ok(())
    })
}

/// Cost of training and of scoring what was trained on.
fn both(arguments: &Arguments, lines: &[LogEvent]) -> Result<(f64, f64)> {
    let mut model = None;
    let training = cost(arguments, lines.len() as u64, || {
        model = Some(train(lines, TrainParams::default())?);
        Ok(())
    })?;
    let model = model.context("nothing was trained")?;
    Ok((training, score_cost(arguments, &model, lines)?))
}

fn trees(arguments: &Arguments, lines: &[LogEvent]) -> Result<Series> {
    const COLUMNS: u32 = 1 << 12;
    /// Walking takes long.
    const PLAIN_LINES: usize = 5_000;
    let mut vectorizer = Vectorizer::new(COLUMNS);
    let mut rows = SparseRows::new(COLUMNS as usize);
    for line in lines {
        rows.push(vectorizer.read_sorted(line.message.as_bytes()).iter().copied())?;
    }
    let (mut sparse, mut walking) = (Vec::new(), Vec::new());
    for trees in [25, 50, 100, 200, 400, 800, 1_600, 3_200] {
        let forest = IsolationForestParams::new().n_estimators(trees).checked()?.fit_rows(&rows)?;
        let mut scratch = PathScratch::default();
        let mut sum = 0_i64;
        let ours = cost(arguments, rows.len() as u64, || {
            (0..rows.len()).for_each(|row| {
                sum = sum.wrapping_add(forest.path_sum(rows.row(row).iter().copied(), &mut scratch));
            });
            Ok(())
        })?;
        sparse.push((trees as f64, ours));
        let (plain, part) = (PlainForest::new(forest.data()), rows.len().min(PLAIN_LINES));
        let mut buffer = vec![0.0; COLUMNS as usize];
        let walked = cost(arguments, part as u64, || {
            (0..part).for_each(|row| sum = sum.wrapping_add(plain.path_sum(rows.row(row), &mut buffer)));
            Ok(())
        })?;
        walking.push((trees as f64, walked));
        std::hint::black_box(sum);
    }
    println!(
        "trees: walking every tree: {}",
        walking.iter().map(|(x, y)| format!("{x} → {} ns", figure(*y))).collect::<Vec<_>>().join(", ")
    );
    Ok(vec![("sparse scoring".to_owned(), sparse)])
}

fn columns(arguments: &Arguments, lines: &[LogEvent]) -> Result<Series> {
    let mut points = Vec::new();
    for bits in (8..=20).step_by(2) {
        let model = train(lines, TrainParams { n_features: 1 << bits, ..TrainParams::default() })?;
        points.push((f64::from(1_u32 << bits), score_cost(arguments, &model, lines)?));
    }
    Ok(vec![("scoring, no table of recent lines".to_owned(), points)])
}

/// Lines of eight words, drawn from so many.
fn worded(words: u32, count: u64) -> Vec<LogEvent> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(u64::from(words));
    let name = |number: u32| {
        let letter = |place: u32| char::from(b'a' + (number / 26_u32.pow(place) % 26) as u8);
        (0..5).map(letter).collect::<String>()
    };
    let line = |number: u64| {
        let drawn: Vec<String> = (0..8).map(|_| name(rng.gen_range(0..words))).collect();
        LogEvent {
            timestamp: EventTime::from_millis(number as i64),
            service: "service".to_owned(),
            level: Some(Level::Info),
            message: drawn.join(" "),
            ..LogEvent::default()
        }
    };
    (0..count).map(line).collect()
}

fn vocabulary(arguments: &Arguments, _: &[LogEvent]) -> Result<Series> {
    let (mut training, mut scoring) = (Vec::new(), Vec::new());
    for words in [100, 1_000, 10_000, 100_000, 1_000_000] {
        let costs = both(arguments, &worded(words, arguments.lines))?;
        training.push((f64::from(words), costs.0));
        scoring.push((f64::from(words), costs.1));
    }
    Ok(vec![("training".to_owned(), training), ("scoring".to_owned(), scoring)])
}

fn rows(arguments: &Arguments, _: &[LogEvent]) -> Result<Series> {
    let mut points = Vec::new();
    for rows in [30_000, 100_000, 300_000, 1_000_000, 3_000_000] {
        let path = corpus_file(arguments, rows)?;
        points.push((rows as f64, cost(arguments, rows, || train_file(&path))?));
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(vec![("training, file read twice".to_owned(), points)])
}

fn train_file(path: &Path) -> Result<()> {
    let params = TrainParams::default().check().map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let mut first = FirstPass::new(params);
    each_batch(path, |events| {
        first.observe(events);
        Ok(())
    })?;
    let mut second = first.grow()?;
    each_batch(path, |events| {
        second.calibrate(events);
        Ok(())
    })?;
    std::hint::black_box(second.finish(Provenance::default()));
    Ok(())
}

fn services(arguments: &Arguments, _: &[LogEvent]) -> Result<Series> {
    let (mut training, mut scoring) = (Vec::new(), Vec::new());
    for services in [1_u32, 10, 100, 1_000, 10_000] {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(u64::from(services));
        let mut simulator =
            Simulator::new(Params::default()).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        let mut line = || LogEvent {
            service: format!("service-{}", rng.gen_range(0..services)),
            ..simulator.next_line().event()
        };
        let lines: Vec<LogEvent> = (0..arguments.lines).map(|_| line()).collect();
        let costs = both(arguments, &lines)?;
        training.push((f64::from(services), costs.0));
        scoring.push((f64::from(services), costs.1));
    }
    Ok(vec![("training".to_owned(), training), ("scoring".to_owned(), scoring)])
}
