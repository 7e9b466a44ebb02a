//! Odd session: the lines of one trace, transaction or other key, judged as a whole once no more come.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::anomaly::{Found, cut};
use super::knobs::{Knobs as _, knobs};
use super::registry::{At, Detect, Entry, Service, cares};
use super::{Evidence, Finding, Severity};
use crate::event::EventTime;
use crate::model::session::{
    NeverSeen, OpenSessions, SORTS, Session, SessionModel, SessionScore, Sort, StoredOpen,
};
use crate::model::{Contamination, Model, Reason, ReasonKind};

pub(crate) const NAME: &str = "odd_session";

/// Longest text of a line that is kept of an open session, in bytes.
const LINE_BYTES: usize = 256;
/// Longest text of an event in a reason, in bytes.
const EVENT_BYTES: usize = 120;

/// Reasons of what never was, beside those of the score.
const MOST_NEVER: usize = 3;

knobs!(OddSession {});

pub(crate) const ENTRY: Entry = Entry {
    name: NAME,
    title: "Odd session",
    doc: "\
Lines that belong together by the model's session key (`SESSION_KEY` when it was trained: a trace id, a transaction \
id, a pattern such as a block id) are judged as a whole once none came for its idle time (`SESSION_IDLE_S`, 60 s) and \
the lateness: a session whose score is above the threshold of the training sessions. It is told of the service of its \
first line, with the events that it has and others do not, or lacks and others have. The others are the training \
sessions that begin at the same service, where these are 50 or more and take another course than the rest: some event is \
in at least half more, or less, of them. It is `info`. It is a `warning`, at whatever score, for what never was in 1,000 \
training sessions or more: an event that none of them has, an event so many times as in none, or an event without \
another that always came with it; but for no sort of these that, by what single training sessions had alone, more than \
`ALERT_BUDGET_PER_DAY` sessions a day will bring anyway. Where fewer than 1,000 training sessions are like it, it is a \
`warning` above the score that they exceed `ALERT_BUDGET_PER_DAY` times a day. At most 10,000 sessions are open at a \
time; beyond them the one that is idle longest is judged early. Without sessions in the model it says nothing. Lines of \
a session must come through the same input partition.",
    knobs: OddSession::KNOBS,
    make: |settings| {
        Box::new(Detector {
            settings: settings.typed(NAME),
            judge: None,
            known: Known::default(),
            state: State::default(),
        })
    },
};

/// By what sessions are judged: a model that was trained with a session key, and the scores, in [0, 1], above which one
/// is odd, and worth a warning.
#[derive(Clone, Debug)]
pub struct Sessions {
    model: Arc<Model>,
    odd: f64,
    warning: f64,
    /// What is worth a warning where it never was.
    sorts: Vec<Sort>,
}

impl Sessions {
    /// `None` where the model knows no sessions. `contamination`: which share of the training sessions is odd; the
    /// model's own where it is not given. Worth a warning is what no training session is expected to exceed.
    pub fn of(model: &Arc<Model>, contamination: Option<Contamination>) -> Option<Self> {
        let contamination = contamination.unwrap_or_else(|| model.contamination());
        let sessions = model.sessions()?;
        let odd = sessions.threshold(contamination).score;
        let warning = sessions.exceeded_by(0.5 / sessions.sessions() as f64).max(odd);
        Some(Self { model: Arc::clone(model), odd, warning, sorts: Vec::new() })
    }

    /// Worth a warning is what never was, of each sort that is expected at most `per_day` times a day, and where training
    /// cannot tell what never was, a score that its sessions exceed `per_day` times a day, at their own rate. Nothing
    /// changes where the training data spans less than a minute.
    #[must_use]
    pub fn with_warnings_a_day(self, per_day: f64) -> Self {
        let warning = self.model.session_threshold_for_budget(per_day).unwrap_or(self.warning);
        let is_rare = |sort: &Sort| self.model.never_seen_per_day(*sort).is_some_and(|rate| rate <= per_day);
        let sorts = SORTS.into_iter().filter(is_rare).collect();
        Self { warning: warning.max(self.odd), sorts, ..self }
    }
}

impl PartialEq for Sessions {
    /// Whether it is the very same model, judged by the same scores.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.model, &other.model)
            && (self.odd, self.warning, &self.sorts) == (other.odd, other.warning, &other.sorts)
    }
}

/// The lines that are shown of a session.
#[derive(Debug, Serialize, Deserialize)]
struct Lines {
    first: Evidence,
    /// The first of the gravest level, where that is graver than the first line.
    gravest: Option<Evidence>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<OpenSessions>,
    lines: HashMap<String, Lines, FixedState>,
    clock: Option<i64>,
}

