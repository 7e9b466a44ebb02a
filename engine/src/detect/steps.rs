//! Event time cut into steps: a ring of cells that sliding windows are summed from, and the walk over the steps
//! that are complete. Knows no clock; times are microseconds since the epoch.

use serde::{Deserialize, Serialize};

/// One second in microseconds.
pub(crate) const SECOND: i64 = 1_000_000;

/// Seconds as microseconds.
pub(crate) fn micros(seconds: f64) -> i64 {
    nearest(seconds * 1e6)
}

/// What `round` gives, which is a call where the target has no instruction for it: this is asked for each line.
pub(crate) fn nearest(value: f64) -> i64 {
    let whole = value as i64;
    let rest = value - whole as f64;
    whole.saturating_add(i64::from(rest >= 0.5) - i64::from(rest <= -0.5))
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
    #[serde(skip)]
    hint: Hint,
}

/// The step that a cell was asked for last: most lines come in the step of the line before. Says nothing that the
/// cells do not.
#[derive(Clone, Copy, Debug)]
struct Hint {
    /// Its start.
    start: i64,
    /// Its place among the cells; beyond them before there is one.
    place: usize,
}

impl Default for Hint {
    fn default() -> Self {
        Self { start: 0, place: usize::MAX }
    }
}

impl PartialEq for Hint {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T: Default + Clone> Steps<T> {
    /// Windows of `window_s` seconds in `parts` steps, for lines that may be `lateness_s` late; `time` is the
    /// first line's.
    pub fn new(window_s: f64, parts: usize, lateness_s: f64, time: i64) -> Self {
        let step = (micros(window_s) / parts as i64).max(1);
        let open = (micros(lateness_s) / step) as usize + 2;
        let head = time.div_euclid(step);
        Self {
            step,
            window: parts,
            cells: vec![T::default(); parts + open],
            head,
            next: head,
            hint: Hint::default(),
        }
    }

    fn place(&self, index: i64) -> usize {
        index.rem_euclid(self.cells.len() as i64) as usize
    }

    /// The cell of a time; `None` where it is older than all that are kept.
    pub fn at(&mut self, time: i64) -> Option<&mut T> {
        let Hint { start, place } = self.hint;
        if place < self.cells.len() && (time.wrapping_sub(start) as u64) < self.step as u64 {
            return self.cells.get_mut(place);
        }
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
        self.hint = Hint { start: index.saturating_mul(self.step), place };
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
        let from = from.max(oldest);
        let count = (end.min(self.head + 1) - from).max(0) as usize;
        let (start, all) = (self.place(from), self.cells.len());
        let (before, after) = self.cells.split_at(start);
        let wrapped = (start + count).saturating_sub(all);
        after[..count - wrapped].iter().chain(&before[..wrapped])
    }

    /// The ends of the windows that are complete when nothing before `closed` comes any more: each is told once.
    /// Of a gap without lines only the first windows are told, until one is empty.
    pub fn complete(&mut self, closed: i64) -> std::ops::RangeInclusive<i64> {
        let first = self.next + 1;
        if closed < first.saturating_mul(self.step) {
            return first..=self.next;
        }
        let last = closed.div_euclid(self.step);
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
    use proptest::prelude::*;

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
    fn seconds_are_rounded_to_the_nearest_microsecond() {
        for seconds in [
            0.0,
            5.0,
            0.1,
            1.000_000_5,
            2.5e-6,
            -2.5e-6,
            -0.3,
            1e-7,
            86_399.999_999_6,
            1e300,
            -1e300,
            f64::NAN,
        ] {
            assert_eq!(micros(seconds), (seconds * 1e6).round() as i64, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn what_was_asked_before_changes_no_cell(times in prop::collection::vec(-40_i64..400, 1..60)) {
            let mut steps = Steps::<u32>::new(60.0, 12, 10.0, 0);
            let mut head = 0;
            for time in &times {
                head = head.max(time.div_euclid(5));
                // Each time anew, without what was asked before.
                let mut anew = Steps { hint: Hint::default(), ..steps.clone() };
                let expected = anew.at(*time * SECOND).is_some();
                let cell = steps.at(*time * SECOND);
                prop_assert_eq!(cell.is_some(), expected);
                prop_assert_eq!(expected, time.div_euclid(5) > head - 16);
                if let (Some(cell), Some(other)) = (cell, anew.at(*time * SECOND)) {
                    *cell += 1;
                    *other += 1;
                }
                prop_assert_eq!(&steps.cells, &anew.cells);
            }
        }
    }

    #[test]
    fn what_is_too_old_has_no_cell() {
        let mut steps = Steps::<u32>::new(60.0, 12, 10.0, 0);
        assert!(steps.at(100 * SECOND).is_some());
        assert!(steps.at(24 * SECOND).is_none());
        assert!(steps.at(90 * SECOND).is_some());
    }
}
