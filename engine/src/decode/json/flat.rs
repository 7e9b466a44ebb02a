//! One flat JSON object in one pass: the fields' places are noted, not built, and their texts are copied once, into
//! buffers that are used again. Whatever is out of the ordinary is left to the general way in [`super::reader`] and
//! [`super::fields`]; what this one takes, it decodes to the same event.

use std::fmt::Write as _;

use super::heads::{Following, KnownNames, Meaning};
use super::reader::Reader;
use crate::decode::events::{Events, Filling};
use crate::decode::fields::{self, integer};
use crate::decode::settings::Part;
use crate::decode::shape::Scope;
use crate::decode::{level, plain, time};
use crate::event::{EventTime, Level, Limits, TimeSource};

/// Where the fields of a record are; kept only for its memory.
#[derive(Debug, Default)]
pub(in crate::decode) struct Spans(Vec<Field>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// A text with a backslash in it.
    Escaped,
    /// A number, a boolean or an array, as it is written.
    Written,
    Null,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
    kind: Kind,
    is_number: bool,
}

/// Fields that were found for the parts of an event: the rank of the name in its list, and the field's number.
#[derive(Clone, Copy, Debug, Default)]
struct Found([Option<(u16, u16)>; Part::COUNT]);

impl Found {
    fn at(&self, part: Part) -> Option<usize> {
        self.0[part as usize].map(|(_, index)| usize::from(index))
    }
}

/// Decodes a record's text and says whether it did; where not, nothing is appended.
pub(in crate::decode) fn decode(
    text: &str,
    scope: &Scope<'_>,
    known: Option<&mut KnownNames>,
    out: &mut Events,
) -> bool {
    let mut spans = std::mem::take(&mut out.spans);
    spans.0.clear();
    let before = out.len();
    let following = known.map(|known| known.follow(scope.names().digest()));
    let found = scan(text, scope, following, &mut spans.0);
    let decoded = found.and_then(|found| fill(text, &spans.0, found, scope, out)).is_some();
    if !decoded {
        out.truncate(before);
    }
    out.spans = spans;
    decoded
}

/// Notes the fields of an object that holds no other one. `None`: not of this kind, or at fault.
fn scan(
    text: &str,
    scope: &Scope<'_>,
    mut following: Option<Following<'_>>,
    fields: &mut Vec<Field>,
) -> Option<Found> {
    let limits = &scope.settings().limits;
    let most = limits.max_attributes.min(usize::from(u16::MAX) - 1);
    u32::try_from(text.len()).ok().filter(|_| limits.max_depth > 0)?;
    let mut found = Found::default();
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    loop {
        let from = cursor.at;
        let foreseen = following.as_mut().and_then(|following| following.next(cursor.bytes.get(from..)?));
        let (name, meaning) = match foreseen {
            Some(head) => {
                cursor.at += head.length();
                let (start, end) = head.name();
                ((from + start, from + end), *head.meaning())
            }
            None => {
                let (name, meaning) = cursor.head(text, scope)?;
                if let Some(following) = &mut following {
                    following.take(&cursor.bytes[from..cursor.at], (name.0 - from, name.1 - from), meaning);
                }
                (name, meaning)
            }
        };
        let (kind, value, is_number) = cursor.value(text, limits)?;
        let index = u16::try_from(fields.len()).ok().filter(|_| fields.len() < most)?;
        if kind != Kind::Null {
            let is_text = matches!(kind, Kind::Text);
            for (part, rank) in meaning.parts() {
                if kind == Kind::Escaped && !MAY_BE_ESCAPED.iter().any(|other| *other as u8 == part) {
                    return None;
                }
                let best = &mut found.0[usize::from(part)];
                let is_better = best.is_none_or(|best| (rank, index) < best);
                if is_better && !(is_text && text[value.0..value.1].trim().is_empty()) {
                    *best = Some((rank, index));
                }
            }
        }
        fields.push(Field {
            name: (name.0 as u32, name.1 as u32),
            value: (value.0 as u32, value.1 as u32),
            kind,
            is_number,
        });
        cursor.space();
        if cursor.eat(b'}') {
            cursor.space();
            return (cursor.at == cursor.bytes.len()).then_some(found);
        }
    }
}

/// Parts of which it is not known yet whether they are needed, when a backslash is met in them.
const MAY_BE_ESCAPED: [Part; 4] = [Part::Message, Part::Method, Part::Url, Part::Status];

