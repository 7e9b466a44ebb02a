//! The HTTP server: the page with live anomalies and its data, metrics, liveness and readiness. Decides nothing
//! about a line.

mod answer;
mod api;
mod control;
mod guard;
mod page;
mod session;
mod stored;
mod throttle;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::peers::{Allowed, Peers};
use crate::run::App;
use answer::Refusal;
use guard::Guard;
use stored::Stored;

/// Event streams that may be open at once.
const STREAMS: usize = 64;

/// Largest body of a request; what is changed here is small.
const BODY_BYTES: usize = 64 << 10;

/// Everything that a page may load comes from this server; no script or style stands in the page itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    app: App,
    started: Instant,
    streams: Arc<Semaphore>,
    guard: Arc<Guard>,
    /// Where there is a store.
    stored: Option<Stored>,
}

/// Serves until `App::stop`, then until the last connection ended.
///
/// # Errors
/// The listener failed.
pub async fn server(app: App, listener: TcpListener) -> anyhow::Result<()> {
    let stop = app.stop.clone();
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    // An event stream sends something each 15 s.
    let allowed = Allowed { quiet: Duration::from_secs(20), ..Allowed::default() };
    let peers = Peers::new(listener, allowed).tap_io(|_| ());
    let serving = axum::serve(peers, service).with_graceful_shutdown(stop.cancelled_owned());
    serving.await.context("the HTTP server failed")
}

fn router(app: App) -> Router {
    let guard = Arc::new(Guard::new(&app.settings));
    let stored = app.settings.store.as_ref().map(|store| Stored::new(store.place.clone()));
    let shared = Shared {
        app,
        started: Instant::now(),
        streams: Arc::new(Semaphore::new(STREAMS)),
        guard: Arc::clone(&guard),
        stored,
    };
    let read =
        api::read().merge(control::read()).layer(middleware::from_fn_with_state(guard.clone(), guard::read));
    let change = api::change()
        .merge(control::change())
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(guard.clone(), guard::change));
    let session = session::routes().layer(DefaultBodyLimit::max(BODY_BYTES));
    let api =
        read.merge(change).merge(session).layer(middleware::from_fn_with_state(guard.clone(), guard::site));
    let page = page::routes().layer(middleware::from_fn_with_state(guard, guard::page));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .merge(api)
        .merge(page)
        .fallback(not_found)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn(harden))
        .with_state(shared)
}

async fn healthz(State(shared): State<Shared>) -> Response {
    verdict("live", &shared.app.health.why_not_live())
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let mut why = shared.app.health.why_not_ready();
    if shared.app.model.get().is_none() && !why.iter().any(|(part, _)| part == "model") {
        why.push(("model".to_owned(), "none is loaded".to_owned()));
    }
    verdict("ready", &why)
}

/// One line per part that is in the way.
fn verdict(word: &str, why: &[(String, String)]) -> Response {
    if why.is_empty() {
        return (StatusCode::OK, format!("{word}\n")).into_response();
    }
    let parts: String = why.iter().map(|(part, why)| format!("{part}: {why}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, format!("not {word}\n{parts}")).into_response()
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.app.metrics.render())
}

async fn not_found(request: Request) -> impl IntoResponse {
    let path: String = request.uri().path().chars().take(200).collect();
    let known = "/, /metrics, /healthz, /readyz, /api/v1/status";
    Refusal::missing(format!("{path} is not here; there are {known}"))
}

async fn other_method(request: Request) -> impl IntoResponse {
    let method: String = request.method().as_str().chars().take(20).collect();
    let why = format!("{method} is not allowed here; the header Allow names what is");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, why)
}

async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
