//! Times as the embedded store keeps them: RFC 3339 in UTC with six digits, so that they sort as text and a person
//! reads them.

use engine::event::EventTime;

/// The first and the last time that can be kept: years 0001 to 9999, short of the very last days, which not every zone has.
const FIRST: i64 = -62_135_596_800_000_000;
const LAST: i64 = 253_402_128_000_000_000;

/// The time, moved into the years 0001 to 9999 where it is outside.
pub fn kept(time: EventTime) -> EventTime {
    EventTime::from_micros(time.as_micros().clamp(FIRST, LAST))
}

/// The latest time that can be kept.
pub const fn last() -> EventTime {
    EventTime::from_micros(LAST)
}

/// As text.
pub fn text(time: EventTime) -> String {
    match jiff::Timestamp::from_microsecond(kept(time).as_micros()) {
        Ok(time) => format!("{time:.6}"),
        // The range above is within that of a timestamp.
        Err(_) => String::new(),
    }
}

/// From text.
pub fn parse(text: &str) -> Option<EventTime> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(EventTime::from_micros(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_sorts_as_the_times_do() {
        let times = [i64::MIN, FIRST, -1, 0, 1, 999_999, 1_000_000, LAST, i64::MAX];
        let texts = times.map(|micros| text(EventTime::from_micros(micros)));
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[3], "1970-01-01T00:00:00.000000Z");
        assert_eq!(texts[0], "0001-01-01T00:00:00.000000Z");
        assert_eq!(texts[8], "9999-12-30T00:00:00.000000Z");
    }

    #[test]
    fn a_time_comes_back_as_it_was() {
        for micros in [FIRST, -1, 0, 1_700_000_000_123_456, LAST] {
            let time = EventTime::from_micros(micros);
            assert_eq!(parse(&text(time)), Some(time));
        }
    }
}
