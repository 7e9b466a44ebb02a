//! What an event says of a piece of work: how long it took, how it ended, which transaction it belongs to. Reads
//! decoded events only and changes nothing.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::Regex;

use crate::event::LogEvent;

/// Which attributes hold which part; the first name of a list that an event has a usable value for wins. A name in
/// lower case matches any case; a name with a capital letter matches exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusinessNames {
    /// How long it took; the unit is the name's suffix (`_ms`, `_s`, `_us`, `_ns`) or the value's, else milliseconds.
    pub duration: Vec<String>,
    /// How it ended.
    pub outcome: Vec<String>,
    /// Which transaction it belongs to.
    pub transaction_id: Vec<String>,
    /// What it was.
    pub name: Vec<String>,
    /// How far it is.
    pub phase: Vec<String>,
}

impl Default for BusinessNames {
    fn default() -> Self {
        let list = |names: &str| names.split(' ').map(str::to_owned).collect();
        Self {
            duration: list(
                "duration_ms duration elapsed_ms elapsed took latency_ms response_time response_time_ms",
            ),
            outcome: list("outcome status result success"),
            transaction_id: list("transaction_id transactionId txn_id correlation_id trace_id traceId"),
            name: list("transaction transaction_name operation process step"),
            phase: list("phase event state"),
        }
    }
}

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// success, ok, completed, true, 2xx.
    Success,
    /// failure, failed, error, false, timeout, 5xx.
    Failure,
}

/// How far a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It began.
    Started,
    /// It ended well, or at least ended.
    Finished,
    /// It ended badly.
    Failed,
}

/// What an event says of a piece of work.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Business<'e> {
    /// In milliseconds, finite and not negative.
    pub duration_ms: Option<f64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Which transaction it belongs to.
    pub transaction_id: Option<&'e str>,
    /// What it was.
    pub name: Option<&'e str>,
    /// How far it is.
    pub phase: Option<Phase>,
}

impl<'e> Business<'e> {
    /// Reads an event; a duration is also looked for in its message (`completed in 120ms`).
    pub fn of(event: &'e LogEvent, names: &BusinessNames) -> Self {
        let text = |list: &[String]| values(event, list).map(|(_, value)| value).next();
        Self {
            duration_ms: values(event, &names.duration)
                .find_map(|(name, value)| duration_ms(name, value))
                .or_else(|| duration_in_text(&event.message)),
            outcome: values(event, &names.outcome).find_map(|(_, value)| outcome(value)),
            transaction_id: text(&names.transaction_id),
            name: text(&names.name),
            phase: values(event, &names.phase).find_map(|(_, value)| phase(value)),
        }
    }
}

/// The attributes that a list names and that are not blank, in the order of the list.
pub(super) fn values<'e: 'n, 'n>(
    event: &'e LogEvent,
    names: &'n [String],
) -> impl Iterator<Item = (&'e str, &'e str)> + 'n {
    names.iter().filter_map(|name| {
        let exact = name.bytes().any(|byte| byte.is_ascii_uppercase());
        let is = |other: &str| if exact { other == name } else { other.eq_ignore_ascii_case(name) };
        let (name, value) = event.attributes.iter().find(|(other, _)| is(other))?;
        (!value.trim().is_empty()).then_some((name.as_str(), value.trim()))
    })
}

/// Milliseconds per unit.
fn unit(word: &str) -> Option<f64> {
    const UNITS: [(&[&str], f64); 6] = [
        (&["ms", "msec", "millis", "millisecond", "milliseconds"], 1.0),
        (&["s", "sec", "secs", "second", "seconds"], 1e3),
        (&["us", "µs", "μs", "micros", "microseconds"], 1e-3),
        (&["ns", "nanos", "nanoseconds"], 1e-6),
        (&["m", "min", "mins", "minute", "minutes"], 60e3),
        (&["h", "hour", "hours"], 3_600e3),
    ];
    let is_one = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(word));
    UNITS.iter().find(|(names, _)| is_one(names)).map(|(_, milliseconds)| *milliseconds)
}

pub(crate) fn duration_ms(name: &str, value: &str) -> Option<f64> {
    duration_in(scale_of(name), value)
}

