//! How the scores of late are spread, and how many words of late training never saw: of the last half hour to hour, under
//! one model. How that differs from training is for whoever compares.

use std::time::{Duration, Instant};

/// Cells of equal width over [0, 1]; a score on an edge belongs to the cell below it, 0 to the first.
pub const CELLS: usize = 256;
/// After so long what is older than that is forgotten.
const TURN: Duration = Duration::from_secs(1_800);

/// The cell of a score.
pub fn cell_of(score: f64) -> usize {
    ((score * CELLS as f64).ceil() as usize).saturating_sub(1).min(CELLS - 1)
}

/// Lines of late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Lines by cell.
    pub cells: Vec<u64>,
    /// Words of some of them that training never saw.
    pub unseen: u64,
    /// All words of those.
    pub words: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self { cells: vec![0; CELLS], unseen: 0, words: 0 }
    }
}

impl Spread {
    /// Lines.
    pub fn lines(&self) -> u64 {
        self.cells.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        self.cells.iter_mut().zip(&other.cells).for_each(|(sum, count)| *sum += count);
        self.unseen += other.unseen;
        self.words += other.words;
    }
}

/// What is counted.
#[derive(Debug)]
pub struct Scores {
    young: Spread,
    old: Spread,
    /// When the young ones began, and the old ones.
    since: (Instant, Instant),
}

impl Default for Scores {
    fn default() -> Self {
        let now = Instant::now();
        Self { young: Spread::default(), old: Spread::default(), since: (now, now) }
    }
}

impl Scores {
    /// Adds a batch that ended at `now`.
    pub fn add(&mut self, batch: &Spread, now: Instant) {
        if now.saturating_duration_since(self.since.0) >= TURN {
            self.old = std::mem::take(&mut self.young);
            self.since = (now, self.since.0);
        }
        self.young.add(batch);
    }

    /// What came of late, and in how long.
    pub fn of_late(&self, now: Instant) -> (Spread, Duration) {
        let mut sum = self.old.clone();
        sum.add(&self.young);
        (sum, now.saturating_duration_since(self.since.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_belong_to_the_cell_below() {
        assert_eq!([0.0, 1e-9, 1.0 / 256.0, 1.1 / 256.0, 1.0].map(cell_of), [0, 0, 0, 1, 255]);
    }

    #[test]
    fn what_is_older_than_an_hour_is_forgotten() {
        let (mut scores, start) = (Scores::default(), Instant::now());
        let mut batch = Spread { unseen: 1, words: 4, ..Spread::default() };
        batch.cells[9] = 5;
        let lines = |scores: &Scores, now| scores.of_late(now).0.lines();
        scores.add(&batch, start);
        scores.add(&batch, start + TURN);
        assert_eq!(lines(&scores, start + TURN), 10);
        let (spread, took) = scores.of_late(start + TURN);
        assert_eq!((spread.unseen, spread.words), (2, 8));
        assert!(took >= TURN);
        scores.add(&batch, start + TURN * 2);
        assert_eq!(lines(&scores, start + TURN * 2), 10, "the first is gone");
    }
}
