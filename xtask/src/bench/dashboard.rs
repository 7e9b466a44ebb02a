//! What the dashboard costs: how soon a browser paints it and how much it loads, the scorer's processor time for one
//! viewer of the live tail, and the viewer's memory over time. A real Chromium looks at a demo; bars are shown, and
//! never make it fail.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use testkit::browser::Browser;
use testkit::process::Process;
use testkit::workdir::Workdir;

use super::rig;
use crate::shell;

#[derive(clap::Args)]
pub struct Arguments {
    /// Minutes that the live tail is open; a tenth of it more before, and after, nobody looks
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// Simulated lines per second
    #[arg(long, value_name = "LINES", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
}

/// Longest wait for the demo's start, which trains a model, and for its end.
const LIMIT: Duration = Duration::from_secs(120);
/// How much longer the demo may live than is measured, if nothing ends it before, s.
const SPARE_S: u64 = 600;
/// Longest that the first paint may take, ms.
const MOST_PAINT_MS: f64 = 1_000.0;
/// Most that the pages' files may weigh by gzip, bytes.
const MOST_PACKED: usize = 300_000;
/// Most that a viewer may cost the scorer, cores.
const MOST_CORES: f64 = 0.1;
/// Most that the viewer's memory may grow from the first third to the last.
const MOST_GROWTH: f64 = 0.1;
const MIB: f64 = 1_048_576.0;

/// What the script found.
#[derive(Deserialize)]
struct Found {
    paints: Vec<Paint>,
    before: Account,
    viewed: Viewed,
    after: Account,
}

#[derive(Deserialize)]
struct Paint {
    first_ms: f64,
    filled_ms: f64,
}

/// The scorer over some time.
#[derive(Deserialize)]
struct Account {
    seconds: f64,
    /// Processor time by time.
    cores: f64,
    /// Lines that it scored.
    lines: f64,
}

#[derive(Deserialize)]
struct Viewed {
    account: Account,
    samples: Vec<Memory>,
    /// What the page says that it did not show.
    passed: String,
}

/// Bytes, after garbage was collected.
#[derive(Deserialize)]
struct Memory {
    heap: f64,
    resident: f64,
}

/// One line of the table.
struct Row {
    what: &'static str,
    bar: &'static str,
    measured: String,
    reached: Option<bool>,
    figures: String,
}

/// `cargo xtask bench dashboard`.
///
/// # Errors
/// The browser is not set up, the scorer cannot be built or run, or something could not be measured.
pub fn run(arguments: &Arguments) -> Result<()> {
    let browser = Browser::find()?;
    eprintln!("building the scorer");
    rig::build(&["scorer"])?;
    let found = measure(&browser, arguments)?;
    let pages = page_files()?;
    let (raw, packed) = sizes(&pages)?;
    println!(
        "{} minutes, {} lines/s asked for, {:.0} scored.\n",
        arguments.minutes,
        arguments.rate,
        found.lines_per_second(),
    );
    println!("| what | bar | measured | reached | figures |\n|---|---|---|---|---|");
    let size = Row {
        what: "the pages' files, all of them, by gzip",
        bar: "< 300 kB",
        measured: format!("{:.1} kB", packed as f64 / 1e3),
        reached: Some(packed < MOST_PACKED),
        figures: format!("{} files of {:.1} kB", pages.len(), raw as f64 / 1e3),
    };
    let mut rows = found.rows()?;
    rows.insert(1, size);
    rows.iter().for_each(|row| println!("{}", row.markdown()));
    Ok(())
}

/// Starts the demo, lets the script look at it and stops it.
fn measure(browser: &Browser, arguments: &Arguments) -> Result<Found> {
    let folder = Workdir::create("bench-dashboard")?;
    let seconds = arguments.minutes * 60;
    let (mut demo, base) = start(folder.path(), arguments.rate, 2 * seconds + SPARE_S)?;
    let script = shell::root().join("xtask/src/bench/dashboard.js");
    let mut command = browser.command(&script, &[&base, &demo.id().to_string(), &seconds.to_string()]);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.context("cannot start node (by setpriv of util-linux)")?;
    ensure!(demo.is_running()?, "the demo ended before it was measured:\n{}", demo.output()?);
    ensure!(output.status.success(), "{} ended with {}", script.display(), output.status);
    demo.stop(LIMIT)?;
    let printed = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&printed).with_context(|| format!("{} printed {printed:?}", script.display()))
}

