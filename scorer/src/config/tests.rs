use std::collections::BTreeSet;

use clap::Parser;

use super::written::All;
use super::*;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    settings: Flags<All>,
}

fn load(flags: &[&str], environment: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    let command = Command::try_parse_from(["scorer"].iter().chain(flags)).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::from_parts(command.settings, environment)
}

/// Settings of a config file with this text.
pub(crate) fn settings_of_file(text: &str) -> Result<Settings, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    load(&["--config", file.path().to_str().unwrap()], &[]).map_err(|mistakes| mistakes.to_string())
}

fn mistakes(flags: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    match load(flags, environment) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.0.into_iter().map(|mistake| mistake.name).collect(),
    }
}

#[test]
fn the_defaults_can_be_used() {
    let settings = load(&[], &[]).unwrap();
    assert_eq!(settings.inputs, [Input::Kafka]);
    assert_eq!(settings.kafka.topics, ["application-logs"]);
    assert_eq!(settings.output.anomaly_topic.as_deref(), Some("anomalies"));
    assert!(settings.kafka.in_use);
}

#[test]
fn names_are_unique_and_their_texts_are_there() {
    let names: BTreeSet<&str> = table::ALL.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), table::ALL.len());
    for setting in table::ALL {
        assert!(setting.doc.ends_with('.') && !setting.allowed.is_empty(), "{}", setting.name);
        assert!(
            setting.name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
            "{}",
            setting.name
        );
    }
}

/// Every setting refuses something, so that none is accepted unread.
#[test]
fn every_number_choice_and_address_refuses_what_it_cannot_use() {
    let free_text = [
        "MODEL_PATH",
        "STATE_DIR",
        "DEAD_LETTER_FILE",
        "ANOMALY_FILE",
        "ALERT_FILE",
        "STORE_PATH",
        "SUMMARY_PATH",
        "KAFKA_GROUP_ID",
    ];
    for setting in table::ALL {
        let takes_any = free_text.contains(&setting.name)
            || setting.name.ends_with("_FIELDS")
            || setting.name.starts_with("GRPC_TLS");
        if takes_any {
            continue;
        }
        let bad = match setting.name {
            "FILE_SERVICES" => "x=",
            _ if setting.secret => "short",
            _ => "=\u{1}bad value(",
        };
        let names = mistakes(&[], &[(setting.name, bad)]);
        assert!(names.iter().any(|name| name == setting.name), "{} took {bad:?}: {names:?}", setting.name);
    }
}

#[test]
fn numbers_out_of_range_are_refused_at_both_ends() {
    for (name, values) in [
        ("BATCH_SIZE", ["0", "100001"]),
        ("MAX_DEPTH", ["0", "129"]),
        ("CONTAMINATION", ["0", "0.5001"]),
        ("ANOMALY_SCORE_THRESHOLD", ["-0.1", "1.1"]),
        ("SCORE_TABLE_LINES", ["-1", "4194305"]),
        ("CONTAMINATION", ["NaN", "inf"]),
        ("ALERT_BUDGET_PER_DAY", ["0", "1000001"]),
    ] {
        for value in values {
            assert_eq!(mistakes(&[], &[(name, value)]), [name], "{value}");
        }
    }
}

#[test]
fn an_empty_variable_turns_off_what_can_be_off_and_is_the_default_elsewhere() {
    let settings = load(&[], &[("ANOMALY_TOPIC", ""), ("HTTP_ADDR", ""), ("BATCH_SIZE", "")]).unwrap();
    assert_eq!(settings.output.anomaly_topic, None);
    assert_eq!(settings.serve.http, None);
    assert_eq!(settings.batch.size, 500);
}

#[test]
fn kafka_takes_part_as_input_or_where_its_brokers_are_given() {
    assert!(!load(&["--input", "stdin"], &[]).unwrap().kafka.in_use);
    assert!(load(&["--input", "stdin"], &[("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")]).unwrap().kafka.in_use);
}

#[test]
fn variables_and_flags_pass_properties_through_and_flags_win() {
    let environment = [("KAFKA_CLIENT_ID", "a"), ("KAFKA_SERVICE_HOST", "10.0.0.1")];
    let settings = load(&["--kafka-property", "client.id=b"], &environment).unwrap();
    assert_eq!(settings.kafka.client.property("client.id"), Some("b"));
    assert_eq!(settings.kafka.client.properties.len(), 2);
}

