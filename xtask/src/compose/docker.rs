//! A Docker engine and the two clients: the engine that runs already, else one of our own that ends with us.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::tools;

use crate::{setup, shell};

const COMPOSE: &str = "2.40.3";
const START_LIMIT: Duration = Duration::from_secs(60);

/// An engine that answers.
pub struct Docker {
    client: PathBuf,
    compose: Vec<String>,
    socket: Option<PathBuf>,
    daemon: Option<Child>,
}

impl Docker {
    /// Finds or starts it.
    ///
    /// # Errors
    /// Names what is missing and how to install it.
    pub fn start() -> Result<Self> {
        let mut docker = Self { client: client()?, compose: Vec::new(), socket: None, daemon: None };
        if !shell::succeeds(docker.command().arg("info"))
            || shell::output(docker.command().arg("ps")).is_err()
        {
            docker.start_daemon()?;
        }
        docker.compose = docker.find_compose()?;
        Ok(docker)
    }

    /// The Docker client. The Dockerfile's caches need BuildKit.
    pub fn command(&self) -> Command {
        self.prepare(shell::command(&self.client))
    }

    /// Compose v2.
    pub fn compose(&self) -> Command {
        let mut command = self.prepare(shell::command(&self.compose[0]));
        command.args(&self.compose[1..]);
        command
    }

    fn prepare(&self, mut command: Command) -> Command {
        command.env("DOCKER_BUILDKIT", "1");
        if let Some(socket) = &self.socket {
            command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        }
        command
    }

    fn start_daemon(&mut self) -> Result<()> {
        if !shell::succeeds(shell::command("dockerd").arg("--version")) {
            setup::debian::install("the Docker engine", &["docker.io", "iptables"])?;
        }
        let folder = tools::cache_dir()?.join("docker");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        println!("compose: starting a Docker engine in {}", folder.display());
        let socket = folder.join("docker.sock");
        let log = File::create(folder.join("dockerd.log"))?;
        let mut daemon = shell::command("dockerd");
        daemon.arg("--data-root").arg(folder.join("data")).arg("--exec-root").arg(folder.join("exec"));
        daemon.arg("--pidfile").arg(folder.join("docker.pid"));
        daemon.arg("--host").arg(format!("unix://{}", socket.display()));
        daemon.stdout(log.try_clone()?).stderr(log);
        self.daemon = Some(daemon.spawn().context("cannot start dockerd")?);
        self.socket = Some(socket);
        let deadline = Instant::now() + START_LIMIT;
        while !shell::succeeds(self.command().arg("ps")) {
            if Instant::now() >= deadline {
                bail!(
                    "dockerd does not answer after {START_LIMIT:?}: see {}",
                    folder.join("dockerd.log").display()
                );
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// `docker compose`, else one built by Go's module proxy.
    fn find_compose(&self) -> Result<Vec<String>> {
        if shell::succeeds(self.command().args(["compose", "version"])) {
            return Ok(vec![self.client.display().to_string(), "compose".into()]);
        }
        let folder = tools::cache_dir()?.join(format!("compose-{COMPOSE}"));
        let built = folder.join("docker-compose");
        if !shell::succeeds(shell::command(&built).arg("version")) {
            build_compose(&folder, &built)?;
        }
        Ok(vec![built.display().to_string()])
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = shell::run(shell::command("sh").args(["-c", &format!("kill -TERM {}", daemon.id())]));
            let _ = daemon.wait();
        }
    }
}

/// Client 23 and later build with a plug-in that Debian does not have; Debian's own, 20.10, does without.
fn client() -> Result<PathBuf> {
    let usable = |client: &Path| {
        let version = shell::output(shell::command(client).args(["--version"])).unwrap_or_default();
        let major = version.split_whitespace().nth(2).and_then(|v| v.split('.').next()?.parse::<u32>().ok());
        major.is_some_and(|major| major < 23)
            || shell::succeeds(shell::command(client).args(["buildx", "version"]))
    };
    let candidates = ["docker", "/usr/bin/docker"].map(PathBuf::from);
    if let Some(client) = candidates.iter().find(|client| usable(client)) {
        return Ok(client.clone());
    }
    setup::debian::install("a Docker client that can build", &["docker.io", "iptables"])?;
    candidates
        .into_iter()
        .find(|client| usable(client))
        .context("no Docker client that can build with BuildKit")
}

/// A module of our own, because `go install` refuses a module with exclusions.
fn build_compose(folder: &Path, built: &Path) -> Result<()> {
    if !shell::succeeds(shell::command("go").arg("version")) {
        bail!(
            "Compose v2 is missing: install Docker's Compose plug-in, or Go 1.24 or later to have it built"
        );
    }
    println!("compose: building Compose {COMPOSE}");
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    std::fs::write(folder.join("go.mod"), "module composetool\n\ngo 1.24\n")?;
    let package = "github.com/docker/compose/v2/cmd";
    let go = |arguments: &[&str]| {
        let mut command = shell::command("go");
        command
            .current_dir(folder)
            .env("CGO_ENABLED", "0")
            .args(arguments)
            .stderr(std::process::Stdio::null());
        shell::run(&mut command)
    };
    go(&["get", &format!("{package}@v{COMPOSE}")])?;
    go(&["build", "-trimpath", "-ldflags=-s -w", "-o", &built.to_string_lossy(), package])
}
