//! Where records come from: Kafka, followed files, standard input.
