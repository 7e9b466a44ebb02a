//! Where the body of a distribution of oddness ends, from the shape of its tail: no share of odd lines is assumed.
//! And which score is exceeded by a share too small to have been seen.
//!
//! First, a group that stands apart at the top is set aside: everything above the gap that says most, among those
//! in the oddest tenth that are at least 1.5 nats (a factor of 4.5) and at least three quarters of the body's own
//! mean excess over its median. Of an exponential tail, the gap below its k greatest values is exponential with a
//! k-th of the scale (Rényi 1953), so a gap says the more the wider it is and the more distinct values lie above it;
//! the product is what is compared. Where nothing stands apart, peaks over threshold (Pickands 1975; Siffer et al.,
//! KDD 2017): a generalised Pareto distribution is fitted by probability-weighted moments (Hosking and Wallis,
//! Technometrics 1987) to what exceeds the 95 % quantile, and the body ends where it foretells half a line, but no
//! further out than its oddest line.

/// Narrowest gap below a group that stands apart, in nats, and in mean excesses of the body over its median.
const LEAST_GAP: f64 = 1.5;
const LEAST_RELATIVE_GAP: f64 = 0.75;
/// Greatest share of lines that can stand apart.
const MOST_APART: f64 = 0.1;
/// Share of the body that is taken for its tail, and fewest lines in it.
const TAIL_SHARE: f64 = 0.05;
const LEAST_TAIL: u64 = 20;
/// Shapes from heavy to bounded between which the fit is believed.
const SHAPES: (f64, f64) = (-0.5, 2.0);

/// Where the body of `steps` (nats ascending, each with its number of lines, more than none) ends, in nats.
pub fn end_of_body(steps: &[(f64, u64)]) -> f64 {
    if let Some(middle) = gap_below_a_group_apart(steps) {
        return middle;
    }
    let oddest = steps.last().map_or(0.0, |step| step.0);
    let tail = Tail::fit(steps);
    if tail.lines == 0 { tail.start } else { tail.exceeded_by(0.5 / tail.total as f64).min(oddest) }
}

/// The nats that a share of the lines exceeds: from the fitted tail, for shares below its own.
pub fn exceeded_by(steps: &[(f64, u64)], share: f64) -> f64 {
    Tail::fit(steps).exceeded_by(share)
}

/// The middle of the gap below the group that stands apart.
fn gap_below_a_group_apart(steps: &[(f64, u64)]) -> Option<f64> {
    let total: u64 = steps.iter().map(|(_, count)| count).sum();
    let mut above = 0;
    let mut clearest: Option<(f64, f64)> = None;
    for at in (1..steps.len()).rev() {
        above += steps[at].1;
        if above as f64 > MOST_APART * total as f64 {
            break;
        }
        let width = steps[at].0 - steps[at - 1].0;
        if width < LEAST_GAP || width < LEAST_RELATIVE_GAP * mean_excess(&steps[..at]) {
            continue;
        }
        let evidence = width * (steps.len() - at) as f64;
        if clearest.is_none_or(|(most, _)| evidence > most) {
            clearest = Some((evidence, steps[at].0 - width / 2.0));
        }
    }
    clearest.map(|(_, middle)| middle)
}

/// How far lines above the median lie above it, on average.
fn mean_excess(body: &[(f64, u64)]) -> f64 {
    let total: u64 = body.iter().map(|(_, count)| count).sum();
    let mut below = 0;
    let middle = body.iter().position(|(_, count)| {
        below += count;
        2 * below > total
    });
    let Some(middle) = middle else { return 0.0 };
    let (sum, lines) = body[middle + 1..].iter().fold((0.0, 0), |(sum, lines), (value, count)| {
        (sum + (value - body[middle].0) * *count as f64, lines + count)
    });
    if lines == 0 { 0.0 } else { sum / lines as f64 }
}

/// A generalised Pareto tail.
struct Tail {
    /// What the tail exceeds, in nats.
    start: f64,
    /// Lines in it.
    lines: u64,
    /// Lines in all.
    total: u64,
    scale: f64,
    shape: f64,
}

