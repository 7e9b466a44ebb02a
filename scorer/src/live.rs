//! The model in use, replaced while requests run: whoever scores takes one snapshot and keeps it for its batch.
//! A file that cannot be used never takes the place of a model that can.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use corpus::ModelFileError;
use engine::detect::{Sessions, Thresholds};
use engine::model::train::TrainParams;
use engine::model::{Contamination, Model, Threshold};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::ModelSettings;
use crate::state::InUse;

/// How often the model file is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Share of training lines above the threshold from which on it is worth a warning.
const SUSPICIOUS_SHARE: f64 = 0.5;

/// A model with the threshold that the settings derive from it.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub model: Arc<Model>,
    /// Lines above it are anomalies.
    pub threshold: Threshold,
    /// The setting that gave the threshold.
    pub threshold_source: &'static str,
    /// Anomalies above it are warnings: the score of ALERT_BUDGET_PER_DAY; `None` where the model knows no rate.
    pub warning_score: Option<f64>,
    /// By what its sessions are judged; `None` where it knows none.
    pub sessions: Option<Sessions>,
    /// Where it was read from; `None` where it was trained in this process.
    pub path: Option<PathBuf>,
    /// When it came into use.
    pub loaded_at: jiff::Timestamp,
    /// When its file was written, as the file system says; when it came into use where there is no file.
    pub trained_at: jiff::Timestamp,
}

/// Says so where a threshold, which `source` gave, calls most of what was trained on anomalous.
pub fn doubt(threshold: Threshold, source: &str) -> Option<String> {
    (threshold.share > SUSPICIOUS_SHARE).then(|| {
        format!(
            "{source} calls {:.1} % of the training lines anomalous, everything that scores above {:.3}; a greater \
             threshold calls fewer",
            threshold.share * 100.0,
            threshold.score,
        )
    })
}

impl Loaded {
    /// A model with its threshold: ANOMALY_SCORE_THRESHOLD, else CONTAMINATION, else what it was trained with.
    pub fn new(model: Model, settings: &ModelSettings, path: Option<PathBuf>) -> Self {
        let (threshold, threshold_source) = match (settings.score_threshold, settings.contamination) {
            (Some(score), _) => {
                (Threshold { score, share: model.share_above(score) }, "ANOMALY_SCORE_THRESHOLD")
            }
            (None, Some(contamination)) => (model.threshold(contamination), "CONTAMINATION"),
            (None, None) => {
                let trained = trained_contamination(&model.provenance().contamination);
                (model.threshold(trained), "the contamination it was trained with")
            }
        };
        if let Some(doubt) = doubt(threshold, threshold_source) {
            tracing::warn!(threshold = threshold.score, share = threshold.share, "{doubt}");
        }
        let warning_score = model.threshold_for_budget(settings.alert_budget_per_day);
        let model = Arc::new(model);
        let loaded_at = jiff::Timestamp::now();
        let written = path.as_deref().and_then(|path| fs::metadata(path).ok()?.modified().ok());
        let written = written.and_then(|time| jiff::Timestamp::try_from(time).ok());
        Self {
            sessions: Sessions::of(&model, settings.contamination)
                .map(|sessions| sessions.with_warnings_a_day(settings.alert_budget_per_day)),
            model,
            threshold,
            threshold_source,
            warning_score,
            path,
            loaded_at,
            trained_at: written.unwrap_or(loaded_at),
        }
    }

    /// What of it matters to what is learnt.
    pub fn in_use(&self) -> InUse<'_> {
        let odd = self.threshold.score;
        let warning = self.warning_score.map_or(1.0, |score| score.max(odd));
        InUse {
            digest: self.model.digest(),
            thresholds: Thresholds { odd, warning },
            sessions: self.sessions.as_ref(),
        }
    }
}

/// What the provenance says; where it says nothing, the trainer's default.
fn trained_contamination(written: &str) -> Contamination {
    match written.trim() {
        "auto" => Contamination::Auto,
        share => match share.parse::<f64>() {
            Ok(share) if share > 0.0 && share <= 0.5 => Contamination::Share(share),
            _ => TrainParams::default().contamination,
        },
    }
}

