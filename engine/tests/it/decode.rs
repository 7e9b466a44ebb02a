//! Each shape's lines come out with the right time, level, service and message.

use engine::decode::csv::CsvHeader;
use engine::decode::{DECODERS, DecodeSettings, Decoder, RecordContext, RejectReason, UserPattern};
use engine::event::{EventTime, Level, Limits, LogEvent, TimeSource};
use proptest::prelude::*;

/// 2024-03-05T06:07:08Z.
const TRANSPORT: EventTime = EventTime::from_millis(1_709_618_828_000);

fn context() -> RecordContext<'static> {
    RecordContext { transport_time: TRANSPORT, service: None }
}

fn decode(record: impl AsRef<[u8]>) -> Result<Vec<LogEvent>, engine::decode::Rejected> {
    let mut events = Vec::new();
    Decoder::default().decode(record.as_ref(), context(), &mut events).map(|()| events)
}

/// Time (`-`: the transport's), level (`-`: none), service, message.
type Expected = (&'static str, &'static str, &'static str, &'static str);

fn check(samples: &[(&str, Expected)]) {
    for (record, (time, level, service, message)) in samples {
        let events = decode(record).unwrap_or_else(|rejected| panic!("{record}: {rejected}"));
        assert_eq!(events.len(), 1, "{record}");
        let event = &events[0];
        let got_time = match event.time_source {
            TimeSource::Record => event.timestamp.to_string(),
            TimeSource::Transport => "-".to_owned(),
        };
        let got =
            (got_time.as_str(), event.level.map_or("-", Level::as_str), &*event.service, &*event.message);
        assert_eq!(got, (*time, *level, *service, *message), "{record}");
    }
}

