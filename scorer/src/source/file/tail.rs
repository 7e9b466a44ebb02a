//! One file that is read as it grows.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint::Entry;
use crate::source::lines::{Line, Lines};

/// Most bytes read of one file before the next has its turn.
const PIECE_BYTES: usize = 256 * 1024;
/// The start of a file, by which a file that was replaced in place is told from one that grew.
const HEAD_BYTES: usize = 256;

/// What one reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes were read; there may be more.
    Moved,
    /// Nothing new.
    AtEnd,
    /// The file was truncated; the next reading begins at its start.
    Restarted,
}

/// Device and inode: what stays when a file is renamed.
pub fn identity_of(metadata: &Metadata) -> String {
    format!("{}:{}", metadata.dev(), metadata.ino())
}

/// How often a file had begun anew when it had this identity in ids; `None` where it is another file's.
pub fn epoch_of(identity: &str, file_id: &str) -> Option<u64> {
    match identity.strip_prefix(file_id)? {
        "" => Some(0),
        rest => rest.strip_prefix('#')?.parse().ok(),
    }
}

/// A followed file.
pub struct Tail {
    path: Arc<str>,
    file: File,
    file_id: String,
    /// How often this inode began anew: a truncated file must not give the ids of its earlier lines again.
    epoch: u64,
    identity: Arc<str>,
    lines: Lines,
    limit: usize,
    head: Vec<u8>,
    service: Option<Arc<str>>,
    /// Since when no name leads to it.
    nameless: bool,
    last_data: Instant,
    finished: bool,
}

impl Tail {
    /// Opens a file where `stored` left off, if that is the same file; else at its end or beginning.
    ///
    /// # Errors
    /// It cannot be opened or read.
    pub fn open(
        path: &Path,
        stored: Option<&Entry>,
        from_end: bool,
        limit: usize,
        service: Option<Arc<str>>,
    ) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let file_id = identity_of(&metadata);
        let (epoch, position) = match stored {
            Some(entry) if entry.is_start_of(&file, &metadata)? => (entry.epoch, entry.position),
            Some(entry) => (entry.epoch + 1, 0),
            None if from_end => (0, line_start_before(&file, metadata.len())?),
            None => (0, 0),
        };
        let mut tail = Self {
            path: path.to_string_lossy().into(),
            file,
            identity: "".into(),
            file_id,
            epoch,
            lines: Lines::at(limit, position),
            limit,
            head: Vec::new(),
            service,
            nameless: false,
            last_data: Instant::now(),
            finished: false,
        };
        tail.identity = tail.named();
        tail.note_head(position)?;
        Ok(tail)
    }

    fn named(&self) -> Arc<str> {
        match self.epoch {
            0 => self.file_id.as_str().into(),
            epoch => format!("{}#{epoch}", self.file_id).into(),
        }
    }

    /// The path it was found by.
    pub fn path(&self) -> Arc<str> {
        Arc::clone(&self.path)
    }

    /// Its identity in ids, and its key among the positions.
    pub fn identity(&self) -> Arc<str> {
        Arc::clone(&self.identity)
    }

    /// See [`Tail::identity`].
    pub fn key(&self) -> Arc<str> {
        self.identity()
    }

    /// Device and inode.
    pub fn file_id(&self) -> &str {
        &self.file_id
    }

    /// Whether it is the file of this device and inode.
    pub fn is(&self, file_id: &str) -> bool {
        self.file_id == file_id
    }

    /// A service taken from its path.
    pub fn service(&self) -> Option<Arc<str>> {
        self.service.clone()
    }

    /// How far it was read.
    pub fn position(&self) -> u64 {
        self.lines.fed()
    }

    /// Looks whether one of `found` is still this file.
    pub fn look_for_name(&mut self, found: &[PathBuf]) {
        let mine = |path: &Path| std::fs::metadata(path).is_ok_and(|meta| identity_of(&meta) == self.file_id);
        self.nameless = !(mine(Path::new(&*self.path)) || found.iter().any(|path| mine(path)));
    }

    /// Whether it lost its name, and nothing came for `silence`, and its last line was passed on.
    pub fn is_over(&self, silence: Duration) -> bool {
        self.finished && self.last_data.elapsed() >= silence
    }

    /// Reads a piece and passes its lines on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self, out: &mut Vec<Line>) -> io::Result<Step> {
        if self.is_restarted()? {
            self.epoch += 1;
            self.identity = self.named();
            self.lines = Lines::at(self.limit, 0);
            self.head.clear();
            return Ok(Step::Restarted);
        }
        let mut piece = vec![0; PIECE_BYTES];
        let length = self.file.read_at(&mut piece, self.lines.fed())?;
        if length == 0 {
            if self.nameless && self.last_data.elapsed() >= super::GONE_AFTER {
                out.extend(self.lines.finish());
                self.finished = true;
            }
            return Ok(Step::AtEnd);
        }
        self.last_data = Instant::now();
        self.finished = false;
        self.lines.feed(piece.get(..length).unwrap_or(&piece), &mut |line| out.push(line));
        self.note_head(self.lines.fed())?;
        Ok(Step::Moved)
    }

    fn is_restarted(&self) -> io::Result<bool> {
        if self.file.metadata()?.len() < self.lines.fed() {
            return Ok(true);
        }
        let mut now = vec![0; self.head.len()];
        let length = read_full(&self.file, &mut now, 0)?;
        Ok(now.get(..length) != Some(self.head.as_slice()))
    }

    /// Keeps the file's first bytes, of those that were read.
    fn note_head(&mut self, read: u64) -> io::Result<()> {
        let wanted = usize::try_from(read).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
        if self.head.len() < wanted {
            let mut head = vec![0; wanted];
            let length = read_full(&self.file, &mut head, 0)?;
            head.truncate(length);
            self.head = head;
        }
        Ok(())
    }

    /// What is kept of it when everything before `position` was delivered.
    pub fn entry(&self, position: u64) -> Entry {
        let bytes = usize::try_from(position).unwrap_or(HEAD_BYTES).min(self.head.len());
        let head = self.head.get(..bytes).unwrap_or_default();
        Entry {
            file: self.file_id.clone(),
            epoch: self.epoch,
            path: self.path.to_string(),
            position,
            head_bytes: head.len(),
            head: blake3::hash(head).to_hex().to_string(),
        }
    }
}

impl Entry {
    /// Whether the file is still the one that this was kept of.
    fn is_start_of(&self, file: &File, metadata: &Metadata) -> io::Result<bool> {
        if metadata.len() < self.position {
            return Ok(false);
        }
        let mut head = vec![0; self.head_bytes.min(HEAD_BYTES)];
        let length = read_full(file, &mut head, 0)?;
        head.truncate(length);
        Ok(blake3::hash(&head).to_hex().as_str() == self.head)
    }
}

fn read_full(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The start of the line that is being written at the end of a file of `length` bytes.
fn line_start_before(file: &File, length: u64) -> io::Result<u64> {
    let from = length.saturating_sub(PIECE_BYTES as u64);
    let mut piece = vec![0; PIECE_BYTES];
    let read = read_full(file, &mut piece, from)?;
    piece.truncate(read);
    let after_line_end = piece.iter().rposition(|byte| *byte == b'\n').map(|at| from + at as u64 + 1);
    Ok(after_line_end.unwrap_or(if from == 0 { 0 } else { length }))
}
