//! Recognises what varies from line to line: numbers, addresses, identifiers, paths. Each function looks at one
//! position and says how many bytes its thing takes there; none of them looks further than that thing.

/// Bytes that may come before a path or URL.
const OPENERS: &[u8] = b" \t\"'`(=[{:,<>|;";

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn hex_digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count()
}

fn ends_here(rest: &[u8]) -> bool {
    rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// A UUID in its canonical form: 8-4-4-4-12 hexadecimal digits.
pub(super) fn uuid(bytes: &[u8]) -> Option<usize> {
    const LENGTH: usize = 36;
    let candidate = bytes.get(..LENGTH)?;
    let fits = candidate.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (fits && ends_here(&bytes[LENGTH..])).then_some(LENGTH)
}

/// An IPv4 address, or an IPv6 address of at least three groups.
fn ip(bytes: &[u8]) -> Option<usize> {
    ipv4(bytes).or_else(|| ipv6(bytes))
}

/// Four numbers of at most three digits.
pub(super) fn ipv4(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for part in 0..4 {
        if part > 0 {
            if bytes.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let length = digits(&bytes[at..]);
        if !(1..=3).contains(&length) {
            return None;
        }
        at += length;
    }
    let more = bytes.get(at) == Some(&b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
    (!more && ends_here(&bytes[at..])).then_some(at)
}

/// Only with a decimal digit in it: `Face::add` is a name. It takes all of a word of hexadecimal digits and
/// colons, but for a colon at its end.
pub(super) fn ipv6(bytes: &[u8]) -> Option<usize> {
    const LONGEST: usize = 39;
    let word =
        bytes.iter().take(LONGEST + 2).take_while(|byte| byte.is_ascii_hexdigit() || **byte == b':').count();
    let candidate = &bytes[..word];
    let colons = candidate.iter().filter(|byte| **byte == b':').count();
    if word > LONGEST + 1 || colons < 2 || !candidate.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let candidate = std::str::from_utf8(candidate).ok()?;
    let parses = |text: &&str| text.parse::<std::net::Ipv6Addr>().is_ok();
    let shorter = candidate.strip_suffix(':');
    let address = [Some(candidate), shorter].into_iter().flatten().find(parses)?;
    ends_here(&bytes[word..]).then_some(address.len())
}

/// Four or more bytes in base 16, separated by colons or dashes: a hardware address, a fingerprint.
pub(super) fn octets(bytes: &[u8]) -> Option<usize> {
    const LEAST_BYTES: usize = 4;
    let separator = *bytes.get(2)?;
    if separator != b':' && separator != b'-' {
        return None;
    }
    let is_octet = |at: usize| {
        bytes.get(at..at + 2).is_some_and(|pair| hex_digits(pair) == 2 && ends_here(&bytes[at + 2..]))
    };
    let mut groups = usize::from(is_octet(0));
    while groups > 0 && bytes.get(groups * 3 - 1) == Some(&separator) && is_octet(groups * 3) {
        groups += 1;
    }
    (groups >= LEAST_BYTES).then(|| groups * 3 - 1)
}

/// A URL with a scheme, up to white space, a quote or a closing bracket.
pub(super) fn url(bytes: &[u8], before: Option<u8>) -> Option<usize> {
    const LONGEST_SCHEME: usize = 16;
    if before.is_some_and(|byte| !OPENERS.contains(&byte)) {
        return None;
    }
    let scheme = bytes
        .iter()
        .take(LONGEST_SCHEME)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        .count();
    let starts = bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes[scheme..].starts_with(b"://");
    if !starts {
        return None;
    }
    let length = bytes
        .iter()
        .take_while(|byte| !byte.is_ascii_whitespace() && !b"\"'`<>()[]{},;|".contains(byte))
        .count();
    Some(scheme + 3 + trimmed(&bytes[scheme + 3..length]))
}

/// An absolute file path of at least two components.
pub(super) fn path(bytes: &[u8], before: Option<u8>) -> Option<usize> {
    if before.is_some_and(|byte| !OPENERS.contains(&byte)) || bytes.first() != Some(&b'/') {
        return None;
    }
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || b"/._-+~@%$#".contains(byte);
    let length = trimmed(&bytes[..bytes.iter().take_while(|byte| inside(byte)).count()]);
    let slashes = bytes[..length].iter().filter(|byte| **byte == b'/').count();
    let named = bytes.get(1).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte));
    (named && slashes >= 2 && ip(&bytes[1..]).is_none()).then_some(length)
}

/// Sentence marks at the end belong to the sentence.
fn trimmed(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| !b".:-".contains(byte)).map_or(0, |last| last + 1)
}