/// A state as it is kept.
#[derive(Serialize, Deserialize)]
struct Stored {
    open: Option<StoredOpen>,
    /// By key, ascending.
    lines: Vec<(String, Lines)>,
    clock: Option<i64>,
}

struct Detector {
    settings: Vec<OddSession>,
    judge: Option<Sessions>,
    known: Known,
    state: State,
}

/// What is said of every session of one service and with the same numbers of the same patterns.
#[derive(Clone)]
struct Judged {
    score: SessionScore,
    /// What there is to tell; `None` where the session is not odd.
    told: Option<Arc<Told>>,
}

struct Told {
    severity: Severity,
    /// What never was, then what else the score comes from.
    reasons: Vec<String>,
    /// Whether the first of them never was.
    has_never: bool,
}

/// Sessions repeat, so what was said of one is kept: of at most 2,048 sorts, and of none with more than 64 patterns.
/// Forgetting changes no finding.
#[derive(Default)]
struct Known {
    sorts: HashTable<KnownSort>,
    hasher: FixedState,
}

struct KnownSort {
    service: Box<str>,
    events: Box<[(u64, u32)]>,
    judged: Judged,
}

fn hash(hasher: &FixedState, service: &str, events: impl Iterator<Item = (u64, u32)>) -> u64 {
    let mut hasher = hasher.build_hasher();
    service.hash(&mut hasher);
    events.for_each(|event| event.hash(&mut hasher));
    hasher.finish()
}

impl Known {
    const MOST: usize = 2_048;
    const MOST_PATTERNS: usize = 64;

    /// What is said of a session, which `judge` says where it is not known.
    fn of(&mut self, session: &Session, judge: impl FnOnce() -> Judged) -> Judged {
        if session.patterns() > Self::MOST_PATTERNS {
            return judge();
        }
        let hash = hash(&self.hasher, &session.service, session.counted());
        let is_same = |sort: &KnownSort| {
            *sort.service == *session.service && sort.events.iter().copied().eq(session.counted())
        };
        if let Some(sort) = self.sorts.find(hash, is_same) {
            return sort.judged.clone();
        }
        if self.sorts.len() >= Self::MOST {
            self.sorts.clear();
        }
        let sort = KnownSort {
            service: session.service.as_str().into(),
            events: session.counted().collect(),
            judged: judge(),
        };
        let judged = sort.judged.clone();
        let again = |sort: &KnownSort| self::hash(&self.hasher, &sort.service, sort.events.iter().copied());
        self.sorts.insert_unique(hash, sort, again);
        judged
    }
}

fn line_of(at: &At<'_>) -> Evidence {
    let mut line = Evidence::of(at.seen);
    line.message.truncate(cut(&line.message, LINE_BYTES).len());
    line.message.shrink_to_fit();
    line
}

impl State {
    fn line(&mut self, at: &At<'_>, closed: &mut Vec<Session>) {
        let Self { open: Some(open), lines, .. } = self else { return };
        let joined = |key: &str| {
            let Some(held) = lines.get_mut(key) else {
                lines.insert(key.to_owned(), Lines { first: line_of(at), gravest: None });
                return;
            };
            let gravest = held.gravest.as_ref().unwrap_or(&held.first).level;
            if at.seen.event.level > gravest {
                held.gravest = Some(line_of(at));
            }
        };
        open.observe_at(at.seen.event, EventTime::from_micros(at.time), joined, |session| {
            closed.push(session)
        });
    }

    fn advance(&mut self, time: i64, closed: &mut Vec<Session>) {
        let clock = *self.clock.insert(self.clock.map_or(time, |clock| clock.max(time)));
        if let Some(open) = &mut self.open {
            open.advance(EventTime::from_micros(clock), |session| closed.push(session));
        }
    }
}

