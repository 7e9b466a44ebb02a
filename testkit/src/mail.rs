//! A real mail server (Python's aiosmtpd) that keeps what it is sent.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::port::free_port;
use crate::process::Process;
use crate::tools;
use crate::workdir::Workdir;

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running mail server. It refuses `refused@example.test` for good and `later@example.test` for now.
#[derive(Debug)]
pub struct MailServer {
    process: Process,
    directory: Workdir,
    port: u16,
}

impl MailServer {
    /// Starts one.
    ///
    /// # Errors
    /// When its Python is not installed (`cargo xtask setup` installs it), or it does not get ready.
    pub fn start() -> Result<Self> {
        let directory = Workdir::create("mail")?;
        let port = free_port()?;
        let script = directory.write("server.py", include_str!("../mail/server.py"))?;
        let python = tools::MAIL.require()?.join("bin/python");
        let log = directory.path().join("server.log");
        std::fs::create_dir(directory.path().join("mails"))?;
        let mails = directory.path().join("mails");
        let arguments = [script.display().to_string(), port.to_string(), mails.display().to_string()];
        let mut process = Process::spawn("the mail server", python, arguments, &log)?;
        process.wait_ready(START_LIMIT, || {
            std::fs::read_to_string(&log).is_ok_and(|said| said.contains("ready"))
        })?;
        Ok(Self { process, directory, port })
    }

    /// `smtp://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The mails so far, oldest first, as they came; the line `X-To:` in front has the addresses.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn mails(&self) -> Result<Vec<String>> {
        let folder = std::fs::read_dir(self.directory.path().join("mails"))?;
        let mut paths: Vec<PathBuf> =
            folder.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        paths.sort();
        let texts: std::io::Result<Vec<Vec<u8>>> = paths.iter().map(std::fs::read).collect();
        Ok(texts?.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
    }

    /// Everything that it has said.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn output(&self) -> Result<String> {
        self.process.output()
    }
}
