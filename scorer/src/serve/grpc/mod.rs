//! The gRPC server: scoring, OTLP, health and reflection on one port, with TLS and a token where they are set.

mod convert;
mod scoring;
mod stream;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::{HeaderValue, Response};
use axum::serve::Listener as _;
use futures_util::stream::unfold;
use proto::v1::scoring_service_server::{SERVICE_NAME, ScoringServiceServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService as _;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Status};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::util::MapResponseLayer;

use super::otlp::Otlp;
use super::peers::{Allowed, Peers};
use crate::config::{Secret, TlsFiles};
use crate::live::LiveModel;
use crate::run::App;
use scoring::Scoring;
use stream::WithStream;

/// Calls that one connection may have open.
const STREAMS_PER_CONNECTION: u32 = 128;

/// A gRPC server that is ready to run.
pub type Serving = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Puts the server together; it runs when the result is awaited, until `App::stop`, then until the last connection
/// ended; those of health watchers never end by themselves.
///
/// # Errors
/// A certificate or key cannot be used.
pub async fn server(app: &App, listener: TcpListener) -> anyhow::Result<Serving> {
    let settings = &app.settings;
    let limit = settings.serve.grpc_max_message_bytes;
    let guard = TokenCheck::new(settings.serve.grpc_token.as_ref());
    let scoring = Scoring::new(
        app.model.clone(),
        app.model_file.clone(),
        settings,
        app.metrics.clone(),
        app.stop.clone(),
    );
    let others = ScoringServiceServer::new(scoring.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limit);
    let scoring = WithStream::new(scoring, others, limit);
    let otlp = Otlp::new(app.intake.clone(), app.keeper.pushed(), settings.decode.clone(), limit);
    let (reporter, health) = tonic_health::server::health_reporter();
    report(&reporter, ServingStatus::NotServing).await;
    let mut builder = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .max_concurrent_streams(STREAMS_PER_CONNECTION);
    if let Some(files) = &settings.serve.grpc_tls {
        builder = builder.tls_config(tls(files)?).with_context(|| {
            let (cert, key) = (files.cert.display(), files.key.display());
            format!("GRPC_TLS_CERT {cert} and GRPC_TLS_KEY {key} cannot be used together")
        })?;
    }
    let router = builder
        .layer(MapResponseLayer::new(name_the_limit))
        .add_service(health)
        .add_service(InterceptedService::new(reflection()?.build_v1()?, guard.clone()))
        .add_service(InterceptedService::new(reflection()?.build_v1alpha()?, guard.clone()))
        .add_service(InterceptedService::new(scoring, guard.clone()))
        .add_service(InterceptedService::new(otlp, guard));
    let stop = app.stop.clone();
    let live = app.model.clone();
    Ok(Box::pin(async move {
        let peers = Peers::new(listener, Allowed::default());
        let incoming = unfold(peers, |mut peers| async move {
            let (peer, _) = peers.accept().await;
            Some((Ok::<_, std::io::Error>(peer), peers))
        });
        let serving = router.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        let told = tokio::spawn(tell_health(reporter, live, stop.clone()));
        let outcome = serving.await.context("the gRPC server failed");
        told.abort();
        outcome
    }))
}

fn reflection() -> anyhow::Result<tonic_reflection::server::Builder<'static>> {
    Ok(tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET))
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for service in ["", SERVICE_NAME, Otlp::NAME] {
        reporter.set_service_status(service, status).await;
    }
}

async fn tell_health(reporter: HealthReporter, live: LiveModel, stop: CancellationToken) {
    if stop.run_until_cancelled(live.wait()).await.is_some() {
        report(&reporter, ServingStatus::Serving).await;
        stop.cancelled().await;
    }
    report(&reporter, ServingStatus::NotServing).await;
}

fn tls(files: &TlsFiles) -> anyhow::Result<ServerTlsConfig> {
    let cert = pem("GRPC_TLS_CERT", &files.cert, "CERTIFICATE")?;
    let key = pem("GRPC_TLS_KEY", &files.key, "PRIVATE KEY")?;
    let mut config =
        ServerTlsConfig::new().identity(Identity::from_pem(cert, key)).timeout(Duration::from_secs(10));
    if let Some(path) = &files.client_ca {
        let authority = pem("GRPC_TLS_CLIENT_CA", path, "CERTIFICATE")?;
        config = config.client_ca_root(Certificate::from_pem(authority));
    }
    Ok(config)
}

fn pem(setting: &str, path: &Path, kind: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{setting}: {} cannot be read", path.display()))?;
    if !text.contains("-----BEGIN ") || !text.contains(&format!("{kind}-----")) {
        anyhow::bail!("{setting}: {} holds no PEM block of the kind {kind}", path.display());
    }
    Ok(text)
}

/// Lets calls pass that carry the token; without a token every call.
#[derive(Clone)]
struct TokenCheck(Option<Arc<blake3::Hash>>);

impl TokenCheck {
    fn new(token: Option<&Secret>) -> Self {
        Self(token.map(|token| Arc::new(blake3::hash(token.expose().as_bytes()))))
    }
}

impl Interceptor for TokenCheck {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(expected) = &self.0 else { return Ok(request) };
        let refuse = |what: &str| {
            Err(Status::unauthenticated(format!(
                "{what}; send the metadata `authorization: Bearer TOKEN` with the server's GRPC_TOKEN"
            )))
        };
        let Some(header) = request.metadata().get("authorization") else {
            return refuse("the call carries no token");
        };
        let sent = header.as_bytes();
        match sent.split_first_chunk::<7>() {
            // Comparing digests takes the same time whatever the token is.
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
                if blake3::hash(token.trim_ascii()) == **expected {
                    Ok(request)
                } else {
                    refuse("the token is not the server's")
                }
            }
            _ => refuse("the authorization is not a bearer token"),
        }
    }
}

/// The library's message about a message over the limit says the limit, not what sets it.
fn name_the_limit<B>(mut response: Response<B>) -> Response<B> {
    let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok()?.parse::<i32>().ok());
    if !matches!(code.map(Code::from), Some(Code::OutOfRange | Code::ResourceExhausted)) {
        return response;
    }
    let message = response.headers().get("grpc-message").and_then(|message| message.to_str().ok());
    let Some(message) = message.filter(|message| message.contains("limit")) else { return response };
    let message = format!("{message}; send smaller messages or raise the server's GRPC_MAX_MESSAGE_BYTES");
    if let Ok(message) = HeaderValue::try_from(message) {
        response.headers_mut().insert("grpc-message", message);
    }
    response
}
