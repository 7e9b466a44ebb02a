//! A file that is scanned on as it grows, through rotation and truncation.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use corpus::{Input, Options, Place};
use engine::decode::csv::CsvHeader;
use engine::decode::{RecordContext, Rejected};
use engine::event::{EventTime, LogEvent};
use engine::terminal::shown;

use super::judge::Judge;
use super::print::Printer;
use crate::source::file::tail::{Step, Tail};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a file that lost its name is still read.
const GONE_AFTER: Duration = Duration::from_secs(1);

/// A followed file, at the start of the line that is being written.
pub struct Followed {
    path: PathBuf,
    tail: Tail,
    start: u64,
    limit: usize,
}

impl Followed {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read, or is compressed.
    pub fn open(path: &Path, limit: usize) -> anyhow::Result<Self> {
        let mut head = Vec::new();
        let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        file.take(4).read_to_end(&mut head).with_context(|| format!("{}: cannot be read", path.display()))?;
        if head.starts_with(&[0x1f, 0x8b]) || head == [0x28, 0xb5, 0x2f, 0xfd] {
            bail!("{} is compressed and will not grow; scan it without --follow", path.display());
        }
        let tail = Tail::open(path, None, true, limit, None)
            .with_context(|| format!("{}: cannot be read", path.display()))?;
        Ok(Self { path: path.to_owned(), start: tail.position(), tail, limit })
    }

    /// Bytes that were there, up to the end of the last whole line.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Prints what comes until the process is interrupted.
    ///
    /// # Errors
    /// The file cannot be read, or the reader of standard output has gone.
    pub fn run(
        &mut self,
        options: &Options,
        judge: &Judge,
        lines: u64,
        mut printer: Printer,
        out: &mut impl Write,
    ) -> anyhow::Result<Infallible> {
        let header = self.csv_header(options);
        let (mut line_number, mut scratch) = (lines, judge.scratch());
        let (mut lines, mut events) = (Vec::new(), Vec::new());
        loop {
            match self
                .tail
                .read(&mut lines)
                .with_context(|| format!("{}: cannot be read", self.path.display()))?
            {
                Step::Moved => {}
                Step::Restarted => line_number = 0,
                Step::AtEnd => {
                    if self.look_for_new_file() {
                        line_number = 0;
                    }
                    std::thread::sleep(LOOK_EVERY);
                }
            }
            for line in lines.drain(..) {
                line_number += 1;
                events.clear();
                if let Err(rejected) = decode(&line.bytes, line_number, header.as_ref(), options, &mut events)
                {
                    if rejected.reason.as_str() != "empty" {
                        tell!("line {line_number} could not be read: {}", shown(&rejected.to_string(), 160));
                    }
                    continue;
                }
                for event in &mut events {
                    let verdict = judge.score(event, &mut scratch);
                    let place = Place { input: 0, line: line_number };
                    printer.take(judge, event, place, verdict, &mut scratch, out)?;
                }
            }
            out.flush()?;
        }
    }

    /// Goes over to the file that has the name now, when the old one has nothing more to say.
    fn look_for_new_file(&mut self) -> bool {
        self.tail.look_for_name(std::slice::from_ref(&self.path));
        if !self.tail.is_over(GONE_AFTER) {
            return false;
        }
        match Tail::open(&self.path, None, false, self.limit, None) {
            Ok(tail) => {
                self.tail = tail;
                true
            }
            Err(_) => false,
        }
    }

    fn csv_header(&self, options: &Options) -> Option<CsvHeader> {
        let file = File::open(&self.path).ok()?;
        let mut first = Vec::new();
        file.take(self.limit as u64).read_to_end(&mut first).ok()?;
        let end = first.iter().position(|byte| *byte == b'\n')?;
        corpus::csv_header(&Input::File(self.path.clone()), first.get(..end)?, &options.decoder)
    }
}

fn decode(
    bytes: &[u8],
    line_number: u64,
    header: Option<&CsvHeader>,
    options: &Options,
    events: &mut Vec<LogEvent>,
) -> Result<(), Rejected> {
    let now = EventTime::from_micros(jiff::Timestamp::now().as_microsecond());
    let context = RecordContext { transport_time: now, service: None };
    match header {
        Some(_) if line_number == 1 => Ok(()),
        Some(header) => {
            events.push(corpus::decode_csv_line(bytes, header, &options.decoder, context)?);
            Ok(())
        }
        None => options.decoder.decode(bytes, context, events),
    }
}
