//! `trainer`: fits a model on historical logs, and measures one on labelled logs. Only the command line is here.

mod args;
mod evaluate;
mod exclude;
mod fit;
mod html;
mod intake;
mod progress;
mod report;
mod stored;
mod text;
mod topic;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

/// Exit status of every error.
const EXIT_ERROR: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Fit(fit)) => fit::run(*fit),
        Some(Command::Evaluate(evaluate)) => evaluate::run(evaluate),
        None => fit::run(cli.fit),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // `trainer evaluate | head -1`: what was to be done is done.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever closed standard error does not want to hear.
            let _ = writeln!(io::stderr().lock(), "error: {error:#}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}

/// The reader of standard output has gone: not an error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
