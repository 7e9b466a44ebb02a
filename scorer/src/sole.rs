//! One process at a time on a `STATE_DIR`: two would write the same snapshots and positions over each other.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};

/// Name of the file that is locked; it stays, and means nothing while nobody holds it.
const NAME: &str = "lock";

/// Takes a folder for this process, which makes it where it is missing. Its file system lets go of it when the file is
/// dropped or the process ends in any way; where it knows no locks, that is told and nobody is kept out.
///
/// # Errors
/// The folder cannot be written, or another process has it.
pub fn take(folder: &Path) -> anyhow::Result<File> {
    let shown = folder.display();
    let file = std::fs::create_dir_all(folder).and_then(|()| File::create(folder.join(NAME)));
    let file = file.with_context(|| format!("STATE_DIR = {shown} cannot be written"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!(
            "STATE_DIR = {shown} is in use by another scorer: stop that one, or give this one a directory of its own"
        ),
        Err(TryLockError::Error(error)) => {
            tracing::warn!(folder = %shown, %error, "cannot be locked: see to it that one scorer alone uses it");
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_had_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("state");
        let first = take(&place).unwrap();
        let error = take(&place).unwrap_err().to_string();
        assert!(error.contains("in use by another scorer") && error.contains("state"), "{error}");
        drop(first);
        take(&place).unwrap();
    }

    #[test]
    fn a_folder_below_a_file_is_refused_by_its_setting() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = take(&file.path().join("state")).unwrap_err().to_string();
        assert!(error.contains("STATE_DIR = ") && error.contains("cannot be written"), "{error}");
    }
}
