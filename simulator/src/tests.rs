//! The stream is the same for the same seed, keeps its shares and never goes back in time.

use std::collections::BTreeSet;

use super::*;

/// Placeholders that [`values::expand`] knows.
const PLACEHOLDERS: &[&str] = &[
    "user",
    "order",
    "sku",
    "amount",
    "currency",
    "ip",
    "ms",
    "n",
    "count",
    "percent",
    "category",
    "query",
    "carrier",
    "warehouse",
    "provider",
    "channel",
    "mail_template",
    "db",
    "topic",
    "invoice",
    "tracking",
    "card",
    "host",
    "seconds",
    "retry",
    "partition",
    "offset",
    "bytes",
    "session",
];

fn lines(params: Params, count: usize) -> Vec<SimLine> {
    Simulator::new(params).unwrap().take(count).collect()
}

#[test]
fn the_same_seed_gives_the_same_lines_and_another_seed_others() {
    let params = Params::default();
    assert_eq!(lines(params, 500), lines(params, 500));
    assert_ne!(lines(params, 500), lines(Params { seed: 7, ..params }, 500));
}

#[test]
fn times_never_go_back() {
    let all = lines(Params { rate: 500.0, ..Params::default() }, 5_000);
    assert!(all.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp));
}

#[test]
fn shares_and_rate_are_kept() {
    let params = Params { rate: 50.0, anomaly_ratio: 0.05, error_rate: 0.1, ..Params::default() };
    let all = lines(params, 40_000);
    let share = |count: usize, of: usize| count as f64 / of as f64;
    let odd = all.iter().filter(|line| line.label.is_some()).count();
    assert!((share(odd, all.len()) - 0.05).abs() < 0.005, "{odd}");
    let ordinary: Vec<_> = all.iter().filter(|line| line.label.is_none()).collect();
    let errors = ordinary.iter().filter(|line| line.level >= Level::Error).count();
    assert!((share(errors, ordinary.len()) - 0.1).abs() < 0.01, "{errors}");
    let web = ordinary.iter().filter(|line| line.access.is_some()).count();
    assert!((share(web, ordinary.len()) - 0.1).abs() < 0.01, "{web}");
    let seconds = (all[all.len() - 1].timestamp.as_micros() - all[0].timestamp.as_micros()) as f64 / 1e6;
    let rate = all.len() as f64 / seconds;
    assert!((rate / 50.0 - 1.0).abs() < 0.05, "{rate} lines/s");
}

#[test]
fn every_kind_of_anomaly_and_every_service_appears() {
    let all = lines(Params { anomaly_ratio: 0.1, ..Params::default() }, 20_000);
    let kinds: BTreeSet<_> = all.iter().filter_map(|line| line.label).collect();
    assert_eq!(kinds, BTreeSet::from(ANOMALY_KINDS));
    let services: BTreeSet<_> =
        all.iter().filter(|line| line.label.is_none()).map(|line| line.service).collect();
    let known: BTreeSet<_> = catalog::SERVICES.iter().map(|service| service.name).chain(["web"]).collect();
    assert_eq!(services, known);
}

#[test]
fn without_anomalies_no_line_has_a_label() {
    assert!(
        lines(Params { anomaly_ratio: 0.0, ..Params::default() }, 5_000)
            .iter()
            .all(|line| line.label.is_none())
    );
}

#[test]
fn a_ratio_of_one_still_ends_and_labels_nearly_every_line() {
    let all = lines(Params { anomaly_ratio: 1.0, error_rate: 1.0, ..Params::default() }, 20_000);
    assert!(all.iter().filter(|line| line.label.is_some()).count() > 19_000);
}

#[test]
fn templates_name_only_placeholders_that_exist() {
    let flows = FLOWS.iter().flat_map(|flow| flow.steps).flat_map(|step| step.says);
    let troubles = catalog::SERVICES.iter().flat_map(|service| service.warnings.iter().chain(service.errors));
    for template in flows.chain(troubles) {
        for part in template.split('{').skip(1) {
            let name = part.split('}').next().unwrap();
            assert!(PLACEHOLDERS.contains(&name), "{{{name}}} in '{template}'");
        }
    }
}

#[test]
fn every_service_of_a_flow_knows_its_troubles() {
    for step in FLOWS.iter().flat_map(|flow| flow.steps) {
        assert!(catalog::service(step.service).is_some(), "{}", step.service);
    }
}

#[test]
fn requests_share_their_trace_across_services() {
    let all = lines(Params { anomaly_ratio: 0.0, error_rate: 0.0, ..Params::default() }, 2_000);
    let trace = &all.iter().find(|line| line.message.starts_with("Charged")).unwrap().trace_id;
    let services: BTreeSet<_> =
        all.iter().filter(|line| line.trace_id == *trace).map(|line| line.service).collect();
    assert!(services.contains("orders") && services.contains("billing_api"), "{services:?}");
}

