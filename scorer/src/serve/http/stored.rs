//! The store as the API reads it: a few handles, each used by one question at a time on a thread that may block.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use store::{Store, StoreSettings};
use tokio::sync::Semaphore;

use super::answer::Refusal;

/// Questions at a time.
const HANDLES: usize = 4;
/// Longest wait for a handle.
const WAIT: Duration = Duration::from_secs(10);

/// The handles; clones share them.
#[derive(Clone)]
pub struct Stored {
    place: StoreSettings,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Box<dyn Store>>>>,
}

impl Stored {
    /// Nothing is opened yet.
    pub fn new(place: StoreSettings) -> Self {
        Self { place, places: Arc::new(Semaphore::new(HANDLES)), idle: Arc::default() }
    }

    /// Asks the store.
    ///
    /// # Errors
    /// It cannot be read; too many others ask.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Store) -> store::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = Arc::clone(&self.places).acquire_owned();
        let Ok(Ok(place)) = tokio::time::timeout(WAIT, place).await else {
            return Err(Refusal::unavailable("too many questions to the store are open; come again"));
        };
        let this = self.clone();
        // The place goes along: a question that nobody waits for any more holds it until it is answered.
        let asked = tokio::task::spawn_blocking(move || {
            let _held_until_answered = place;
            let idle = this.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut store = match idle {
                Some(store) => store,
                None => store::open(&this.place).map_err(|error| Refusal::unavailable(error.to_string()))?,
            };
            let answer = question(store.as_mut()).map_err(|error| {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                if error.is_transient() {
                    Refusal::unavailable(format!("{error}; come again"))
                } else {
                    Refusal::new(status, error.to_string())
                }
            });
            this.idle.lock().unwrap_or_else(PoisonError::into_inner).push(store);
            answer
        });
        asked.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a question to the store failed");
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the question to the store failed"))
        })
    }
}