#[test]
fn json_objects() {
    check(&[
        (
            r#"{"timestamp":"2024-01-02T03:04:05Z","service":"billing_api","level":"ERROR","message":"card refused"}"#,
            ("2024-01-02T03:04:05Z", "ERROR", "billing_api", "card refused"),
        ),
        (
            r#"{"@timestamp":"2024-01-02T03:04:05.678+01:00","log.level":"warn","service.name":"cart","message":"slow"}"#,
            ("2024-01-02T02:04:05.678Z", "WARN", "cart", "slow"),
        ),
        (
            r#"{"@timestamp":"2024-01-02T03:04:05","log":{"level":"Info"},"service":{"name":"cart"},"message":"nested"}"#,
            ("2024-01-02T03:04:05Z", "INFO", "cart", "nested"),
        ),
        (
            r#"{"time":1704164645,"severity":"CRITICAL","app":"a","msg":"epoch seconds"}"#,
            ("2024-01-02T03:04:05Z", "FATAL", "a", "epoch seconds"),
        ),
        (
            r#"{"date":1704164645.25,"lvl":"notice","application":"a","log":"fraction"}"#,
            ("2024-01-02T03:04:05.25Z", "INFO", "a", "fraction"),
        ),
        (
            r#"{"eventTime":1704164645123,"severity_text":"Severe","container_name":"/a","body":"millis"}"#,
            ("2024-01-02T03:04:05.123Z", "ERROR", "a", "millis"),
        ),
        (
            r#"{"time":1704164645123.5,"severity_number":14,"job":"nightly","body":"otel number"}"#,
            ("2024-01-02T03:04:05.1235Z", "WARN", "nightly", "otel number"),
        ),
        (
            r#"{"level":50,"time":1704164645123,"pid":7,"hostname":"h","name":"shop","msg":"pino"}"#,
            ("2024-01-02T03:04:05.123Z", "ERROR", "shop", "pino"),
        ),
        (
            r#"{"name":"shop","hostname":"h","pid":7,"level":40,"msg":"bunyan","time":"2024-01-02T03:04:05.123Z","v":0}"#,
            ("2024-01-02T03:04:05.123Z", "WARN", "shop", "bunyan"),
        ),
        (
            r#"{"version":"1.1","host":"h","short_message":"gelf","timestamp":1704164645.5,"level":3}"#,
            ("2024-01-02T03:04:05.5Z", "ERROR", "", "gelf"),
        ),
        (
            r#"{"ts":1704164645.5,"level":"error","logger":"main.pay","msg":"zap","caller":"pay/x.go:7"}"#,
            ("2024-01-02T03:04:05.5Z", "ERROR", "main.pay", "zap"),
        ),
        (r#"{"message":"no time"}"#, ("-", "-", "", "no time")),
        (
            r#"{"level":"DEBUG","user":"ann","action":"log in"}"#,
            ("-", "DEBUG", "", "user=ann action=\"log in\""),
        ),
        (
            r#"{"Timestamp":"2024-01-02T03:04:05Z","Level":"Information","RenderedMessage":"serilog"}"#,
            ("2024-01-02T03:04:05Z", "INFO", "", "serilog"),
        ),
    ]);
}

#[test]
fn wrapped_json() {
    check(&[
        (
            r#""{\"timestamp\":\"2024-01-02T03:04:05Z\",\"level\":\"ERROR\",\"service\":\"a\",\"message\":\"connect\"}""#,
            ("2024-01-02T03:04:05Z", "ERROR", "a", "connect"),
        ),
        (
            r#""2024-01-02 03:04:05,678 WARN [main] com.acme.Pay: a line in a JSON string""#,
            ("2024-01-02T03:04:05.678Z", "WARN", "com.acme.Pay", "a line in a JSON string"),
        ),
        (
            r#"{"schema":{"type":"string","optional":false},"payload":"{\"level\":\"error\",\"service\":\"a\",\"msg\":\"x\"}"}"#,
            ("-", "ERROR", "a", "x"),
        ),
        (
            r#"{"topic":"t","payload":{"timestamp":1704164645,"level":"error","service":"a","message":"inner"}}"#,
            ("2024-01-02T03:04:05Z", "ERROR", "a", "inner"),
        ),
        (
            r#"{"message":{"timestamp":1704164645,"level":"error","service":"a","msg":"object"}}"#,
            ("2024-01-02T03:04:05Z", "ERROR", "a", "object"),
        ),
        (
            r#"{"timestamp":1704164645,"level":"info","service":"a","message":"kept","payload":{"level":"gold"}}"#,
            ("2024-01-02T03:04:05Z", "INFO", "a", "kept"),
        ),
    ]);
}

#[test]
fn shippers() {
    check(&[
        (
            r#"{"log":"{\"level\":\"error\",\"service\":\"a\",\"msg\":\"inner\"}\n","stream":"stdout","time":"2024-01-02T03:04:05.123456789Z"}"#,
            ("2024-01-02T03:04:05.123456Z", "ERROR", "a", "inner"),
        ),
        (
            r#"{"log":"2024-01-02 05:04:05 ERROR [main] a.b.C - local time\n","stream":"stderr","time":"2024-01-02T03:04:05.1Z"}"#,
            ("2024-01-02T03:04:05.1Z", "ERROR", "a.b.C", "local time"),
        ),
        (r#"{"@timestamp":1704164645.5,"log":"WARN: disk"}"#, ("2024-01-02T03:04:05.5Z", "WARN", "", "disk")),
        (
            r#"{"@timestamp":"2024-01-02T03:04:09Z","message":"2024-01-02T03:04:05Z ERROR [x] a.b.C - boom","agent":{"type":"filebeat"},"log":{"file":{"path":"/x"}}}"#,
            ("2024-01-02T03:04:05Z", "ERROR", "a.b.C", "boom"),
        ),
        (
            r#"{"@timestamp":"2024-01-02T03:04:05Z","@version":"1","message":"all well","event":{"original":"all well"},"host":{"name":"h"}}"#,
            ("2024-01-02T03:04:05Z", "-", "", "all well"),
        ),
        (
            r#"{"file":"/var/log/x","host":"h","message":"failed: x","source_type":"file","timestamp":"2024-01-02T03:04:05.123456789Z"}"#,
            ("2024-01-02T03:04:05.123456Z", "-", "", "failed: x"),
        ),
        (
            "2024-01-02T03:04:05.669794202Z stdout F ERROR [pay] boom",
            ("2024-01-02T03:04:05.669794Z", "ERROR", "pay", "boom"),
        ),
        (
            r#"2024-01-02T03:04:05.669794202Z stderr F {"level":"warn","service":"a","msg":"in cri"}"#,
            ("2024-01-02T03:04:05.669794Z", "WARN", "a", "in cri"),
        ),
        ("2024-01-02T03:04:05.6Z stderr P half a line", ("2024-01-02T03:04:05.6Z", "-", "", "half a line")),
    ]);
}

#[test]
fn web_access() {
    check(&[
        (
            r#"{"timestamp":1704164645,"ip":"10.0.0.1","method":"GET","url":"/x","status":500}"#,
            ("2024-01-02T03:04:05Z", "ERROR", "web", "GET /x 500"),
        ),
        (
            r#"{"timestamp":1704164645,"ip":"10.0.0.1","method":"POST","url":"/login","status":"404"}"#,
            ("2024-01-02T03:04:05Z", "WARN", "web", "POST /login 404"),
        ),
        (
            r#"10.0.0.1 - ann [02/Jan/2024:03:04:05 +0000] "GET /a?b=1 HTTP/1.1" 200 2326"#,
            ("2024-01-02T03:04:05Z", "INFO", "web", "GET /a?b=1 200"),
        ),
        (
            r#"::1 - - [02/Jan/2024:03:04:05 -0700] "PUT /a HTTP/2.0" 503 - "https://x/" "curl/8""#,
            ("2024-01-02T10:04:05Z", "ERROR", "web", "PUT /a 503"),
        ),
        (
            r#"10.0.0.1 - - [02/Jan/2024:03:04:05 +0000] "\x16\x03" 400 0"#,
            ("2024-01-02T03:04:05Z", "WARN", "web", r"\x16\x03 400"),
        ),
    ]);
}

#[test]
fn syslog() {
    check(&[
        (
            r#"<165>1 2024-01-02T03:04:05.003Z host evntslog 12 ID47 [ex@32473 iut="3" src="a\"b"] an event"#,
            ("2024-01-02T03:04:05.003Z", "INFO", "evntslog", "an event"),
        ),
        (
            "<11>1 2024-01-02T03:04:05Z - app - - - it failed",
            ("2024-01-02T03:04:05Z", "ERROR", "app", "it failed"),
        ),
        (
            "77 <11>1 2024-01-02T03:04:05Z h app - - - framed",
            ("2024-01-02T03:04:05Z", "ERROR", "app", "framed"),
        ),
        (
            "<34>Feb 11 22:14:15 mymachine su: 'su root' failed",
            ("2024-02-11T22:14:15Z", "FATAL", "su", "'su root' failed"),
        ),
        (
            "Mar  4 15:16:01 web1 sshd(pam_unix)[19939]: authentication failure; logname= uid=0",
            ("2024-03-04T15:16:01Z", "-", "sshd", "authentication failure; logname= uid=0"),
        ),
        (
            "Jun 14 15:16:01 web1 kernel: usb 1-1: gone",
            ("2023-06-14T15:16:01Z", "-", "kernel", "usb 1-1: gone"),
        ),
        (
            "Jun 14 15:16:01 web1 syslogd 1.4.1: restart.",
            ("2023-06-14T15:16:01Z", "-", "syslogd", "restart."),
        ),
        (
            "Jun 14 15:16:01 web1 sshd[7]: error: no key",
            ("2023-06-14T15:16:01Z", "ERROR", "sshd", "error: no key"),
        ),
        (
            "2024-01-02T03:04:05.123456+02:00 web1 cron[12]: (root) CMD (x)",
            ("2024-01-02T01:04:05.123456Z", "-", "cron", "(root) CMD (x)"),
        ),
        ("<4>kernel: out of memory", ("-", "WARN", "kernel", "out of memory")),
        (
            "<13>Jan  2 03:04:05 web1 text without a tag",
            ("2024-01-02T03:04:05Z", "INFO", "", "text without a tag"),
        ),
    ]);
}

#[test]
fn loggers() {
    check(&[
        (
            "2024-01-02 03:04:05,678 WARN [RMCommunicator Allocator] org.acme.ipc.Client: retry 3",
            ("2024-01-02T03:04:05.678Z", "WARN", "org.acme.ipc.Client", "retry 3"),
        ),
        (
            "2024-01-02 03:04:05,678 - INFO  [NIOFactory:0.0.0.0/0.0.0.0:2181:ServerCnxn@197] - Accepted",
            ("2024-01-02T03:04:05.678Z", "INFO", "ServerCnxn", "Accepted"),
        ),
        (
            "2024-01-02 03:04:05,678 - WARN  [Peer[id=1]/0:0:2181:Election@774] - Notification",
            ("2024-01-02T03:04:05.678Z", "WARN", "Election", "Notification"),
        ),
        (
            "240102 030405 148 ERROR dfs.DataNode$Responder: Exception in block blk_1",
            ("2024-01-02T03:04:05Z", "ERROR", "dfs.DataNode$Responder", "Exception in block blk_1"),
        ),
        (
            "24/01/02 03:04:05 INFO executor.Executor: Running task",
            ("2024-01-02T03:04:05Z", "INFO", "executor.Executor", "Running task"),
        ),
        (
            "nova-api.log.1.2024-01-02_03:04:05 2024-01-02 03:04:05.008 25746 INFO nova.osapi.wsgi.server [req-38 11 54 - - -] 10.1.1.1 \"GET /v2\" status: 200",
            (
                "2024-01-02T03:04:05.008Z",
                "INFO",
                "nova.osapi.wsgi.server",
                "10.1.1.1 \"GET /v2\" status: 200",
            ),
        ),
        (
            "2024-01-02 03:04:05.678  INFO 12345 --- [           main] c.e.demo.Application      : Started in 2 s",
            ("2024-01-02T03:04:05.678Z", "INFO", "c.e.demo.Application", "Started in 2 s"),
        ),
        (
            "05:06:07.089 [http-1] WARN  c.e.Foo - slow",
            ("2024-03-05T05:06:07.089Z", "WARN", "c.e.Foo", "slow"),
        ),
        (
            "2024-01-02 03:04:05,678 - my.module - CRITICAL - python",
            ("2024-01-02T03:04:05.678Z", "FATAL", "my.module", "python"),
        ),
        ("WARNING:root:disk low", ("-", "WARN", "root", "disk low")),
        (
            "2024-01-02 03:04:05.678 | ERROR    | my.module:run:12 - loguru",
            ("2024-01-02T03:04:05.678Z", "ERROR", "my.module", "loguru"),
        ),
        (
            "[2024-01-02 03:04:05,678: ERROR/MainProcess] celery",
            ("2024-01-02T03:04:05.678Z", "ERROR", "", "celery"),
        ),
        ("[2024-01-02 03:04:05 +0000] [7] [INFO] gunicorn", ("2024-01-02T03:04:05Z", "INFO", "", "gunicorn")),
        (
            "I, [2024-01-02T03:04:05.123456 #123]  INFO -- : ruby",
            ("2024-01-02T03:04:05.123456Z", "INFO", "", "ruby"),
        ),
        (
            "[2024-01-02T03:04:05,123][WARN ][o.e.n.Node               ] [node-1] elastic",
            ("2024-01-02T03:04:05.123Z", "WARN", "o.e.n.Node", "elastic"),
        ),
        (
            "[2024-01-02 03:04:05,123] INFO [KafkaServer id=0] started (kafka.server.KafkaServer)",
            ("2024-01-02T03:04:05.123Z", "INFO", "kafka.server.KafkaServer", "started"),
        ),
        (
            "2024/01/02 03:04:05 [error] 12#13: *1 open() failed",
            ("2024-01-02T03:04:05Z", "ERROR", "nginx", "*1 open() failed"),
        ),
        (
            "2024-01-02T03:04:05.000000Z  INFO my_crate::module: tracing",
            ("2024-01-02T03:04:05Z", "INFO", "my_crate::module", "tracing"),
        ),
        (
            "[2024-01-02T03:04:05Z WARN  my_crate::x] env_logger",
            ("2024-01-02T03:04:05Z", "WARN", "my_crate::x", "env_logger"),
        ),
        (
            "2024-01-02 03:04:05.123 UTC [123] ERROR:  relation \"x\" does not exist",
            ("2024-01-02T03:04:05.123Z", "ERROR", "", "relation \"x\" does not exist"),
        ),
        (
            "2024-01-02T03:04:05.123456Z 0 [Warning] [MY-010068] [Server] mysql",
            ("2024-01-02T03:04:05.123456Z", "WARN", "Server", "mysql"),
        ),
        (
            "01-02 03:04:05.678  1702  2395 E WindowManager: logcat",
            ("2024-01-02T03:04:05.678Z", "ERROR", "WindowManager", "logcat"),
        ),
        (
            "Jan 02, 2024 3:04:05 PM com.acme.Bar run\nSEVERE: java.util.logging",
            ("2024-01-02T15:04:05Z", "ERROR", "com.acme.Bar", "java.util.logging"),
        ),
        (
            "I0102 03:04:05.678901   12345 controller.go:123] klog",
            ("2024-01-02T03:04:05.678901Z", "INFO", "controller", "klog"),
        ),
        (
            "E20240102 03:04:05.678901 12345 a/b.cc:9] glog",
            ("2024-01-02T03:04:05.678901Z", "ERROR", "b", "glog"),
        ),
        (
            "[Tue Jan 02 03:04:05 2024] [error] mod_x child in error state 6",
            ("2024-01-02T03:04:05Z", "ERROR", "apache", "mod_x child in error state 6"),
        ),
        (
            "[Tue Jan 02 03:04:05.678901 2024] [core:warn] [pid 7:tid 8] [client 10.0.0.1:9] AH1: x",
            ("2024-01-02T03:04:05.678901Z", "WARN", "apache", "AH1: x"),
        ),
        (
            "KERNDTLB 1704164645 2024.01.02 R30-M0 2024-01-01-19.04.05.793426 R30-M0 RAS KERNEL FATAL data TLB error",
            ("2024-01-02T03:04:05.793426Z", "FATAL", "KERNEL", "data TLB error"),
        ),
        (
            "- 1704164645 2024.01.02 R30-M0 2024-01-01-19.04.05.000001 R30-M0 RAS APP INFO ciod: x",
            ("2024-01-02T03:04:05.000001Z", "INFO", "APP", "ciod: x"),
        ),
        ("2024-01-02 03:04:05 42 items processed", ("2024-01-02T03:04:05Z", "-", "", "42 items processed")),
        (
            "2024-01-02 03:04:05 error opening file",
            ("2024-01-02T03:04:05Z", "ERROR", "", "error opening file"),
        ),
        ("2024-01-02 03:04:05 ERROR", ("2024-01-02T03:04:05Z", "ERROR", "", "ERROR")),
        ("just some words", ("-", "-", "", "just some words")),
        ("1234567890 items", ("-", "-", "", "1234567890 items")),
        ("{main} is not JSON", ("-", "-", "", "{main} is not JSON")),
        ("a=1 and more words", ("-", "-", "", "a=1 and more words")),
    ]);
}

#[test]
fn logfmt() {
    check(&[
        (
            r#"time=2024-01-02T03:04:05Z level=warn service=a msg="all \"well\"" user=7"#,
            ("2024-01-02T03:04:05Z", "WARN", "a", "all \"well\""),
        ),
        ("ts=1704164645.5 lvl=error msg=boom", ("2024-01-02T03:04:05.5Z", "ERROR", "", "boom")),
        ("user=ann action=login result=ok", ("-", "-", "", "user=ann action=login result=ok")),
    ]);
}

const OTLP_JSON: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"pay"}}]},"scopeLogs":[{"scope":{"name":"lib"},"logRecords":[
    {"timeUnixNano":"1704164645123456789","severityNumber":17,"severityText":"Error","body":{"stringValue":"declined"},"attributes":[{"key":"user","value":{"intValue":"7"}},{"key":"tags","value":{"arrayValue":{"values":[{"stringValue":"a"},{"intValue":"1"}]}}},{"key":"http","value":{"kvlistValue":{"values":[{"key":"status","value":{"intValue":500}}]}}}],"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"},
    {"observedTimeUnixNano":"1704164645000000000","severityNumber":"SEVERITY_NUMBER_INFO2","body":{"kvlistValue":{"values":[{"key":"message","value":{"stringValue":"structured"}}]}}},
    {"timeUnixNano":"1704164645000000000","body":{"stringValue":"2024-01-02 03:04:04 WARN [main] a.b.C - raw line"}}]}]}]}"#;

