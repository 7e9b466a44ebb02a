//! rsyslog with its Kafka output, as an unprivileged process of its own configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::kafka::Broker;
use crate::port::free_port;
use crate::process::Process;
use crate::workdir::Workdir;

const START_LIMIT: Duration = Duration::from_secs(30);

/// rsyslogd lies where a user's search path may not lead.
const PROGRAM: &str = "/usr/sbin/rsyslogd";

/// A running rsyslog that reads a file and a UDP port and ships to one topic.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    directory: Workdir,
    udp_port: u16,
}

impl Daemon {
    /// Starts one that ships what it receives to `topic`, formatted by one of rsyslog's templates:
    /// `RSYSLOG_TraditionalForwardFormat` (BSD syslog), `RSYSLOG_SyslogProtocol23Format` (RFC 5424) and others.
    ///
    /// # Errors
    /// When rsyslog is not installed (`cargo xtask setup` installs it) or refuses its configuration.
    pub fn start(broker: &Broker, topic: &str, template: &str) -> Result<Self> {
        let directory = Workdir::create("rsyslog")?;
        let udp_port = free_port()?;
        let input = directory.write("input.log", "")?;
        let state = directory.path().display();
        let config = format!(
            r#"global(workDirectory="{state}")
module(load="imfile" mode="inotify")
module(load="imudp")
module(load="omkafka")
input(type="imudp" address="127.0.0.1" port="{udp_port}")
input(type="imfile" file="{input}" tag="shop:" severity="warning" facility="local0")
action(type="omkafka" broker=["{broker}"] topic="{topic}" template="{template}"
       confParam=["message.timeout.ms=30000", "queue.buffering.max.ms=10"]
       errorFile="{state}/omkafka-errors.log" resubmitOnFailure="on")
action(type="omfile" file="{state}/received.log" template="{template}")
"#,
            input = input.display(),
            broker = broker.bootstrap(),
        );
        let config = directory.write("rsyslog.conf", &config)?;
        let pid = directory.path().join("rsyslog.pid");
        let log = directory.path().join("rsyslog.log");
        let arguments = ["-n".to_owned(), "-f".into(), path(&config), "-i".into(), path(&pid)];
        let mut process = Process::spawn("rsyslog", PROGRAM, arguments, &log)
            .context("rsyslog is needed: run `cargo xtask setup`")?;
        process.wait_ready(START_LIMIT, || pid.exists() && udp_is_bound(udp_port))?;
        Ok(Self { process, directory, udp_port })
    }

    /// Where it takes syslog datagrams: `127.0.0.1` and this port.
    pub fn udp_port(&self) -> u16 {
        self.udp_port
    }

    /// The file it follows; its lines get tag `shop:`, severity warning and facility local0.
    pub fn followed_file(&self) -> PathBuf {
        self.directory.path().join("input.log")
    }

    /// Everything that it has said about itself.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn output(&self) -> Result<String> {
        self.process.output()
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A bound socket cannot be bound again.
fn udp_is_bound(port: u16) -> bool {
    std::net::UdpSocket::bind(("127.0.0.1", port)).is_err()
}
