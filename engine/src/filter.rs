//! Filter expressions over log events: one language (CEL, the Common Expression Language) for training filters,
//! rules and silences. Never changes an event.
//!
//! Variables: `service`, `level`, `message`, `timestamp` (strings; `timestamp` is RFC 3339 in UTC with six fraction
//! digits, so that comparing strings compares times), `timestamp_ms` (integer), `severity` (integer: −1 none,
//! 0 TRACE, 1 DEBUG, 2 INFO, 3 WARN, 4 ERROR, 5 FATAL; the names are constants, as in `severity >= ERROR`) and
//! `attributes` (map of strings). An attribute that an event does not have makes the whole filter false; `has(…)`
//! and `in` ask for it.

mod check;
mod variables;

use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, ExecutionError, Program, Value};

use crate::event::{Level, LogEvent};
use variables::Variables;

/// Longest expression in bytes.
pub const MAX_SOURCE_BYTES: usize = 4_096;

/// The parser recurses deeply: 64 levels of nesting took less than 8 MiB in a build without optimisation.
const STACK_BYTES: usize = 32 << 20;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Why an expression cannot be used, or could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Empty.
    #[error(
        "the filter is empty; an expression such as `service == \"billing\" && severity >= ERROR` is needed"
    )]
    Empty,
    /// Longer than [`MAX_SOURCE_BYTES`].
    #[error("the filter has {length} bytes, at most {MAX_SOURCE_BYTES} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Not CEL.
    #[error("the filter `{filter}` is faulty at line {line}, column {column}: {detail}")]
    Syntax {
        /// The expression.
        filter: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What the parser says.
        detail: String,
    },
    /// Nested too deeply, or loops in loops in loops.
    #[error("the filter `{filter}` is too complex: {detail}")]
    TooComplex {
        /// The expression.
        filter: String,
        /// What is too much.
        detail: String,
    },
    /// A name that is no variable.
    #[error("the filter `{filter}` asks for `{name}`; known are: {known}", known = variables::NAMES.join(", "))]
    UnknownName {
        /// The expression.
        filter: String,
        /// The name.
        name: String,
    },
    /// Not true or false.
    #[error("the filter `{filter}` gives {got}; a filter must give true or false")]
    NotBoolean {
        /// The expression.
        filter: String,
        /// What it gave.
        got: String,
    },
    /// It failed on an event.
    #[error("the filter `{filter}` failed: {detail}")]
    Failed {
        /// The expression.
        filter: String,
        /// What went wrong.
        detail: String,
    },
}

/// A compiled filter; cheap to share between threads behind an `Arc`.
pub struct Filter {
    source: String,
    program: Program,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.source).finish()
    }
}

impl Filter {
    /// Compiles an expression and tries it on two events, so that mistakes show before the first line.
    ///
    /// # Errors
    /// It is empty, too long, no CEL, too complex, asks for unknown names, or is not true or false.
    pub fn compile(source: &str) -> Result<Self, FilterError> {
        if source.trim().is_empty() {
            return Err(FilterError::Empty);
        }
        if source.len() > MAX_SOURCE_BYTES {
            return Err(FilterError::TooLong { length: source.len() });
        }
        let owned = source.to_owned();
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).name("filter".to_owned());
        let program = match thread.spawn(move || compile(&owned)) {
            Ok(handle) => handle.join().unwrap_or_else(|_| {
                Err(FilterError::Failed {
                    filter: source.to_owned(),
                    detail: "the parser gave up on it".to_owned(),
                })
            })?,
            // A platform without threads (WebAssembly).
            Err(_) => compile(source)?,
        };
        let filter = Self { source: source.to_owned(), program };
        for level in [None, Some(Level::Error)] {
            filter.matches(&LogEvent { level, ..LogEvent::default() })?;
        }
        Ok(filter)
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether an event matches. An attribute that it does not have makes it no match.
    ///
    /// # Errors
    /// The expression compares what cannot be compared, or does not give true or false.
    pub fn matches(&self, event: &LogEvent) -> Result<bool, FilterError> {
        let variables = Variables::new(event);
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.set_variable_resolver(&variables);
        match self.program.execute(&context) {
            Ok(Value::Bool(matches)) => Ok(matches),
            Ok(other) => Err(FilterError::NotBoolean {
                filter: self.source.clone(),
                got: format!("{other:?}").chars().take(80).collect(),
            }),
            Err(ExecutionError::NoSuchKey(_)) => Ok(false),
            Err(error) => Err(FilterError::Failed {
                filter: self.source.clone(),
                detail: error.to_string().chars().take(200).collect(),
            }),
        }
    }
}

