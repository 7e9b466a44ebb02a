//! SIGKILL at every place of the pipeline, then a restart: nothing is lost, and what comes twice has the same id. The
//! long form (`cargo xtask faults`) kills twenty times at each place and prints the tables of RELIABILITY.md.

mod flow;
mod storm;
mod told;

use std::time::{Duration, Instant};

use crate::rig::{LIMIT, Scorer};

/// Another moment among `most` for each seed.
fn moment(seed: u64, most: u64) -> u64 {
    1 + (seed * 2_654_435_761 + 97) % most
}

/// As `ISOLOG_FAULT` has it.
fn variable(place: &str, times: u64) -> String {
    format!("ISOLOG_FAULT={place}:{times}")
}

/// Waits until it has killed itself.
fn wait_dead(scorer: &mut Scorer, place: &str, times: u64) {
    let deadline = Instant::now() + LIMIT;
    while scorer.is_alive() {
        assert!(Instant::now() < deadline, "it never came to {place:?} {times} times:\n{}", scorer.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    let log = scorer.log();
    assert!(log.contains("a test asked for an end at this place"), "it ended by itself:\n{log}");
}

/// The middle one.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}
