//! What a receiver's answer must not bring into a log, a record or a page: an answer may repeat the address that it was
//! asked at, or the password that it refused.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;

/// What stands in place of a secret.
const HIDDEN: &str = "***";
/// Shorter texts are left alone: they would be found in every second word.
const LEAST: usize = 4;
/// Shorter parts of a path are words such as `hook` or `services`.
const LEAST_SEGMENT: usize = 8;

/// Texts to be hidden.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// All that is secret of an address: user, password, query, and the longer parts of its path where
    /// `path_is_secret`.
    pub fn of_address(url: &str, path_is_secret: bool) -> Self {
        let mut found = Self::default();
        let Ok(parsed) = reqwest::Url::parse(url) else {
            found.add(url);
            return found;
        };
        if let Some(password) = parsed.password() {
            let (user, password) = (decoded(parsed.username()), decoded(password));
            found.add_password(&user, &password);
        } else if path_is_secret {
            found.add(&decoded(parsed.username()));
        }
        if path_is_secret {
            let path = parsed.path();
            for text in [Cow::from(path), decoded(path)] {
                text.split('/').filter(|part| part.len() >= LEAST_SEGMENT).for_each(|part| found.add(part));
            }
            if let Some(query) = parsed.query() {
                found.add(query);
                parsed.query_pairs().for_each(|(_, value)| found.add(&value));
            }
        }
        found
    }

    /// Adds the values of headers: whole, and what follows the scheme of an `Authorization`.
    pub fn with_headers(mut self, headers: &[(String, String)]) -> Self {
        // Those of a delivery (Standard Webhooks) are in every record.
        for (_, value) in headers.iter().filter(|(name, _)| !name.starts_with("webhook-")) {
            self.add(value);
            let Some((scheme, rest)) = value.split_once(' ') else { continue };
            self.add(rest);
            if scheme.eq_ignore_ascii_case("basic")
                && let Ok(plain) = STANDARD.decode(rest.trim())
                && let Ok(plain) = String::from_utf8(plain)
                && let Some((user, password)) = plain.split_once(':')
            {
                self.add_password(user, password);
            }
        }
        self
    }

    /// Adds one more.
    pub fn with(mut self, secret: &str) -> Self {
        self.add(secret);
        self
    }

    fn add_password(&mut self, user: &str, password: &str) {
        self.add(password);
        for text in [password.to_owned(), format!("{user}:{password}"), format!("\0{user}\0{password}")] {
            self.add(&STANDARD.encode(&text));
            self.add(&URL_SAFE_NO_PAD.encode(&text));
        }
    }

    fn add(&mut self, secret: &str) {
        if secret.trim().len() >= LEAST {
            self.0.push(secret.trim().to_owned());
            // The longest first: a part of it may be a secret of its own.
            self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
            self.0.dedup();
        }
    }

    /// A text with every secret in it hidden.
    pub fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret) { text.replace(secret, HIDDEN) } else { text }
        })
    }
}

/// A text of an address without its percent signs.
fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Cannot POST /hook/SECRETTOKEN", "Cannot POST /hook/***")]
    #[case("no token qwerty123 here", "no token *** here")]
    #[case("bad user ann:pa%ss!word", "bad user ann:***")]
    #[case("Basic YW5uOnBhJXNzIXdvcmQ=", "Basic ***")]
    #[case("all is well", "all is well")]
    fn an_answer_that_repeats_an_address_tells_no_secret_of_it(#[case] said: &str, #[case] told: &str) {
        let address = "https://ann:pa%25ss!word@hooks.example/hook/SECRETTOKEN?key=qwerty123";
        assert_eq!(Secrets::of_address(address, true).hide(said), told);
    }

    #[rstest]
    #[case("refused Bearer abcdef.ghi", "refused ***")]
    #[case("refused abcdef.ghi", "refused ***")]
    #[case("dXNlcjpQQVNTV0Q= and PASSWD", "*** and ***")]
    fn an_answer_that_repeats_a_header_tells_no_value(#[case] said: &str, #[case] told: &str) {
        let header = |value: &str| ("Authorization".to_owned(), value.to_owned());
        let headers = [header("Bearer abcdef.ghi"), header("Basic dXNlcjpQQVNTV0Q=")];
        assert_eq!(Secrets::default().with_headers(&headers).hide(said), told);
    }

    #[test]
    fn the_index_in_the_path_of_a_store_may_be_told() {
        let secrets = Secrets::of_address("https://elastic:changeme@search.example/alerts-2026", false);
        assert_eq!(secrets.hide("no index alerts-2026 for changeme"), "no index alerts-2026 for ***");
    }
}
