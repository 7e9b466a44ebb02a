//! Where snapshots are kept. Knows their bytes, not what they hold.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A snapshot on its way to its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The stream's name.
    pub stream: String,
    /// Number of the snapshot.
    pub number: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Packed {
    /// The last two snapshots of a stream take turns, so that one is whole whenever the other is being written.
    pub fn slot(&self) -> u64 {
        self.number % 2
    }
}

/// Keeps the last two snapshots of each stream.
pub trait Store: Send {
    /// For messages.
    fn name(&self) -> String;

    /// Reads what there is of several streams at once, for the `load` of each that follows.
    ///
    /// # Errors
    /// It cannot be read; each `load` then reads for itself.
    fn prefetch(&mut self, _streams: &[String], _give_up: &dyn Fn() -> bool) -> Result<(), String> {
        Ok(())
    }

    /// What there is of a stream, whole or not, in any order.
    ///
    /// # Errors
    /// It cannot be read.
    fn load(&mut self, stream: &str, give_up: &dyn Fn() -> bool) -> Result<Vec<Vec<u8>>, String>;

    /// Returns when all are durable.
    ///
    /// # Errors
    /// They are not, or `give_up` said so first.
    fn save(&mut self, snapshots: &[Packed], give_up: &dyn Fn() -> bool) -> Result<(), String>;
}

/// Files of a folder: written to a temporary name, synced and renamed, so that a crash leaves the old or the new.
pub struct Folder(PathBuf);

impl Folder {
    /// In `folder`, which is made where it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("STATE_DIR = {} cannot be made", folder.display()))?;
        Ok(Self(folder.to_owned()))
    }

    fn path(&self, stream: &str, slot: u64) -> PathBuf {
        let digest = blake3::hash(stream.as_bytes()).to_hex();
        self.0.join(format!("learnt-{}.{slot}", digest.as_str().get(..12).unwrap_or_default()))
    }

    fn write(&self, snapshot: &Packed) -> std::io::Result<()> {
        let path = self.path(&snapshot.stream, snapshot.slot());
        let mut temporary = path.clone().into_os_string();
        temporary.push(".new");
        let mut file = File::create(&temporary)?;
        file.write_all(&snapshot.bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(&self.0)?.sync_all()
    }
}

impl Store for Folder {
    fn name(&self) -> String {
        format!("STATE_DIR = {}", self.0.display())
    }

    fn load(&mut self, stream: &str, _: &dyn Fn() -> bool) -> Result<Vec<Vec<u8>>, String> {
        let mut found = Vec::new();
        for slot in 0..2 {
            let path = self.path(stream, slot);
            match std::fs::read(&path) {
                Ok(bytes) => found.push(bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
            }
        }
        Ok(found)
    }

    fn save(&mut self, snapshots: &[Packed], _: &dyn Fn() -> bool) -> Result<(), String> {
        for snapshot in snapshots {
            self.write(snapshot).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_snapshots_of_each_stream_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Folder::new(folder.path()).unwrap();
        for number in 1..=5 {
            for stream in ["a", "b"] {
                let bytes = format!("{stream} {number}").into_bytes();
                store.save(&[Packed { stream: stream.to_owned(), number, bytes }], &|| false).unwrap();
            }
        }
        let mut found = store.load("a", &|| false).unwrap();
        found.sort();
        assert_eq!(found, [b"a 4", b"a 5"]);
        assert!(store.load("c", &|| false).unwrap().is_empty());
    }
}
