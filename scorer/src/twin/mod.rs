//! What the pages show and change, on the command line: asked of a running scorer's API, or of the places where the
//! scorers keep it. Sends no alert and scores no line.

mod alerts;
mod api;
mod normal;
mod silence;
mod threshold;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use engine::terminal::shown;
use jiff::Timestamp;
use notify::AlertRecord;
use serde_json::Value;
use store::{AlertSearch, Page, Store};
use tokio::runtime::Runtime;

pub use alerts::{AlertsArgs, run as alerts};
use api::Api;
pub use normal::{NormalArgs, run as normal};
pub use silence::{SilenceArgs, run as silence};
pub use threshold::{ThresholdArgs, run as threshold};

use crate::config::{Flags, Secret, Settings};
use crate::control::{Control, Decision};
use crate::metrics::Health;

/// Longest wait for what is kept in Kafka or a database.
const READ: Duration = Duration::from_secs(30);
/// A longer wait than this is told of.
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// Longest text that is shown, in characters.
const SHOWN_CHARACTERS: usize = 300;

/// What every twin takes.
#[derive(Debug, clap::Args)]
pub struct Whom {
    /// Asks the running scorer at this address, such as http://127.0.0.1:8080; without it the store (and for
    /// silences the topic) of the settings
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Token for --url; without it HTTP_TOKEN
    #[arg(long, value_name = "TOKEN", requires = "url")]
    token: Option<String>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// Settings.
    #[command(flatten)]
    settings: Flags,
}

/// Who is asked.
struct Asked {
    settings: Settings,
    api: Option<Api>,
    runtime: Runtime,
    json: bool,
}

impl Asked {
    fn new(whom: Whom) -> anyhow::Result<Self> {
        let settings = Settings::load(whom.settings)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let token = whom.token.map(Secret::new).or_else(|| settings.serve.http_token.clone());
        let api = whom.url.map(|url| Api::new(&url, token, &runtime)).transpose()?;
        Ok(Self { settings, api, runtime, json: whom.json })
    }

    /// The store of the settings; an embedded one must be there already.
    fn store(&self) -> anyhow::Result<Box<dyn Store>> {
        let Some(used) = &self.settings.store else {
            bail!("no store is set: set STORE_PATH or DATABASE_URL as the scorer has it, or give --url");
        };
        self.needs_its_file()?;
        let mut store = store::open(&used.place)?;
        if store.version()? == 0 {
            bail!(
                "{} holds nothing: set STORE_PATH or DATABASE_URL as the scorer has it, or give --url",
                store.describe()
            );
        }
        Ok(store)
    }

    /// Refuses an embedded store whose file is not there: whoever only looks makes none.
    fn needs_its_file(&self) -> anyhow::Result<()> {
        if let Some(path) = self.settings.store.as_ref().and_then(|used| used.place.missing()) {
            bail!(
                "there is no store at {}: run this where the scorer runs, set STORE_PATH or DATABASE_URL as the scorer \
                 has it, or give --url",
                path.display()
            );
        }
        Ok(())
    }

    /// The records of an alert, oldest first.
    fn alert(&self, id: &str) -> anyhow::Result<Vec<AlertRecord>> {
        match &self.api {
            Some(api) => {
                let mut found = api.get(&format!("/api/v1/alerts/{}", api::path_part(id)))?;
                Ok(serde_json::from_value(found["history"].take())?)
            }
            None => {
                let found = self.store()?.alert(id)?;
                let Some(found) = found else {
                    bail!("no alert {id:?} is known; `scorer alerts` lists those that are");
                };
                found.records.iter().map(|json| Ok(serde_json::from_str(json)?)).collect()
            }
        }
    }

    /// Its newest record.
    fn newest(&self, id: &str) -> anyhow::Result<AlertRecord> {
        self.alert(id)?.pop().with_context(|| format!("the alert {id:?} has no record"))
    }

    fn alerts(&self, search: &AlertSearch, most: usize) -> anyhow::Result<Vec<AlertRecord>> {
        match &self.api {
            Some(api) => {
                let mut path = format!("/api/v1/alerts?limit={most}");
                for (name, value) in
                    [("status", &search.status), ("severity", &search.severity), ("service", &search.service)]
                {
                    if let Some(value) = value {
                        path += &format!("&{name}={}", api::path_part(value));
                    }
                }
                Ok(serde_json::from_value(api.get(&path)?["alerts"].take())?)
            }
            None => {
                let found = self.store()?.search_alerts(search, &Page::first(most))?;
                found.rows.iter().map(|row| Ok(serde_json::from_str(&row.record)?)).collect()
            }
        }
    }

    /// The decisions where the scorers keep them, read to their end.
    fn control(&self) -> anyhow::Result<Control> {
        let health = Health::default();
        let control = Control::start(&self.settings, &health, self.runtime.handle().clone())?;
        if !control.is_shared() {
            bail!(
                "a scorer with these settings keeps silences in its memory: set DATABASE_URL, STORE_PATH or \
                 CONTROL_TOPIC as the scorer has it, or give --url"
            );
        }
        let start = Instant::now();
        let (deadline, mut is_told) = (start + READ, false);
        while control.view().is_none() {
            if !is_told && start.elapsed() >= TOLD_AFTER {
                is_told = true;
                tell!("waiting for {}, up to {} s", control.kept_in(), READ.as_secs());
            }
            if Instant::now() >= deadline {
                let why: Vec<String> = health.why_not_ready().into_iter().map(|(_, why)| why).collect();
                bail!("not within {} s: {}", READ.as_secs(), why.join("; "));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(control)
    }

    /// As [`Asked::control`], for who only looks.
    fn control_to_look(&self) -> anyhow::Result<Control> {
        let is_in_topic = self.settings.kafka.in_use && self.settings.control.topic.is_some();
        if !is_in_topic {
            self.needs_its_file()?;
        }
        self.control()
    }

    /// Makes a decision where the scorers keep them.
    fn decide(&self, what: crate::control::What, comment: String) -> anyhow::Result<Decision> {
        let decision = Decision::new(what, comment, "command line".to_owned(), Timestamp::now());
        self.control()?.put(decision.clone())?;
        Ok(decision)
    }

    fn print(&self, value: &Value) -> anyhow::Result<()> {
        say!("{}", serde_json::to_string_pretty(value)?);
        Ok(())
    }
}

fn short(text: &str) -> String {
    shown(text, SHOWN_CHARACTERS)
}
