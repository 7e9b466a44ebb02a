//! Lines become sessions: what is kept of one, and those that may still grow. Bounded in memory, and without a
//! clock: time comes from the caller.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::key::SessionKey;
use crate::event::{EventTime, Level, LogEvent};
use crate::features::{Line, stable_hash};

/// Distinct patterns that are kept of a session; lines with further ones count as lines only.
const MOST_EVENTS: usize = 256;
/// Longest text of a pattern that is kept, in bytes.
const LONGEST_PATTERN: usize = 200;
/// Patterns that open sessions share; at this number they are forgotten, and held by the sessions alone.
const MOST_SHARED: usize = 1 << 14;
/// Keeps ids of sessions apart from other hashes.
const SESSION_SEED: u64 = 11;

/// What all lines of one pattern have in common.
#[derive(Debug)]
pub(super) struct EventText {
    /// Distinct keys of its masked words.
    pub words: Box<[u64]>,
    /// Its masked pattern, cut at 200 bytes.
    pub pattern: Box<str>,
}

/// One pattern of a session.
#[derive(Clone, Debug)]
pub(super) struct SessionEvent {
    /// Key of the pattern.
    pub key: u64,
    /// Lines of the session that have it.
    pub count: u32,
    /// What they say.
    pub text: Arc<EventText>,
}

/// Lines that belong together: a trace, a transaction, the life of a block.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// What it is called: the value of the session key.
    pub key: String,
    /// Service of its first line.
    pub service: String,
    /// Gravest level among its lines.
    pub level: Option<Level>,
    /// Least event time of its lines.
    pub first: EventTime,
    /// Greatest event time of its lines.
    pub last: EventTime,
    /// Lines.
    pub lines: u32,
    /// By key.
    pub(super) events: Vec<SessionEvent>,
}

impl Session {
    /// Distinct patterns of its lines, at most 256.
    pub fn patterns(&self) -> usize {
        self.events.len()
    }
}

/// Reads lines into sessions.
#[derive(Debug, Default)]
pub struct SessionReader {
    line: Line,
    shared: HashMap<u64, Arc<EventText>>,
}

impl SessionReader {
    /// Adds a line to a session.
    pub fn add(&mut self, event: &LogEvent, session: &mut Session) {
        let (key, text) = self.read(event);
        put(session, event, key, &text);
    }

    fn read(&mut self, event: &LogEvent) -> (u64, Arc<EventText>) {
        self.line.read(event);
        let key = self.line.pattern_key();
        if let Some(text) = self.shared.get(&key) {
            return (key, Arc::clone(text));
        }
        let pattern = self.line.masked().pattern();
        let text = Arc::new(EventText {
            words: self.line.keys().into(),
            pattern: pattern[..pattern.floor_char_boundary(LONGEST_PATTERN)].into(),
        });
        if self.shared.len() >= MOST_SHARED {
            self.shared.clear();
        }
        self.shared.insert(key, Arc::clone(&text));
        (key, text)
    }
}

fn put(session: &mut Session, event: &LogEvent, key: u64, text: &Arc<EventText>) {
    if session.lines == 0 {
        session.service.clone_from(&event.service);
        session.first = event.timestamp;
        session.last = event.timestamp;
    }
    session.first = session.first.min(event.timestamp);
    session.last = session.last.max(event.timestamp);
    session.level = session.level.max(event.level);
    session.lines = session.lines.saturating_add(1);
    match session.events.binary_search_by_key(&key, |held| held.key) {
        Ok(at) => session.events[at].count = session.events[at].count.saturating_add(1),
        Err(at) if session.events.len() < MOST_EVENTS => {
            session.events.insert(at, SessionEvent { key, count: 1, text: Arc::clone(text) });
        }
        Err(_) => {}
    }
}

/// When sessions are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// A session without a line for longer than this is closed, in microseconds (default 60 s).
    pub idle_micros: i64,
    /// Most sessions that are open at a time; beyond them the one that is idle longest is closed (default 10 000).
    pub most_open: usize,
    /// A session with so many lines is closed (default 10 000).
    pub most_lines: u32,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { idle_micros: 60_000_000, most_open: 10_000, most_lines: 10_000 }
    }
}

/// Sessions that may still grow.
///
/// What is closed, and when, is a function of the events and times that were given, in their order.
#[derive(Debug)]
pub struct OpenSessions {
    key: SessionKey,
    settings: SessionSettings,
    reader: SessionReader,
    open: HashMap<u64, Session>,
    by_time: BTreeSet<(EventTime, u64)>,
}