/// Milliseconds that a number without a unit stands for in an attribute of this name.
pub(crate) fn scale_of(name: &str) -> f64 {
    name.rsplit('_').next().filter(|suffix| suffix.len() < name.len()).and_then(unit).unwrap_or(1.0)
}

/// Digits that a number may have and still be exact.
const EXACT_DIGITS: usize = 15;

/// The milliseconds that a value speaks of; a number without a unit stands for so many each.
pub(crate) fn duration_in(scale: f64, value: &str) -> Option<f64> {
    if (1..=EXACT_DIGITS).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = value.bytes().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        return Some(number as f64 * scale);
    }
    let split = value.find(|byte: char| !byte.is_ascii_digit() && byte != '.').unwrap_or(value.len());
    let number: f64 = value[..split].parse().ok()?;
    let written = value[split..].trim();
    let scale = if written.is_empty() { scale } else { unit(written)? };
    Some(number * scale).filter(|duration| duration.is_finite())
}

/// Whether a number is followed by what a unit of time begins with: few messages have one.
fn has_number_with_unit(mut text: &[u8]) -> bool {
    let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    while let Some(digit) = text.iter().position(u8::is_ascii_digit) {
        let number = &text[digit..];
        let end = number.iter().position(|byte| !is_number(byte)).unwrap_or(number.len());
        let rest = &number[end..];
        // White space beyond ASCII begins with one of these bytes too.
        let spaces = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
        if let Some(first) = rest.get(spaces)
            && (*first >= 0x80 || matches!(first | 0x20, b'n' | b'u' | b'm' | b's'))
        {
            return true;
        }
        text = &rest[spaces..];
    }
    false
}

/// A duration that a text speaks of: `completed in 120ms`, `took 1.2 s`, `elapsed=35ms`.
pub(crate) fn duration_in_text(message: &str) -> Option<f64> {
    static SPOKEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?ix)
            \b(?: (?:completed|finished|done|ended|succeeded|failed|processed|handled|served|responded|executed)
                  \b [^\n]{0,60}? \b in
                | took | duration | elapsed | latency | response[\ _]time )
            \s* [:=]? \s* ([0-9]{1,12}(?:\.[0-9]{1,9})?) \s*
            (ns|us|µs|μs|msec|millis(?:econds?)?|ms|secs?|seconds?|s|mins?|minutes?) \b",
        )
        .ok()
    });
    // Every wording has one of these words; most messages have none, and need no expression.
    static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        let words = [" in", "took", "duration", "elapsed", "latency", "response"];
        AhoCorasick::builder().ascii_case_insensitive(true).build(words).ok()
    });
    if !has_number_with_unit(message.as_bytes())
        || !WORDS.as_ref().is_none_or(|words| words.is_match(message))
    {
        return None;
    }
    let captures = SPOKEN.as_ref()?.captures(message)?;
    let number: f64 = captures.get(1)?.as_str().parse().ok()?;
    Some(number * unit(captures.get(2)?.as_str())?)
}

/// Longest word that tells an outcome or a phase, in bytes.
const WORD_BYTES: usize = 12;

/// A short word in lower case; what is longer is none that is known.
fn lower<'b>(value: &str, buffer: &'b mut [u8; WORD_BYTES]) -> Option<&'b [u8]> {
    let word = buffer.get_mut(..value.len())?;
    word.copy_from_slice(value.as_bytes());
    word.make_ascii_lowercase();
    Some(word)
}

