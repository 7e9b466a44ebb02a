//! The temporary folder of a demo, and those that killed demos left behind.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

const PREFIX: &str = "isolog-demo-";
/// Locked as long as a folder's demo runs.
const LOCK: &str = "lock";
/// A folder is looked at once it is so old: a younger one may belong to a demo that has not locked it yet.
const SETTLED: Duration = Duration::from_secs(60);

/// A folder that ends with its demo.
pub struct Temporary {
    // Let go of before the folder goes.
    _lock: File,
    folder: TempDir,
}

impl Temporary {
    /// Makes one below `place`, and removes those of demos that were killed `now`: an error there is no reason to fail.
    ///
    /// # Errors
    /// `place` cannot be written.
    pub fn create(place: &Path, now: SystemTime) -> std::io::Result<Self> {
        sweep(place, now);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
        let lock = File::create(folder.path().join(LOCK))?;
        if let Err(error) = lock.try_lock() {
            tracing::debug!(%error, "the demo's folder cannot be locked");
        }
        Ok(Self { _lock: lock, folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn sweep(place: &Path, now: SystemTime) {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let lock = entry.path().join(LOCK);
        let made =
            lock.symlink_metadata().ok().filter(|data| data.is_file()).and_then(|data| data.modified().ok());
        let is_settled =
            made.and_then(|made| now.duration_since(made).ok()).is_some_and(|age| age >= SETTLED);
        let is_left = || File::open(&lock).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_settled && is_left() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_killed_demos_are_removed_and_no_others() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = place.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("isolog.db"), "rows").unwrap();
            path
        };
        let later = SystemTime::now() + SETTLED;
        let running = Temporary::create(place.path(), SystemTime::now()).unwrap();
        let (killed, another, without) =
            (folder("isolog-demo-killed"), folder("another"), folder("isolog-demo-without-lock"));
        for path in [&killed, &another] {
            File::create(path.join(LOCK)).unwrap();
        }
        let young = Temporary::create(place.path(), SystemTime::now()).unwrap();
        assert!(killed.exists(), "its demo might be about to lock it");
        let last = Temporary::create(place.path(), later + SETTLED).unwrap();
        assert!(!killed.exists());
        for kept in [running.path(), young.path(), last.path(), &another, &without] {
            assert!(kept.exists(), "{kept:?}");
        }
        let path = running.path().to_owned();
        drop(running);
        assert!(!path.exists());
    }
}
