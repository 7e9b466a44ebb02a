//! Which store it is.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where things are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreSettings {
    /// In a file of this program, without a server.
    Embedded {
        /// The file; its folder is made where it is missing.
        path: PathBuf,
    },
    /// In PostgreSQL, by a `postgres://` address.
    Postgres(String),
}

impl StoreSettings {
    /// The file of an embedded store, where there is none yet: opening it would make one.
    pub fn missing(&self) -> Option<&Path> {
        match self {
            Self::Embedded { path } => Some(path.as_path()).filter(|path| !path.exists()),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Debug for StoreSettings {
    /// Without the address, which holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { path } => f.debug_struct("Embedded").field("path", path).finish(),
            Self::Postgres(_) => f.write_str("Postgres(…)"),
        }
    }
}

/// Settings that name no usable store. The address is never part of the message, because it holds a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the address of PostgreSQL cannot be used: {why}; allowed is postgres://USER:PASSWORD@HOST:PORT/DATABASE"
)]
pub struct SettingsError {
    /// What is wrong with it.
    pub why: String,
}
