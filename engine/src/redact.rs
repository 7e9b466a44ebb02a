//! Secrets are taken out of a line before anything of it is kept: keys, tokens, passwords, card numbers become
//! `[redacted:kind]`. Never decides what else of a line is kept.

mod blind;
mod cards;
mod clean;
mod patterns;
mod screen;

use std::borrow::Cow;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;

use crate::event::LogEvent;
use crate::features::stable_hash;
pub use clean::CleanTexts;
pub use patterns::{DEFAULT_PATTERNS, SENSITIVE_NAMES};
use screen::Screen;

/// What one kind of secret looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What stands in the place of the secret: `[redacted:kind]`. Letters, digits, `_` and `-`.
    pub kind: String,
    /// A regular expression; its group named `secret`, where it has one, is replaced, else the whole match.
    pub regex: String,
    /// A line without any of these, in any case, is not searched; none means that every line is.
    pub hints: Vec<String>,
}

impl Pattern {
    /// A pattern as a setting writes it: `kind=regular expression`.
    ///
    /// # Errors
    /// There is no `=`, or the kind has other characters than letters, digits, `_` and `-`.
    pub fn parse(setting: &str) -> Result<Self, RedactError> {
        let shape = || RedactError::Shape { setting: setting.to_owned() };
        let (kind, regex) = setting.split_once('=').ok_or_else(shape)?;
        let kind = kind.trim();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if kind.is_empty() || !kind.bytes().all(is_name) || regex.is_empty() {
            return Err(shape());
        }
        Ok(Self { kind: kind.to_owned(), regex: regex.to_owned(), hints: Vec::new() })
    }
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    /// Not of the form `kind=regex`.
    #[error("the redaction pattern `{setting}` is not of the form `kind=regular expression`")]
    Shape {
        /// As it was given.
        setting: String,
    },
    /// Not a regular expression.
    #[error("the redaction pattern `{kind}` is no regular expression: {detail}")]
    Syntax {
        /// Its kind.
        kind: String,
        /// What the parser says.
        detail: String,
    },
    /// More patterns than can be told apart.
    #[error("{count} redaction patterns are too many; at most {limit} are allowed", limit = Redactor::MAX_PATTERNS)]
    TooMany {
        /// How many there were.
        count: usize,
    },
}

/// A pattern whose expression is compiled when a line first has one of its hints: few programs meet all kinds of
/// secrets, and the default expressions together take about 5 ms and 2 MB.
#[derive(Clone, Debug)]
struct Compiled {
    pattern: Pattern,
    /// `None` within, which a test keeps out of the default patterns, where it is no regular expression.
    regex: OnceLock<Option<Expression>>,
}

#[derive(Clone, Debug)]
struct Expression {
    regex: Regex,
    has_group: bool,
    /// Whether it matches all texts that differ in their digits alone, or none of them.
    is_blind: bool,
}

/// Replaces secrets; cheap to share between threads.
#[derive(Clone, Debug)]
pub struct Redactor {
    patterns: Vec<Compiled>,
    hints: Vec<String>,
    /// Finds hints; made when a line first may have one. `None` within where there can be none.
    finder: OnceLock<Option<AhoCorasick>>,
    screen: Screen,
    /// The pattern that each hint belongs to.
    hint_owner: Vec<u32>,
    /// Whether no hint has a digit.
    overlooks_digits: bool,
    /// Patterns that every line is searched for.
    always: u64,
    cards: bool,
    names: bool,
    /// No text of plain bytes alone holds a hint (see `clean::is_plain`).
    overlooks_plain: bool,
    /// Equal for redactors of the same patterns.
    digest: u64,
}

impl Default for Redactor {
    /// With [`DEFAULT_PATTERNS`], card numbers and [`SENSITIVE_NAMES`].
    fn default() -> Self {
        Self { cards: true, names: true, ..Self::of(patterns::defaults()) }
    }
}

impl Redactor {
    /// Most patterns of one redactor.
    pub const MAX_PATTERNS: usize = 64;

