//! A circuit breaker: after some failures in a row a receiver is left alone for a while, then tried with one
//! request. Reads no clock.

use std::time::Duration;

/// Failures in a row that open the circuit.
const FAILURES: u32 = 5;
/// First and longest time that it stays open.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(300);

/// How a receiver is doing. Times are those since any fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    failures: u32,
    open_until: Option<Duration>,
}

impl Circuit {
    /// Whether a request may be sent.
    pub fn allows(&self, now: Duration) -> bool {
        self.open_until.is_none_or(|until| now >= until)
    }

    /// When the next request may be sent, where none may be now.
    pub fn closed_until(&self, now: Duration) -> Option<Duration> {
        self.open_until.filter(|until| now < *until)
    }

    /// Whether it is open: failures in a row, and no success since.
    pub const fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// A request was answered as it should be, or refused for what it holds.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A request failed; `asked` is how long the receiver wants to be left alone.
    pub fn failed(&mut self, now: Duration, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        let pause = (self.failures >= FAILURES).then(|| {
            let doubled = FIRST.saturating_mul(1 << (self.failures - FAILURES).min(16));
            doubled.min(LONGEST)
        });
        let until = [pause, asked].into_iter().flatten().max();
        if let Some(pause) = until {
            self.open_until = Some(now.saturating_add(pause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_success_closes_it() {
        let mut circuit = Circuit::default();
        for _ in 0..4 {
            circuit.failed(at(0), None);
            assert!(circuit.allows(at(0)));
        }
        circuit.failed(at(0), None);
        assert!(!circuit.allows(at(4)) && circuit.allows(at(5)) && circuit.is_open());
        circuit.failed(at(5), None);
        assert_eq!(circuit.closed_until(at(6)), Some(at(15)));
        circuit.succeeded();
        assert!(circuit.allows(at(6)) && !circuit.is_open());
    }

    #[test]
    fn a_receiver_that_asks_for_time_gets_it_at_once() {
        let mut circuit = Circuit::default();
        circuit.failed(at(10), Some(at(7)));
        assert!(!circuit.allows(at(16)) && circuit.allows(at(17)));
    }

    #[test]
    fn it_is_tried_at_least_every_five_minutes() {
        let mut circuit = Circuit::default();
        (0..1_000).for_each(|_| circuit.failed(at(0), None));
        assert!(circuit.allows(at(300)));
    }
}