/// A demo with no settings but these, all that it keeps in the folder, and where its page is.
fn start(folder: &Path, rate: u32, seconds: u64) -> Result<(Process, String)> {
    let address = || Ok::<_, anyhow::Error>(format!("127.0.0.1:{}", testkit::free_port()?));
    let (http, grpc) = (address()?, address()?);
    let scorer = shell::root().join("target/release/scorer").display().to_string();
    let temporary = format!("TMPDIR={}", folder.display());
    let model = folder.join("none.model").display().to_string();
    let (rate, seconds) = (rate.to_string(), seconds.to_string());
    let root = shell::root().display().to_string();
    let mut all =
        vec!["-i", "-C", &root, &temporary, &scorer, "demo", "--rate", &rate, "--anomaly-ratio", "0.01"];
    all.extend(["--seconds", &seconds, "--model-path", &model, "--http-addr", &http, "--grpc-addr", &grpc]);
    let log = folder.join("demo.log");
    let mut demo = Process::spawn("the demo", "env", all, &log)?;
    let shown = |text: &str| std::fs::read_to_string(&log).unwrap_or_default().contains(text);
    demo.wait_ready(LIMIT, || shown("Ctrl-C ends it."))?;
    Ok((demo, format!("http://{http}")))
}

/// The files that the pages consist of.
fn page_files() -> Result<Vec<PathBuf>> {
    let folder = shell::root().join("scorer/src/serve/http/page");
    let mut files = Vec::new();
    for folder in [folder.join("vendor"), folder] {
        let entries = std::fs::read_dir(&folder);
        for entry in entries.with_context(|| format!("cannot read the folder {}", folder.display()))? {
            let path = entry?.path();
            let kind = path.extension().unwrap_or_default();
            if ["html", "css", "js", "svg"].iter().any(|one| kind == *one) {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// Bytes of all files, as they are and each by gzip.
fn sizes(files: &[PathBuf]) -> Result<(usize, usize)> {
    let (mut raw, mut packed) = (0, 0);
    for path in files {
        let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&content)?;
        raw += content.len();
        packed += encoder.finish()?.len();
    }
    Ok((raw, packed))
}

impl Found {
    /// Lines that were scored a second, over everything.
    fn lines_per_second(&self) -> f64 {
        let all = [&self.before, &self.viewed.account, &self.after];
        let sum = |of: fn(&Account) -> f64| all.iter().map(|account| of(account)).sum::<f64>();
        sum(|account| account.lines) / sum(|account| account.seconds)
    }

    fn rows(&self) -> Result<Vec<Row>> {
        let viewed = &self.viewed;
        let ms = |of: fn(&Paint) -> f64| self.paints.iter().map(of).collect::<Vec<f64>>();
        let first = ms(|paint| paint.first_ms);
        let each: Vec<String> = first.iter().map(|ms| format!("{ms:.0}")).collect();
        let filled = median(&ms(|paint| paint.filled_ms))?;
        let alone = (self.before.cores + self.after.cores) / 2.0;
        let cost = viewed.account.cores - alone;
        let row = |what, bar, measured, reached, figures| Row { what, bar, measured, reached, figures };
        Ok(vec![
            row(
                "first contentful paint of the overview",
                "< 1 s",
                format!("{:.0} ms", median(&first)?),
                Some(median(&first)? < MOST_PAINT_MS),
                format!(
                    "median of fresh contexts ({} ms); services shown after {filled:.0} ms",
                    each.join(", ")
                ),
            ),
            row(
                "the scorer's processor time without a viewer",
                "–",
                format!("{alone:.3} cores"),
                None,
                format!(
                    "{:.3} in {:.0} s before and {:.3} in {:.0} s after",
                    self.before.cores, self.before.seconds, self.after.cores, self.after.seconds
                ),
            ),
            row(
                "the scorer's processor time with the live tail open",
                "–",
                format!("{:.3} cores", viewed.account.cores),
                None,
                format!(
                    "{:.0} s, {:.0} lines; the page: {}",
                    viewed.account.seconds, viewed.account.lines, viewed.passed
                ),
            ),
            row(
                "what the viewer costs the scorer",
                "≤ 0.1 cores",
                format!("{cost:.3} cores"),
                Some(cost <= MOST_CORES),
                "the difference".to_owned(),
            ),
            growth("JS heap of the tail", &viewed.samples, |sample| sample.heap)?,
            growth("resident memory of the tail's renderer", &viewed.samples, |sample| sample.resident)?,
        ])
    }
}

/// How much memory grew from the first third of the samples to the last.
fn growth(what: &'static str, samples: &[Memory], of: fn(&Memory) -> f64) -> Result<Row> {
    let values: Vec<f64> = samples.iter().map(of).collect();
    let third = (values.len() / 3).max(1);
    let first = median(&values[..third.min(values.len())])?;
    let last = median(&values[values.len().saturating_sub(third)..])?;
    let grown = last / first - 1.0;
    Ok(Row {
        what,
        bar: "≤ +10 %",
        measured: format!("{:+.1} %", 100.0 * grown),
        reached: Some(grown <= MOST_GROWTH),
        figures: format!(
            "medians {:.2} and {:.2} MiB of the first and the last {third} of {} samples after collecting garbage",
            first / MIB,
            last / MIB,
            values.len(),
        ),
    })
}

fn median(values: &[f64]) -> Result<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle).context("nothing was measured")?;
    Ok(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

impl Row {
    fn markdown(&self) -> String {
        let reached = match self.reached {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        let Self { what, bar, measured, figures, .. } = self;
        format!("| {what} | {bar} | {measured} | {reached} | {figures} |")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heap that stands still, and a renderer that grows by 20 %.
    const PRINTED: &str = r#"{
        "paints": [{"first_ms": 90, "filled_ms": 200}, {"first_ms": 70, "filled_ms": 210}, {"first_ms": 80, "filled_ms": 400}],
        "before": {"seconds": 10, "cores": 0.2, "lines": 100},
        "viewed": {
            "account": {"seconds": 80, "cores": 0.45, "lines": 800},
            "samples": [
                {"heap": 1048576, "resident": 104857600},
                {"heap": 9999999, "resident": 1},
                {"heap": 1048576, "resident": 125829120}
            ],
            "passed": "12 skipped"
        },
        "after": {"seconds": 10, "cores": 0.4, "lines": 100}
    }"#;

    #[test]
    fn what_is_beyond_its_bar_is_called_so() {
        let found: Found = serde_json::from_str(PRINTED).unwrap();
        let rows = found.rows().unwrap();
        let shown: Vec<(&str, Option<bool>)> = rows.iter().map(|row| (&*row.measured, row.reached)).collect();
        let expected = [
            ("80 ms", Some(true)),
            ("0.300 cores", None),
            ("0.450 cores", None),
            ("0.150 cores", Some(false)),
            ("+0.0 %", Some(true)),
            ("+20.0 %", Some(false)),
        ];
        assert_eq!(shown, expected);
        assert_eq!(found.lines_per_second(), 10.0);
        assert!(rows[3].markdown().contains("| **no** |"), "{}", rows[3].markdown());
    }

    #[test]
    fn without_a_sample_there_is_no_figure() {
        assert!(growth("heap", &[], |sample| sample.heap).is_err());
        assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]).unwrap(), 2.5);
    }

    #[test]
    fn all_files_of_the_pages_are_weighed() {
        let files = page_files().unwrap();
        for name in ["index.html", "app.js", "base.css", "icon.svg", "vendor/uplot.js"] {
            assert!(files.iter().any(|path| path.ends_with(name)), "{name} is missing");
        }
        let (raw, packed) = sizes(&files).unwrap();
        assert!(0 < packed && packed < raw, "{packed} of {raw} bytes");
    }
}
