//! Days of a company's logs in event time, with labelled incidents: plain services, audit, BPM and performance
//! families, traces, cases of several steps; daily and weekly cycles; and what is harmless but looks odd. Pure: a seed and a start make it.

mod flow;
mod injection;
mod service;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use engine::event::{EventTime, LogEvent};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

pub use injection::{Injection, KINDS};
use service::{Family, Service};

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const HOUR: i64 = 3_600 * SECOND;
pub(crate) const DAY: i64 = 24 * HOUR;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DayParams {
    /// Seed of the random generator: the same parameters give the same events.
    pub seed: u64,
    /// First midnight (UTC); the first day has no incident.
    pub start: EventTime,
    /// Days, at least 9: what is compared with the week before needs one.
    pub days: u32,
    /// Incidents of each kind.
    pub per_kind: usize,
}

impl Default for DayParams {
    fn default() -> Self {
        // A Monday.
        Self { seed: 42, start: EventTime::from_millis(1_767_571_200_000), days: 15, per_kind: 60 }
    }
}

/// What waits for its time.
#[derive(Debug)]
enum Waiting {
    /// The next line of a service.
    Arrival(usize),
    /// A line that was made before its time.
    Line(Box<LogEvent>),
}

/// The events of some days, in order of time.
#[derive(Debug)]
pub struct Days {
    params: DayParams,
    rng: Xoshiro256PlusPlus,
    /// The cases' own.
    flow_rng: Xoshiro256PlusPlus,
    services: Vec<Service>,
    injections: Vec<Injection>,
    queue: BinaryHeap<Reverse<Place>>,
    waiting: Vec<Option<Waiting>>,
    free: Vec<usize>,
    made: u64,
    end: i64,
}

/// Time, order of making, and where the waiting thing is kept.
type Place = (i64, u64, usize);

impl Days {
    /// The days that these parameters make.
    pub fn new(params: DayParams) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(params.seed);
        let mut flow_rng = Xoshiro256PlusPlus::seed_from_u64(!params.seed);
        let start = params.start.as_micros();
        let end = start + i64::from(params.days) * DAY;
        let mut services = service::all();
        let injections = injection::plan(&params, &services, &mut rng, &mut flow_rng);
        for (index, injection) in injections.iter().enumerate() {
            if let Some(service) = services.iter_mut().find(|service| service.name == injection.service) {
                service.injections.push(index);
            }
        }
        let mut days = Self {
            params,
            rng,
            flow_rng,
            services,
            injections,
            queue: BinaryHeap::new(),
            waiting: Vec::new(),
            free: Vec::new(),
            made: 0,
            end,
        };
        for index in 0..days.services.len() {
            let family = days.services[index].family;
            let offset = days.rng_of(family).gen_range(0..60 * SECOND);
            days.put(start + offset, Waiting::Arrival(index));
        }
        for index in 0..days.injections.len() {
            let injection = &days.injections[index];
            let rng = if injection.session().is_some() { &mut days.flow_rng } else { &mut days.rng };
            let lines = injection::extra_lines(injection, rng);
            lines.into_iter().for_each(|line| days.put_line(line));
        }
        days
    }

    /// All incidents, in order of time: what a detector should find.
    pub fn injections(&self) -> &[Injection] {
        &self.injections
    }

    /// Names of all services.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|service| service.name.as_str())
    }

    fn rng_of(&mut self, family: Family) -> &mut Xoshiro256PlusPlus {
        if family == Family::Flow { &mut self.flow_rng } else { &mut self.rng }
    }

    fn put(&mut self, time: i64, waiting: Waiting) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.waiting.push(None);
            self.waiting.len() - 1
        });
        self.waiting[place] = Some(waiting);
        self.made += 1;
        self.queue.push(Reverse((time, self.made, place)));
    }

    fn put_line(&mut self, line: LogEvent) {
        self.put(line.timestamp.as_micros(), Waiting::Line(Box::new(line)));
    }

    /// A service speaks: its lines, and when it speaks again.
    fn arrive(&mut self, index: usize, time: i64) {
        let start = self.params.start.as_micros();
        let injections = &self.injections;
        let slow_steps = if self.services[index].family == Family::Edge {
            service::STEPS.map(|name| {
                let step = self.services.iter_mut().find(|service| service.name == name)?;
                step.active(injections, time).map(|incident| 0.2 * incident.strength)
            })
        } else {
            [None; 2]
        };
        let service = &mut self.services[index];
        let rng = if service.family == Family::Flow { &mut self.flow_rng } else { &mut self.rng };
        let active = service.active(injections, time);
        let rate = service.rate_at(time, start, active);
        let gap = if rate > 0.0 { -rng.gen_range(1e-12f64..1.0).ln() / rate } else { 60.0 };
        let mut next = time + (gap.min(3_600.0) * 1e6) as i64 + 1;
        let silent = |injection: &&Injection| injection.kind == "missing_heartbeat";
        if let Some(silence) = active.filter(silent) {
            // It falls silent from here on, and speaks again when the incident is over.
            self.put(silence.end.as_micros() + 1, Waiting::Arrival(index));
            return;
        }
        if let Some(coming) = service.coming(injections, time).filter(silent)
            && next > coming.start.as_micros()
        {
            next = coming.end.as_micros() + 1;
        }
        let lines = if rate > 0.0 { service.lines(time, start, active, slow_steps, rng) } else { Vec::new() };
        if !(service.family == Family::Retired && next >= start + 11 * DAY) {
            self.put(next, Waiting::Arrival(index));
        }
        lines.into_iter().for_each(|line| self.put_line(line));
    }
}

