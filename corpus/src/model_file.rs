//! Model files: read under a size limit; written whole or not at all.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use engine::artifact::{self, ArtifactError};
use engine::model::Model;

/// Why a model could not be loaded or saved; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// There is no such file.
    #[error("{path}: there is no model; {}", make_one(path))]
    Missing {
        /// As it was given.
        path: PathBuf,
    },
    /// The operating system could not read it.
    #[error("{path}: the model cannot be read: {error}")]
    Unreadable {
        /// As it was given.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Its bytes are no model of this version.
    #[error("{path}: {error}; {}", make_one(path))]
    Damaged {
        /// As it was given.
        path: PathBuf,
        /// What is wrong with the bytes.
        error: ArtifactError,
    },
    /// It is larger than any model that is read.
    #[error("{path}: the model is not written: {error}")]
    TooLarge {
        /// As it was given.
        path: PathBuf,
        /// Its size, and what to do.
        error: ArtifactError,
    },
    /// It could not be written.
    #[error("{path}: the model cannot be written: {error}")]
    Unwritable {
        /// As it was given.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}

fn make_one(path: &Path) -> String {
    format!("make one with: trainer fit --model-path {} LOGS.csv", path.display())
}

/// Loads a model.
///
/// # Errors
/// It is missing, unreadable, too large or damaged; the message names the file and the command that makes one.
pub fn load_model(path: &Path) -> Result<Model, ModelFileError> {
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ModelFileError::Missing { path: path.to_owned() },
        _ => ModelFileError::Unreadable { path: path.to_owned(), error },
    };
    let file = File::open(path).map_err(fail)?;
    let damaged = |error| ModelFileError::Damaged { path: path.to_owned(), error };
    let bytes = file.metadata().map_err(fail)?.len();
    if bytes > artifact::MAX_BYTES {
        return Err(damaged(ArtifactError::TooLarge { bytes }));
    }
    // What is no regular file, or grows meanwhile, is read no further either.
    let mut content = Vec::new();
    let read = file.take(artifact::MAX_BYTES + 1).read_to_end(&mut content).map_err(fail)? as u64;
    if read > artifact::MAX_BYTES {
        return Err(damaged(ArtifactError::TooLarge { bytes: read }));
    }
    artifact::from_bytes(&content).map_err(damaged)
}

/// Saves a model: to a temporary name in the same folder, synced, then renamed, so that a reader sees the old file
/// or the new one and never a part.
///
/// # Errors
/// The model is larger than [`artifact::MAX_BYTES`]; the folder cannot be made or written.
pub fn save_model(path: &Path, model: &Model) -> Result<u64, ModelFileError> {
    let bytes = artifact::to_bytes(model)
        .map_err(|error| ModelFileError::TooLarge { path: path.to_owned(), error })?;
    write_whole(path, &bytes).map_err(|error| ModelFileError::Unwritable { path: path.to_owned(), error })?;
    Ok(bytes.len() as u64)
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder; name a file in it"));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".isolog-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    let mut temporary = builder.tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_model_names_the_command_that_makes_one() {
        let error = load_model(Path::new("no/such.model")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no/such.model: there is no model; make one with: trainer fit --model-path no/such.model LOGS.csv"
        );
    }

    #[test]
    fn a_file_larger_than_any_model_is_refused_by_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.model");
        // Without content on disk: were it read, its first bytes would be refused, not its size.
        File::create(&path).unwrap().set_len(artifact::MAX_BYTES + 1).unwrap();
        let error = load_model(&path).unwrap_err().to_string();
        for part in
            ["large.model: a model of 268435457 bytes is too large, at most 268435456", "make one with: "]
        {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/x.model");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_refused_as_a_model() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load_model(folder.path()).is_err());
        assert!(write_whole(folder.path(), b"x").unwrap_err().to_string().contains("folder"));
    }
}
