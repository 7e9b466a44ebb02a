//! Kafka client configuration that the programs share: brokers, pass-through of librdkafka properties and the
//! wording of errors. Knows no topic and moves no record.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

/// Prefix of the environment variables that are passed through to librdkafka.
pub const ENV_PREFIX: &str = "KAFKA_";

/// Brokers and properties of every client of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSettings {
    /// `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// Further librdkafka properties, later ones win.
    pub properties: Vec<(String, String)>,
}

/// A librdkafka property that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Kafka property {name} = {value:?}: {why}")]
pub struct PropertyError {
    /// The property, as librdkafka writes it.
    pub name: String,
    /// The value that was given; empty for secrets.
    pub value: String,
    /// What is wrong with it.
    pub why: String,
}

impl ClientSettings {
    /// A configuration with brokers and properties, for the caller to complete.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// Checks every property against librdkafka, and that this build can do what they ask for.
    ///
    /// # Errors
    /// Every property that cannot be used.
    pub fn check(&self) -> Result<(), Vec<PropertyError>> {
        let mut errors = Vec::new();
        for (name, value) in &self.properties {
            if let Err(error) = check_property(name, value) {
                errors.push(error);
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// Properties that the programs set themselves: delivery depends on them.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "set KAFKA_BOOTSTRAP_SERVERS instead"),
    ("metadata.broker.list", "set KAFKA_BOOTSTRAP_SERVERS instead"),
    ("group.id", "set KAFKA_GROUP_ID instead"),
    ("auto.offset.reset", "set KAFKA_AUTO_OFFSET_RESET instead"),
    ("enable.auto.commit", "positions are committed after delivery, so it stays false"),
    ("enable.auto.offset.store", "positions are committed after delivery, so it stays false"),
    ("enable.idempotence", "records are produced idempotently, so it stays true"),
    ("acks", "records are produced with acks=all"),
    ("request.required.acks", "records are produced with acks=all"),
];

fn check_property(name: &str, value: &str) -> Result<(), PropertyError> {
    let shown = if is_secret(name) { "***" } else { value };
    let error = |why: String| PropertyError { name: name.to_owned(), value: shown.to_owned(), why };
    if let Some((_, why)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        return Err(error(format!("is set by the program: {why}")));
    }
    let mut config = ClientConfig::new();
    config.set(name, value);
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, why, _, _)) => Err(error(why)),
        Err(other) => Err(error(other.to_string())),
    }
}

/// Whether a property's value must never be printed.
pub fn is_secret(property: &str) -> bool {
    ["password", "secret", "sasl.jaas", "oauthbearer.config", "key.pem", "credential", "token"]
        .iter()
        .any(|part| property.contains(part))
}

/// The librdkafka property that an environment variable passes through: `KAFKA_SECURITY_PROTOCOL` gives
/// `security.protocol`. `None` for other variables, and for those that Kubernetes makes for a service named
/// `kafka` (`KAFKA_SERVICE_HOST`, `KAFKA_PORT_9092_TCP` and so on).
pub fn property_of_variable(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix(ENV_PREFIX)?;
    let of_kubernetes = rest == "PORT"
        || rest.starts_with("PORT_")
        || rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT");
    if rest.is_empty() || of_kubernetes {
        return None;
    }
    Some(rest.to_ascii_lowercase().replace('_', "."))
}