#[test]
fn otlp_in_json_gives_one_event_per_log_record() {
    let events = decode(OTLP_JSON).unwrap();
    assert_eq!(events.len(), 3);
    let first = &events[0];
    assert_eq!(first.timestamp.to_string(), "2024-01-02T03:04:05.123456Z");
    assert_eq!((first.level, &*first.service, &*first.message), (Some(Level::Error), "pay", "declined"));
    assert_eq!(first.attribute("user"), Some("7"));
    assert_eq!(first.attribute("tags"), Some("[\"a\",1]"));
    assert_eq!(first.attribute("http.status"), Some("500"));
    assert_eq!(first.attribute("trace_id"), Some("5b8efff798038103d269b633813fc60c"));
    assert_eq!(first.attribute("otel.scope.name"), Some("lib"));
    assert_eq!((events[1].level, &*events[1].message), (Some(Level::Info), "structured"));
    assert_eq!((events[2].level, &*events[2].message), (Some(Level::Warn), "raw line"));
    assert_eq!(events[2].timestamp.to_string(), "2024-01-02T03:04:04Z");
}

/// A protobuf field of bytes.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn pair(key: &str, value: &[u8]) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, value)].concat()
}

fn export(records: &[Vec<u8>]) -> Vec<u8> {
    let resource = field(1, &field(1, &pair("service.name", &field(1, b"pay"))));
    let records: Vec<u8> = records.iter().flat_map(|record| field(2, record)).collect();
    let scope = field(2, &[field(1, &field(1, b"lib")), records].concat());
    field(1, &[resource, scope].concat())
}