#[test]
fn secrets_are_shown_nowhere() {
    let settings =
        load(&[], &[("GRPC_TOKEN", "hunter2hunter2"), ("KAFKA_SASL_PASSWORD", "hunter2")]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    let error =
        load(&[], &[("GRPC_TOKEN", "hunter2"), ("KAFKA_SSL_KEY_PASSWORD", "hunter2"), ("INPUT", "x")]);
    assert!(!error.unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn several_inputs_are_read_at_once() {
    let settings = load(&["--input", "kafka, file:/var/log/*.log,stdin"], &[]).unwrap();
    assert_eq!(settings.inputs, [Input::Kafka, Input::File("/var/log/*.log".to_owned()), Input::Stdin]);
}

#[test]
fn a_certificate_without_its_key_is_a_mistake() {
    assert_eq!(mistakes(&["--grpc-tls-cert", "a.pem"], &[]), ["GRPC_TLS_CERT"]);
}

#[test]
fn sinks_are_read_with_their_routes() {
    let settings = load(
        &["--sink-routes", "webhook severity=error"],
        &[("ALERT_WEBHOOK_URL", "http://127.0.0.1:9/x"), ("PUBLIC_URL", "https://isolog.example/")],
    )
    .unwrap();
    let names: Vec<&str> = settings.sinks.all.iter().map(|sink| sink.audience.name.as_str()).collect();
    assert_eq!(names, ["webhook"]);
    assert_eq!(settings.sinks.all[0].audience.least_severity, Severity::Error);
    assert_eq!(settings.sinks.public_url.as_deref(), Some("https://isolog.example"));
    assert_eq!(settings.outbox_topic(), Some("anomaly_alerts"));
    assert_eq!(load(&["--input", "stdin"], &[]).unwrap().outbox_topic(), None);
}

#[test]
fn a_secret_may_stand_in_a_file_that_the_environment_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "hunter2hunter2\n").unwrap();
    let path = file.to_str().unwrap();
    let settings = load(&[], &[("GRPC_TOKEN_FILE", path), ("KAFKA_SASL_PASSWORD_FILE", path)]).unwrap();
    assert_eq!(settings.serve.grpc_token.as_ref().unwrap().expose(), "hunter2hunter2");
    assert_eq!(settings.kafka.client.property("sasl.password"), Some("hunter2hunter2"));
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert_eq!(mistakes(&[], &[("GRPC_TOKEN_FILE", "/no/such")]), ["GRPC_TOKEN_FILE"]);
    let both = [("GRPC_TOKEN", "hunter2hunter2"), ("GRPC_TOKEN_FILE", path)];
    assert_eq!(mistakes(&[], &both), ["GRPC_TOKEN_FILE"]);
}

#[test]
fn an_address_that_others_reach_needs_a_token_or_the_setting_that_says_so() {
    let refused = load(&[], &[("HTTP_ADDR", "0.0.0.0:8080")]).unwrap_err().to_string();
    for part in ["HTTP_ADDR", "0.0.0.0:8080", "HTTP_TOKEN", "HTTP_UNAUTHENTICATED_ON_ALL_INTERFACES=true"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    for (name, value) in [
        ("HTTP_TOKEN", "correct-horse"),
        ("HTTP_VIEWER_TOKEN", "looking-horse"),
        ("HTTP_UNAUTHENTICATED_ON_ALL_INTERFACES", "true"),
    ] {
        assert!(load(&[], &[("HTTP_ADDR", "0.0.0.0:8080"), (name, value)]).is_ok(), "{name}");
    }
    assert!(load(&[], &[("HTTP_ADDR", "[::1]:8080")]).is_ok());
}

#[test]
fn one_token_cannot_have_both_roles() {
    let both = [("HTTP_TOKEN", "correct-horse"), ("HTTP_VIEWER_TOKEN", "correct-horse")];
    let refused = load(&[], &both).unwrap_err().to_string();
    assert!(refused.contains("HTTP_VIEWER_TOKEN") && !refused.contains("correct-horse"), "{refused}");
}

#[test]
fn a_sink_that_nothing_keeps_alerts_for_is_a_mistake() {
    let hook = ("ALERT_WEBHOOK_URL", "http://127.0.0.1:9/x");
    let refused = load(&["--input", "stdin"], &[hook, ("STORE_PATH", "")]).unwrap_err().to_string();
    for part in ["STORE_PATH", "the sink webhook", "DATABASE_URL", "ALERT_TOPIC"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    load(&["--input", "stdin"], &[hook]).unwrap();
    load(&["--input", "kafka"], &[hook, ("STORE_PATH", "")]).unwrap();
}

#[test]
fn what_an_unknown_key_holds_is_told_nowhere() {
    let refused =
        settings_of_file("alert_webhok_url = \"https://hooks.example/hunter2hunter2\"").unwrap_err();
    assert!(refused.contains("did you mean alert_webhook_url?"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
}