pub(crate) fn outcome(value: &str) -> Option<Outcome> {
    let mut buffer = [0; WORD_BYTES];
    match lower(value, &mut buffer)? {
        b"success" | b"succeeded" | b"successful" | b"ok" | b"completed" | b"true" | b"passed" => {
            Some(Outcome::Success)
        }
        b"failure" | b"failed" | b"fail" | b"error" | b"false" | b"timeout" | b"timed_out" | b"aborted" => {
            Some(Outcome::Failure)
        }
        [b'2', tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => Some(Outcome::Success),
        [b'5', tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => Some(Outcome::Failure),
        _ => None,
    }
}

pub(crate) fn phase(value: &str) -> Option<Phase> {
    let mut buffer = [0; WORD_BYTES];
    Some(match lower(value, &mut buffer)? {
        b"started" | b"start" | b"begin" | b"begun" => Phase::Started,
        b"finished" | b"finish" | b"completed" | b"complete" | b"done" | b"ended" | b"end" => Phase::Finished,
        b"failed" | b"failure" | b"error" | b"timeout" | b"aborted" => Phase::Failed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn event(message: &str, attributes: &[(&str, &str)]) -> LogEvent {
        LogEvent {
            message: message.to_owned(),
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..LogEvent::default()
        }
    }

    #[rstest]
    #[case("duration_ms", "120", Some(120.0))]
    #[case("duration", "120", Some(120.0))]
    #[case("duration", "120ms", Some(120.0))]
    #[case("elapsed", "1.2 s", Some(1_200.0))]
    #[case("took", "3m", Some(180_000.0))]
    #[case("response_time", "250us", Some(0.25))]
    #[case("Latency_MS", "7.5", Some(7.5))]
    #[case("took", "long", None)]
    #[case("took", "-5", None)]
    #[case("took", "5 apples", None)]
    fn a_duration_attribute_is_read_in_its_unit(
        #[case] name: &str,
        #[case] value: &str,
        #[case] expected: Option<f64>,
    ) {
        let event = event("m", &[(name, value)]);
        assert_eq!(Business::of(&event, &BusinessNames::default()).duration_ms, expected);
    }

    #[rstest]
    #[case("order completed in 120ms", Some(120.0))]
    #[case("Finished job 7 in 1.5 seconds", Some(1_500.0))]
    #[case("query took 2s", Some(2_000.0))]
    #[case("elapsed=35ms", Some(35.0))]
    #[case("retry after 5 s", None)]
    #[case("completed 3 of 4 in total", None)]
    fn a_duration_in_the_message_is_read(#[case] message: &str, #[case] expected: Option<f64>) {
        let event = event(message, &[]);
        assert_eq!(Business::of(&event, &BusinessNames::default()).duration_ms, expected);
    }

    #[test]
    fn a_suffix_of_a_name_of_the_user_is_its_unit() {
        let names = BusinessNames { duration: vec!["wait_s".to_owned()], ..BusinessNames::default() };
        assert_eq!(Business::of(&event("m", &[("wait_s", "2")]), &names).duration_ms, Some(2_000.0));
    }

    #[test]
    fn outcome_phase_name_and_id_are_read() {
        let event = event(
            "m",
            &[("status", "timeout"), ("phase", "started"), ("operation", "pay"), ("traceId", "t-1")],
        );
        let business = Business::of(&event, &BusinessNames::default());
        assert_eq!(business.outcome, Some(Outcome::Failure));
        assert_eq!(business.phase, Some(Phase::Started));
        assert_eq!((business.name, business.transaction_id), (Some("pay"), Some("t-1")));
    }

    #[rstest]
    #[case("200", Some(Outcome::Success))]
    #[case("503", Some(Outcome::Failure))]
    #[case("404", None)]
    #[case("TRUE", Some(Outcome::Success))]
    #[case("pending", None)]
    fn an_outcome_is_a_word_or_a_status(#[case] value: &str, #[case] expected: Option<Outcome>) {
        assert_eq!(outcome(value), expected);
    }

    proptest! {
        #[test]
        fn what_has_no_number_with_a_unit_speaks_of_no_duration(
            parts in prop::collection::vec(prop::sample::select(vec![
                "took", "in", "completed", " ", "\u{a0}", "\u{b}", "12", "1.5", "ms", "s", "µs", "items", "=", ":", "x", "min",
                "\u{2003}", "S", "Msec", ".", "9",
            ]), 0..12),
        ) {
            let text = parts.concat();
            let expression = Regex::new(
                r"(?i)([0-9]{1,12}(?:\.[0-9]{1,9})?) *\s*(ns|us|µs|μs|msec|millis|ms|s|min)",
            ).unwrap();
            prop_assert!(has_number_with_unit(text.as_bytes()) || !expression.is_match(&text), "{:?}", text);
        }
    }
}
