//! Lines of every shape and what they come out as.

use engine::event::{Level, TimeSource};

use super::decode;

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
