//! Who may see the page and its data, and who may change something. With tokens whoever has one, from anywhere, with
//! its role; without one only this machine, asked for by its own name, so that no web page of another origin can read
//! it through a browser, or everyone where a setting says so.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer::Refusal;
use super::session::{self, Key, Sessions};
use super::throttle::{Sample, Throttle};
use crate::config::Settings;
use crate::random;

/// What a browser says about the page that asks: whether it is of this site.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// From so many characters on nobody finds a token by trying, however often.
const LONG_TOKEN: usize = 24;

/// What a page proves with each change that it was loaded from here.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Look and change.
    Operator,
}

impl Role {
    /// Its name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// Who asks, for the handlers behind the guard.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// What it may do.
    pub role: Role,
    /// Where it is.
    pub peer: IpAddr,
    /// The session by which it was let in: what it gets must end with it.
    pub session: Option<Key>,
}

impl Caller {
    /// For the record of what it did.
    pub fn name(self) -> String {
        format!("{} at {}", self.role.as_str(), self.peer)
    }
}

/// A caller that was let in.
#[derive(Debug)]
pub struct Known {
    /// What it may do.
    pub role: Role,
    /// What it has to send along with a change; `None` where it proved itself by a header that only a program sends.
    pub csrf: Option<String>,
    /// Its session, where it has one.
    pub session: Option<Key>,
}

#[derive(Debug)]
struct Token {
    role: Role,
    digest: blake3::Hash,
    is_long: bool,
}

/// The rules, made from the settings.
#[derive(Debug)]
pub struct Guard {
    tokens: Vec<Token>,
    /// Without a token everyone is answered, not this machine alone.
    open: bool,
    /// Scheme, host and port of `PUBLIC_URL`, where people reach the pages.
    public_origin: Option<String>,
    /// What a page has to send along where no session is needed.
    local_csrf: String,
    throttle: Throttle,
    logged: Sample,
    /// The sessions of browsers.
    pub sessions: Sessions,
}

impl Guard {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Self {
        let serve = &settings.serve;
        let tokens = [(Role::Operator, &serve.http_token), (Role::Viewer, &serve.http_viewer_token)];
        let token = |role, token: &crate::config::Secret| Token {
            role,
            digest: blake3::hash(token.expose().as_bytes()),
            is_long: token.expose().len() >= LONG_TOKEN,
        };
        Self {
            tokens: tokens
                .into_iter()
                .filter_map(|(role, secret)| Some(token(role, secret.as_ref()?)))
                .collect(),
            open: serve.http_open,
            public_origin: settings.sinks.public_url.as_deref().and_then(origin_of),
            local_csrf: random::hex(),
            throttle: Throttle::default(),
            logged: Sample::default(),
            sessions: Sessions::default(),
        }
    }

