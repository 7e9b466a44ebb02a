//! `rig`: measures the programs and the engine beside what a user would take instead. `cargo xtask bench` builds
//! it, sets the peers up and calls it. Never part of what is shipped.

mod compare;
mod corpus;
mod detectors;
mod growth;
mod incidents;
mod measure;
mod pairs;
mod redraw;
mod server;
mod table;
mod work;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures the engine and the programs beside their peers; see `cargo xtask bench --help`.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures ours beside the peers and prints the table
    Compare(compare::Arguments),
    /// Makes a corpus
    Corpus(corpus::Arguments),
    /// Runs simulated days with labelled incidents through the detectors
    Detectors(detectors::Arguments),
    /// Runs recordings with faults of known services through the detectors, and ranks suspects
    Incidents(incidents::Arguments),
    /// Measures how the cost of a line grows, and draws it
    Growth(growth::Arguments),
    /// Runs a program and tells what it cost
    Measure(measure::Arguments),
    /// Says how far two seeds agree, by number of trees
    Stability(pairs::stability::Arguments),
    /// Scores a corpus with trees that scikit-learn grew
    ScoreTrees(work::imported::Arguments),
    /// Scores a corpus with a model
    ScoreModel(work::full::Arguments),
    /// Reads a topic and drops every message
    Consume(work::consume::Arguments),
    /// Grows a forest on a corpus
    GrowForest(work::grow::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Compare(arguments) => compare::run(arguments),
        Command::Corpus(arguments) => corpus::run(&arguments),
        Command::Detectors(arguments) => detectors::run(&arguments),
        Command::Incidents(arguments) => incidents::run(&arguments),
        Command::Growth(arguments) => growth::run(&arguments),
        Command::Measure(arguments) => measure::run(&arguments),
        Command::Stability(arguments) => pairs::stability::by_number_of_trees(&arguments),
        Command::ScoreTrees(arguments) => work::imported::run(&arguments),
        Command::ScoreModel(arguments) => work::full::run(&arguments),
        Command::Consume(arguments) => work::consume::run(&arguments),
        Command::GrowForest(arguments) => work::grow::run(&arguments),
    }
}
