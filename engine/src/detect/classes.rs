//! Kinds of errors that have a name of their own, told by the words of the line.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use serde::{Deserialize, Serialize};

use crate::event::{Level, LogEvent};

/// A kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// A database did not do what it was asked to.
    Database,
    /// Somebody was not let in.
    Authentication,
}

impl Class {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Database, Self::Authentication];

    /// As a person reads it, in the plural.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Database => "database errors",
            Self::Authentication => "authentication failures",
        }
    }
}

/// Words that name a kind, in lower case.
const WORDS: [(&str, Class); 38] = [
    ("database", Class::Database),
    ("deadlock", Class::Database),
    ("sqlexception", Class::Database),
    ("sql error", Class::Database),
    ("sqlstate", Class::Database),
    ("jdbc", Class::Database),
    ("postgres", Class::Database),
    ("mysql", Class::Database),
    ("mariadb", Class::Database),
    ("mongo", Class::Database),
    ("cassandra", Class::Database),
    ("ora-0", Class::Database),
    ("ora-1", Class::Database),
    ("connection pool", Class::Database),
    ("could not lock row", Class::Database),
    ("lock wait timeout", Class::Database),
    ("duplicate key", Class::Database),
    ("too many connections", Class::Database),
    ("constraint violation", Class::Database),
    ("relation does not exist", Class::Database),
    ("_db failed", Class::Database),
    ("_db within", Class::Database),
    ("authentication fail", Class::Authentication),
    ("authentication error", Class::Authentication),
    ("failed to authenticate", Class::Authentication),
    ("not authenticated", Class::Authentication),
    ("unauthorized", Class::Authentication),
    ("failed login", Class::Authentication),
    ("login failed", Class::Authentication),
    ("failed password", Class::Authentication),
    ("invalid password", Class::Authentication),
    ("invalid credentials", Class::Authentication),
    ("bad credentials", Class::Authentication),
    ("account locked", Class::Authentication),
    ("invalid user", Class::Authentication),
    ("token verification failed", Class::Authentication),
    ("invalid token", Class::Authentication),
    ("access denied for user", Class::Authentication),
];

static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    // So many words begin with so many letters that looking for those first only takes time.
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .prefilter(false)
        .kind(Some(AhoCorasickKind::DFA))
        .build(WORDS.map(|(word, _)| word))
        .ok()
});

/// The kind of a line of level WARN or above: by the first such word. A database's trouble must be an ERROR.
pub(crate) fn of(event: &LogEvent) -> Option<Class> {
    let finder = FINDER.as_ref()?;
    let found = finder.find_iter(&event.message).map(|found| WORDS[found.pattern().as_usize()].1);
    let is_error = event.level.is_some_and(|level| level >= Level::Error);
    found.into_iter().find(|class| is_error || *class == Class::Authentication)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Level::Error, "Deadlock found when trying to get lock", Some(Class::Database))]
    #[case(Level::Error, "FATAL: too many connections for role x", Some(Class::Database))]
    #[case(Level::Warn, "Failed password for root from 10.0.0.1", Some(Class::Authentication))]
    #[case(Level::Warn, "database is slow", None)]
    #[case(Level::Error, "disk full", None)]
    fn a_kind_is_told_by_its_words(
        #[case] level: Level,
        #[case] message: &str,
        #[case] expected: Option<Class>,
    ) {
        let event = LogEvent { level: Some(level), message: message.to_owned(), ..LogEvent::default() };
        assert_eq!(of(&event), expected);
    }
}
