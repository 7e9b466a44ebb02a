//! Sessions of browsers: got by the token, held by a cookie that no script can read. Kept in memory only: they end
//! with the process. Decides about no route.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Shared;
use super::answer::{Refusal, Sent};
use super::guard::{Guard, Role};
use crate::random;

/// A session that nobody used for so long is over.
const IDLE: Duration = Duration::from_secs(12 * 60 * 60);
/// A session is over after so long, however much it was used.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Sessions at once; a further one ends the one that was not used for longest.
const MOST: usize = 1_000;
const COOKIE: &str = "isolog_session";
/// Where people come by TLS: a browser takes it only over TLS, for this host alone, so no neighbour can set one.
const HOST_COOKIE: &str = "__Host-isolog_session";

/// The sessions, by the digest of their id: whoever reads memory or measures time learns no id.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<blake3::Hash, Session>>);

#[derive(Debug)]
struct Session {
    role: Role,
    began: Instant,
    used: Instant,
    /// What was begun under the session ends with it, however it ends.
    over: CancellationToken,
    _ends: DropGuard,
}

impl Session {
    fn new(role: Role, now: Instant) -> Self {
        let over = CancellationToken::new();
        Self { role, began: now, used: now, _ends: over.clone().drop_guard(), over }
    }

    /// How long it lasts, unless it is used meanwhile.
    fn left(&self, now: Instant) -> Duration {
        let idle = IDLE.saturating_sub(now.saturating_duration_since(self.used));
        idle.min(LONGEST.saturating_sub(now.saturating_duration_since(self.began)))
    }

    fn lasts(&self, now: Instant) -> bool {
        !self.left(now).is_zero()
    }
}

/// A session by the digest of its id, for what goes on after the answer began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(blake3::Hash);

impl Sessions {
    /// Begins a session; its id.
    pub fn begin(&self, role: Role, now: Instant) -> String {
        let id = random::hex();
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MOST {
            sessions.retain(|_, session| session.lasts(now));
            let idle = sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
            if let Some(idle) = idle.filter(|_| sessions.len() >= MOST) {
                sessions.remove(&idle);
            }
        }
        sessions.insert(key(&id), Session::new(role, now));
        id
    }

    /// The role of a session that lasts.
    pub fn role(&self, id: &str, now: Instant) -> Option<Role> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&key(id)).filter(|session| session.lasts(now))?;
        session.used = now;
        Some(session.role)
    }

    /// Its key, where the session of this id lasts.
    pub fn key(&self, id: &str) -> Option<Key> {
        let key = key(id);
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.contains_key(&key).then_some(Key(key))
    }

    /// How long a session lasts yet, and what is cancelled when it ends before; `None` where it is over.
    fn left(&self, Key(key): Key, now: Instant) -> Option<(Duration, CancellationToken)> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(&key)?;
        if session.lasts(now) {
            return Some((session.left(now), session.over.clone()));
        }
        sessions.remove(&key);
        None
    }

    fn end(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(id));
    }
}

/// Waits until a session is over: ended, displaced by another one, idle for too long or as old as one may be. Without a
/// session it waits for ever.
pub async fn over(guard: Arc<Guard>, session: Option<Key>) {
    let Some(key) = session else { return std::future::pending().await };
    while let Some((left, over)) = guard.sessions.left(key, Instant::now()) {
        // Whoever used it meanwhile made it last longer.
        let _ = tokio::time::timeout(left, over.cancelled()).await;
    }
}

fn key(id: &str) -> blake3::Hash {
    blake3::hash(id.as_bytes())
}

/// What a page must send with each change, made from the session's id; the id does not follow from it.
pub fn csrf(id: &str) -> String {
    blake3::Hash::from(blake3::derive_key("isolog session, token against forged requests", id.as_bytes()))
        .to_hex()
        .to_string()
}

const fn cookie_name(is_https: bool) -> &'static str {
    if is_https { HOST_COOKIE } else { COOKIE }
}

/// The session's id that a request carries.
pub fn id_of(headers: &HeaderMap, is_https: bool) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(cookie_name(is_https))?.strip_prefix('='))
}

/// The routes of the session, which are open to everyone who may see the page.
pub fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/session", get(look).post(begin).delete(end))
}

