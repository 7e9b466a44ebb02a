//! What people decided about alerts (silences, what is normal), the same on all replicas: kept in PostgreSQL, in a
//! compacted topic, in the embedded store or, where there is none of them, in memory; followed by every replica, and
//! known to a stream's alerts from its next batch or tick on. Matches no alert itself.

mod decision;
mod place;
#[cfg(test)]
mod tests;
mod told;
mod topic;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use store::StoreSettings;
use tokio::runtime::Handle;

pub use decision::{
    Decision, What, WrittenNormal, WrittenSilence, end_within_a_year, export, filter_of, of_alert, until_of,
};
use place::{Kept, Place, Table};
pub use told::{ToldNormal, ToldSilence};
use topic::Topic;
pub use view::View;

use crate::config::Settings;
use crate::metrics::Health;

/// Name of this room in health.
const PART: &str = "control";
/// Silences and normals at once, beside those of the config file: alerts are matched with each silence at each tick.
const MOST_SILENCES: usize = 500;
const MOST_NORMALS: usize = 10_000;
/// Longest wait until a change that is durable is seen.
const SEEN: Duration = Duration::from_secs(10);
/// How often what is over is taken out.
const TIDY: Duration = Duration::from_secs(60);

/// What the config file says.
#[derive(Clone, Debug, Default)]
pub struct ControlSettings {
    /// The compacted topic, where Kafka takes part.
    pub topic: Option<String>,
    /// Decisions of the config file.
    pub fixed: Vec<Decision>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not allowed.
    #[error("{0}")]
    Bad(String),
    /// There is no such decision.
    #[error("no {0} is in force; GET /api/v1/silences and GET /api/v1/normals list those that are")]
    Unknown(String),
    /// It stands in the config file.
    #[error("{0} stands in the config file: take it out there and start again")]
    Fixed(String),
    /// It could not be kept.
    #[error("{0}")]
    Failed(String),
}

/// All decisions; a clone is the same one.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    seen: Arc<Seen>,
    keep: Keep,
}

/// What the following thread shows.
struct Seen {
    view: ArcSwapOption<View>,
    fixed: Vec<Decision>,
}

enum Keep {
    Memory(Mutex<Kept>),
    Followed { commands: Sender<Command>, place: String },
}

struct Command {
    change: Change,
    answer: SyncSender<Result<(), Refused>>,
}

enum Change {
    Put(Box<Decision>),
    Remove(String),
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Control").field(&self.kept_in()).finish()
    }
}

impl Default for Control {
    /// In memory.
    fn default() -> Self {
        Self::in_memory(Vec::new())
    }
}

impl Control {
    /// Where the settings say; brokers and databases need not be there yet.
    ///
    /// # Errors
    /// The store's settings cannot be used, no thread can be started.
    pub fn start(settings: &Settings, health: &Health, runtime: Handle) -> anyhow::Result<Self> {
        let ControlSettings { topic, fixed } = settings.control.clone();
        let store = settings.store.as_ref().map(|store| &store.place);
        let topic = topic.filter(|_| settings.kafka.in_use);
        let place: Box<dyn Place> = match (store, topic) {
            (Some(place @ StoreSettings::Postgres(_)), _) => Box::new(Table(store::open(place)?)),
            (_, Some(name)) => {
                let kafka = &settings.kafka;
                Box::new(Topic::new(kafka.client.clone(), name, kafka.group_id.clone(), runtime))
            }
            (Some(place), None) => Box::new(Table(store::open(place)?)),
            (None, None) => {
                if settings.learn.watch.is_some() {
                    tracing::info!(
                        "silences and what is called normal are kept in memory only, by this process: set STORE_PATH, \
                         DATABASE_URL or CONTROL_TOPIC with Kafka"
                    );
                }
                return Ok(Self::in_memory(fixed));
            }
        };
        Self::following(place, fixed, health)
    }

    fn in_memory(fixed: Vec<Decision>) -> Self {
        let seen = Arc::new(Seen { view: ArcSwapOption::empty(), fixed });
        seen.show(&Kept::new(), &mut BTreeSet::new());
        Self(Arc::new(Inner { seen, keep: Keep::Memory(Mutex::default()) }))
    }

