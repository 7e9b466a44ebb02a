//! What changes the simulated stream while it runs: told by people, taken by the stream's thread at its next look.
//! Makes no line itself.

use std::sync::{Arc, Mutex, PoisonError};

use engine::event::EventTime;
use simulator::{ParamError, Params, SimLine, Simulator};

/// Most lines of one burst.
pub const MOST_LINES: usize = 1_000;
/// Most bursts that wait for the stream.
const MOST_BURSTS: usize = 16;

/// How the stream stands, or is to stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Rate and shares.
    pub params: Params,
    /// Each service with whether it writes.
    pub services: Vec<(&'static str, bool)>,
}

/// What is to change; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Services by name: whether they write.
    pub services: Vec<(String, bool)>,
    /// Share of ordinary errors, 0 to 1.
    pub error_rate: Option<f64>,
    /// Share of anomalies, 0 to 1.
    pub anomaly_ratio: Option<f64>,
    /// Mean lines per second, greater than 0, at most 1 000 000.
    pub rate: Option<f64>,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    changed: bool,
    bursts: Vec<(&'static str, usize)>,
}

/// The stream's controls; clones control the same one.
#[derive(Clone, Debug)]
pub struct Controls(Arc<Mutex<State>>);

impl Controls {
    /// Of a stream that begins so, all services on.
    pub fn new(params: Params) -> Self {
        let services = simulator::services().map(|name| (name, true)).collect();
        let standing = Standing { params, services };
        Self(Arc::new(Mutex::new(State { standing, changed: false, bursts: Vec::new() })))
    }

    /// How the stream stands, changes included that it takes at its next look.
    pub fn standing(&self) -> Standing {
        self.state(|state| state.standing.clone())
    }

    /// Changes the stream: all of it or, where anything is out of range, nothing.
    ///
    /// # Errors
    /// Names everything that is out of range.
    pub fn change(&self, change: &Change) -> Result<Standing, Vec<ParamError>> {
        self.state(|state| {
            let mut next = state.standing.clone();
            next.params.error_rate = change.error_rate.unwrap_or(next.params.error_rate);
            next.params.anomaly_ratio = change.anomaly_ratio.unwrap_or(next.params.anomaly_ratio);
            next.params.rate = change.rate.unwrap_or(next.params.rate);
            let mut errors = next.params.check().err().unwrap_or_default();
            for (name, on) in &change.services {
                match next.services.iter_mut().find(|(known, _)| known == name) {
                    Some(service) => service.1 = *on,
                    None => errors.push(unknown(name)),
                }
            }
            if !errors.is_empty() {
                return Err(errors);
            }
            state.standing = next;
            state.changed = true;
            Ok(state.standing.clone())
        })
    }

    /// Asks for `lines` lines of level ERROR of one service, all at one time; they come whether it is on or not.
    ///
    /// # Errors
    /// The service is unknown, the number is not from 1 to [`MOST_LINES`], or too many bursts are asked for already.
    pub fn burst(&self, service: &str, lines: usize) -> Result<(), ParamError> {
        self.state(|state| {
            let found = state.standing.services.iter().find(|(name, _)| *name == service);
            let Some((name, _)) = found else { return Err(unknown(service)) };
            if !(1..=MOST_LINES).contains(&lines) {
                let allowed = "a number from 1 to 1000";
                return Err(ParamError { name: "lines", value: lines.to_string(), allowed });
            }
            if state.bursts.len() == MOST_BURSTS {
                let allowed = "16 bursts that wait at most: come again in a second";
                return Err(ParamError { name: "service", value: service.to_owned(), allowed });
            }
            state.bursts.push((name, lines));
            Ok(())
        })
    }

    /// Brings the simulator to what it is to be, and gives the lines of the bursts that were asked for; `now` is the
    /// time of its stream.
    pub fn apply(&self, simulator: &mut Simulator, now: EventTime) -> Vec<SimLine> {
        let (changed, bursts) = self.state(|state| {
            let changed = std::mem::take(&mut state.changed).then(|| state.standing.clone());
            (changed, std::mem::take(&mut state.bursts))
        });
        let mut failed: Vec<ParamError> = Vec::new();
        if let Some(Standing { params, services }) = changed {
            failed.extend(simulator.set_params_at(params, now).err().unwrap_or_default());
            failed.extend(services.iter().filter_map(|(name, on)| simulator.set_service(name, *on).err()));
        }
        let mut lines = Vec::new();
        for (service, count) in bursts {
            match simulator.burst(service, count, now) {
                Ok(burst) => lines.extend(burst),
                Err(error) => failed.push(error),
            }
        }
        for error in failed {
            tracing::error!("the simulation stays as it was: {error}");
        }
        lines
    }

    fn state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn unknown(service: &str) -> ParamError {
    ParamError {
        name: "service",
        value: service.chars().take(100).collect(),
        allowed: "one of the simulator's services, as GET /api/v1/simulation lists them",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_changes_where_anything_is_out_of_range() {
        let controls = Controls::new(Params::default());
        let before = controls.standing();
        let services = vec![("orders".to_owned(), false), ("nobody".to_owned(), false)];
        let change = Change { services, rate: Some(0.0), error_rate: Some(0.5), ..Change::default() };
        let names: Vec<&str> = controls.change(&change).unwrap_err().iter().map(|error| error.name).collect();
        assert_eq!(names, ["rate", "service"]);
        assert_eq!(controls.standing(), before);
    }

    #[test]
    fn the_simulator_takes_changes_and_bursts_once() {
        let mut simulator = Simulator::new(Params::default()).unwrap();
        let controls = Controls::new(simulator.params());
        let services = vec![("orders".to_owned(), false)];
        controls.change(&Change { services, error_rate: Some(0.4), ..Change::default() }).unwrap();
        controls.burst("billing_api", 6).unwrap();
        let burst = controls.apply(&mut simulator, EventTime::from_millis(5));
        assert_eq!(burst.len(), 6);
        assert!(!simulator.is_on("orders") && simulator.params().error_rate == 0.4);
        assert!(controls.apply(&mut simulator, EventTime::from_millis(6)).is_empty());
    }

    #[test]
    fn a_burst_is_bounded_and_of_a_known_service() {
        let controls = Controls::new(Params::default());
        for (service, lines) in [("nobody", 6), ("orders", 0), ("orders", MOST_LINES + 1)] {
            assert!(controls.burst(service, lines).is_err(), "{service} {lines}");
        }
        (0..MOST_BURSTS).for_each(|_| controls.burst("orders", 1).unwrap());
        assert!(controls.burst("orders", 1).unwrap_err().allowed.contains("16"));
    }
}
