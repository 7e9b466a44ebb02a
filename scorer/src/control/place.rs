//! Where decisions are kept so that all replicas know them: the trait, and the store.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::event::EventTime;
use jiff::Timestamp;
use store::Store;

/// All that a place holds: id and JSON.
pub type Kept = BTreeMap<String, String>;

/// What a look at a place found.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// It was read to its end.
    pub is_whole: bool,
    /// It holds something else than at the look before.
    pub is_changed: bool,
}

/// A place; used from one thread.
pub trait Place: Send {
    /// For messages, without any secret.
    fn describe(&self) -> String;

    /// How long to wait before the next look.
    fn look(&self) -> Duration;

    /// Brings `kept` up to what the place holds now.
    fn follow(&mut self, kept: &mut Kept) -> Result<Look, String>;

    /// Keeps a decision durably.
    fn put(&mut self, id: &str, json: &str) -> Result<(), String>;

    /// Takes it out durably.
    fn remove(&mut self, id: &str) -> Result<(), String>;
}

/// A table of the store.
pub struct Table(pub Box<dyn Store>);

impl Place for Table {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn look(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn follow(&mut self, kept: &mut Kept) -> Result<Look, String> {
        let held: Kept = self.0.controls().map_err(|error| error.to_string())?.into_iter().collect();
        let is_changed = held != *kept;
        *kept = held;
        Ok(Look { is_whole: true, is_changed })
    }

    fn put(&mut self, id: &str, json: &str) -> Result<(), String> {
        let now = EventTime::from_micros(Timestamp::now().as_microsecond());
        self.0.put_control(id, json, now).map_err(|error| error.to_string())
    }

    fn remove(&mut self, id: &str) -> Result<(), String> {
        self.0.remove_control(id).map(drop).map_err(|error| error.to_string())
    }
}