impl Sessions {
    fn judge(&self, sessions: &SessionModel, session: &Session) -> Judged {
        let score = sessions.score(session);
        let never = sessions.never(session, &self.sorts);
        let is_grave = never.as_ref().map_or(score.score > self.warning, |never| !never.is_empty());
        if score.score <= self.odd && !is_grave {
            return Judged { score, told: None };
        }
        let like = sessions.sessions_like(session);
        let of = if like < sessions.sessions() {
            format!("{like} training sessions of {}", cut(&session.service, EVENT_BYTES))
        } else {
            format!("{like} training sessions")
        };
        let mut reasons: Vec<String> =
            never.iter().flatten().take(MOST_NEVER).map(|never| never_in_words(never, &of)).collect();
        let has_never = !reasons.is_empty();
        for reason in sessions.explain(session) {
            let reason = in_words(&reason, &of);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        let severity = if is_grave { Severity::Warning } else { Severity::Info };
        Judged { score, told: Some(Arc::new(Told { severity, reasons, has_never })) }
    }
}

impl Detector {
    fn judge(&mut self, closed: &[Session], out: &mut Vec<Finding>) {
        for session in closed {
            let lines = self.state.lines.remove(&session.key);
            let Some(judge) = &self.judge else { continue };
            let Some(sessions) = judge.model.sessions() else { continue };
            let Judged { score, told } = self.known.of(session, || judge.judge(sessions, session));
            let Some(told) = told else { continue };
            let evidence = lines.map(|lines| [Some(lines.first), lines.gravest]).unwrap_or_default();
            let first = told.reasons.first().filter(|_| told.has_never);
            let headline = format!(
                "odd session {}: score {:.3}, odder than {:.2} % of the training sessions; {} lines{}",
                cut(&session.key, EVENT_BYTES),
                score.score,
                score.percentile,
                session.lines,
                first.map_or_else(String::new, |reason| format!("; {reason}"))
            );
            let last = session.last.as_micros();
            let found = Found {
                detector: NAME,
                service: &session.service,
                subject: &session.key,
                severity: told.severity,
                window: (session.first.as_micros(), last.saturating_add(1)),
                time: last,
                episode: 0,
                headline,
                value: score.score,
                bound: judge.odd,
                unit: "score",
                reasons: told.reasons.clone(),
                evidence: evidence.into_iter().flatten().collect(),
            };
            out.push(found.into());
        }
    }
}

/// `of`: how many sessions it is compared with, and which.
fn in_words(reason: &Reason, of: &str) -> String {
    let event = cut(&reason.word, EVENT_BYTES);
    match (reason.kind, reason.seen) {
        (ReasonKind::MissingEvent, seen) => format!("lacks `{event}`, which {seen} of {of} have"),
        (_, 0) => format!("`{event}` in none of {of}"),
        (_, seen) => format!("`{event}` in {seen} of {of}"),
    }
}

fn never_in_words(never: &NeverSeen, of: &str) -> String {
    let event = cut(&never.event, EVENT_BYTES);
    match never.sort {
        Sort::Event => format!("`{event}` in none of {of}"),
        Sort::Repeat => format!("`{} × {event}` in none of {of}", never.count),
        Sort::Missing => {
            let lacks = cut(&never.lacks, EVENT_BYTES);
            format!("lacks `{lacks}`, which each of the {} sessions with `{event}` has", never.support)
        }
    }
}

impl Detect for Detector {
    fn cares(&self) -> u8 {
        cares::SESSION
    }

    fn line(&mut self, at: &At<'_>, out: &mut Vec<Finding>) {
        if self.judge.is_none() || !self.settings[at.service.profile()].enabled {
            return;
        }
        let mut closed = Vec::new();
        self.state.line(at, &mut closed);
        self.judge(&closed, out);
    }

    fn advance(&mut self, _service: &Service<'_>, time: i64, out: &mut Vec<Finding>) {
        if self.judge.is_some() {
            let mut closed = Vec::new();
            self.state.advance(time, &mut closed);
            self.judge(&closed, out);
        }
    }

    /// Open sessions stay open under a model that puts lines together in the same way, and are dropped otherwise.
    fn set_sessions(&mut self, sessions: Option<&Sessions>) {
        self.judge = sessions.cloned();
        self.known.sorts.clear();
        let model = sessions.and_then(|sessions| sessions.model.sessions());
        let open = self.state.open.take();
        self.state.open = model.map(|model| match open {
            Some(open) if open.is_of(model.key(), model.settings()) => open,
            _ => model.open_sessions(),
        });
        if self.state.open.as_ref().is_none_or(OpenSessions::is_empty) {
            self.state.lines.clear();
        }
    }

    fn forget(&mut self, _slot: usize) {}

    fn save(&self) -> Result<(u32, Vec<u8>), String> {
        let State { open, lines, clock } = &self.state;
        let mut lines: Vec<(&String, &Lines)> = lines.iter().collect();
        lines.sort_unstable_by_key(|(key, _)| *key);
        let stored = (open.as_ref().map(OpenSessions::stored), lines, clock);
        Ok((1, super::state::save(&stored)?))
    }

    fn load(&mut self, version: u32, bytes: &[u8]) -> Result<(), String> {
        if version != 1 {
            return Err(format!("version {version}; this program reads version 1"));
        }
        let Stored { open, lines, clock } = super::state::load(bytes)?;
        let open = open.map(OpenSessions::of_stored).transpose()?;
        self.state = State { open, lines: lines.into_iter().collect(), clock };
        Ok(())
    }
}
