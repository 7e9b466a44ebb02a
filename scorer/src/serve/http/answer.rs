//! What every route of the API shares: refusals as `{"error": …}`, and questions and bodies that are refused in that
//! shape when they cannot be read. Knows no route.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

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

/// The part of the path in braces.
#[derive(Debug)]
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(name) = Path::from_request_parts(parts, state)
            .await
            .map_err(|error| Refusal::new(error.status(), error.body_text()))?;
        Ok(Self(name))
    }
}

/// A body as it came, whatever kind of content it says it is.
#[derive(Debug)]
pub struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|error| Refusal::new(error.status(), error.body_text()))?;
        Ok(Self(body))
    }
}

/// A whole number that is left out or null, or written in any way that JSON has for it: 60, 60.0, 6e1.
///
/// # Errors
/// It is no whole number.
pub fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    /// Whole numbers up to here are exact.
    const MOST: f64 = 9_007_199_254_740_992.0;
    match Option::<serde_json::Number>::deserialize(from)? {
        None => Ok(None),
        Some(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(Some(whole)),
            (None, Some(real)) if real.fract() == 0.0 && real.abs() <= MOST => Ok(Some(real as i64)),
            _ => Err(D::Error::custom(format!("{number} is not allowed: a whole number"))),
        },
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
