//! What real shippers write to a topic is read with the time, level, service and message that the program wrote.
//! Every line is made an anomaly, so that the topic `anomalies` shows how it was read.

use std::net::UdpSocket;

use serde_json::Value;
use testkit::connect::{Converter, Standalone};
use testkit::kafka::Broker;
use testkit::rsyslog::Daemon;
use testkit::workdir::Workdir;

use crate::rig::{LIMIT, Scorer};

/// Time, level, service and message.
type Read = [String; 4];

/// A topic, and a scorer that reads it and reports every line.
struct Watch {
    broker: &'static Broker,
    topic: String,
    anomalies: String,
    scorer: Scorer,
}

impl Watch {
    fn start(name: &str) -> Self {
        let broker = Broker::shared().unwrap();
        let topic = broker.unique_topic(name, 1).unwrap();
        let anomalies = broker.unique_topic(&format!("{name}-anomalies"), 1).unwrap();
        let flags = ["--kafka-bootstrap-servers", broker.bootstrap(), "--log-topic", &topic];
        let group = ["--kafka-group-id", &topic, "--anomaly-topic", &anomalies];
        // Every line is an odd line, and nothing else is found of them.
        let all = ["--anomaly-score-threshold", "0", "--detect=false"];
        let mut scorer = Scorer::start(name, &[flags.as_slice(), &group, &all].concat());
        scorer.wait_ready();
        Self { broker, topic, anomalies, scorer }
    }

    /// The first `count` lines as the scorer read them.
    fn read(&self, count: usize) -> Vec<Read> {
        let found = self.broker.read_at_least(&self.anomalies, count, LIMIT).unwrap_or_else(|error| {
            let shipped: Vec<String> =
                self.broker.read_all(&self.topic).unwrap().iter().map(|r| r.text()).collect();
            panic!("{error:#}\nshipped: {shipped:#?}\nscorer:\n{}", self.scorer.log())
        });
        found.iter().map(|record| line(&record.json().unwrap())).collect()
    }
}

fn line(record: &Value) -> Read {
    ["timestamp", "level", "service", "message"]
        .map(|field| record[field].as_str().unwrap_or_default().to_owned())
}

fn expected(fields: [&str; 4]) -> Read {
    fields.map(str::to_owned)
}

const JSON: &str = r#"{"timestamp":"2024-05-06T07:08:09.250Z","level":"error","service":"billing","message":"payment \"4711\" refused"}"#;
const JSON_READ: [&str; 4] = ["2024-05-06T07:08:09.25Z", "ERROR", "billing", "payment \"4711\" refused"];
const LOGBACK: &str = "2024-05-06 07:08:10,500 WARN [main] com.shop.Stock - stock is low for sku 9";
const LOGBACK_READ: [&str; 4] =
    ["2024-05-06T07:08:10.5Z", "WARN", "com.shop.Stock", "stock is low for sku 9"];

fn connect_ships(name: &str, converter: Converter) {
    let watch = Watch::start(name);
    let folder = Workdir::create("app").unwrap();
    let file = folder.write("app.log", &format!("{JSON}\n{LOGBACK}\n")).unwrap();
    let _connect = Standalone::file_source(watch.broker, &file, &watch.topic, converter).unwrap();
    assert_eq!(watch.read(2), [expected(JSON_READ), expected(LOGBACK_READ)]);
}

#[test]
fn connect_with_the_string_converter_is_read_as_the_file_was_written() {
    connect_ships("connect-string", Converter::String);
}

#[test]
fn connect_with_the_schemaless_json_converter_is_unwrapped() {
    connect_ships("connect-json", Converter::SchemalessJson);
}

#[test]
fn rsyslog_datagrams_are_read_in_the_new_syslog_format() {
    let watch = Watch::start("rsyslog-5424");
    let daemon = Daemon::start(watch.broker, &watch.topic, "RSYSLOG_SyslogProtocol23Format").unwrap();
    let datagram = "<11>1 2024-05-06T07:08:09.250Z web-1 billing 812 - - payment refused for order 4711";
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(datagram.as_bytes(), ("127.0.0.1", daemon.udp_port())).unwrap();
    let read = expected(["2024-05-06T07:08:09.25Z", "ERROR", "billing", "payment refused for order 4711"]);
    assert_eq!(watch.read(1), [read]);
}

#[test]
fn rsyslog_followed_files_are_read_in_the_old_syslog_format() {
    let watch = Watch::start("rsyslog-3164");
    let daemon = Daemon::start(watch.broker, &watch.topic, "RSYSLOG_ForwardFormat").unwrap();
    let before = jiff::Timestamp::now();
    std::fs::write(daemon.followed_file(), "stock is low for sku 9\n").unwrap();
    let read = watch.read(1);
    let [time, level, service, message] = &read[0];
    assert_eq!([level.as_str(), service, message], ["WARN", "shop", "stock is low for sku 9"]);
    let time: jiff::Timestamp = time.parse().unwrap();
    assert!(
        before.as_second() <= time.as_second() && time <= jiff::Timestamp::now(),
        "{time} is not now ({before})"
    );
}
