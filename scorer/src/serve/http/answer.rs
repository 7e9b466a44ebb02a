//! What every route of the API shares: refusals as `{"error": …}`, and questions and bodies that are refused in that
//! shape when they cannot be read. Knows no route.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::de::DeserializeOwned;

/// An answer that refuses: its text names the thing, the value, what is allowed and what to do.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    why: String,
    /// Seconds after which it may work.
    after: Option<u64>,
}

impl Refusal {
    /// With any status.
    pub fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), after: None }
    }

    /// The caller asked for what is not allowed.
    pub fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// There is no such thing, or it is off.
    pub fn missing(why: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, why)
    }

    /// It may work later.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, why)
    }

    /// Says after how many seconds it may work.
    pub const fn after(mut self, seconds: u64) -> Self {
        self.after = Some(seconds);
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let after = self.after.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
        (self.status, after.map(AppendHeaders), Json(serde_json::json!({ "error": self.why })))
            .into_response()
    }
}

/// The names and values behind the `?`; `T` refuses unknown ones by `deny_unknown_fields`.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Query(asked) =
            Query::try_from_uri(&parts.uri).map_err(|error| Refusal::bad(error.body_text()))?;
        Ok(Self(asked))
    }
}
/// A JSON body.
#[derive(Debug)]
pub struct Sent<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let Json(sent) = Json::from_request(request, state)
            .await
            .map_err(|error| Refusal::new(error.status(), error.body_text()))?;
        Ok(Self(sent))
    }
}