    /// Whether callers must have a token.
    pub fn needs_token(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Whether people reach the pages by TLS.
    pub fn is_https(&self) -> bool {
        self.public_origin.as_ref().is_some_and(|origin| origin.starts_with("https:"))
    }

    /// Whether a request carries a token, be it a wrong one, or a session that lasts.
    pub fn carries_anything(&self, headers: &HeaderMap, now: Instant) -> bool {
        bearer(headers).is_some()
            || session::id_of(headers, self.is_https())
                .is_some_and(|id| self.sessions.role(id, now).is_some())
    }

    /// A page of another site must not make a browser ask, not even for what it cannot read: an answer that shows as an
    /// image or a script tells by its time and size. What carries a token was not sent by such a page.
    ///
    /// # Errors
    /// A browser says that such a page asks.
    pub fn same_site(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let site = text(headers, SITE).unwrap_or_default();
        if bearer(headers).is_some() || !matches!(site.as_str(), "cross-site" | "same-site") {
            return Ok(());
        }
        let why =
            format!("a page of another origin asks (Sec-Fetch-Site: {site}); open the scorer's own page");
        Err(Refusal::new(StatusCode::FORBIDDEN, why))
    }

    /// Who asks.
    ///
    /// # Errors
    /// It may not.
    pub fn who(&self, peer: SocketAddr, headers: &HeaderMap, now: Instant) -> Result<Known, Refusal> {
        if !self.needs_token() {
            self.here(peer, headers)?;
            return Ok(Known { role: Role::Operator, csrf: Some(self.local_csrf.clone()), session: None });
        }
        if let Some(token) = bearer(headers) {
            let role = self.role_of_token(peer.ip(), token, now)?;
            return Ok(Known { role, csrf: None, session: None });
        }
        if let Some(id) = session::id_of(headers, self.is_https())
            && let Some(role) = self.sessions.role(id, now)
        {
            self.same_origin(headers)?;
            return Ok(Known { role, csrf: Some(session::csrf(id)), session: self.sessions.key(id) });
        }
        let how = "send the header `Authorization: Bearer TOKEN` with the scorer's HTTP_TOKEN (operator) or \
                   HTTP_VIEWER_TOKEN (viewer), or begin a session by POST /api/v1/session";
        Err(Refusal::new(StatusCode::UNAUTHORIZED, format!("a token is needed: {how}")))
    }

    /// The role that a token gives. The address's limit of wrong tokens is not asked about a right one that is long.
    ///
    /// # Errors
    /// It is none; the address tried too many.
    pub fn role_of_token(&self, peer: IpAddr, token: &[u8], now: Instant) -> Result<Role, Refusal> {
        let sent = blake3::hash(token);
        // Every digest is compared, and comparing digests takes the same time whatever the token is.
        let known = self.tokens.iter().filter(|token| token.digest == sent).max_by_key(|token| token.role);
        // Behind one proxy whoever guesses and who does not have one address: a token that cannot be guessed passes.
        if let Some(token) = known.filter(|token| token.is_long) {
            return Ok(token.role);
        }
        if let Err(wait) = self.throttle.allows(peer, now) {
            if let Some(passed_over) = self.logged.take(now) {
                tracing::warn!(%peer, passed_over, "too many wrong tokens; further ones are refused for a while");
            }
            let seconds = wait.as_secs() + 1;
            let why = format!("{peer} sent too many wrong tokens; come again in {seconds} s");
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, why).after(seconds));
        }
        known.map(|token| token.role).ok_or_else(|| {
            if self.throttle.wrong(peer, sent, now)
                && let Some(passed_over) = self.logged.take(now)
            {
                tracing::warn!(%peer, passed_over, "a wrong token was sent");
            }
            let why = "the token is none of this scorer's; allowed: the value of its HTTP_TOKEN (operator) or \
                       HTTP_VIEWER_TOKEN (viewer)";
            Refusal::new(StatusCode::UNAUTHORIZED, why)
        })
    }

    /// A change must carry what only a page from here, or a program with a token, can send.
    ///
    /// # Errors
    /// It does not.
    pub fn unforged(&self, known: &Known, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(csrf) = &known.csrf else { return Ok(()) };
        self.same_origin(headers)?;
        let sent = headers.get(&CSRF).map_or(&[][..], |value| value.as_bytes());
        if blake3::hash(sent) == blake3::hash(csrf.as_bytes()) {
            return Ok(());
        }
        let why = "a change needs the header X-CSRF-Token with the `csrf` that GET /api/v1/session answers";
        Err(Refusal::new(StatusCode::FORBIDDEN, why))
    }

    /// Where a browser says which page asks, it must be one of ours.
    ///
    /// # Errors
    /// It is another one.
    pub fn same_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(origin) = text(headers, header::ORIGIN) else { return Ok(()) };
        let host = text(headers, header::HOST).unwrap_or_default();
        let of_host = |scheme: &str| {
            origin.strip_prefix(scheme).is_some_and(|origin| origin.eq_ignore_ascii_case(&host))
        };
        // Whoever ends TLS in front of this server may keep the Host, or may set its own.
        let ours = of_host("http://")
            || (self.needs_token() || self.open) && of_host("https://")
            || self.public_origin.as_ref().is_some_and(|public| public.eq_ignore_ascii_case(&origin));
        if ours {
            return Ok(());
        }
        let why =
            format!("the Origin {origin:?} is not this page; if it is reached there, set PUBLIC_URL to it");
        Err(Refusal::new(StatusCode::FORBIDDEN, why))
    }

    /// Where no token is needed: a caller on this machine or, where the setting says so, any, that asks for a name
    /// which no other site can make its own.
    fn here(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Refusal> {
        let refuse = |why| Err(Refusal::new(StatusCode::FORBIDDEN, why));
        if !self.open && !peer.ip().to_canonical().is_loopback() {
            let why = format!("{} is not this machine; set HTTP_TOKEN to be reached from others", peer.ip());
            return refuse(why);
        }
        let host = text(headers, header::HOST).unwrap_or_default();
        let name = host_of(&host);
        let public = self.public_origin.as_deref().and_then(|origin| origin.split_once("://"));
        let is_public = public.is_some_and(|(_, public)| host_of(public).eq_ignore_ascii_case(name));
        // A site can give its own name any address, but it cannot be asked for by a bare address.
        let is_address = name.parse::<IpAddr>().is_ok();
        if is_loopback_name(name) || self.open && (is_address || is_public) {
            return self.same_origin(headers);
        }
        refuse(if self.open {
            format!(
                "the Host {host:?} is not known; ask for localhost or an IP address, set PUBLIC_URL to where this is \
                 reached, or set HTTP_TOKEN"
            )
        } else {
            format!(
                "the Host {host:?} is not a name of this machine; ask for localhost or 127.0.0.1, or set HTTP_TOKEN"
            )
        })
    }
}

