//! Kafka clients that the programs share: brokers, pass-through of librdkafka properties, a producer that waits
//! for every delivery report, the wording of errors. Decides on no topic and reads no environment.

pub mod batch;
mod errors;
mod producer;
mod settings;

pub use errors::explain;
pub use producer::{Message, Producer, Undelivered};
pub use rdkafka;
pub use settings::{ClientSettings, ENV_PREFIX, PropertyError, is_secret, property_of_variable};
