//! The store's table of alert records as an outbox, and the store as a place for results and dead letters. Of several
//! programs on one database only the one that leads a sink tells it.

use std::time::Duration;

use ::store::Store;
use engine::event::EventTime;
use jiff::Timestamp;
use notify::dispatch::{Position, Progress};

use super::ledger::{DeadLetter, Keep, SinkResult};
use super::outbox::{Event, Outbox, Taken};

/// A table has one partition.
const PARTITION: i32 = 0;
/// Between two looks at a table that held nothing new.
const LOOK: Duration = Duration::from_millis(100);

/// One sink's view of the table.
pub struct StoreOutbox {
    store: Box<dyn Store>,
    sink: String,
    /// The last number that was read; `None` while another program leads, and before the first look.
    read: Option<i64>,
}

impl StoreOutbox {
    /// Nothing is asked of the store yet.
    pub fn new(store: Box<dyn Store>, sink: &str) -> Self {
        Self { store, sink: sink.to_owned(), read: None }
    }

    fn look(&mut self, most: usize) -> ::store::Result<Vec<Event>> {
        if !self.store.lead(&self.sink)? {
            let led = self.read.take().is_some();
            return Ok(if led { vec![Event::Gone(PARTITION)] } else { Vec::new() });
        }
        let read = match self.read {
            Some(read) => read,
            None => *self.read.insert(self.store.sink_position(&self.sink)?),
        };
        if most == 0 {
            return Ok(Vec::new());
        }
        let rows = self.store.outbox_after(read, most)?;
        if let Some((last, _)) = rows.last() {
            self.read = Some(*last);
        }
        let event = |(number, json)| {
            let position = Position { partition: PARTITION, offset: number };
            Event::Taken(Taken { position, json, written_ms: None })
        };
        Ok(rows.into_iter().map(event).collect())
    }
}

impl Outbox for StoreOutbox {
    fn poll(&mut self, most: usize, wait: Duration) -> Result<Vec<Event>, String> {
        let events = self.look(most).map_err(|error| error.to_string())?;
        if events.is_empty() {
            std::thread::sleep(wait.min(LOOK));
        }
        Ok(events)
    }

    fn settle(&mut self, progress: &[Progress]) -> Result<(), String> {
        let Some(settled) = progress.iter().map(|one| one.settled).find(|at| at.partition == PARTITION)
        else {
            return Ok(());
        };
        self.store.settle(&self.sink, settled.offset).map_err(|error| error.to_string())
    }

    fn close(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// The store as a place for what became of deliveries.
pub struct StoreKeep {
    /// A handle of its own.
    pub store: Box<dyn Store>,
    /// Whether it keeps the dead letters too.
    pub dead_letters: bool,
}

impl Keep for StoreKeep {
    fn results(&mut self, results: &[SinkResult]) -> Result<(), String> {
        for result in results {
            let detail = result.detail.clone().unwrap_or_default();
            let kept = ::store::SinkResult {
                sink: result.sink.clone(),
                alert_id: result.alert_id.clone(),
                revision: i64::from(result.revision),
                outcome: result.result.as_str().to_owned(),
                status: status_of(&detail),
                detail,
                at: event_time(result.at),
            };
            self.store.sink_result(&kept).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), String> {
        for letter in letters.iter().filter(|_| self.dead_letters) {
            let record = serde_json::to_string(&letter.record)
                .map_err(|error| format!("cannot be written as JSON: {error}"))?;
            let kept = ::store::DeadLetter {
                sink: letter.sink.clone(),
                alert_id: letter.record.id.clone(),
                revision: i64::from(letter.record.revision),
                reason: letter.reason.clone(),
                at: event_time(letter.at),
                record,
            };
            self.store.dead_letter(&kept).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn event_time(at: Timestamp) -> EventTime {
    EventTime::from_micros(at.as_microsecond())
}

/// The HTTP status in what is told of an answer.
fn status_of(detail: &str) -> Option<u16> {
    let rest = detail.split_once("HTTP ")?.1;
    rest.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_out_of_what_was_told() {
        assert_eq!(status_of("HTTP 429: slow down"), Some(429));
        assert_eq!(status_of("given up after 3 attempts in 9 s: HTTP 503"), Some(503));
        assert_eq!(status_of("connection refused"), None);
    }
}
