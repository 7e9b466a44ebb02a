//! Scored lines as they come, for whoever watches: each viewer has a filter and gets at most forty lines every fifth of a
//! second; what is beyond that is counted. While nobody watches it costs a look at one number a batch.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use engine::event::{Level, LogEvent};
use serde::Serialize;

use super::{Board, lock};
use crate::sink::cut;

/// Viewers at a time.
const MOST_VIEWERS: usize = 8;
/// Lines between two takes.
const MOST_LINES: usize = 40;
/// Lines that are compared with a filter between two takes; the others are left out unseen.
const MOST_LOOKS: usize = 20_000;
/// Longest message that is shown, and service, in bytes.
const MESSAGE_BYTES: usize = 2_000;
const SERVICE_BYTES: usize = 200;
/// So much of a message is searched for a text, in bytes.
const SEARCHED_BYTES: usize = 65_536;

/// What a viewer wants to see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TailFilter {
    /// Of this service; `None` for all.
    pub service: Option<String>,
    /// Of this level; `None` for all.
    pub level: Option<Level>,
    /// With this in the message, whatever the case of ASCII's letters; empty for all.
    pub text: String,
    /// That score this at least, in [0, 1].
    pub least_score: f64,
}

impl TailFilter {
    fn wants(&self, event: &LogEvent, score: f64) -> bool {
        score >= self.least_score
            && self.level.is_none_or(|level| event.level == Some(level))
            && self.service.as_ref().is_none_or(|service| event.service == *service)
            && holds(&event.message, &self.text)
    }
}

/// Whether a text is within another, whatever the case of ASCII's letters.
pub fn holds(message: &str, text: &str) -> bool {
    let Some(first) = text.bytes().next() else { return true };
    let message = &message.as_bytes()[..message.len().min(SEARCHED_BYTES)];
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), message).any(|at| {
        message.get(at..at + text.len()).is_some_and(|part| part.eq_ignore_ascii_case(text.as_bytes()))
    })
}

/// A line that is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TailLine {
    time: String,
    service: String,
    level: Option<&'static str>,
    message: String,
    score: f64,
    anomaly: bool,
}

/// What came since the last take.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shown {
    /// The first lines.
    pub lines: Vec<TailLine>,
    /// Lines that came beside them: those that the filter wants and, in a flood, those that nobody compared with it.
    pub skipped: u64,
}

#[derive(Debug)]
struct Viewer {
    filter: TailFilter,
    window: Mutex<Shown>,
}

/// Whoever watches.
#[derive(Debug, Default)]
pub struct Viewers {
    count: AtomicUsize,
    all: Mutex<Vec<Arc<Viewer>>>,
}

/// A viewer's view; it ends when this is dropped.
#[derive(Debug)]
pub struct Watching {
    viewer: Arc<Viewer>,
    board: Board,
}

impl Watching {
    /// What came since the last take.
    pub fn take(&self) -> Shown {
        std::mem::take(&mut lock(&self.viewer.window))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let viewers = &self.board.0.viewers;
        let mut all = lock(&viewers.all);
        all.retain(|viewer| !Arc::ptr_eq(viewer, &self.viewer));
        viewers.count.store(all.len(), Ordering::Relaxed);
    }
}

impl Board {
    /// Lines from now on that the filter wants; `None` where too many watch already.
    pub fn watch(&self, filter: TailFilter) -> Option<Watching> {
        let viewers = &self.0.viewers;
        let mut all = lock(&viewers.all);
        if all.len() == MOST_VIEWERS {
            return None;
        }
        let viewer = Arc::new(Viewer { filter, window: Mutex::default() });
        all.push(Arc::clone(&viewer));
        viewers.count.store(all.len(), Ordering::Relaxed);
        drop(all);
        Some(Watching { viewer, board: self.clone() })
    }
}

/// The lines of a batch on their way to the viewers.
#[derive(Debug, Default)]
pub struct Tail(Vec<ForOne>);

#[derive(Debug)]
struct ForOne {
    viewer: Arc<Viewer>,
    shown: Shown,
    looks: usize,
}

impl Tail {
    /// A batch begins: who watches?
    pub fn begin(&mut self, board: &Board) {
        let viewers = &board.0.viewers;
        if viewers.count.load(Ordering::Relaxed) == 0 {
            self.0.clear();
            return;
        }
        let all = lock(&viewers.all);
        let begin = |viewer: &Arc<Viewer>| ForOne {
            viewer: Arc::clone(viewer),
            shown: Shown::default(),
            looks: MOST_LOOKS,
        };
        self.0 = all.iter().map(begin).collect();
    }

    /// Whether anybody watches.
    pub const fn is_watched(&self) -> bool {
        !self.0.is_empty()
    }

