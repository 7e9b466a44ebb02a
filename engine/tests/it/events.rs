//! Log events for tests, made by rule.

use engine::event::{EventTime, Level, LogEvent};
use engine::model::train::{FirstPass, TrainParams};
use engine::model::{Model, Provenance};

/// One line of a service.
pub fn event(service: &str, level: Level, message: &str) -> LogEvent {
    LogEvent {
        timestamp: EventTime::from_millis(1_700_000_000_000),
        service: service.into(),
        level: Some(level),
        message: message.into(),
        ..LogEvent::default()
    }
}

/// Ordinary lines of two services; line `n` is always the same.
pub fn usual(lines: usize) -> Vec<LogEvent> {
    (0..lines)
        .map(|n| {
            let mut event = match n % 5 {
                0 => {
                    event("orders", Level::Info, &format!("order {n} created for customer {}", n * 7 % 1_000))
                }
                1 => event("orders", Level::Info, &format!("payment of {}.50 EUR accepted", n % 90)),
                2 => {
                    event("auth", Level::Info, &format!("user u{} logged in from 10.0.{}.7", n % 50, n % 200))
                }
                3 => event("auth", Level::Debug, &format!("session {:08x} refreshed", n * 2_654_435)),
                _ if n % 95 == 4 => event("orders", Level::Warn, "stock is low, order delayed"),
                _ => event("orders", Level::Info, &format!("GET /api/orders/{n} 200 in {} ms", n % 40)),
            };
            event.timestamp = EventTime::from_millis(1_700_000_000_000 + n as i64 * 1_000);
            event
        })
        .collect()
}

/// A line of a kind that [`usual`] never makes.
pub fn odd() -> LogEvent {
    event("orders", Level::Error, "database deadlock detected while writing order 5512, rolling back")
}

/// Parameters for quick tests.
pub fn params() -> TrainParams {
    TrainParams { n_estimators: 50, ..TrainParams::default() }
}

/// Trains in one go.
pub fn train(events: &[LogEvent], params: TrainParams) -> Model {
    let mut first = FirstPass::new(params.check().unwrap());
    first.observe(events);
    let mut second = first.grow().unwrap();
    second.calibrate(events);
    second.finish(Provenance { rows: events.len() as u64, ..Provenance::default() })
}
