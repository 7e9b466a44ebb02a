//! Recognises what stands before the message of a line of text: time, level, component, process and thread.

use super::words::{
    class_at_line, closing_bracket, has_word_segments, is_component, is_nginx_process, is_source_position,
    is_thread, starts_with_level, token,
};
use crate::decode::level;
use crate::decode::time::{self, Written};
use crate::event::Level;

/// Parts that a head may have at most, so that a hostile line costs no more than an ordinary one.
const MAX_PARTS: usize = 12;

/// What stands before the message.
#[derive(Debug, Default)]
pub(in crate::decode) struct Head<'a> {
    pub time: Option<Written>,
    pub level: Option<Level>,
    pub service: Option<&'a str>,
    /// `pid`, `thread`, `source`, `file`, `request`.
    pub attributes: Vec<(&'static str, &'a str)>,
    pub message: &'a str,
}

impl<'a> Head<'a> {
    /// The head of a line; what follows the first line end is never part of it.
    pub fn of(text: &'a str) -> Self {
        let line = text.lines().next().unwrap_or_default();
        let mut scanner = Scanner { line, ..Scanner::default() };
        scanner.run();
        scanner.finish(text)
    }
}

/// The parts seen so far. Parts that could as well be words of the message (numbers, brackets, dashes) wait in
/// `pending` until a part that could not follows them.
#[derive(Default)]
struct Scanner<'a> {
    line: &'a str,
    at: usize,
    committed: usize,
    after_time: usize,
    head: Head<'a>,
    pending: Vec<(&'static str, &'a str)>,
    brackets: Vec<&'a str>,
    numbers: usize,
    done: bool,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    fn run(&mut self) {
        self.ruby_letter();
        self.file_name();
        for _ in 0..MAX_PARTS {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            if self.done || self.rest().is_empty() || !self.part() {
                break;
            }
        }
        self.java_util_logging();
    }

    fn commit(&mut self) {
        self.committed = self.at;
        self.head.attributes.append(&mut self.pending);
    }

    fn known(&self) -> bool {
        self.head.time.is_some() || self.head.level.is_some()
    }

    fn part(&mut self) -> bool {
        if self.head.time.is_none() && self.time() {
            return true;
        }
        match self.rest().as_bytes()[0] {
            b'[' => self.bracket(),
            b'-' | b'|' | b':' | b'>' | b',' => self.separator(),
            b'0'..=b'9' => self.number(),
            _ => self.level() || self.component(),
        }
    }

    /// `I, [2024-01-01T12:00:00.123456 #123]  INFO -- : text`.
    fn ruby_letter(&mut self) {
        let bytes = self.line.as_bytes();
        if bytes.len() > 4 && &bytes[1..4] == b", [" && level::from_letter(bytes[0]).is_some() {
            self.at = 3;
        }
    }

    /// The name of the file that a collector put before the line.
    fn file_name(&mut self) {
        let Some((token, rest)) = self.line.split_once(' ') else { return };
        if token.contains(".log") && time::anywhere_at(rest).is_some() {
            self.head.attributes.push(("file", token));
            self.at = token.len() + 1;
        }
    }

    fn time(&mut self) -> bool {
        let rest = self.rest();
        if let Some((written, length)) = time::anywhere_at(rest) {
            let after = &rest[length..];
            let is_plain_number = matches!(written, Written::Exact(_)) && !rest[..length].contains('.');
            if !after.is_empty() && !after.starts_with([' ', '\t', ':', ',', '|', '[', ']', '-'])
                || is_plain_number && !starts_with_level(after)
            {
                return false;
            }
            self.head.time = Some(written);
            self.at += length;
            if after.starts_with([':', ',']) {
                self.at += 1;
            }
            self.commit();
            self.after_time = self.at;
            return true;
        }
        self.time_and_more_in_a_bracket()
    }

    /// `[2024-01-01 12:00:00,123: INFO/MainProcess]`, `[12:00:00 INF]`, `[2024-01-01T00:00:00Z INFO  crate::module]`.
    fn time_and_more_in_a_bracket(&mut self) -> bool {
        let Some(inside) = self.rest().strip_prefix('[') else { return false };
        let Some((written, length)) = time::prefix(inside) else { return false };
        let Some(end) = inside.find(']').filter(|end| *end >= length) else { return false };
        self.head.time = Some(written);
        for word in inside[length..end].split([' ', '/', ':']).filter(|word| !word.is_empty()) {
            if self.head.level.is_none()
                && let Some(level) = level::from_word(word)
            {
                self.head.level = Some(level);
            } else if let Some(pid) = word.strip_prefix('#') {
                self.pending.push(("pid", pid));
            }
        }
        let last = inside[length..end].rsplit(' ').next().unwrap_or_default();
        match last.rsplit_once('/') {
            Some((_, process)) => self.pending.push(("thread", process)),
            None if is_component(last) && level::from_word(last).is_none() => self.head.service = Some(last),
            None => {}
        }
        self.at += end + 2;
        self.commit();
        self.after_time = self.at;
        true
    }

    fn bracket(&mut self) -> bool {
        let rest = self.rest();
        let Some(end) = closing_bracket(rest) else { return false };
        let inside = rest[1..end].trim();
        if self.head.level.is_none()
            && let Some(level) = level::from_word(inside)
        {
            self.head.level = Some(level);
            self.at += end + 1;
            self.commit();
            return true;
        }
        if !self.known() {
            return false;
        }
        if self.head.service.is_some() {
            if inside == "-" || inside.starts_with("req-") {
                self.at += end + 1;
                self.pending.push(("request", inside));
                self.commit();
            }
            self.done = true;
            return false;
        }
        self.at += end + 1;
        match class_at_line(inside) {
            Some((thread, class)) => {
                self.pending.push(("thread", thread));
                self.head.service = Some(class);
                self.commit();
            }
            None => {
                self.pending.push(("thread", inside));
                self.brackets.push(inside);
                if self.head.level.is_some() {
                    self.commit();
                }
            }
        }
        true
    }

    fn separator(&mut self) -> bool {
        let rest = self.rest();
        let length = rest.bytes().take_while(|byte| *byte == rest.as_bytes()[0]).count();
        if length > 3 || !self.known() || !rest[length..].starts_with([' ', '\t']) {
            return false;
        }
        self.at += length;
        if self.head.level.is_some() {
            self.commit();
        }
        true
    }

    fn number(&mut self) -> bool {
        let token = token(self.rest());
        if let Some(pid) = token.strip_suffix(':').filter(|pid| is_nginx_process(pid)) {
            if self.head.level.is_none() || self.head.time.is_none() {
                return false;
            }
            self.pending.push(("pid", pid));
            self.head.service = self.head.service.or(Some("nginx"));
            self.at += token.len();
            self.commit();
            self.done = true;
            return false;
        }
        let before_dashes = self.rest()[token.len()..].trim_start().starts_with("---");
        if token.len() > 10
            || !token.bytes().all(|byte| byte.is_ascii_digit())
            || self.head.time.is_none()
            || self.head.level.is_some() && !before_dashes
            || self.numbers > 1
        {
            return false;
        }
        self.pending.push((if self.numbers == 0 { "pid" } else { "tid" }, token));
        self.numbers += 1;
        self.at += token.len();
        true
    }

    fn level(&mut self) -> bool {
        if self.head.level.is_some() {
            return false;
        }
        let token = token(self.rest());
        if token.len() == 1 && self.numbers > 0 {
            self.head.level = level::from_letter(token.as_bytes()[0]);
            self.at += 1;
            if self.head.level.is_some() {
                self.commit();
            }
            return self.head.level.is_some();
        }
        let word = token.split([':', ',', '|']).next().unwrap_or_default();
        let found = match level::from_word(word) {
            None if word == "LOG" && token == "LOG:" && self.head.time.is_some() => Some(Level::Info),
            found => found,
        };
        let Some(found) = found else { return false };
        let after = &self.rest()[word.len()..];
        let set_off =
            after.starts_with(':') || after.starts_with("  ") || after.starts_with([',', '\t', '|']);
        self.head.level = Some(found);
        let stands_apart = word.bytes().all(|byte| byte.is_ascii_uppercase())
            || set_off && self.head.time.is_some()
            || self.before_separator(word.len());
        if !stands_apart {
            self.done = true;
            return false;
        }
        self.at += word.len();
        let python_default =
            after.starts_with(':') && !after[1..].starts_with([' ', '\t']) && after.len() > 1;
        if after.starts_with([':', ',', '|']) {
            self.at += 1;
        }
        self.commit();
        if python_default {
            self.python_logger();
        }
        true
    }

    /// `WARNING:root:disk low`: the logger up to the next colon.
    fn python_logger(&mut self) {
        let Some((logger, _)) = self.rest().split_once(':') else { return };
        if is_component(logger) {
            self.head.service = Some(logger);
            self.at += logger.len() + 1;
            self.commit();
            self.done = true;
        }
    }

    fn before_separator(&self, length: usize) -> bool {
        let after = self.rest()[length..].trim_start();
        ["- ", "| ", ": "].iter().any(|separator| after.starts_with(separator))
            && self.rest()[length..].starts_with([' ', '\t'])
    }

    fn component(&mut self) -> bool {
        if self.head.service.is_some() || !self.known() {
            return false;
        }
        let token = token(self.rest());
        if let Some(name) = token.strip_suffix(':') {
            return self.component_with_colon(token, name);
        }
        if !is_component(token) {
            return false;
        }
        let after = self.rest()[token.len()..].trim_start();
        let set_off = self.before_separator(token.len());
        let dots = token.matches('.').count();
        let is_logger = match self.head.level {
            Some(_) => set_off || dots > 1 && has_word_segments(token) || dots == 1 && after.starts_with("["),
            None => set_off && starts_with_level(after.trim_start_matches(['-', '|', ':'])),
        };
        if !is_logger {
            return false;
        }
        let module = token.split_once(':').filter(|(_, rest)| !rest.starts_with(':'));
        match module {
            Some((module, _)) => {
                self.pending.push(("source", token));
                self.head.service = Some(module);
            }
            None => self.head.service = Some(token),
        }
        self.at += token.len();
        self.commit();
        true
    }

    fn component_with_colon(&mut self, token: &'a str, name: &'a str) -> bool {
        let (name, pid) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            Some((name, pid)) if pid.bytes().all(|byte| byte.is_ascii_digit()) => (name, Some(pid)),
            _ => (name, None),
        };
        if !is_component(name) || level::from_word(name).is_some() {
            return false;
        }
        self.pending.extend(pid.map(|pid| ("pid", pid)));
        if is_source_position(name) {
            self.pending.push(("source", name));
        } else {
            self.head.service = Some(name);
        }
        self.at += token.len();
        self.commit();
        self.done = self.head.level.is_some() || !starts_with_level(self.rest());
        true
    }

    /// `Jun 14, 2015 3:16:01 PM com.example.Bar method`, with the level on the second line.
    fn java_util_logging(&mut self) {
        if self.head.time.is_none() || self.head.level.is_some() || self.after_time != self.committed {
            return;
        }
        let rest = self.line.get(self.after_time..).unwrap_or_default().trim();
        let logger = rest.split(' ').next().unwrap_or_default();
        if logger.contains('.') && has_word_segments(logger) {
            self.brackets.push(logger);
        }
    }

    fn finish(mut self, text: &'a str) -> Head<'a> {
        let body = text.get(self.line.len()..).unwrap_or_default().trim_start();
        let word = body.split(':').next().unwrap_or_default();
        if self.head.level.is_none() && self.head.time.is_some() && body.len() > word.len() {
            self.head.level = level::from_word(word);
            if self.head.level.is_some() {
                self.head.service = self.brackets.pop().or(self.head.service);
                self.head.message = body[word.len() + 1..].trim();
                return self.head;
            }
        }
        if self.head.level.is_none() {
            self.brackets.clear();
        }
        if self.head.service.is_none() {
            let dotted = self.brackets.iter().find(|name| name.contains('.') && has_word_segments(name));
            let named = || self.brackets.iter().rev().find(|name| is_component(name) && !is_thread(name));
            self.head.service = dotted.or_else(named).copied();
            if let Some(service) = self.head.service {
                self.head.attributes.retain(|(_, value)| *value != service);
            }
        }
        self.head.message = [self.committed, self.after_time, 0]
            .into_iter()
            .filter_map(|at| text.get(at..))
            .map(str::trim)
            .find(|message| !message.is_empty())
            .unwrap_or_default();
        self.head
    }
}
