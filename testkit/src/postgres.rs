//! PostgreSQL: a cluster of the test's own, as an unprivileged user. Durability is off, for speed: what the server
//! promises its clients is not what these tests are about.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::port::free_port;
use crate::process::Process;
use crate::tools;
use crate::workdir::Workdir;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The user that Debian's package makes; servers refuse to run as root.
const UNPRIVILEGED: &str = "postgres";

static SHARED: OnceLock<std::result::Result<Server, String>> = OnceLock::new();
static NEXT_DATABASE: AtomicU32 = AtomicU32::new(0);

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Option<Process>,
    programs: PathBuf,
    directory: Workdir,
    port: u16,
    /// Further settings.
    settings: Vec<String>,
}

impl Server {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When PostgreSQL is not installed (`cargo xtask setup` installs it) or does not start.
    pub fn start() -> Result<Self> {
        Self::begin(None)
    }

    /// As [`Server::start`], with TLS by a certificate and its key, both PEM.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with_tls(certificate: &str, key: &str) -> Result<Self> {
        Self::begin(Some((certificate, key)))
    }

    fn begin(tls: Option<(&str, &str)>) -> Result<Self> {
        let programs = tools::postgres_programs()?;
        let directory = Workdir::create("postgres")?;
        let port = free_port()?;
        if is_root()? {
            give_away(directory.path())?;
        }
        let mut settings = Vec::new();
        if let Some((certificate, key)) = tls {
            settings.push("ssl=on".to_owned());
            for (name, pem) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
                let path = directory.write(name, pem)?;
                // The server refuses a key that others may read.
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
                if is_root()? {
                    give_away(&path)?;
                }
                settings.push(format!("{name}={}", path.display()));
            }
        }
        let mut server = Self { process: None, programs, directory, port, settings };
        server.initialize()?;
        server.resume()?;
        Ok(server)
    }

    /// One that all tests of this process share; each takes a database of its own.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn shared() -> Result<&'static Self> {
        let shared = SHARED.get_or_init(|| Self::start().map_err(|error| format!("{error:#}")));
        shared.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    fn initialize(&self) -> Result<()> {
        let mut command = self.command("initdb")?;
        command.arg("--pgdata").arg(self.data());
        command.args(["--username=isolog", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]);
        command.args(["--no-sync", "--no-instructions"]);
        succeeds(command, "initdb")
    }

    /// Starts it again on the same port, with what it holds.
    ///
    /// # Errors
    /// When it does not start.
    pub fn resume(&mut self) -> Result<()> {
        let log = self.directory.path().join("postgres.log");
        let port = self.port.to_string();
        let server = self.programs.join("postgres");
        let mut arguments = vec![server.into_os_string(), "-D".into(), self.data().into_os_string()];
        arguments.extend(["-p", &port, "-h", "127.0.0.1", "-k", ""].map(Into::into));
        for setting in ["fsync=off", "full_page_writes=off", "max_connections=60", "shared_buffers=16MB"] {
            arguments.extend(["-c".into(), setting.into()]);
        }
        for setting in &self.settings {
            arguments.extend(["-c".into(), setting.into()]);
        }
        let mut process = if is_root()? {
            let mut all = unprivileged();
            all.extend(arguments);
            Process::spawn("postgres", "setpriv", all, &log)?
        } else {
            let program = arguments.remove(0);
            Process::spawn("postgres", program, arguments, &log)?
        };
        process.wait_ready(START_LIMIT, || self.answers())?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it as an administrator does who does not wait for clients.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.signal("INT")?;
            process.stop(STOP_LIMIT)?;
        }
        Ok(())
    }

    /// A new empty database; its address.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn database(&self) -> Result<String> {
        let name = format!("test{}", NEXT_DATABASE.fetch_add(1, Ordering::Relaxed));
        let mut command = self.client("createdb")?;
        command.arg(&name);
        succeeds(command, "createdb")?;
        Ok(format!("postgres://isolog@127.0.0.1:{}/{name}", self.port))
    }

    /// What `psql` prints for statements in the database of an address, columns separated by `|`.
    ///
    /// # Errors
    /// When the server refuses them.
    pub fn psql(&self, address: &str, sql: &str) -> Result<String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, address]);
        let output = command.output().context("cannot start psql")?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn answers(&self) -> bool {
        let Ok(mut command) = self.client("pg_isready") else { return false };
        command.arg("--quiet").status().is_ok_and(|status| status.success())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A client program that speaks to this server.
    fn client(&self, name: &str) -> Result<Command> {
        let mut command = self.command(name)?;
        command.args(["-h", "127.0.0.1", "-U", "isolog", "-p"]).arg(self.port.to_string());
        Ok(command)
    }

    /// One of its programs, unprivileged.
    fn command(&self, name: &str) -> Result<Command> {
        let program = self.programs.join(name);
        let mut command = if is_root()? {
            let mut command = Command::new("setpriv");
            command.args(unprivileged()).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.directory.path());
        Ok(command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Arguments of `setpriv`.
fn unprivileged() -> Vec<std::ffi::OsString> {
    let user = format!("--reuid={UNPRIVILEGED}");
    let group = format!("--regid={UNPRIVILEGED}");
    [&user, &group, "--clear-groups", "--pdeathsig", "KILL", "--"].map(Into::into).to_vec()
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("cannot start id")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

fn give_away(path: &Path) -> Result<()> {
    let mut command = Command::new("chown");
    command.arg(UNPRIVILEGED).arg(path);
    succeeds(command, "chown")
}

fn succeeds(mut command: Command, name: &str) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
