//! Times as logs write them become an [`EventTime`]. Never reads a clock: what a time leaves out (year, date, zone)
//! comes from the transport's time and a setting.

mod cursor;
mod forms;
mod iso;

use crate::event::EventTime;

pub(crate) use forms::{anywhere_at, prefix};
pub use iso::TimeMemo;

const MICROS_PER_S: i64 = 1_000_000;
const DAY_S: i64 = 86_400;
/// 0001-01-01 and 9999-12-31 in microseconds: what RFC 3339 can write.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// A time of day and as much of a date and zone as the text has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Civil {
    pub year: Option<i32>,
    /// Month and day; `None` for a time of day alone.
    pub month_day: Option<(u32, u32)>,
    /// Seconds since midnight, up to 86 400 for a leap second.
    pub second_of_day: u32,
    pub micros: u32,
    /// Seconds east of UTC.
    pub offset_s: Option<i32>,
}

/// A time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// A point in time, in microseconds since the epoch.
    Exact(i64),
    /// A calendar time.
    Civil(Civil),
}

impl Written {
    /// The point in time. A missing zone is `utc_offset_s`; a missing year or date is the latest one that is not
    /// more than a day after the transport's time. `None` where no such day exists.
    pub(crate) fn resolve(self, transport: EventTime, utc_offset_s: i32) -> Option<EventTime> {
        let micros = match self {
            Self::Exact(micros) => micros,
            Self::Civil(civil) => civil.resolve(transport.as_micros(), utc_offset_s)?,
        };
        RANGE.contains(&micros).then(|| EventTime::from_micros(micros))
    }
}

