//! What was counted → which services are suspected, and why.

use super::evidence::{other_rate, other_share, slowed};
use super::places::{Place, Places, Step};
use super::series::{WINDOW_S, cell_of};

/// A service that a trouble may come from.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Suspect {
    /// Its name.
    pub service: String,
    /// How much speaks for it, in nats (see [`super::Suspects`]): greater is likelier, above 0.
    pub nats: f64,
    /// Why, a sentence each, the strongest first.
    pub reasons: Vec<String>,
}

/// What speaks for one service.
#[derive(Default)]
struct Evidence<'a> {
    missing: Option<(f64, Missing<'a>)>,
    slow: f64,
    slowest: Option<(f64, Slow<'a>)>,
    errors: f64,
    error_lines: f64,
}

#[derive(Clone, Copy)]
struct Missing<'a> {
    step: &'a Step,
    came: f64,
    of: f64,
    usual: f64,
}

#[derive(Clone, Copy)]
struct Slow<'a> {
    step: &'a Step,
    slow: f64,
    of: f64,
}

pub(super) fn rank(places: &Places, began: Option<i64>, now: i64) -> Vec<Suspect> {
    let cell = cell_of(now);
    let mut all: Vec<Evidence<'_>> = places.services.iter().map(|_| Evidence::default()).collect();
    missing(places, cell, &mut all);
    slow(places, cell, &mut all);
    let before_s = began.map_or(0.0, |began| now.saturating_sub(began) as f64 / 1e6 - WINDOW_S);
    for (service, evidence) in places.services.iter().zip(&mut all) {
        let (new, before) = service.errors.split(cell);
        if new[0] / WINDOW_S > before[0] / before_s.max(1e-9) {
            evidence.errors = other_rate(new[0], WINDOW_S, before[0], before_s).max(0.0);
            evidence.error_lines = new[0];
        }
    }
    let names = places.services.iter().map(|service| service.name.as_str());
    let mut suspects: Vec<Suspect> = names
        .zip(&all)
        .map(|(name, evidence)| suspect(places, name, evidence))
        .filter(|suspect| suspect.nats > 0.0)
        .collect();
    suspects.sort_by(|a, b| b.nats.total_cmp(&a.nats).then_with(|| a.service.cmp(&b.service)));
    suspects
}

fn missing<'a>(places: &'a Places, cell: i64, all: &mut [Evidence<'a>]) {
    for place in &places.places {
        let (new, before) = place.traces.split(cell);
        let (new_of, before_of) = (new[0], before[0]);
        if new_of <= 0.0 || before_of <= 0.0 {
            continue;
        }
        for step in place.onward.iter().map(|step| &places.steps[*step as usize]) {
            let to = &places.places[step.to as usize];
            let (new, before) = step.traces.split(cell);
            if to.is_error || new[0] / new_of >= before[0] / before_of {
                continue;
            }
            let nats = other_share(new[0], new_of, before[0], before_of);
            let evidence = &mut all[to.service as usize].missing;
            if evidence.as_ref().is_none_or(|(most, _)| nats > *most) {
                let usual = before[0] / before_of;
                *evidence = Some((nats, Missing { step, came: new[0], of: new_of, usual }));
            }
        }
    }
}

fn slow<'a>(places: &'a Places, cell: i64, all: &mut [Evidence<'a>]) {
    let split: Vec<_> = places.steps.iter().map(|step| step.traces.split(cell)).collect();
    let (steps, slow) =
        split.iter().fold((0.0, 0.0), |(steps, slow), (_, before)| (steps + before[1], slow + before[2]));
    // Before anything was seen, one step of twenty may be slow.
    let overall = (slow + 1.0) / (steps + 20.0);
    for (step, (new, before)) in places.steps.iter().zip(&split).filter(|(_, (new, _))| new[1] > 0.0) {
        let nats = slowed(new[2], new[1], before[2], before[1], overall);
        let from = places.places[step.from as usize].service;
        let to = places.places[step.to as usize].service;
        for service in [Some(from), (to != from).then_some(to)].into_iter().flatten() {
            let evidence = &mut all[service as usize];
            evidence.slow += nats;
            if evidence.slowest.as_ref().is_none_or(|(most, _)| nats > *most) {
                evidence.slowest = Some((nats, Slow { step, slow: new[2], of: new[1] }));
            }
        }
    }
}

fn suspect(places: &Places, name: &str, evidence: &Evidence<'_>) -> Suspect {
    let place = |index: u32| -> (&Place, &str) {
        let place = &places.places[index as usize];
        (place, &places.services[place.service as usize].name)
    };
    let mut reasons: Vec<(f64, String)> = Vec::new();
    if let Some((nats, Missing { step, came, of, usual })) = evidence.missing
        && nats > 0.0
    {
        let ((from, caller), (to, _)) = (place(step.from), place(step.to));
        let why = format!(
            "`{}` follows `{}` of {caller} in {came} of {of} traces; usually in {:.0} %",
            to.text,
            from.text,
            usual * 100.0
        );
        reasons.push((nats, why));
    }
    if let Some((_, Slow { step, slow, of })) = evidence.slowest
        && evidence.slow > 0.0
    {
        let ((from, one), (to, other)) = (place(step.from), place(step.to));
        let why = format!(
            "steps at it are slow: from `{}` ({one}) to `{}` ({other}) in {slow} of {of} traces, usually {:.1} ms",
            from.text,
            to.text,
            step.usual_ms()
        );
        reasons.push((evidence.slow, why));
    }
    if evidence.errors > 0.0 {
        reasons.push((evidence.errors, format!("{} error lines within {WINDOW_S} s", evidence.error_lines)));
    }
    reasons.sort_by(|a, b| b.0.total_cmp(&a.0));
    Suspect {
        service: name.to_owned(),
        nats: reasons.iter().map(|(nats, _)| nats).sum(),
        reasons: reasons.into_iter().map(|(_, why)| why).collect(),
    }
}
