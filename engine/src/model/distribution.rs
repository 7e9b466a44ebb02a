//! Where the scores of the training lines lie, and which score to call anomalous.

use super::{Contamination, Threshold, nats_of_score, score_of_nats, tail_shape};

/// Cells of the grid over [0, 1].
pub(super) const CELLS: usize = 8_192;

/// Fewest training scores above a quantile that is read off them.
const FEWEST_SEEN: f64 = 10.0;

/// Counts scores on a fixed grid: cell i holds the scores in (i/8192, (i + 1)/8192], cell 0 also 0 itself.
#[derive(Clone, Debug)]
pub struct Histogram {
    cells: Vec<u64>,
    total: u64,
}

/// The counts summed up, for reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Scores in all cells before cell i; one more than there are cells.
    below: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { cells: vec![0; CELLS], total: 0 }
    }
}

fn cell_of(score: f64) -> usize {
    ((score * CELLS as f64).ceil() as usize).saturating_sub(1).min(CELLS - 1)
}

fn edge(cell: usize) -> f64 {
    cell as f64 / CELLS as f64
}

impl Histogram {
    /// Counts one score.
    pub fn add(&mut self, score: f64) {
        self.add_lines(score, 1);
    }

    /// Counts the score of `lines` lines.
    pub fn add_lines(&mut self, score: f64, lines: u64) {
        self.cells[cell_of(score)] += lines;
        self.total += lines;
    }

    /// Scores that were counted.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The distribution of what was counted.
    pub fn distribution(&self) -> Distribution {
        let sums = self.cells.iter().scan(0_u64, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Distribution { below: [0].into_iter().chain(sums).collect() }
    }
}

impl Distribution {
    fn total(&self) -> u64 {
        self.below[CELLS]
    }

    fn in_cell(&self, cell: usize) -> u64 {
        self.below[cell + 1] - self.below[cell]
    }

    fn above_cell(&self, cell: usize) -> u64 {
        self.total() - self.below[cell + 1]
    }

    /// Cells that hold something, with what they hold.
    pub fn pairs(&self) -> Vec<(u32, u64)> {
        let filled = (0..CELLS).filter(|cell| self.in_cell(*cell) > 0);
        filled.map(|cell| (cell as u32, self.in_cell(cell))).collect()
    }

    /// From [`Distribution::pairs`]; `None` where they are not such pairs, or none.
    pub fn from_pairs(pairs: &[(u32, u64)]) -> Option<Self> {
        let mut histogram = Histogram::default();
        for (cell, count) in pairs {
            let slot = histogram.cells.get_mut(*cell as usize)?;
            *slot = slot.checked_add(*count)?;
            histogram.total = histogram.total.checked_add(*count)?;
        }
        (histogram.total > 0).then(|| histogram.distribution())
    }

    /// Share of scores below `score`, in percent; what shares its cell counts half.
    pub fn percentile(&self, score: f64) -> f64 {
        let cell = cell_of(score);
        let below = self.below[cell] as f64 + self.in_cell(cell) as f64 / 2.0;
        100.0 * below / self.total().max(1) as f64
    }

    /// Share of scores above `score`: exact where it is a multiple of 1/8192, else in proportion within a cell.
    pub fn share_above(&self, score: f64) -> f64 {
        if score >= 1.0 {
            return 0.0;
        }
        if score < 0.0 || score.is_nan() {
            return 1.0;
        }
        let cell = (score * CELLS as f64) as usize;
        let within = self.in_cell(cell) as f64 * (cell as f64 + 1.0 - score * CELLS as f64);
        (self.above_cell(cell) as f64 + within) / self.total().max(1) as f64
    }

    /// The score that `contamination` asks for; always a multiple of 1/8192, so that its share is exact.
    pub fn threshold(&self, contamination: Contamination) -> Threshold {
        let score = match contamination {
            Contamination::Share(share) => self.least_edge_with_at_most(share),
            Contamination::Auto => self.end_of_the_body(),
        };
        Threshold { score, share: self.share_above(score) }
    }