    fn following(place: Box<dyn Place>, fixed: Vec<Decision>, health: &Health) -> anyhow::Result<Self> {
        let seen = Arc::new(Seen { view: ArcSwapOption::empty(), fixed });
        let (commands, changes) = channel();
        let name = place.describe();
        health.not_ready(PART, format!("silences are not read from {name} yet"));
        let follower = Follower {
            place,
            seen: Arc::clone(&seen),
            health: health.clone(),
            kept: Kept::new(),
            is_whole: false,
            is_changed: true,
            told: BTreeSet::new(),
            failing: None,
            tidied: Instant::now(),
        };
        std::thread::Builder::new().name("control".to_owned()).spawn(move || follower.run(&changes))?;
        Ok(Self(Arc::new(Inner { seen, keep: Keep::Followed { commands, place: name } })))
    }

    /// Where decisions are kept, for messages.
    pub fn kept_in(&self) -> &str {
        match &self.0.keep {
            Keep::Memory(_) => "memory",
            Keep::Followed { place, .. } => place,
        }
    }

    /// Whether other processes know the decisions too.
    pub fn is_shared(&self) -> bool {
        matches!(self.0.keep, Keep::Followed { .. })
    }

    /// All decisions; `None` while they were not read for the first time.
    pub fn view(&self) -> Option<Arc<View>> {
        self.0.seen.view.load_full()
    }

    /// Makes a decision; it is durable and seen here afterwards. Blocks.
    ///
    /// # Errors
    /// Why it was not made.
    pub fn put(&self, decision: Decision) -> Result<(), Refused> {
        decision.check().map_err(Refused::Bad)?;
        if decision.is_over(Timestamp::now()) {
            return Err(Refused::Bad("the silence ends before it begins; `until` must be ahead".to_owned()));
        }
        self.0.seen.room_for(&decision)?;
        self.change(Change::Put(Box::new(decision)))
    }

    /// Takes a decision back; that is durable and seen here afterwards. Blocks.
    ///
    /// # Errors
    /// Why it was not.
    pub fn remove(&self, id: &str) -> Result<(), Refused> {
        let view = self.view().ok_or_else(|| self.unread())?;
        match view.get(id) {
            None => Err(Refused::Unknown(id.to_owned())),
            Some(decision) if decision.is_fixed() => Err(Refused::Fixed(id.to_owned())),
            Some(_) => self.change(Change::Remove(id.to_owned())),
        }
    }

    fn unread(&self) -> Refused {
        Refused::Failed(format!("silences are not read from {} yet; come again", self.kept_in()))
    }

    fn change(&self, change: Change) -> Result<(), Refused> {
        match &self.0.keep {
            Keep::Memory(kept) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                match change {
                    Change::Put(decision) => kept.insert(decision.id.clone(), json_of(&decision)?),
                    Change::Remove(id) => kept.remove(&id),
                };
                self.0.seen.show(&kept, &mut BTreeSet::new());
                Ok(())
            }
            Keep::Followed { commands, place } => {
                let (answer, answered) = sync_channel(1);
                let gone =
                    |_| Refused::Failed(format!("{place} is not followed any more; start the scorer again"));
                commands.send(Command { change, answer }).map_err(|_| gone(()))?;
                answered.recv().map_err(|_| gone(()))?
            }
        }
    }
}

fn json_of(decision: &Decision) -> Result<String, Refused> {
    serde_json::to_string(decision).map_err(|error| Refused::Failed(error.to_string()))
}

impl Seen {
    /// Shows what a place holds. What cannot be read is passed over and told once.
    fn show(&self, kept: &Kept, told: &mut BTreeSet<String>) {
        let mut decisions: BTreeMap<String, Decision> =
            self.fixed.iter().map(|decision| (decision.id.clone(), decision.clone())).collect();
        for (id, json) in kept {
            let read = serde_json::from_str::<Decision>(json).map_err(|error| error.to_string());
            match read.and_then(|decision| decision.check().map(|()| decision)) {
                Ok(decision) if decision.id == *id && !decision.is_fixed() => {
                    decisions.insert(id.clone(), decision);
                }
                Ok(_) => {}
                Err(why) if told.insert(id.clone()) => {
                    tracing::warn!(id, "a decision about alerts cannot be read and is passed over: {why}");
                }
                Err(_) => {}
            }
        }
        let version = self.view.load().as_ref().map_or(0, |view| view.version()) + 1;
        self.view.store(Some(Arc::new(View::new(version, decisions.into_values().collect()))));
    }