    /// The default patterns, card numbers and names, and `more` patterns.
    ///
    /// # Errors
    /// A pattern is not a regular expression, or there are too many.
    pub fn new(more: &[Pattern]) -> Result<Self, RedactError> {
        let mut all = patterns::defaults();
        let known = all.len();
        all.extend(more.iter().cloned());
        Ok(Self { cards: true, names: true, ..Self::checked(all, known)? })
    }

    /// Only these patterns.
    ///
    /// # Errors
    /// As [`Redactor::new`].
    pub fn only(patterns: &[Pattern]) -> Result<Self, RedactError> {
        Self::checked(patterns.to_vec(), 0)
    }

    /// Replaces nothing.
    pub fn off() -> Self {
        Self {
            patterns: Vec::new(),
            hints: Vec::new(),
            finder: OnceLock::new(),
            screen: Screen::default(),
            hint_owner: Vec::new(),
            overlooks_digits: true,
            always: 0,
            cards: false,
            names: false,
            overlooks_plain: true,
            digest: 0,
        }
    }

    /// With these patterns, of which all but the first `known` are compiled now, so that a fault in one is told.
    fn checked(patterns: Vec<Pattern>, known: usize) -> Result<Self, RedactError> {
        if patterns.len() > Self::MAX_PATTERNS {
            return Err(RedactError::TooMany { count: patterns.len() });
        }
        let redactor = Self::of(patterns);
        for compiled in redactor.patterns.iter().skip(known) {
            let _ = compiled.regex.set(Some(Expression::new(&compiled.pattern)?));
        }
        Ok(redactor)
    }

    /// With at most [`Redactor::MAX_PATTERNS`] patterns, none of them compiled yet.
    fn of(patterns: Vec<Pattern>) -> Self {
        let mut redactor = Self::off();
        for (index, pattern) in patterns.into_iter().enumerate() {
            if pattern.hints.is_empty() {
                redactor.always |= 1 << index;
            }
            for hint in &pattern.hints {
                redactor.overlooks_digits &= !hint.bytes().any(|byte| byte.is_ascii_digit());
                redactor.hints.push(hint.clone());
                redactor.hint_owner.push(u32::try_from(index).unwrap_or(u32::MAX));
            }
            redactor.patterns.push(Compiled { pattern, regex: OnceLock::new() });
        }
        let hints = &redactor.hints;
        redactor.overlooks_plain =
            redactor.always == 0 && hints.iter().all(|hint| hint.bytes().any(|byte| !clean::is_plain(byte)));
        let patterns = redactor.patterns.iter().map(|compiled| &compiled.pattern);
        let texts = patterns.flat_map(|pattern| pattern.hints.iter().chain([&pattern.kind, &pattern.regex]));
        redactor.digest = texts.fold(1, |digest, text| stable_hash(digest, text.as_bytes()));
        redactor.screen = Screen::new(&redactor.hints.iter().map(String::as_str).collect::<Vec<_>>());
        redactor
    }

    /// Whether none of the texts that are pieces of `bytes` holds a secret, as far as a quick look can tell: `false`
    /// says nothing. Names of attributes are not looked at.
    pub fn is_clean(&self, bytes: &[u8]) -> bool {
        self.always == 0
            && (self.hints.is_empty() || !self.screen.may_hold_hint(bytes))
            && !(self.cards && screen::may_hold_card(bytes))
    }

    /// Whether neither this text nor any that differs from it in its digits alone holds a secret; `false` says nothing.
    /// Takes longer than [`Redactor::is_clean`] where the text hints at one.
    pub fn is_clean_for_all_digits(&self, text: &str) -> bool {
        let may_hold_card = || screen::may_hold_card(text.as_bytes()) && cards::has_room_for_one(text);
        if !self.overlooks_digits || self.cards && may_hold_card() {
            return false;
        }
        let mut candidates = self.candidates(text);
        while candidates != 0 {
            let index = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let expression = self.patterns.get(index).and_then(Compiled::expression);
            if !expression.is_some_and(|found| found.is_blind && !found.regex.is_match(text)) {
                return false;
            }
        }
        true
    }

