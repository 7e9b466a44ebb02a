//! A server process that never outlives its test: killed when dropped, and by the kernel when the test process dies.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Between two looks at something that another process has to do.
const POLL: Duration = Duration::from_millis(50);

type Request = (Command, Sender<std::io::Result<Child>>);

/// The kernel signals a child when the thread that made it ends, and a test's thread ends before a shared
/// server may: one thread, which lives as long as the process, makes them all.
static SPAWNER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();

/// A running program with its output in a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with both outputs appended to `log`. It is killed when this process ends, however it ends.
    ///
    /// # Errors
    /// When it, or `setpriv` of util-linux, cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        name: &str,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log);
        let output = output.with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program.as_ref()).args(arguments);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = spawn(command).with_context(|| format!("cannot start {name} (setpriv of util-linux)"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// With the end of its output, when it ends or `limit` passes first.
    pub fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}; the end of its output:\n{}", self.name, self.log_tail());
            }
            if Instant::now() >= deadline {
                bail!("{} not ready after {limit:?}; the end of its output:\n{}", self.name, self.log_tail());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Sends SIGTERM and waits for its end; SIGKILL when it takes longer than `limit`.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop(mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("TERM")?;
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!(
                    "{} did not stop within {limit:?} of SIGTERM; its end:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal, named as `kill` does (`TERM`, `STOP`, `CONT`).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let status =
            Command::new("sh").args(["-c", &format!("kill -{signal} {}", self.child.id())]).status()?;
        if !status.success() {
            bail!("cannot send SIG{signal} to {}", self.name);
        }
        Ok(())
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn output(&self) -> Result<String> {
        let bytes =
            std::fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn log_tail(&self) -> String {
        let output = self.output().unwrap_or_default();
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: Command) -> Result<Child> {
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (answer, child) = channel();
    let sent = spawner.lock().map(|sender| sender.send((command, answer)).is_ok());
    if !sent.unwrap_or(false) {
        bail!("the thread that starts servers is gone");
    }
    Ok(child.recv()??)
}
