//! How scores are spread, in training and of late, and how far apart the two are.

use engine::model::Model;
use serde::Serialize;

use crate::board::{CELLS, Spread};

/// Bins of a histogram that is shown.
const BINS: usize = 64;
/// Least share of the training lines in a bin that two spreads are compared by.
const LEAST_SHARE: f64 = 0.05;
/// Lines below which a comparison says nothing.
const LEAST_LINES: u64 = 200;

/// Two histograms over the same bins.
#[derive(Debug, Serialize)]
pub struct Histogram {
    /// One more than there are bins.
    pub edges: Vec<f64>,
    /// Shares of the training lines.
    pub training: Vec<f64>,
    /// Lines of late.
    pub recent: Vec<u64>,
}

fn edge(cell: usize) -> f64 {
    cell as f64 / CELLS as f64
}

/// Share of the training lines in the cells from `first` until before `end`.
fn share(model: &Model, first: usize, end: usize) -> f64 {
    let above = |cell: usize| if cell == 0 { 1.0 } else { model.share_above(edge(cell)) };
    (above(first) - above(end)).max(0.0)
}

impl Histogram {
    /// Of a model's training and of what came of late.
    pub fn new(model: &Model, recent: &Spread) -> Self {
        let wide = CELLS / BINS;
        Self {
            edges: (0..=BINS).map(|bin| edge(bin * wide)).collect(),
            training: (0..BINS).map(|bin| share(model, bin * wide, (bin + 1) * wide)).collect(),
            recent: recent.cells.chunks(wide).map(|cells| cells.iter().sum()).collect(),
        }
    }
}

/// The population stability index of what came of late against training, Σ (r − t) ln(r/t) over bins that each hold a
/// twentieth of the training lines or more (Siddiqi, "Credit Risk Scorecards", 2006): below 0.1 nothing has changed,
/// above 0.25 much has. `None` where fewer than 200 lines came.
pub fn stability_index(model: &Model, recent: &Spread) -> Option<f64> {
    let lines = recent.lines();
    if lines < LEAST_LINES {
        return None;
    }
    let mut bins: Vec<(f64, u64)> = Vec::new();
    let (mut first, mut counted) = (0, 0);
    for cell in 0..CELLS {
        counted += recent.cells[cell];
        let training = share(model, first, cell + 1);
        if training >= LEAST_SHARE {
            bins.push((training, counted));
            (first, counted) = (cell + 1, 0);
        }
    }
    // What is left belongs to the last bin.
    if let Some(last) = bins.last_mut() {
        last.0 += share(model, first, CELLS);
        last.1 += counted;
    }
    let part = |(training, counted): &(f64, u64)| {
        // An empty bin counts as half a line.
        let recent = (*counted as f64).max(0.5) / lines as f64;
        (recent - training) * (recent / training).ln()
    };
    Some(bins.iter().map(part).sum())
}

#[cfg(test)]
mod tests {
    use engine::event::LogEvent;
    use engine::model::{Provenance, Scratch};

    use super::*;

    /// A model, and the training lines' scores.
    fn trained() -> (Model, Spread) {
        let event = |number: u32| LogEvent {
            message: format!(
                "request {} took {} ms",
                ["of a", "by b", "for c"][number as usize % 3],
                number % 7
            ),
            ..LogEvent::default()
        };
        let events: Vec<LogEvent> = (0..600).map(event).collect();
        let params = engine::model::train::TrainParams { n_estimators: 20, ..Default::default() };
        let mut first = engine::model::train::FirstPass::new(params.check().unwrap());
        first.observe(&events);
        let mut second = first.grow().unwrap();
        second.calibrate(&events);
        let model = second.finish(Provenance { rows: 600, ..Provenance::default() });
        let (mut spread, mut scratch) = (Spread::default(), Scratch::default());
        for event in &events {
            let score = model.score_training(event, &mut scratch).score;
            spread.cells[((score * 256.0).ceil() as usize).saturating_sub(1)] += 1;
        }
        (model, spread)
    }

    #[test]
    fn training_against_itself_has_not_moved_and_other_scores_have() {
        let (model, spread) = trained();
        let histogram = Histogram::new(&model, &spread);
        assert_eq!((histogram.edges.len(), histogram.training.len(), histogram.recent.len()), (65, 64, 64));
        assert!((histogram.training.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        for (share, lines) in histogram.training.iter().zip(&histogram.recent) {
            assert!((share - *lines as f64 / 600.0).abs() < 1e-9, "{share} {lines}");
        }
        assert!(stability_index(&model, &spread).unwrap() < 0.01);
        let mut moved = Spread::default();
        moved.cells[250] = 600;
        assert!(stability_index(&model, &moved).unwrap() > 0.25);
        moved.cells[250] = 199;
        assert_eq!(stability_index(&model, &moved), None);
    }
}
