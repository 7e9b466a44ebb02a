//! The clock of recorded lines: a tick for each second that their times pass. One line with a wrong clock does not
//! move it: a jump is believed when the lines after it are not of before it.

use std::collections::VecDeque;

use engine::event::EventTime;

const SECOND: i64 = 1_000_000;
/// A line that is further ahead is held until others agree with it, in microseconds.
const JUMP: i64 = 300 * SECOND;
/// How many lines after it are asked, and how much before it they may be to agree, in microseconds.
const ASKED: usize = 9;
const BEFORE: i64 = 60 * SECOND;
/// The last line of all, which nobody follows, is believed up to here, in microseconds.
const LAST: i64 = 86_400 * SECOND;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<L> {
    /// The clock moves on.
    Tick(EventTime),
    /// A line.
    Line(L),
}

/// Makes ticks from lines' times, in microseconds.
#[derive(Clone, Debug)]
pub struct Clock<L> {
    /// The second that it shows.
    now: Option<i64>,
    /// At most [`ASKED`] and one, as they came.
    held: VecDeque<Held<L>>,
}

/// A line that is ahead, and what those after it say.
#[derive(Clone, Debug)]
struct Held<L> {
    time: i64,
    line: L,
    agree: usize,
    against: usize,
}

impl<L> Held<L> {
    /// A gap in the lines is followed by lines of after it, a wrong clock by lines of before it. A few may be wrong.
    const fn is_believed(&self) -> bool {
        self.agree >= 4 * self.against
    }
}

impl<L> Default for Clock<L> {
    fn default() -> Self {
        Self { now: None, held: VecDeque::new() }
    }
}

impl<L> Clock<L> {
    /// Takes a line; it comes out again, after the ticks before it, at once or behind later ones.
    pub fn take(&mut self, time: i64, line: impl FnOnce() -> L, out: &mut Vec<Step<L>>) {
        if self.now.is_none() {
            let first = time.div_euclid(SECOND);
            out.push(Step::Tick(EventTime::from_micros(first * SECOND)));
            self.now = Some(first);
        }
        for held in &mut self.held {
            if time >= held.time.saturating_sub(BEFORE) {
                held.agree += 1;
            } else {
                held.against += 1;
            }
        }
        if self.is_ahead(time) {
            self.held.push_back(Held { time, line: line(), agree: 0, against: 0 });
        } else {
            self.move_to(time, out);
            out.push(Step::Line(line()));
        }
        while let Some(first) = self.held.front() {
            if self.is_ahead(first.time) && first.agree + first.against < ASKED {
                return;
            }
            self.let_go(out);
        }
    }

    /// What is held comes out.
    pub fn finish(&mut self, out: &mut Vec<Step<L>>) {
        while !self.held.is_empty() {
            self.let_go(out);
        }
    }

    /// The first of those held comes out, and the clock moves to it where it is believed.
    fn let_go(&mut self, out: &mut Vec<Step<L>>) {
        let Some(first) = self.held.pop_front() else { return };
        let is_last = first.agree + first.against == 0;
        let is_near = first.time <= self.shown().saturating_add(LAST);
        if !self.is_ahead(first.time) || (first.is_believed() && (is_near || !is_last)) {
            self.move_to(first.time, out);
        }
        out.push(Step::Line(first.line));
    }

    fn shown(&self) -> i64 {
        self.now.unwrap_or_default().saturating_mul(SECOND)
    }

    fn is_ahead(&self, time: i64) -> bool {
        time > self.shown().saturating_add(JUMP)
    }

    /// One second more; `None` before the first line.
    pub fn go_on(&mut self) -> Option<EventTime> {
        let now = self.now.as_mut()?;
        *now += 1;
        Some(EventTime::from_micros(*now * SECOND))
    }

