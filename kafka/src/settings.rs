//! Brokers and properties, as every client of a program takes them, and the check that librdkafka can use them.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

/// Prefix of the environment variables that are passed through to librdkafka.
pub const ENV_PREFIX: &str = "KAFKA_";

/// Brokers and properties of every client of a program.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientSettings {
    /// `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// Further librdkafka properties, later ones win.
    pub properties: Vec<(String, String)>,
}

impl std::fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.properties.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ClientSettings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("properties", &names)
            .finish()
    }
}

/// A librdkafka property that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Kafka property {name} = {value:?}: {why}")]
pub struct PropertyError {
    /// The property, as librdkafka writes it.
    pub name: String,
    /// The value that was given; `***` for secrets.
    pub value: String,
    /// What is wrong with it.
    pub why: String,
}

/// Properties that the programs set themselves, because delivery depends on them.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "set KAFKA_BOOTSTRAP_SERVERS instead"),
    ("metadata.broker.list", "set KAFKA_BOOTSTRAP_SERVERS instead"),
    ("group.id", "set KAFKA_GROUP_ID instead"),
    ("auto.offset.reset", "set KAFKA_AUTO_OFFSET_RESET instead"),
    ("enable.auto.commit", "positions are committed after delivery, so it stays false"),
    ("auto.commit.enable", "positions are committed after delivery, so it stays false"),
    ("enable.auto.offset.store", "positions are committed after delivery, so it stays false"),
    ("enable.idempotence", "records are produced idempotently, so it stays true"),
    ("transactional.id", "records are produced without transactions"),
    ("acks", "records are produced with acks=all"),
    ("request.required.acks", "records are produced with acks=all"),
    ("statistics.interval.ms", "lag and connection state are read from it"),
];

impl ClientSettings {
    /// A configuration with brokers and properties, for the caller to complete.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        self.apply(&mut config);
        config
    }

    /// A consumer of `group` that commits by hand and begins at `start` (`earliest` or `latest`).
    pub fn consumer_config(&self, group: &str, start: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("group.id", group)
            .set("auto.offset.reset", start)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false")
            // A topic that is made after the start is found within ten seconds instead of five minutes.
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("reconnect.backoff.max.ms", "2000");
        self.apply(&mut config);
        config
    }

    /// A producer whose delivery reports mean that all in-sync replicas have the record, once.
    pub fn producer_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "5")
            .set("compression.type", "zstd")
            .set("reconnect.backoff.max.ms", "2000");
        self.apply(&mut config);
        config
    }

    fn apply(&self, config: &mut ClientConfig) {
        for (name, value) in &self.properties {
            config.set(name, value);
        }
    }

    /// The value of a property, as the last one that was given.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().rfind(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Checks every property against librdkafka, and that this build can do what they ask for.
    ///
    /// # Errors
    /// Every property that cannot be used.
    pub fn check(&self) -> Result<(), Vec<PropertyError>> {
        let mut errors: Vec<PropertyError> =
            self.properties.iter().filter_map(|(name, value)| check_property(name, value).err()).collect();
        if errors.is_empty() {
            errors.extend(self.check_security());
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Encryption and authentication fail only when a client is made, or at the first broker: say it earlier.
    fn check_security(&self) -> Option<PropertyError> {
        let error = |name: &str, why: String| PropertyError {
            name: name.to_owned(),
            value: self.property(name).unwrap_or_default().to_owned(),
            why,
        };
        let protocol = self.property("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
        let features = ClientConfig::new()
            .create_native_config()
            .and_then(|config| config.get("builtin.features"))
            .unwrap_or_default();
        let has = |feature: &str| features.split(',').any(|built| built.trim() == feature);
        if protocol.contains("ssl") && !has("ssl") {
            let why = "this build has no TLS: build with the `ssl-vendored` feature of rdkafka".to_owned();
            return Some(error("security.protocol", why));
        }
        if !protocol.starts_with("sasl") {
            return None;
        }
        let mechanism = self
            .property("sasl.mechanism")
            .or_else(|| self.property("sasl.mechanisms"))
            .unwrap_or("GSSAPI")
            .to_ascii_uppercase();
        let feature = match mechanism.as_str() {
            "PLAIN" => "sasl_plain",
            "SCRAM-SHA-256" | "SCRAM-SHA-512" => "sasl_scram",
            "OAUTHBEARER" => "sasl_oauthbearer",
            _ => "sasl_gssapi",
        };
        if has(feature) {
            return self
                .config()
                .create_native_config()
                .err()
                .map(|why| error("sasl.mechanism", why.to_string()));
        }
        let why = format!(
            "this build cannot do {mechanism}; allowed: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"
        );
        Some(error("sasl.mechanism", why))
    }
}

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
    ["password", "secret", "oauthbearer.config", "jaas", "key.pem", "credential", "token"]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn with(properties: &[(&str, &str)]) -> ClientSettings {
        ClientSettings {
            bootstrap_servers: "localhost:9092".to_owned(),
            properties: properties
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn variables_become_property_names() {
        assert_eq!(property_of_variable("KAFKA_SECURITY_PROTOCOL").as_deref(), Some("security.protocol"));
        assert_eq!(property_of_variable("KAFKA_SASL_USERNAME").as_deref(), Some("sasl.username"));
        assert_eq!(property_of_variable("KAFKA_"), None);
        assert_eq!(property_of_variable("HOME"), None);
    }

    #[test]
    fn variables_that_kubernetes_makes_for_a_service_are_not_properties() {
        for variable in
            ["KAFKA_SERVICE_HOST", "KAFKA_SERVICE_PORT_PLAIN", "KAFKA_PORT", "KAFKA_PORT_9092_TCP_ADDR"]
        {
            assert_eq!(property_of_variable(variable), None, "{variable}");
        }
    }

    #[test]
    fn every_unknown_property_is_named() {
        let errors =
            with(&[("no.such", "1"), ("fetch.min.bytes", "x"), ("client.id", "me")]).check().unwrap_err();
        let names: Vec<&str> = errors.iter().map(|error| error.name.as_str()).collect();
        assert_eq!(names, ["no.such", "fetch.min.bytes"]);
    }

    #[test]
    fn properties_that_delivery_depends_on_are_refused() {
        for (name, _) in RESERVED {
            let errors = with(&[(name, "1")]).check().unwrap_err();
            assert!(errors[0].why.contains("set by the program"), "{errors:?}");
        }
    }

    #[test]
    fn tls_and_passwords_are_built_in() {
        let scram = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "u"),
            ("sasl.password", "p"),
        ];
        assert_eq!(with(&scram).check(), Ok(()));
    }

    #[test]
    fn a_mechanism_that_is_not_built_in_names_those_that_are() {
        let errors = with(&[("security.protocol", "SASL_SSL")]).check().unwrap_err();
        assert_eq!(errors[0].name, "sasl.mechanism");
        assert!(errors[0].why.contains("SCRAM-SHA-512"), "{}", errors[0].why);
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = with(&[("sasl.password", "hunter2")]);
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(is_secret("ssl.key.password"));
        assert!(is_secret("sasl.jaas.config"));
    }
}