    /// A line was scored.
    pub fn line(&mut self, event: &LogEvent, score: f64, anomaly: bool) {
        for one in &mut self.0 {
            if one.looks == 0 {
                one.shown.skipped += 1;
                continue;
            }
            one.looks -= 1;
            if !one.viewer.filter.wants(event, score) {
                continue;
            }
            if one.shown.lines.len() == MOST_LINES {
                one.shown.skipped += 1;
                continue;
            }
            one.shown.lines.push(TailLine {
                time: event.timestamp.to_string(),
                service: cut(&event.service, SERVICE_BYTES).to_owned(),
                level: event.level.map(Level::as_str),
                message: cut(&event.message, MESSAGE_BYTES).to_owned(),
                score,
                anomaly,
            });
        }
    }

    /// The batch is over.
    pub fn flush(&mut self) {
        for one in &mut self.0 {
            let Shown { lines, skipped } = std::mem::take(&mut one.shown);
            if lines.is_empty() && skipped == 0 {
                continue;
            }
            let mut window = lock(&one.viewer.window);
            let room = MOST_LINES - window.lines.len();
            window.skipped += skipped + lines.len().saturating_sub(room) as u64;
            window.lines.extend(lines.into_iter().take(room));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(service: &str, message: &str) -> LogEvent {
        LogEvent {
            service: service.to_owned(),
            message: message.to_owned(),
            level: Some(Level::Error),
            ..LogEvent::default()
        }
    }

    fn batch(tail: &mut Tail, board: &Board, lines: usize) {
        tail.begin(board);
        (0..lines).for_each(|number| tail.line(&event("a", &format!("line {number}")), 0.5, false));
        tail.flush();
    }

    #[test]
    fn a_flood_is_counted_and_only_the_first_lines_are_kept() {
        let (board, mut tail) = (Board::default(), Tail::default());
        let watching = board.watch(TailFilter::default()).unwrap();
        (0..5).for_each(|_| batch(&mut tail, &board, 1_000));
        let Shown { lines, skipped } = watching.take();
        assert_eq!((lines.len(), skipped), (MOST_LINES, 5_000 - MOST_LINES as u64));
        assert_eq!(lines[39].message, "line 39");
        assert_eq!(watching.take(), Shown::default());
        batch(&mut tail, &board, 3);
        assert_eq!(watching.take().lines.len(), 3);
    }

    #[test]
    fn in_a_flood_of_what_nobody_wants_the_looking_ends() {
        let (board, mut tail) = (Board::default(), Tail::default());
        let text = "nothing like it".to_owned();
        let watching = board.watch(TailFilter { text, ..TailFilter::default() }).unwrap();
        batch(&mut tail, &board, MOST_LOOKS + 7);
        assert_eq!(watching.take(), Shown { lines: Vec::new(), skipped: 7 });
    }

    #[test]
    fn nothing_is_done_while_nobody_watches() {
        let (board, mut tail) = (Board::default(), Tail::default());
        tail.begin(&board);
        assert!(!tail.is_watched());
        let watching: Vec<_> = std::iter::from_fn(|| board.watch(TailFilter::default())).collect();
        assert_eq!(watching.len(), MOST_VIEWERS);
        tail.begin(&board);
        assert!(tail.is_watched());
        drop(watching);
        tail.begin(&board);
        assert!(!tail.is_watched());
        assert!(board.watch(TailFilter::default()).is_some(), "there is room again");
    }

    #[test]
    fn a_viewer_sees_what_its_filter_wants() {
        let (board, mut tail) = (Board::default(), Tail::default());
        let filter = TailFilter {
            service: Some("billing".to_owned()),
            level: Some(Level::Error),
            text: "VAULT".to_owned(),
            least_score: 0.5,
        };
        let watching = board.watch(filter).unwrap();
        tail.begin(&board);
        for (service, message, score) in [
            ("billing", "the vault is sealed", 0.5),
            ("orders", "the vault is sealed", 0.9),
            ("billing", "the vaul is sealed", 0.9),
            ("billing", "the vault is sealed", 0.49),
        ] {
            tail.line(&event(service, message), score, true);
        }
        let other = LogEvent { level: Some(Level::Info), ..event("billing", "vault") };
        tail.line(&other, 0.9, true);
        tail.flush();
        let Shown { lines, skipped } = watching.take();
        assert_eq!((lines.len(), skipped), (1, 0));
        assert_eq!((lines[0].message.as_str(), lines[0].level), ("the vault is sealed", Some("ERROR")));
    }

    #[test]
    fn a_text_is_found_at_any_place_and_in_any_case() {
        for (message, text, found) in [
            ("abc", "", true),
            ("abc", "C", true),
            ("aaab", "AAB", true),
            ("ab", "abc", false),
            ("größe", "ße", true),
            ("", "a", false),
        ] {
            assert_eq!(holds(message, text), found, "{message} {text}");
        }
        let long = format!("{}x", "a".repeat(SEARCHED_BYTES));
        assert!(!holds(&long, "x"), "what is searched is bounded");
    }
}