impl Iterator for Days {
    type Item = LogEvent;

    fn next(&mut self) -> Option<LogEvent> {
        loop {
            let Reverse((time, _, place)) = self.queue.pop()?;
            let waiting = self.waiting[place].take();
            self.free.push(place);
            match waiting {
                Some(Waiting::Line(line)) => return Some(*line),
                Some(Waiting::Arrival(index)) if time < self.end => self.arrive(index, time),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> DayParams {
        DayParams { days: 9, per_kind: 4, ..DayParams::default() }
    }

    #[test]
    fn the_same_seed_gives_the_same_days_in_order_of_time() {
        let take = || Days::new(params()).take(50_000).collect::<Vec<_>>();
        let events = take();
        assert_eq!(events, take());
        assert!(events.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp));
    }

    #[test]
    fn every_kind_is_planned_half_of_it_little_and_half_of_it_far_beyond_the_bound() {
        let days = Days::new(params());
        for kind in KINDS {
            let strengths: Vec<f64> = days
                .injections()
                .iter()
                .filter(|injection| injection.kind == *kind && injection.strength > 0.0)
                .map(|injection| injection.strength)
                .collect();
            assert_eq!(strengths.len(), 4, "{kind}");
            assert_eq!(strengths.iter().filter(|strength| **strength < 2.0).count(), 2, "{kind}");
        }
        assert!(days.services().count() >= 20);
    }

    #[test]
    fn a_silence_is_silent_and_incidents_of_a_service_keep_apart() {
        let days = Days::new(DayParams { per_kind: 12, ..params() });
        let injections = days.injections().to_vec();
        for (index, a) in injections.iter().enumerate() {
            for b in injections[index + 1..].iter().filter(|b| b.service == a.service) {
                assert!(a.end < b.start || b.end < a.start, "{a:?} {b:?}");
            }
        }
        let silence = injections.iter().find(|injection| injection.kind == "missing_heartbeat").unwrap();
        let last = silence.end;
        let inside = days
            .take_while(|event| event.timestamp < last)
            .filter(|event| event.service == silence.service && event.timestamp > silence.start);
        assert_eq!(inside.count(), 0);
    }
}
