//! What single words and brackets of a line's head look like.

use crate::decode::level;

pub(super) fn token(text: &str) -> &str {
    text.split([' ', '\t']).next().unwrap_or_default()
}

pub(super) fn starts_with_level(text: &str) -> bool {
    let text = text.trim_start().trim_start_matches('[');
    let word = text.split(|byte: char| !byte.is_ascii_alphanumeric()).next().unwrap_or_default();
    level::from_word(word).is_some()
}

pub(super) fn closing_bracket(text: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, byte) in text.bytes().enumerate().take(256) {
        match byte {
            b'[' => open += 1,
            b']' => open = open.saturating_sub(1),
            _ => continue,
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

/// `main:QuorumPeer@913`: the thread and the class.
pub(super) fn class_at_line(text: &str) -> Option<(&str, &str)> {
    let (before, line) = text.rsplit_once('@')?;
    let (thread, class) = before.rsplit_once(':')?;
    let is_line = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    (is_line && is_component(class)).then_some((thread, class))
}

pub(super) fn is_nginx_process(text: &str) -> bool {
    text.split_once('#').is_some_and(|(pid, tid)| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits(pid) && digits(tid)
    })
}

/// `main.go:23`, `handler.py:7`.
pub(super) fn is_source_position(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(file, line)| {
        file.contains('.') && !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether a word can be the name of a program, module or class.
pub(super) fn is_component(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && !text.contains("://")
        && !text.ends_with(['/', '.', ':'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.$-/:@#".contains(&byte))
}

pub(super) fn has_word_segments(text: &str) -> bool {
    text.split('.').all(|segment| {
        segment.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || first == '$')
    }) && !text.contains(['/', '@'])
}

pub(super) fn is_thread(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower == "main"
        || ["thread", "exec-", "worker", "pool", "scheduler", "executor"]
            .iter()
            .any(|part| lower.contains(part))
        || lower.ends_with(|last: char| last.is_ascii_digit())
}
