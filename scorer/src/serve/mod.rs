//! The servers: gRPC with OTLP, HTTP.

use crate::run::App;

/// The servers of a running process.
#[derive(Debug)]
pub struct Servers {}

impl Servers {
    /// Waits until all servers stopped; they do so when `App::stop` is cancelled.
    ///
    /// # Errors
    /// A server failed.
    pub async fn stopped(self) -> anyhow::Result<()> {
        todo!()
    }
}

/// Binds the addresses of the settings and serves until `App::stop` is cancelled.
///
/// # Errors
/// An address cannot be bound, a certificate cannot be read.
pub async fn start(_app: &App) -> anyhow::Result<Servers> {
    todo!()
}
