//! The clock of recorded lines: a tick for each second that their times pass. One line with a wrong clock does not
//! move it: a jump is believed when several lines in a row have made it.

use engine::event::EventTime;

const SECOND: i64 = 1_000_000;
/// A line that is further ahead is held until others agree with it, in microseconds.
const JUMP: i64 = 300 * SECOND;
/// How many lines agree.
const AGREE: usize = 10;

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
    held: Vec<(i64, L)>,
    /// Lines since the first of those held that are not ahead.
    others: usize,
}

impl<L> Default for Clock<L> {
    fn default() -> Self {
        Self { now: None, held: Vec::new(), others: 0 }
    }
}

impl<L> Clock<L> {
    /// Takes a line; it comes out again, after the ticks before it, at once or behind later ones.
    pub fn take(&mut self, time: i64, line: impl FnOnce() -> L, out: &mut Vec<Step<L>>) {
        let now = *self.now.get_or_insert_with(|| {
            let first = time.div_euclid(SECOND);
            out.push(Step::Tick(EventTime::from_micros(first * SECOND)));
            first
        });
        if time > (now * SECOND).saturating_add(JUMP) {
            self.held.push((time, line()));
            if self.held.len() == AGREE {
                self.finish(out);
            }
            return;
        }
        if !self.held.is_empty() {
            self.others += 1;
            if self.others == AGREE {
                // Nobody agreed with them.
                self.release(out);
            }
        }
        self.move_to(time, out);
        out.push(Step::Line(line()));
    }

    /// What is held comes out: the clock moves to the first of them.
    pub fn finish(&mut self, out: &mut Vec<Step<L>>) {
        if let Some(first) = self.held.iter().map(|(time, _)| *time).min() {
            self.move_to(first, out);
        }
        for (time, line) in std::mem::take(&mut self.held) {
            if time <= self.now.unwrap_or_default() * SECOND + JUMP {
                self.move_to(time, out);
            }
            out.push(Step::Line(line));
        }
        self.others = 0;
    }

    /// One second more; `None` before the first line.
    pub fn go_on(&mut self) -> Option<EventTime> {
        let now = self.now.as_mut()?;
        *now += 1;
        Some(EventTime::from_micros(*now * SECOND))
    }

    fn release(&mut self, out: &mut Vec<Step<L>>) {
        out.extend(self.held.drain(..).map(|(_, line)| Step::Line(line)));
        self.others = 0;
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

    #[test]
    fn what_is_held_at_the_end_comes_out() {
        assert_eq!(lines(&run(&[0, 900, 1_800])), [0, 900, 1_800]);
    }
}
