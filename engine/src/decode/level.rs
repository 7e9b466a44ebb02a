//! Severity words and numbers of the field's conventions become a [`Level`].

use crate::event::Level;

/// The level that a word names, in any case; digits of OpenTelemetry's ranges (`INFO2`) are allowed.
pub fn from_word(word: &str) -> Option<Level> {
    // As most programs write them.
    match word.as_bytes() {
        b"INFO" | b"info" => return Some(Level::Info),
        b"ERROR" | b"error" => return Some(Level::Error),
        b"WARN" | b"warn" => return Some(Level::Warn),
        b"DEBUG" | b"debug" => return Some(Level::Debug),
        _ => {}
    }
    let word = word.trim().trim_matches(['[', ']', '<', '>', '(', ')']);
    let word = match word.as_bytes() {
        [.., b'1'..=b'4'] if word.len() > 4 => &word[..word.len() - 1],
        _ => word,
    };
    let mut lower = [0u8; 16];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"trace" | b"trc" | b"finest" | b"finer" => Level::Trace,
        b"debug" | b"dbg" | b"dbug" | b"verbose" | b"fine" | b"config" | b"verb" => Level::Debug,
        b"info" | b"inf" | b"information" | b"informational" | b"notice" | b"note" | b"audit" => Level::Info,
        b"warn" | b"warning" | b"wrn" => Level::Warn,
        b"error" | b"err" | b"eror" | b"severe" | b"failure" => Level::Error,
        b"fatal" | b"ftl" | b"critical" | b"crit" | b"alert" | b"emerg" | b"emergency" | b"panic"
        | b"dpanic" => Level::Fatal,
        _ => return None,
    })
}

/// The level that a single letter stands for (klog, logcat, short forms in JSON).
pub fn from_letter(letter: u8) -> Option<Level> {
    Some(match letter.to_ascii_uppercase() {
        b'T' => Level::Trace,
        b'D' | b'V' => Level::Debug,
        b'I' | b'N' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' | b'C' | b'A' | b'P' => Level::Fatal,
        _ => return None,
    })
}

/// OpenTelemetry's severity number, 1–24.
pub fn from_otel(number: i64) -> Option<Level> {
    Some(match number {
        1..=4 => Level::Trace,
        5..=8 => Level::Debug,
        9..=12 => Level::Info,
        13..=16 => Level::Warn,
        17..=20 => Level::Error,
        21..=24 => Level::Fatal,
        _ => return None,
    })
}

/// Syslog's severity, 0 (emergency) to 7 (debug).
pub fn from_syslog(severity: i64) -> Option<Level> {
    Some(match severity {
        0..=2 => Level::Fatal,
        3 => Level::Error,
        4 => Level::Warn,
        5 | 6 => Level::Info,
        7 => Level::Debug,
        _ => return None,
    })
}

/// A number in a level field: syslog 0–7, pino and bunyan 10–60, Monolog and Google Cloud 100–800.
pub fn from_number(number: i64) -> Option<Level> {
    Some(match number {
        0..=7 => return from_syslog(number),
        10..=19 => Level::Trace,
        20..=29 => Level::Debug,
        30..=39 => Level::Info,
        40..=49 => Level::Warn,
        50..=59 => Level::Error,
        60 => Level::Fatal,
        100..=199 => Level::Debug,
        200..=299 => Level::Info,
        300..=399 => Level::Warn,
        400..=499 => Level::Error,
        500..=800 => Level::Fatal,
        _ => return None,
    })
}

/// The level of an HTTP status: 5xx is an error, 4xx a warning.
pub fn from_status(status: u16) -> Level {
    match status {
        500..=599 => Level::Error,
        400..=499 => Level::Warn,
        _ => Level::Info,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("SEVERE", Level::Error)]
    #[case("critical", Level::Fatal)]
    #[case("Alert", Level::Fatal)]
    #[case("EMERGENCY", Level::Fatal)]
    #[case("panic", Level::Fatal)]
    #[case("NOTICE", Level::Info)]
    #[case("Verbose", Level::Debug)]
    #[case("FINE", Level::Debug)]
    #[case("Information", Level::Info)]
    #[case("ERROR4", Level::Error)]
    #[case("[warn]", Level::Warn)]
    fn words_map_onto_six_levels(#[case] word: &str, #[case] level: Level) {
        assert_eq!(from_word(word), Some(level));
    }

    #[test]
    fn other_words_name_no_level() {
        for word in ["", "gold", "informations", "a very long word that is no level"] {
            assert_eq!(from_word(word), None, "{word}");
        }
    }

    #[test]
    fn numbers_follow_the_convention_of_their_range() {
        assert_eq!(from_number(3), Some(Level::Error));
        assert_eq!(from_number(50), Some(Level::Error));
        assert_eq!(from_number(8), None);
        assert_eq!(from_number(61), None);
        assert_eq!(from_otel(17), Some(Level::Error));
        assert_eq!(from_otel(0), None);
        assert_eq!(from_otel(25), None);
    }
}
