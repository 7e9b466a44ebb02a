//! What one scoring thread remembers: its buffers with the table of recent lines, as the settings want it, and texts
//! without secrets. Scores nothing itself.

use std::hash::{BuildHasher, RandomState};

use engine::model::{Scratch, TableCounts};
use engine::redact::CleanTexts;

use crate::metrics::Metrics;

/// Buffers with a table of at most `lines` recent lines; 0 for none.
pub fn scratch(lines: usize) -> Scratch {
    Scratch::with_table(lines, seed())
}

/// The same for a thread that explains odd lines: where it may remember lines (`lines` is not 0), explanations too.
pub fn explaining(scratch: Scratch, lines: usize) -> Scratch {
    if lines > 0 { scratch.with_explanations(seed()) } else { scratch }
}

/// No text is known to be clean yet.
pub fn clean_texts() -> CleanTexts {
    CleanTexts::new(seed())
}

/// Drawn anew for every table, so that nobody can write lines that share a key.
fn seed() -> u128 {
    // The standard library draws the keys of its maps from the system.
    let draw = || u128::from(RandomState::new().hash_one(0_u8));
    draw() << 64 | draw()
}

/// Tells the metrics what a thread's table answered since it was last asked.
#[derive(Debug, Default)]
pub struct Told(TableCounts);

impl Told {
    /// Adds what is new.
    pub fn tell(&mut self, scratch: &Scratch, metrics: &Metrics) {
        let now = scratch.table_counts();
        if now == self.0 {
            return;
        }
        metrics.score_table_hits.inc_by(now.hits - self.0.hits);
        metrics.score_table_misses.inc_by(now.misses - self.0.misses);
        self.0 = now;
    }
}

#[cfg(test)]
mod tests {
    use engine::event::LogLine;
    use engine::model::Provenance;
    use engine::model::train::{FirstPass, TrainParams};

    use super::*;

    #[test]
    fn metrics_are_told_each_line_once() {
        let event = |n: u32| engine::event::LogEvent { message: format!("line {n}"), ..Default::default() };
        let mut first = FirstPass::new(TrainParams::default().check().unwrap());
        first.observe(&(0..40).map(event).collect::<Vec<_>>());
        let model = first.grow().unwrap().finish(Provenance::default());
        let (metrics, mut told) = (Metrics::default(), Told::default());
        let mut scratch = scratch(64);
        for _ in 0..2 {
            for message in ["line 1", "line 2", "other"] {
                model.score_line(LogLine { message, ..LogLine::default() }, &mut scratch);
            }
            told.tell(&scratch, &metrics);
            told.tell(&scratch, &metrics);
        }
        assert_eq!((metrics.score_table_hits.get(), metrics.score_table_misses.get()), (4, 2));
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(seed(), seed());
    }
}