impl Tail {
    fn fit(body: &[(f64, u64)]) -> Self {
        let total: u64 = body.iter().map(|(_, count)| count).sum();
        let wanted = ((TAIL_SHARE * total as f64) as u64).max(LEAST_TAIL);
        let mut inside = 0;
        let from = body.iter().rposition(|(_, count)| {
            inside += count;
            inside > wanted
        });
        let first = from.unwrap_or(0);
        let start = body.get(first).map_or(0.0, |step| step.0);
        let tail = &body[(first + 1).min(body.len())..];
        let lines: u64 = tail.iter().map(|(_, count)| count).sum();
        if lines == 0 {
            return Self { start, lines, total, scale: 0.0, shape: 0.0 };
        }
        let (mean, weighted) = moments(tail, start, lines as f64);
        let spread = (mean - 2.0 * weighted).max(f64::MIN_POSITIVE);
        let shape = (mean / spread - 2.0).clamp(SHAPES.0, SHAPES.1);
        Self { start, lines, total, scale: (1.0 + shape) * mean, shape }
    }

    /// The nats that a share of all lines exceeds, at least where the tail starts.
    fn exceeded_by(&self, share: f64) -> f64 {
        if self.lines == 0 {
            return self.start;
        }
        let of_tail = (share * self.total as f64 / self.lines as f64).clamp(f64::MIN_POSITIVE, 1.0);
        let excess = if self.shape.abs() < 1e-6 {
            -self.scale * of_tail.ln()
        } else {
            self.scale / self.shape * (1.0 - of_tail.powf(self.shape))
        };
        self.start + excess
    }
}

/// E(X) and E(X (1 − F(X))) of the excesses.
fn moments(tail: &[(f64, u64)], threshold: f64, lines: f64) -> (f64, f64) {
    let (mut mean, mut weighted, mut rank) = (0.0, 0.0, 0.0);
    for (value, count) in tail {
        let (excess, count) = (value - threshold, *count as f64);
        let position = (rank + (count + 1.0) / 2.0 - 0.35) / lines;
        mean += excess * count / lines;
        weighted += excess * count * (1.0 - position) / lines;
        rank += count;
    }
    (mean, weighted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential(lines: u32) -> Vec<(f64, u64)> {
        (1..=lines).rev().map(|rank| (-(f64::from(rank) / f64::from(lines + 1)).ln(), 1)).collect()
    }

    #[test]
    fn an_exponential_body_ends_where_half_a_line_is_left() {
        let end = end_of_body(&exponential(10_000));
        assert!((end - 20_000_f64.ln()).abs() < 1.0, "{end}");
    }

    #[test]
    fn a_bounded_body_ends_near_its_bound() {
        let uniform: Vec<_> = (0..10_000).map(|rank| (f64::from(rank) / 1_000.0, 1)).collect();
        let end = end_of_body(&uniform);
        assert!((end - 10.0).abs() < 0.05, "{end}");
    }

    #[test]
    fn a_group_apart_lies_beyond_the_body() {
        let mut steps = exponential(10_000);
        steps.push((25.0, 120));
        let end = end_of_body(&steps);
        assert!(end < 25.0 && end > 8.0, "{end}");
    }

    #[test]
    fn of_two_gaps_the_one_below_more_that_differs_counts() {
        let mut steps = exponential(3_000);
        let group = (0..20).map(|value| (12.0 + f64::from(value) / 4.0, 5));
        steps.retain(|(value, _)| *value < 8.0);
        steps.extend(group);
        steps.push((23.0, 10));
        let end = end_of_body(&steps);
        assert!(end > 8.0 && end < 12.0, "{end}");
    }

    #[test]
    fn what_an_exponential_tail_exceeds_is_foretold_beyond_the_sample() {
        let steps = exponential(100_000);
        for share in [1e-3_f64, 1e-5, 1e-7] {
            let expected = -share.ln();
            let found = exceeded_by(&steps, share);
            assert!((found - expected).abs() < 0.1 * expected, "{found}, not {expected}");
        }
    }

    #[test]
    fn one_value_or_few_are_a_body_of_their_own() {
        assert_eq!(end_of_body(&[(2.0, 50)]), 2.0);
        assert_eq!(end_of_body(&[(1.0, 1), (2.0, 1)]), 2.0);
    }
}
