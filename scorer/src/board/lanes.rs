//! Lines and findings by service and time: an hour in steps of 10 s, a day in steps of 5 min. At most 200 services have
//! a lane of their own at a time; what others say is added up in one without a name.

use std::collections::VecDeque;

use engine::detect::Severity;
use hashbrown::HashMap;

/// Services with a lane of their own.
const MOST_SERVICES: usize = 200;
/// Longest name of a service that is shown, in bytes.
const NAME_BYTES: usize = 200;
/// Steps in seconds, and how many of them are kept.
const FINE: (i64, usize) = (10, 360);
const COARSE: (i64, usize) = (300, 288);
/// Lanes of an answer; the others are added up.
const MOST_LANES: usize = 50;
/// Services that are named as those with most anomalies.
const TOP: usize = 10;
/// The lane of the services without one of their own.
const OTHERS: usize = 0;
/// Longest time that is told, in minutes.
pub const MOST_MINUTES: u32 = 1_440;

/// How much there was of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Lines that were scored.
    pub lines: u64,
    /// Findings by severity, least grave first.
    pub found: [u32; 4],
}

impl Total {
    /// Findings of all severities.
    pub fn anomalies(&self) -> u64 {
        self.found.iter().map(|count| u64::from(*count)).sum()
    }

    /// The gravest severity that was found.
    pub fn worst(&self) -> Option<Severity> {
        Severity::ALL.into_iter().rev().find(|severity| self.found[*severity as usize] > 0)
    }

    fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        for (sum, count) in self.found.iter_mut().zip(other.found) {
            *sum = sum.saturating_add(count);
        }
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Steps of one length, oldest first.
#[derive(Debug)]
struct Ring {
    step: i64,
    most: usize,
    /// Number of the first step.
    first: i64,
    /// By step and lane.
    steps: VecDeque<Vec<Total>>,
}

impl Ring {
    const fn new((step, most): (i64, usize)) -> Self {
        Self { step, most, first: 0, steps: VecDeque::new() }
    }

    /// Makes `now` the last step.
    fn advance(&mut self, now: i64) {
        let number = now.div_euclid(self.step);
        let last = self.first + self.steps.len() as i64 - 1;
        if self.steps.is_empty() || number - last >= self.most as i64 {
            self.steps.clear();
            self.first = number - self.most as i64 + 1;
            self.steps.resize_with(self.most, Vec::new);
            return;
        }
        for _ in last..number {
            self.steps.pop_front();
            self.steps.push_back(Vec::new());
            self.first += 1;
        }
    }

    /// What is too old, or later than the last step, is left out.
    fn add(&mut self, at: i64, lane: usize, total: &Total) {
        let place = usize::try_from(at.div_euclid(self.step) - self.first);
        let Some(step) = place.ok().and_then(|place| self.steps.get_mut(place)) else { return };
        if step.len() <= lane {
            step.resize(lane + 1, Total::default());
        }
        step[lane].add(total);
    }

    fn is_used(&self, lane: usize) -> bool {
        self.steps.iter().any(|step| step.get(lane).is_some_and(|total| !total.is_nothing()))
    }

    /// Sum of a lane in the seconds from `from` until before `until`.
    fn sum(&self, lane: usize, from: i64, until: i64) -> Total {
        let mut sum = Total::default();
        let (first, end) = (from.div_euclid(self.step), until.div_euclid(self.step));
        for number in first.max(self.first)..end {
            let Some(step) = usize::try_from(number - self.first).ok().and_then(|at| self.steps.get(at))
            else {
                break;
            };
            if let Some(total) = step.get(lane) {
                sum.add(total);
            }
        }
        sum
    }
}

/// The lanes.
#[derive(Debug)]
pub struct Lanes {
    /// By lane; the first, [`OTHERS`], never has one. Another may have none between two services.
    names: Vec<Option<String>>,
    by_name: HashMap<String, usize>,
    fine: Ring,
    coarse: Ring,
    /// When lanes were last looked through for those that are silent.
    swept: i64,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            names: vec![None],
            by_name: HashMap::default(),
            fine: Ring::new(FINE),
            coarse: Ring::new(COARSE),
            swept: i64::MIN,
        }
    }
}

/// One service in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The service.
    pub service: String,
    /// Over the whole time.
    pub total: Total,
    /// By step.
    pub cells: Vec<Total>,
}

/// What happened in a time, which is whole steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Seconds since the epoch.
    pub from: i64,
    /// Excluded; the step that is not over is in it.
    pub until: i64,
    /// Length of a step.
    pub step_seconds: i64,
    /// The gravest first; at most 50.
    pub services: Vec<Lane>,
    /// What the services without a lane here come to, where there are any; its name is empty.
    pub others: Option<Lane>,
    /// All services together, by step.
    pub over_time: Vec<Total>,
    /// Services with most findings.
    pub top_services: Vec<(String, u64)>,
}

impl Overview {
    /// Findings of the whole time by severity.
    pub fn severity(&self) -> [u64; 4] {
        let mut sum = [0; 4];
        for total in &self.over_time {
            sum.iter_mut().zip(total.found).for_each(|(sum, count)| *sum += u64::from(count));
        }
        sum
    }
}

