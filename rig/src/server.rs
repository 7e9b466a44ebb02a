//! A scorer that runs, and the load that is put on it: its own processor time by the kernel's account, its
//! counters by its metrics page.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::process::Process;
use testkit::workdir::Workdir;

use crate::compare::Bench;

/// Longest wait for a start or an end.
const LIMIT: Duration = Duration::from_secs(300);
/// The kernel counts processor time for /proc in hundredths of a second.
const TICKS_PER_S: f64 = 100.0;

/// A `scorer run` with a directory of its own; killed when dropped.
pub struct Server {
    process: Process,
    http: SocketAddr,
    /// Where it answers gRPC.
    pub grpc: SocketAddr,
    // Removed with it.
    _folder: Workdir,
}

impl Server {
    /// Starts it on these CPUs (a list as `taskset` takes it).
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(bench: &Bench, name: &str, cpus: &str, arguments: &[&str]) -> Result<Self> {
        let folder = Workdir::create(name)?;
        let scorer = bench.beside("scorer")?.to_string_lossy().into_owned();
        let free = || Ok::<_, anyhow::Error>(SocketAddr::from(([127, 0, 0, 1], testkit::free_port()?)));
        let (http, grpc) = (free()?, free()?);
        let addresses = [http.to_string(), grpc.to_string()];
        let mut all = vec!["-c", cpus, &scorer, "run", "--http-addr", &addresses[0]];
        all.extend(["--grpc-addr", &addresses[1], "--log-level", "warn"]);
        let store = folder.path().join("isolog.db").display().to_string();
        all.extend(["--store-path", &store]);
        all.extend(arguments);
        let process = Process::spawn(name, "taskset", all, &folder.path().join("scorer.log"))?;
        Ok(Self { process, http, grpc, _folder: folder })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It ends first, or is not ready in time.
    pub fn wait_ready(&mut self) -> Result<()> {
        let http = self.http;
        self.process.wait_ready(LIMIT, || get(http, "/readyz").is_some_and(|(status, _)| status == 200))
    }

    /// User and system time so far, s.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_s(&self) -> Result<f64> {
        let path = format!("/proc/{}/stat", self.process.id());
        let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // The name in brackets may hold blanks; user and system time are the 12th and 13th field behind it.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).with_context(|| format!("{path} reads {stat:?}"))?;
        Ok((user + system) / TICKS_PER_S)
    }

    /// A metric's value, summed over its labels; 0 where it does not exist yet.
    pub fn metric(&self, name: &str) -> f64 {
        let page = get(self.http, "/metrics").map(|(_, body)| body).unwrap_or_default();
        page.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Lines scored so far.
    pub fn scored(&self) -> u64 {
        self.metric("isolog_lines_scored_total") as u64
    }

    /// Waits until something holds of it, looking every `pause`.
    ///
    /// # Errors
    /// It does not in time; carries its log.
    pub fn wait(
        &self,
        what: &str,
        pause: Duration,
        mut holds: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !holds(self)? {
            if Instant::now() >= deadline {
                let log = self.process.output().unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(20).collect();
                bail!(
                    "{what}: not after {LIMIT:?}; the end of the scorer's log, last first:\n{}",
                    tail.join("\n")
                );
            }
            std::thread::sleep(pause);
        }
        Ok(())
    }
}

fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