fn compile(source: &str) -> Result<Program, FilterError> {
    let program = Program::compile(source).map_err(|errors| {
        let first = errors.errors.first();
        let place = |place: isize| usize::try_from(place).unwrap_or(1).max(1);
        FilterError::Syntax {
            filter: source.to_owned(),
            line: first.map_or(1, |error| place(error.pos.0)),
            column: first.map_or(1, |error| place(error.pos.1)),
            detail: first.map_or_else(|| "no expression".to_owned(), |error| error.msg.clone()),
        }
    })?;
    check::check(program.expression(), source)?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::event::EventTime;

    fn event() -> LogEvent {
        LogEvent {
            timestamp: EventTime::from_millis(1_700_000_000_000),
            service: "billing".to_owned(),
            level: Some(Level::Error),
            message: "card refused".to_owned(),
            attributes: vec![("user.id".to_owned(), "7".to_owned()), ("region".to_owned(), "eu".to_owned())],
            ..LogEvent::default()
        }
    }

    #[rstest]
    #[case(r#"service == "billing""#, true)]
    #[case(r#"service == "auth" || level == "ERROR""#, true)]
    #[case("severity >= 4", true)]
    #[case("severity >= WARN && severity < FATAL", true)]
    #[case(r#"message.contains("refused")"#, true)]
    #[case(r#"message.matches("^card .*ed$")"#, true)]
    #[case(r#"attributes["user.id"] == "7""#, true)]
    #[case(r#"attributes.region == "us""#, false)]
    #[case(r#"has(attributes.region)"#, true)]
    #[case(r#""region" in attributes"#, true)]
    #[case(r#"attributes.none == "x""#, false)]
    #[case(r#"["auth", "billing"].exists(name, name == service)"#, true)]
    #[case(r#"timestamp >= "2023-11-14" && timestamp < "2023-11-15""#, true)]
    #[case("timestamp_ms == 1700000000000", true)]
    #[case("true", true)]
    fn a_filter_reads_the_event(#[case] source: &str, #[case] expected: bool) {
        assert_eq!(Filter::compile(source).unwrap().matches(&event()), Ok(expected));
    }

    #[rstest]
    #[case("", "empty")]
    #[case("service ==", "line 1, column")]
    #[case("servce == \"x\"", "`servce`; known are: service")]
    #[case("message", "true or false")]
    #[case("severity > \"x\"", "failed")]
    #[case("nothing(service)", "failed")]
    #[case("[1].all(a, [1].all(b, [1].all(c, true)))", "too complex")]
    fn a_faulty_filter_is_refused_with_the_reason(#[case] source: &str, #[case] part: &str) {
        let error = Filter::compile(source).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn what_would_loop_for_long_is_refused() {
        let list = |length: usize| format!("[{}]", vec!["1"; length].join(","));
        let (long, short) = (list(200), list(15));
        let nested = format!("{long}.exists(a, {long}.exists(b, a + b == 0))");
        for filter in [
            nested.as_str(),
            &format!("{long}.exists(a, message.matches(\"x\"))"),
            &format!("{long}.map(a, {short}).exists(a, a.exists(b, b == 2))"),
            &format!("({long} + {long}).map(a, a).exists(a, {short}.exists(b, b == a))"),
            "attributes.exists(a, attributes.exists(b, a == b))",
        ] {
            let error = Filter::compile(filter).unwrap_err();
            assert!(matches!(error, FilterError::TooComplex { .. }), "{filter}: {error}");
        }
        for filter in [
            format!("{long}.exists(a, a == 2)"),
            format!("{short}.exists(a, {short}.exists(b, a + b == 3))"),
            "attributes.exists(name, attributes[name] == \"eu\")".to_owned(),
        ] {
            assert!(Filter::compile(&filter).is_ok(), "{filter}: {:?}", Filter::compile(&filter));
        }
    }

    #[test]
    fn long_and_deep_filters_are_refused() {
        let long = format!("message == \"{}\"", "x".repeat(MAX_SOURCE_BYTES));
        assert!(matches!(Filter::compile(&long), Err(FilterError::TooLong { .. })));
        for deep in [
            format!("{}true{}", "(".repeat(2_000), ")".repeat(2_000)),
            format!("{}true", "!".repeat(4_000)),
            format!("1{} > 0", "+1".repeat(2_000)),
            format!("{}1{} == 1", "[".repeat(2_000), "]".repeat(2_000)),
            format!("attributes{} == \"\"", ".a".repeat(2_000)),
            format!("true{}", "?true:true".repeat(400)),
        ] {
            let _ = Filter::compile(&deep);
        }
    }

    #[test]
    fn a_filter_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>(_: &T) {}
        shared(&Filter::compile("true").unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_source_makes_it_panic(source in r#"[a-z"()\[\]{}.!&|<>=+*/?:, 0-9-]{0,60}"#) {
            let _ = Filter::compile(&source);
        }
    }
}