impl Lanes {
    /// Adds what a service said and what was found of it at a time, in seconds since the epoch; `now` is the clock's.
    pub fn add(&mut self, service: &str, at: i64, now: i64, total: &Total) {
        self.fine.advance(now);
        self.coarse.advance(now);
        let lane = self.lane(service, now);
        self.add_to(lane, at, total);
    }

    /// As [`Lanes::add`], of services that were counted together.
    pub fn add_others(&mut self, at: i64, now: i64, total: &Total) {
        self.fine.advance(now);
        self.coarse.advance(now);
        self.add_to(OTHERS, at, total);
    }

    fn add_to(&mut self, lane: usize, at: i64, total: &Total) {
        self.fine.add(at, lane, total);
        self.coarse.add(at, lane, total);
    }

    fn lane(&mut self, service: &str, now: i64) -> usize {
        let name = crate::sink::cut(service, NAME_BYTES);
        if let Some(lane) = self.by_name.get(name) {
            return *lane;
        }
        let free = if self.names.len() <= MOST_SERVICES {
            self.names.push(None);
            Some(self.names.len() - 1)
        } else {
            self.sweep(now);
            self.names.iter().skip(1).position(Option::is_none).map(|lane| lane + 1)
        };
        let Some(lane) = free else { return OTHERS };
        self.names[lane] = Some(name.to_owned());
        self.by_name.insert(name.to_owned(), lane);
        lane
    }

    /// Gives up the lanes of services that were silent for as long as anything is shown; once a minute at most.
    fn sweep(&mut self, now: i64) {
        if now < self.swept.saturating_add(60) {
            return;
        }
        self.swept = now;
        for lane in 1..self.names.len() {
            if !self.coarse.is_used(lane)
                && !self.fine.is_used(lane)
                && let Some(name) = self.names[lane].take()
            {
                self.by_name.remove(&name);
            }
        }
    }

    /// Lines a second over the last `seconds` whole ones, at most an hour, in steps of 10.
    pub fn lines_per_second(&self, now: i64, seconds: i64) -> f64 {
        let until = now.div_euclid(FINE.0) * FINE.0;
        let lines: u64 =
            (0..self.names.len()).map(|lane| self.fine.sum(lane, until - seconds, until).lines).sum();
        lines as f64 / seconds as f64
    }

    /// The last `minutes` minutes, the step of `now` included: in steps of 10 s up to 10 minutes, of 1 minute up to an
    /// hour, of 5 up to 8 hours, else of 15.
    pub fn overview(&mut self, now: i64, minutes: u32) -> Overview {
        self.fine.advance(now);
        self.coarse.advance(now);
        let (ring, step_seconds) = match minutes {
            0..=10 => (&self.fine, 10),
            11..=60 => (&self.fine, 60),
            61..=480 => (&self.coarse, 300),
            _ => (&self.coarse, 900),
        };
        let steps = (i64::from(minutes) * 60).div_euclid(step_seconds).max(1);
        let until = (now.div_euclid(step_seconds) + 1) * step_seconds;
        let from = until - steps * step_seconds;
        let cells = |lane: usize| -> Vec<Total> {
            (0..steps)
                .map(|step| from + step * step_seconds)
                .map(|at| ring.sum(lane, at, at + step_seconds))
                .collect()
        };
        let whole = |(lane, service): (usize, String)| {
            let cells = cells(lane);
            Some(Lane { service, total: sum(&cells), cells }).filter(|lane| !lane.total.is_nothing())
        };
        let named = self.names.iter().enumerate().filter_map(|(at, name)| Some((at, name.clone()?)));
        let mut lanes: Vec<Lane> = named.filter_map(whole).collect();
        let unnamed = whole((OTHERS, String::new()));
        lanes.sort_by(|a, b| {
            let key = |lane: &Lane| (lane.total.worst(), lane.total.anomalies(), lane.total.lines);
            key(b).cmp(&key(a)).then_with(|| a.service.cmp(&b.service))
        });
        let mut over_time = vec![Total::default(); steps as usize];
        lanes.iter().chain(&unnamed).for_each(|lane| add_all(&mut over_time, &lane.cells));
        let mut top: Vec<(String, u64)> = lanes
            .iter()
            .filter(|lane| lane.total.anomalies() > 0)
            .map(|lane| (lane.service.clone(), lane.total.anomalies()))
            .collect();
        top.sort_by_key(|(_, anomalies)| std::cmp::Reverse(*anomalies));
        top.truncate(TOP);
        let others = beyond(&mut lanes, unnamed);
        Overview { from, until, step_seconds, services: lanes, others, over_time, top_services: top }
    }
}

fn sum(cells: &[Total]) -> Total {
    let mut total = Total::default();
    cells.iter().for_each(|cell| total.add(cell));
    total
}

fn add_all(to: &mut [Total], cells: &[Total]) {
    to.iter_mut().zip(cells).for_each(|(to, cell)| to.add(cell));
}

