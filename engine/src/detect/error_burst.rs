//! Error burst: more ERROR lines of one service in a short window than it may hold. Told at the line that exceeds
//! the bound, not at the window's end.

use serde::{Deserialize, Serialize};

use super::anomaly::{Found, Kept};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Filling, Service, cares};
use super::state::PerService;
use super::steps::Steps;
use super::{Class, Finding, Severity};
use crate::event::EventTime;

pub(crate) const NAME: &str = "error_burst";

knobs!(ErrorBurst {
    /// Length of the windows, which follow each other without a gap from the epoch on.
    window_s = 5.0, "s", 1.0, 3_600.0;
    /// Lines of level ERROR or above that a window may hold.
    more_than = 5.0, "lines", 0.0, 1_000_000.0;
});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Error burst",
    doc: "\
Counts the lines of level ERROR and FATAL of a service in windows of `window_s`, and tells a window as soon as it \
holds more than `more_than` of them: with the defaults at the sixth, never at exactly five. A window is told \
once. Severity: `error`.",
    knobs: ErrorBurst::KNOBS,
    make: |settings| Box::new(Detector { settings: settings.typed(NAME), state: PerService::default() }),
};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Window {
    errors: u32,
    told: bool,
    kept: Kept,
    classes: [u32; Class::ALL.len()],
}

struct Detector {
    settings: Vec<ErrorBurst>,
    state: PerService<Steps<Window>>,
}

impl Detect for Detector {
    fn cares(&self) -> u8 {
        cares::ERROR
    }

    fn line(&mut self, at: &At<'_>, out: &mut Vec<Finding>) {
        let settings = &self.settings[at.service.profile()];
        if !at.facts.is_error || at.late || !settings.enabled {
            return;
        }
        let new = || Steps::new(settings.window_s, 1, at.service.lateness_s, at.time);
        let steps = self.state.get_or(at.service.slot, new);
        let start = at.time.div_euclid(steps.step()) * steps.step();
        let end = start + steps.step();
        let Some(window) = steps.at(at.time) else { return };
        window.errors += 1;
        window.kept.add(at.seen, start);
        if let Some(class) = at.facts.class {
            window.classes[class as usize] += 1;
        }
        if window.told || f64::from(window.errors) <= settings.more_than {
            return;
        }
        window.told = true;
        let named = Class::ALL.into_iter().filter(|class| window.classes[*class as usize] > 0);
        let reasons =
            named.map(|class| format!("{} of them are {}", window.classes[class as usize], class.words()));
        let found = Found {
            detector: NAME,
            service: at.service.name(),
            subject: "",
            severity: Severity::Error,
            window: (start, end),
            time: at.time,
            episode: 0,
            headline: format!(
                "error burst: {} ERROR lines within {} s (more than {})",
                window.errors, settings.window_s, settings.more_than
            ),
            value: f64::from(window.errors),
            bound: settings.more_than,
            unit: "lines",
            reasons: reasons.collect(),
            evidence: window.kept.lines(),
        };
        out.push(found.into());
    }

    fn filling(&self, service: &Service<'_>) -> Option<Filling> {
        let steps = self.state.get(service.slot)?;
        let (start, window) = steps.newest();
        let errors = window.map_or(0, |window| window.errors);
        (errors > 0).then(|| Filling {
            detector: NAME,
            service: service.name().to_owned(),
            value: f64::from(errors),
            bound: self.settings[service.profile()].more_than,
            unit: "lines",
            window: (EventTime::from_micros(start), EventTime::from_micros(start + steps.step())),
        })
    }

    fn forget(&mut self, slot: usize) {
        self.state.forget(slot);
    }

    super::registry::stored!(1);
}
