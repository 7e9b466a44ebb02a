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
        "aws_secret",
        r#"(?ix) (?: ^ | [^a-z] ) (?: aws | secret ) [\t\x20-~]{0,80}? [\s=:"'(,]
        (?P<secret> [a-z0-9/+]{40} ) (?: $ | [\s,;:.&"'\\)\]}] )"#,
        &["aws", "secret", "AKIA", "ASIA", "AGPA", "AIDA", "AROA"],
    ),
    (
        "cookie",
        r#"(?ix) \b cookie2? \\?["']? \s* [=:] \s* (?: \[? \\?["'] )?
        (?P<secret> [\w.$-]+ = [^\s;,"'\\]+ (?: ; \s* [^\s;,"'\\]+ )* | [^\s;,"'\\]{3,} [0-9] [^\s;,"'\\]* )"#,
        &["cookie"],
    ),
    (
        "password",
        r#"(?x) \b (?i: curl ) \b [^\n|]*? \s (?: -[a-zA-Z]{0,4}[uU] | --(?:proxy-)?user ) [\s=]*
        (?: " [^\s:"]* : (?P<quoted> [^"]+ ) | ' [^\s:']* : (?P<single> [^']+ ) | [^\s:"']* : (?P<secret> [^\s"']+ ) )"#,
        &["curl"],
    ),
    (
        "password",
        r#"(?x) \b (?: (?: mysql | mariadb ) (?: -? (?: dump | admin | import | show | check | slap | binlog | pump | sh ) )?
            | sshpass | mongo (?: sh | dump | restore | export | import )? ) (?: \.exe )? \s (?: [^\n|;&]*? \s )?
        -p (?: " (?P<quoted> [^"]+ ) | ' (?P<single> [^']+ )
            | (?P<secret> [0-9.:]* [^\s0-9.:"'`] [^\s"'`]* | [0-9]+ ) (?: $ | [\s"'`] ) )"#,
        &["mysql", "mariadb", "sshpass", "mongo"],
    ),
    (
        "password",
        r#"(?ix) < (?: [\w-]+ : )? (?P<kind> [\w.-]*? (?: password | passwd | passphrase | pwd | secret | token
            | api[_-]?key | access[_-]?key | secret[_-]?key | private[_-]?key | \b pin ) )
        (?: \s [^<>]* )? > \s* (?: <!\[CDATA\[ )? (?P<secret> [^<\s\]] [^<]*? ) (?: \]\]> )? \s* </"#,
        &["</"],
    ),
    (
        "password",
        r#"(?ix) \b (?P<kind> [\w.-]*? (?: password | passwd | passphrase ) ) \s+
        (?: \\?" (?P<quoted> [^"\\\n]+ ) \\?" | ' (?P<secret> [^'\n]+ ) ' )"#,
        &["password", "passwd", "passphrase"],
    ),
    (
        "password",
        r#"(?ix) \b (?P<kind> [\w.-]*? (?: password | passwd | passphrase ) )
        \s+ (?: (?: is | was ) :? | (?: set | reset | changed ) \s+ to ) \s+ \\?["']? (?P<guess> [^\s,;"'\\]+ )"#,
        &["password", "passwd", "passphrase"],
    ),
    (
        "pin",
        r#"(?ix) (?: ^ | [^a-z0-9] ) pin (?: [_-]? (?: code | number ) )? (?: \\?["']? \s* [=:] | \s+ is \b ) \s*
        \\?["']? (?P<secret> [0-9]{4,12} ) (?: $ | [^0-9a-z] )"#,
        &["pin"],
    ),
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
    let last_byte = |name: &[u8]| name.iter().rev().find(|byte| !matches!(byte, b'_' | b'-')).copied();
    let end = last_byte(name.as_bytes())?.to_ascii_lowercase();
    if !matches!(end, b'd' | b'e' | b'l' | b'n' | b's' | b't' | b'y') {
        return None;
    }
    let name = name.as_bytes();
    let by_end = SENSITIVE_NAMES
        .iter()
        .find(|(listed, _)| listed.as_bytes().last() == Some(&end) && ends_with(name, listed.as_bytes()))
        .map(|(_, kind)| *kind);
    by_end.or_else(|| (end == b'n' && is_pin(name)).then_some("pin"))
}

/// Many words end in `pin`, so it has to be the whole last part of a name.
fn is_pin(name: &[u8]) -> bool {
    let last = name.rsplit(|byte| matches!(byte, b'_' | b'-' | b'.')).next();
    last.is_some_and(|part| part.eq_ignore_ascii_case(b"pin"))
}

/// Whether a name ends with letters, where case, `_` and `-` do not matter.
fn ends_with(name: &[u8], end: &[u8]) -> bool {
    let mut name = name.iter().rev().filter(|byte| !matches!(byte, b'_' | b'-'));
    end.iter().rev().all(|wanted| name.next().is_some_and(|byte| byte.to_ascii_lowercase() == *wanted))
}

/// Whether what follows `password is` looks like a password: `expired` and `8` do not, `plain77` does.
pub(super) fn is_made_up(value: &str) -> bool {
    let has = |test: fn(&u8) -> bool| value.as_bytes().iter().any(test);
    let enough = if has(u8::is_ascii_alphabetic) { 4 } else { 6 };
    has(u8::is_ascii_digit) && value.len() >= enough
}

/// `PWD=/home/ann` is a directory, the scheme of an `Authorization` is no secret, a PIN has digits only, and forty
/// characters of a secret key have both cases and digits, unlike a commit's hash.
pub(super) fn is_harmless(kind: &str, value: &str) -> bool {
    let is_scheme =
        || ["bearer", "basic", "digest", "token"].iter().any(|scheme| value.eq_ignore_ascii_case(scheme));
    let has = |test: fn(&u8) -> bool| value.as_bytes().iter().any(test);
    match kind {
        "pwd" => value.starts_with('/'),
        "authorization" => is_scheme(),
        "pin" => !value.bytes().all(|byte| byte.is_ascii_digit()),
        "aws_secret" => {
            !(has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit))
        }
        _ => false,
    }
}
