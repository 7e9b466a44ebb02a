//! Business cases: a service opens one, takes it through its steps, and says each with the id of the case. Most take the
//! usual way, some a harmless detour; an odd one departs from every way there is.

use engine::event::{Level, LogEvent};
use rand::Rng;

use super::service::{duration, event};
use super::{Injection, SECOND};

/// The services, one workflow each.
pub(super) const SERVICES: [&str; 4] = ["orders", "claims", "provisioning", "refunds"];

/// Longest time that a case takes, in seconds.
pub(super) const LONGEST_S: i64 = 240;

/// Most times that a step which may repeat is done in a usual case.
const MOST_REPEATS: u32 = 5;
/// Typical time between two lines of a case, in milliseconds.
const GAP_MS: f64 = 4_000.0;

/// One step of a workflow.
#[derive(Debug)]
struct Step {
    /// What is said; `#` stands for a number.
    says: &'static str,
    /// Share of the cases that have it; 1 where none goes without.
    share: f64,
    /// Whether it may come up to [`MOST_REPEATS`] times, each further time in half of the cases.
    repeats: bool,
}

const fn always(says: &'static str) -> Step {
    Step { says, share: 1.0, repeats: false }
}

const fn repeated(says: &'static str) -> Step {
    Step { says, share: 1.0, repeats: true }
}

const fn sometimes(says: &'static str, share: f64) -> Step {
    Step { says, share, repeats: false }
}

const WORKFLOWS: [&[Step]; 4] = [
    &[
        always("Order # opened by customer #"),
        repeated("Reserved # pieces of item #"),
        sometimes("Coupon # applied to the basket", 0.2),
        always("Total of the order settled at # cents"),
        sometimes("Address of the buyer corrected", 0.05),
        always("Payment # authorised by the bank"),
        sometimes("Authorisation asked a second time", 0.02),
        always("Parcel label # printed"),
        always("Order # handed to the carrier"),
    ],
    &[
        always("Claim # filed under contract #"),
        always("Coverage of the contract confirmed"),
        repeated("Document # scanned and attached"),
        sometimes("Expert appointed for the damage", 0.15),
        always("Damage estimated at # cents"),
        sometimes("Estimate revised by the expert", 0.01),
        always("Decision letter # written"),
        always("Claim # closed"),
    ],
    &[
        always("Tenant # requested a machine"),
        always("Quota of the tenant checked"),
        repeated("Volume # formatted and mounted"),
        sometimes("Image # fetched from the mirror", 0.3),
        always("Network address # leased"),
        always("Boot of the machine confirmed after # ms"),
        sometimes("Boot needed a second attempt", 0.02),
        always("Credentials # delivered to the tenant"),
        always("Machine # reported as ready"),
    ],
    &[
        always("Refund # asked for by customer #"),
        sometimes("Photo of the goods looked at", 0.4),
        always("Return parcel # received"),
        repeated("Returned item # inspected"),
        sometimes("Goods sent to the outlet store", 0.1),
        always("Amount of # cents approved"),
        always("Bank transfer # ordered"),
        always("Refund # archived"),
    ],
];

/// Every hundredth case is called off on its way.
const CALLED_OFF: f64 = 0.01;
const CALLED_OFF_SAYS: &str = "Case called off at the wish of the customer";

/// Steps of a usual case in their order.
fn usual_steps(workflow: usize, rng: &mut impl Rng) -> Vec<&'static str> {
    let mut says = Vec::new();
    for step in WORKFLOWS[workflow] {
        let mut times = u32::from(step.share >= 1.0 || rng.gen_bool(step.share));
        while step.repeats && times < MOST_REPEATS && rng.gen_bool(0.5) {
            times += 1;
        }
        says.extend(std::iter::repeat_n(step.says, times as usize));
    }
    says
}

/// A usual case that begins at `time`.
pub(super) fn usual(workflow: usize, time: i64, rng: &mut impl Rng) -> Vec<LogEvent> {
    let id = format!("{:012x}", rng.gen_range(0u64..1 << 48));
    let mut says = usual_steps(workflow, rng);
    if rng.gen_bool(CALLED_OFF) {
        says.truncate(rng.gen_range(1..says.len()));
        says.push(CALLED_OFF_SAYS);
    }
    lines(workflow, &says, &id, time, rng)
}

