//! The newest alerts with their last records, for pages without a store and for what the store does not have yet, and
//! how those that go on have grown since. Bounded: of too many, those that are resolved go first.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use engine::alert::Alert;
use engine::event::EventTime;
use hashbrown::HashMap;
use notify::{AlertRecord, Status};

/// Alerts.
pub const MOST_ALERTS: usize = 500;
/// Records of one alert: the first and the newest.
const MOST_RECORDS: usize = 8;

/// How far an alert that goes on has come; its next record may be hours away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    count: u64,
    last_seen: EventTime,
    /// Count and last anomaly of each part, in the order of the parts.
    parts: Vec<(u64, EventTime)>,
}

impl Live {
    /// An open alert's id, and how far it has come.
    pub fn of(alert: &Alert) -> (String, Self) {
        let parts = alert.parts.iter().map(|part| (part.count, part.last_seen)).collect();
        (alert.id.to_string(), Self { count: alert.count, last_seen: alert.last_seen, parts })
    }
}

/// The alerts.
#[derive(Debug, Default)]
pub struct Shelf {
    by_id: HashMap<String, Vec<Arc<AlertRecord>>>,
    live: HashMap<String, Live>,
    /// Ids in the order of their first records.
    order: VecDeque<String>,
}

impl Shelf {
    /// Takes a record; one of a revision that is there already, or of an older one, is passed over.
    pub fn put(&mut self, record: Arc<AlertRecord>) {
        if let Some(records) = self.by_id.get_mut(&record.id) {
            if records.last().is_none_or(|last| last.revision < record.revision) {
                if records.len() == MOST_RECORDS {
                    records.remove(1);
                }
                records.push(record);
            }
            return;
        }
        if self.order.len() == MOST_ALERTS {
            self.make_room();
        }
        self.order.push_back(record.id.clone());
        self.by_id.insert(record.id.clone(), vec![record]);
    }

    fn make_room(&mut self) {
        let is_over = |id: &String| self.newest_of(id).is_none_or(AlertRecord::is_resolved);
        let place = self.order.iter().position(is_over).unwrap_or(0);
        if let Some(id) = self.order.remove(place) {
            self.by_id.remove(&id);
        }
    }

    fn newest_of(&self, id: &str) -> Option<&AlertRecord> {
        self.by_id.get(id)?.last().map(Arc::as_ref)
    }

    /// How far all alerts have come that go on.
    pub fn set_live(&mut self, live: impl IntoIterator<Item = (String, Live)>) {
        self.live = live.into_iter().collect();
    }

    /// A record of an alert with the counts and times of its last anomalies as they are now; the record itself where the
    /// alert is over, or nothing came since.
    pub fn as_it_stands(&self, record: &Arc<AlertRecord>) -> Arc<AlertRecord> {
        let Some(live) = self.live.get(&record.id) else { return Arc::clone(record) };
        if record.is_resolved()
            || (live.count, live.last_seen.as_micros()) <= (record.count, last_seen(record))
        {
            return Arc::clone(record);
        }
        let mut now = AlertRecord::clone(record);
        (now.count, now.last_seen) = (live.count, live.last_seen.to_string());
        for (part, (count, last_seen)) in now.parts.iter_mut().zip(&live.parts) {
            (part.count, part.last_seen) = (*count, last_seen.to_string());
        }
        Arc::new(now)
    }

    /// The records of an alert that are kept, oldest first; none where it is not known.
    pub fn records(&self, id: &str) -> Vec<Arc<AlertRecord>> {
        self.by_id.get(id).cloned().unwrap_or_default()
    }

    /// The newest record of each alert as it stands, those whose last anomaly is newest first.
    pub fn newest(&self) -> Vec<Arc<AlertRecord>> {
        let mut newest: Vec<_> = self
            .by_id
            .values()
            .filter_map(|records| records.last())
            .map(|it| self.as_it_stands(it))
            .collect();
        newest.sort_by_cached_key(|record| Reverse((last_seen(record), record.id.clone())));
        newest
    }

    /// Alerts that are firing.
    pub fn firing(&self) -> usize {
        let newest = self.by_id.values().filter_map(|records| records.last());
        newest.filter(|record| record.status == Status::Firing).count()
    }
}

/// Event time of an alert's last anomaly, in microseconds since the epoch.
pub fn last_seen(record: &AlertRecord) -> i64 {
    record.last_seen.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: usize, revision: u32, status: &str) -> Arc<AlertRecord> {
        let id = format!("{number:032x}");
        let last_seen = format!("2026-01-02T03:{:02}:{:02}.000000Z", number / 60, number % 60);
        let json = serde_json::json!({
            "schema": 1, "id": id, "revision": revision, "cause": "opened", "status": status,
            "severity": "error", "service": "a", "detector": "error_burst", "message": "m",
            "first_seen": last_seen, "last_seen": last_seen, "resolved_at": null, "count": 1, "score": 0.5,
            "reasons": [], "parts": [], "evidence": [], "source": null, "model": "d", "link": null,
            "notify": [], "held_back": false,
        });
        Arc::new(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn the_first_and_the_newest_records_are_kept_each_once() {
        let mut shelf = Shelf::default();
        for revision in [1, 2, 2, 1, 3, 4, 5, 6, 7, 8, 9, 10] {
            shelf.put(record(1, revision, "firing"));
        }
        let kept: Vec<u32> = shelf.records(&record(1, 1, "firing").id).iter().map(|it| it.revision).collect();
        assert_eq!(kept, [1, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(shelf.newest().len(), 1);
        assert!(shelf.records("none").is_empty());
    }

    #[test]
    fn an_alert_that_goes_on_is_told_with_what_came_since_its_record() {
        let mut shelf = Shelf::default();
        (1..4)
            .for_each(|number| shelf.put(record(number, 1, if number == 3 { "resolved" } else { "firing" })));
        let later: EventTime = EventTime::from_micros(last_seen(&record(9, 1, "firing")));
        let live = |number: usize| {
            let grown = Live { count: 41, last_seen: later, parts: Vec::new() };
            (record(number, 1, "firing").id.clone(), grown)
        };
        shelf.set_live([live(1), live(3), live(7)]);
        let told: Vec<(u64, i64)> = shelf.newest().iter().map(|it| (it.count, last_seen(it))).collect();
        let stated = |number| last_seen(&record(number, 1, "firing"));
        assert_eq!(told, [(41, later.as_micros()), (1, stated(3)), (1, stated(2))]);
        assert_eq!(
            shelf.records(&record(1, 1, "firing").id)[0].count,
            1,
            "the record stays as it was written"
        );
        shelf.set_live([]);
        assert_eq!(shelf.newest()[0].count, 1);
    }

    #[test]
    fn of_too_many_the_resolved_ones_go_first() {
        let mut shelf = Shelf::default();
        for number in 0..MOST_ALERTS {
            shelf.put(record(number, 1, if number == 300 { "resolved" } else { "firing" }));
        }
        assert_eq!(shelf.firing(), MOST_ALERTS - 1);
        shelf.put(record(900, 1, "firing"));
        assert_eq!(shelf.firing(), MOST_ALERTS);
        assert!(shelf.records(&record(300, 1, "firing").id).is_empty());
        shelf.put(record(901, 1, "firing"));
        assert!(shelf.records(&record(0, 1, "firing").id).is_empty(), "then the oldest");
        assert_eq!(shelf.newest()[0].id, record(901, 1, "firing").id);
    }
}