/// What is told of a session.
#[derive(Debug, Serialize)]
struct Told {
    authenticated: bool,
    role: Option<Role>,
    csrf: Option<String>,
    token_needed: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

fn told(guard: &Guard, role: Option<Role>, csrf: Option<String>) -> Json<Told> {
    Json(Told { authenticated: role.is_some(), role, csrf, token_needed: guard.needs_token() })
}

async fn look(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let guard = &shared.guard;
    if guard.needs_token() && !guard.carries_anything(&headers, Instant::now()) {
        return told(guard, None, None).into_response();
    }
    match guard.who(peer, &headers, Instant::now()) {
        Ok(known) => told(guard, Some(known.role), known.csrf).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn begin(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Sent(login): Sent<Login>,
) -> Result<Response, Refusal> {
    let (guard, now) = (&shared.guard, Instant::now());
    if !guard.needs_token() {
        let known = guard.who(peer, &headers, now)?;
        return Ok(told(guard, Some(known.role), known.csrf).into_response());
    }
    guard.same_origin(&headers)?;
    let role = guard.role_of_token(peer.ip(), login.token.as_bytes(), now)?;
    let id = guard.sessions.begin(role, now);
    tracing::info!(role = role.as_str(), peer = %peer.ip(), "a session began");
    let seconds = LONGEST.as_secs();
    let name = cookie_name(guard.is_https());
    let cookie = format!("{name}={id}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}");
    Ok((set(cookie, guard)?, told(guard, Some(role), Some(csrf(&id)))).into_response())
}

async fn end(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (guard, now) = (&shared.guard, Instant::now());
    let known = guard.who(peer, &headers, now)?;
    guard.unforged(&known, &headers)?;
    if !guard.needs_token() {
        return Ok(told(guard, Some(known.role), known.csrf).into_response());
    }
    if let Some(id) = id_of(&headers, guard.is_https()) {
        guard.sessions.end(id);
        tracing::info!(role = known.role.as_str(), peer = %peer.ip(), "a session was ended");
    }
    let name = cookie_name(guard.is_https());
    let cookie = format!("{name}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    Ok((set(cookie, guard)?, told(guard, None, None)).into_response())
}

fn set(
    mut cookie: String,
    guard: &Guard,
) -> Result<AppendHeaders<[(header::HeaderName, HeaderValue); 1]>, Refusal> {
    if guard.is_https() {
        cookie += "; Secure";
    }
    let value = HeaderValue::try_from(cookie).map_err(|error| Refusal::unavailable(error.to_string()))?;
    Ok(AppendHeaders([(header::SET_COOKIE, value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_and_at_the_longest_after_a_week() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let id = sessions.begin(Role::Viewer, start);
        assert_eq!(sessions.role(&id, start + IDLE - Duration::from_secs(1)), Some(Role::Viewer));
        assert_eq!(sessions.role(&id, start + 2 * IDLE), None);
        let id = sessions.begin(Role::Operator, start);
        let mut now = start;
        while now + IDLE / 2 < start + LONGEST {
            now += IDLE / 2;
            assert_eq!(sessions.role(&id, now), Some(Role::Operator));
        }
        assert_eq!(sessions.role(&id, start + LONGEST), None);
    }

    #[test]
    fn a_further_session_ends_the_one_that_was_not_used_for_longest() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let at = |n: usize| start + Duration::from_secs(n as u64);
        let ids: Vec<String> = (0..MOST).map(|n| sessions.begin(Role::Viewer, at(n))).collect();
        assert!(sessions.role(&ids[0], at(MOST)).is_some(), "used last");
        sessions.begin(Role::Viewer, at(MOST + 1));
        assert!(sessions.role(&ids[0], at(MOST + 2)).is_some());
        assert!(sessions.role(&ids[1], at(MOST + 2)).is_none());
        assert_eq!(sessions.0.lock().unwrap().len(), MOST);
    }

    #[test]
    fn what_was_begun_under_a_session_ends_with_it() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let second = Duration::from_secs(1);
        let id = sessions.begin(Role::Viewer, start);
        let key = sessions.key(&id).unwrap();
        let (left, over) = sessions.left(key, start + second).unwrap();
        assert_eq!((left, over.is_cancelled()), (IDLE - second, false));
        sessions.end(&id);
        assert!(over.is_cancelled() && sessions.left(key, start).is_none(), "signed out");

        let id = sessions.begin(Role::Viewer, start);
        let key = sessions.key(&id).unwrap();
        let (_, over) = sessions.left(key, start).unwrap();
        (0..MOST).for_each(|_| drop(sessions.begin(Role::Viewer, start + second)));
        assert!(over.is_cancelled(), "displaced");

        let id = sessions.begin(Role::Viewer, start);
        let key = sessions.key(&id).unwrap();
        sessions.role(&id, start + IDLE / 2);
        assert_eq!(sessions.left(key, start + IDLE).unwrap().0, IDLE / 2, "used meanwhile");
        let (_, over) = sessions.left(key, start).unwrap();
        assert!(sessions.left(key, start + 2 * IDLE).is_none() && over.is_cancelled(), "idle");
    }

    #[test]
    fn ids_are_unlike_and_the_csrf_token_follows_from_the_id_alone() {
        let sessions = Sessions::default();
        let (one, other) =
            (sessions.begin(Role::Viewer, Instant::now()), sessions.begin(Role::Viewer, Instant::now()));
        assert_ne!(one, other);
        assert_eq!(one.len(), 64);
        assert_eq!(csrf(&one), csrf(&one));
        assert_ne!(csrf(&one), csrf(&other));
        assert_ne!(csrf(&one), one);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; isolog_session_x=no".parse().unwrap());
        assert_eq!(id_of(&headers, false), None);
        headers.append(header::COOKIE, "b=2; isolog_session=abc; c=3".parse().unwrap());
        assert_eq!((id_of(&headers, false), id_of(&headers, true)), (Some("abc"), None));
        headers.append(header::COOKIE, "__Host-isolog_session=def".parse().unwrap());
        assert_eq!((id_of(&headers, false), id_of(&headers, true)), (Some("abc"), Some("def")));
    }
}
