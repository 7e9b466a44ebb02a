//! Counts of the last two minutes beside those of all the time before. Knows no clock.

use serde::{Deserialize, Serialize};

/// Length of a cell in microseconds.
const CELL: i64 = 10_000_000;
/// Cells that make up what is new.
const CELLS: i64 = 12;

/// Greatest cell of a time.
const MOST_CELL: i64 = i64::MAX / CELL;

/// How far back what is new reaches, in seconds; the cell that is not over yet counts as one of it.
pub(crate) const WINDOW_S: f64 = (CELL * CELLS) as f64 / 1e6;

/// The cell of a time in microseconds.
pub(super) const fn cell_of(time: i64) -> i64 {
    time.div_euclid(CELL)
}

/// Counts that are kept of a series; those beyond its own are 0.
const STORED: usize = 3;

/// Several counts by time: cells for what is new, one sum for what was before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
#[repr(C)]
pub(super) struct Series<const COUNTS: usize> {
    head: i64,
    before: [f64; COUNTS],
    cells: [[u32; COUNTS]; CELLS as usize],
}

/// A series as it is kept: most have few cells that are not empty.
#[derive(Serialize, Deserialize)]
struct Stored {
    head: i64,
    before: [f64; STORED],
    cells: Vec<(u8, [u32; STORED])>,
}

impl<const COUNTS: usize> From<Series<COUNTS>> for Stored {
    fn from(series: Series<COUNTS>) -> Self {
        let cells = (0_u8..).zip(series.cells).filter(|(_, counts)| *counts != [0; COUNTS]);
        Self {
            head: series.head,
            before: resized(series.before),
            cells: cells.map(|(place, counts)| (place, resized(counts))).collect(),
        }
    }
}

/// The first values, and nothing where there are no more.
fn resized<T: Copy + Default, const FROM: usize, const TO: usize>(values: [T; FROM]) -> [T; TO] {
    std::array::from_fn(|index| values.get(index).copied().unwrap_or_default())
}

impl<const COUNTS: usize> From<Stored> for Series<COUNTS> {
    fn from(stored: Stored) -> Self {
        // No time has a cell beyond these; the arithmetic of cells stays within them.
        let head = if stored.head == i64::MIN { i64::MIN } else { stored.head.clamp(-MOST_CELL, MOST_CELL) };
        let mut series = Self { head, before: resized(stored.before), ..Self::new() };
        for (place, counts) in stored.cells {
            if let Some(held) = series.cells.get_mut(usize::from(place)) {
                *held = resized(counts);
            }
        }
        series
    }
}

impl<const COUNTS: usize> Series<COUNTS> {
    pub const fn new() -> Self {
        Self { head: i64::MIN, cells: [[0; COUNTS]; CELLS as usize], before: [0.0; COUNTS] }
    }

    /// Adds to the counts of a cell; to what was before where it is older than what is kept apart.
    pub fn add(&mut self, cell: i64, counts: [u32; COUNTS]) {
        self.turn(cell);
        if cell <= self.head - CELLS {
            self.before.iter_mut().zip(counts).for_each(|(sum, count)| *sum += f64::from(count));
            return;
        }
        let place = cell.rem_euclid(CELLS) as usize;
        for (held, count) in self.cells[place].iter_mut().zip(counts) {
            *held = held.saturating_add(count);
        }
    }

    /// Cells that are no longer new at `cell` go to what was before.
    pub fn turn(&mut self, cell: i64) {
        if cell <= self.head {
            return;
        }
        let first = if self.head == i64::MIN { cell } else { self.head + 1 };
        let first = first.max(cell - CELLS + 1);
        let mut place = first.rem_euclid(CELLS) as usize;
        for _ in first..=cell {
            let counts = std::mem::replace(&mut self.cells[place], [0; COUNTS]);
            if counts != [0; COUNTS] {
                self.before.iter_mut().zip(counts).for_each(|(sum, count)| *sum += f64::from(count));
            }
            place = if place + 1 == CELLS as usize { 0 } else { place + 1 };
        }
        self.head = cell;
    }

    /// The first count of what was before, at the newest cell.
    pub const fn before(&self) -> f64 {
        self.before[0]
    }

    /// Halves what was before.
    pub fn fade(&mut self) {
        self.before.iter_mut().for_each(|sum| *sum /= 2.0);
    }

    /// The counts of what is new at `cell`, and of what was before.
    pub fn split(&self, cell: i64) -> ([f64; COUNTS], [f64; COUNTS]) {
        let (mut new, mut before) = ([0.0; COUNTS], self.before);
        if self.head == i64::MIN {
            return (new, before);
        }
        for index in self.head - CELLS + 1..=self.head {
            let counts = self.cells[index.rem_euclid(CELLS) as usize];
            let sums = if index > cell - CELLS { &mut new } else { &mut before };
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += f64::from(count));
        }
        (new, before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_is_counted_twice_or_lost(cells in proptest::collection::vec(0_i64..60, 0..80), ahead in 0_i64..40) {
            let mut series = Series::<3>::new();
            cells.iter().for_each(|cell| series.add(*cell, [1, 0, 0]));
            let now = cells.iter().copied().max().unwrap_or(0) + ahead;
            let (new, before) = series.split(now);
            let recent = cells.iter().filter(|cell| **cell > now - CELLS).count();
            prop_assert_eq!((new[0], before[0]), (recent as f64, (cells.len() - recent) as f64));
        }
    }

    #[test]
    fn a_series_of_one_count_is_kept_as_one_of_three() {
        let (mut one, mut three) = (Series::<1>::new(), Series::<3>::new());
        for cell in [3, 4, 4, 30] {
            one.add(cell, [2]);
            three.add(cell, [2, 0, 0]);
        }
        let kept = |stored: Stored| crate::detect::save_state(&stored).unwrap();
        assert_eq!(kept(one.clone().into()), kept(three.into()));
        assert_eq!(Series::<1>::from(Stored::from(one.clone())), one);
    }

    #[test]
    fn only_what_was_before_fades() {
        let mut series = Series::<3>::new();
        series.add(0, [8, 0, 0]);
        series.add(CELLS, [3, 0, 0]);
        series.fade();
        assert_eq!(series.split(CELLS), ([3.0, 0.0, 0.0], [4.0, 0.0, 0.0]));
    }
}
