//! Snapshots that are too large: kept without what is largest, told and counted, so that positions go on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::snapshot::{MOST_PACKED, Snapshot};
use super::{Inner, Stream};
use crate::metrics::ResultLabel;

/// How often the same is told again.
const AGAIN: Duration = Duration::from_secs(3_600);

/// What was told to be left out of each stream's snapshots, and when.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<BTreeMap<String, (String, Instant)>>);

impl Told {
    /// Whether it is to be told now that `left_out` is: at once, and once an hour while it is the same.
    fn is_news(&self, stream: &str, left_out: &str, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_told = |(what, at): &(String, Instant)| what == left_out && now.duration_since(*at) < AGAIN;
        if told.get(stream).is_some_and(is_told) {
            return false;
        }
        told.insert(stream.to_owned(), (left_out.to_owned(), now));
        true
    }
}

impl Inner {
    /// The bytes of a snapshot, of what fits.
    pub(super) fn pack(&self, stream: &Stream, snapshot: &mut Snapshot) -> Result<Vec<u8>, String> {
        let packed = snapshot.pack_what_fits(MOST_PACKED);
        let (bytes, left_out) = packed.map_err(|error| format!("{stream}: {error}"))?;
        if !left_out.is_empty() {
            self.metrics.state_snapshots.get_or_create(&ResultLabel { result: "partial" }).inc();
            let left_out = left_out.join(", ");
            if self.told_partial.is_news(&stream.to_string(), &left_out, Instant::now()) {
                tracing::warn!(
                    %stream,
                    left_out,
                    "what was learnt is larger than a snapshot may be (64 MiB packed): it is kept without these, which begin \
                     anew after a restart; fewer services (`most_services` of `[detect.stream]`) need less; told again in an \
                     hour, counted each time (isolog_state_snapshots_total, result partial)"
                );
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_at_once_and_the_same_again_after_an_hour() {
        let told = Told::default();
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        assert!(told.is_news("a", "volume", at(0)));
        assert!(!told.is_news("a", "volume", at(3_599)));
        assert!(told.is_news("b", "volume", at(3_599)));
        assert!(told.is_news("a", "volume, steps", at(3_599)));
        assert!(told.is_news("a", "volume, steps", at(7_199)));
    }
}
