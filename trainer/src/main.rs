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

use std::io::Write as _;
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
        Err(error) => {
            // Whoever closed standard error does not want to hear.
            let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}
