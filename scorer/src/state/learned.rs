//! Everything that one stream has learnt. Adding a component that learns: a field, and a line in each method.

use std::sync::Arc;
use std::time::Duration;

use engine::alert::{Watch, WatchSettings};
use engine::detect::{Sessions, Thresholds};
use engine::event::{EventTime, LogEvent};
use engine::learnt::Learnt;
use engine::model::{Explanation, Judged, Model, OnlineCounts, OnlineSettings, Scratch};

use super::Stream;
use super::snapshot::{Part, Snapshot};
use crate::control::View;

/// What learns, and how it is kept.
#[derive(Clone, Debug)]
pub struct LearnSettings {
    /// Online counts; `None` is off.
    pub online: Option<OnlineSettings>,
    /// Detectors and alerts; `None` is off.
    pub watch: Option<Arc<WatchSettings>>,
    /// How often what was learnt is written.
    pub interval: Duration,
    /// The compacted topic that keeps what was learnt of Kafka's partitions.
    pub topic: Option<String>,
    /// The topic whose partitions are watched, in place of those of the logs.
    pub detect_topic: Option<String>,
}

impl LearnSettings {
    /// Whether anything learns.
    pub fn is_on(&self) -> bool {
        self.online.is_some() || self.watch.is_some()
    }
}

/// What of the model in use matters to what is learnt.
#[derive(Clone, Copy, Debug)]
pub struct InUse<'m> {
    /// Its digest.
    pub digest: &'m str,
    /// The scores that the settings derive from it.
    pub thresholds: Thresholds,
    /// By what it judges sessions, where it knows some.
    pub sessions: Option<&'m Sessions>,
}

/// What one stream has learnt, under one model.
#[derive(Debug)]
pub struct Learned {
    settings: LearnSettings,
    model: String,
    thresholds: Option<Thresholds>,
    sessions: Option<Sessions>,
    online: Option<OnlineCounts>,
    watch: Option<Box<Watch>>,
    /// Version of the decisions that the alerts know; 0 before the first.
    obeyed: u64,
}

impl Learned {
    /// Nothing yet.
    pub fn new(settings: &LearnSettings, stream: &Stream) -> Self {
        let online = settings.online.map(OnlineCounts::new);
        let is_watched = match (stream, &settings.detect_topic) {
            (Stream::Partition(topic, _), Some(watched)) => **topic == **watched,
            _ => true,
        };
        let watch = settings.watch.as_ref().filter(|_| is_watched).map(|watch| Box::new(Watch::new(watch)));
        Self {
            settings: settings.clone(),
            model: String::new(),
            thresholds: None,
            sessions: None,
            online,
            watch,
            obeyed: 0,
        }
    }

    /// Digest of the model that it was learnt under.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What is scored from now on is scored by this model. Another model than before was trained anew, and what was
    /// counted since the old one's training is not what is new to it.
    pub fn use_model(&mut self, InUse { digest, thresholds, sessions }: InUse<'_>) {
        if self.thresholds != Some(thresholds) {
            self.thresholds = Some(thresholds);
            if let Some(watch) = &mut self.watch {
                watch.set_thresholds(thresholds);
            }
        }
        if self.sessions.as_ref() != sessions {
            self.sessions = sessions.cloned();
            if let Some(watch) = &mut self.watch {
                watch.set_sessions(self.sessions.clone());
            }
        }
        if self.model != digest {
            if !self.model.is_empty() && self.online.is_some() {
                tracing::info!("another model is in use: words and patterns are counted anew");
            }
            digest.clone_into(&mut self.model);
            self.online = self.settings.online.map(OnlineCounts::new);
        }
    }

    /// From now on the alerts know these decisions. Until some were read, those of the snapshot stay in force.
    pub fn obey(&mut self, decisions: Option<&View>) {
        let Some(decisions) = decisions.filter(|decisions| decisions.version() != self.obeyed) else {
            return;
        };
        self.obeyed = decisions.version();
        if let Some(watch) = &mut self.watch {
            decisions.apply(watch.alerts_mut());
        }
    }

    /// Scores an event and says what its pattern is.
    pub fn judge(&self, model: &Model, event: &LogEvent, scratch: &mut Scratch) -> Judged {
        match &self.online {
            Some(online) => model.judge_online(event, online, scratch),
            None => model.judge(event, scratch),
        }
    }

    /// Says why an event got its score, before it is learnt.
    pub fn explain(&self, model: &Model, event: &LogEvent, scratch: &mut Scratch) -> Explanation {
        match &self.online {
            Some(online) => model.explain_online(event, online, scratch),
            None => model.explain(event, scratch),
        }
    }

    /// Learns an event that was scored.
    pub fn learn(&mut self, model: &Model, event: &LogEvent, scratch: &mut Scratch) {
        if let Some(online) = &mut self.online {
            model.count_online(event, online, scratch);
        }
    }

    /// The detectors and alerts, where they are on.
    pub fn watch(&mut self) -> Option<&mut Watch> {
        self.watch.as_deref_mut()
    }

    /// The stream begins at `now`, or what was restored goes on: the time between does not count, and which lines are
    /// of the future is known from the first one on.
    pub fn begin(&mut self, now: EventTime) {
        if let Some(watch) = &mut self.watch {
            watch.begin(now);
        }
    }

    /// The components as a snapshot holds them.
    pub fn parts(&self) -> Vec<Part> {
        let online = self.online.iter().map(|online| online as &dyn Learnt);
        let watch = self.watch.iter().map(|watch| &**watch as &dyn Learnt);
        online.chain(watch).map(Part::of).collect()
    }

    /// Takes over what a snapshot holds; a component that it holds nothing usable of begins anew, and that is told.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        snapshot.model.clone_into(&mut self.model);
        let online = self.online.iter_mut().map(|online| online as &mut dyn Learnt);
        let watch = self.watch.iter_mut().map(|watch| &mut **watch as &mut dyn Learnt);
        for component in online.chain(watch) {
            let why = match snapshot.restore(component) {
                Ok(true) => continue,
                Ok(false) => "the snapshot holds nothing of it, or of another version".to_owned(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(stream = snapshot.stream, "{} begin anew: {why}", component.name());
        }
    }
}
