//! Snapshots that are too large: kept without what is largest, told and counted, so that positions go on.

use super::snapshot::{MOST_PACKED, Snapshot};
use super::{Inner, Stream};
use crate::metrics::ResultLabel;

impl Inner {
    /// The bytes of a snapshot, of what fits.
    pub(super) fn pack(&self, stream: &Stream, snapshot: &mut Snapshot) -> Result<Vec<u8>, String> {
        let packed = snapshot.pack_what_fits(MOST_PACKED);
        let (bytes, left_out) = packed.map_err(|error| format!("{stream}: {error}"))?;
        if !left_out.is_empty() {
            self.metrics.state_snapshots.get_or_create(&ResultLabel { result: "partial" }).inc();
            tracing::warn!(
                %stream,
                left_out = left_out.join(", "),
                "what was learnt is larger than a snapshot may be (64 MiB packed): it is kept without these, which begin anew \
                 after a restart; fewer services (`most_services` of `[detect.stream]`) need less"
            );
        }
        Ok(bytes)
    }
}
