//! The default patterns, and the names whose whole value is a secret.

use super::Pattern;

/// Kind, regular expression and hints of the default patterns, in the order in which they are replaced.
pub const DEFAULT_PATTERNS: &[(&str, &str, &[&str])] = &[
    (
        "private_key",
        r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----(?s:.)*?(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\z)",
        &["PRIVATE KEY-----"],
    ),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*", &["eyJ"]),
    ("bearer", r"(?i)\bbearer\s+(?P<secret>[A-Za-z0-9._~+/=-]{8,})", &["bearer"]),
    ("basic", r"(?i)\bbasic\s+(?P<secret>[A-Za-z0-9+/]{16,}={0,2})", &["basic "]),
    ("aws_key", r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}\b", &["AKIA", "ASIA", "AGPA", "AIDA", "AROA"]),
    (
        "token",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}|xox[abeprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{30,})",
        &[
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "github_pat_",
            "glpat-",
            "xox",
            "AIza",
            "k_live_",
            "k_test_",
            "sk-",
            "npm_",
        ],
    ),
    ("credentials", r"(?i)[a-z][a-z0-9+.-]{1,20}://(?P<secret>[^\s/:@\[\]]*:[^\s/@\[\]]+)@", &["://"]),
    (
        "secret",
        r#"(?ix)
        \b (?P<kind> [\w.-]*? (?: password | passwd | passphrase | pwd | secret | token | api[_-]?key
            | access[_-]?key | secret[_-]?key | private[_-]?key | authorization | credentials? ) )
        \\?["']? \s* [=:]>? \s*
        (?: \\?" (?P<quoted> [^"\\]+ ) | ' (?P<single> [^']+ ) | (?P<secret> [^\s,;&"'\\<>(){}\[\]]+ ) )"#,
        &[
            "password",
            "passwd",
            "passphrase",
            "pwd",
            "secret",
            "token",
            "api_key",
            "api-key",
            "apikey",
            "access_key",
            "access-key",
            "accesskey",
            "private_key",
            "private-key",
            "privatekey",
            "authorization",
            "credential",
        ],
    ),
];

/// Ends of attribute names, in lower case without `_` and `-`, whose whole value is a secret.
pub const SENSITIVE_NAMES: &[(&str, &str)] = &[
    ("password", "password"),
    ("passwd", "passwd"),
    ("passphrase", "passphrase"),
    ("pwd", "pwd"),
    ("apikey", "api_key"),
    ("accesskey", "access_key"),
    ("secretkey", "secret_key"),
    ("privatekey", "private_key"),
    ("secret", "secret"),
    ("token", "token"),
    ("authorization", "authorization"),
    ("credential", "credentials"),
    ("credentials", "credentials"),
    ("cookie", "cookie"),
];

pub(super) fn defaults() -> Vec<Pattern> {
    DEFAULT_PATTERNS
        .iter()
        .map(|(kind, regex, hints)| Pattern {
            kind: (*kind).to_owned(),
            regex: (*regex).to_owned(),
            hints: hints.iter().map(|hint| (*hint).to_owned()).collect(),
        })
        .collect()
}

/// The kind of secret that an attribute of this name holds.
pub(super) fn sensitive_name(name: &str) -> Option<&'static str> {
    let last = name.rsplit('.').next().unwrap_or(name).as_bytes();
    SENSITIVE_NAMES.iter().find(|(end, _)| ends_with(last, end.as_bytes())).map(|(_, kind)| *kind)
}

/// Whether a name ends with letters, where case, `_` and `-` do not matter.
fn ends_with(name: &[u8], end: &[u8]) -> bool {
    let mut name = name.iter().rev().filter(|byte| !matches!(byte, b'_' | b'-'));
    end.iter().rev().all(|wanted| name.next().is_some_and(|byte| byte.to_ascii_lowercase() == *wanted))
}

/// `PWD=/home/ann` is a directory, and the scheme of an `Authorization` is no secret.
pub(super) fn is_harmless(kind: &str, value: &str) -> bool {
    let is_scheme =
        || ["bearer", "basic", "digest", "token"].iter().any(|scheme| value.eq_ignore_ascii_case(scheme));
    match kind {
        "pwd" => value.starts_with('/'),
        "authorization" => is_scheme(),
        _ => false,
    }
}