    fn move_to(&mut self, time: i64, out: &mut Vec<Step<L>>) {
        let to = time.div_euclid(SECOND);
        let from = self.now.unwrap_or(to);
        out.extend((from + 1..=to).map(|second| Step::Tick(EventTime::from_micros(second * SECOND))));
        self.now = Some(from.max(to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks as seconds, lines as they were given.
    fn run(times: &[i64]) -> Vec<Result<i64, i64>> {
        let (mut clock, mut out) = (Clock::default(), Vec::new());
        for time in times {
            clock.take(time * SECOND, || *time, &mut out);
        }
        clock.finish(&mut out);
        let step = |step: &Step<i64>| match step {
            Step::Tick(now) => Err(now.as_micros() / SECOND),
            Step::Line(time) => Ok(*time),
        };
        out.iter().map(step).collect()
    }

    fn lines(steps: &[Result<i64, i64>]) -> Vec<i64> {
        steps.iter().filter_map(|step| step.ok()).collect()
    }

    #[test]
    fn every_second_ticks_once_before_its_lines() {
        assert_eq!(run(&[5, 5, 7, 6]), [Err(5), Ok(5), Ok(5), Err(6), Err(7), Ok(7), Ok(6)]);
    }

    #[test]
    fn one_wrong_clock_does_not_move_it() {
        let mut times = vec![0, 1_000_000];
        times.extend(1..20);
        let steps = run(&times);
        assert_eq!(steps.iter().filter(|step| step.is_err()).count(), 20);
        assert_eq!(lines(&steps).len(), times.len());
        assert_eq!(steps.last(), Some(&Ok(19)));
    }

    #[test]
    fn a_gap_that_several_lines_make_is_passed() {
        let times: Vec<i64> = [0].into_iter().chain(1_000..1_012).collect();
        let steps = run(&times);
        assert_eq!(lines(&steps), times);
        assert_eq!(steps.iter().filter(|step| step.is_err()).count(), 1_012);
        let place = steps.iter().position(|step| *step == Ok(1_000)).unwrap();
        assert_eq!(steps[place - 1], Err(1_000));
    }

    /// The clock's second before each line.
    fn shown(times: &[i64]) -> Vec<(i64, i64)> {
        let mut now = i64::MIN;
        let mut shown = Vec::new();
        for step in run(times) {
            match step {
                Err(tick) => now = tick,
                Ok(line) => shown.push((line, now)),
            }
        }
        shown
    }

    #[test]
    fn the_clock_follows_sparse_lines_one_by_one() {
        for gap in [360, 1_200, 36_000] {
            for length in [2, 3, 9, 10, 11, 40] {
                let times: Vec<i64> = (0..length).map(|index| index * gap).collect();
                assert!(shown(&times).iter().all(|(line, now)| line == now), "{length} lines {gap} s apart");
            }
        }
    }

    #[test]
    fn bursts_with_gaps_between_them_keep_their_times() {
        for gap in [360, 1_200, 36_000] {
            for size in [1, 6, 9, 10, 25] {
                let times: Vec<i64> = (0..4).flat_map(|burst| vec![burst * gap; size]).collect();
                assert!(shown(&times).iter().all(|(line, now)| line == now), "{size} lines {gap} s apart");
            }
        }
    }

    #[test]
    fn a_wrong_clock_among_sparse_lines_or_at_the_end_is_left_alone() {
        const YEAR: i64 = 31_536_000;
        for place in 1..=12 {
            let mut times: Vec<i64> = (0..12).map(|index| index * 400).collect();
            times.insert(place, YEAR);
            let wrong: Vec<(i64, i64)> =
                shown(&times).into_iter().filter(|(line, now)| line != now).collect();
            assert!(matches!(wrong[..], [(YEAR, now)] if now < 5_000), "at {place}: {wrong:?}");
        }
    }

    #[test]
    fn what_is_held_at_the_end_comes_out() {
        assert_eq!(lines(&run(&[0, 900, 1_800])), [0, 900, 1_800]);
    }
}
