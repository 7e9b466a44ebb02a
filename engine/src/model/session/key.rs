//! Which sessions a line belongs to: a field of it, such as a trace id, or what a pattern finds in its message, such
//! as a block id.

use regex::Regex;

use crate::event::LogEvent;

/// Most sessions that one line belongs to; what a pattern finds beyond them is not looked at.
const MOST_KEYS: usize = 16;
/// Longest key in bytes; longer ones are cut.
const LONGEST: usize = 128;

/// How lines are put together to sessions.
#[derive(Clone, Debug)]
pub struct SessionKey {
    setting: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Names of fields; the first one that a line has is its session.
    Fields(Vec<String>),
    /// The first group of every match in the message is a session of the line.
    Pattern(Regex),
}

/// A session key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionKeyError {
    /// Neither a name nor a pattern.
    #[error(
        "the session key `{setting}` names no field: give a field such as trace_id, a comma list of fields, \
         or a regular expression with one group such as (blk_-?\\d+)"
    )]
    Empty {
        /// The setting.
        setting: String,
    },
    /// Not a regular expression.
    #[error("the session key `{setting}` is no regular expression: {detail}")]
    Pattern {
        /// The setting.
        setting: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Not exactly one group.
    #[error(
        "the session key `{setting}` has {groups} groups, exactly one is needed: put round brackets around the \
         part that names the session"
    )]
    Groups {
        /// The setting.
        setting: String,
        /// Its groups.
        groups: usize,
    },
}

impl SessionKey {
    /// A key as a setting writes it: names of fields separated by commas (letters, digits, `_`, `-`, `.`, `@`), else
    /// a regular expression with one group.
    ///
    /// # Errors
    /// It is empty, no regular expression, or has another number of groups.
    pub fn parse(setting: &str) -> Result<Self, SessionKeyError> {
        let is_name = |name: &&str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@'))
        };
        let names: Vec<&str> = setting.split(',').map(str::trim).collect();
        let own = || setting.to_owned();
        if names.iter().all(is_name) {
            if names.iter().any(|name| name.is_empty()) {
                return Err(SessionKeyError::Empty { setting: own() });
            }
            let fields = names.into_iter().map(str::to_owned).collect();
            return Ok(Self { setting: own(), kind: Kind::Fields(fields) });
        }
        let regex = Regex::new(setting)
            .map_err(|error| SessionKeyError::Pattern { setting: own(), detail: error.to_string() })?;
        let groups = regex.captures_len() - 1;
        if groups != 1 {
            return Err(SessionKeyError::Groups { setting: own(), groups });
        }
        Ok(Self { setting: own(), kind: Kind::Pattern(regex) })
    }

    /// The setting that it was parsed from.
    pub fn as_str(&self) -> &str {
        &self.setting
    }

    /// The distinct sessions of a line in the order of its text, at most 16, each cut at 128 bytes; none where it
    /// names no session.
    pub fn sessions_of<'a>(&self, event: &'a LogEvent) -> Vec<&'a str> {
        let cut = |key: &'a str| &key[..key.floor_char_boundary(LONGEST)];
        match &self.kind {
            Kind::Fields(fields) => {
                let value = |name: &String| event.attribute(name).filter(|value| !value.trim().is_empty());
                fields.iter().find_map(value).map(cut).into_iter().collect()
            }
            Kind::Pattern(regex) => {
                let mut found: Vec<&str> = Vec::new();
                let groups = regex.captures_iter(&event.message).filter_map(|captures| captures.get(1));
                for key in groups.map(|group| cut(group.as_str())).filter(|key| !key.is_empty()) {
                    if !found.contains(&key) {
                        found.push(key);
                    }
                    if found.len() == MOST_KEYS {
                        break;
                    }
                }
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn event(message: &str) -> LogEvent {
        let attributes = vec![("traceId".to_owned(), "t1".to_owned()), ("empty".to_owned(), " ".to_owned())];
        LogEvent { message: message.to_owned(), attributes, ..LogEvent::default() }
    }

    #[rstest]
    #[case("traceId", &["t1"])]
    #[case("trace_id, empty, traceId", &["t1"])]
    #[case("other", &[])]
    #[case(r"(blk_-?\d+)", &["blk_-5", "blk_7"])]
    #[case(r"for (\w+) of", &[])]
    fn a_line_belongs_to_each_session_that_it_names(#[case] key: &str, #[case] expected: &[&str]) {
        let event = event("ask to replicate blk_-5 and blk_7, blk_-5 first");
        assert_eq!(SessionKey::parse(key).unwrap().sessions_of(&event), expected);
    }

    #[rstest]
    #[case("", "names no field")]
    #[case("a,,b", "names no field")]
    #[case("(blk", "is no regular expression")]
    #[case(r"blk_\d+", "has 0 groups")]
    #[case(r"(a)(b)", "has 2 groups")]
    fn a_key_that_cannot_be_used_is_refused(#[case] key: &str, #[case] part: &str) {
        let error = SessionKey::parse(key).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(key), "{error}");
    }

    #[test]
    fn a_line_belongs_to_a_bounded_number_of_sessions() {
        let text: String = (0..1_000).map(|n| format!("id{n} ")).collect();
        assert_eq!(SessionKey::parse(r"(id\d+)").unwrap().sessions_of(&event(&text)).len(), MOST_KEYS);
    }
}
