//! Lines that were drawn, and what is computed of each of them once.

use rayon::prelude::*;

use super::MANY;
use crate::features::{FeatureSpec, Line};
use crate::forest::{Forest, PathScratch};
use crate::model::channel::Tail;
use crate::model::core;
use crate::model::counts::Counts;
use crate::model::row::{Columns, Row};

/// A line that was drawn, with its columns: trees ask for them again and again.
#[derive(Debug)]
pub(super) struct Drawn {
    pub row: Row,
    pub columns: Columns,
}

/// A uniform sample of the events.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub rows: Vec<Drawn>,
    /// The row of each event.
    pub numbers: Vec<u32>,
}

impl Sample {
    /// The value of each event, of values that were computed once a row.
    pub fn of_events<T: Copy>(&self, values: &[T]) -> impl Iterator<Item = T> {
        self.numbers.iter().map(|number| values[*number as usize])
    }
}

/// A value of each row, on all threads.
pub(super) fn values<R: Sync, S: Default, T: Send>(
    rows: &[R],
    value: impl Fn(&mut S, &R) -> T + Sync + Send,
) -> Vec<T> {
    rows.par_iter().with_min_len(MANY).map_init(S::default, |scratch, row| value(scratch, row)).collect()
}

/// The tails of the three channels over a sample.
pub(super) fn tails(counts: &Counts, text: &Forest, sample: &Sample, spec: FeatureSpec) -> [Tail; 3] {
    let values = values(&sample.rows, |(line, scratch): &mut (Line, PathScratch), drawn| {
        let path_sum = text.path_sum(core::text_row(&drawn.columns), scratch);
        let surprisal = core::surprisal(counts, drawn.row.view(line, spec), 1);
        [core::forest_value(text, path_sum), surprisal.top, surprisal.mean]
    });
    std::array::from_fn(|channel| Tail::new(sample.of_events(&values).map(|row| row[channel]).collect()))
}
