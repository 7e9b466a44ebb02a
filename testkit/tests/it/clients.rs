//! The real shippers and clients reach the broker.

use std::time::Duration;

use testkit::connect::{Converter, Standalone};
use testkit::kafka::{Broker, Record};
use testkit::python::Venv;
use testkit::rsyslog::Daemon;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn python_has_its_packages() {
    let program = "import sys, grpc, grpc_reflection, grpc_health, opentelemetry.sdk; print(sys.argv[1])";
    let printed = Venv::find().unwrap().run_text(program, &["there"]).unwrap();
    assert_eq!(printed, "there\n");
}

#[test]
fn a_failing_python_program_is_an_error_with_its_words() {
    let error = Venv::find().unwrap().run_text("raise ValueError('no such line')", &[]).unwrap_err();
    assert!(error.to_string().contains("no such line"), "{error}");
}

#[test]
fn rsyslog_ships_its_file_and_its_datagrams() {
    let broker = Broker::shared().unwrap();
    let topic = broker.unique_topic("rsyslog", 1).unwrap();
    let daemon = Daemon::start(broker, &topic, "RSYSLOG_SyslogProtocol23Format").unwrap();
    std::fs::write(daemon.followed_file(), "a line of a file\n").unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let datagram = "<11>1 2024-05-06T07:08:09Z host app 1 - - a datagram";
    socket.send_to(datagram.as_bytes(), ("127.0.0.1", daemon.udp_port())).unwrap();
    let has = |records: &[Record], word: &str| records.iter().any(|record| record.text().contains(word));
    let both = |records: &[Record]| has(records, "a line of a file") && has(records, "a datagram");
    let read = broker.read_until(&topic, LIMIT, both);
    read.unwrap_or_else(|error| panic!("{error:#}\n{}", daemon.output().unwrap()));
}

#[test]
fn connect_ships_a_line_as_text_or_as_a_json_string() {
    let broker = Broker::shared().unwrap();
    let folder = testkit::workdir::Workdir::create("lines").unwrap();
    let file = folder.write("app.log", "say \"hello\"\n").unwrap();
    for (converter, value) in
        [(Converter::String, "say \"hello\""), (Converter::SchemalessJson, r#""say \"hello\"""#)]
    {
        let topic = broker.unique_topic("connect", 1).unwrap();
        let connect = Standalone::file_source(broker, &file, &topic, converter).unwrap();
        let read = broker.read_at_least(&topic, 1, LIMIT);
        let read = read.unwrap_or_else(|error| panic!("{error:#}\n{}", connect.output().unwrap()));
        assert_eq!(read[0].text(), value);
    }
}