fn log_record(body: &[u8]) -> Vec<u8> {
    let mut record = vec![1 << 3 | 1];
    record.extend_from_slice(&1_704_164_645_123_456_789u64.to_le_bytes());
    record.extend_from_slice(&[2 << 3, 17]);
    record.extend(field(5, body));
    record
}

#[test]
fn otlp_in_protobuf_is_found_and_read() {
    let nested = field(6, &field(1, &pair("status", &[3 << 3, 0xF4, 0x03])));
    let tags = field(5, &[field(1, &field(1, b"a")), field(1, &[3 << 3, 1])].concat());
    let mut record = log_record(&field(1, b"declined"));
    record.extend(field(6, &pair("http", &nested)));
    record.extend(field(6, &pair("tags", &tags)));
    record.extend(field(9, &[0x5b; 16]));
    let events = decode(export(&[record, log_record(&field(1, b"second"))])).unwrap();
    assert_eq!(events.len(), 2);
    let first = &events[0];
    assert_eq!(first.timestamp.to_string(), "2024-01-02T03:04:05.123456Z");
    assert_eq!((first.level, &*first.service, &*first.message), (Some(Level::Error), "pay", "declined"));
    assert_eq!(first.attribute("http.status"), Some("500"));
    assert_eq!(first.attribute("tags"), Some("[\"a\",1]"));
    assert_eq!(first.attribute("trace_id"), Some(&*"5b".repeat(16)));
    assert_eq!((&*events[1].message, &*events[1].service), ("second", "pay"));
}

