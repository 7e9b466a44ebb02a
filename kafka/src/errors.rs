//! What librdkafka says, in words that name the way out.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

/// The error with what to do about it, where that is known.
pub fn explain(error: &KafkaError) -> String {
    let advice = match error.rdkafka_error_code() {
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve) => {
            "no broker answers: is it running, and is KAFKA_BOOTSTRAP_SERVERS its address?"
        }
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition) => {
            "the topic does not exist on this cluster: create it, or change the setting that names it"
        }
        Some(Code::UnknownPartition) => "the topic has fewer partitions than before: restart the program",
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
            "the broker refused the credentials: check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and \
             KAFKA_SASL_PASSWORD"
        }
        Some(Code::SSL) => "TLS failed: check KAFKA_SECURITY_PROTOCOL and KAFKA_SSL_CA_LOCATION",
        Some(Code::TopicAuthorizationFailed) => "the broker's access rules deny this topic to this user",
        Some(Code::GroupAuthorizationFailed) => "the broker's access rules deny KAFKA_GROUP_ID to this user",
        Some(Code::ClusterAuthorizationFailed) => "the broker's access rules deny this to this user",
        Some(Code::MessageSizeTooLarge) => "the broker's message.max.bytes is smaller than the record",
        Some(Code::MessageTimedOut) => "the broker did not confirm in time",
        _ => return error.to_string(),
    };
    format!("{error}; {advice}")
}
