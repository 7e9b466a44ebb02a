//! `scorer`: scores log streams, answers gRPC and looks into files. Only the command line is here.

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod tell;

mod ahead;
mod alert;
mod anomaly;
mod backfill;
mod backtest;
mod board;
mod check;
mod config;
mod control;
mod deliver;
mod demo;
mod explain;
mod finding;
mod health;
mod kept;
mod live;
mod metrics;
mod news;
mod pipeline;
mod random;
mod record;
mod relay;
mod remember;
mod run;
mod scan;
mod serve;
mod sink;
mod sole;
mod source;
mod state;
mod summary;
mod test_rules;
mod test_sink;
mod twin;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit status when findings were made and `--exit-code` asked for it.
pub const EXIT_FOUND: u8 = 1;
/// Exit status of every error, as `diff` and `grep` have it.
pub const EXIT_ERROR: u8 = 2;

#[derive(Debug, Parser)]
#[command(version, about = "Scores log streams with a trained Isolation Forest and says why a line is odd.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Scores a stream (Kafka, files, standard input, OTLP) until it is stopped
    Run(run::RunArgs),
    /// Scores one file or standard input and prints the oddest lines
    Scan(scan::ScanArgs),
    /// Says why a line, or each line of an alert, gets its score
    Explain(explain::ExplainArgs),
    /// Validates settings and model, with --online also brokers, topics and sinks
    Check(check::CheckArgs),
    /// Asks a running scorer whether it is ready, for container health checks
    Health(health::HealthArgs),
    /// Shows it all in one process without Kafka: trains, simulates, scores
    Demo(demo::DemoArgs),
    /// Says which alerts would have fired over recorded logs
    Backtest(backtest::BacktestArgs),
    /// Fills the detectors' baselines from recorded logs
    Backfill(backfill::BackfillArgs),
    /// Runs unit tests of rules and detectors on sample lines
    TestRules(test_rules::TestRulesArgs),
    /// Sends a marked test alert to a sink and says what it answered
    TestSink(test_sink::TestSinkArgs),
    /// Sends again what sinks refused or could not take, and says what became of it
    ReplayDeadLetters(deliver::replay::ReplayArgs),
    /// Lists alerts, or tells one with its history
    Alerts(twin::AlertsArgs),
    /// Makes, lists and ends silences over alerts
    Silence(twin::SilenceArgs),
    /// Calls what an alert found normal, lists, undoes and exports that
    Normal(twin::NormalArgs),
    /// Says what a threshold comes to, by the model's training lines
    Threshold(twin::ThresholdArgs),
    /// Prints every setting as a Markdown table
    Settings,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tell!("error: another TLS provider was installed first");
        return ExitCode::from(EXIT_ERROR);
    }
    let result = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Scan(args) => scan::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Check(args) => check::run(args),
        Command::Health(args) => health::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Backtest(args) => backtest::run(args),
        Command::Backfill(args) => backfill::run(args),
        Command::TestRules(args) => test_rules::run(args),
        Command::TestSink(args) => test_sink::run(args),
        Command::ReplayDeadLetters(args) => deliver::replay::run(args),
        Command::Alerts(args) => twin::alerts(args),
        Command::Silence(args) => twin::silence(args),
        Command::Normal(args) => twin::normal(args),
        Command::Threshold(args) => twin::threshold(args),
        Command::Settings => {
            tell::print(format_args!("{}", config::table::markdown()));
            Ok(ExitCode::SUCCESS)
        }
    };
    let code = result.unwrap_or_else(|error| {
        tell!("error: {error:#}");
        ExitCode::from(EXIT_ERROR)
    });
    if tell::is_cut() { ExitCode::from(EXIT_ERROR) } else { code }
}
