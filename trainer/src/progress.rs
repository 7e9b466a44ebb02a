//! A progress bar on a terminal; nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// How far one pass over the input is.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar of `bytes`, or a counter where the length is not known.
    pub fn bytes(what: &'static str, bytes: Option<u64>) -> Self {
        let (bar, template) = match bytes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "{msg} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec}, {eta} to go",
            ),
            None => (ProgressBar::new_spinner(), "{msg} {spinner} {bytes} {binary_bytes_per_sec}"),
        };
        Self::styled(what, bar, template)
    }

    /// A bar of records.
    pub fn records(what: &'static str, records: u64) -> Self {
        Self::styled(what, ProgressBar::new(records), "{msg} [{bar:30}] {pos}/{len} records, {eta} to go")
    }

    fn styled(what: &'static str, bar: ProgressBar, template: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        Self(bar)
    }

    /// Bytes or records read so far.
    pub fn at(&self, position: u64) {
        self.0.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
