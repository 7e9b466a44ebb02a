//! The servers: gRPC with OTLP, HTTP with page, metrics and health. They read what the rooms share and hand records
//! to the pipeline; they score nothing for it.

mod grpc;
mod http;
mod otlp;
mod peers;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::run::App;

/// The servers of a running process.
#[derive(Debug)]
pub struct Servers {
    /// Where HTTP listens; `None` where it is off.
    pub http: Option<SocketAddr>,
    /// Where gRPC listens; `None` where it is off.
    pub grpc: Option<SocketAddr>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Servers {
    /// Waits for a server that ends though nobody asked it to; without servers for ever.
    ///
    /// # Errors
    /// Always: why it ended.
    pub async fn failed(&mut self) -> anyhow::Result<()> {
        match self.tasks.join_next().await {
            Some(ended) => {
                ended.context("a server ended abnormally")??;
                anyhow::bail!("a server ended though the process was not asked to stop")
            }
            None => std::future::pending().await,
        }
    }

    /// Waits until all servers stopped; they do so when `App::stop` is cancelled and their calls are answered. A
    /// connection that still lasts after `grace` is cut off, which is no error: peers may be silent for ever.
    ///
    /// # Errors
    /// A server failed.
    pub async fn stopped(mut self, grace: Duration) -> anyhow::Result<()> {
        let ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.context("a server ended abnormally")??;
            }
            Ok(())
        };
        if let Ok(ended) = tokio::time::timeout(grace, ended).await {
            return ended;
        }
        tracing::info!(servers = self.tasks.len(), "connections that peers still held open were cut off");
        self.tasks.shutdown().await;
        Ok(())
    }
}

/// Binds the addresses of the settings and serves until `App::stop` is cancelled.
///
/// # Errors
/// An address cannot be bound, a certificate cannot be read.
pub async fn start(app: &App) -> anyhow::Result<Servers> {
    let serve = &app.settings.serve;
    let http = bind("HTTP_ADDR", serve.http).await?;
    let grpc = bind("GRPC_ADDR", serve.grpc).await?;
    start_on(app, http, grpc).await
}

/// As [`start`], on listeners that are bound already.
///
/// # Errors
/// A certificate cannot be read.
pub async fn start_on(
    app: &App,
    http: Option<TcpListener>,
    grpc: Option<TcpListener>,
) -> anyhow::Result<Servers> {
    let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|it| it.local_addr().ok());
    let mut servers = Servers { http: address(&http), grpc: address(&grpc), tasks: JoinSet::new() };
    if let Some(listener) = grpc {
        let tls = app.settings.serve.grpc_tls.is_some();
        servers.tasks.spawn(grpc::server(app, listener).await?);
        tracing::info!(address = servers.grpc.map(tracing::field::display), tls, "gRPC and OTLP are served");
    }
    if let Some(listener) = http {
        servers.tasks.spawn(http::server(app.clone(), listener));
        tracing::info!(address = servers.http.map(tracing::field::display), "HTTP is served");
    }
    Ok(servers)
}

/// Binds the address of a setting; `None` stays `None`.
///
/// # Errors
/// Says which setting, which address and the way out.
pub async fn bind(setting: &str, address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!(
            "{setting} = {address} cannot be listened on: set {setting} to a free address (port 0 takes any)"
        )
    })?;
    Ok(Some(listener))
}
