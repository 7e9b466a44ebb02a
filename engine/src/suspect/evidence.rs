//! How much counts say: logarithms of Bayes factors, in nats. Pure arithmetic.

/// Lines that the overall share of slow steps counts for beside what was seen of one step.
const PRIOR: f64 = 20.0;

/// ln Γ(x) for x > 0, to about 1e-10: Stirling's series, after the recurrence has made x large enough.
fn ln_gamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < 10.0 {
        below += x.ln();
        x += 1.0;
    }
    let series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1_260.0 * x * x)) / (x * x)) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - below
}

/// ln ∫ qᵃ (1 − q)ᵇ dq over [0, 1]: how well a share that may be anything foretells `a` of one sort and `b` of another.
fn any_share(a: f64, b: f64) -> f64 {
    ln_gamma(a + 1.0) + ln_gamma(b + 1.0) - ln_gamma(a + b + 2.0)
}

/// Whether the share `new` of `new_of` is another one than `before` of `before_of`, rather than both the same (each
/// may be anything): negative where they look the same. 0 where either has nothing.
pub(super) fn other_share(new: f64, new_of: f64, before: f64, before_of: f64) -> f64 {
    if new_of <= 0.0 || before_of <= 0.0 {
        return 0.0;
    }
    let (new, before) = (new.min(new_of), before.min(before_of));
    let apart = any_share(new, new_of - new) + any_share(before, before_of - before);
    let together = any_share(new + before, new_of - new + before_of - before);
    apart - together - any_share(0.0, 0.0)
}

/// Whether something happens at another rate, `new` times in `new_s` seconds after `before` times in `before_s`: given
/// how often it did, whether it fell into the new part as the lengths foretell. 0 where either has no length.
pub(super) fn other_rate(new: f64, new_s: f64, before: f64, before_s: f64) -> f64 {
    if !(new_s > 0.0 && before_s > 0.0) {
        return 0.0;
    }
    let all_s = new_s + before_s;
    any_share(new, before) - new * (new_s / all_s).ln() - before * (before_s / all_s).ln()
}

/// What `slow` of `steps` say for a service that slows an unknown share of its steps, against the usual share;
/// negative where they are as fast as ever. Each step may be one that the fault does not touch, so one step alone
/// never says less than −ln 2.
pub(super) fn slowed(slow: f64, steps: f64, before_slow: f64, before_steps: f64, overall: f64) -> f64 {
    let usual = PRIOR.mul_add(overall, before_slow) / (before_steps + PRIOR);
    let usual = usual.clamp(1e-9, 1.0 - 1e-9);
    let slow = slow.min(steps);
    let as_usual = slow * usual.ln() + (steps - slow) * (1.0 - usual).ln();
    let nats = any_share(slow, steps - slow) - as_usual;
    if nats > 500.0 { nats - std::f64::consts::LN_2 } else { f64::midpoint(1.0, nats.exp()).ln() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} and {b}");
    }

    #[test]
    fn gamma_and_beta_functions_are_right() {
        close(ln_gamma(1.0), 0.0);
        close(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln());
        close(ln_gamma(11.0), 3_628_800.0_f64.ln());
        close(any_share(0.0, 0.0), 0.0);
        close(any_share(2.0, 3.0), (1.0_f64 / 60.0).ln());
    }

    #[test]
    fn equal_shares_speak_against_and_more_lines_say_more() {
        assert!(other_share(5.0, 10.0, 50.0, 100.0) < 0.0);
        assert!(other_rate(2.0, 10.0, 20.0, 100.0) < 0.0);
        // 10 of 10 before, 0 of 10 now: B(1, 11)² / B(11, 11).
        close(other_share(0.0, 10.0, 10.0, 10.0), (21.0 * 184_756.0 / 121.0_f64).ln());
        assert!(other_share(0.0, 20.0, 90.0, 100.0) > other_share(0.0, 10.0, 90.0, 100.0));
        close(other_share(0.0, 0.0, 9.0, 10.0), 0.0);
        // All 3 in a tenth of the time: B(4, 1) · 1000.
        close(other_rate(3.0, 10.0, 0.0, 90.0), 250.0_f64.ln());
    }

    #[test]
    fn slow_steps_say_much_and_usual_ones_a_little_against() {
        assert!(slowed(4.0, 4.0, 1.0, 1_000.0, 0.001) > 10.0);
        let usual = slowed(0.0, 50.0, 1.0, 1_000.0, 0.001);
        assert!((-std::f64::consts::LN_2..0.0).contains(&usual), "{usual}");
        assert!(slowed(1e6, 1e6, 1.0, 1e6, 0.001).is_finite());
    }
}