/// Makes the event. `None`: this needs the general way.
fn fill(text: &str, fields: &[Field], found: Found, scope: &Scope<'_>, out: &mut Events) -> Option<()> {
    let name = |field: &Field| &text[field.name.0 as usize..field.name.1 as usize];
    let value = |field: &Field| &text[field.value.0 as usize..field.value.1 as usize];
    let (time_at, level_at, service_at) =
        (found.at(Part::Time), found.at(Part::Level), found.at(Part::Service));
    let message_at = found.at(Part::Message);
    if service_at.is_none() && fields.iter().any(|field| name(field) == "hostname") {
        return None;
    }
    let timestamp = match time_at {
        None => None,
        Some(index) => Some(time_of(value(&fields[index]), fields[index].is_number, scope)?),
    };
    let status = match (message_at, level_at) {
        (Some(_), Some(_)) => None,
        _ => status_of(text, fields, found)?,
    };
    let level = match level_at {
        None if found.at(Part::SeverityNumber).is_some() => return None,
        None => status.map(level::from_status),
        Some(index) => Some(level_of(value(&fields[index]))?),
    };
    let request = match message_at {
        Some(_) => None,
        None => Some((found.at(Part::Method)?, found.at(Part::Url)?, status?)),
    };
    let mut filling = out.next();
    for (index, field) in fields.iter().enumerate() {
        if Some(index) == message_at {
            write(text, field, scope, &mut filling.event.message)?;
        } else if Some(index) == service_at {
            let service = value(field);
            let from_docker = name(field) == "container_name";
            let service = if from_docker { service.strip_prefix('/').unwrap_or(service) } else { service };
            filling.event.service.push_str(service);
        } else if Some(index) != time_at && Some(index) != level_at && field.kind != Kind::Null {
            write(text, field, scope, filling.attribute(name(field)))?;
        }
    }
    let Filling { event, .. } = filling;
    event.timestamp = timestamp.unwrap_or(scope.context.transport_time);
    event.time_source = if timestamp.is_some() { TimeSource::Record } else { TimeSource::Transport };
    event.level = level;
    if event.service.is_empty()
        && let Some(known) = scope.context.service.or(request.map(|_| "web"))
    {
        event.service.push_str(known);
    }
    if let Some((method, url, status)) = request {
        let (method, url) = (value(&fields[method]), value(&fields[url]));
        // Writing into a text cannot fail.
        let _ = write!(event.message, "{method} {url} {status}");
    }
    event.message.truncate(event.message.trim_end_matches(['\n', '\r']).len());
    let start = event.message.trim_start();
    if start.is_empty() || start.starts_with('{') {
        return None;
    }
    if event.level.is_none() {
        plain::read_message(event, scope);
    }
    fields::check(event, scope).ok()?;
    Some(())
}

/// The HTTP status of a web access record, `Some(None)` where it is none. `None`: this needs the general way.
fn status_of(text: &str, fields: &[Field], found: Found) -> Option<Option<u16>> {
    let parts = [Part::Method, Part::Url, Part::Status].map(|part| found.at(part).map(|at| &fields[at]));
    let [Some(method), Some(url), Some(status)] = parts else { return Some(None) };
    if [method, url, status].iter().any(|field| field.kind == Kind::Escaped) {
        return None;
    }
    let written = &text[status.value.0 as usize..status.value.1 as usize];
    let status = integer(written.trim()).and_then(|status| u16::try_from(status).ok());
    Some(status.filter(|status| (100..600).contains(status)))
}

fn write(text: &str, field: &Field, scope: &Scope<'_>, into: &mut String) -> Option<()> {
    let (start, end) = (field.value.0 as usize, field.value.1 as usize);
    if field.kind == Kind::Escaped {
        return Reader::at(text, start - 1, &scope.settings().limits).string_into(into).ok();
    }
    into.push_str(&text[start..end]);
    Some(())
}

fn time_of(text: &str, is_number: bool, scope: &Scope<'_>) -> Option<EventTime> {
    let written = if is_number { time::from_epoch(text) } else { time::from_field(text) };
    written?.resolve(scope.context.transport_time, scope.settings().utc_offset_s)
}

