//! What is left out of training: times, levels, and what a filter expression says.

use engine::event::{EventTime, Level, LogEvent};
use engine::filter::Filter;

/// Lines that training must not see.
#[derive(Debug, Default)]
pub struct Excluded {
    times: Vec<(EventTime, EventTime)>,
    from_level: Option<Level>,
    filters: Vec<Filter>,
}

impl Excluded {
    /// Parses all of it; what cannot be parsed goes to `mistakes`.
    pub fn parse(
        times: &[String],
        level: Option<&str>,
        filters: &[String],
        mistakes: &mut Vec<String>,
    ) -> Self {
        let mut excluded = Self::default();
        for text in times {
            match time_range(text) {
                Ok(range) => excluded.times.push(range),
                Err(why) => mistakes.push(format!("--exclude-time = {text}: {why}; allowed: FROM..TO, such as 2026-03-01T10:00:00Z..2026-03-01T12:00:00Z; either may be left out")),
            }
        }
        if let Some(text) = level {
            match level_of(text) {
                Some(level) => excluded.from_level = Some(level),
                None => mistakes.push(format!(
                    "--exclude-level = {text} is no level: TRACE, DEBUG, INFO, WARN, ERROR or FATAL"
                )),
            }
        }
        for text in filters {
            match Filter::compile(text) {
                Ok(filter) => excluded.filters.push(filter),
                Err(error) => mistakes.push(format!("--exclude: {error}")),
            }
        }
        excluded
    }

    /// Whether anything is left out at all.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty() && self.from_level.is_none() && self.filters.is_empty()
    }

    /// Whether this line is left out.
    ///
    /// # Errors
    /// A filter cannot be evaluated on it.
    pub fn holds(&self, event: &LogEvent) -> anyhow::Result<bool> {
        if self.times.iter().any(|(from, to)| (*from..*to).contains(&event.timestamp))
            || self.from_level.is_some_and(|least| event.level.is_some_and(|level| level >= least))
        {
            return Ok(true);
        }
        for filter in &self.filters {
            if filter.matches(event)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn level_of(text: &str) -> Option<Level> {
    engine::decode::level::from_word(text.trim())
}

/// From (inclusive) and to (exclusive).
fn time_range(text: &str) -> Result<(EventTime, EventTime), String> {
    let (from, to) = text.split_once("..").ok_or("has no `..`")?;
    let from = if from.trim().is_empty() { EventTime::from_micros(i64::MIN) } else { time(from)? };
    let to = if to.trim().is_empty() { EventTime::from_micros(i64::MAX) } else { time(to)? };
    if from >= to { Err("ends before it starts".to_owned()) } else { Ok((from, to)) }
}

/// RFC 3339, or a date or local time that is taken as UTC.
pub fn time(text: &str) -> Result<EventTime, String> {
    let text = text.trim();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(EventTime::from_micros(time.as_microsecond()));
    }
    let civil = text.parse::<jiff::civil::DateTime>().map_err(|_| format!("`{text}` is not a time"))?;
    let time = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| error.to_string())?;
    Ok(EventTime::from_micros(time.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, level: Option<Level>) -> LogEvent {
        LogEvent { timestamp: time(text).unwrap(), level, ..LogEvent::default() }
    }

    #[test]
    fn a_time_range_holds_its_start_and_not_its_end() {
        let ranges = [
            "2026-03-01T10:00:00Z..2026-03-01T12:00:00+00:00".to_owned(),
            "2026-04-01..2026-04-02".to_owned(),
        ];
        let mut mistakes = Vec::new();
        let excluded = Excluded::parse(&ranges, None, &[], &mut mistakes);
        assert_eq!(mistakes, Vec::<String>::new());
        for (text, held) in [
            ("2026-03-01T09:59:59.999Z", false),
            ("2026-03-01T10:00:00Z", true),
            ("2026-03-01T12:00:00Z", false),
            ("2026-04-01T23:59:59Z", true),
            ("2026-04-02T00:00:00Z", false),
        ] {
            assert_eq!(excluded.holds(&at(text, None)).unwrap(), held, "{text}");
        }
    }

    #[test]
    fn a_level_leaves_out_itself_and_graver_ones() {
        let excluded = Excluded::parse(&[], Some("error"), &[], &mut Vec::new());
        let held: Vec<bool> =
            Level::ALL.iter().map(|level| excluded.holds(&at("2026-01-01", Some(*level))).unwrap()).collect();
        assert_eq!(held, [false, false, false, false, true, true]);
        assert!(!excluded.holds(&at("2026-01-01", None)).unwrap());
    }

    #[test]
    fn every_mistake_is_named() {
        let times = ["yesterday".to_owned(), "2026-04-02..2026-04-01".to_owned(), "x..".to_owned()];
        let mut mistakes = Vec::new();
        Excluded::parse(&times, Some("LOUD"), &["service ==".to_owned()], &mut mistakes);
        assert_eq!(mistakes.len(), 5, "{mistakes:#?}");
        assert!(mistakes[1].contains("ends before it starts"), "{}", mistakes[1]);
    }
}
