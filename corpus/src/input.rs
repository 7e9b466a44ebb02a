//! Names on the command line become inputs, and inputs become decompressed bytes with a count of what was read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::event::EventTime;

use crate::CorpusError;

/// One recorded log.
#[derive(Debug)]
pub enum Input {
    /// A file on disk.
    File(PathBuf),
    /// Standard input; can be read once.
    Stdin,
    /// The first bytes of a file that is still written to.
    Prefix {
        /// The file.
        path: PathBuf,
        /// How many bytes are read.
        bytes: u64,
    },
    /// Standard input that was kept in a temporary file, see [`crate::spool()`].
    Spooled(File),
}

impl Input {
    /// The name for messages.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Prefix { path, .. } => path.display().to_string(),
            Self::Stdin | Self::Spooled(_) => "standard input".to_owned(),
        }
    }

    /// Size in bytes as stored (compressed), where it is known.
    pub fn stored_bytes(&self) -> Option<u64> {
        match self {
            Self::File(path) => std::fs::metadata(path).ok().map(|meta| meta.len()),
            Self::Spooled(file) => file.metadata().ok().map(|meta| meta.len()),
            Self::Prefix { bytes, .. } => Some(*bytes),
            Self::Stdin => None,
        }
    }

    /// Whether the name says that it holds CSV: `.csv`, `.csv.gz`, `.csv.zst`.
    pub(crate) fn is_named_csv(&self) -> bool {
        match self {
            Self::File(path) | Self::Prefix { path, .. } => {
                let name = path.to_string_lossy().to_ascii_lowercase();
                let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
                plain.ends_with(".csv")
            }
            Self::Stdin | Self::Spooled(_) => false,
        }
    }

    /// The time that completes times without a year: when the file was last written, for a stream `now`.
    pub(crate) fn transport_time(&self, now: EventTime) -> EventTime {
        let (Self::File(path) | Self::Prefix { path, .. }) = self else { return now };
        let modified = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let since = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        since.and_then(|since| i64::try_from(since.as_micros()).ok()).map_or(now, EventTime::from_micros)
    }

    /// Decompressed bytes; `count` grows by the stored bytes that were read.
    pub(crate) fn open(&self, count: Arc<AtomicU64>) -> Result<Box<dyn BufRead + Send>, CorpusError> {
        let fail = |error| self.io(error, 0);
        let raw: Box<dyn Read + Send> = match self {
            Self::File(path) => Box::new(File::open(path).map_err(fail)?),
            Self::Prefix { path, bytes } => Box::new(File::open(path).map_err(fail)?.take(*bytes)),
            Self::Stdin => Box::new(io::stdin()),
            Self::Spooled(file) => {
                let mut file = file.try_clone().map_err(fail)?;
                file.rewind().map_err(fail)?;
                Box::new(file)
            }
        };
        decompress(Counted { inner: raw, count }).map_err(fail)
    }

    pub(crate) fn io(&self, error: io::Error, line: u64) -> CorpusError {
        let after = if line == 0 { String::new() } else { format!(" beyond line {line}") };
        CorpusError::Io { name: self.name(), after, error }
    }
}

struct Counted {
    inner: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

const BUFFER_BYTES: usize = 1 << 18;
/// Largest zstd window that is accepted, as a power of two: what `zstd --long` writes at most by default.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Finds gzip and zstd by the first bytes, not by the name.
fn decompress(mut raw: Counted) -> io::Result<Box<dyn BufRead + Send>> {
    let mut head = [0; 4];
    let mut filled = 0;
    while filled < head.len() {
        match raw.read(&mut head[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    let whole = Cursor::new(head).take(filled as u64).chain(raw);
    Ok(match head {
        [0x1f, 0x8b, ..] => {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, flate2::read::MultiGzDecoder::new(whole)))
        }
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let mut decoder = zstd::Decoder::new(whole)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        }
        _ => Box::new(BufReader::with_capacity(BUFFER_BYTES, whole)),
    })
}

/// Inputs for paths, patterns (`*`, `?`, `[…]`, `**`) and `-`; the files of a pattern in order of their names.
///
/// # Errors
/// A name that matches nothing, a folder, standard input named twice, or nothing named.
pub fn expand(names: &[String]) -> Result<Vec<Input>, CorpusError> {
    let mut inputs = Vec::new();
    for name in names {
        if name == "-" {
            if inputs.iter().any(|input| matches!(input, Input::Stdin)) {
                return Err(CorpusError::StdinTwice);
            }
            inputs.push(Input::Stdin);
            continue;
        }
        // A file whose name holds pattern characters is taken as that file.
        if Path::new(name).exists() {
            inputs.push(file(name, Path::new(name))?);
            continue;
        }
        let before = inputs.len();
        let bad = |detail: String| CorpusError::BadPattern { pattern: name.clone(), detail };
        for found in glob::glob(name).map_err(|error| bad(error.to_string()))? {
            let path = found.map_err(|error| bad(error.to_string()))?;
            if path.is_file() {
                inputs.push(Input::File(path));
            }
        }
        if inputs.len() == before {
            return Err(CorpusError::NotFound { pattern: name.clone() });
        }
    }
    if inputs.is_empty() { Err(CorpusError::Nothing) } else { Ok(inputs) }
}

fn file(name: &str, path: &Path) -> Result<Input, CorpusError> {
    if path.is_dir() {
        return Err(CorpusError::IsFolder { path: name.trim_end_matches('/').to_owned() });
    }
    Ok(Input::File(path.to_owned()))
}