/// The model in use; empty until one is loaded.
#[derive(Clone, Debug, Default)]
pub struct LiveModel(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    loaded: ArcSwapOption<Loaded>,
    replaced: Notify,
}

impl LiveModel {
    /// The model in use now.
    pub fn get(&self) -> Option<Arc<Loaded>> {
        self.0.loaded.load_full()
    }

    /// Replaces it for everyone who asks from now on.
    pub fn set(&self, loaded: Loaded) -> Arc<Loaded> {
        let loaded = Arc::new(loaded);
        self.0.loaded.store(Some(Arc::clone(&loaded)));
        self.0.replaced.notify_waiters();
        loaded
    }

    /// Waits until there is a model.
    pub async fn wait(&self) -> Arc<Loaded> {
        loop {
            let replaced = self.0.replaced.notified();
            if let Some(loaded) = self.get() {
                return loaded;
            }
            replaced.await;
        }
    }
}

/// What came of reading the file again.
#[derive(Debug)]
pub struct Reloaded {
    /// The model now in use.
    pub loaded: Arc<Loaded>,
    /// Whether it differs from the one before.
    pub changed: bool,
}

/// Tells one state of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: metadata.modified().ok(), size: metadata.len(), inode })
    }
}

/// Called with each attempt to read the model file: whether it gave a model.
pub type OnAttempt = Box<dyn Fn(bool) + Send + Sync>;

/// Keeps a [`LiveModel`] equal to the model file.
pub struct ModelFile {
    live: LiveModel,
    settings: ModelSettings,
    tried: Mutex<Option<Stamp>>,
    on_attempt: OnAttempt,
}

impl std::fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelFile").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ModelFile {
    /// Feeds `live` from the file of `settings`; nothing is read yet.
    pub fn new(live: LiveModel, settings: ModelSettings, on_attempt: OnAttempt) -> Self {
        Self { live, settings, tried: Mutex::new(None), on_attempt }
    }

    /// Reads the file and puts its model into use. Blocks; concurrent calls wait for each other.
    ///
    /// # Errors
    /// The file cannot be used; the model in use stays.
    pub fn reload(&self) -> Result<Reloaded, ModelFileError> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        self.reload_locked(&mut tried)
    }

    /// Reads the file where it is another than at the last attempt; `None` where it is not, or is not there.
    ///
    /// # Errors
    /// As [`ModelFile::reload`].
    pub fn reload_if_touched(&self) -> Option<Result<Reloaded, ModelFileError>> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.settings.path)?;
        (*tried != Some(stamp)).then(|| self.reload_locked(&mut tried))
    }

    fn reload_locked(&self, tried: &mut Option<Stamp>) -> Result<Reloaded, ModelFileError> {
        // Taken before the bytes are read: a file that is replaced meanwhile is read once more, never once less.
        *tried = Stamp::of(&self.settings.path);
        let read = corpus::load_model(&self.settings.path);
        (self.on_attempt)(read.is_ok());
        let model = read?;
        if let Some(loaded) = self.live.get().filter(|loaded| loaded.model.digest() == model.digest()) {
            return Ok(Reloaded { loaded, changed: false });
        }
        let loaded = self.live.set(Loaded::new(model, &self.settings, Some(self.settings.path.clone())));
        Ok(Reloaded { loaded, changed: true })
    }

    /// Looks at the file every few seconds until `stop`, and says what came of each change.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut every = tokio::time::interval(WATCH_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.reload_if_touched()).await {
                Ok(Some(Ok(reloaded))) if reloaded.changed => {
                    tracing::info!(
                        model = reloaded.loaded.model.digest(),
                        threshold = reloaded.loaded.threshold.score,
                        path = %self.settings.path.display(),
                        "a new model is in use",
                    );
                }
                Ok(Some(Err(error))) if self.live.get().is_some() => {
                    tracing::error!("{error}; the model that was in use stays in use");
                }
                Ok(Some(Err(error))) => tracing::error!("{error}; still without a model"),
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "reading the model file failed"),
            }
        }
    }
}
