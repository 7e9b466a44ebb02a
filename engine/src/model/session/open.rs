//! Lines become sessions: what is kept of one, and those that may still grow. Bounded in memory, and without a
//! clock: time comes from the caller.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::key::SessionKey;
use crate::event::{EventTime, Level, LogEvent};
use crate::features::{Line, stable_hash};

/// Distinct patterns that are kept of a session; lines with further ones count as lines only.
const MOST_EVENTS: usize = 256;
/// Longest text of a pattern that is kept, in bytes.
const LONGEST_PATTERN: usize = 200;
/// Different patterns that are held for all sessions together.
const MOST_SHARED: usize = 1 << 14;
/// Patterns of open sessions, one counted for each session that has it.
const MOST_HELD: usize = 1 << 20;
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

    /// The patterns' keys, ascending, each with its number of lines: with the service all that a model looks at.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.events.iter().map(|event| (event.key, event.count))
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
        self.line.read(event);
        let key = self.line.pattern_key();
        if self.shared.len() >= MOST_SHARED && !self.shared.contains_key(&key) {
            self.shared.clear();
        }
        let Self { line, shared } = self;
        session.join(event, event.timestamp);
        session.count(key, || Arc::clone(shared.entry(key).or_insert_with(|| Arc::new(EventText::of(line)))));
    }
}

impl EventText {
    fn of(line: &mut Line) -> Self {
        let pattern = line.masked().pattern();
        let pattern = pattern[..pattern.floor_char_boundary(LONGEST_PATTERN)].into();
        Self { words: line.keys().into(), pattern }
    }
}

impl Session {
    /// What a line says of the whole.
    fn join(&mut self, event: &LogEvent, time: EventTime) {
        if self.lines == 0 {
            self.service.clone_from(&event.service);
            self.first = time;
            self.last = time;
        }
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.level = self.level.max(event.level);
        self.lines = self.lines.saturating_add(1);
    }

