//! Where the body of a distribution of oddness ends, from the shape of its tail: no share of odd lines is assumed.
//!
//! First, a group that stands apart at the top is set aside: the widest stretch of at least three nats (a factor of
//! twenty) that no line falls into, among the oddest tenth. Then peaks over threshold (Pickands 1975; Siffer et
//! al., KDD 2017): a generalised Pareto distribution is fitted by probability-weighted moments (Hosking and
//! Wallis, Technometrics 1987) to what exceeds the 95 % quantile of the rest, and the body ends where it foretells
//! half a line, but no further out than its oddest line.

/// Narrowest gap below a group that stands apart, in nats.
const LEAST_GAP: f64 = 3.0;
/// Greatest share of lines that can stand apart.
const MOST_APART: f64 = 0.1;
/// Share of the body that is taken for its tail, and fewest lines in it.
const TAIL_SHARE: f64 = 0.05;
const LEAST_TAIL: u64 = 20;
/// Shapes from heavy to bounded between which the fit is believed.
const SHAPES: (f64, f64) = (-0.5, 2.0);

/// Where the body of `steps` (nats ascending, each with its number of lines, more than none) ends, in nats.
pub fn end_of_body(steps: &[(f64, u64)]) -> f64 {
    let total: u64 = steps.iter().map(|(_, count)| count).sum();
    let (body, gap) = without_group_apart(steps, total);
    let end = end_of_tail(body);
    gap.map_or(end, |middle| end.min(middle))
}

/// The steps below the group that stands apart, and the middle of the gap.
fn without_group_apart(steps: &[(f64, u64)], total: u64) -> (&[(f64, u64)], Option<f64>) {
    let mut above = 0;
    let mut widest: Option<(f64, usize)> = None;
    for at in (1..steps.len()).rev() {
        above += steps[at].1;
        if above as f64 > MOST_APART * total as f64 {
            break;
        }
        let width = steps[at].0 - steps[at - 1].0;
        if width >= LEAST_GAP && widest.is_none_or(|(most, _)| width > most) {
            widest = Some((width, at));
        }
    }
    match widest {
        Some((width, at)) => (&steps[..at], Some(steps[at].0 - width / 2.0)),
        None => (steps, None),
    }
}

fn end_of_tail(body: &[(f64, u64)]) -> f64 {
    let total: u64 = body.iter().map(|(_, count)| count).sum();
    let wanted = ((TAIL_SHARE * total as f64) as u64).max(LEAST_TAIL);
    let mut inside = 0;
    let from = body.iter().rposition(|(_, count)| {
        inside += count;
        inside > wanted
    });
    let start = from.unwrap_or(0);
    let (threshold, tail) =
        (body.get(start).map_or(0.0, |step| step.0), &body[(start + 1).min(body.len())..]);
    let lines: u64 = tail.iter().map(|(_, count)| count).sum();
    if lines == 0 {
        return threshold;
    }
    let (mean, weighted) = moments(tail, threshold, lines as f64);
    let spread = (mean - 2.0 * weighted).max(f64::MIN_POSITIVE);
    let shape = (mean / spread - 2.0).clamp(SHAPES.0, SHAPES.1);
    let scale = (1.0 + shape) * mean;
    let half_a_line = 0.5 / lines as f64;
    let excess = if shape.abs() < 1e-6 {
        -scale * half_a_line.ln()
    } else {
        scale / shape * (1.0 - half_a_line.powf(shape))
    };
    let oddest = tail.last().map_or(threshold, |step| step.0);
    (threshold + excess).min(oddest)
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
    fn one_value_or_few_are_a_body_of_their_own() {
        assert_eq!(end_of_body(&[(2.0, 50)]), 2.0);
        assert_eq!(end_of_body(&[(1.0, 1), (2.0, 1)]), 2.0);
    }
}
