//! Where PostgreSQL is and how the connection is protected.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::settings::SettingsError;

const CONNECT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A checked address.
pub struct Address {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Address {
    /// From `postgres://USER:PASSWORD@HOST:PORT/DATABASE?…`. `sslmode` is `disable`, `prefer`, `require` or
    /// `verify-full`; where TLS is used, the server's certificate is always checked, against the system's
    /// authorities or those in the file `sslrootcert`. Without `sslmode`, servers of this machine are spoken to
    /// without TLS, others with `prefer`.
    ///
    /// # Errors
    /// What of it cannot be used.
    pub fn new(url: &str) -> Result<Self, SettingsError> {
        let refuse = |why: String| SettingsError { why };
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(refuse("it does not begin with postgres://".to_owned()));
        }
        let (url, options) = Options::taken_from(url)?;
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            refuse(source.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(refuse("it names no host".to_owned()));
        }
        if config.get_user().is_none() {
            return Err(refuse("it names no user".to_owned()));
        }
        let mode = match options.mode.as_deref() {
            Some("disable") => SslMode::Disable,
            Some("prefer") => SslMode::Prefer,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            None if config.get_hosts().iter().all(is_here) => SslMode::Disable,
            None => SslMode::Prefer,
            Some(other) => {
                return Err(refuse(format!(
                    "sslmode is disable, prefer, require or verify-full, got `{}`",
                    other.escape_debug()
                )));
            }
        };
        config.ssl_mode(mode);
        if config.get_application_name().is_none() {
            config.application_name("isolog");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        config.keepalives_idle(KEEPALIVE).tcp_user_timeout(KEEPALIVE);
        let tls = match mode {
            SslMode::Disable => None,
            _ => Some(MakeRustlsConnect::new(client_config(options.roots.as_deref()).map_err(refuse)?)),
        };
        Ok(Self { config, tls })
    }

    /// For the client.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// How the connection is protected; `None` where it is not.
    pub fn tls(&self) -> Option<MakeRustlsConnect> {
        self.tls.clone()
    }
}

impl fmt::Display for Address {
    /// Hosts, ports and database; never user or password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let port = ports.get(index).or_else(|| ports.first()).copied().unwrap_or(5432);
            let comma = if index == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                Host::Unix(path) => write!(f, "{comma}{}:{port}", path.display())?,
            }
        }
        match self.config.get_dbname() {
            Some(name) => write!(f, "/{name}"),
            None => Ok(()),
        }
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// What the client library does not know of an address' options.
#[derive(Default)]
struct Options {
    mode: Option<String>,
    roots: Option<String>,
}

impl Options {
    fn taken_from(url: &str) -> Result<(String, Self), SettingsError> {
        let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), Self::default())) };
        let mut options = Self::default();
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => options.mode = Some(value.to_owned()),
                Some(("sslrootcert", value)) => options.roots = Some(decoded(value)?),
                _ => others.push(pair),
            }
        }
        let url = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        Ok((url, options))
    }
}

fn decoded(text: &str) -> Result<String, SettingsError> {
    let refuse =
        || SettingsError { why: "sslrootcert has a `%` that no two hexadecimal digits follow".into() };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().ok_or_else(refuse)?, rest.next().ok_or_else(refuse)?];
        let digits = std::str::from_utf8(&digits).map_err(|_| refuse())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| refuse())?);
    }
    String::from_utf8(bytes).map_err(|_| refuse())
}

fn client_config(roots: Option<&str>) -> Result<ClientConfig, String> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(path) => {
            let unusable = |why: String| format!("sslrootcert = {path} cannot be used: {why}");
            let certificates = CertificateDer::pem_file_iter(Path::new(path))
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unusable(error.to_string()))?;
            let (added, _) = store.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(unusable("there is no certificate in it".to_owned()));
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        let address = Address::new("postgres://anna:geheim@db.example:5433/logs").unwrap();
        assert_eq!(address.to_string(), "db.example:5433/logs");
    }

    #[rstest]
    #[case("postgres://u@127.0.0.1/d", SslMode::Disable)]
    #[case("postgres://u@localhost/d?connect_timeout=3", SslMode::Disable)]
    #[case("postgres://u@localhost/d?sslmode=require", SslMode::Require)]
    #[case("postgres://u@db.example/d", SslMode::Prefer)]
    #[case("postgres://u@db.example/d?sslmode=verify-full", SslMode::Require)]
    #[case("postgres://u@db.example/d?sslmode=disable", SslMode::Disable)]
    fn only_servers_of_this_machine_are_spoken_to_without_tls_unasked(
        #[case] url: &str,
        #[case] mode: SslMode,
    ) {
        let address = Address::new(url).unwrap();
        assert_eq!(address.config().get_ssl_mode(), mode);
        assert_eq!(address.tls().is_none(), mode == SslMode::Disable);
    }

    #[rstest]
    #[case("mysql://u@h/d", "it does not begin with postgres://")]
    #[case("postgres://u:geheim@h:notaport/d", "port")]
    #[case("postgres:///d", "no host")]
    #[case("postgres://u:geheim@h/d?sslmode=maybe", "`maybe`")]
    #[case(
        "postgres://u:geheim@h/d?sslmode=require&sslrootcert=/nonexistent%2Fca.pem",
        "/nonexistent/ca.pem"
    )]
    #[case("postgres://u:geheim@h/d?colour=red", "colour")]
    fn an_unusable_address_is_refused_without_telling_its_password(#[case] url: &str, #[case] why: &str) {
        let error = Address::new(url).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("geheim"), "{error}");
    }
}
