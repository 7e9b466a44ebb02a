//! Measurements that a person can repeat: how well odd lines are found, how the forest compares with scikit-learn's,
//! what the dashboard costs. Nothing here is part of a program that is shipped.

mod dashboard;
mod online;
mod parity;
mod quality;
mod rig;
mod table;

use clap::Subcommand;

/// What to measure.
#[derive(Subcommand)]
pub enum Bench {
    /// The same lines with and without online counts: average precision, ranks of faulty services, lines called odd
    Online(online::Arguments),
    /// Measure speed, memory and stability beside scikit-learn, Spark and bare clients, and print one table
    Compare(rig::Arguments),
    /// Make the CSV that speed and stability are measured on
    Corpus(rig::Arguments),
    /// A real Chromium at a demo: first paint, size of the pages, the scorer's cost of a live tail, the tail's memory
    Dashboard(dashboard::Arguments),
    /// Simulated days with labelled incidents: recall and precision of each detector, notifications a day
    Detectors(rig::Arguments),
    /// Recordings with faults: how often the faulty service is among the first 1, 3, 5 suspects, by kind of fault
    Incidents(rig::Arguments),
    /// Measure how cost grows with trees, features, vocabulary, corpus and services, and plot it
    Growth(rig::Arguments),
    /// Compare the forest with scikit-learn's: the same forest's scores, and grown forests' scores on average
    Parity,
    /// ROC-AUC, average precision and F1 on each *.csv and *.csv.zst of a folder that has a `label` column
    Quality(quality::Arguments),
}

/// Runs one measurement.
///
/// # Errors
/// What could not be read or run.
pub fn run(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Online(arguments) => online::run(arguments),
        Bench::Compare(arguments) => rig::compare(arguments),
        Bench::Corpus(arguments) => rig::corpus(arguments),
        Bench::Dashboard(arguments) => dashboard::run(arguments),
        Bench::Detectors(arguments) => rig::detectors(arguments),
        Bench::Incidents(arguments) => rig::incidents(arguments),
        Bench::Growth(arguments) => rig::growth(arguments),
        Bench::Parity => parity::run(),
        Bench::Quality(arguments) => quality::run(arguments),
    }
}