/// Takes out what is too much and adds it up with what was added up already.
fn beyond(lanes: &mut Vec<Lane>, unnamed: Option<Lane>) -> Option<Lane> {
    let rest = lanes.drain(lanes.len().min(MOST_LANES)..).chain(unnamed);
    let others = rest.reduce(|mut others, lane| {
        add_all(&mut others.cells, &lane.cells);
        others.total.add(&lane.total);
        others
    });
    others.map(|others| Lane { service: String::new(), ..others })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_007;

    fn lines(lines: u64) -> Total {
        Total { lines, found: [0; 4] }
    }

    fn found(severity: Severity) -> Total {
        let mut found = [0; 4];
        found[severity as usize] = 1;
        Total { lines: 0, found }
    }

    #[test]
    fn cells_lie_beside_each_other_and_end_with_the_step_of_now() {
        let mut lanes = Lanes::default();
        for (at, count) in [(NOW - 3_700, 9), (NOW - 3_000, 1), (NOW - 60, 2), (NOW, 4)] {
            lanes.add("billing", at, NOW, &lines(count));
        }
        lanes.add("orders", NOW, NOW, &lines(1));
        lanes.add("orders", NOW, NOW, &found(Severity::Error));
        let overview = lanes.overview(NOW, 60);
        assert_eq!((overview.step_seconds, overview.until - overview.from), (60, 3_600));
        assert!(overview.until > NOW && overview.until - NOW <= 60);
        let names: Vec<&str> = overview.services.iter().map(|lane| lane.service.as_str()).collect();
        assert_eq!(names, ["orders", "billing"], "the gravest first");
        assert_eq!(overview.services[1].total.lines, 7, "what is older is not there");
        assert_eq!(overview.services[1].cells.len(), 60);
        assert_eq!(overview.over_time[59].lines, 5);
        assert_eq!(overview.over_time[58].lines, 2);
        assert_eq!(overview.severity(), [0, 0, 1, 0]);
        assert_eq!(overview.top_services, [("orders".to_owned(), 1)]);
        let day = lanes.overview(NOW, MOST_MINUTES);
        assert_eq!((day.over_time.len(), day.services[1].total.lines), (96, 16));
        assert_eq!(lanes.overview(NOW, 1).over_time.len(), 6);
    }

    #[test]
    fn what_is_too_old_goes_and_a_clock_that_leaps_forgets_everything() {
        let mut lanes = Lanes::default();
        lanes.add("a", NOW, NOW, &lines(1));
        let sum = |lanes: &mut Lanes, now, minutes| -> u64 {
            lanes.overview(now, minutes).over_time.iter().map(|total| total.lines).sum()
        };
        assert_eq!(sum(&mut lanes, NOW + 3_500, 60), 1);
        assert_eq!(sum(&mut lanes, NOW + 3_700, 60), 0);
        assert_eq!(sum(&mut lanes, NOW + 3_700, 1_440), 1);
        assert_eq!(sum(&mut lanes, NOW + 1_000_000, 1_440), 0);
        lanes.add("a", NOW, NOW, &lines(1));
        assert_eq!(sum(&mut lanes, NOW, 60), 0, "a clock that goes back adds nothing to what is gone");
    }

    #[test]
    fn beyond_200_services_the_others_are_added_up_until_lanes_are_free() {
        let mut lanes = Lanes::default();
        for number in 0..300 {
            lanes.add(&format!("service {number:03}"), NOW, NOW, &lines(1));
        }
        let overview = lanes.overview(NOW, 60);
        assert_eq!(overview.services.len(), MOST_LANES);
        assert_eq!(overview.others.as_ref().map(|others| others.total.lines), Some(250));
        assert_eq!(overview.over_time[59].lines, 300);
        let later = NOW + 90_000;
        lanes.add("new", later, later, &lines(1));
        let overview = lanes.overview(later, 60);
        assert_eq!((overview.services[0].service.as_str(), overview.others), ("new", None));
        assert!(lanes.names.len() <= MOST_SERVICES + 1);
    }

    #[test]
    fn a_service_may_have_any_name_and_stays_apart_from_the_others() {
        let mut lanes = Lanes::default();
        for name in ["__other__", "", "others"] {
            lanes.add(name, NOW, NOW, &lines(2));
        }
        lanes.add_others(NOW, NOW, &lines(5));
        let overview = lanes.overview(NOW, 60);
        let told: Vec<&str> = overview.services.iter().map(|lane| lane.service.as_str()).collect();
        assert_eq!(told, ["", "__other__", "others"]);
        assert!(overview.services.iter().all(|lane| lane.total.lines == 2), "{overview:?}");
        assert_eq!(overview.others.map(|others| others.total.lines), Some(5));
    }

    #[test]
    fn the_rate_is_that_of_whole_steps() {
        let mut lanes = Lanes::default();
        lanes.add("a", NOW - 10, NOW, &lines(50));
        lanes.add("a", NOW, NOW, &lines(1_000));
        assert_eq!(lanes.lines_per_second(NOW, 10), 5.0);
    }
}
