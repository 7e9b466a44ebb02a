//! Reads JSON objects straight into flat fields without building a tree: names of nested objects are joined by
//! dots, numbers and arrays keep their written form. Laxer than RFC 8259 in two points, so that no text is lost:
//! raw control characters in strings are kept, and a lone surrogate becomes U+FFFD.

use std::borrow::Cow;

use crate::decode::fields::{Field, Value, too_many_attributes};
use crate::decode::reject::{RejectReason, Rejected};
use crate::event::Limits;

/// Fields beyond the attributes' limit that may still turn out to be the time, the level, the service or the text.
const SPARE_FIELDS: usize = 8;
/// Room for the dotted names of nested fields beyond the record's own length.
const SPARE_NAME_BYTES: usize = 1 << 16;
/// Deepest nesting whatever the setting says, so that the call stack is bounded.
const DEEPEST: usize = 256;

/// Whether a text begins as a JSON object does.
pub(in crate::decode) fn looks_like_object(text: &str) -> bool {
    let mut bytes = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    bytes.next() == Some(b'{') && matches!(bytes.next(), Some(b'"' | b'}'))
}

/// The fields of a text that is one JSON object.
///
/// # Errors
/// Not JSON, nested too deeply, or too many fields.
pub(in crate::decode) fn object<'a>(text: &'a str, limits: &Limits) -> Result<Vec<Field<'a>>, Rejected> {
    let mut reader = Reader::new(text, limits);
    reader.space();
    let mut fields = Vec::with_capacity(16);
    reader.object("", 1, &mut fields)?;
    reader.end()?;
    Ok(fields)
}

/// The string of a text that is one JSON string.
pub(in crate::decode) fn string<'a>(text: &'a str, limits: &Limits) -> Result<Cow<'a, str>, Rejected> {
    let mut reader = Reader::new(text, limits);
    reader.space();
    let string = reader.string()?;
    reader.end()?;
    Ok(string)
}

/// Calls `each` with the fields of every object of a text that is a JSON array of objects.
pub(in crate::decode) fn objects<'a>(
    text: &'a str,
    limits: &Limits,
    mut each: impl FnMut(Vec<Field<'a>>) -> Result<(), Rejected>,
) -> Result<(), Rejected> {
    let mut reader = Reader::new(text, limits);
    reader.space();
    reader.expect(b'[')?;
    loop {
        reader.space();
        let mut fields = Vec::new();
        reader.object("", 2, &mut fields)?;
        each(fields)?;
        reader.space();
        if reader.eat(b']') {
            return reader.end();
        }
        reader.expect(b',')?;
    }
}

pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    max_depth: usize,
    max_fields: usize,
    name_bytes: usize,
    max_attributes: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, limits: &Limits) -> Self {
        Self {
            text,
            at: 0,
            max_depth: limits.max_depth.min(DEEPEST),
            max_fields: limits.max_attributes.saturating_add(SPARE_FIELDS),
            name_bytes: text.len() + SPARE_NAME_BYTES,
            max_attributes: limits.max_attributes,
        }
    }

    /// In the middle of a text.
    pub(super) fn at(text: &'a str, at: usize, limits: &Limits) -> Self {
        Self { at, ..Self::new(text, limits) }
    }

    /// The byte that is read next.
    pub(super) const fn place(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fault(&self, wanted: &str) -> Rejected {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => format!("{found:?}"),
            None => "the end of the record".to_owned(),
        };
        Rejected::new(RejectReason::InvalidJson, format!("byte {}: expected {wanted}, got {found}", self.at))
    }

    fn expect(&mut self, byte: u8) -> Result<(), Rejected> {
        if self.eat(byte) { Ok(()) } else { Err(self.fault(&format!("`{}`", char::from(byte)))) }
    }

    fn end(&mut self) -> Result<(), Rejected> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.fault("the end of the record")) }
    }

    fn deeper(&self, depth: usize) -> Result<(), Rejected> {
        if depth <= self.max_depth {
            return Ok(());
        }
        Err(Rejected::new(
            RejectReason::TooDeep,
            format!("byte {}: nested {depth} levels deep, at most {} are allowed", self.at, self.max_depth),
        ))
    }

    fn object(&mut self, prefix: &str, depth: usize, fields: &mut Vec<Field<'a>>) -> Result<(), Rejected> {
        self.deeper(depth)?;
        self.expect(b'{')?;
        self.space();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            let name = self.name(prefix)?;
            self.space();
            self.expect(b':')?;
            self.space();
            if self.peek() == Some(b'{') {
                self.object(&name, depth + 1, fields)?;
            } else {
                let value = self.value(depth)?;
                if fields.len() >= self.max_fields {
                    return Err(too_many_attributes(fields.len() + 1, self.max_attributes));
                }
                fields.push(Field { name, value });
            }
            self.space();
            if self.eat(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn name(&mut self, prefix: &str) -> Result<Cow<'a, str>, Rejected> {
        let name = self.string()?;
        if prefix.is_empty() {
            return Ok(name);
        }
        let length = prefix.len() + 1 + name.len();
        self.name_bytes = self.name_bytes.checked_sub(length).ok_or_else(|| {
            Rejected::new(
                RejectReason::TooLong,
                format!(
                    "the dotted names of nested fields take more than {} bytes in all, \
                     the record's length and {SPARE_NAME_BYTES}",
                    self.text.len() + SPARE_NAME_BYTES
                ),
            )
        })?;
        Ok(Cow::Owned(format!("{prefix}.{name}")))
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Rejected> {
        match self.peek() {
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'[') => {
                let start = self.at;
                self.skip(depth)?;
                Ok(Value::Array(&self.text[start..self.at]))
            }
            Some(b'-' | b'0'..=b'9') => Ok(Value::Number(Cow::Borrowed(self.number()?))),
            Some(b't') => self.word("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Value::Null),
            _ => Err(self.fault("a value")),
        }
    }

    /// Passes over a value and checks that it is well-formed.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), Rejected> {
        let (open, close) = match self.peek() {
            Some(b'[') => (b'[', b']'),
            Some(b'{') => (b'{', b'}'),
            _ => return self.value(depth).map(drop),
        };
        self.deeper(depth + 1)?;
        self.expect(open)?;
        self.space();
        if self.eat(close) {
            return Ok(());
        }
        loop {
            self.space();
            if open == b'{' {
                self.string()?;
                self.space();
                self.expect(b':')?;
                self.space();
            }
            self.skip(depth + 1)?;
            self.space();
            if self.eat(close) {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Rejected> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.fault("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Rejected> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.fault("a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<&'a str, Rejected> {
        let start = self.at;
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
        Ok(&self.text[start..self.at])
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Rejected> {
        let start = self.at + 1;
        let first = if self.eat(b'"') { self.piece()? } else { return Err(self.fault("a string")) };
        if self.text.as_bytes()[self.at - 1] == b'"' {
            return Ok(Cow::Borrowed(first));
        }
        self.at = start - 1;
        let mut owned = String::new();
        self.string_into(&mut owned)?;
        Ok(Cow::Owned(owned))
    }

    /// Appends a string's text.
    pub(super) fn string_into(&mut self, into: &mut String) -> Result<(), Rejected> {
        self.expect(b'"')?;
        loop {
            let piece = self.piece()?;
            into.push_str(piece);
            if self.text.as_bytes()[self.at - 1] == b'"' {
                return Ok(());
            }
            let unescaped = self.escape()?;
            into.push(unescaped);
        }
    }

    /// The text up to the next quote or backslash, which is passed as well.
    fn piece(&mut self) -> Result<&'a str, Rejected> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let Some(length) = memchr::memchr2(b'"', b'\\', &bytes[start..]) else {
            self.at = bytes.len();
            return Err(self.fault("`\"`, the end of a string"));
        };
        self.at = start + length + 1;
        Ok(&self.text[start..start + length])
    }

    fn escape(&mut self) -> Result<char, Rejected> {
        let escape = self.peek().ok_or_else(|| self.fault("an escape"))?;
        let unescaped = match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.code_point();
            }
            _ => return Err(self.fault("one of `\"\\/bfnrtu` after a backslash")),
        };
        self.at += 1;
        Ok(unescaped)
    }

    fn hex4(&mut self) -> Result<u32, Rejected> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let number = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.fault("four hexadecimal digits"))?;
        self.at += 4;
        Ok(number)
    }

    fn code_point(&mut self) -> Result<char, Rejected> {
        let first = self.hex4()?;
        if (0xD800..0xDC00).contains(&first) && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let joined = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Tree;

    use super::*;

    fn flatten(prefix: &str, tree: &serde_json::Map<String, Tree>, flat: &mut Vec<(String, Tree)>) {
        for (name, value) in tree {
            let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                Tree::Object(inner) => flatten(&name, inner, flat),
                _ => flat.push((name, value.clone())),
            }
        }
    }

    fn as_tree(value: &Value<'_>) -> Tree {
        match value {
            Value::Text(text) => Tree::String(text.to_string()),
            Value::Number(text) => serde_json::from_str(text).unwrap(),
            Value::Array(text) => serde_json::from_str(text).unwrap(),
            Value::Bool(value) => Tree::Bool(*value),
            Value::Null => Tree::Null,
        }
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            Just(Tree::Null),
            any::<bool>().prop_map(Tree::from),
            any::<i64>().prop_map(Tree::from),
            any::<i32>().prop_map(|halves| Tree::from(f64::from(halves) / 2.0)),
            ".{0,12}".prop_map(Tree::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::from),
                prop::collection::btree_map(".{1,6}", inner, 0..5)
                    .prop_map(|map| Tree::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_writes(map in prop::collection::btree_map(".{1,6}", tree(), 0..6), pretty: bool) {
            let map: serde_json::Map<_, _> = map.into_iter().collect();
            let tree = Tree::Object(map.clone());
            let text = if pretty { format!("{tree:#}") } else { tree.to_string() };
            let mut expected = Vec::new();
            flatten("", &map, &mut expected);
            let fields = object(&text, &Limits::default()).unwrap();
            let read: Vec<_> = fields.iter().map(|field| (field.name.to_string(), as_tree(&field.value))).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn accepts_whatever_serde_json_accepts(text in r#"\{("[ab]{1,2}\\?"?[: ]{1,2}[\[\]{}0-9a-z."\\, -]{0,8},?){0,3}\}"#) {
            let ours = object(&text, &Limits::default());
            if serde_json::from_str::<serde_json::Map<String, Tree>>(&text).is_ok() {
                prop_assert!(ours.is_ok(), "{:?}", ours);
            } else {
                prop_assert!(ours.is_err() || text.contains("\\u"), "{:?}", ours);
            }
        }
    }

    #[test]
    fn control_characters_and_lone_surrogates_are_kept_as_text() {
        let fields =
            object("{\"a\":\"x\u{0}\ty\",\"b\":\"\\ud83d!\",\"c\":\"\\ud83d\\ude00\"}", &Limits::default());
        let fields = fields.unwrap();
        assert_eq!(fields[0].value, Value::Text("x\u{0}\ty".into()));
        assert_eq!(fields[1].value, Value::Text("\u{fffd}!".into()));
        assert_eq!(fields[2].value, Value::Text("😀".into()));
    }

    #[test]
    fn a_fault_tells_its_position() {
        let rejected = object(r#"{"a":1,}"#, &Limits::default()).unwrap_err();
        assert_eq!(rejected.to_string(), "invalid_json: byte 7: expected a string, got '}'");
        let rejected = object(r#"{"a":"x"#, &Limits::default()).unwrap_err();
        assert!(rejected.detail.contains("the end of the record"), "{rejected}");
    }

    #[test]
    fn long_names_of_nested_objects_cannot_multiply() {
        let inner: Vec<_> = (0..200).map(|number| format!("\"{number}\":1")).collect();
        let text = format!("{{\"{}\":{{{}}}}}", "n".repeat(100_000), inner.join(","));
        assert_eq!(object(&text, &Limits::default()).unwrap_err().reason, RejectReason::TooLong);
    }
}
