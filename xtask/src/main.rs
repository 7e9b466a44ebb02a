//! `cargo xtask`: the project's own commands, so that a person and CI run the same ones. Never part of a program
//! that is shipped.

mod bench;
mod codegen;
mod compose;
mod fuzz;
mod playground;
mod setup;
mod shell;
mod test;
mod tidy;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure how well odd lines are found, and how the forest compares with scikit-learn's
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Generate the gRPC code again from proto/
    Codegen,
    /// Build the image, run the whole stack once on a real Docker engine, and stop it (root, half an hour)
    Compose(compose::Arguments),
    /// Kill, stop and start brokers and scorers over and over, and print the tables of RELIABILITY.md
    Faults(test::Faults),
    /// Fuzz each target of fuzz/, or those named, and say how many executions there were
    Fuzz(fuzz::Arguments),
    /// Make playground/index.html: the engine in WebAssembly with a small model, in one page
    Playground,
    /// Install what the tests need beyond Rust; what is there already is left alone
    Setup,
    /// Feed hostile input, and an hour of ordinary lines, and measure memory; draws docs/plots/soak.svg
    Soak,
    /// Run everything that CI runs, but for the formatter and clippy
    Test,
    /// Check the repository's own rules
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Bench(bench) => bench::run(&bench),
        Command::Codegen => codegen::run(),
        Command::Compose(arguments) => compose::run(&arguments),
        Command::Faults(arguments) => test::faults(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Playground => playground::run(),
        Command::Setup => setup::run(),
        Command::Soak => test::soak(),
        Command::Test => test::run(),
        Command::Tidy => tidy::run(),
    }
}