    /// As [`Redactor::is_clean`], for an attribute: its name tells no secret either.
    pub fn is_clean_pair(&self, name: &str, value: &str) -> bool {
        !(self.names && patterns::sensitive_name(name).is_some()) && self.is_clean(value.as_bytes())
    }

    /// As [`Redactor::redact`], for an event whose texts are clean (see [`Redactor::is_clean`]): only attributes
    /// whose names tell a secret are left to look for.
    pub fn redact_named(&self, event: &mut LogEvent) -> usize {
        let mut changed = 0;
        if self.names {
            for (name, value) in &mut event.attributes {
                changed += redact_named(name, value).unwrap_or(0);
            }
        }
        changed
    }

    /// As [`Redactor::redact`], with the same result, in less time where texts repeat but for their digits.
    pub fn redact_knowing(&self, event: &mut LogEvent, clean: &mut CleanTexts) -> usize {
        clean.serve(self.digest ^ u64::from(self.cards));
        let mut redact = |text: &mut String| {
            let is_clean = self.overlooks_plain && clean::is_plain_text(text.as_bytes())
                || clean.is_clean(text, |text| self.is_clean_for_all_digits(text));
            if is_clean { 0 } else { self.redact_in_place(text) }
        };
        let mut changed = redact(&mut event.message) + redact(&mut event.service);
        for (name, value) in &mut event.attributes {
            let by_name = if self.names { redact_named(name, value) } else { None };
            changed += by_name.unwrap_or_else(|| redact(value));
        }
        changed
    }

    /// Replaces the secrets of an event's message, service and attributes; returns how many texts were changed.
    pub fn redact(&self, event: &mut LogEvent) -> usize {
        let mut changed = self.redact_in_place(&mut event.message) + self.redact_in_place(&mut event.service);
        for (name, value) in &mut event.attributes {
            let by_name = if self.names { redact_named(name, value) } else { None };
            changed += by_name.unwrap_or_else(|| self.redact_in_place(value));
        }
        changed
    }

    fn redact_in_place(&self, text: &mut String) -> usize {
        match self.redact_text(text) {
            Cow::Borrowed(_) => 0,
            Cow::Owned(replaced) => {
                *text = replaced;
                1
            }
        }
    }

    /// Replaces the secrets of a text; borrowed where there are none.
    pub fn redact_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut candidates = self.candidates(text);
        let mut result = Cow::Borrowed(text);
        while candidates != 0 {
            let index = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            if let Some(pattern) = self.patterns.get(index)
                && let Some(replaced) = pattern.replace(&result)
            {
                result = Cow::Owned(replaced);
            }
        }
        if self.cards
            && screen::may_hold_card(result.as_bytes())
            && let Some(replaced) = cards::replace(&result)
        {
            result = Cow::Owned(replaced);
        }
        result
    }

    /// The patterns whose hints a text has, as a bit mask.
    fn candidates(&self, text: &str) -> u64 {
        if self.hints.is_empty() || !self.screen.may_hold_hint(text.as_bytes()) {
            return self.always;
        }
        let Some(finder) = self.finder.get_or_init(|| self.new_finder()) else { return u64::MAX };
        let owner = |hit: aho_corasick::Match| 1 << self.hint_owner[hit.pattern().as_usize()];
        finder.find_overlapping_iter(text).fold(self.always, |found, hit| found | owner(hit))
    }

    fn new_finder(&self) -> Option<AhoCorasick> {
        let mut builder = AhoCorasick::builder();
        builder.ascii_case_insensitive(true).match_kind(MatchKind::Standard).build(&self.hints).ok()
    }
}

