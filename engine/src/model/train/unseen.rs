//! How much of a training's text is new to it: what the same share of later lines is compared with. Changes no model's
//! scores.

use super::super::counts::Counts;
use super::sample::{Sample, values};
use crate::features::Line;

/// Share of the words of the sampled lines, of each the first 512 bytes of its message, that no other training line has;
/// a repeated word counts each time. In [0, 1], 0 where no line has a word.
pub fn share(counts: &Counts, sample: &Sample) -> f64 {
    let of_rows = values(&sample.rows, |line: &mut Line, drawn| {
        line.read(drawn.row.line());
        line.unseen_words(|key| counts.seen(key) <= 1)
    });
    let of_lines = sample.of_events(&of_rows);
    let (unseen, words) = of_lines.fold((0, 0), |(unseen, words), (new, all)| (unseen + new, words + all));
    unseen as f64 / words.max(1) as f64
}