/// Id of the odd case of an incident.
pub(super) fn odd_id(number: usize) -> String {
    // A multiplication by an odd number: ids that look like any other's, each once.
    format!("{:012x}", (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16)
}

/// The odd case of an incident: by turns it lacks steps that no case goes without (one at 1.2 times the bound, three at
/// 3 times), repeats a step more often than any case does (6 or 15 times in place of 5 at most), or has steps of another
/// workflow (one or three), so that each of its lines is a usual one.
pub(super) fn odd(injection: &Injection, rng: &mut impl Rng) -> Vec<LogEvent> {
    let workflow = SERVICES.iter().position(|name| *name == injection.service).unwrap_or(0);
    let departures = if injection.strength < 2.0 { 1 } else { 3 };
    let mut says = usual_steps(workflow, rng);
    match injection.number / 2 % 3 {
        0 => {
            let mut needed: Vec<&str> =
                WORKFLOWS[workflow].iter().filter(|step| step.share >= 1.0).map(|step| step.says).collect();
            for _ in 0..departures {
                let missing = needed.swap_remove(rng.gen_range(0..needed.len()));
                says.retain(|say| *say != missing);
            }
        }
        1 => {
            let times = (f64::from(MOST_REPEATS) * injection.strength).round() as usize;
            let repeats = WORKFLOWS[workflow].iter().find(|step| step.repeats).map_or("", |step| step.says);
            let first = says.iter().position(|say| *say == repeats).unwrap_or(0);
            says.retain(|say| *say != repeats);
            says.splice(first..first, std::iter::repeat_n(repeats, times));
        }
        _ => {
            let other = WORKFLOWS[(workflow + rng.gen_range(1..WORKFLOWS.len())) % WORKFLOWS.len()];
            let from = rng.gen_range(0..=other.len() - departures);
            for step in &other[from..from + departures] {
                says.insert(rng.gen_range(1..=says.len()), step.says);
            }
        }
    }
    lines(workflow, &says, &odd_id(injection.number), injection.start.as_micros(), rng)
}

fn lines(workflow: usize, says: &[&str], id: &str, start: i64, rng: &mut impl Rng) -> Vec<LogEvent> {
    let mut time = start;
    let end = start + (LONGEST_S - 1) * SECOND;
    says.iter()
        .map(|say| {
            let numbered: Vec<String> = say
                .split('#')
                .enumerate()
                .map(|(place, part)| match place {
                    0 => part.to_owned(),
                    _ => format!("{}{part}", rng.gen_range(1..100_000)),
                })
                .collect();
            let mut line = event(time, SERVICES[workflow], Level::Info, numbered.concat());
            line.attributes = vec![("case_id".to_owned(), id.to_owned())];
            time = (time + (duration(GAP_MS, rng) * 1e3) as i64).min(end);
            line
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use engine::event::EventTime;
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    /// What a line says, its numbers left out.
    fn plain(line: &LogEvent) -> String {
        line.message.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect::<String>()
    }

    fn times(lines: &[LogEvent], says: &str) -> usize {
        let squeeze = |text: &str| {
            let mut text = text.to_owned();
            while text.contains("##") {
                text = text.replace("##", "#");
            }
            text
        };
        lines.iter().filter(|line| squeeze(&plain(line)) == says).count()
    }

    #[test]
    fn an_odd_case_departs_from_the_usual_way_as_often_as_it_says() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        for number in 0..60 {
            let workflow = number % SERVICES.len();
            let strength = if number % 2 == 0 { 1.2 } else { 3.0 };
            let departures = if number % 2 == 0 { 1 } else { 3 };
            let start = EventTime::from_millis(1_767_571_200_000);
            let injection = Injection {
                kind: "odd_session",
                service: SERVICES[workflow].to_owned(),
                start,
                end: start,
                strength,
                is_low: false,
                number,
            };
            let lines = odd(&injection, &mut rng);
            let own = WORKFLOWS[workflow];
            let needed = own.iter().filter(|step| step.share >= 1.0);
            let missing = needed.filter(|step| times(&lines, step.says) == 0).count();
            let most = own.iter().map(|step| times(&lines, step.says)).max().unwrap();
            let foreign = lines.len() - own.iter().map(|step| times(&lines, step.says)).sum::<usize>();
            let expected = match number / 2 % 3 {
                0 => (departures, most.min(5), 0),
                1 => (0, if departures == 1 { 6 } else { 15 }, 0),
                _ => (0, most.min(5), departures),
            };
            assert_eq!((missing, most, foreign), expected, "{number}");
            assert!(lines.iter().all(|line| line.attribute("case_id") == Some(odd_id(number).as_str())));
        }
    }

    #[test]
    fn a_usual_case_has_every_step_that_none_goes_without() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
        for workflow in (0..SERVICES.len()).cycle().take(200) {
            let lines = usual(workflow, 0, &mut rng);
            let called_off = times(&lines, CALLED_OFF_SAYS) == 1;
            let needed = |step: &&Step| step.share >= 1.0;
            let all = WORKFLOWS[workflow].iter().filter(needed).all(|step| times(&lines, step.says) > 0);
            assert!(all != called_off);
        }
    }
}