/// Replaces the value of an attribute whose name tells a secret; `None` where it tells none.
fn redact_named(name: &str, value: &mut String) -> Option<usize> {
    let kind = if value.is_empty() { None } else { patterns::sensitive_name(name) };
    let kind = kind.filter(|kind| !patterns::is_harmless(kind, value))?;
    if value.starts_with("[redacted:") {
        return Some(0);
    }
    *value = format!("[redacted:{kind}]");
    Some(1)
}

impl Expression {
    fn new(pattern: &Pattern) -> Result<Self, RedactError> {
        let syntax = |detail: String| RedactError::Syntax { kind: pattern.kind.clone(), detail };
        let regex = regex::RegexBuilder::new(&pattern.regex)
            .size_limit(1 << 20)
            .build()
            .map_err(|error| syntax(error.to_string()))?;
        if regex.is_match("") {
            return Err(syntax("it matches the empty text, so it would match everywhere".to_owned()));
        }
        let has_group = regex.capture_names().flatten().any(|name| matches!(name, "secret" | "guess"));
        Ok(Self { regex, has_group, is_blind: blind::is_blind(&pattern.regex) })
    }
}

impl Compiled {
    fn expression(&self) -> Option<&Expression> {
        self.regex.get_or_init(|| Expression::new(&self.pattern).ok()).as_ref()
    }

