//! Anomalies, records of alerts and dead letters as JSON lines, appended to files and synced before they count as delivered.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Around, Kind, Outgoing, Sink, Undelivered};

const KINDS: [Kind; 3] = [Kind::Anomaly, Kind::Alert, Kind::DeadLetter];

struct FileSink {
    anomalies: Option<JsonLines>,
    alerts: Option<JsonLines>,
    dead_letters: Option<JsonLines>,
}

/// The sink, where a file is set.
///
/// # Errors
/// A file cannot be opened.
pub fn make(around: &Around<'_>) -> anyhow::Result<Option<Box<dyn Sink>>> {
    let output = &around.settings.output;
    let open = |name: &str, path: &Option<PathBuf>| match path {
        Some(path) => JsonLines::open(path)
            .with_context(|| format!("{name} = {} cannot be written: choose another file", path.display()))
            .map(Some),
        None => Ok(None),
    };
    let anomalies = open("ANOMALY_FILE", &output.anomaly_file)?;
    let alerts = open("ALERT_FILE", &output.alert_file)?;
    let dead_letters = open("DEAD_LETTER_FILE", &output.dead_letter_file)?;
    if anomalies.is_none() && alerts.is_none() && dead_letters.is_none() {
        return Ok(None);
    }
    Ok(Some(Box::new(FileSink { anomalies, alerts, dead_letters })))
}

impl FileSink {
    fn lines(&mut self, kind: Kind) -> Option<&mut JsonLines> {
        match kind {
            Kind::Anomaly => self.anomalies.as_mut(),
            Kind::Alert => self.alerts.as_mut(),
            Kind::Relayed => None,
            Kind::DeadLetter => self.dead_letters.as_mut(),
            Kind::Logs => None,
        }
    }
}

impl Sink for FileSink {
    fn name(&self) -> &'static str {
        "file output"
    }

    fn takes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Anomaly => self.anomalies.is_some(),
            Kind::Alert => self.alerts.is_some(),
            Kind::Relayed => false,
            Kind::DeadLetter => self.dead_letters.is_some(),
            Kind::Logs => false,
        }
    }

    fn deliver(&mut self, records: &[&Outgoing], _give_up: &dyn Fn() -> bool) -> Result<(), Undelivered> {
        for (place, kind) in KINDS.into_iter().enumerate() {
            let of_kind = || records.iter().enumerate().filter(|(_, record)| record.kind == kind);
            let Some(lines) = self.lines(kind) else { continue };
            if let Err(error) = lines.append(of_kind().map(|(_, record)| record.json.as_slice())) {
                // The kinds that come after it were not tried.
                let left = KINDS.get(place..).unwrap_or_default();
                let indices = records
                    .iter()
                    .enumerate()
                    .filter(|(_, record)| left.contains(&record.kind))
                    .map(|(index, _)| index)
                    .collect();
                let why = format!("{} cannot be written: {error}", lines.path.display());
                return Err(Undelivered { indices, why });
            }
        }
        Ok(())
    }
}

struct JsonLines {
    path: PathBuf,
    file: File,
    /// Whether the file ends within a line that a crash or a full disk cut.
    torn: bool,
}

impl JsonLines {
    fn open(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut last = [b'\n'];
        if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Self { path: path.to_owned(), file, torn: last != *b"\n" })
    }

    fn append<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        if self.torn {
            buffer.push(b'\n');
        }
        let before = buffer.len();
        for line in lines {
            buffer.extend_from_slice(line);
            buffer.push(b'\n');
        }
        if buffer.len() == before {
            return Ok(());
        }
        self.torn = true;
        self.file.write_all(&buffer)?;
        fault::here("before file sync");
        match self.file.sync_data() {
            // Pipes and terminals cannot be synced.
            Err(error) if error.raw_os_error() != Some(22) => return Err(error),
            _ => {}
        }
        self.torn = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_are_appended_across_starts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/out.jsonl");
        JsonLines::open(&path).unwrap().append([b"{1}".as_slice(), b"{2}"].into_iter()).unwrap();
        JsonLines::open(&path).unwrap().append([b"{3}".as_slice()].into_iter()).unwrap();
        assert_eq!(written(&path), "{1}\n{2}\n{3}\n");
    }

    #[test]
    fn a_line_cut_by_a_crash_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        std::fs::write(&path, "{1}\n{2").unwrap();
        JsonLines::open(&path).unwrap().append([b"{2}".as_slice()].into_iter()).unwrap();
        assert_eq!(written(&path), "{1}\n{2\n{2}\n");
    }
}
