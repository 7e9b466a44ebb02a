//! What is removed: what is too old, and the oldest where it is too much. In small steps, so that a writer never waits
//! long.

use engine::event::EventTime;

/// What may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Days since a row was written; longer ones go. At least 1.
    pub days: u32,
    /// Most bytes of an embedded store: beyond it, the oldest log lines go while they take more than all else, and
    /// otherwise the oldest anomalies, or alerts that are over and that every sink has dealt with.
    pub most_bytes: u64,
}

impl Retention {
    /// Rows that one step removes where `beyond` bytes have to go: about as much as that, or less, and at least a few.
    pub(crate) fn rows_to_displace(beyond: u64) -> i64 {
        i64::try_from(beyond / 1_024).unwrap_or(i64::MAX).max(50)
    }

    /// Rows written before it go.
    pub(crate) fn oldest(&self, now: EventTime) -> EventTime {
        const DAY: i64 = 86_400_000_000;
        EventTime::from_micros(now.as_micros().saturating_sub(i64::from(self.days).saturating_mul(DAY)))
    }
}

/// What one step removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Rows that were too old.
    pub expired: u64,
    /// Rows that were too much.
    pub displaced: u64,
    /// Whether there is more to remove.
    pub more: bool,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use: of the file, without its free pages, or of all tables with their indexes.
    pub bytes: u64,
}