    fn replace(&self, text: &str) -> Option<String> {
        let own_kind = &self.pattern.kind;
        // What cannot be searched is not kept.
        let Some(Expression { regex, has_group, .. }) = self.expression() else {
            return Some(format!("[redacted:{own_kind}]"));
        };
        let mut out = String::new();
        let mut copied = 0;
        for captures in regex.captures_iter(text) {
            let whole = captures.get_match();
            let group = || ["secret", "quoted", "single"].iter().find_map(|name| captures.name(name));
            let guess = || captures.name("guess").filter(|guess| patterns::is_made_up(guess.as_str()));
            let secret = if *has_group { group().or_else(guess) } else { Some(whole) };
            let Some(secret) = secret.filter(|secret| !secret.is_empty()) else { continue };
            let kind = captures.name("kind").and_then(|name| patterns::sensitive_name(name.as_str()));
            let kind = kind.unwrap_or(own_kind);
            if secret.as_str().starts_with("[redacted") || patterns::is_harmless(kind, secret.as_str()) {
                continue;
            }
            out.push_str(&text[copied..secret.start()]);
            out.push_str("[redacted:");
            out.push_str(kind);
            out.push(']');
            copied = secret.end();
        }
        if copied == 0 {
            return None;
        }
        out.push_str(&text[copied..]);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("login password=hunter2 ok", "login password=[redacted:password] ok")]
    #[case(r#"{"password":"a b","x":1}"#, r#"{"password":"[redacted:password]","x":1}"#)]
    #[case("db_passwd: 's3cret', next", "db_passwd: '[redacted:passwd]', next")]
    #[case("api_key=abc123&x=1", "api_key=[redacted:api_key]&x=1")]
    #[case("Authorization: Bearer abcdef123456", "Authorization: Bearer [redacted:bearer]")]
    #[case("authorization=s3cr3tvalue", "authorization=[redacted:authorization]")]
    #[case("key AKIAIOSFODNN7EXAMPLE used", "key [redacted:aws_key] used")]
    #[case("amqp://guest:gu3st@mq:5672/", "amqp://[redacted:credentials]@mq:5672/")]
    #[case("postgres://u:p%40ss@db/x", "postgres://[redacted:credentials]@db/x")]
    #[case("t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_DEF-123 end", "t [redacted:jwt] end")]
    #[case("paid with 4111 1111 1111 1111 today", "paid with [redacted:card] today")]
    #[case("card=5500-0000-0000-0004", "card=[redacted:card]")]
    #[case(
        "x -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- y",
        "x [redacted:private_key] y"
    )]
    #[case("-----BEGIN PRIVATE KEY-----\nMIIEcut", "[redacted:private_key]")]
    #[case("push with ghp_0123456789abcdefghijABCDEFGHIJ012345", "push with [redacted:token]")]
    #[case(
        "aws key AKIAIOSFODNN7EXAMPLE secret wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws key [redacted:aws_key] secret [redacted:aws_secret]"
    )]
    #[case(
        "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY, ok",
        "[redacted:aws_key]:[redacted:aws_secret], ok"
    )]
    #[case("GET / Cookie: session=cookiesess88", "GET / Cookie: [redacted:cookie]")]
    #[case("Cookie: a=b1; sid=c2 status=200", "Cookie: [redacted:cookie] status=200")]
    #[case("set-cookie: sid=x9; Path=/; HttpOnly", "set-cookie: [redacted:cookie]")]
    #[case(r#"{"cookie":"sid=x9","n":1}"#, r#"{"cookie":"[redacted:cookie]","n":1}"#)]
    #[case("got cookie=deadbeef12 from ann", "got cookie=[redacted:cookie] from ann")]
    #[case("ran curl -u bob:curlpw44 http://h/", "ran curl -u bob:[redacted:password] http://h/")]
    #[case("curl -s --user 'bob:curl pw' h", "curl -s --user 'bob:[redacted:password]' h")]
    #[case("mysql -pmysqlpw00", "mysql -p[redacted:password]")]
    #[case("mysqldump -u root -p123456 shop", "mysqldump -u root -p[redacted:password] shop")]
    #[case(
        "sh -c \"mariadb-dump -h db -p'a b' x\"",
        "sh -c \"mariadb-dump -h db -p'[redacted:password]' x\""
    )]
    #[case("user's password 'sqpw88' rejected", "user's password '[redacted:password]' rejected")]
    #[case("passphrase \"a b c\" refused", "passphrase \"[redacted:passphrase]\" refused")]
    #[case("password is plainpw77", "password is [redacted:password]")]
    #[case(
        "New password was set; password set to ab12, ok",
        "New password was set; password set to [redacted:password], ok"
    )]
    #[case("PIN=9876", "PIN=[redacted:pin]")]
    #[case(
        "card_pin: \"987654\" given, pin is 1234",
        "card_pin: \"[redacted:pin]\" given, pin is [redacted:pin]"
    )]
    #[case("<password>xmlpw99</password>", "<password>[redacted:password]</password>")]
    #[case(
        "<w:Password T=\"x\"> a b </w:Password>",
        "<w:Password T=\"x\"> [redacted:password] </w:Password>"
    )]
    #[case(
        "<pin>9876</pin><Token><![CDATA[t1]]></Token>",
        "<pin>[redacted:pin]</pin><Token><![CDATA[[redacted:token]]]></Token>"
    )]
    fn a_secret_is_replaced_by_its_kind(#[case] text: &str, #[case] redacted: &str) {
        assert_eq!(Redactor::default().redact_text(text), redacted);
    }

    #[rstest]
    #[case("Failed password for root from 10.0.0.1 port 22 ssh2")]
    #[case("used 512 tokens of max_tokens=4096")]
    #[case("sudo: joe : TTY=pts/0 ; PWD=/home/joe ; USER=root")]
    #[case("Receiving block blk_4111111111111111 src: /10.0.0.1:1")]
    #[case("order 4111111111111112 shipped")]
    #[case("see https://example.com/a:b@c and 1234567890123456")]
    #[case("the secret of good tea: patience")]
    #[case("password expired for user bob")]
    #[case("password is required")]
    #[case("password is incorrect")]
    #[case("password is 8 to 20 characters long")]
    #[case("password was changed 3 days ago")]
    #[case("token expired")]
    #[case("Token verification failed: signature expired 60 s ago")]
    #[case("unexpected token '}' in line 3")]
    #[case("aws build of 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12 secret mount")]
    #[case("cookie expired; Cookie: missing")]
    #[case("curl: (7) Failed to connect to db:5432")]
    #[case("curl --url http://h:80/ -o out:1")]
    #[case("mysql -P3306 -u root -p shop; mkdir -pv data")]
    #[case("docker run --name mysql -p3306:3306 -p 33060:33060")]
    #[case("psql -p5432 -U bob")]
    #[case("usage: login <password> [options]")]
    #[case("<user>bob</user>")]
    #[case("ping=1234 ms, mapping: 12345, pin: 7 high")]
    fn ordinary_lines_are_left_alone(#[case] text: &str) {
        assert!(matches!(Redactor::default().redact_text(text), Cow::Borrowed(_)), "{text}");
    }

    #[test]
    fn no_line_of_the_sample_logs_is_changed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/sample_logs.csv");
        let text = std::fs::read_to_string(path).unwrap();
        let redactor = Redactor::default();
        assert!(text.lines().count() > 1_000);
        for line in text.lines() {
            assert_eq!(redactor.redact_text(line), line);
        }
    }

    #[test]
    fn an_attribute_with_a_telling_name_loses_its_whole_value() {
        let attributes = [
            ("http.headers.Authorization", "x y z"),
            ("userPassword", "p"),
            ("user", "ann"),
            ("note", "token=abc"),
            ("card_pin", "9876"),
            ("spin", "9876"),
        ];
        let mut event = LogEvent {
            message: "m".to_owned(),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            ..LogEvent::default()
        };
        assert_eq!(Redactor::default().redact(&mut event), 4);
        let values: Vec<_> = event.attributes.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(
            values,
            [
                "[redacted:authorization]",
                "[redacted:password]",
                "ann",
                "token=[redacted:token]",
                "[redacted:pin]",
                "9876"
            ]
        );
    }

    #[test]
    fn a_pattern_of_the_user_is_used_and_a_faulty_one_refused() {
        let pattern = Pattern::parse(r"iban=\bDE\d{20}\b").unwrap();
        let redactor = Redactor::new(&[pattern]).unwrap();
        assert_eq!(redactor.redact_text("to DE12345678901234567890"), "to [redacted:iban]");
        assert!(Pattern::parse("no pattern").is_err());
        let faulty = Pattern::parse("x=(").unwrap();
        assert!(Redactor::new(&[faulty]).unwrap_err().to_string().contains("`x`"));
        assert!(Redactor::new(&[Pattern::parse("x=a*").unwrap()]).is_err());
    }

    #[test]
    fn the_default_patterns_all_compile() {
        let defaults = patterns::defaults();
        assert_eq!(Redactor::default().patterns.len(), defaults.len());
        assert!(defaults.len() < Redactor::MAX_PATTERNS);
        for pattern in &defaults {
            assert!(Expression::new(pattern).is_ok(), "{}", pattern.kind);
        }
    }

    #[test]
    fn a_default_pattern_is_compiled_at_its_first_hint_and_one_of_the_user_at_once() {
        let redactor = Redactor::new(&[Pattern::parse(r"iban=\bDE\d{20}\b").unwrap()]).unwrap();
        let compiled = || {
            let done = redactor.patterns.iter().filter(|pattern| pattern.regex.get().is_some());
            done.map(|pattern| pattern.pattern.kind.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(compiled(), ["iban"]);
        assert_eq!(redactor.redact_text("Bearer abcdef123456"), "Bearer [redacted:bearer]");
        assert_eq!(compiled(), ["bearer", "iban"]);
    }

    #[test]
    fn off_replaces_nothing() {
        assert_eq!(Redactor::off().redact_text("password=x"), "password=x");
    }

    proptest! {
        #[test]
        fn redacting_twice_changes_nothing_more(text in "[ -~]{0,80}") {
            let redactor = Redactor::default();
            let once = redactor.redact_text(&text).into_owned();
            prop_assert_eq!(redactor.redact_text(&once), once.as_str());
        }

        #[test]
        fn a_password_never_survives(secret in "[A-Za-z0-9!#%+/]{1,24}", name in "password|PASSWORD|api_key|client_secret") {
            let redacted = Redactor::default().redact_text(&format!("user=ann {name}={secret} done")).into_owned();
            prop_assert!(redacted.ends_with("] done"), "{}", redacted);
        }
    }
}
