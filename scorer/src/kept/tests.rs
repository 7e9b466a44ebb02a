//! Lines around an anomaly are kept once, in order; what waits is bounded.

use bytes::Bytes;

use super::*;
use crate::record::{Body, KafkaStream, Record, Records};

/// So many lines around each anomaly.
const fn around(lines: usize) -> ContextLines {
    ContextLines { lines, severity: Severity::Info }
}

fn kept(lines: usize) -> Kept {
    let context = Some(Context::new(around(lines), Counter::default()));
    Kept { context, message_bytes: 100, rows: Vec::new() }
}

fn event(service: &str, message: &str) -> LogEvent {
    LogEvent { service: service.to_owned(), message: message.to_owned(), ..LogEvent::default() }
}

fn records(count: i64) -> Records {
    let stream = KafkaStream { cluster: "c".into(), topic: "orders".into(), partition: 3 };
    let mut records = Records::default();
    let number = records.stream(&stream);
    for offset in 0..count {
        records.push_compact(number, offset, EventTime::from_millis(offset), b"x");
    }
    records
}

/// Gives lines 0 to `count`, of a service and another one in turns; `odd` are anomalies.
fn messages(kept: &mut Kept, count: i64, odd: &[i64]) -> Vec<String> {
    let odd: Vec<_> = odd.iter().map(|number| (*number, Severity::Info)).collect();
    messages_of(kept, count, &odd)
}

/// As [`messages`], for anomalies of these severities.
fn messages_of(kept: &mut Kept, count: i64, odd: &[(i64, Severity)]) -> Vec<String> {
    let records = records(count);
    for (number, record) in records.iter().enumerate() {
        let service = if number % 2 == 0 { "even" } else { "odd" };
        kept.line(record, 0, &event(service, &number.to_string()), 0.5);
        for (_, severity) in odd.iter().filter(|(line, _)| *line == number as i64) {
            kept.found(service, *severity);
        }
    }
    let Some(outgoing) = kept.take() else { return Vec::new() };
    assert!(kept.take().is_none());
    outgoing.logs.into_iter().map(|row| row.message).collect()
}

#[test]
fn lines_before_and_after_an_anomaly_of_the_same_service_are_kept() {
    assert_eq!(messages(&mut kept(2), 40, &[20]), ["16", "18", "20", "22", "24"]);
    assert_eq!(messages(&mut kept(0), 40, &[21]), ["21"]);
    assert!(messages(&mut kept(5), 40, &[]).is_empty());
}

#[test]
fn lines_between_two_anomalies_are_kept_once() {
    let found = messages(&mut kept(2), 40, &[20, 22, 28]);
    assert_eq!(found, ["16", "18", "20", "22", "24", "26", "28", "30", "32"]);
}

#[test]
fn an_anomaly_of_lesser_severity_is_kept_without_the_lines_around_it() {
    let mut kept = kept(2);
    if let Some(context) = &mut kept.context {
        context.around.severity = Severity::Warning;
    }
    let (info, warning, error) = (Severity::Info, Severity::Warning, Severity::Error);
    assert_eq!(messages_of(&mut kept, 2, &[(0, info), (1, info)]), ["0", "1"]);
    assert_eq!(messages_of(&mut kept, 40, &[(20, info), (21, info), (21, info)]), ["20", "21"]);
    // What is in the surroundings of a graver one is kept once, whichever comes first.
    let found = messages_of(&mut kept, 40, &[(10, info), (20, info), (22, warning), (24, info), (31, error)]);
    assert_eq!(found, ["10", "20", "18", "22", "24", "26", "27", "29", "31", "33", "35"]);
}

#[test]
fn an_anomaly_at_the_first_and_at_the_last_line_has_one_side() {
    assert_eq!(messages(&mut kept(3), 10, &[0]), ["0", "2", "4", "6"]);
    assert_eq!(messages(&mut kept(3), 10, &[9]), ["3", "5", "7", "9"]);
}

#[test]
fn lines_of_the_batch_after_are_still_kept() {
    let mut kept = kept(2);
    assert_eq!(messages(&mut kept, 11, &[10]), ["6", "8", "10"]);
    assert_eq!(messages(&mut kept, 11, &[]), ["0", "2"]);
}

