//! Event time cut into steps: a ring of cells that sliding windows are summed from, and the walk over the steps
//! that are complete. Knows no clock; times are microseconds since the epoch.

use serde::{Deserialize, Serialize};

/// One second in microseconds.
pub(crate) const SECOND: i64 = 1_000_000;

/// Seconds as microseconds.
pub(crate) fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

/// The newest cells of a series, one for each step of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Steps<T> {
    step: i64,
    /// Steps in a window.
    window: usize,
    cells: Vec<T>,
    /// Index of the newest step that has a cell.
    head: i64,
    /// Index of the first step that no window has ended at yet.
    next: i64,
}

impl<T: Default + Clone> Steps<T> {
    /// Windows of `window_s` seconds in `parts` steps, for lines that may be `lateness_s` late; `time` is the
    /// first line's.
    pub fn new(window_s: f64, parts: usize, lateness_s: f64, time: i64) -> Self {
        let step = (micros(window_s) / parts as i64).max(1);
        let open = (micros(lateness_s) / step) as usize + 2;
        let head = time.div_euclid(step);
        Self { step, window: parts, cells: vec![T::default(); parts + open], head, next: head }
    }

    fn place(&self, index: i64) -> usize {
        index.rem_euclid(self.cells.len() as i64) as usize
    }

    /// The cell of a time; `None` where it is older than all that are kept.
    pub fn at(&mut self, time: i64) -> Option<&mut T> {
        let index = time.div_euclid(self.step);
        if index > self.head {
            let kept = self.cells.len() as i64;
            for cleared in index.saturating_sub(kept).max(self.head) + 1..=index {
                let place = self.place(cleared);
                self.cells[place] = T::default();
            }
            self.head = index;
        }
        if index <= self.head - self.cells.len() as i64 {
            return None;
        }
        let place = self.place(index);
        self.cells.get_mut(place)
    }

    /// Start of the newest step that has a cell, and the cell.
    pub fn newest(&self) -> (i64, Option<&T>) {
        (self.time_of(self.head), self.cells.get(self.place(self.head)))
    }

    /// The cells of the window that ends before step `end`, oldest first; those after the newest are left out.
    pub fn window(&self, end: i64) -> impl Iterator<Item = &T> {
        self.range(end - self.window as i64, end)
    }

    /// The cells from step `from` to before step `end`.
    pub fn range(&self, from: i64, end: i64) -> impl Iterator<Item = &T> {
        let oldest = self.head - self.cells.len() as i64 + 1;
        (from.max(oldest)..end.min(self.head + 1)).filter_map(|index| self.cells.get(self.place(index)))
    }

    /// The ends of the windows that are complete when nothing before `closed` comes any more: each is told once.
    /// Of a gap without lines only the first windows are told, until one is empty.
    pub fn complete(&mut self, closed: i64) -> std::ops::RangeInclusive<i64> {
        let last = closed.div_euclid(self.step);
        let first = self.next + 1;
        if last > self.next {
            self.next = last;
        }
        first..=last.min(self.head + self.window as i64 + 1)
    }

    /// Start of a step.
    pub fn time_of(&self, index: i64) -> i64 {
        index.saturating_mul(self.step)
    }

    /// Start of the window that ends before step `end`.
    pub fn start_of(&self, end: i64) -> i64 {
        self.time_of(end - self.window as i64)
    }

    /// Length of a step in microseconds.
    pub const fn step(&self) -> i64 {
        self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(steps: &Steps<u32>, end: i64) -> u32 {
        steps.window(end).sum()
    }

    #[test]
    fn a_window_holds_its_steps_and_no_others() {
        let mut steps = Steps::<u32>::new(60.0, 12, 10.0, 0);
        for second in 0..120 {
            *steps.at(second * SECOND).unwrap() += 1;
        }
        assert_eq!(steps.step(), 5 * SECOND);
        assert_eq!((sum(&steps, 24), sum(&steps, 23)), (60, 60));
        assert_eq!(sum(&steps, 30), 30);
        assert_eq!(sum(&steps, 100), 0);
    }

    #[test]
    fn every_complete_window_is_told_once() {
        let mut steps = Steps::<u32>::new(60.0, 12, 10.0, 3 * SECOND);
        assert_eq!(steps.complete(4 * SECOND).count(), 0);
        *steps.at(14 * SECOND).unwrap() += 1;
        assert_eq!(steps.complete(14 * SECOND), 1..=2);
        assert_eq!(steps.complete(14 * SECOND).count(), 0);
        assert_eq!(steps.complete(15 * SECOND), 3..=3);
    }

    #[test]
    fn a_long_gap_is_cut_short() {
        let mut steps = Steps::<u32>::new(60.0, 12, 10.0, 0);
        *steps.at(0).unwrap() += 1;
        assert_eq!(steps.complete(1_000_000 * SECOND), 1..=13);
        *steps.at(1_000_000 * SECOND).unwrap() += 7;
        assert_eq!(sum(&steps, 200_001), 7);
        assert_eq!(steps.complete(1_000_005 * SECOND), 200_001..=200_001);
    }

    #[test]
    fn what_is_too_old_has_no_cell() {
        let mut steps = Steps::<u32>::new(60.0, 12, 10.0, 0);
        assert!(steps.at(100 * SECOND).is_some());
        assert!(steps.at(24 * SECOND).is_none());
        assert!(steps.at(90 * SECOND).is_some());
    }
}
