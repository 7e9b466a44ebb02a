//! Where `cargo xtask setup` puts what the tests need beyond Rust, and what exactly it puts there.
//! Looks only; never installs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The name of the file that says what a directory was filled from.
pub const STAMP: &str = "PINNED";

/// One directory of tools, filled once from a list of pinned versions and checksums.
#[derive(Clone, Copy, Debug)]
pub struct Pinned {
    /// Directory below [`cache_dir`].
    pub directory: &'static str,
    /// The list it is filled from; its copy in the directory ([`STAMP`]) says that it is complete.
    pub list: &'static str,
}

/// Apache Kafka, its Connect runtime and what they depend on; `sha256sum` lines.
pub const KAFKA: Pinned = Pinned { directory: "kafka", list: include_str!("../kafka/jars.sha256") };

/// A Python virtual environment with gRPC and OpenTelemetry clients; a requirements file with hashes.
pub const PYTHON: Pinned = Pinned { directory: "python", list: include_str!("../python/requirements.txt") };

/// A Python virtual environment with a mail server; a requirements file with hashes.
pub const MAIL: Pinned = Pinned { directory: "mail", list: include_str!("../mail/requirements.txt") };

/// What drives a browser from Node: Playwright without browsers of its own, axe; a lock file of npm with hashes.
pub const BROWSER: Pinned =
    Pinned { directory: "browser", list: include_str!("../browser/package-lock.json") };

/// Debian's Chromium.
///
/// # Errors
/// Names the command that installs it, when there is none.
pub fn chromium() -> Result<PathBuf> {
    let program = Path::new("/usr/bin/chromium");
    if !program.exists() {
        bail!("the tests need Chromium ({} was not found); run `cargo xtask setup`", program.display());
    }
    Ok(program.to_owned())
}

impl Pinned {
    /// Where it is, or will be.
    ///
    /// # Errors
    /// When neither `XDG_CACHE_HOME` nor a home directory is known.
    pub fn path(&self) -> Result<PathBuf> {
        Ok(cache_dir()?.join(self.directory))
    }

    /// Whether it is complete and of the versions listed.
    pub fn is_installed(&self) -> bool {
        self.path()
            .and_then(|path| Ok(std::fs::read_to_string(path.join(STAMP))?))
            .is_ok_and(|stamp| stamp == self.list)
    }

    /// Its directory.
    ///
    /// # Errors
    /// Names the command that installs it, when it is missing or of another version.
    pub fn require(&self) -> Result<PathBuf> {
        let path = self.path()?;
        if !self.is_installed() {
            bail!(
                "the tests need {} with the versions pinned in testkit/; run `cargo xtask setup`",
                path.display()
            );
        }
        Ok(path)
    }
}

/// The folder of PostgreSQL's programs: that of the newest version that Debian's packages installed, else the one
/// that the search path leads to.
///
/// # Errors
/// Names the command that installs it, when there is none.
pub fn postgres_programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    found.sort();
    if let Some((_, path)) = found.pop() {
        return Ok(path);
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .find(|path| path.join("initdb").exists())
        .context("the tests need PostgreSQL (`initdb` was not found); run `cargo xtask setup`")
}

/// `$XDG_CACHE_HOME/isolog`, else `~/.cache/isolog`.
///
/// # Errors
/// When neither `XDG_CACHE_HOME` nor a home directory is known.
pub fn cache_dir() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => std::env::home_dir().context("no home directory: set HOME or XDG_CACHE_HOME")?.join(".cache"),
    };
    Ok(base.join("isolog"))
}

/// Whether fault and soak tests are to take their long form, as `cargo xtask faults` and `cargo xtask soak` ask.
pub fn long_tests() -> bool {
    std::env::var_os(LONG_TESTS).is_some_and(|value| value == "1")
}

/// How many times each place is killed: `cargo xtask faults --seeds`, two in ordinary tests.
pub fn seeds() -> u64 {
    let asked = std::env::var_os(SEEDS).and_then(|text| text.to_str()?.parse().ok());
    asked.unwrap_or(if long_tests() { 20 } else { 2 })
}

/// The variable behind [`seeds`].
pub const SEEDS: &str = "ISOLOG_TEST_SEEDS";

/// The variable behind [`long_tests`].
pub const LONG_TESTS: &str = "ISOLOG_LONG_TESTS";
