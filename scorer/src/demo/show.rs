//! Anomalies on the terminal: time, service, level, score, text and why. Every text of a line is shown with its
//! control characters written out.

use engine::terminal::is_unseen;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::decode::RejectReason;
use engine::model::{Reason, ReasonKind};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::stream::Watched;
use crate::anomaly::{AnomalyRecord, SourceField};
use crate::metrics::ReasonLabel;
use crate::run::App;

/// Anomalies shown in one second; more scroll by faster than anyone reads.
const PER_SECOND: u32 = 10;

/// Longest text of a line that is shown, in characters.
const TEXT: usize = 300;

/// Shows anomalies and keeps count.
#[derive(Debug)]
pub struct Show {
    watched: Watched,
    colour: bool,
    second: Instant,
    in_second: u32,
    left_out: u64,
    /// Anomalies that the simulator had made.
    found: u64,
    /// All anomalies that came by.
    seen: u64,
    /// Standard output is closed.
    is_unread: bool,
}

impl Show {
    /// Nothing shown yet.
    pub fn new(watched: Watched) -> Self {
        let colour = std::io::stdout().is_terminal();
        Self {
            watched,
            colour,
            second: Instant::now(),
            in_second: 0,
            left_out: 0,
            found: 0,
            seen: 0,
            is_unread: false,
        }
    }

    /// Shows what comes until the stop, and then what is left.
    /// Where nobody reads them any more, as in `scorer demo | head`, it asks for the stop itself.
    pub async fn run(mut self, mut feed: Receiver<Arc<AnomalyRecord>>, stop: CancellationToken) -> Self {
        while !self.is_unread {
            let record = tokio::select! {
                biased;
                record = feed.recv() => record,
                () = stop.cancelled() => break,
            };
            match record {
                Ok(record) => self.take(&record),
                Err(RecvError::Lagged(missed)) => self.left_out += missed,
                Err(RecvError::Closed) => break,
            }
        }
        if self.is_unread {
            stop.cancel();
        }
        while let Ok(record) = feed.try_recv() {
            self.take(&record);
        }
        self.tell_left_out();
        self
    }

    fn take(&mut self, record: &AnomalyRecord) {
        self.seen += 1;
        if let SourceField::File { offset, .. } = record.source
            && self.watched.is_anomaly(offset)
        {
            self.found += 1;
        }
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.tell_left_out();
            self.second = Instant::now();
            self.in_second = 0;
        }
        self.in_second += 1;
        if self.in_second > PER_SECOND {
            self.left_out += 1;
            return;
        }
        self.is_unread |= !print(&anomaly(record, self.colour));
    }

    fn tell_left_out(&mut self) {
        if self.left_out > 0 {
            let text = format!("          … and {} more, all of them on the page\n", self.left_out);
            self.is_unread |= !print(&text);
            self.left_out = 0;
        }
    }

    /// What there was, in two lines.
    pub fn summary(&self, app: &App, ran: Duration) {
        let scored = app.metrics.lines_scored.get();
        let rejected: u64 = RejectReason::ALL
            .iter()
            .filter_map(|reason| {
                let label = ReasonLabel { reason: reason.as_str().to_owned() };
                app.metrics.lines_rejected.get(&label).map(|counter| counter.get())
            })
            .sum();
        let injected = self.watched.anomalies();
        print(&format!(
            "\n{scored} lines scored in {:.0} s, {rejected} not readable, {} anomalies.\n\
             The simulator had put in {injected} anomalies; {} of them were found.\n",
            ran.as_secs_f64(),
            self.seen,
            self.found,
        ));
    }
}

/// Whether somebody reads it: a closed pipe is the reader's way to stop listening.
pub fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

fn anomaly(record: &AnomalyRecord, colour: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let level = record.level.unwrap_or("-");
    let level = match level {
        "ERROR" | "FATAL" => paint("31", &format!("{level:<5}")),
        "WARN" => paint("33", &format!("{level:<5}")),
        _ => format!("{level:<5}"),
    };
    let mut out = format!(
        "{}  {:<18} {level}  {}  {}\n",
        record.timestamp.get(11..19).unwrap_or(&record.timestamp),
        plain(if record.service.is_empty() { "-" } else { &record.service }),
        paint("1;33", &format!("{:.3}", record.score)),
        paint("1", &plain(&record.message)),
    );
    let reasons: Vec<String> = record.reasons.iter().take(3).map(reason).collect();
    let _ = writeln!(out, "          {}", paint("2", &format!("why: {}", reasons.join("; "))));
    if let Some(usual) = &record.nearest_pattern {
        let _ = writeln!(out, "          {}", paint("2", &format!("nearest usual line: {}", plain(usual))));
    }
    out
}

/// A reason in words.
fn reason(reason: &Reason) -> String {
    let seen = match reason.seen {
        0 => "never seen in training".to_owned(),
        1 => "seen once in training".to_owned(),
        times => format!("seen {times} times in training"),
    };
    match reason.kind {
        ReasonKind::RarePattern => format!("a line like this was {seen}"),
        ReasonKind::Severity => format!("{} here: {seen}", plain(&reason.word)),
        ReasonKind::UnusualCombination => format!("unusual together: {}", plain(&reason.word)),
        _ => format!("{:?} {seen}", plain(&reason.word)),
    }
}

/// A text without control characters, cut to what fits.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == TEXT {
            out.push('…');
            break;
        }
        if is_unseen(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_never_gets_a_control_character_of_a_line() {
        assert_eq!(plain("a\x1b[2Jb\r\nc\u{9b}d"), r"a\u{1b}[2Jb\r\nc\u{9b}d");
        assert_eq!(plain(&"x".repeat(400)).chars().count(), TEXT + 1);
    }

    #[test]
    fn a_reason_says_how_often_training_saw_the_word() {
        let word = |seen| {
            reason(&Reason { kind: ReasonKind::RareWord, word: "vault".to_owned(), contribution: 1.0, seen })
        };
        assert_eq!(word(0), "\"vault\" never seen in training");
        assert_eq!(word(1), "\"vault\" seen once in training");
        assert_eq!(word(7), "\"vault\" seen 7 times in training");
    }
}
