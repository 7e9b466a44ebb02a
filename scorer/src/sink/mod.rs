//! Where findings and dead letters go: Kafka topics, files, the log.
