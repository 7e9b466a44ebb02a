//! A server's own directory: removed with it, kept when its test fails.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

/// How long what failed tests left is kept.
const KEEP: Duration = Duration::from_secs(3600);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory below the system's temporary one, named after the process it belongs to.
#[derive(Debug)]
pub struct Workdir(PathBuf);

impl Workdir {
    /// Creates it, and clears away what ended processes left behind.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(name: &str) -> Result<Self> {
        let base = std::env::temp_dir().join("isolog-testkit");
        sweep(&base);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{}-{number}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it and returns the file's path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("logs and data of the failed test are kept in {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

fn sweep(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_string_lossy().split('-').next().unwrap_or_default().to_owned();
        let ended = !Path::new("/proc").join(owner).exists();
        let modified = entry.metadata().and_then(|meta| meta.modified());
        let old =
            modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > KEEP));
        if ended && old {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
