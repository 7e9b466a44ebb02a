//! Rules of the user: a filter, a window and a condition. What they say is theirs; how it is counted is here.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::anomaly::{Found, Kept};
use super::registry::{At, Detect, Service};
use super::state::PerService;
use super::steps::Steps;
use super::{Finding, Severity};
use crate::filter::{Filter, FilterError};

/// Groups by `group_by` of one service that have windows at a time; the lines of further ones are not counted.
const MOST_GROUPS: usize = 1_000;
/// Such groups of all services together.
const MOST_IN_ALL: usize = 20_000;
/// Version of the states' bytes.
const VERSION: u32 = 1;
/// Most rules.
const MOST_RULES: usize = 1_000;

/// A rule as it is written in the config file.
///
/// ```toml
/// [[rule]]
/// name = "card errors"
/// filter = 'severity >= ERROR && message.contains("card")'
/// window_s = 5
/// more_than = 5
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name: its anomalies' detector is `rule:NAME`.
    pub name: String,
    /// Which lines count: a filter expression.
    pub filter: String,
    /// Length of the windows, which follow each other from the epoch on; 1 to 86 400 s.
    pub window_s: f64,
    /// Attributes by which lines are counted apart, beside the service: 1,000 groups of a service at a time, 20,000 in
    /// all. A group is forgotten when its windows are over; lines of further ones are not counted.
    #[serde(default)]
    pub group_by: Vec<String>,
    /// Told when a window holds more such lines, as soon as it does.
    #[serde(default)]
    pub more_than: Option<f64>,
    /// Told when a whole window holds fewer such lines, though the group had some in the window before.
    #[serde(default)]
    pub fewer_than: Option<f64>,
    /// Told when more than this share of a whole window's lines are such lines.
    #[serde(default)]
    pub share_above: Option<f64>,
    /// Fewest lines of a window whose share is judged.
    #[serde(default)]
    pub least_events: f64,
    /// How grave it is.
    #[serde(default = "error")]
    pub severity: Severity,
}

const fn error() -> Severity {
    Severity::Error
}

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Its filter is none.
    #[error("rule `{rule}`: {error}")]
    Filter {
        /// The rule.
        rule: String,
        /// What is wrong with the filter.
        error: FilterError,
    },
    /// A number out of its range.
    #[error("rule `{rule}`: `{name}` is {value}; allowed are {allowed}")]
    OutOfRange {
        /// The rule.
        rule: String,
        /// The field.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// None or several conditions.
    #[error(
        "rule `{rule}` has {count} conditions; exactly one of more_than, fewer_than, share_above is needed"
    )]
    Conditions {
        /// The rule.
        rule: String,
        /// How many it has.
        count: usize,
    },
    /// A name that is empty or there twice.
    #[error("the rule name `{rule}` is {fault}; each rule needs a name of its own")]
    Name {
        /// The name.
        rule: String,
        /// Empty, or there twice.
        fault: &'static str,
    },
    /// Too many.
    #[error("there are {count} rules; at most {MOST_RULES} are allowed")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

/// Rules that were checked, with their filters compiled.
#[derive(Default)]
pub struct Rules {
    all: Vec<Ready>,
}

struct Ready {
    rule: Rule,
    detector: String,
    filter: Filter,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|ready| &ready.rule)).finish()
    }
}

