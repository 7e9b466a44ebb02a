//! The positions of followed files on disk: written to a temporary name, synced and renamed, so that a crash
//! leaves the old or the new ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// What is kept of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Device and inode.
    pub file: String,
    /// How often the file began anew.
    pub epoch: u64,
    /// Where it was found, for people.
    pub path: String,
    /// Everything before this byte offset was delivered.
    pub position: u64,
    /// How many of its first bytes `head` is made of.
    pub head_bytes: usize,
    /// BLAKE3 of its first bytes, in hexadecimal: an inode is used again by other files.
    pub head: String,
}

impl Entry {
    /// Of a file of which nothing but its device and inode is known.
    pub fn without_head(file: &str, epoch: u64, position: u64) -> Self {
        Self {
            file: file.to_owned(),
            epoch,
            path: String::new(),
            position,
            head_bytes: 0,
            head: blake3::hash(&[]).to_hex().to_string(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    files: Vec<Entry>,
}

const VERSION: u32 = 1;

/// The positions of one input.
pub struct Checkpoint {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
    /// What is wrong with the file, where it cannot be read; it is left alone until [`Checkpoint::settle`].
    damage: Option<String>,
}

impl Checkpoint {
    /// Reads the positions of the input `pattern` in `folder`; `None` without a folder.
    ///
    /// # Errors
    /// The folder cannot be made, the file in it cannot be read or written, or is of another version. A damaged one is
    /// no error here: see [`Checkpoint::settle`].
    pub fn open(folder: Option<&Path>, pattern: &str) -> anyhow::Result<Option<Self>> {
        let Some(folder) = folder else { return Ok(None) };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("STATE_DIR = {} cannot be made", folder.display()))?;
        let digest = blake3::hash(pattern.as_bytes()).to_hex();
        let path = folder.join(format!("files-{}.json", digest.as_str().get(..12).unwrap_or_default()));
        let nothing = || Kept { version: VERSION, files: Vec::new() };
        let (kept, damage) = match std::fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice::<Kept>(&bytes) {
                Ok(kept) => (kept, None),
                Err(error) => (nothing(), Some(error.to_string())),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (nothing(), None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        if kept.version != VERSION {
            anyhow::bail!(
                "{} has version {}, this program reads version {VERSION}: remove it to read the files from FILE_START",
                path.display(),
                kept.version
            );
        }
        let entries = kept.files.into_iter().map(|entry| (entry.file.clone(), entry)).collect();
        let checkpoint = Self { path, entries, damage };
        if checkpoint.damage.is_none() {
            let written = checkpoint.write();
            written.with_context(|| format!("STATE_DIR = {} cannot be written", folder.display()))?;
        }
        Ok(Some(checkpoint))
    }

    /// Where the file is damaged, puts it aside and goes on without it, if `restored`: a snapshot of what was learnt
    /// tells the positions as well.
    ///
    /// # Errors
    /// It is damaged, and nothing else tells the positions; or it cannot be put aside.
    pub fn settle(&mut self, restored: bool) -> anyhow::Result<()> {
        let Some(why) = self.damage.take() else { return Ok(()) };
        let path = self.path.display();
        if !restored {
            anyhow::bail!(
                "{path} is damaged ({why}), and no snapshot of what was learnt is there that tells the files' positions: \
                 restore it from a backup, or remove it to read the files from FILE_START (`beginning` tells again \
                 what was told already, `end` passes over what came meanwhile)"
            );
        }
        let aside = self.path.with_extension("json.damaged");
        std::fs::rename(&self.path, &aside)
            .and_then(|()| self.write())
            .with_context(|| format!("{path} is damaged ({why}) and cannot be put aside"))?;
        tracing::warn!(
            aside = %aside.display(),
            "{path} is damaged ({why}); it was put aside, and the files are read on from where the last snapshot of what \
             was learnt stands: nothing is lost, and what was told since then may be told again under the same ids"
        );
        Ok(())
    }

    /// What is kept of the file of this device and inode.
    pub fn find(&self, file: &str) -> Option<&Entry> {
        self.entries.get(file)
    }

    /// Keeps a new position; `save` writes it.
    pub fn put(&mut self, entry: Entry) {
        self.entries.insert(entry.file.clone(), entry);
    }

    /// Writes all positions; of files that are neither followed nor there any more nothing is kept.
    ///
    /// # Errors
    /// They cannot be written; those on disk stay as they were.
    pub fn save(&mut self, followed: &[&str]) -> std::io::Result<()> {
        self.entries
            .retain(|file, entry| followed.contains(&file.as_str()) || Path::new(&entry.path).exists());
        self.write()
    }

    fn write(&self) -> std::io::Result<()> {
        let kept = Kept { version: VERSION, files: self.entries.values().cloned().collect() };
        let temporary = self.path.with_extension("json.new");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(&kept)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}
