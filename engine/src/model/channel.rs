//! A channel is one view of a line's oddness. Its raw value becomes comparable to others' as the log tail
//! probability among the training lines.

use serde::{Deserialize, Serialize};

/// Greatest training values that are kept one by one; below them, as many evenly spaced ranks.
const FINE: usize = 1_024;

/// The upper tail of a channel's training values.
///
/// `nats(x)` is −ln((k + ½)/(n + 1)), k = training lines that score at least x. Beyond the greatest training value
/// it goes on at the rate of an exponential tail, whose scale is the mean excess over the 95 % quantile, for at most
/// 3 nats: lines odder than all of training still rank among themselves, and no channel outweighs the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    lines: u32,
    /// Values, ascending and distinct, each with the number of lines that have at least it.
    steps: Vec<(f64, u32)>,
    /// Mean excess over the 95 % quantile; 0 where the values end there.
    scale: f64,
}

/// Most nats that lie beyond the greatest training value.
const MOST_BEYOND: f64 = 3.0;

impl Tail {
    /// From the training values.
    pub fn new(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let lines = values.len();
        let stride = (lines.saturating_sub(FINE) / FINE).max(1);
        let mut steps: Vec<(f64, u32)> = Vec::new();
        for (rank, value) in values.iter().enumerate() {
            let kept = lines - rank <= FINE || rank % stride == 0;
            if kept && steps.last().is_none_or(|(last, _)| last < value) {
                let first = values.partition_point(|other| other < value);
                steps.push((*value, (lines - first) as u32));
            }
        }
        let upper = &values[lines - lines / 20..];
        let quantile = values.get((lines - lines / 20).saturating_sub(1)).copied().unwrap_or_default();
        let excess: f64 = upper.iter().map(|value| value - quantile).sum();
        Self { lines: lines as u32, steps, scale: excess / upper.len().max(1) as f64 }
    }

    /// −ln of the share of training lines with at least `value`, in nats, > 0 and at most ln(2(n + 1)) + 3.
    pub fn nats(&self, value: f64) -> f64 {
        let above = self.steps.partition_point(|(step, _)| *step < value);
        let count = self.steps.get(above).map_or(0, |(_, count)| *count);
        let within = -((f64::from(count) + 0.5) / (f64::from(self.lines) + 1.0)).ln();
        within + self.beyond(value)
    }

    fn beyond(&self, value: f64) -> f64 {
        match self.steps.last() {
            Some((greatest, _)) if value > *greatest && self.scale > 0.0 => {
                ((value - greatest) / self.scale).min(MOST_BEYOND)
            }
            _ => 0.0,
        }
    }

    /// Whether scoring can rely on it.
    pub fn is_sound(&self) -> bool {
        let ascending = self.steps.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 >= pair[1].1);
        let counts = self.steps.iter().all(|(value, count)| value.is_finite() && *count <= self.lines);
        self.lines > 0 && ascending && counts && self.scale.is_finite() && self.scale >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nats_are_the_log_of_the_share_that_is_at_least_as_odd() {
        let tail = Tail::new((0..99).map(f64::from).collect());
        assert!((tail.nats(98.0) + (1.5_f64 / 100.0).ln()).abs() < 1e-12);
        assert!((tail.nats(98.0 + 1e-9) + (0.5_f64 / 100.0).ln()).abs() < 1e-6);
        assert!((tail.nats(-1.0) + (99.5_f64 / 100.0).ln()).abs() < 1e-12);
        assert!(tail.is_sound());
    }

    #[test]
    fn beyond_the_greatest_training_value_ranks_go_on_for_three_nats() {
        let tail = Tail::new((0..100).map(f64::from).collect());
        let greatest = -(0.5_f64 / 101.0).ln();
        assert!((tail.nats(99.0 + 3.0) - greatest - 1.0).abs() < 1e-12);
        assert!((tail.nats(1e9) - greatest - 3.0).abs() < 1e-12);
        let alike = Tail::new(vec![1.0; 50]);
        assert_eq!(alike.nats(2.0), alike.nats(9.0));
    }

    #[test]
    fn a_long_tail_is_kept_exactly_at_its_end() {
        let values: Vec<f64> = (0..100_000).map(f64::from).collect();
        let tail = Tail::new(values);
        assert!(tail.steps.len() < 3 * FINE);
        assert!((tail.nats(99_990.0) + (10.5_f64 / 100_001.0).ln()).abs() < 1e-12);
        let exact = -(50_000.5_f64 / 100_001.0).ln();
        assert!((tail.nats(50_000.0) - exact).abs() < 0.01);
    }
}