impl Rules {
    /// Checks and compiles.
    ///
    /// # Errors
    /// All that is wrong with any of them.
    pub fn read(rules: &[Rule]) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        if rules.len() > MOST_RULES {
            return Err(vec![RuleError::TooMany { count: rules.len() }]);
        }
        let mut all: Vec<Ready> = Vec::new();
        for rule in rules {
            if rule.name.is_empty() || all.iter().any(|other| other.rule.name == rule.name) {
                let fault = if rule.name.is_empty() { "empty" } else { "there twice" };
                errors.push(RuleError::Name { rule: rule.name.clone(), fault });
            }
            rule.check(&mut errors);
            match Filter::compile(&rule.filter) {
                Ok(filter) => {
                    all.push(Ready { rule: rule.clone(), detector: format!("rule:{}", rule.name), filter });
                }
                Err(error) => errors.push(RuleError::Filter { rule: rule.name.clone(), error }),
            }
        }
        if errors.is_empty() { Ok(Self { all }) } else { Err(errors) }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Rule {
    fn check(&self, errors: &mut Vec<RuleError>) {
        let conditions = [self.more_than, self.fewer_than, self.share_above];
        let count = conditions.iter().flatten().count();
        if count != 1 {
            errors.push(RuleError::Conditions { rule: self.name.clone(), count });
        }
        let mut range = |name, value: f64, least: f64, most: f64, allowed| {
            if !(least <= value && value <= most) {
                errors.push(RuleError::OutOfRange { rule: self.name.clone(), name, value, allowed });
            }
        };
        range("window_s", self.window_s, 1.0, 86_400.0, "1 to 86400 s");
        range("least_events", self.least_events, 0.0, 1e9, "0 to 1000000000 lines");
        range("more_than", self.more_than.unwrap_or(0.0), 0.0, 1e9, "0 to 1000000000 lines");
        range("fewer_than", self.fewer_than.unwrap_or(1.0), 1.0, 1e9, "1 to 1000000000 lines");
        range("share_above", self.share_above.unwrap_or(0.0), 0.0, 1.0, "0 to 1");
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Window {
    lines: u32,
    matching: u32,
    told: bool,
    kept: Kept,
}

/// Rule and subject.
type Group = (String, String);

pub(super) struct Detector {
    rules: std::sync::Arc<Rules>,
    state: PerService<BTreeMap<Group, Steps<Window>>>,
    /// Groups by `group_by`.
    grouped: usize,
    /// Lines on which a filter failed, and matching lines of groups that found no room.
    failed: u64,
}

impl Detector {
    pub fn new(rules: std::sync::Arc<Rules>) -> Self {
        Self { rules, state: PerService::default(), grouped: 0, failed: 0 }
    }
}

/// How many of them are by `group_by`.
fn grouped(groups: &BTreeMap<Group, Steps<Window>>) -> usize {
    groups.keys().filter(|(_, subject)| !subject.is_empty()).count()
}

/// The values that a line is grouped by, as a person reads them.
fn subject(rule: &Rule, at: &At<'_>) -> String {
    let values = rule.group_by.iter().map(|name| {
        let value = at.seen.event.attribute(name).unwrap_or_default();
        format!("{name}={}", super::cut(value, 128))
    });
    values.collect::<Vec<_>>().join(", ")
}

impl Detect for Detector {
    fn line(&mut self, at: &At<'_>, out: &mut Vec<Finding>) {
        if at.late {
            return;
        }
        for ready in &self.rules.all {
            let rule = &ready.rule;
            let matches = ready.filter.matches(at.seen.event).unwrap_or_else(|_| {
                self.failed += 1;
                false
            });
            // Only a share asks for the lines that do not match.
            if !matches && rule.share_above.is_none() {
                continue;
            }
            let groups = self.state.get_or(at.service.slot, BTreeMap::new);
            let group = (rule.name.clone(), subject(rule, at));
            if !group.1.is_empty() && !groups.contains_key(&group) {
                if groups.len() >= MOST_GROUPS || self.grouped >= MOST_IN_ALL {
                    self.failed += u64::from(matches);
                    continue;
                }
                self.grouped += 1;
            }
            let new = || Steps::new(rule.window_s, 1, at.service.lateness_s, at.time);
            let steps = groups.entry(group.clone()).or_insert_with(new);
            let start = at.time.div_euclid(steps.step()) * steps.step();
            let window_end = start + steps.step();
            let Some(window) = steps.at(at.time) else { continue };
            window.lines += 1;
            if !matches {
                continue;
            }
            window.matching += 1;
            window.kept.add(at.seen, start);
            let matching = f64::from(window.matching);
            let exceeded = rule.more_than.filter(|bound| !window.told && matching > *bound);
            if let Some(bound) = exceeded {
                window.told = true;
                let headline =
                    format!("{}: {matching} lines within {} s (more than {bound})", rule.name, rule.window_s);
                let span = (start, window_end);
                out.push(found(
                    ready,
                    &at.service,
                    &group.1,
                    span,
                    at.time,
                    (matching, bound, "lines"),
                    headline,
                    window,
                ));
            }
        }
    }

    fn advance(&mut self, service: &Service<'_>, closed: i64, out: &mut Vec<Finding>) {
        let Some(groups) = self.state.get_mut(service.slot) else { return };
        for ready in self.rules.all.iter().filter(|ready| ready.rule.more_than.is_none()) {
            let rule = &ready.rule;
            let of_rule = (rule.name.clone(), String::new())..;
            for ((_, subject), steps) in
                groups.range_mut(of_rule).take_while(|((name, _), _)| *name == rule.name)
            {
                for end in steps.complete(closed) {
                    let window = steps.window(end).next().cloned().unwrap_or_default();
                    let span = (steps.start_of(end), steps.time_of(end));
                    let (matching, lines) = (f64::from(window.matching), f64::from(window.lines));
                    let share = matching / lines.max(1.0);
                    // The first window of a group is a part of one, and a silence is told once.
                    let had_some = steps.range(end - 2, end - 1).any(|before| before.matching > 0);
                    if let Some(bound) = rule.fewer_than.filter(|bound| had_some && matching < *bound) {
                        let headline = format!(
                            "{}: {matching} lines within {} s (fewer than {bound})",
                            rule.name, rule.window_s
                        );
                        let measured = (matching, bound, "lines");
                        out.push(found(ready, service, subject, span, span.1, measured, headline, &window));
                    }
                    let judged = lines >= rule.least_events && lines > 0.0;
                    if let Some(bound) = rule.share_above.filter(|bound| judged && share > *bound) {
                        let headline = format!(
                            "{}: {matching} of {lines} lines within {} s (a share above {bound})",
                            rule.name, rule.window_s
                        );
                        let measured = (share, bound, "share");
                        out.push(found(ready, service, subject, span, span.1, measured, headline, &window));
                    }
                }
            }
        }
        groups.retain(|(_, subject), steps| {
            // Its last window with lines is told, and the empty one after it.
            let stays = closed < steps.newest().0.saturating_add(steps.step().saturating_mul(2));
            self.grouped -= usize::from(!stays && !subject.is_empty());
            stays
        });
    }

    fn forget(&mut self, slot: usize) {
        let gone = self.state.get(slot).map_or(0, grouped);
        self.grouped -= gone;
        self.state.forget(slot);
    }

    fn held_back(&self) -> u64 {
        self.failed
    }

    fn save(&self) -> Result<(u32, Vec<u8>), String> {
        Ok((VERSION, super::state::save(&self.state)?))
    }

    fn load(&mut self, version: u32, bytes: &[u8]) -> Result<(), String> {
        if version != VERSION {
            return Err(format!("version {version}; this program reads version {VERSION}"));
        }
        self.state = super::state::load(bytes)?;
        self.grouped = self.state.iter().map(grouped).sum();
        Ok(())
    }
}

#[allow(clippy::too_many_arguments, reason = "the parts of one sentence")]
fn found(
    ready: &Ready,
    service: &Service<'_>,
    subject: &str,
    window: (i64, i64),
    time: i64,
    (value, bound, unit): (f64, f64, &'static str),
    headline: String,
    lines: &Window,
) -> Finding {
    Found {
        detector: &ready.detector,
        service: service.name(),
        subject,
        severity: ready.rule.severity,
        window,
        time,
        episode: 0,
        headline,
        value,
        bound,
        unit,
        reasons: Vec::new(),
        evidence: lines.kept.lines(),
    }
    .into()
}
