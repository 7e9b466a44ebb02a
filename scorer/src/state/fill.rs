//! What a stream has learnt, filled from history while nothing reads the stream: a snapshot like any other, which the next
//! `scorer run` restores. Where a snapshot is there already, its places in the input stay as they are.

use std::path::Path;

use anyhow::bail;

use super::snapshot::{Places, Snapshot};
use super::store::{Folder, Packed, Store as _};
use super::{Learned, Stream};

/// The snapshots of one stream of STATE_DIR.
pub struct Filling {
    folder: Folder,
    stream: Stream,
    number: u64,
    places: Places,
}

impl Filling {
    /// Looks what is there.
    ///
    /// # Errors
    /// The folder cannot be made or read; a snapshot is there and `replace` does not say that it may go.
    pub fn begin(folder: &Path, stream: Stream, replace: bool) -> anyhow::Result<Self> {
        let mut store = Folder::new(folder)?;
        let found = store.load(&stream.to_string(), &|| false).map_err(anyhow::Error::msg)?;
        let whole = found.iter().filter_map(|bytes| Snapshot::unpack(bytes).ok());
        let last = whole.filter(|one| one.stream == stream.to_string()).max_by_key(|one| one.number);
        let Snapshot { number, places, .. } = match last {
            Some(last) if !replace => bail!(
                "STATE_DIR = {} holds what {stream} has learnt already (snapshot {}): stop the scorer and give --replace to \
                 begin anew from these files; how far its inputs are read stays as it is",
                folder.display(),
                last.number
            ),
            last => last.unwrap_or_default(),
        };
        Ok(Self { folder: store, stream, number, places })
    }

    /// Keeps what was learnt; its bytes.
    ///
    /// # Errors
    /// It is too large, or cannot be written.
    pub fn keep(mut self, learned: &Learned) -> anyhow::Result<usize> {
        let snapshot = Snapshot {
            stream: self.stream.to_string(),
            number: self.number + 1,
            model: learned.model().to_owned(),
            places: self.places,
            parts: learned.parts(),
        };
        let bytes = snapshot.pack()?;
        let length = bytes.len();
        let packed = Packed { stream: snapshot.stream, number: snapshot.number, bytes };
        self.folder.save(&[packed], &|| false).map_err(anyhow::Error::msg)?;
        Ok(length)
    }
}