impl OpenSessions {
    /// None open yet.
    pub fn new(key: SessionKey, settings: SessionSettings) -> Self {
        Self {
            key,
            settings,
            reader: SessionReader::default(),
            open: HashMap::new(),
            by_time: BTreeSet::new(),
        }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Adds a line to its sessions; `closed` gets those that reach a bound by it. Closes none for idleness: for that,
    /// call [`OpenSessions::advance`] first.
    pub fn observe(&mut self, event: &LogEvent, mut closed: impl FnMut(Session)) {
        let keys = self.key.sessions_of(event);
        if keys.is_empty() {
            return;
        }
        let (pattern, text) = self.reader.read(event);
        for key in keys {
            let id = stable_hash(SESSION_SEED, key.as_bytes());
            if !self.open.contains_key(&id) {
                if self.open.len() >= self.settings.most_open.max(1) {
                    self.close_first(&mut closed);
                }
                self.open.insert(id, Session { key: key.to_owned(), ..Session::default() });
            }
            let Some(session) = self.open.get_mut(&id) else { continue };
            self.by_time.remove(&(session.last, id));
            put(session, event, pattern, &text);
            self.by_time.insert((session.last, id));
            if session.lines >= self.settings.most_lines.max(1) {
                self.close(id, &mut closed);
            }
        }
    }

    /// Closes sessions whose last line is more than the idle time before `now`, the one that is idle longest first.
    pub fn advance(&mut self, now: EventTime, mut closed: impl FnMut(Session)) {
        while let Some((last, _)) = self.by_time.first()
            && now.as_micros().saturating_sub(last.as_micros()) > self.settings.idle_micros
        {
            self.close_first(&mut closed);
        }
    }

    /// Closes all, the one that is idle longest first.
    pub fn finish(&mut self, mut closed: impl FnMut(Session)) {
        while !self.by_time.is_empty() {
            self.close_first(&mut closed);
        }
    }

    fn close_first(&mut self, closed: &mut impl FnMut(Session)) {
        if let Some((_, id)) = self.by_time.first().copied() {
            self.close(id, closed);
        }
    }

    fn close(&mut self, id: u64, closed: &mut impl FnMut(Session)) {
        if let Some(session) = self.open.remove(&id) {
            self.by_time.remove(&(session.last, id));
            closed(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(session: &str, second: i64, message: &str) -> LogEvent {
        LogEvent {
            timestamp: EventTime::from_millis(second * 1_000),
            message: message.to_owned(),
            attributes: vec![("trace".to_owned(), session.to_owned())],
            ..LogEvent::default()
        }
    }

    fn open(settings: SessionSettings) -> OpenSessions {
        OpenSessions::new(SessionKey::parse("trace").unwrap(), settings)
    }

    /// Closed sessions as `key:lines`, in order.
    fn run(settings: SessionSettings, lines: &[(&str, i64)]) -> String {
        let mut open = open(settings);
        let mut closed = Vec::new();
        for (session, second) in lines {
            let event = line(session, *second, "x");
            open.advance(event.timestamp, |session| closed.push(session));
            open.observe(&event, |session| closed.push(session));
        }
        closed.push(Session { key: "|".into(), ..Session::default() });
        open.finish(|session| closed.push(session));
        assert!(open.is_empty());
        closed.iter().map(|session| format!("{}:{} ", session.key, session.lines)).collect()
    }

    #[test]
    fn a_session_closes_when_it_was_idle_for_longer_than_the_idle_time() {
        let lines = [("a", 0), ("b", 30), ("a", 60), ("a", 120), ("c", 121)];
        assert_eq!(run(SessionSettings::default(), &lines), "b:1 |:0 a:3 c:1 ");
    }

    #[test]
    fn bounds_close_the_longest_idle_and_the_longest() {
        let settings = SessionSettings { most_open: 2, most_lines: 2, ..SessionSettings::default() };
        let lines = [("a", 0), ("b", 1), ("a", 2), ("c", 3), ("d", 4), ("d", 5)];
        assert_eq!(run(settings, &lines), "a:2 b:1 d:2 |:0 c:1 ");
    }

    #[test]
    fn an_earlier_line_neither_closes_nor_loses_a_session() {
        assert_eq!(run(SessionSettings::default(), &[("a", 500), ("b", 10), ("b", 20)]), "|:0 b:2 a:1 ");
    }

    #[test]
    fn a_session_knows_its_span_its_gravest_level_and_its_patterns() {
        let (mut reader, mut session) = (SessionReader::default(), Session::default());
        for (second, level) in [(5, Level::Info), (3, Level::Error), (9, Level::Warn)] {
            let event = LogEvent { level: Some(level), ..line("a", second, &format!("step {second}")) };
            reader.add(&event, &mut session);
        }
        assert_eq!((session.lines, session.patterns(), session.level), (3, 1, Some(Level::Error)));
        assert_eq!(
            (session.first, session.last),
            (EventTime::from_millis(3_000), EventTime::from_millis(9_000))
        );
    }

    #[test]
    fn a_session_keeps_a_bounded_number_of_patterns() {
        let (mut reader, mut session) = (SessionReader::default(), Session::default());
        let name =
            |n: u32| format!("{}{}", char::from(b'a' + (n % 26) as u8), char::from(b'a' + (n / 26) as u8));
        for n in 0..600 {
            reader.add(&line("a", 0, &name(n)), &mut session);
        }
        assert_eq!((session.lines, session.patterns()), (600, MOST_EVENTS));
    }
}
