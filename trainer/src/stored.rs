//! Training from the lines that a scorer kept. The newest row is settled once, so that a second pass sees the same
//! lines in the same order, whatever is written meanwhile.

use anyhow::Context as _;
use corpus::{Batch, Place};
use engine::event::{EventTime, LogEvent, TimeSource};
use store::{LogFilter, Page, Store, StoreSettings, StoredLog};

/// Lines between two times.
pub struct Stored {
    place: StoreSettings,
    name: String,
    since: EventTime,
    until: EventTime,
    newest: i64,
}

impl Stored {
    /// Settles what is read: lines from `since` until before `until` that are there now.
    ///
    /// # Errors
    /// The store cannot be opened or read.
    pub fn open(
        place: StoreSettings,
        since: Option<EventTime>,
        until: Option<EventTime>,
    ) -> anyhow::Result<Self> {
        if let StoreSettings::Embedded { path } = &place {
            // Opening one that is not there would make it.
            anyhow::ensure!(
                path.exists(),
                "there is no store at {}: --from-store takes the scorer's STORE_PATH or DATABASE_URL",
                path.display()
            );
        }
        let mut store = store::open(&place)?;
        let newest = store.newest_log().context("the store cannot be read")?;
        Ok(Self {
            name: format!("log rows of {}", store.describe()),
            place,
            since: since.unwrap_or(EventTime::from_micros(i64::MIN)),
            until: until.unwrap_or(EventTime::from_micros(i64::MAX)),
            newest,
        })
    }

    /// Its name; [`Place::line`] is the row's `seq`.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Rows at most.
    pub fn records(&self) -> u64 {
        self.newest.unsigned_abs()
    }

    /// Reads all lines and hands them on in batches, with the number of rows so far.
    ///
    /// # Errors
    /// The store cannot be read, or `take` fails.
    pub fn read(&self, mut take: impl FnMut(&mut Batch, u64) -> anyhow::Result<()>) -> anyhow::Result<u64> {
        let mut store = store::open(&self.place)?;
        let (mut page, mut rows) = (Page::first(store::query::MOST_ROWS), 0);
        loop {
            let lines = next(store.as_mut(), self, &page)?;
            let Some(last) = lines.last() else { return Ok(rows) };
            page = Page::after(last.key(), store::query::MOST_ROWS);
            rows += lines.len() as u64;
            let mut batch = Batch::default();
            for line in lines.into_iter().filter(|line| line.number <= self.newest) {
                batch.places.push(Place { input: 0, line: line.number.unsigned_abs() });
                batch.events.push(event(line));
            }
            take(&mut batch, rows)?;
        }
    }
}

fn next(store: &mut dyn Store, stored: &Stored, page: &Page) -> anyhow::Result<Vec<StoredLog>> {
    let lines = store.logs_between(&LogFilter::default(), stored.since, stored.until, page);
    lines.with_context(|| format!("{} cannot be read", stored.name))
}

fn event(line: StoredLog) -> LogEvent {
    LogEvent {
        timestamp: line.log_timestamp,
        time_source: TimeSource::Record,
        service: line.service,
        level: line.level,
        message: line.message,
        attributes: Vec::new(),
    }
}
