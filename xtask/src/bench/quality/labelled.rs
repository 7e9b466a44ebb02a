//! Labelled logs as they are read, and the cases that they are measured in.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use corpus::{Batch, CorpusError, Options, Reader};
use engine::decode::{DecodeSettings, Decoder};
use engine::event::{EventTime, LogEvent};

/// Labelled lines, or whole sessions in the order in which they begin.
pub struct Labelled {
    pub name: String,
    pub events: Vec<LogEvent>,
    /// Lines of each unit: a line, or a session.
    pub units: Vec<Vec<usize>>,
    /// Of each unit.
    pub labels: Vec<bool>,
    pub by_session: bool,
}

/// Which units are trained on; the others are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    percent: usize,
    last: bool,
}

/// One split under one protocol: numbers of units.
pub struct Case {
    pub split: Split,
    pub protocol: &'static str,
    pub train: Vec<usize>,
    pub test: Vec<usize>,
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (percent, last) = match text.strip_prefix('r') {
            Some(percent) => (percent, true),
            None => (text, false),
        };
        match percent.parse() {
            Ok(percent @ 1..=99) => Ok(Self { percent, last }),
            _ => Err(format!("`{text}` is no split: a percentage from 1 to 99, or one with an r in front")),
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.last { "last" } else { "first" }, self.percent)
    }
}

impl Split {
    fn cut(self, units: usize) -> (Vec<usize>, Vec<usize>) {
        let trained = units * self.percent / 100;
        match self.last {
            false => ((0..trained).collect(), (trained..units).collect()),
            true => ((units - trained..units).collect(), (0..units - trained).collect()),
        }
    }
}

impl Labelled {
    pub fn unit(&self) -> &'static str {
        if self.by_session { "session" } else { "line" }
    }

    /// Every split under both protocols.
    pub fn cases(&self, splits: &[Split]) -> Vec<Case> {
        let mut cases = Vec::new();
        for split in splits {
            for protocol in ["contaminated", "normal"] {
                let (mut train, test) = split.cut(self.units.len());
                if protocol == "normal" {
                    train.retain(|unit| !self.labels[*unit]);
                }
                cases.push(Case { split: *split, protocol, train, test });
            }
        }
        cases
    }

    /// The lines of some units, in the order of the file.
    pub fn lines_of(&self, units: &[usize]) -> Vec<usize> {
        let mut lines: Vec<usize> = units.iter().flat_map(|unit| self.units[*unit].iter().copied()).collect();
        lines.sort_unstable();
        lines
    }
}

/// Reads a file; `None` where it has no `label`.
pub fn read(path: &Path) -> Result<Option<Labelled>> {
    let name = path.to_string_lossy();
    let inputs = corpus::expand(&[name.clone().into_owned()])?;
    let decoder = Decoder::new(DecodeSettings::default());
    let options = Options { decoder, now: EventTime::default() };
    let mut reader = Reader::new(&inputs, &options);
    let (mut batch, mut events) = (Batch::default(), Vec::new());
    loop {
        match reader.next_batch(&mut batch) {
            Ok(true) => events.append(&mut batch.events),
            Ok(false) => break,
            Err(CorpusError::Header { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if events.first().is_some_and(|event| event.attribute("label").is_none()) {
            return Ok(None);
        }
    }
    ensure!(reader.rejects().total() == 0, "{} lines of {name} were not accepted", reader.rejects().total());
    ensure!(!events.is_empty(), "{name} holds no line");
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let short = file.trim_end_matches(".zst").trim_end_matches(".csv").to_owned();
    Ok(Some(units(short, events)?))
}

fn units(name: String, mut events: Vec<LogEvent>) -> Result<Labelled> {
    let by_session = events.iter().all(|event| event.attribute("session").is_some());
    let (mut units, mut labels): (Vec<Vec<usize>>, Vec<bool>) = (Vec::new(), Vec::new());
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (line, event) in events.iter_mut().enumerate() {
        let label = match event.attribute("label") {
            Some("0") => false,
            Some("1") => true,
            other => bail!("row {} of {name} has the label {other:?}: 0 or 1 is allowed", line + 1),
        };
        let unit = match event.attribute("session") {
            Some(session) if by_session => *numbers.entry(session.to_owned()).or_insert(units.len()),
            _ => line,
        };
        if unit == units.len() {
            units.push(Vec::new());
            labels.push(false);
        }
        units[unit].push(line);
        labels[unit] |= label;
        event.attributes.clear();
    }
    Ok(Labelled { name, events, units, labels, by_session })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_a_percentage_of_the_first_or_last() {
        let split: Split = "r30".parse().unwrap();
        assert_eq!(split.cut(10), ((7..10).collect(), (0..7).collect()));
        assert_eq!("50".parse::<Split>().unwrap().cut(5), ((0..2).collect(), (2..5).collect()));

        for text in ["0", "100", "r", "x5", ""] {
            assert!(text.parse::<Split>().is_err(), "{text}");
        }
    }
}