    /// Counts a line of a pattern, whose text is asked for where it is the first; whether it was.
    fn count(&mut self, key: u64, text: impl FnOnce() -> Arc<EventText>) -> bool {
        match self.events.binary_search_by_key(&key, |held| held.key) {
            Ok(at) => {
                self.events[at].count = self.events[at].count.saturating_add(1);
                false
            }
            Err(at) if self.events.len() < MOST_EVENTS => {
                self.events.insert(at, SessionEvent { key, count: 1, text: text() });
                true
            }
            Err(_) => false,
        }
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

/// Sessions that may still grow. At most 1,048,576 patterns of sessions and 16,384 different ones are held; beyond
/// that, too, the session that is idle longest is closed.
///
/// What is closed, and when, is a function of the events and times that were given, in their order.
#[derive(Debug)]
pub struct OpenSessions {
    key: SessionKey,
    settings: SessionSettings,
    line: Line,
    open: HashMap<u64, Session>,
    by_time: BTreeSet<(EventTime, u64)>,
    /// The texts of all open sessions' patterns, and by how many of them they are held.
    texts: HashMap<u64, (Arc<EventText>, u32)>,
    /// Patterns of all sessions together.
    held: usize,
}

impl OpenSessions {
    /// None open yet.
    pub fn new(key: SessionKey, settings: SessionSettings) -> Self {
        Self {
            key,
            settings,
            line: Line::default(),
            open: HashMap::new(),
            by_time: BTreeSet::new(),
            texts: HashMap::new(),
            held: 0,
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

    /// Whether lines are put together by this key and closed by these settings.
    pub fn is_of(&self, key: &SessionKey, settings: SessionSettings) -> bool {
        self.key.as_str() == key.as_str() && self.settings == settings
    }

    /// Adds a line to its sessions; `closed` gets those that reach a bound by it. Closes none for idleness: for that,
    /// call [`OpenSessions::advance`] first.
    pub fn observe(&mut self, event: &LogEvent, closed: impl FnMut(Session)) {
        self.observe_at(event, event.timestamp, |_| {}, closed);
    }

    /// The same for a line that counts as of another time than its own; `joined` is told each session that it
    /// belongs to.
    pub fn observe_at(
        &mut self,
        event: &LogEvent,
        time: EventTime,
        mut joined: impl FnMut(&str),
        mut closed: impl FnMut(Session),
    ) {
        let keys = self.key.sessions_of(event);
        if keys.is_empty() {
            return;
        }
        self.line.read(event);
        let pattern = self.line.pattern_key();
        for key in keys {
            let id = stable_hash(SESSION_SEED, key.as_bytes());
            if !self.open.contains_key(&id) {
                if self.open.len() >= self.settings.most_open.max(1) {
                    self.close_first(&mut closed);
                }
                self.open.insert(id, Session { key: key.to_owned(), ..Session::default() });
            }
            let Self { open, by_time, texts, line, .. } = self;
            let Some(session) = open.get_mut(&id) else { continue };
            joined(&session.key);
            by_time.remove(&(session.last, id));
            session.join(event, time);
            let is_new = session.count(pattern, || {
                let (text, uses) = texts.entry(pattern).or_insert_with(|| (Arc::new(EventText::of(line)), 0));
                *uses += 1;
                Arc::clone(text)
            });
            by_time.insert((session.last, id));
            self.held += usize::from(is_new);
            if session.lines >= self.settings.most_lines.max(1) {
                self.close(id, &mut closed);
            }
            while self.texts.len() > MOST_SHARED || self.held > MOST_HELD {
                self.close_first(&mut closed);
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
        let Some(session) = self.open.remove(&id) else { return };
        self.by_time.remove(&(session.last, id));
        self.held -= session.events.len();
        for event in &session.events {
            if let Some((_, uses)) = self.texts.get_mut(&event.key) {
                *uses -= 1;
                if *uses == 0 {
                    self.texts.remove(&event.key);
                }
            }
        }
        closed(session);
    }

    /// All that are open, as they are. Equal ones give equal values.
    pub(crate) fn stored(&self) -> StoredOpen {
        let mut texts: Vec<StoredText> = self
            .texts
            .iter()
            .map(|(key, (text, _))| StoredText {
                key: *key,
                words: text.words.to_vec(),
                pattern: text.pattern.to_string(),
            })
            .collect();
        texts.sort_unstable_by_key(|text| text.key);
        let sessions = self.by_time.iter().filter_map(|(_, id)| self.open.get(id)).map(|session| {
            let events = session.events.iter().map(|event| (event.key, event.count)).collect();
            let Session { key, service, level, first, last, lines, .. } = session.clone();
            StoredSession { key, service, level, first, last, lines, events }
        });
        StoredOpen {
            key: self.key.as_str().to_owned(),
            idle_micros: self.settings.idle_micros,
            most_open: self.settings.most_open as u64,
            most_lines: self.settings.most_lines,
            sessions: sessions.collect(),
            texts,
        }
    }

    /// What [`OpenSessions::stored`] gave, open again.
    ///
    /// # Errors
    /// Says which part cannot be what it gave.
    pub(crate) fn of_stored(stored: StoredOpen) -> Result<Self, String> {
        let key = SessionKey::parse(&stored.key).map_err(|error| error.to_string())?;
        let most_open = usize::try_from(stored.most_open).map_err(|error| error.to_string())?;
        let (idle_micros, most_lines) = (stored.idle_micros, stored.most_lines);
        let mut open = Self::new(key, SessionSettings { idle_micros, most_open, most_lines });
        let mut texts: HashMap<u64, Arc<EventText>> = HashMap::new();
        for StoredText { key, words, pattern } in stored.texts {
            texts.insert(key, Arc::new(EventText { words: words.into(), pattern: pattern.into() }));
        }
        for stored in stored.sessions {
            let StoredSession { key, service, level, first, last, lines, events: counts } = stored;
            if !counts.is_sorted_by(|one, next| one.0 < next.0) || counts.len() > MOST_EVENTS {
                return Err(format!("the patterns of the open session {key:?} are out of order"));
            }
            let mut events = Vec::new();
            for (pattern, count) in counts {
                let Some(text) = texts.get(&pattern) else {
                    return Err(format!("a pattern of the open session {key:?} has no text"));
                };
                open.texts.entry(pattern).or_insert_with(|| (Arc::clone(text), 0)).1 += 1;
                events.push(SessionEvent { key: pattern, count, text: Arc::clone(text) });
            }
            open.held += events.len();
            let id = stable_hash(SESSION_SEED, key.as_bytes());
            open.by_time.insert((last, id));
            let session = Session { key, service, level, first, last, lines, events };
            if open.open.insert(id, session).is_some() {
                return Err("an open session is there twice".to_owned());
            }
        }
        Ok(open)
    }
}

/// Sessions that were open, as plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredOpen {
    key: String,
    idle_micros: i64,
    most_open: u64,
    most_lines: u32,
    texts: Vec<StoredText>,
    /// The one that is idle longest first.
    sessions: Vec<StoredSession>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredText {
    key: u64,
    words: Vec<u64>,
    pattern: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredSession {
    key: String,
    service: String,
    level: Option<Level>,
    first: EventTime,
    last: EventTime,
    lines: u32,
    events: Vec<(u64, u32)>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// Lines of few or of ever new patterns and sessions, and when they come.
    fn lines() -> impl Strategy<Value = Vec<(u8, u8, i64)>> {
        proptest::collection::vec((0_u8..12, 0_u8..6, prop_oneof![9 => 0_i64..4, 1 => 30_i64..90]), 0..200)
    }

    fn feed(open: &mut OpenSessions, lines: &[(u8, u8, i64)], at: &mut i64, closed: &mut Vec<String>) {
        let tell = |closed: &mut Vec<String>, session: Session| {
            let events: Vec<_> =
                session.events.iter().map(|held| (held.key, held.count, held.text.pattern.clone())).collect();
            closed.push(format!("{} {} {} {events:?}", session.key, session.lines, session.last));
        };
        for (session, message, after) in lines {
            *at += after;
            let message = ["one", "two words", "and three words", "four 4", "five", "six of them"]
                [usize::from(*message)];
            let event = line(&session.to_string(), *at, message);
            open.advance(event.timestamp, |session| tell(closed, session));
            open.observe(&event, |session| tell(closed, session));
        }
    }

    proptest! {
        #[test]
        fn restored_anywhere_sessions_go_on_as_if_nothing_had_been(lines in lines(), cut in 0_usize..200) {
            let settings = SessionSettings { most_open: 6, most_lines: 9, ..SessionSettings::default() };
            let (first, second) = lines.split_at(cut.min(lines.len()));
            let (mut whole, mut before) = (open(settings), open(settings));
            let (mut closed, mut parts) = (Vec::new(), Vec::new());
            feed(&mut whole, &lines, &mut 0, &mut closed);
            let mut at = 0;
            feed(&mut before, first, &mut at, &mut parts);
            let mut bytes = Vec::new();
            crate::learnt::encode(&before.stored(), &mut bytes);
            let mut after = OpenSessions::of_stored(crate::learnt::decode(&bytes).unwrap()).unwrap();
            feed(&mut after, second, &mut at, &mut parts);
            prop_assert_eq!(parts, closed);
            prop_assert_eq!(after.stored(), whole.stored());
        }
    }

    #[test]
    fn texts_are_bounded_and_forgotten_with_the_last_session_that_has_them() {
        let mut open = open(SessionSettings::default());
        let mut closed = 0_usize;
        let name = |mut n: u32| {
            let mut name = String::new();
            for _ in 0..4 {
                name.push(char::from(b'a' + (n % 26) as u8));
                n /= 26;
            }
            name
        };
        for n in 0..20_000 {
            open.observe(&line(&format!("s{}", n / 100), i64::from(n / 1_000), &name(n)), |_| closed += 1);
            assert!(open.texts.len() <= MOST_SHARED);
        }
        assert_eq!((closed, open.len(), open.held), (37, 163, 16_300));
        open.finish(|_| closed += 1);
        assert_eq!((closed, open.texts.len(), open.held), (200, 0, 0));
    }

    #[test]
    fn stored_sessions_that_cannot_be_are_refused() {
        let mut open = open(SessionSettings::default());
        open.observe(&line("a", 1, "one"), |_| {});
        let good = open.stored();
        let mut twice = good.clone();
        twice.sessions.push(twice.sessions[0].clone());
        let mut textless = good.clone();
        textless.texts.clear();
        let mut keyless = good;
        keyless.key.clear();
        for (stored, part) in [(twice, "twice"), (textless, "no text"), (keyless, "names no field")] {
            let error = OpenSessions::of_stored(stored).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
