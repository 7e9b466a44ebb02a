//! What is to be reached: on every set, and on the two sets that a person can get.

use serde::Serialize;

use super::Row;

/// Greatest standard deviation of the average precision over seeds.
const MOST_DEVIATION: f64 = 0.03;

/// Something to be reached.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// What, in words.
    pub what: String,
    /// Whether it is.
    pub met: bool,
}

/// The bars of one row.
pub fn bars(row: &Row) -> Vec<Bar> {
    let precision = row.ours.average_precision;
    let mut bars = vec![
        Bar { what: format!("sd of AP at most {MOST_DEVIATION}"), met: precision.sd <= MOST_DEVIATION },
        Bar {
            what: "AP not below surprisal".to_owned(),
            met: precision.mean >= row.surprisal_average_precision,
        },
    ];
    if let Some(peer) = &row.scikit_learn {
        let met = precision.mean >= peer.average_precision.mean;
        bars.push(Bar { what: "AP not below scikit-learn".to_owned(), met });
    }
    if let Some(least) = least_precision(row) {
        bars.push(Bar { what: format!("AP at least {least}"), met: precision.mean >= least });
    }
    if row.file.starts_with("hdfs") && row.split == "first 50" {
        let met = row.ours.f1_at_auto.is_some_and(|figure| figure.mean >= 0.9);
        bars.push(Bar { what: "F1 at auto at least 0.9".to_owned(), met });
    }
    bars
}

fn least_precision(row: &Row) -> Option<f64> {
    match (row.file.as_str(), row.unit, row.split.as_str(), row.protocol) {
        ("bgl_2k", "line", "first 50", _) | ("hdfs_dev", "session", "first 50", "normal") => Some(0.95),
        ("hdfs_dev", "session", "first 50", "contaminated") => Some(0.97),
        ("bgl_2k", "line", "first 30" | "first 40" | "first 60" | "first 70", _) => Some(0.75),
        _ => None,
    }
}
