//! Who is it: which service a trouble of several most likely comes from. Learns from all lines how those of a trace
//! follow each other, and ranks services by what is otherwise in the last two minutes. Reads no clock; decides
//! nothing about alerts.

mod evidence;
mod places;
mod rank;
mod series;
#[cfg(test)]
mod tests;
mod traces;

use serde::{Deserialize, Serialize};

use places::Places;
pub use rank::Suspect;
use series::cell_of;
use traces::Traces;

/// Version of what is kept; another one is refused.
pub(crate) const VERSION: u32 = 1;

/// A line as it is told here.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Its service.
    pub service: &'a str,
    /// Hash of its masked pattern, the same in every run.
    pub pattern: u64,
    /// Its text, of which a masked start is kept once a pattern.
    pub message: &'a str,
    /// The trace or transaction that it belongs to.
    pub trace: Option<&'a str>,
    /// Its time in microseconds since the epoch.
    pub time: i64,
    /// Whether its level is ERROR or graver.
    pub is_error: bool,
}

/// How long a step between two lines of a trace took, and what was usual before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Took {
    pub gap_ms: f64,
    /// Logarithm of the gap in milliseconds.
    pub log: f64,
    /// Mean of the logarithm so far.
    pub mean: f64,
    /// Its standard deviation, at least 0.1.
    pub deviation: f64,
    /// How often the step was seen.
    pub seen: f64,
}

/// What is usual within traces, and what is otherwise in the last two minutes.
///
/// A *step* leads from one line of a trace to the next; a *place* is a pattern of a service. Within one trace each
/// place and each step counts once, so a long trace says no more than a short one. What is new (the last two minutes)
/// is compared with all that was before, which fades as more of it comes. Three kinds of evidence, each the logarithm
/// of a Bayes factor, in nats, and added where it speaks for a service:
///
/// - **missing**: a line that usually follows another one stays away: it follows in another, smaller share of the
///   traces now. The service whose line is missing is suspected, by its strongest step. Places whose lines are errors
///   are not missed.
/// - **slow**: steps that take longer than usual by three standard deviations (of the logarithm), a factor of two and
///   10 ms. The service at either end may slow an unknown share of its steps: added over its steps, those that are as
///   fast as ever included, so the one that is at an end of all slow steps comes first.
/// - **errors** of lines without a trace: they come at another, greater rate.
#[derive(Debug, Default)]
pub struct Suspects {
    state: State,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    places: Places,
    traces: Traces,
    /// Time of the first line.
    began: Option<i64>,
}

impl Suspects {
    /// Takes a line, in the order of its stream.
    pub fn observe(&mut self, told: &Told<'_>) {
        self.follow(told);
    }

    /// Takes a line, and says how long the step to it took, where it has one.
    pub(crate) fn follow(&mut self, told: &Told<'_>) -> Option<Took> {
        let State { places, traces, began } = &mut self.state;
        began.get_or_insert(told.time);
        let cell = cell_of(told.time);
        if told.trace.is_none() && !told.is_error {
            return None;
        }
        if places.make_room() {
            traces.clear();
        }
        let Some(trace) = told.trace else {
            places.untraced_error(told.service, cell);
            return None;
        };
        let place = places.place(told, cell);
        let (arrival, trace) = traces.arrive(trace, place, told.time)?;
        if arrival.is_first_here {
            places.arrived(place, cell);
        }
        let (from, gap) = arrival.from?;
        let (step, took) = places.stepped(from, place, gap);
        let is_first = trace.is_first_step(step);
        places.count(step, took, is_first, cell);
        Some(took)
    }

    /// Services that the trouble of the two minutes before `now` (microseconds since the epoch) may come from, the
    /// likeliest first; those that nothing speaks for are left out. Equal ones are in order of their names.
    pub fn rank(&self, now: i64) -> Vec<Suspect> {
        rank::rank(&self.state.places, self.state.began, now)
    }

    /// Services, places and steps that are held.
    pub fn held(&self) -> [usize; 3] {
        self.state.places.held()
    }

    /// Everything that was learnt.
    ///
    /// # Errors
    /// It is larger than a snapshot may be.
    pub(crate) fn save(&self) -> Result<Vec<u8>, String> {
        crate::detect::save_state(&self.state)
    }

    /// Takes back what [`Suspects::save`] gave.
    ///
    /// # Errors
    /// The bytes are not such a state; nothing is changed then.
    pub(crate) fn load(&mut self, version: u32, bytes: &[u8]) -> Result<(), String> {
        if version != VERSION {
            return Err(format!("version {version}; this program reads version {VERSION}"));
        }
        let mut state: State = crate::detect::load_state(bytes)?;
        state.places.index()?;
        state.traces.check(state.places.held())?;
        self.state = state;
        Ok(())
    }
}
