use std::collections::HashSet;

use engine::decode::{Decoder, RecordContext};
use engine::model::Scratch;
use proto::v1;
use proto::v1::line::Content;
use proto::v1::line_result::Outcome;
use proto::v1::scoring_service_client::ScoringServiceClient;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{ModelDir, Running, model_bytes};

const ODD: &str = r#"{"timestamp":"2026-01-02T03:04:05Z","level":"ERROR","service":"billing","message":"vault sealed: quorum lost"}"#;

fn line(text: &str) -> v1::Line {
    v1::Line { content: Some(Content::Text(text.to_owned())), ..Default::default() }
}

fn stream_line(id: u64, text: &str) -> v1::ScoreStreamRequest {
    v1::ScoreStreamRequest { id, line: Some(line(text)), ..Default::default() }
}

async fn client(running: &Running) -> ScoringServiceClient<Channel> {
    ScoringServiceClient::new(running.channel().await)
}

async fn score(
    client: &mut ScoringServiceClient<Channel>,
    line: v1::Line,
) -> Result<v1::ScoreResponse, tonic::Status> {
    let request = v1::ScoreRequest { line: Some(line), explain: v1::Explain::All.into() };
    client.score(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_line_gets_the_engines_own_score_and_reasons() {
    let running = Running::start(&[]).await;
    let mut client = client(&running).await;
    let response = score(&mut client, line(ODD)).await.unwrap();
    let result = response.result.unwrap();
    let event = result.event.unwrap();
    assert_eq!((event.service.as_str(), event.level()), ("billing", v1::Level::Error));
    assert_eq!(event.message, "vault sealed: quorum lost");
    assert_eq!(event.timestamp.unwrap().seconds, 1_767_323_045);

    let loaded = running.app.model.get().unwrap();
    let mut events = Vec::new();
    Decoder::default().decode(ODD.as_bytes(), RecordContext::default(), &mut events).unwrap();
    let own = loaded.model.score(&events[0], &mut Scratch::default());
    assert_eq!(
        (result.score, result.percentile, result.forest_score, result.surprisal),
        (own.score, own.percentile, own.forest, Some(own.surprisal))
    );
    assert!(result.anomaly);
    assert!(result.reasons.iter().any(|reason| reason.word.contains("vault") && reason.seen == 0));
    assert_eq!(response.model.unwrap().digest, loaded.model.digest());
    running.stop().await;
}

#[tokio::test]
async fn a_line_with_known_fields_scores_as_its_json_does() {
    let running = Running::start(&[]).await;
    let mut client = client(&running).await;
    let by_text = score(&mut client, line(ODD)).await.unwrap().result.unwrap();
    let event =
        v1::Line { content: Some(Content::Event(by_text.event.clone().unwrap())), ..Default::default() };
    assert_eq!(score(&mut client, event).await.unwrap().result.unwrap(), by_text);
    let raw = v1::Line { content: Some(Content::Raw(ODD.as_bytes().to_vec())), ..Default::default() };
    assert_eq!(score(&mut client, raw).await.unwrap().result.unwrap(), by_text);
    running.stop().await;
}

#[tokio::test]
async fn a_line_that_cannot_be_read_fails_a_single_call_with_its_reason() {
    let running = Running::start(&[]).await;
    let mut client = client(&running).await;
    for (bad, reason) in [
        (line("   "), "empty"),
        (v1::Line::default(), "empty"),
        (
            v1::Line { content: Some(Content::Event(v1::LogEvent::default())), ..Default::default() },
            "no_message",
        ),
    ] {
        let status = score(&mut client, bad).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(reason), "{}", status.message());
    }
    running.stop().await;
}

#[tokio::test]
async fn a_batch_answers_each_line_and_a_bad_one_fails_alone() {
    let running = Running::start(&[]).await;
    let mut client = client(&running).await;
    let lines = vec![line(ODD), line(""), line("request 7 served in 21 ms")];
    let request = v1::ScoreBatchRequest { lines, explain: v1::Explain::None.into() };
    let response = client.score_batch(request).await.unwrap().into_inner();
    let outcomes: Vec<_> = response.results.into_iter().map(|result| result.outcome.unwrap()).collect();
    match outcomes.as_slice() {
        [Outcome::Scored(odd), Outcome::Rejection(bad), Outcome::Scored(usual)] => {
            assert_eq!(bad.reason, "empty");
            assert!(odd.events[0].score > usual.events[0].score);
            assert!(odd.events[0].reasons.is_empty(), "no reasons were asked for");
        }
        other => panic!("{other:?}"),
    }
    running.stop().await;
}

#[tokio::test]
async fn the_lines_of_a_batch_share_the_limit_of_events() {
    let running = Running::start(&[("MAX_EVENTS", "5")]).await;
    let array = |events: usize| line(&format!("[{}]", vec![ODD; events].join(",")));
    let lines = vec![array(4), array(4), array(3), line(ODD), array(2), line(ODD)];
    let request = v1::ScoreBatchRequest { lines, explain: v1::Explain::None.into() };
    let response = client(&running).await.score_batch(request).await.unwrap().into_inner();
    let scored = response.results.into_iter().map(|result| match result.outcome.unwrap() {
        Outcome::Scored(line) => line.events.len(),
        Outcome::Rejection(why) => {
            assert!(why.detail.contains("MAX_EVENTS = 5"), "{}", why.detail);
            0
        }
    });
    assert_eq!(scored.collect::<Vec<_>>(), [4, 0, 3, 1, 0, 1]);
    running.stop().await;
}

#[tokio::test]
async fn a_batch_of_too_many_lines_is_refused_with_the_limit() {
    let running = Running::start(&[]).await;
    let request = v1::ScoreBatchRequest { lines: vec![v1::Line::default(); 10_001], explain: 0 };
    let status = client(&running).await.score_batch(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("10001 lines; at most 10000"), "{}", status.message());

    // So many that decoding them would take a hundred times their bytes.
    let request = v1::ScoreBatchRequest { lines: vec![v1::Line::default(); 1_000_000], explain: 0 };
    let status = client(&running).await.score_batch(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("more than 10100 fields"), "{}", status.message());
    running.stop().await;
}

#[tokio::test]
async fn a_stream_answers_in_order_and_goes_on_after_a_bad_line() {
    let running = Running::start(&[]).await;
    let requests: Vec<_> =
        (0..300).map(|id| stream_line(id, if id % 7 == 0 { "" } else { "request served" })).collect();
    let answers = client(&running).await.score_stream(tokio_stream::iter(requests)).await.unwrap();
    let answers: Vec<_> = answers.into_inner().map(Result::unwrap).collect().await;
    assert_eq!(answers.iter().map(|answer| answer.id).collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
    for answer in answers {
        let rejected = matches!(answer.result.unwrap().outcome, Some(Outcome::Rejection(_)));
        assert_eq!(rejected, answer.id % 7 == 0);
    }
    running.stop().await;
}

#[tokio::test]
async fn an_open_stream_is_told_of_the_stop() {
    let running = Running::start(&[]).await;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
    send.send(stream_line(1, "request served")).await.unwrap();
    let mut answers = client(&running).await.score_stream(requests).await.unwrap().into_inner();
    assert_eq!(answers.next().await.unwrap().unwrap().id, 1);
    running.stop().await;
    assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn health_serves_only_once_a_model_is_loaded() {
    let running = Running::start_without_model(&[]).await;
    let mut health = HealthClient::new(running.channel().await);
    let mut scoring = client(&running).await;
    for service in ["", "isolog.v1.ScoringService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    }
    let status = score(&mut scoring, line(ODD)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("trainer"), "{}", status.message());

    let watch = HealthCheckRequest { service: "isolog.v1.ScoringService".to_owned() };
    let mut changes = health.watch(watch).await.unwrap().into_inner();
    assert_eq!(changes.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let model = engine::artifact::from_bytes(&model_bytes(1)).unwrap();
    running.app.model.set(crate::live::Loaded::new(model, &running.app.settings.model, None));
    assert_eq!(changes.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert!(score(&mut scoring, line(ODD)).await.is_ok());
    drop(changes);
    running.stop().await;
}

#[tokio::test]
async fn both_versions_of_reflection_list_and_describe_the_service() {
    let running = Running::start(&[]).await;
    let channel = running.channel().await;
    macro_rules! ask {
        ($version:ident) => {{
            use pb::server_reflection_request::MessageRequest;
            use pb::server_reflection_response::MessageResponse;
            use tonic_reflection::pb::$version as pb;
            let requests: Vec<pb::ServerReflectionRequest> = [
                MessageRequest::ListServices(String::new()),
                MessageRequest::FileContainingSymbol("isolog.v1.ScoringService".to_owned()),
            ]
            .map(|request| pb::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(request),
            })
            .into();
            let mut client = pb::server_reflection_client::ServerReflectionClient::new(channel.clone());
            let mut answers =
                client.server_reflection_info(tokio_stream::iter(requests)).await.unwrap().into_inner();
            let first = answers.next().await.unwrap().unwrap().message_response;
            let Some(MessageResponse::ListServicesResponse(list)) = first else { panic!("{first:?}") };
            let names: HashSet<String> = list.service.into_iter().map(|service| service.name).collect();
            assert!(names.contains("isolog.v1.ScoringService"), "{names:?}");
            assert!(names.contains("grpc.health.v1.Health"), "{names:?}");
            let second = answers.next().await.unwrap().unwrap().message_response;
            let Some(MessageResponse::FileDescriptorResponse(file)) = second else { panic!("{second:?}") };
            assert!(!file.file_descriptor_proto.is_empty());
        }};
    }
    ask!(v1);
    ask!(v1alpha);
    drop(channel);
    running.stop().await;
}

#[tokio::test]
async fn a_token_is_asked_for_by_every_service_but_health() {
    let running = Running::start(&[("GRPC_TOKEN", "correct-horse")]).await;
    let mut scoring = client(&running).await;
    for token in [None, Some("Bearer wrong-horse"), Some("Basic correct-horse"), Some("Bearer")] {
        let mut request = Request::new(v1::GetModelInfoRequest {});
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", token.parse().unwrap());
        }
        let status = scoring.get_model_info(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token:?}");
        assert!(status.message().contains("GRPC_TOKEN"), "{}", status.message());
        assert!(!status.message().contains("correct-horse"));
    }
    let mut request = Request::new(v1::GetModelInfoRequest {});
    request.metadata_mut().insert("authorization", "Bearer correct-horse".parse().unwrap());
    assert!(scoring.get_model_info(request).await.is_ok());

    let mut health = HealthClient::new(running.channel().await);
    assert!(health.check(HealthCheckRequest::default()).await.is_ok());
    running.stop().await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_the_setting_that_raises_it() {
    let running = Running::start(&[("GRPC_MAX_MESSAGE_BYTES", "2000")]).await;
    let mut plain = client(&running).await;
    let mut zipped = client(&running).await.send_compressed(tonic::codec::CompressionEncoding::Gzip);
    for client in [&mut plain, &mut zipped] {
        let status = score(client, line(&"x".repeat(5_000))).await.unwrap_err();
        assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
        assert!(status.message().contains("2000"), "{}", status.message());
        assert!(status.message().contains("GRPC_MAX_MESSAGE_BYTES"), "{}", status.message());
    }
    running.stop().await;
}

#[tokio::test]
async fn model_information_tells_model_threshold_and_its_source() {
    let running = Running::start(&[("ANOMALY_SCORE_THRESHOLD", "0.25")]).await;
    let info = client(&running).await.get_model_info(v1::GetModelInfoRequest {}).await.unwrap();
    let info = info.into_inner().info.unwrap();
    assert_eq!((info.rows, info.seed, info.inputs.as_slice()), (400, 1, ["test.csv".to_owned()].as_slice()));
    assert_eq!(info.threshold_source, "ANOMALY_SCORE_THRESHOLD");
    assert_eq!(info.model.unwrap().threshold, 0.25);
    running.stop().await;
}

#[tokio::test]
async fn a_reload_loses_no_request_in_flight() {
    let dir = ModelDir::new(1);
    let running = Running::start_from_file(&dir.path()).await;
    let old = running.app.model.get().unwrap().model.digest().to_owned();
    let (send, receive) = tokio::sync::mpsc::channel(8);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut answers = client(&running).await.score_stream(requests).await.unwrap().into_inner();
    let (swap, is_swapped) = tokio::sync::oneshot::channel();
    let feeder = tokio::spawn(async move {
        // Half of them are on their way, or wait to be asked, while the model changes.
        for id in 0..1_000 {
            send.send(stream_line(id, ODD)).await.unwrap();
        }
        is_swapped.await.unwrap();
        for id in 1_000..2_000 {
            send.send(stream_line(id, ODD)).await.unwrap();
        }
    });
    let (mut digests, mut new, mut swap) = (Vec::new(), String::new(), Some(swap));
    while let Some(answer) = answers.next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.id as usize, digests.len());
        assert!(matches!(answer.result.unwrap().outcome, Some(Outcome::Scored(_))));
        digests.push(answer.model.unwrap().digest);
        if answer.id == 500 {
            dir.replace(&model_bytes(2));
            let reloaded = client(&running).await.reload_model(v1::ReloadModelRequest {}).await.unwrap();
            let reloaded = reloaded.into_inner();
            assert!(reloaded.changed);
            new = reloaded.info.unwrap().model.unwrap().digest;
            swap.take().unwrap().send(()).unwrap();
        }
    }
    feeder.await.unwrap();
    assert_eq!(digests.len(), 2_000);
    assert_ne!(old, new);
    let switch = digests.iter().position(|digest| *digest == new).unwrap();
    assert!(digests[..switch].iter().all(|digest| *digest == old));
    assert!(digests[switch..].iter().all(|digest| *digest == new));
    running.stop().await;
}

#[tokio::test]
async fn a_bad_new_file_keeps_the_old_model() {
    let dir = ModelDir::new(1);
    let running = Running::start_from_file(&dir.path()).await;
    let mut client = client(&running).await;
    let before = score(&mut client, line(ODD)).await.unwrap();
    let good = model_bytes(2);
    for bad in [&good[..good.len() / 2], b"not a model", b""] {
        dir.replace(bad);
        let status = client.reload_model(v1::ReloadModelRequest {}).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().contains("test.model"), "{}", status.message());
        assert_eq!(score(&mut client, line(ODD)).await.unwrap(), before);
    }
    dir.replace(&good);
    assert!(client.reload_model(v1::ReloadModelRequest {}).await.unwrap().into_inner().changed);
    running.stop().await;
}

#[tokio::test]
async fn a_model_of_this_process_has_no_file_to_reload() {
    let running = Running::start(&[]).await;
    let status = client(&running).await.reload_model(v1::ReloadModelRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    running.stop().await;
}
