//! A broker keeps what it was given, however it is stopped.

use std::time::Duration;

use testkit::kafka::{Broker, NewRecord};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_topic_is_read_back_as_it_was_produced() {
    let broker = Broker::shared().unwrap();
    let topic = broker.unique_topic("round-trip", 3).unwrap();
    let record = |key: &str, payload: &str, partition| NewRecord {
        partition: Some(partition),
        timestamp_ms: Some(1_700_000_000_123),
        ..NewRecord::keyed(key, payload)
    };
    broker
        .produce_records(&topic, [record("a", "one", 2), record("b", "two", 0), record("a", "three", 2)])
        .unwrap();
    let read = broker.read_all(&topic).unwrap();
    let seen: Vec<(i32, i64, String)> = read.iter().map(|r| (r.partition, r.offset, r.text())).collect();
    assert_eq!(seen, [(0, 0, "two".into()), (2, 0, "one".into()), (2, 1, "three".into())]);
    assert_eq!(read[1].key.as_deref(), Some(b"a".as_slice()));
    assert_eq!(read[1].timestamp_ms, Some(1_700_000_000_123));
    assert_eq!(broker.end_offsets(&topic).unwrap(), [1, 0, 2]);
    assert_eq!(broker.committed("nobody", &topic).unwrap(), [None, None, None]);
}

#[test]
fn an_empty_topic_reads_as_nothing_and_a_missing_one_is_an_error() {
    let broker = Broker::shared().unwrap();
    let topic = broker.unique_topic("empty", 1).unwrap();
    assert_eq!(broker.read_all(&topic).unwrap(), []);
    let error = broker.read_all("no-such-topic").unwrap_err();
    assert!(error.to_string().contains("no-such-topic"), "{error}");
}

#[test]
fn a_stopped_or_killed_broker_starts_again_with_its_data_and_port() {
    let broker = Broker::start().unwrap();
    broker.create_topic("kept", 1).unwrap();
    broker.produce("kept", ["before"]).unwrap();
    let bootstrap = broker.bootstrap().to_owned();
    broker.stop().unwrap();
    broker.start_again().unwrap();
    broker.produce("kept", ["between"]).unwrap();
    broker.kill().unwrap();
    broker.start_again().unwrap();
    broker.produce("kept", ["after"]).unwrap();
    let read = broker.read_at_least("kept", 3, LIMIT).unwrap();
    let texts: Vec<String> = read.iter().map(testkit::kafka::Record::text).collect();
    assert_eq!(texts, ["before", "between", "after"]);
    assert_eq!(broker.bootstrap(), bootstrap);
}