#[test]
fn a_row_says_where_its_line_came_from_and_has_an_id_of_its_own() {
    let mut all = Kept { context: None, message_bytes: 4, rows: Vec::new() };
    let batch = records(2);
    for record in batch.iter() {
        all.line(record, 0, &event("a", "longer than four"), 0.25);
        all.line(record, 1, &event("a", "longer than four"), 0.25);
    }
    let rows = all.take().unwrap().logs;
    let sources: Vec<&str> = rows.iter().map(|row| row.source.as_str()).collect();
    assert_eq!(sources, ["orders/3/0", "orders/3/0#1", "orders/3/1", "orders/3/1#1"]);
    assert!(rows.iter().all(|row| row.family == "orders" && row.message == "long"));
    let ids: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids.len(), 4);
    for record in batch.iter() {
        all.line(record, 0, &event("a", "longer than four"), 0.75);
    }
    let again = all.take().unwrap().logs;
    assert_eq!([&again[0].id, &again[1].id], [&rows[0].id, &rows[2].id]);
}

#[test]
fn what_was_read_at_another_time_has_the_same_id_unless_the_time_is_its_own() {
    let record = |origin| Record {
        origin,
        transport_time: EventTime::default(),
        service: None,
        body: Body::Raw(Bytes::from_static(b"x")),
    };
    let id = |origin: &Origin, time_source, millis| {
        let mut all = Kept { context: None, message_bytes: 100, rows: Vec::new() };
        let records: Records = [record(origin.clone())].into_iter().collect();
        let timestamp = EventTime::from_millis(millis);
        let event = LogEvent { timestamp, time_source, ..event("a", "m") };
        records.iter().for_each(|record| all.line(record, 0, &event, 0.5));
        all.take().unwrap().logs[0].clone()
    };
    let file = Origin::File { identity: "1:2".into(), path: "/var/log/shop/a.log".into(), offset: 7 };
    let (first, second) = (id(&file, TimeSource::Transport, 1), id(&file, TimeSource::Transport, 2));
    assert_eq!(first.id, second.id);
    assert_eq!((first.family.as_str(), first.source.as_str()), ("shop", "/var/log/shop/a.log:7"));
    let (first, second) =
        (id(&Origin::Pushed, TimeSource::Record, 1), id(&Origin::Pushed, TimeSource::Record, 2));
    assert_ne!(first.id, second.id);
    // A place may be longer than an id, and what was pushed has none: then all digits count.
    let long = Origin::File { identity: "1:2".into(), path: "x".repeat(4_000).into(), offset: 7 };
    assert_eq!(id(&long, TimeSource::Record, 1).id.len(), 32);
    assert_eq!(id(&Origin::Pushed, TimeSource::Record, 1).id.len(), 32);
    assert_eq!(id(&Origin::Stdin { line: 3 }, TimeSource::Record, 1).source, "stdin:3");
}

#[test]
fn a_million_services_do_not_fill_the_memory() {
    let forgotten = Counter::default();
    let mut context = Context::new(around(5), forgotten.clone());
    let batch = records(1);
    let mut rows = Vec::new();
    for number in 0..1_000_000_u32 {
        let event = event(&format!("service {number}"), "a line of some length");
        batch.iter().for_each(|record| context.line(record, 0, &event, &event.message, 0.5, &mut rows));
        assert!(context.young.len() + context.old.len() <= 2 * MOST_SERVICES);
    }
    assert_eq!(forgotten.get(), 990_000);
    // The newest are still there.
    context.found("service 999999", Severity::Warning, &mut rows);
    assert_eq!(rows.len(), 1);
}

#[test]
fn long_lines_and_long_names_are_bounded_by_their_bytes() {
    let mut context = Context::new(around(5), Counter::default());
    context.most_bytes = 1 << 20;
    let batch = records(1);
    let mut rows = Vec::new();
    for number in 0..5_000_u32 {
        let mut event = event(&format!("{number}{}", "s".repeat(5_000)), &"m".repeat(5_000));
        if number % 7 == 0 {
            event.service.truncate(10);
        }
        batch.iter().for_each(|record| context.line(record, 0, &event, &event.message, 0.5, &mut rows));
        let held: usize = context.young.values().chain(context.old.values()).map(|ring| ring.bytes).sum();
        assert!(held <= (2 << 20) + 20_000, "{held}");
    }
}

#[test]
fn a_service_that_goes_on_is_not_forgotten() {
    let mut context = Context::new(around(2), Counter::default());
    context.most_services = 10;
    let batch = records(1);
    let mut rows = Vec::new();
    for number in 0..100 {
        let line = |context: &mut Context, service: &str, rows: &mut Vec<LogRow>| {
            let event = event(service, &number.to_string());
            batch.iter().for_each(|record| context.line(record, 0, &event, &event.message, 0.5, rows));
        };
        line(&mut context, "busy", &mut rows);
        line(&mut context, &format!("other {number}"), &mut rows);
    }
    context.found("busy", Severity::Warning, &mut rows);
    let messages: Vec<&str> = rows.iter().map(|row| row.message.as_str()).collect();
    assert_eq!(messages, ["97", "98", "99"]);
}
