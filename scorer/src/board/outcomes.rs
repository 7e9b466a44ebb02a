//! What became of the last attempts to tell sinks of alerts, whatever the outbox is. Bounded: the oldest go first.

use std::collections::VecDeque;

use crate::deliver::SinkResult;

/// Attempts.
const MOST: usize = 2_000;

/// The attempts, oldest first.
#[derive(Debug, Default)]
pub struct Outcomes(VecDeque<SinkResult>);

impl Outcomes {
    /// An attempt ended.
    pub fn put(&mut self, result: SinkResult) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(result);
    }

    /// Those of an alert.
    pub fn of(&self, alert_id: &str) -> Vec<SinkResult> {
        self.0.iter().filter(|result| result.alert_id == alert_id).cloned().collect()
    }
}