#[test]
fn json_lines_are_objects_with_the_promised_fields() {
    for line in lines(Params { anomaly_ratio: 0.2, web_share: 0.5, ..Params::default() }, 1_000) {
        let value: serde_json::Value = serde_json::from_str(&line.json()).unwrap();
        let fields: &[&str] = match line.access {
            Some(_) => &["timestamp", "ip", "method", "url", "status"],
            None => &["timestamp", "level", "service", "message", "trace_id"],
        };
        assert!(fields.iter().all(|field| value.get(field).is_some()), "{value}");
        assert!(value.get("label").is_none());
    }
}

#[test]
fn a_line_decodes_to_the_same_event_from_json_as_without_bytes() {
    let decoder = engine::decode::Decoder::default();
    for line in lines(Params { anomaly_ratio: 0.2, web_share: 0.3, ..Params::default() }, 2_000) {
        let (mut events, expected) = (Vec::new(), line.event());
        decoder
            .decode(line.json().as_bytes(), engine::decode::RecordContext::default(), &mut events)
            .unwrap();
        let event = &events[0];
        let seen = (&event.service, event.level, &event.message);
        assert_eq!(seen, (&expected.service, expected.level, &expected.message));
        let unit = if line.access.is_some() { 1_000_000 } else { 1 };
        let micros = |event: &LogEvent| event.timestamp.as_micros() / unit;
        assert_eq!(micros(event), micros(&expected), "{}", line.json());
    }
}

#[test]
fn parameters_out_of_range_are_refused_all_together() {
    let params = Params { rate: f64::NAN, anomaly_ratio: 1.5, ..Params::default() };
    let errors = Simulator::new(params).unwrap_err();
    let names: Vec<_> = errors.iter().map(|error| error.name).collect();
    assert_eq!(names, ["rate", "anomaly_ratio"]);
    assert_eq!(errors[1].to_string(), "anomaly_ratio = 1.5 is out of range: a share in [0, 1]");
}

#[test]
fn a_service_that_is_off_is_silent_and_the_others_write_what_they_would_have() {
    let params = Params { rate: 200.0, ..Params::default() };
    let whole: Vec<SimLine> = lines(params, 5_000);
    let mut simulator = Simulator::new(params).unwrap();
    simulator.set_service("billing_api", false).unwrap();
    assert!(!simulator.is_on("billing_api") && simulator.is_on("web"));
    let others: Vec<SimLine> = whole.into_iter().filter(|line| line.service != "billing_api").collect();
    let without: Vec<SimLine> = simulator.by_ref().take(others.len()).collect();
    assert_eq!(without, others);
    simulator.set_service("billing_api", true).unwrap();
    assert!(simulator.by_ref().take(5_000).any(|line| line.service == "billing_api"));
    let error = simulator.set_service("nobody", false).unwrap_err();
    assert_eq!((error.name, error.value.as_str()), ("service", "nobody"));
}

#[test]
fn a_burst_is_errors_of_one_service_at_one_time_and_leaves_the_stream_as_it_was() {
    let params = Params { rate: 200.0, ..Params::default() };
    let mut simulator = Simulator::new(params).unwrap();
    let at = EventTime::from_millis(1_700_000_000_123);
    for service in services() {
        let burst = simulator.burst(service, 6, at).unwrap();
        assert_eq!(burst.len(), 6);
        for line in burst {
            assert_eq!((line.service, line.level, line.timestamp), (service, Level::Error, at), "{line:?}");
            assert!(!line.message.contains('{') && line.label.is_none(), "{line:?}");
        }
    }
    assert!(simulator.burst("nobody", 6, at).is_err());
    assert_eq!(simulator.take(500).collect::<Vec<_>>(), lines(params, 500));
}

#[test]
fn a_greater_rate_is_not_waited_for() {
    let slow = Params { rate: 0.001, ..Params::default() };
    let mut simulator = Simulator::new(slow).unwrap();
    let last = simulator.by_ref().take(40).last().unwrap().timestamp;
    simulator.set_params_at(Params { rate: 1_000.0, ..slow }, last).unwrap();
    let soon = simulator.by_ref().take(200).last().unwrap().timestamp;
    let waited = soon.as_micros() - last.as_micros();
    assert!(waited < 60_000_000, "{waited} us");
    let bad = simulator.set_params_at(Params { rate: f64::NAN, ..slow }, soon).unwrap_err();
    assert_eq!(bad[0].name, "rate");
}
