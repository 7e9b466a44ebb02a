# Stands in for apache/kafka:4.1.0 where it cannot be pulled: the same jars, user, paths and configuration by
# environment (Kafka's own KafkaDockerWrapper), on Debian's Java.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends default-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home appuser \
    && install -d -o appuser -g appuser /opt/kafka /opt/kafka/config /opt/kafka/logs /etc/kafka/docker \
        /etc/kafka/secrets /mnt/shared/config /var/lib/kafka/data
COPY kafka /opt/kafka/libs
COPY --chmod=755 kafka-run /etc/kafka/docker/run
COPY --chmod=755 kafka-tool /opt/kafka/bin/kafka-console-consumer.sh
COPY --chmod=755 kafka-tool /opt/kafka/bin/kafka-consumer-groups.sh
COPY --chmod=755 kafka-tool /opt/kafka/bin/kafka-get-offsets.sh
COPY log4j2.properties /etc/kafka/docker/log4j2.properties
RUN touch /etc/kafka/docker/server.properties /etc/kafka/docker/log4j2.yaml /etc/kafka/docker/tools-log4j2.yaml
USER appuser
VOLUME ["/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"]
CMD ["/etc/kafka/docker/run"]
