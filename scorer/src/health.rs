//! `scorer health`: asks a running scorer whether it is ready, as container health checks do. Speaks just enough
//! HTTP for that and changes nothing.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::EXIT_FOUND;
use crate::config::table::Group;
use crate::config::{Flags, Settings, Subset};

/// Most bytes of an answer that are read.
const MAX_ANSWER: u64 = 64 << 10;

/// The settings that say where the scorer answers.
#[derive(Clone, Debug)]
pub struct Serving;

impl Subset for Serving {
    const GROUPS: &'static [Group] = &[Group::Serve];
}

/// Arguments of `scorer health`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 ready, 1 not ready or no answer, 2 the question itself is faulty.")]
pub struct HealthArgs {
    /// What to ask [default: /readyz at HTTP_ADDR]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Longest wait for the answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    /// Settings.
    #[command(flatten)]
    settings: Flags<Serving>,
}

/// `scorer health`.
///
/// # Errors
/// The URL or a setting cannot be used.
pub fn run(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let timeout = Duration::from_secs(args.timeout);
    let (host, path) = match &args.url {
        Some(url) => parse(url)?,
        None => (own_address(&Settings::load(args.settings)?)?.to_string(), "/readyz".to_owned()),
    };
    match ask(&host, &path, timeout) {
        Ok((200, _)) => {
            say!("ready");
            Ok(ExitCode::SUCCESS)
        }
        Ok((status, body)) => {
            tell!("http://{host}{path} answers {status}: {}", body.trim_end());
            Ok(ExitCode::from(EXIT_FOUND))
        }
        Err(error) => {
            tell!("http://{host}{path} does not answer: {error:#}");
            Ok(ExitCode::from(EXIT_FOUND))
        }
    }
}

fn own_address(settings: &Settings) -> anyhow::Result<SocketAddr> {
    let Some(mut address) = settings.serve.http else {
        bail!("HTTP_ADDR is off, so nothing answers health checks; set it, or give --url");
    };
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

/// Host with port, and path.
fn parse(url: &str) -> anyhow::Result<(String, String)> {
    let faulty = || format!("--url {url:?} cannot be used; allowed: http://HOST:PORT/PATH");
    let rest = url.strip_prefix("http://").with_context(faulty)?;
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/readyz"),
    };
    let clean = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_empty() || host.contains('@') || !clean(host) || !clean(path) {
        bail!("{}", faulty());
    }
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port { host.to_owned() } else { format!("{host}:80") };
    Ok((host, path.to_owned()))
}

fn ask(host: &str, path: &str, timeout: Duration) -> anyhow::Result<(u16, String)> {
    let mut stream = connect(host, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.context("the answer is not HTTP/1.1")?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

fn connect(host: &str, timeout: Duration) -> anyhow::Result<TcpStream> {
    let mut last = None;
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| anyhow::anyhow!("the name has no address"), Into::into))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::whole("http://127.0.0.1:9000/readyz", "127.0.0.1:9000", "/readyz")]
    #[case::without_path("http://scorer:8080", "scorer:8080", "/readyz")]
    #[case::without_port("http://scorer/healthz", "scorer:80", "/healthz")]
    #[case::version_6("http://[::1]:8080/readyz", "[::1]:8080", "/readyz")]
    fn a_url_is_taken_apart(#[case] url: &str, #[case] host: &str, #[case] path: &str) {
        assert_eq!(parse(url).unwrap(), (host.to_owned(), path.to_owned()));
    }

    #[rstest]
    #[case("https://localhost:8080")]
    #[case("localhost:8080")]
    #[case("http:///readyz")]
    #[case("http://host:1/a b")]
    #[case("http://host:1/a\r\nX: y")]
    fn a_faulty_url_is_refused_by_name(#[case] url: &str) {
        let error = parse(url).unwrap_err().to_string();
        assert!(error.contains(&format!("{url:?}")) && error.contains("http://HOST:PORT/PATH"), "{error}");
    }
}