/// In front of everything but the pages' files.
pub async fn site(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.same_site(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// In front of what only looks.
pub async fn read(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match guard.who(peer, request.headers(), Instant::now()) {
        Ok(known) => pass(known, peer, request, next).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// In front of what changes something.
pub async fn change(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match may_change(&guard, peer, request.headers()) {
        Ok(known) => pass(known, peer, request, next).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn may_change(guard: &Guard, peer: SocketAddr, headers: &HeaderMap) -> Result<Known, Refusal> {
    let known = guard.who(peer, headers, Instant::now())?;
    guard.unforged(&known, headers)?;
    if known.role < Role::Operator {
        let why = "a viewer may look and not change; use the scorer's HTTP_TOKEN, which is the operator's";
        return Err(Refusal::new(StatusCode::FORBIDDEN, why));
    }
    Ok(known)
}

async fn pass(known: Known, peer: SocketAddr, mut request: Request, next: Next) -> Response {
    let Known { role, session, .. } = known;
    request.extensions_mut().insert(Caller { role, peer: peer.ip().to_canonical(), session });
    next.run(request).await
}

/// Lets the page out. With a token it holds nothing secret: its script asks for the token and then for data.
pub async fn page(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if !guard.needs_token()
        && let Err(refusal) = guard.here(peer, request.headers())
    {
        return refusal.into_response();
    }
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_first_chunk::<7>()?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Scheme, host and port of an address, as browsers write an origin: in lower case, without the scheme's own port.
fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    let port = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(port).unwrap_or(&authority);
    Some(format!("{scheme}://{authority}"))
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
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::serve::tests::settings;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn asked(guard: &Guard, peer: &str, pairs: &[(&'static str, &str)]) -> Result<Known, Refusal> {
        guard.who(peer.parse().unwrap(), &headers(pairs), Instant::now())
    }

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
        #[case] peer: &str,
        #[case] host: &str,
        #[case] origin: Option<&str>,
        #[case] allowed: bool,
    ) {
        let mut pairs = vec![("host", host)];
        pairs.extend(origin.map(|origin| ("origin", origin)));
        assert_eq!(asked(&Guard::new(&settings(&[])), peer, &pairs).is_ok(), allowed);
    }

    #[rstest]
    #[case::published_port("localhost:18080", None, true)]
    #[case::address("192.0.2.1:8080", None, true)]
    #[case::address_and_its_page("192.0.2.1:8080", Some("http://192.0.2.1:8080"), true)]
    #[case::public_name("logs.example", Some("https://logs.example"), true)]
    #[case::another_name("evil.example:8080", None, false)]
    #[case::another_page("192.0.2.1:8080", Some("http://evil.example"), false)]
    fn open_to_all_the_host_must_still_be_one_that_no_other_site_can_take(
        #[case] host: &str,
        #[case] origin: Option<&str>,
        #[case] allowed: bool,
    ) {
        let environment = [
            ("HTTP_ADDR", "0.0.0.0:8080"),
            ("HTTP_UNAUTHENTICATED_ON_ALL_INTERFACES", "true"),
            ("PUBLIC_URL", "https://logs.example/isolog"),
        ];
        let mut pairs = vec![("host", host)];
        pairs.extend(origin.map(|origin| ("origin", origin)));
        let known = asked(&Guard::new(&settings(&environment)), "172.18.0.1:1", &pairs);
        assert_eq!(known.is_ok(), allowed, "{known:?}");
    }

    #[rstest]
    #[case::operator("Bearer correct-horse", Some(Role::Operator))]
    #[case::viewer("Bearer looking-horse", Some(Role::Viewer))]
    #[case::any_case("bearer correct-horse", Some(Role::Operator))]
    #[case::wrong("Bearer wrong-horse", None)]
    #[case::prefix("Bearer correct", None)]
    #[case::other_scheme("Basic correct-horse", None)]
    #[case::short("Bear", None)]
    fn with_tokens_everyone_who_has_one_in_its_role(
        #[case] authorization: &str,
        #[case] expected: Option<Role>,
    ) {
        let guard =
            Guard::new(&settings(&[("HTTP_TOKEN", "correct-horse"), ("HTTP_VIEWER_TOKEN", "looking-horse")]));
        let known = asked(&guard, "192.0.2.7:1", &[("authorization", authorization)]);
        assert_eq!(known.ok().map(|known| known.role), expected);
    }

    #[test]
    fn a_session_counts_only_from_its_own_page() {
        let guard = Guard::new(&settings(&[("HTTP_TOKEN", "correct-horse")]));
        let id = guard.sessions.begin(Role::Operator, Instant::now());
        let cookie = format!("isolog_session={id}");
        let own = [("host", "logs.example"), ("origin", "https://logs.example"), ("cookie", &cookie)];
        let known = asked(&guard, "192.0.2.7:1", &own).unwrap();
        let other = [("host", "logs.example"), ("origin", "https://evil.example"), ("cookie", &cookie)];
        assert!(asked(&guard, "192.0.2.7:1", &other).is_err());
        assert!(guard.unforged(&known, &headers(&own)).is_err(), "a change needs its token");
        let csrf = session::csrf(&id);
        let with = [("host", "logs.example"), ("origin", "https://logs.example"), ("x-csrf-token", &csrf)];
        assert!(guard.unforged(&known, &headers(&with)).is_ok());
        let other = session::csrf(&random::hex());
        let with = [("host", "logs.example"), ("x-csrf-token", other.as_str())];
        assert!(guard.unforged(&known, &headers(&with)).is_err(), "that of another session");
    }

    #[rstest]
    #[case("https://Logs.Example/isolog", "https://logs.example", true)]
    #[case("https://logs.example:443", "https://logs.example", true)]
    #[case("https://logs.example:8443/", "https://logs.example:8443", true)]
    #[case("http://logs.example:80", "http://logs.example", false)]
    #[case("http://[2001:db8::80]:8080", "http://[2001:db8::80]:8080", false)]
    fn an_origin_is_compared_as_browsers_write_it(
        #[case] public_url: &str,
        #[case] origin: &str,
        #[case] is_https: bool,
    ) {
        let guard = Guard::new(&settings(&[("HTTP_TOKEN", "correct-horse"), ("PUBLIC_URL", public_url)]));
        assert_eq!(guard.public_origin.as_deref(), Some(origin));
        assert_eq!(guard.is_https(), is_https);
        assert!(guard.same_origin(&headers(&[("host", "inner:8080"), ("origin", origin)])).is_ok());
    }

    #[rstest]
    #[case::short("correct-horse", false)]
    #[case::long("correct-horse-battery-staple", true)]
    fn after_too_many_wrong_tokens_a_right_one_passes_only_if_nobody_can_guess_it(
        #[case] right: &str,
        #[case] passes: bool,
    ) {
        let guard = Guard::new(&settings(&[("HTTP_TOKEN", right)]));
        let (peer, now) = (IpAddr::from([192, 0, 2, 7]), Instant::now());
        assert!(guard.role_of_token(peer, right.as_bytes(), now).is_ok());
        for n in 0..10 {
            assert!(guard.role_of_token(peer, format!("guess {n}").as_bytes(), now).is_err());
        }
        assert_eq!(guard.role_of_token(peer, right.as_bytes(), now).is_ok(), passes);
        assert!(guard.role_of_token(peer, b"guess 10", now).is_err());
        let later = now + std::time::Duration::from_secs(6);
        assert!(guard.role_of_token(peer, right.as_bytes(), later).is_ok());
    }

    #[rstest]
    #[case::cross_site("cross-site", None, false)]
    #[case::same_site("same-site", None, false)]
    #[case::own_page("same-origin", None, true)]
    #[case::typed("none", None, true)]
    #[case::program("cross-site", Some("Bearer correct-horse"), true)]
    fn a_page_of_another_site_cannot_make_a_browser_ask(
        #[case] site: &str,
        #[case] token: Option<&str>,
        #[case] passes: bool,
    ) {
        let guard = Guard::new(&settings(&[]));
        let sent: Vec<_> = [("sec-fetch-site", site)]
            .into_iter()
            .chain(token.map(|token| ("authorization", token)))
            .collect();
        assert_eq!(guard.same_site(&headers(&sent)).is_ok(), passes);
        assert!(guard.same_site(&headers(&[])).is_ok(), "older browsers and programs do not say");
    }
}
