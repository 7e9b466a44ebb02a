use simulator::{Params, Simulator};

use super::*;
use crate::demo::Controls;

#[tokio::test]
async fn without_a_simulator_there_are_no_controls() {
    let running = Running::start(&[("HTTP_TOKEN", TOKEN)]).await;
    for answer in [
        ask(&running, "/api/v1/simulation").await,
        send(&running, "PUT", "/api/v1/simulation", "{}").await,
        send(&running, "POST", "/api/v1/simulation/burst", r#"{"service":"orders"}"#).await,
    ] {
        assert!(error(&answer, 404).contains("scorer demo"), "{answer:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn what_is_changed_is_what_the_stream_takes() {
    let controls = Controls::new(Params::default());
    let own = Some(controls.clone());
    let running = Running::start_changed(&[("HTTP_TOKEN", TOKEN)], |app| app.simulation = own).await;
    let (_, before) = ask(&running, "/api/v1/simulation").await;
    assert_eq!(before["services"].as_array().unwrap().len(), 14);
    assert!(before["services"].as_array().unwrap().iter().all(|service| service["on"] == true));
    let wanted = r#"{"services":[{"service":"orders","on":false}],"error_rate":0.35,"rate":70}"#;
    let (status, after) = send(&running, "PUT", "/api/v1/simulation", wanted).await;
    assert_eq!((status, &after["error_rate"], &after["rate"]), (200, &0.35.into(), &70.0.into()));
    assert_eq!(after["anomaly_ratio"], before["anomaly_ratio"]);
    assert_eq!(ask(&running, "/api/v1/simulation").await.1, after);
    let (status, told) =
        send(&running, "POST", "/api/v1/simulation/burst", r#"{"service":"billing_api","lines":6}"#).await;
    assert_eq!((status, &told["lines"]), (200, &6.into()));

    let mut simulator = Simulator::new(Params::default()).unwrap();
    let lines = controls.apply(&mut simulator, engine::event::EventTime::default());
    assert!(lines.len() == 6 && lines.iter().all(|line| line.service == "billing_api"));
    assert!(!simulator.is_on("orders") && simulator.params().rate == 70.0);
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_simulated_is_refused_by_name_and_changes_nothing() {
    let controls = Controls::new(Params::default());
    let own = Some(controls.clone());
    let running = Running::start_changed(&[("HTTP_TOKEN", TOKEN)], |app| app.simulation = own).await;
    for (body, said) in [
        (r#"{"error_rate":1.5}"#, "error_rate = 1.5 is out of range: a share in [0, 1]"),
        (r#"{"rate":-1,"anomaly_ratio":0.5}"#, "rate = -1"),
        (r#"{"services":[{"service":"<b>","on":false}]}"#, "service = <b> is out of range"),
        (r#"{"speed":1}"#, "unknown field `speed`"),
        (r#"{"rate":null,"services":{}}"#, "expected a sequence"),
        ("", "the body cannot be used"),
        ("[[[[", "the body cannot be used"),
    ] {
        let answer = send(&running, "PUT", "/api/v1/simulation", body).await;
        assert!(error(&answer, 400).contains(said), "{body}: {answer:?}");
    }
    for (body, said) in [
        (r#"{"service":"nobody"}"#, "service = nobody"),
        (r#"{"service":"orders","lines":0}"#, "from 1 to 1000"),
        (r#"{"service":"orders","lines":-6}"#, "lines = -6 is out of range: a number from 1 to 1000"),
        (r#"{"service":"orders","lines":6.5}"#, "a whole number"),
        (r#"{"lines":6}"#, "missing field `service`"),
    ] {
        let answer = send(&running, "POST", "/api/v1/simulation/burst", body).await;
        assert!(error(&answer, 400).contains(said), "{body}: {answer:?}");
    }
    assert_eq!(controls.standing(), Controls::new(Params::default()).standing());
    running.stop().await;
}
