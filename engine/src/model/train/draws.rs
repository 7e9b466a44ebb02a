//! What the reservoirs of a training take of a stretch of lines, row by row.

use crate::forest::Reservoir;

/// Most rows ahead for which the reservoirs are asked.
const MOST_AHEAD: u64 = 1 << 14;

/// What the reservoirs take of a stretch of rows.
#[derive(Debug, Default)]
pub(super) struct Draws {
    /// As they come: reservoir by reservoir.
    drawn: Vec<Draw>,
    /// In the order of the rows.
    sorted: Vec<Draw>,
    /// Where the draws of each row end in `sorted`, and a last one.
    ends: Vec<u32>,
    /// The stretch's first row, counted from the stream's start.
    start: u64,
}

/// A row takes the place of what was in a reservoir's slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Draw {
    /// Counted from the start of the stretch.
    row: u32,
    pub reservoir: u32,
    pub slot: u32,
}

impl Draws {
    /// How many rows from `row` on the stretch holds.
    pub fn rows_from(&self, row: u64) -> usize {
        (self.start + self.ends.len().saturating_sub(1) as u64 - row) as usize
    }

    /// Draws among the next rows of the stream, of which `seen` rows are behind: the first rows go into most
    /// reservoirs, later ones into few, so that stretches of growing length keep the draws few.
    pub fn fill(&mut self, reservoirs: &mut [Reservoir], seen: u64) {
        let rows = (seen / 16).clamp(32, MOST_AHEAD);
        self.start = seen;
        self.drawn.clear();
        self.ends.clear();
        self.ends.resize(rows as usize + 1, 0);
        for (number, reservoir) in reservoirs.iter_mut().enumerate() {
            reservoir.draw_until(seen + rows, |row, slot| {
                let row = (row - seen) as u32;
                self.ends[row as usize] += 1;
                self.drawn.push(Draw { row, reservoir: number as u32, slot: slot as u32 });
            });
        }
        let mut before = 0;
        for end in &mut self.ends {
            before += std::mem::replace(end, before);
        }
        self.sorted.clear();
        self.sorted.resize(self.drawn.len(), Draw::default());
        // Each of these is where the next draw of the row goes, and at last where the row's draws end.
        for draw in &self.drawn {
            let at = &mut self.ends[draw.row as usize];
            self.sorted[*at as usize] = *draw;
            *at += 1;
        }
    }

    /// The draws of a row of the stretch, a reservoir at most once and reservoirs ascending.
    pub fn of(&self, row: u64) -> &[Draw] {
        let row = (row - self.start) as usize;
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.sorted[start as usize..self.ends[row] as usize]
    }
}
