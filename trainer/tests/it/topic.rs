//! Training from a topic of a real broker.

use testkit::kafka::Broker;
use testkit::kafka::NewRecord;

use crate::{run, trainer};

/// 2026-01-05T00:00:00Z in milliseconds.
const START_MS: i64 = 1_767_571_200_000;

#[test]
fn a_stretch_of_a_topic_trains_the_same_model_each_time() {
    let broker = Broker::shared().unwrap();
    let topic = broker.unique_topic("train", 3).unwrap();
    let start = engine::event::EventTime::from_millis(START_MS);
    let params = simulator::Params { seed: 8, start, rate: 50.0, ..simulator::Params::default() };
    let lines: Vec<_> = simulator::Simulator::new(params).unwrap().take(1_500).collect();
    let at_ms = |line: &simulator::SimLine| line.timestamp.as_micros() / 1_000;
    let record = |line: &simulator::SimLine| NewRecord {
        timestamp_ms: Some(at_ms(line)),
        ..NewRecord::keyed(line.service, line.json())
    };
    let mut records: Vec<NewRecord> = lines.iter().map(record).collect();
    let middle = lines.iter().position(|line| at_ms(line) > START_MS + 10_000).unwrap();
    let faulty = NewRecord { timestamp_ms: records[middle].timestamp_ms, ..NewRecord::new("{\"message\":") };
    records.insert(middle, faulty);
    broker.produce_records(&topic, records).unwrap();
    let within =
        lines.iter().filter(|line| (START_MS + 5_000..START_MS + 20_000).contains(&at_ms(line))).count();

    let folder = tempfile::tempdir().unwrap();
    let train = |name: &str| {
        let model = folder.path().join(name);
        let stretch =
            ["--since", "2026-01-05T00:00:05Z", "--until", "2026-01-05T00:00:20Z", "--n-estimators", "20"];
        let kafka = ["--from-topic", &topic, "--kafka-bootstrap-servers", broker.bootstrap()];
        let (output, stdout, stderr) =
            run(trainer().arg("fit").args(stretch).args(kafka).arg("-m").arg(&model));
        assert!(output.status.success(), "{stderr}");
        (std::fs::read(model).unwrap(), stdout)
    };
    let (model, stdout) = train("one");
    assert!(stdout.contains(&format!("trained on {within} ")), "{within} in {stdout}");
    assert!(stdout.contains("rejected as invalid_json: 1") && stdout.contains(" offset "), "{stdout}");
    assert!(model == train("two").0, "a second run gives other bytes");
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let broker = Broker::shared().unwrap();
    let args = ["fit", "--from-topic", "no-such-topic", "--kafka-bootstrap-servers", broker.bootstrap()];
    let (output, _, stderr) = run(trainer().args(args));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("no-such-topic"), "{stderr}");
}

#[test]
fn times_and_properties_of_a_topic_are_checked_together() {
    let args = ["fit", "--from-topic", "t", "--since", "x", "--until", "y", "--kafka-property", "no.such=1"];
    let (output, _, stderr) = run(trainer().args(args));
    assert_eq!(output.status.code(), Some(2));
    for part in ["3 settings cannot be used", "--since = x", "--until = y", "no.such"] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}
