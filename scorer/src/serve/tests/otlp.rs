use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tonic::{Code, Response, Status};

use super::Running;
use crate::record::{Body, Origin, Outcome};

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) })
}

fn export(bodies: &[&str]) -> ExportLogsServiceRequest {
    let service = KeyValue { key: "service.name".to_owned(), value: text("checkout"), ..Default::default() };
    let record = |body: &&str| LogRecord {
        time_unix_nano: 1_767_323_045_000_000_000,
        severity_number: 17,
        body: if body.is_empty() { None } else { text(body) },
        ..Default::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes: vec![service], ..Default::default() }),
            scope_logs: vec![ScopeLogs {
                log_records: bodies.iter().map(record).collect(),
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
}

type Answer = Result<Response<ExportLogsServiceResponse>, Status>;

async fn send(running: &Running, request: ExportLogsServiceRequest) -> tokio::task::JoinHandle<Answer> {
    let mut client = LogsServiceClient::new(running.channel().await);
    tokio::spawn(async move { client.export(request).await })
}

#[tokio::test]
async fn an_export_is_answered_after_its_delivery_and_not_before() {
    let mut running = Running::start(&[]).await;
    let call = send(&running, export(&["vault sealed", "request served"])).await;
    let batch = running.batches.recv().await.unwrap();
    let records = batch.records.into_vec();
    assert_eq!(records.len(), 2);
    for record in &records {
        assert_eq!(record.origin, Origin::Pushed);
        let Body::Decoded { event, .. } = &record.body else { panic!("{:?}", record.body) };
        assert_eq!((event.service.as_str(), event.level), ("checkout", Some(engine::event::Level::Error)));
    }
    assert_ne!(records[0].body.bytes(), records[1].body.bytes());
    assert!(!call.is_finished());
    (batch.ack)(Outcome { scored: 2, ..Outcome::default() });
    assert_eq!(call.await.unwrap().unwrap().into_inner().partial_success, None);
    running.stop().await;
}

#[tokio::test]
async fn an_export_in_flight_at_the_stop_is_answered() {
    let mut running = Running::start(&[]).await;
    let call = send(&running, export(&["vault sealed"])).await;
    let batch = running.batches.recv().await.unwrap();
    running.app.stop.cancel();
    running.batches.close();
    (batch.ack)(Outcome { scored: 1, ..Outcome::default() });
    running.stop().await;
    assert_eq!(call.await.unwrap().unwrap().into_inner().partial_success, None);
}

#[tokio::test]
async fn the_same_record_in_another_export_has_the_same_bytes() {
    let mut running = Running::start(&[]).await;
    let mut seen = Vec::new();
    for bodies in [["vault sealed", "first"], ["second", "vault sealed"]] {
        let call = send(&running, export(&bodies)).await;
        let batch = running.batches.recv().await.unwrap();
        seen.push(batch.records.iter().map(|record| record.bytes().to_vec()).collect::<Vec<_>>());
        (batch.ack)(Outcome::default());
        call.await.unwrap().unwrap();
    }
    assert_eq!(seen[0][0], seen[1][1]);
    running.stop().await;
}

#[tokio::test]
async fn records_that_cannot_be_read_are_a_partial_success() {
    let mut running = Running::start(&[]).await;
    let call = send(&running, export(&["vault sealed", ""])).await;
    let batch = running.batches.recv().await.unwrap();
    let records = batch.records.into_vec();
    assert!(matches!(records[0].body, Body::Decoded { .. }));
    assert!(matches!(records[1].body, Body::Rejected { .. }), "{:?}", records[1].body);
    let first_rejection = Some("no_message: the record holds no text".to_owned());
    (batch.ack)(Outcome { scored: 1, rejected: 1, first_rejection });
    let answer = call.await.unwrap().unwrap().into_inner();
    let expected = ExportLogsPartialSuccess {
        rejected_log_records: 1,
        error_message: "no_message: the record holds no text".to_owned(),
    };
    assert_eq!(answer.partial_success, Some(expected));
    running.stop().await;
}

#[tokio::test]
async fn an_export_that_was_not_delivered_is_to_be_sent_again() {
    let mut running = Running::start(&[]).await;
    let call = send(&running, export(&["vault sealed"])).await;
    drop(running.batches.recv().await.unwrap());
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.details().windows(9).any(|part| part == b"RetryInfo"), "{status:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_full_queue_asks_the_sender_to_come_again() {
    let running = Running::start(&[("GRPC_ADDR", "127.0.0.1:0")]).await;
    let waiting = send(&running, export(&["fills the queue"])).await;
    while running.app.intake.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    let status = send(&running, export(&["has no room"])).await.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("queue is full"), "{}", status.message());
    waiting.abort();
    running.stop().await;
}

#[tokio::test]
async fn an_empty_export_is_a_success() {
    let running = Running::start(&[]).await;
    assert!(send(&running, ExportLogsServiceRequest::default()).await.await.unwrap().is_ok());
    running.stop().await;
}
