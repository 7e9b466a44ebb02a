//! A real Alertmanager of Prometheus, alone, that passes everything on to a webhook at once.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::port::free_port;
use crate::process::Process;
use crate::workdir::Workdir;

const START_LIMIT: Duration = Duration::from_secs(60);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Debian's name of the program.
const PROGRAM: &str = "prometheus-alertmanager";

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    process: Process,
    address: SocketAddr,
    // After the process: files go when nothing writes them any more.
    _directory: Workdir,
}

impl Alertmanager {
    /// Starts one whose alerts, and the ends of them, go to `webhook` without waiting.
    ///
    /// # Errors
    /// When it is not installed (`cargo xtask setup` installs it), or does not get ready.
    pub fn start(webhook: &str) -> Result<Self> {
        let directory = Workdir::create("alertmanager")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let config = format!(
            "route:\n  receiver: test\n  group_by: [alert_id, severity]\n  group_wait: 0s\n  group_interval: 1s\n\
             receivers:\n- name: test\n  webhook_configs:\n  - url: {webhook}\n    send_resolved: true\n"
        );
        let config = directory.write("alertmanager.yml", &config)?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", directory.path().join("data").display()),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let log = directory.path().join("alertmanager.log");
        let mut process = Process::spawn("Alertmanager", PROGRAM, arguments, &log)
            .context("prometheus-alertmanager is needed: run `cargo xtask setup`")?;
        process.wait_ready(START_LIMIT, || get(address, "/-/ready").is_ok())?;
        Ok(Self { process, address, _directory: directory })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The alerts that fire now, as its API shows them.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn alerts(&self) -> Result<Vec<Value>> {
        let body = get(self.address, "/api/v2/alerts")?;
        serde_json::from_str(&body).with_context(|| format!("not a list of alerts: {body}"))
    }

    /// Everything that it has logged.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn output(&self) -> Result<String> {
        self.process.output()
    }
}

/// The body of a page that is there.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    anyhow::ensure!(head.split(' ').nth(1) == Some("200"), "{path}: {}", head.lines().next().unwrap_or(""));
    Ok(body.to_owned())
}
