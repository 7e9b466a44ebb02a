//! Which lines go on with the record before them.

use crate::decode::cri;
use crate::decode::json::reader;
use crate::decode::{level, time};

/// What a record's lines so far say of the lines that may follow.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The first line begins as records do, so that a line that does not must belong to it.
    starts: bool,
    /// Within a Python traceback, whose last line is not indented.
    traceback: bool,
    /// Within a pretty-printed JSON object.
    braces: bool,
    stream: Option<Stream>,
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Stdout,
    Stderr,
}

impl Opening {
    /// Of a record's first line, without what a container runtime put before it.
    pub fn of(line: &str, container: Option<&cri::Parts<'_>>) -> Self {
        Self {
            starts: starts_record(line) || line.starts_with("panic: ") || line.starts_with("fatal error: "),
            traceback: is_traceback(line),
            braces: line.trim_end() == "{",
            stream: container.map(|parts| match parts.stream {
                "stderr" => Stream::Stderr,
                _ => Stream::Stdout,
            }),
        }
    }

    pub fn is_container(&self) -> bool {
        self.stream.is_some()
    }

    pub fn stream(&self) -> Option<&'static str> {
        self.stream.map(|stream| match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        })
    }

    /// Whether a line goes on with the record.
    pub fn continues_with(&self, line: &str) -> bool {
        if self.braces {
            return true;
        }
        if is_continuation(line) {
            return true;
        }
        if line.trim().is_empty() {
            return self.starts || self.traceback;
        }
        (self.starts || self.traceback) && !starts_record(line)
    }

    /// Takes note of a line that went on with the record.
    pub fn note(&mut self, line: &str) {
        if self.braces && line.starts_with('}') {
            self.braces = false;
            self.starts = false;
        }
        if is_traceback(line) {
            self.traceback = true;
        } else if self.traceback && !line.starts_with([' ', '\t']) && !line.trim().is_empty() {
            // The exception's own line ends the block; chained ones say so.
            self.traceback = line.ends_with("exception:") || line.ends_with("occurred:");
        }
    }
}

fn is_traceback(line: &str) -> bool {
    line.starts_with("Traceback (most recent call last)")
}

/// Lines that never begin a record.
fn is_continuation(line: &str) -> bool {
    let trimmed = line.trim_start();
    if trimmed.len() < line.len() && !trimmed.is_empty() {
        return true;
    }
    let is_more = || {
        line.strip_prefix("... ")
            .and_then(|rest| rest.split_once(' '))
            .is_some_and(|(count, _)| count.bytes().all(|byte| byte.is_ascii_digit()))
    };
    line.starts_with("at ")
        || ["Caused by: ", "Suppressed: ", "Traceback (most recent call last)"]
            .iter()
            .any(|start| line.starts_with(start))
        || line.starts_with("During handling of the above exception")
        || line.starts_with("The above exception was the direct cause")
        || is_more()
}

/// Whether a line begins as records do: with a time, a priority, a level, a JSON object, a known pair.
pub(super) fn starts_record(line: &str) -> bool {
    match line.as_bytes().first() {
        None | Some(b' ' | b'\t') => false,
        Some(b'{') => reader::looks_like_object(line) || line.trim_end() == "{",
        Some(b'<') => line[1..].find('>').is_some_and(|end| {
            (1..=3).contains(&end) && line.as_bytes()[1..=end].iter().all(u8::is_ascii_digit)
        }),
        _ => {
            time::anywhere_at(line).is_some()
                || time::prefix(line.strip_prefix('[').unwrap_or(line)).is_some()
                || starts_with_level(line)
                || is_klog(line)
                || ["time=", "ts=", "level=", "timestamp="].iter().any(|name| line.starts_with(name))
                || second_word_is_a_time(line)
                || is_access(line)
        }
    }
}

fn starts_with_level(line: &str) -> bool {
    let bare = line.strip_prefix('[').unwrap_or(line);
    let word = bare.split([' ', ':', ']', '\t', ',']).next().unwrap_or_default();
    !word.is_empty()
        && word.bytes().all(|byte| byte.is_ascii_uppercase())
        && level::from_word(word).is_some()
        && bare.len() > word.len()
}

fn is_klog(line: &str) -> bool {
    let bytes = line.as_bytes();
    matches!(bytes.first(), Some(b'I' | b'W' | b'E' | b'F'))
        && bytes.get(1..5).is_some_and(|date| date.iter().all(u8::is_ascii_digit))
        && bytes.get(5) == Some(&b' ')
}

/// A collector's file name, or an alert category, before the time.
fn second_word_is_a_time(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(first, rest)| {
        (first.contains(".log") || first == "-" || first.bytes().all(|byte| byte.is_ascii_uppercase()))
            && time::prefix(rest).is_some()
    })
}

fn is_access(line: &str) -> bool {
    let head = &line.as_bytes()[..line.len().min(128)];
    memchr::memmem::find(head, b" [")
        .is_some_and(|at| head.get(at + 2).is_some_and(u8::is_ascii_digit) && head.get(at + 4) == Some(&b'/'))
}
