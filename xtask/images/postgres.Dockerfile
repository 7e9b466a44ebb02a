# Stands in for postgres:17.6-bookworm where it cannot be pulled: the same user, paths and configuration by environment, on
# Debian's PostgreSQL (15).
FROM debian:bookworm-slim
RUN groupadd --system --gid 999 postgres \
    && useradd --system --uid 999 --gid 999 --home-dir /var/lib/postgresql postgres \
    && apt-get update \
    && apt-get install -y --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/15 /etc/postgresql \
    && install -d -m 1777 -o postgres -g postgres /var/lib/postgresql/data /var/run/postgresql
ENV PATH=$PATH:/usr/lib/postgresql/15/bin PGDATA=/var/lib/postgresql/data
COPY --chmod=755 postgres-run /usr/local/bin/postgres-run
USER postgres
VOLUME ["/var/lib/postgresql/data"]
STOPSIGNAL SIGINT
CMD ["postgres-run"]