/// Fewest hexadecimal digits that are taken for a number in base 16.
pub(super) const HEX_LEAST: usize = 4;
/// Fewest letters and digits of an identifier.
pub(super) const ID_LEAST: usize = 8;
/// Fewest changes between letters and digits in an identifier.
pub(super) const ID_TURNS: usize = 3;

/// How often letters and digits change places in a run.
pub(super) fn turns(run: &[u8]) -> usize {
    run.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count()
}

/// What a run of letters and digits stands for, read off one by one: what [`super::Canonical`] is tested against.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// No digit in it.
    Word,
    /// Digits alone.
    Number,
    /// A number in base 16.
    Hex,
    /// Letters and digits that change places often: a random identifier.
    Id,
    /// A name with a number in it, such as `node17`.
    Mixed,
}

/// Classifies a run of ASCII letters and digits.
#[cfg(test)]
pub(super) fn run(bytes: &[u8]) -> Run {
    let decimal = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    if decimal == 0 {
        return Run::Word;
    }
    if decimal == bytes.len() {
        return Run::Number;
    }
    let prefixed = bytes.len() > 2 && (bytes.starts_with(b"0x") || bytes.starts_with(b"0X"));
    if prefixed && hex_digits(&bytes[2..]) == bytes.len() - 2 {
        return Run::Hex;
    }
    if bytes.len() >= HEX_LEAST && hex_digits(bytes) == bytes.len() {
        return Run::Hex;
    }
    if bytes.len() >= ID_LEAST && turns(bytes) >= ID_TURNS { Run::Id } else { Run::Mixed }
}

/// Length of a number with its decimal parts: `0.27`, `4.1.0`.
pub(super) fn number(bytes: &[u8]) -> usize {
    let mut length = digits(bytes);
    while bytes.get(length) == Some(&b'.') {
        let part = digits(&bytes[length + 1..]);
        if part == 0 || !ends_here(&bytes[length + 1 + part..]) {
            break;
        }
        length += 1 + part;
    }
    length
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.250.9.207:59759", Some(12))]
    #[case("10.250.9", None)]
    #[case("1.2.3.4.5", None)]
    #[case("1234.1.1.1", None)]
    #[case("::1 ", Some(3))]
    #[case("fe80::1%eth0", Some(7))]
    #[case("2001:db8:0:0:0:0:2:1,", Some(20))]
    #[case("fe80:: up", Some(6))]
    #[case("12:30:45 ", None)]
    #[case("face:", None)]
    fn addresses_are_recognised(#[case] text: &str, #[case] expected: Option<usize>) {
        assert_eq!(ip(text.as_bytes()), expected);
    }

    #[rstest]
    #[case("00:0d:60:e9:9b:3e up", Some(17))]
    #[case("00-0D-60-E9,", Some(11))]
    #[case("00:0d:60", None)]
    #[case("00:0d:60-e9:11", None)]
    #[case("00:0d:60:e9f", None)]
    #[case("00:0d:60:e9:", Some(11))]
    fn hardware_addresses_are_recognised(#[case] text: &str, #[case] expected: Option<usize>) {
        assert_eq!(octets(text.as_bytes()), expected);
    }

    #[rstest]
    #[case("/usr/lib/x.so: not found", Some(13))]
    #[case("/orders", None)]
    #[case("/10.250.9.207/x", None)]
    #[case("/ a", None)]
    #[case("/user/root/part-00081. blk", Some(21))]
    fn paths_have_two_components(#[case] text: &str, #[case] expected: Option<usize>) {
        assert_eq!(path(text.as_bytes(), Some(b' ')), expected);
        assert_eq!(path(text.as_bytes(), Some(b'a')), None);
    }

    #[rstest]
    #[case("http://host:80/a?b=1, then", Some(20))]
    #[case("jdbc:x", None)]
    #[case("hdfs://n/p\"", Some(10))]
    fn urls_end_at_white_space_or_a_quote(#[case] text: &str, #[case] expected: Option<usize>) {
        assert_eq!(url(text.as_bytes(), None), expected);
    }

    #[rstest]
    #[case("word", Run::Word)]
    #[case("added", Run::Word)]
    #[case("1234", Run::Number)]
    #[case("0x1", Run::Hex)]
    #[case("3fa9", Run::Hex)]
    #[case("node17", Run::Mixed)]
    #[case("a8Fk29xQ0zz", Run::Id)]
    fn runs_are_classified(#[case] text: &str, #[case] expected: Run) {
        assert_eq!(run(text.as_bytes()), expected);
    }
}