fn level_of(text: &str) -> Option<Level> {
    let text = text.trim();
    if text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) {
        let letter = || match text.as_bytes() {
            [letter] => level::from_letter(*letter),
            _ => None,
        };
        return level::from_word(text).or_else(letter);
    }
    level::from_number(integer(text)?)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Passes over what stands in front of a value, from the brace or comma on; the name's place, and what it means.
    fn head(&mut self, text: &str, scope: &Scope<'_>) -> Option<((usize, usize), Meaning)> {
        let is_first = self.at == 0;
        self.expect(if is_first { b'{' } else { b',' })?;
        self.space();
        self.expect(b'"')?;
        let (start, end, escaped) = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        let name = &text[start..end];
        let names = scope.names();
        if escaped || names.wraps(name) || (is_first && name.starts_with("schema")) {
            return None;
        }
        Some(((start, end), Meaning::of(name, names)))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Passes over a string whose opening quote was passed; its place, and whether a backslash is in it.
    fn string(&mut self) -> Option<(usize, usize, bool)> {
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.special()? {
                b'"' => {
                    self.at += 1;
                    return Some((start, self.at - 1, escaped));
                }
                _ => {
                    escaped = true;
                    self.at += 2;
                }
            }
        }
    }

    /// Goes to the next quote or backslash, eight bytes at a time.
    fn special(&mut self) -> Option<u8> {
        const LOW: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        // The lowest bit that is set stands for the first byte that is zero.
        let zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
        while let Some(eight) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*eight);
            let special = zero(word ^ (LOW * 0x22)) | zero(word ^ (LOW * 0x5c));
            if special != 0 {
                self.at += (special.trailing_zeros() / 8) as usize;
                return self.peek();
            }
            self.at += 8;
        }
        while let Some(byte) = self.peek() {
            if matches!(byte, b'"' | b'\\') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Passes over a value: its kind, its place, and whether it is a number.
    fn value(&mut self, text: &str, limits: &Limits) -> Option<(Kind, (usize, usize), bool)> {
        let start = self.at;
        match self.peek()? {
            b'"' => {
                self.at += 1;
                let (start, end, escaped) = self.string()?;
                let kind = if escaped { Kind::Escaped } else { Kind::Text };
                return Some((kind, (start, end), false));
            }
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => {
                self.word(b"null")?;
                return Some((Kind::Null, (start, self.at), false));
            }
            b'-' | b'0'..=b'9' => {
                self.number()?;
                return Some((Kind::Written, (start, self.at), true));
            }
            b'[' => {
                let mut reader = Reader::at(text, start, limits);
                reader.skip(1).ok()?;
                self.at = reader.place();
            }
            _ => return None,
        }
        Some((Kind::Written, (start, self.at), false))
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::decode::json::{event, reader};
    use crate::decode::{DecodeSettings, Decoder, RecordContext};
    use crate::event::LogEvent;

    /// What the flat way and the general way make of a text; `known` may hold the names of others.
    fn both(text: &str, known: Option<&mut KnownNames>) -> (Option<LogEvent>, Option<LogEvent>) {
        let decoder = Decoder::default();
        let context = RecordContext { transport_time: EventTime::from_micros(7), service: Some("known") };
        let scope = Scope::new(&decoder, context);
        let mut out = Events::default();
        out.next().attribute("left").push_str("over");
        out.next().event.message.push_str("left over");
        out.clear();
        let flat = decode(text.trim(), &scope, known, &mut out).then(|| out[0].clone());
        assert_eq!(out.len(), usize::from(flat.is_some()));
        let general =
            reader::object(text.trim(), &decoder.settings().limits).and_then(|fields| event(fields, &scope));
        (flat, general.ok())
    }

    fn assert_same(text: &str, known: &mut KnownNames) -> bool {
        let (flat, general) = both(text, None);
        if flat.is_some() {
            assert_eq!(flat, general, "{text}");
        }
        // When its names come for the first time, and when they come again.
        for _ in 0..2 {
            assert_eq!(both(text, Some(known)).0, flat, "{text}");
        }
        flat.is_some()
    }

    fn object() -> impl Strategy<Value = String> {
        let fields = prop::collection::vec((name(), value(), " ?", "[,{:]?"), 0..7);
        (fields, "[ }x]?").prop_map(|(fields, end)| {
            let field = |(at, (name, value, space, fault)): (usize, (String, String, String, String))| {
                let fault = if at == 3 { fault } else { String::new() };
                format!("{space}\"{name}\"{space}:{space}{value}{fault}")
            };
            let fields: Vec<String> = fields.into_iter().enumerate().map(field).collect();
            format!("{{{}}}{end}", fields.join(","))
        })
    }

    fn name() -> impl Strategy<Value = String> {
        let known = prop::sample::select(vec![
            "time",
            "timestamp",
            "@timestamp",
            "level",
            "LEVEL",
            "severity",
            "severity_number",
            "service",
            "Service",
            "app",
            "container_name",
            "logger",
            "message",
            "msg",
            "log",
            "payload",
            "schema",
            "schema.x",
            "payload.a",
            "message.b",
            "method",
            "url",
            "status",
            "pid",
            "name",
            "hostname",
            "eventTime",
            "eventtime",
            "host",
            "log.level",
            "service.name",
        ]);
        prop_oneof![4 => known.prop_map(str::to_owned), 1 => "[a-z_.]{0,8}", 1 => r"[a-c\\]{1,3}"]
    }

    fn value() -> impl Strategy<Value = String> {
        let known = prop::sample::select(vec![
            r#""INFO""#,
            r#""w""#,
            r#""[warn]""#,
            r#""30""#,
            "30",
            "30.0",
            "3",
            r#""""#,
            r#"" ""#,
            "null",
            "true",
            "false",
            r#""2026-01-05T12:00:00.123Z""#,
            r#""2026-01-05 12:00:00""#,
            "1767614400",
            "1767614400123.5",
            r#""noon""#,
            r#""disk full on /dev/sda1\n""#,
            r#""\n""#,
            r#""say \"hi\" \u00e9""#,
            r#""{\"message\":\"in\"}""#,
            r#""{x}""#,
            r#""error: no such user""#,
            r#""2026-01-05 12:00:00 WARN [main] a.b.C - slow""#,
            r#""GET""#,
            r#""/x""#,
            "503",
            "404.0",
            r#"" 204 ""#,
            "99",
            r#"["a", 1, {"b": 2}]"#,
            "[1,]",
            r#"{"name":"api","level":"warn"}"#,
            "-0.5e+3",
            "01",
            "nul",
            r#""/box""#,
            r#""ünï ""#,
            "\"line\r\n\"",
        ]);
        prop_oneof![6 => known.prop_map(str::to_owned), 1 => r#""[ -~é]{0,20}""#, 1 => "-?[0-9]{1,3}([.][0-9]{1,2})?"]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_flat_way_makes_the_same_event_as_the_general_way_whatever_names_came_before(
            objects in prop::collection::vec(object(), 1..6),
        ) {
            let mut known = KnownNames::default();
            for object in objects.iter().chain(&objects) {
                assert_same(object, &mut known);
            }
        }
    }

    #[test]
    fn names_beyond_those_that_are_kept_read_as_before() {
        let mut known = KnownNames::default();
        for record in 0..3_000 {
            let one = format!(r#"{{"n{}":1,"message":"m {record}","x{record}":2}}"#, record % 700);
            assert!(assert_same(&one, &mut known), "{one}");
            let faulty = format!(r#"{{"message":"m"{{"n{}":1}}"#, record % 700);
            assert!(!assert_same(&faulty, &mut known), "{faulty}");
        }
    }

    #[test]
    fn names_of_other_settings_are_not_taken_for_ones_own() {
        let names =
            |time: &str| crate::decode::FieldNames { time: vec![time.to_owned()], ..Default::default() };
        let decoder = |time| Decoder::new(DecodeSettings { names: names(time), ..DecodeSettings::default() });
        let (one, other) = (decoder("then"), decoder("when"));
        let (mut known, mut out) = (KnownNames::default(), Events::default());
        for _ in 0..3 {
            for (decoder, time) in [(&one, 1_000_000), (&other, 2_000_000)] {
                out.clear();
                let record = br#"{"then":1,"when":2,"message":"m"}"#;
                decoder.decode_knowing(record, RecordContext::default(), &mut known, &mut out).unwrap();
                assert_eq!(out[0].timestamp, EventTime::from_micros(time));
            }
        }
    }

    #[test]
    fn the_fuzzers_corpus_decodes_the_same_both_ways() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        let (mut read, mut known) = (0, KnownNames::default());
        for target in std::fs::read_dir(&corpus).unwrap() {
            let Ok(files) = std::fs::read_dir(target.unwrap().path()) else { continue };
            for file in files {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                if let Ok(text) = std::str::from_utf8(&bytes) {
                    assert_same(text, &mut known);
                    read += 1;
                }
            }
        }
        assert!(read > 50, "{read}");
    }

    #[test]
    fn ordinary_records_go_the_flat_way() {
        for text in [
            r#"{"timestamp":"2026-01-05T12:00:00Z","level":"INFO","service":"api","message":"ready","port":80}"#,
            r#"{ "time": 1767614400123, "lvl": 30, "msg": "say \"hi\"", "tags": ["a"], "gone": null }"#,
            r#"{"log":"plain text without a level\n","stream":"stdout"}"#,
            r#"{"timestamp":1767614400,"ip":"10.0.0.1","method":"GET","url":"/x","status":503,"service":"edge"}"#,
            r#"{"verb":"GET","path":"/a b","code":"200"}"#,
            r#"{"msg":"done","method":"PUT","url":"/x","status":404,"path":"a\"b"}"#,
        ] {
            assert!(assert_same(text, &mut KnownNames::default()), "{text}");
        }
    }
}