impl Civil {
    fn resolve(&self, transport: i64, utc_offset_s: i32) -> Option<i64> {
        let offset = i64::from(self.offset_s.unwrap_or(utc_offset_s));
        let at = |days: i64| {
            (days * DAY_S + i64::from(self.second_of_day) - offset) * MICROS_PER_S + i64::from(self.micros)
        };
        if let (Some(year), Some((month, day))) = (self.year, self.month_day) {
            return days(year, month, day).map(at);
        }
        let transport = transport.clamp(*RANGE.start(), *RANGE.end());
        let transport_days = (transport.div_euclid(MICROS_PER_S) + offset).div_euclid(DAY_S);
        let Some((month, day)) = self.month_day else {
            return (-1..=1)
                .map(|shift| at(transport_days + shift))
                .min_by_key(|micros| micros.abs_diff(transport));
        };
        let this_year = year_of(transport_days);
        let latest = transport.saturating_add(DAY_S * MICROS_PER_S);
        (this_year - 8..=this_year + 1)
            .rev()
            .filter_map(|year| days(year, month, day).map(at))
            .find(|micros| *micros <= latest)
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, `None` where there is no such day.
/// Howard Hinnant, "chrono-compatible low-level date algorithms".
pub(crate) fn days(year: i32, month: u32, day: u32) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (i64::from(month) + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn year_of(days: i64) -> i32 {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let year = year_of_era + era * 400 + i64::from(of_year >= 306);
    i32::try_from(year).unwrap_or(i32::MAX)
}

/// A number as seconds, milliseconds, microseconds or nanoseconds since the epoch, by its magnitude: below 10^11
/// it counts seconds (until the year 5138), below 10^14 milliseconds, below 10^17 microseconds.
pub(crate) fn from_epoch(text: &str) -> Option<Written> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if digits.bytes().any(|byte| matches!(byte, b'e' | b'E')) {
        return from_epoch_float(text.parse().ok()?);
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: i128 = whole.parse().ok().filter(|_| whole.bytes().all(|byte| byte.is_ascii_digit()))?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let per_unit: i128 = match whole {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    let mut nanos = whole.checked_mul(per_unit)?;
    let mut weight = per_unit;
    for digit in fraction.bytes().take(9) {
        weight /= 10;
        nanos += i128::from(digit - b'0') * weight;
    }
    let micros = i64::try_from(if negative { (-nanos).div_euclid(1_000) } else { nanos / 1_000 }).ok()?;
    RANGE.contains(&micros).then_some(Written::Exact(micros))
}

fn from_epoch_float(number: f64) -> Option<Written> {
    let per_unit = match number.abs() {
        size if size < 1e11 => 1e6,
        size if size < 1e14 => 1e3,
        size if size < 1e17 => 1.0,
        size if size < 1e20 => 1e-3,
        _ => return None,
    };
    let micros = (number * per_unit).floor();
    #[expect(clippy::cast_possible_truncation, reason = "checked against the range below")]
    let micros = micros as i64;
    RANGE.contains(&micros).then_some(Written::Exact(micros))
}

/// As [`from_field`], resolved; times of one minute are read quicker.
pub(crate) fn from_field_after(
    text: &[u8],
    transport: EventTime,
    utc_offset_s: i32,
    memo: &mut TimeMemo,
) -> Option<EventTime> {
    if let Some(micros) = memo.read(text).filter(|micros| RANGE.contains(micros)) {
        return Some(EventTime::from_micros(micros));
    }
    let written = std::str::from_utf8(text).ok()?;
    let time = from_field(written)?.resolve(transport, utc_offset_s)?;
    if iso::read(written).is_some() {
        memo.remember(text, time.as_micros());
    }
    Some(time)
}

/// The time that a whole field holds: any written form, or an epoch number.
pub(crate) fn from_field(text: &str) -> Option<Written> {
    let text = text.trim();
    iso::read(text).or_else(|| from_any_field(text))
}

fn from_any_field(text: &str) -> Option<Written> {
    if let Some(written) = forms::compact(text) {
        return Some(written);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'))
        && let Some(written) = from_epoch(text)
    {
        return Some(written);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match prefix(bare) {
        Some((written, length)) if bare[length..].trim().is_empty() => Some(written),
        _ => forms::date_only(bare),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// 2024-03-05T06:07:08Z.
    const TRANSPORT: EventTime = EventTime::from_millis(1_709_618_828_000);

    fn read(text: &str) -> Option<String> {
        Some(from_field(text)?.resolve(TRANSPORT, 0)?.to_string())
    }

    proptest! {
        #[test]
        fn a_time_is_the_same_whatever_was_read_before(
            texts in prop::collection::vec("(2015-10-18[T ]18:01:| 2015-10-18T18:02:|0000-12-31T23:59:|1700000000000000|18/10/2015 18:01:)[0-7][0-9]([.,][0-9]{0,10})?Z?", 1..20),
            utc_offset_s in prop::sample::select(vec![0, 3_600, -7_200]),
        ) {
            let mut memo = TimeMemo::default();
            for text in texts {
                let plain = from_field(&text).and_then(|written| written.resolve(TRANSPORT, utc_offset_s));
                prop_assert_eq!(from_field_after(text.as_bytes(), TRANSPORT, utc_offset_s, &mut memo), plain, "{}", text);
            }
        }
    }

    #[rstest]
    #[case("2015-10-18T18:01:47.978Z", "2015-10-18T18:01:47.978Z")]
    #[case("2015-10-18T18:01:47.978123456+02:00", "2015-10-18T16:01:47.978123Z")]
    #[case("2015-10-18 18:01:47,978", "2015-10-18T18:01:47.978Z")]
    #[case("2015-10-18T18:01", "2015-10-18T18:01:00Z")]
    #[case("2015-10-18 18:01:47 +0530", "2015-10-18T12:31:47Z")]
    #[case("2015-10-18 18:01:47 UTC", "2015-10-18T18:01:47Z")]
    #[case("2015-10-18T18:01:47+02:00[Europe/Madrid]", "2015-10-18T16:01:47Z")]
    #[case("2015/10/18 18:01:47", "2015-10-18T18:01:47Z")]
    #[case("2015-10-18", "2015-10-18T00:00:00Z")]
    #[case("20151018T180147Z", "2015-10-18T18:01:47Z")]
    #[case("20151018180147", "2015-10-18T18:01:47Z")]
    #[case("20151018", "2015-10-18T00:00:00Z")]
    #[case("20151018-18:01:47:978", "2015-10-18T18:01:47.978Z")]
    #[case("1700000000", "2023-11-14T22:13:20Z")]
    #[case("1700000000.25", "2023-11-14T22:13:20.25Z")]
    #[case("1700000000123", "2023-11-14T22:13:20.123Z")]
    #[case("1700000000123456", "2023-11-14T22:13:20.123456Z")]
    #[case("1700000000123456789", "2023-11-14T22:13:20.123456Z")]
    #[case("-1.5", "1969-12-31T23:59:58.5Z")]
    #[case("151018 180147", "2015-10-18T18:01:47Z")]
    #[case("15/10/18 18:01:47", "2015-10-18T18:01:47Z")]
    #[case("10/18/2015 6:01:47 PM", "2015-10-18T18:01:47Z")]
    #[case("18/10/2015 18:01:47", "2015-10-18T18:01:47Z")]
    #[case("18.10.2015 18:01:47", "2015-10-18T18:01:47Z")]
    #[case("2015-10-18-18.01.47.978123", "2015-10-18T18:01:47.978123Z")]
    #[case("Sun Oct 18 18:01:47 2015", "2015-10-18T18:01:47Z")]
    #[case("Sun Oct 18 18:01:47.978 2015", "2015-10-18T18:01:47.978Z")]
    #[case("Sun Oct 18 18:01:47 CEST 2015", "2015-10-18T16:01:47Z")]
    #[case("Sun, 18 Oct 2015 18:01:47 +0200", "2015-10-18T16:01:47Z")]
    #[case("18/Oct/2015:18:01:47 -0700", "2015-10-19T01:01:47Z")]
    #[case("18-Oct-2015 18:01:47.978", "2015-10-18T18:01:47.978Z")]
    #[case("18 Oct 2015 18:01:47,978", "2015-10-18T18:01:47.978Z")]
    #[case("Oct 18, 2015 6:01:47 PM", "2015-10-18T18:01:47Z")]
    #[case("Oct 18 2015 18:01:47", "2015-10-18T18:01:47Z")]
    #[case("Oct 18 18:01:47", "2023-10-18T18:01:47Z")]
    #[case("Mar  5 18:01:47", "2024-03-05T18:01:47Z")]
    #[case("Mar  7 18:01:47", "2023-03-07T18:01:47Z")]
    #[case("Feb 29 18:01:47", "2024-02-29T18:01:47Z")]
    #[case("03-04 18:01:47.978", "2024-03-04T18:01:47.978Z")]
    #[case("05:01:47.978", "2024-03-05T05:01:47.978Z")]
    #[case("23:01:47", "2024-03-04T23:01:47Z")]
    #[case("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z")]
    fn a_time_field_is_read(#[case] text: &str, #[case] time: &str) {
        assert_eq!(read(text).as_deref(), Some(time));
    }

    #[rstest]
    #[case("")]
    #[case("yesterday")]
    #[case("2015-02-29T00:00:00Z")]
    #[case("2015-13-01")]
    #[case("2015-10-18T25:00:00Z")]
    #[case("2015-10-18 18:01:47 and more")]
    #[case("999999999999999999999")]
    #[case("1.2.3")]
    #[case("--5")]
    fn what_is_no_time_is_refused(#[case] text: &str) {
        assert_eq!(read(text), None);
    }

    #[test]
    fn the_usual_form_takes_the_short_way() {
        for text in ["2015-10-18T18:01:47.978Z", "2015-10-18 18:01:47,978123456", "2015-10-18T18:01:47"] {
            assert!(iso::read(text).is_some(), "{text}");
            assert_eq!(iso::read(text), from_any_field(text), "{text}");
        }
    }

    #[test]
    fn a_zone_less_time_is_read_in_the_zone_that_is_set() {
        let written = from_field("2015-10-18 18:01:47").unwrap();
        assert_eq!(written.resolve(TRANSPORT, 7_200).unwrap().to_string(), "2015-10-18T16:01:47Z");
    }

    proptest! {
        #[test]
        fn every_time_that_is_printed_is_read_back(micros in -62_135_596_800_000_000i64..=253_402_300_799_999_999) {
            let time = EventTime::from_micros(micros);
            let read = from_field(&time.to_string()).and_then(|written| written.resolve(TRANSPORT, 0));
            prop_assert_eq!(read, Some(time));
        }

        #[test]
        fn the_usual_form_is_read_like_any_other(
            text in "(19|20|00|99)[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.,:][0-9a]{0,11})?(Z|z|[+]01:00| PM)?",
        ) {
            if let Some(written) = iso::read(&text) {
                prop_assert_eq!(from_any_field(&text), Some(written));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = from_field(&text).and_then(|written| written.resolve(TRANSPORT, 0));
            let _ = prefix(&text);
        }

        #[test]
        fn text_like_times_never_panics(text in "[0-9JanFebSuMo:/., TZ+-]{0,40}") {
            let _ = from_field(&text).and_then(|written| written.resolve(EventTime::from_micros(i64::MAX), 0));
        }
    }
}
