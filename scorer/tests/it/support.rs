//! A model and a running scorer for the tests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use engine::event::LogEvent;
use engine::model::Provenance;
use engine::model::train::{FirstPass, TrainParams};
use simulator::{Params, Simulator};
use testkit::free_port;
use testkit::process::Process;
use testkit::workdir::Workdir;

/// Longest wait for something that takes a second or two on an idle machine.
pub const LIMIT: Duration = Duration::from_secs(60);

static MODEL: OnceLock<PathBuf> = OnceLock::new();

/// A model of the simulator's web shop, the same for all tests.
pub fn model_file() -> &'static Path {
    MODEL.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("web-shop.model");
        train(&path).unwrap();
        path
    })
}

fn train(path: &Path) -> Result<()> {
    let params = Params { anomaly_ratio: 0.002, ..Params::default() };
    let simulator = Simulator::new(params).map_err(|errors| anyhow!("{errors:?}"))?;
    let events: Vec<LogEvent> = simulator.take(4_000).map(|line| line.event()).collect();
    let params = TrainParams { n_estimators: 50, ..TrainParams::default() };
    let mut first = FirstPass::new(params.check().map_err(|errors| anyhow!("{errors:?}"))?);
    first.observe(&events);
    let mut second = first.grow()?;
    second.calibrate(&events);
    let model = second.finish(Provenance { rows: events.len() as u64, ..Provenance::default() });
    corpus::save_model(path, &model)?;
    Ok(())
}

/// A `scorer run` of its own: servers on free ports, its log in a directory that goes with it.
pub struct Scorer {
    process: Process,
    // After the process: files go when nothing writes them any more.
    _directory: Workdir,
}

impl Scorer {
    /// Starts one with these flags beside its model and addresses, and waits until it is ready.
    pub fn start(flags: &[&str]) -> Result<Self> {
        let directory = Workdir::create("scorer")?;
        let (http_port, grpc_port) = (free_port()?, free_port()?);
        let mut arguments = vec!["run".to_owned()];
        for (flag, port) in [("--http-addr", http_port), ("--grpc-addr", grpc_port)] {
            arguments.extend([flag.to_owned(), format!("127.0.0.1:{port}")]);
        }
        arguments.extend(["--model-path".to_owned(), model_file().display().to_string()]);
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let log = directory.path().join("scorer.log");
        let mut process = Process::spawn("the scorer", env!("CARGO_BIN_EXE_scorer"), arguments, &log)?;
        process.wait_ready(LIMIT, || http_get(http_port, "/readyz").is_ok_and(|answer| answer.0 == 200))?;
        Ok(Self { process, _directory: directory })
    }

    /// Everything that it has logged.
    pub fn output(&self) -> String {
        self.process.output().unwrap_or_default()
    }
}

/// Status and body of a GET on 127.0.0.1, by HTTP/1.0 so that the answer ends with the connection.
pub fn http_get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the header")?;
    let status = head.split_whitespace().nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}
