//! Who may see the page and its data: with a token whoever has it; without one only this machine, asked for by its
//! own name, so that no web page of another origin can read it through a browser.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;
use crate::config::Secret;

/// The rule, made from the settings.
#[derive(Clone)]
pub struct Guard(Option<Arc<blake3::Hash>>);

impl Guard {
    /// With the digest of the token, where there is one.
    pub fn new(token: Option<&Secret>) -> Self {
        Self(token.map(|token| Arc::new(blake3::hash(token.expose().as_bytes()))))
    }

    fn refusal(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<Refusal> {
        match &self.0 {
            Some(token) if carries(headers, token) => None,
            Some(_) => {
                let how = "send the header `Authorization: Bearer TOKEN` with the scorer's HTTP_TOKEN";
                Some(Refusal::new(StatusCode::UNAUTHORIZED, format!("a token is needed: {how}")))
            }
            None => loopback_refusal(peer, headers).map(|why| Refusal::new(StatusCode::FORBIDDEN, why)),
        }
    }
}

/// In front of what only looks.
pub async fn read(
    State(guard): State<Guard>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match guard.refusal(peer, request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

/// In front of what changes something.
pub async fn change(
    State(guard): State<Guard>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match guard.refusal(peer, request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

/// Lets the page out. With a token it holds nothing secret: its script asks for the token and then for data.
pub async fn page(
    State(guard): State<Guard>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if guard.0.is_none()
        && let Some(why) = loopback_refusal(peer, request.headers())
    {
        return Refusal::new(StatusCode::FORBIDDEN, why).into_response();
    }
    next.run(request).await
}

fn carries(headers: &HeaderMap, token: &blake3::Hash) -> bool {
    let sent = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    match sent.and_then(|value| value.split_first_chunk::<7>()) {
        // Comparing digests takes the same time whatever the token is.
        Some((scheme, sent)) => {
            scheme.eq_ignore_ascii_case(b"bearer ") && blake3::hash(sent.trim_ascii()) == *token
        }
        None => false,
    }
}

fn loopback_refusal(peer: SocketAddr, headers: &HeaderMap) -> Option<String> {
    if !peer.ip().to_canonical().is_loopback() {
        return Some(format!("{} is not this machine; set HTTP_TOKEN to be reached from others", peer.ip()));
    }
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let host = text(header::HOST).unwrap_or_default();
    if !is_loopback_name(host_of(&host)) {
        return Some(format!(
            "the Host {host:?} is not a name of this machine; ask for localhost or 127.0.0.1, or set HTTP_TOKEN"
        ));
    }
    let origin = text(header::ORIGIN)?;
    let same = origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(&host));
    (!same).then(|| format!("the Origin {origin:?} is not this page"))
}

/// The name in a Host header, without its port.
fn host_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_loopback_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::by_name("127.0.0.1:1", "localhost:8080", None, true)]
    #[case::by_address("127.0.0.1:1", "127.0.0.1:8080", None, true)]
    #[case::by_address_6("[::1]:1", "[::1]:8080", None, true)]
    #[case::same_origin("127.0.0.1:1", "localhost:8080", Some("http://localhost:8080"), true)]
    #[case::rebound_name("127.0.0.1:1", "evil.example:8080", None, false)]
    #[case::name_that_starts_alike("127.0.0.1:1", "localhost.evil.example", None, false)]
    #[case::other_origin("127.0.0.1:1", "localhost:8080", Some("http://evil.example"), false)]
    #[case::other_port("127.0.0.1:1", "localhost:8080", Some("http://localhost:9090"), false)]
    #[case::opaque_origin("127.0.0.1:1", "localhost:8080", Some("null"), false)]
    #[case::no_host("127.0.0.1:1", "", None, false)]
    #[case::open_bracket("127.0.0.1:1", "[::1", None, false)]
    #[case::other_machine("192.0.2.7:1", "localhost:8080", None, false)]
    fn without_a_token_only_this_machine_by_its_own_name(
        #[case] peer: SocketAddr,
        #[case] host: &str,
        #[case] origin: Option<&str>,
        #[case] allowed: bool,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        assert_eq!(Guard(None).refusal(peer, &headers).is_none(), allowed);
    }

    #[rstest]
    #[case::right("Bearer correct-horse", true)]
    #[case::any_case("bearer correct-horse", true)]
    #[case::wrong("Bearer wrong-horse", false)]
    #[case::prefix("Bearer correct", false)]
    #[case::other_scheme("Basic correct-horse", false)]
    #[case::short("Bear", false)]
    fn with_a_token_everyone_who_has_it(#[case] authorization: &str, #[case] allowed: bool) {
        let guard = Guard(Some(Arc::new(blake3::hash(b"correct-horse"))));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        let peer = SocketAddr::from(([192, 0, 2, 7], 1));
        assert_eq!(guard.refusal(peer, &headers).is_none(), allowed);
    }
}
