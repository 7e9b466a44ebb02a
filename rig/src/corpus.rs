//! `rig corpus`: a CSV with the header `timestamp,service,level,message`, the same bytes for the same arguments.
//! Half of it comes from the simulator and half, where a folder of raw logs is given, from runs of their lines.

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use engine::decode::Decoder;
use engine::event::{EventTime, Level, LogEvent};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use simulator::{Params, Simulator};

use crate::redraw::redraw;

/// Consecutive lines of one origin.
const RUN: usize = 20;
/// Distinct lines of a repeating corpus.
const TEMPLATES: usize = 300;
/// Time of the first line: 2026-01-05T00:00:00Z.
const START: EventTime = EventTime::from_millis(1_767_571_200_000);

/// What to make.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Rows, header not counted
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub rows: u64,
    /// Seed: the same arguments give the same bytes
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Folder of raw logs for half of the rows: each *.log, *.log.gz and *.log.zst in it is one log, plain text or
    /// JSON lines, other files are not read; without it all come from the simulator
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Rows that repeat but for their numbers: 300 lines over and over, every number redrawn
    #[arg(long)]
    pub repeating: bool,
    /// File to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Writes the corpus and says what it is made of.
///
/// # Errors
/// The folder holds no logs that can be read, or the file cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let bytes = write(arguments)?;
    println!(
        "{}: {} rows, {bytes} bytes, seed {}, {}{}",
        arguments.out.display(),
        arguments.rows,
        arguments.seed,
        match &arguments.data {
            Some(folder) => format!("half from the simulator, half from {}", folder.display()),
            None => "from the simulator alone (--data adds raw logs)".to_owned(),
        },
        if arguments.repeating { ", repeating but for the numbers" } else { "" },
    );
    Ok(())
}

/// Writes the corpus; returns its length in bytes.
///
/// # Errors
/// As [`run`].
pub fn write(arguments: &Arguments) -> Result<u64> {
    let out = &arguments.out;
    let file = std::fs::File::create(out).with_context(|| format!("cannot write {}", out.display()))?;
    let mut writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 20, file));
    writer.write_record(["timestamp", "service", "level", "message"])?;
    let mut stream = Stream::new(arguments.seed, arguments.data.as_deref())?;
    let mut repeating = arguments.repeating.then(|| Repeating::new(&mut stream)).transpose()?;
    for _ in 0..arguments.rows {
        let row = match &mut repeating {
            Some(repeating) => repeating.next_row(&mut stream.rng),
            None => stream.next_row(),
        };
        let level = row.level.map_or("", Level::as_str);
        let message = row.message.replace(['\n', '\r'], " ");
        writer.write_record([row.timestamp.to_string().as_str(), &row.service, level, &message])?;
    }
    let mut file = writer.into_inner().context("the corpus could not be written")?;
    file.flush().with_context(|| format!("cannot write {}", out.display()))?;
    Ok(std::fs::metadata(out)?.len())
}

/// Lines in runs from both origins, in order of time.
struct Stream {
    rng: Xoshiro256PlusPlus,
    simulator: Simulator,
    logs: Vec<Vec<LogEvent>>,
    /// What is left of the run that is being written.
    left: usize,
    /// The place of the next line of a raw run: log and line; none in a run of the simulator.
    raw: Option<(usize, usize)>,
    time: EventTime,
}

impl Stream {
    fn new(seed: u64, data: Option<&Path>) -> Result<Self> {
        let params = Params { seed, start: START, ..Params::default() };
        let simulator = Simulator::new(params).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        let logs = data.map(read_logs).transpose()?.unwrap_or_default();
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Ok(Self { rng, simulator, logs, left: 0, raw: None, time: START })
    }

    fn next_row(&mut self) -> LogEvent {
        if self.left == 0 {
            self.begin_run();
        }
        self.left -= 1;
        let row = match &mut self.raw {
            None => self.simulator.next_line().event(),
            Some((log, line)) => {
                let event = &self.logs[*log][*line];
                *line += 1;
                // Its own time stands years before; the corpus is in order of time.
                LogEvent {
                    timestamp: self.time,
                    message: redraw(&event.message, &mut self.rng),
                    service: event.service.clone(),
                    level: event.level,
                    ..LogEvent::default()
                }
            }
        };
        self.time = row.timestamp;
        row
    }

    fn begin_run(&mut self) {
        self.left = RUN;
        if self.raw.take().is_some() || self.logs.is_empty() {
            return;
        }
        let log = self.rng.gen_range(0..self.logs.len());
        let lines = self.logs[log].len();
        self.left = RUN.min(lines);
        self.raw = Some((log, self.rng.gen_range(0..=lines - self.left)));
    }
}