#[test]
fn an_export_cannot_ask_for_more_than_its_limits() {
    let mut deep = field(1, b"x");
    for _ in 0..40 {
        deep = field(6, &field(1, &pair("k", &deep)));
    }
    let mut record = log_record(&field(1, b"m"));
    record.extend(field(6, &pair("a", &deep)));
    assert_eq!(decode(export(&[record])).unwrap_err().reason, RejectReason::TooDeep);
    let mut record = log_record(&field(1, b"m"));
    for number in 0..300 {
        record.extend(field(6, &pair(&format!("k{number}"), &field(1, b"v"))));
    }
    assert_eq!(decode(export(&[record])).unwrap_err().reason, RejectReason::TooManyAttributes);
    let many = vec![log_record(&field(1, b"m")); 33_000];
    let rejected = decode(export(&many)).unwrap_err();
    assert!(matches!(rejected.reason, RejectReason::TooManyAttributes | RejectReason::TooLong), "{rejected}");
    let mut cut = export(&[log_record(&field(1, b"declined"))]);
    cut.truncate(cut.len() - 3);
    let settings = DecodeSettings { format: Some("otlp_proto".to_owned()), ..DecodeSettings::default() };
    let rejected = Decoder::new(settings).decode(&cut, context(), &mut Vec::new()).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Malformed);
}