    fn room_for(&self, decision: &Decision) -> Result<(), Refused> {
        let Some(view) = self.view.load_full() else { return Ok(()) };
        let silences = view.silences(Timestamp::now()).count();
        let normals = view.normals().count();
        let full = |what, most| {
            Err(Refused::Bad(format!(
                "there are {most} {what} already, the most that are allowed; remove some"
            )))
        };
        match decision.what {
            What::Silence { .. } if silences >= MOST_SILENCES => full("silences", MOST_SILENCES),
            What::Normal { .. } if normals >= MOST_NORMALS => full("normals", MOST_NORMALS),
            _ => Ok(()),
        }
    }
}

/// Follows a place on a thread of its own.
struct Follower {
    place: Box<dyn Place>,
    seen: Arc<Seen>,
    health: Health,
    kept: Kept,
    /// It was read to its end once.
    is_whole: bool,
    /// What changed since the decisions were shown.
    is_changed: bool,
    /// Ids of what cannot be read.
    told: BTreeSet<String>,
    failing: Option<String>,
    tidied: Instant,
}

impl Follower {
    fn run(mut self, commands: &Receiver<Command>) {
        let mut wait = Duration::ZERO;
        loop {
            match commands.recv_timeout(wait) {
                Ok(Command { change, answer }) => {
                    let done = self.change(&change);
                    // An error means that nobody waits any more.
                    let _ = answer.send(done);
                }
                Err(RecvTimeoutError::Timeout) => self.follow(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.tidied.elapsed() >= TIDY {
                self.tidy();
            }
            let again = Duration::from_secs(1);
            wait = if self.failing.is_some() { again } else { self.place.look() };
        }
    }

    fn follow(&mut self) {
        match self.place.follow(&mut self.kept) {
            Ok(look) => {
                self.is_changed |= look.is_changed;
                if let Some(why) = self.failing.take() {
                    tracing::info!(
                        place = self.place.describe(),
                        why,
                        "decisions about alerts are followed again"
                    );
                }
                if look.is_whole && self.is_changed {
                    (self.is_whole, self.is_changed) = (true, false);
                    self.seen.show(&self.kept, &mut self.told);
                    self.health.ready(PART);
                }
            }
            Err(why) => {
                let place = self.place.describe();
                if !self.is_whole {
                    self.health.not_ready(PART, format!("{place}: {why}"));
                }
                if self.failing.as_ref() != Some(&why) {
                    tracing::warn!(
                        place,
                        why,
                        "decisions about alerts cannot be read; those known stay in force"
                    );
                }
                self.failing = Some(why);
            }
        }
    }

    /// Makes a change durable, and follows until it is seen.
    fn change(&mut self, change: &Change) -> Result<(), Refused> {
        let place = self.place.describe();
        let failed = |why: String| Refused::Failed(format!("{place}: {why}"));
        match change {
            Change::Put(decision) => self.place.put(&decision.id, &json_of(decision)?),
            Change::Remove(id) => self.place.remove(id),
        }
        .map_err(failed)?;
        let deadline = Instant::now() + SEEN;
        loop {
            self.follow();
            let is_seen = match change {
                Change::Put(decision) => self.kept.contains_key(&decision.id),
                Change::Remove(id) => !self.kept.contains_key(id),
            };
            if is_seen {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let why = format!("it is kept and was not seen again within {} s", SEEN.as_secs());
                return Err(failed(why));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes out what is over; every replica does, which is harmless.
    fn tidy(&mut self) {
        self.tidied = Instant::now();
        let now = Timestamp::now();
        let over: Vec<String> = self
            .kept
            .iter()
            .filter(|(_, json)| serde_json::from_str::<Decision>(json).is_ok_and(|one| one.is_over(now)))
            .map(|(id, _)| id.clone())
            .collect();
        for id in over {
            if let Err(why) = self.place.remove(&id) {
                tracing::debug!(id, why, "a silence that is over could not be taken out");
                return;
            }
        }
    }
}