/// Few lines, drawn over and over with other numbers.
struct Repeating {
    templates: Vec<LogEvent>,
    time: EventTime,
}

impl Repeating {
    fn new(stream: &mut Stream) -> Result<Self> {
        const MOST_TRIED: usize = 1_000_000;
        let (mut templates, mut seen) = (Vec::new(), HashSet::new());
        for _ in 0..MOST_TRIED {
            let row = stream.next_row();
            let shape: String =
                row.message.chars().map(|c| if c.is_ascii_hexdigit() { '0' } else { c }).collect();
            if seen.insert((row.service.clone(), shape)) {
                templates.push(row);
            }
            if templates.len() == TEMPLATES {
                return Ok(Self { templates, time: START });
            }
        }
        let found = templates.len();
        ensure!(found > 0, "no line to repeat was found");
        Ok(Self { templates, time: START })
    }

    fn next_row(&mut self, rng: &mut Xoshiro256PlusPlus) -> LogEvent {
        let template = &self.templates[rng.gen_range(0..self.templates.len())];
        self.time = EventTime::from_micros(self.time.as_micros() + 50_000);
        LogEvent {
            timestamp: self.time,
            message: redraw(&template.message, rng),
            service: template.service.clone(),
            level: template.level,
            ..LogEvent::default()
        }
    }
}

/// The events of every log of a folder, by name of the file.
fn read_logs(folder: &Path) -> Result<Vec<Vec<LogEvent>>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("--data: cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| is_log(path));
    paths.sort();
    ensure!(
        !paths.is_empty(),
        "--data: {} holds no *.log, *.log.gz or *.log.zst; give a folder of raw logs (`bench quality`, `incidents` \
         and `online` take labelled ones, this does not)",
        folder.display()
    );
    paths.iter().map(|path| read_log(path)).collect()
}

fn is_log(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".log", ".log.gz", ".log.zst"].iter().any(|end| name.ends_with(end))
}

fn read_log(path: &Path) -> Result<Vec<LogEvent>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split(['.', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let inputs = corpus::expand(&[path.to_string_lossy().into_owned()])?;
    let options = corpus::Options { decoder: Decoder::default(), now: START };
    let mut reader = corpus::Reader::new(&inputs, &options);
    let (mut batch, mut events) = (corpus::Batch::default(), Vec::new());
    while reader.next_batch(&mut batch)? {
        for mut event in batch.events.drain(..) {
            if event.service.is_empty() {
                event.service.clone_from(&stem);
            }
            events.push(event);
        }
    }
    ensure!(!events.is_empty(), "--data: {} holds no line that could be read", path.display());
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(data: Option<&Path>, repeating: bool) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("corpus.csv");
        let arguments =
            Arguments { rows: 2_000, seed: 3, data: data.map(Path::to_owned), repeating, out: out.clone() };
        write(&arguments).unwrap();
        std::fs::read(out).unwrap()
    }

    fn logs() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = (0..50)
            .map(|n| {
                format!(
                    "2026-01-01 10:00:00,{n:03} INFO [main] net.Server: peer {n} sent {n}77 bytes, \"ok\"\n"
                )
            })
            .collect();
        std::fs::write(folder.path().join("Net_2k.log"), lines).unwrap();
        folder
    }

    #[test]
    fn a_seed_gives_the_same_bytes_again() {
        let logs = logs();
        for repeating in [false, true] {
            assert_eq!(made(Some(logs.path()), repeating), made(Some(logs.path()), repeating));
        }
        assert_eq!(made(None, false), made(None, false));
    }

    #[test]
    fn half_of_the_rows_come_from_the_raw_logs() {
        let logs = logs();
        let bytes = made(Some(logs.path()), false);
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), 2_000);
        let raw = rows.iter().filter(|row| row[3].starts_with("peer ")).count();
        assert_eq!(raw, 1_000);
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] || pair[0][0].len() != pair[1][0].len()));
    }

    #[test]
    fn a_repeating_corpus_has_few_shapes() {
        let bytes = made(None, true);
        let text = String::from_utf8(bytes).unwrap();
        let shape = |line: &str| -> String {
            let message = line.splitn(4, ',').last().unwrap_or_default();
            message.chars().map(|c| if c.is_ascii_hexdigit() { '0' } else { c }).collect()
        };
        let shapes: HashSet<String> = text.lines().skip(1).map(shape).collect();
        assert!(shapes.len() <= TEMPLATES, "{}", shapes.len());
        assert!(text.lines().collect::<HashSet<_>>().len() > 1_500);
    }

    #[test]
    fn a_folder_without_logs_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_logs(folder.path()).unwrap_err().to_string();
        assert!(error.contains("holds no *.log"), "{error}");
    }
}