#[test]
fn an_array_of_objects_gives_one_event_each_or_none() {
    assert_eq!(decode(r#"[{"message":"a"},{"message":"b"}]"#).unwrap().len(), 2);
    let mut out = vec![LogEvent::default()];
    let result = Decoder::default().decode(br#"[{"message":"a"},{"message":""}]"#, context(), &mut out);
    assert_eq!(result.unwrap_err().reason, RejectReason::NoMessage);
    assert_eq!(out.len(), 1);
}

#[test]
fn a_pattern_of_the_user_comes_first() {
    let pattern =
        UserPattern::new(r"^(?P<level>\w)\|(?P<timestamp>\d+)\|(?P<service>\w+)\|(?P<message>.*)$").unwrap();
    let decoder = Decoder::new(DecodeSettings { pattern: Some(pattern), ..DecodeSettings::default() });
    let mut events = Vec::new();
    decoder.decode(b"E|1704164645|pay|went wrong", context(), &mut events).unwrap();
    decoder.decode(b"another line", context(), &mut events).unwrap();
    assert_eq!(events[0].timestamp.to_string(), "2024-01-02T03:04:05Z");
    assert_eq!(
        (events[0].level, &*events[0].service, &*events[0].message),
        (Some(Level::Error), "pay", "went wrong")
    );
    assert_eq!(events[1].message, "another line");
    assert!(UserPattern::new("(").is_err());
    assert!(UserPattern::new("no names").unwrap_err().to_string().contains("named group"));
}

#[test]
fn faults_are_told_with_value_and_limit() {
    let cases: [(&[u8], RejectReason, &str); 9] = [
        (b" \n", RejectReason::Empty, "white space"),
        (b"abc \xff\xfe", RejectReason::InvalidUtf8, "byte 4 of 6 (0xff)"),
        (br#"{"message":"x""#, RejectReason::InvalidJson, "byte 14"),
        (br#"{"message":"x"} trailing"#, RejectReason::InvalidJson, "byte 16"),
        (br#"{"timestamp":"soon","message":"x"}"#, RejectReason::InvalidTime, "`timestamp` is `soon`"),
        (br#"{"timestamp":1e300,"message":"x"}"#, RejectReason::InvalidTime, "1e300"),
        (b"{}", RejectReason::NoMessage, "no field"),
        (br#"{"message":null,"level":"info"}"#, RejectReason::NoMessage, "no field"),
        (br#"{"resourceLogs":[]}"#, RejectReason::Empty, "no log record"),
    ];
    for (record, reason, part) in cases {
        let rejected = decode(record).unwrap_err();
        assert_eq!(rejected.reason, reason, "{rejected}");
        assert!(rejected.detail.contains(part), "{rejected}");
    }
}

#[test]
fn limits_hold_at_their_edges() {
    let limits = Limits { max_line_bytes: 100, max_attributes: 2, max_depth: 3, ..Limits::default() };
    let decoder = Decoder::new(DecodeSettings { limits, ..DecodeSettings::default() });
    let reason = |record: &str| {
        let result = decoder.decode(record.as_bytes(), context(), &mut Vec::new());
        result.err().map(|rejected| (rejected.reason, rejected.detail))
    };
    assert_eq!(reason(&"x".repeat(100)), None);
    let (too_long, detail) = reason(&"x".repeat(101)).unwrap();
    assert_eq!(
        (too_long, &*detail),
        (RejectReason::TooLong, "the record has 101 bytes, at most 100 are allowed")
    );
    assert_eq!(reason(r#"{"message":"m","a":1,"b":2}"#), None);
    let (too_many, detail) = reason(r#"{"message":"m","a":1,"b":2,"c":3}"#).unwrap();
    assert_eq!(too_many, RejectReason::TooManyAttributes);
    assert!(detail.contains("3 fields") && detail.contains("at most 2"), "{detail}");
    assert_eq!(reason(r#"{"message":"m","a":{"b":{"c":1}}}"#), None);
    let (too_deep, detail) = reason(r#"{"message":"m","a":{"b":{"c":{}}}}"#).unwrap();
    assert_eq!(too_deep, RejectReason::TooDeep);
    assert!(detail.contains("4 levels") && detail.contains("at most 3"), "{detail}");
    assert_eq!(reason(r#"{"message":"m","a":[[[1]]]}"#).unwrap().0, RejectReason::TooDeep);
}

#[test]
fn a_hundred_thousand_brackets_do_not_overflow_the_stack() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let record = format!("{{\"message\":\"m\",\"x\":{}", open.repeat(100_000));
        assert_eq!(decode(&record).unwrap_err().reason, RejectReason::TooDeep);
    }
}

#[test]
fn control_characters_stay_in_the_message() {
    let events = decode("{\"message\":\"a\u{0}b\\u0007\tc\"}").unwrap();
    assert_eq!(events[0].message, "a\u{0}b\u{7}\tc");
    assert_eq!(decode("a\u{0}b").unwrap()[0].message, "a\u{0}b");
}

#[test]
fn a_service_known_from_outside_stands_in_where_the_record_names_none() {
    let context = RecordContext { service: Some("family"), ..context() };
    let mut events = Vec::new();
    for record in [r#"{"message":"m"}"#, "plain", r#"{"message":"m","service":"own"}"#, "ERROR com.a.B: x"] {
        Decoder::default().decode(record.as_bytes(), context, &mut events).unwrap();
    }
    let services: Vec<_> = events.iter().map(|event| &*event.service).collect();
    assert_eq!(services, ["family", "family", "own", "com.a.B"]);
}

#[test]
fn names_and_docs_of_the_shapes_are_unique() {
    let mut names: Vec<_> = DECODERS.iter().map(|shape| shape.name()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    for shape in DECODERS {
        assert!(
            shape
                .name()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        );
        assert!(!shape.doc().is_empty());
        let settings = DecodeSettings { format: Some(shape.name().to_owned()), ..DecodeSettings::default() };
        assert!(Decoder::checked(settings).is_ok());
    }
    let settings = DecodeSettings { format: Some("xml".to_owned()), ..DecodeSettings::default() };
    assert!(Decoder::checked(settings).unwrap_err().to_string().contains("known are: otlp_proto, pattern"));
}

#[test]
fn a_fixed_format_refuses_other_shapes() {
    let settings = DecodeSettings { format: Some("json".to_owned()), ..DecodeSettings::default() };
    let rejected = Decoder::new(settings).decode(b"plain words", context(), &mut Vec::new()).unwrap_err();
    assert_eq!(rejected.reason, RejectReason::Malformed);
    assert!(rejected.detail.contains("`json`"), "{rejected}");
}

#[test]
fn csv_rows_are_read_by_their_columns() {
    let decoder = Decoder::default();
    let header =
        CsvHeader::parse(b"\xef\xbb\xbftimestamp,service,level,message,label,session\r\n", &decoder).unwrap();
    let row = |cells: &[&'static str]| {
        let cells: Vec<&[u8]> = cells.iter().map(|cell| cell.as_bytes()).collect();
        decoder.decode_row(&header, cells.into_iter(), context())
    };
    let event = row(&["2024-01-02T03:04:05Z", "pay", "SEVERE", "declined, again", "1", "s-1"]).unwrap();
    assert_eq!(event.timestamp.to_string(), "2024-01-02T03:04:05Z");
    assert_eq!(
        (event.level, &*event.service, &*event.message),
        (Some(Level::Error), "pay", "declined, again")
    );
    assert_eq!((event.attribute("label"), event.attribute("session")), (Some("1"), Some("s-1")));
    let reason = |cells: &[&'static str]| row(cells).unwrap_err().reason;
    assert_eq!(reason(&["2024-01-02T03:04:05Z", "pay"]), RejectReason::WrongColumnCount);
    assert_eq!(reason(&["then", "pay", "INFO", "m", "", ""]), RejectReason::InvalidTime);
    assert_eq!(reason(&["2024-01-02T03:04:05Z", "pay", "INFO", "", "0", ""]), RejectReason::NoMessage);
    assert_eq!(reason(&["", "", "", "", "", ""]), RejectReason::Empty);
}

#[test]
fn a_faulty_csv_header_is_refused_with_the_way_out() {
    let decoder = Decoder::default();
    let fault = |header: &[u8]| CsvHeader::parse(header, &decoder).unwrap_err().to_string();
    assert!(fault(b"").contains("timestamp,service,level,message"));
    assert!(fault(b"a,b,c").contains("message, msg"));
    assert!(fault(b"message,message").contains("`message` twice"));
    assert!(fault(b"message,\xff").contains("byte 8"));
    assert!(fault(format!("message{}", ",x".repeat(400)).as_bytes()).contains("at most 260"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
    }

    #[test]
    fn no_text_that_looks_like_a_shape_makes_it_panic(
        start in r#"(\{"|\[\{"|"|<1|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\[|I0102 |[a-z]=|- 1117838570 |Jun 1 01:02:03 |)"#,
        rest in r#"[\[\]{}"\\=:,. \-0-9a-zA-Zé#<>/|@\n]{0,60}"#,
    ) {
        let _ = decode(format!("{start}{rest}"));
    }

    #[test]
    fn a_json_record_comes_back_whole(
        micros in 0i64..4_000_000_000_000_000,
        level in 0usize..6,
        service in "[a-z][a-z0-9_-]{0,12}",
        message in "[^{\\s\"\\pC][^\\pC]{0,40}[^\\s\\pC]",
        attribute in "\\PC{1,20}",
    ) {
        let time = EventTime::from_micros(micros);
        let level = Level::ALL[level];
        let record = serde_json::json!({
            "timestamp": time.to_string(), "level": level.as_str(), "service": service, "message": message,
            "extra": { "x": attribute },
        });
        let events = decode(record.to_string()).unwrap();
        prop_assert_eq!(events[0].timestamp, time);
        prop_assert_eq!(events[0].level, Some(level));
        prop_assert_eq!(&events[0].service, &service);
        prop_assert_eq!(&events[0].message, &message);
        prop_assert_eq!(events[0].attribute("extra.x"), Some(&*attribute));
    }

    #[test]
    fn what_was_decoded_before_stays_when_a_record_is_refused(bytes: Vec<u8>) {
        let mut out = vec![LogEvent { message: "before".to_owned(), ..LogEvent::default() }];
        let accepted = Decoder::default().decode(&bytes, context(), &mut out).is_ok();
        prop_assert_eq!(&out[0].message, "before");
        prop_assert_eq!(out.len() > 1, accepted);
    }

    #[test]
    fn a_message_is_never_lost(words in prop::collection::vec("[a-z]{3,8}", 1..6)) {
        let text = words.join(" ");
        let event = &decode(format!("2024-01-02 03:04:05,678 ERROR [main] a.b.C: {text}")).unwrap()[0];
        prop_assert_eq!(&event.message, &text);
        let event = &decode(&text).unwrap()[0];
        prop_assert!(event.message.ends_with(words.last().unwrap()));
    }
}
