//! What is measured beside what. One file a subject; a pair is a function that yields rows of the table.

mod detection;
mod grpc;
mod kafka;
mod score;
mod spark;
pub mod stability;
mod stages;
mod train;

use anyhow::Result;

use crate::compare::Bench;
use crate::measure::Cost;
use crate::table::Row;

/// Something to measure.
pub struct Pair {
    /// As `--only` takes it.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Measures it.
    pub run: fn(&Bench) -> Result<Vec<Row>>,
}

/// Everything, in the order of the table.
pub const PAIRS: &[Pair] = &[
    Pair {
        name: "score",
        about: "the same trees and the whole model beside scikit-learn, 2^12 columns",
        run: score::run_12,
    },
    Pair { name: "score-18", about: "the same trees beside scikit-learn, 2^18 columns", run: score::run_18 },
    Pair {
        name: "repeating",
        about: "the whole model on lines that repeat but for their numbers",
        run: score::run_repeating,
    },
    Pair { name: "train", about: "training beside scikit-learn's transform and fit", run: train::run },
    Pair {
        name: "train-memory",
        about: "memory of training at one and five times the rows",
        run: train::run_memory,
    },
    Pair { name: "stability", about: "two seeds on the same rows", run: stability::run },
    Pair { name: "forest", about: "the forest beside walking every tree", run: stages::run_forest },
    Pair {
        name: "simd",
        about: "lines without wide registers beside lines with them",
        run: stages::run_simd,
    },
    Pair { name: "explain", about: "what an explanation costs", run: stages::run_explain },
    Pair {
        name: "kafka",
        about: "the scorer on a real broker beside a client that only consumes",
        run: kafka::run,
    },
    Pair {
        name: "detection",
        about: "the scorer with detectors and alerts beside itself without them, on files",
        run: detection::run,
    },
    Pair {
        name: "detection-kafka",
        about: "the scorer with detectors and alerts beside itself without them, on a real broker",
        run: detection::run_kafka,
    },
    Pair {
        name: "spark",
        about: "the scorer on files beside Spark Structured Streaming with scikit-learn",
        run: spark::run,
    },
    Pair { name: "grpc", about: "a gRPC stream beside single calls", run: grpc::run },
    Pair { name: "grpc-empty", about: "a single gRPC call beside an empty handler", run: grpc::run_empty },
];

/// Greater of `costs`' ratios, repeat by repeat: the peer's figure over ours.
fn ratios(peer: &[Cost], ours: &[Cost], of: fn(&Cost) -> f64) -> Vec<f64> {
    peer.iter().zip(ours).map(|(peer, ours)| of(peer) / of(ours)).collect()
}

const fn cpu(cost: &Cost) -> f64 {
    cost.cpu_s
}

const fn peak(cost: &Cost) -> f64 {
    cost.peak_mib
}

fn values(costs: &[Cost], of: fn(&Cost) -> f64) -> Vec<f64> {
    costs.iter().map(of).collect()
}
