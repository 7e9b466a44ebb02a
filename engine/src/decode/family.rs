//! The family or service of a file from its folder or name. Never opens a file.

/// Patterns such as `audit/*.json`, tried in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Families {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    segments: Vec<String>,
    name: Option<String>,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    /// Nothing to match.
    #[error(
        "the family pattern `{pattern}` has no path; `audit/*.json` or `logs/{{service}}/*.log` are such"
    )]
    Empty {
        /// As it was given.
        pattern: String,
    },
    /// `=` without a name behind it.
    #[error(
        "the family pattern `{pattern}` has nothing behind its `=`; `audit/*.json=audit` is such a pattern"
    )]
    NoName {
        /// As it was given.
        pattern: String,
    },
    /// `{service}` more than once.
    #[error("the family pattern `{pattern}` has more than one `{{service}}` or `{{family}}`; one is allowed")]
    TwoCaptures {
        /// As it was given.
        pattern: String,
    },
}

const CAPTURES: [&str; 2] = ["{service}", "{family}"];

impl Families {
    /// Compiles patterns. `*` stands for any letters within a folder's or file's name, `?` for one, `**` for any
    /// folders; a pattern is compared with the end of a path. The name is what follows a `=`, else what stands at
    /// `{service}` or `{family}`, else the last folder that the pattern names, else the file's name to its first dot.
    ///
    /// # Errors
    /// A pattern is empty, has an empty name, or more than one placeholder.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, FamilyError> {
        let patterns =
            patterns.iter().map(|pattern| Pattern::new(pattern.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// The family of a path by the first pattern that matches it.
    pub fn of(&self, path: &str) -> Option<String> {
        let segments: Vec<&str> = path.split(['/', '\\']).filter(|segment| !segment.is_empty()).collect();
        self.patterns.iter().find_map(|pattern| pattern.name_of(&segments))
    }
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self, FamilyError> {
        let (path, name) = match pattern.rsplit_once('=') {
            Some((_, name)) if name.trim().is_empty() => {
                return Err(FamilyError::NoName { pattern: pattern.to_owned() });
            }
            Some((path, name)) => (path, Some(name.trim().to_owned())),
            None => (pattern, None),
        };
        let segments: Vec<String> = path
            .trim()
            .split('/')
            .filter(|segment| !segment.is_empty() && *segment != ".")
            .map(str::to_owned)
            .collect();
        if segments.is_empty() {
            return Err(FamilyError::Empty { pattern: pattern.to_owned() });
        }
        if CAPTURES.iter().map(|capture| path.matches(capture).count()).sum::<usize>() > 1 {
            return Err(FamilyError::TwoCaptures { pattern: pattern.to_owned() });
        }
        Ok(Self { segments, name })
    }

    fn name_of(&self, path: &[&str]) -> Option<String> {
        let captured = (0..path.len()).find_map(|start| self.matches(&self.segments, &path[start..]))?;
        if let Some(name) = &self.name {
            return Some(name.clone());
        }
        if let Some(captured) = captured {
            return Some(captured.to_owned());
        }
        let folders = &self.segments[..self.segments.len() - 1];
        let literal = folders.iter().rev().find(|segment| !segment.contains(['*', '?', '{']));
        match literal {
            Some(folder) => Some(folder.clone()),
            None => path.last()?.split('.').next().filter(|stem| !stem.is_empty()).map(str::to_owned),
        }
    }

    /// What stands at the placeholder (`Some(None)` where the pattern has none), `None` where nothing matches.
    fn matches<'p>(&self, pattern: &[String], path: &[&'p str]) -> Option<Option<&'p str>> {
        let Some((first, rest)) = pattern.split_first() else { return path.is_empty().then_some(None) };
        if first == "**" {
            return (0..=path.len()).find_map(|skipped| self.matches(rest, &path[skipped..]));
        }
        let (segment, others) = path.split_first()?;
        let here = segment_matches(first, segment)?;
        self.matches(rest, others).map(|later| here.or(later))
    }
}

/// As [`Pattern::matches`] for one name.
fn segment_matches<'p>(pattern: &str, text: &'p str) -> Option<Option<&'p str>> {
    let placeholder = CAPTURES.iter().find_map(|capture| pattern.split_once(capture));
    let Some((before, after)) = placeholder else {
        return wildcard(pattern.as_bytes(), text.as_bytes()).then_some(None);
    };
    let boundaries = || text.char_indices().map(|(at, _)| at).chain([text.len()]);
    boundaries().filter(|start| wildcard(before.as_bytes(), &text.as_bytes()[..*start])).find_map(|start| {
        boundaries()
            .filter(|end| *end > start)
            .find(|end| wildcard(after.as_bytes(), &text.as_bytes()[*end..]))
            .map(|end| Some(&text[start..end]))
    })
}

/// `*` and `?` without recursion: at a mismatch the last star takes one byte more.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => match &mut star {
                Some((star_at, taken)) => {
                    *taken += 1;
                    at = *star_at + 1;
                    in_text = *taken;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("audit/*.json", "/var/log/audit/2024.json", Some("audit"))]
    #[case("audit/*.json", "/var/log/audit/2024.log", None)]
    #[case("audit/*.json", "/var/log/audit/old/2024.json", None)]
    #[case("performance/**/*.json", "performance/a/b/x.json", Some("performance"))]
    #[case("performance/**/*.json", "performance/x.json", Some("performance"))]
    #[case("{service}/*.log", "/logs/billing/app.log", Some("billing"))]
    #[case("{service}-*.log", "/logs/auth-2024.log", Some("auth"))]
    #[case("*.log", "/logs/auth.2024.log", Some("auth"))]
    #[case("bpm/*.json=processes", "in/bpm/a.json", Some("processes"))]
    #[case("a?c/*", "abc/x", Some("x"))]
    fn a_family_is_found_from_the_path(
        #[case] pattern: &str,
        #[case] path: &str,
        #[case] family: Option<&str>,
    ) {
        assert_eq!(Families::new(&[pattern]).unwrap().of(path).as_deref(), family);
    }

    #[test]
    fn the_first_pattern_that_matches_wins() {
        let families = Families::new(&["audit/*.json", "*/*.json=other"]).unwrap();
        assert_eq!(families.of("audit/a.json").as_deref(), Some("audit"));
        assert_eq!(families.of("x/a.json").as_deref(), Some("other"));
    }

    #[rstest]
    #[case("")]
    #[case("/")]
    #[case("a/*=")]
    #[case("{service}/{service}.log")]
    fn a_faulty_pattern_is_refused(#[case] pattern: &str) {
        assert!(Families::new(&[pattern]).is_err());
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "[a-c/.é*{}]{0,30}", pattern in "[a-c/.é*?]{1,12}(\\{service\\})?[a-c*.é]{0,5}") {
            if let Ok(families) = Families::new(&[pattern]) {
                let _ = families.of(&path);
            }
        }
    }
}
