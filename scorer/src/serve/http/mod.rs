//! The HTTP server.

use tokio::net::TcpListener;

use crate::run::App;

/// Serves until `App::stop`.
///
/// # Errors
/// The listener failed.
pub async fn server(app: App, _listener: TcpListener) -> anyhow::Result<()> {
    app.stop.cancelled().await;
    Ok(())
}
