//! What can go wrong with a store, and whether it goes away by itself.

/// A result of this room.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached at the moment.
    #[error("{store} cannot be reached: {why}")]
    Unreachable {
        /// Which store.
        store: String,
        /// What the system or the server says.
        why: String,
    },
    /// The disk, or the share of it that the database may have, is full.
    #[error("{store} is full: {why}; free disk space, or let STORE_MAX_BYTES be smaller than it")]
    Full {
        /// Which store.
        store: String,
        /// What the database says.
        why: String,
    },
    /// Somebody else holds the database for too long.
    #[error("{store} is locked by another program: {why}")]
    Busy {
        /// Which store.
        store: String,
        /// What the database says.
        why: String,
    },
    /// The tables are of a newer program.
    #[error(
        "{store} was written by a newer program: its tables are of version {found}, this program knows versions up \
         to {known}; use that program, or another store"
    )]
    NewerSchema {
        /// Which store.
        store: String,
        /// Version of the tables.
        found: i64,
        /// The highest version that this program knows.
        known: i64,
    },
    /// The database refused what it was asked; trying again will not help unless somebody changes it.
    #[error("{store}: {why}")]
    Refused {
        /// Which store.
        store: String,
        /// What the database says.
        why: String,
    },
    /// What the database holds is not what this program wrote.
    #[error("{store} holds what cannot be read: {why}")]
    Damaged {
        /// Which store.
        store: String,
        /// What is wrong.
        why: String,
    },
}

impl Error {
    /// Whether trying again later may work without anybody changing the settings or the database.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Full { .. } | Self::Busy { .. })
    }
}