    fn least_edge_with_at_most(&self, share: f64) -> f64 {
        let allowed = share * self.total() as f64;
        let least = (0..=CELLS).find(|cell| (self.total() - self.below[*cell]) as f64 <= allowed);
        edge(least.unwrap_or(CELLS))
    }

    /// The score that `share` of what is like the training scores exceeds. Where at least ten of them do, it is
    /// theirs; beyond, that of the generalised Pareto tail fitted to the greatest twentieth (see [`tail_shape`]).
    pub fn exceeded_by(&self, share: f64) -> f64 {
        let seen = FEWEST_SEEN / self.total().max(1) as f64;
        let within = self.least_edge_with_at_most(share.max(seen));
        if share >= seen {
            return within;
        }
        score_of_nats(tail_shape::exceeded_by(&self.steps(), share)).max(within)
    }

    /// Middles of the filled cells in nats, with what they hold.
    fn steps(&self) -> Vec<(f64, u64)> {
        let middle = |cell: u32| (f64::from(cell) + 0.5) / CELLS as f64;
        self.pairs().into_iter().map(|(cell, count)| (nats_of_score(middle(cell)), count)).collect()
    }

    /// See [`tail_shape`].
    fn end_of_the_body(&self) -> f64 {
        edge((score_of_nats(tail_shape::end_of_body(&self.steps())) * CELLS as f64).ceil() as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(scores: impl IntoIterator<Item = f64>) -> Distribution {
        let mut histogram = Histogram::default();
        scores.into_iter().for_each(|score| histogram.add(score));
        histogram.distribution()
    }

    proptest! {
        #[test]
        fn the_share_above_a_threshold_is_what_was_asked_at_most(
            scores in proptest::collection::vec(0.0..=1.0, 1..200), share in 0.001..0.5,
        ) {
            let distribution = of(scores.clone());
            let threshold = distribution.threshold(Contamination::Share(share));
            let above = scores.iter().filter(|score| **score > threshold.score).count();
            prop_assert_eq!(threshold.share, above as f64 / scores.len() as f64);
            prop_assert!(threshold.share <= share);
        }

        #[test]
        fn stored_pairs_give_the_distribution_back(scores in proptest::collection::vec(0.0..=1.0, 1..200)) {
            let distribution = of(scores);
            prop_assert_eq!(Distribution::from_pairs(&distribution.pairs()), Some(distribution));
        }
    }

    #[test]
    fn a_budget_is_read_off_the_scores_and_foretold_beyond_them() {
        let body = of((1..=100_000).map(|rank| score_of_nats(-(f64::from(rank) / 100_001.0).ln())));
        let mut last = 0.0;
        for share in [0.3_f64, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8] {
            let score = body.exceeded_by(share);
            let expected = score_of_nats(-share.ln());
            assert!((score - expected).abs() < 0.05, "{share}: {score}, not {expected}");
            assert!(score >= last && score <= 1.0, "{share}: {score} after {last}");
            last = score;
        }
    }

    #[test]
    fn auto_finds_the_few_beyond_an_exponential_body() {
        let body = (1..=10_000).map(|rank| score_of_nats(-(f64::from(rank) / 10_001.0).ln()));
        let clean = of(body.clone()).threshold(Contamination::Auto);
        assert!(clean.share <= 2e-4, "{clean:?}");
        let odd = std::iter::repeat_n(score_of_nats(25.0), 120);
        let mixed = of(body.chain(odd)).threshold(Contamination::Auto);
        assert!((mixed.share - 120.0 / 10_120.0).abs() < 3e-4, "{mixed:?}");
    }

    #[test]
    fn lines_that_are_all_alike_have_nothing_above_any_threshold() {
        let alike = of(std::iter::repeat_n(0.3, 50));
        assert_eq!(alike.threshold(Contamination::Share(0.05)).share, 0.0);
        assert_eq!(alike.threshold(Contamination::Auto).share, 0.0);
        assert_eq!(alike.percentile(0.9), 100.0);
    }
}
