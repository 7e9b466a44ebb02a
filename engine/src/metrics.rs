//! How well scores tell anomalous lines from others: the figures of `trainer evaluate` and of the benchmarks.

/// Scores against labels.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Quality {
    /// Area under the receiver operating characteristic: the chance that an anomaly scores above another line,
    /// ties counting half; in [0, 1], 0.5 is chance.
    pub roc_auc: f64,
    /// Average precision Σ (R_n − R_(n−1)) · P_n over distinct scores, as scikit-learn has it; in [0, 1].
    pub average_precision: f64,
    /// F1 at the best threshold, which only the labels know; in [0, 1].
    pub best_f1: f64,
    /// F1 at the threshold that was given; in [0, 1].
    pub f1_at_threshold: f64,
    /// Rows.
    pub rows: usize,
    /// Anomalous rows among them.
    pub anomalies: usize,
}

/// No figure can be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// All rows have one label.
    #[error("quality needs both anomalous and normal rows, got {anomalies} anomalous of {rows}")]
    OneClass {
        /// Anomalous rows.
        anomalies: usize,
        /// All rows.
        rows: usize,
    },
    /// A score that cannot be ranked.
    #[error("row {row} has the score {score}: scores must be finite")]
    NotFinite {
        /// Number of the row, from 0.
        row: usize,
        /// Its score.
        score: String,
    },
}

/// Measures `(score, is anomalous)` rows; a row is called anomalous when its score is greater than `threshold`.
///
/// # Errors
/// Only one class, or a score that is not finite.
pub fn quality(rows: &[(f64, bool)], threshold: f64) -> Result<Quality, MetricsError> {
    if let Some((row, (score, _))) = rows.iter().enumerate().find(|(_, (score, _))| !score.is_finite()) {
        return Err(MetricsError::NotFinite { row, score: score.to_string() });
    }
    let anomalies = rows.iter().filter(|(_, label)| *label).count();
    if anomalies == 0 || anomalies == rows.len() {
        return Err(MetricsError::OneClass { anomalies, rows: rows.len() });
    }
    let mut sorted = rows.to_vec();
    sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let (positives, negatives) = (anomalies as f64, (rows.len() - anomalies) as f64);
    let (mut hits, mut alarms) = (0.0, 0.0);
    let (mut area, mut average_precision, mut best_f1) = (0.0, 0.0, 0.0_f64);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let new_hits = tied.iter().filter(|(_, label)| *label).count() as f64;
        let new_alarms = tied.len() as f64 - new_hits;
        area += new_alarms * (hits + new_hits / 2.0);
        hits += new_hits;
        alarms += new_alarms;
        average_precision += new_hits / positives * hits / (hits + alarms);
        best_f1 = best_f1.max(f1(hits, alarms, positives));
    }
    let above = rows.iter().filter(|(score, _)| *score > threshold);
    let (hits, alarms) =
        above.fold(
            (0.0, 0.0),
            |(hits, alarms), (_, label)| {
                if *label { (hits + 1.0, alarms) } else { (hits, alarms + 1.0) }
            },
        );
    Ok(Quality {
        roc_auc: area / (positives * negatives),
        average_precision,
        best_f1,
        f1_at_threshold: f1(hits, alarms, positives),
        rows: rows.len(),
        anomalies,
    })
}

fn f1(hits: f64, alarms: f64, positives: f64) -> f64 {
    2.0 * hits / (hits + alarms + positives)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Figures of scikit-learn's `roc_auc_score` and `average_precision_score` for the same rows.
    #[test]
    fn known_values_are_reproduced() {
        let rows = [(0.1, false), (0.4, false), (0.35, true), (0.8, true)];
        let found = quality(&rows, 0.3).unwrap();
        assert!((found.roc_auc - 0.75).abs() < 1e-12);
        assert!((found.average_precision - 0.833_333_333_333_333_3).abs() < 1e-12);
        assert!((found.best_f1 - 0.8).abs() < 1e-12);
        assert!((found.f1_at_threshold - 0.8).abs() < 1e-12);
    }

    #[test]
    fn tied_scores_are_worth_chance() {
        let rows: Vec<_> = (0..10).map(|row| (0.5, row < 3)).collect();
        let found = quality(&rows, 0.5).unwrap();
        assert!((found.roc_auc - 0.5).abs() < 1e-12);
        assert!((found.average_precision - 0.3).abs() < 1e-12);
        assert_eq!(found.f1_at_threshold, 0.0);
    }

    #[test]
    fn one_class_is_an_error() {
        let error = quality(&[(0.1, false), (0.2, false)], 0.5).unwrap_err();
        assert_eq!(error.to_string(), "quality needs both anomalous and normal rows, got 0 anomalous of 2");
        assert!(quality(&[(f64::NAN, false), (0.2, true)], 0.5).is_err());
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_in_order(
            rows in proptest::collection::vec((0u8..6, any::<bool>()), 2..60),
        ) {
            let rows: Vec<_> = rows.into_iter().map(|(score, label)| (f64::from(score), label)).collect();
            let pairs: Vec<f64> = rows
                .iter()
                .filter(|(_, label)| *label)
                .flat_map(|(odd, _)| rows.iter().filter(|(_, label)| !label).map(move |(usual, _)| {
                    if odd > usual { 1.0 } else if odd == usual { 0.5 } else { 0.0 }
                }))
                .collect();
            match quality(&rows, 0.0) {
                Ok(found) => {
                    let share = pairs.iter().sum::<f64>() / pairs.len() as f64;
                    prop_assert!((found.roc_auc - share).abs() < 1e-9);
                }
                Err(_) => prop_assert!(pairs.is_empty()),
            }
        }
    }
}
