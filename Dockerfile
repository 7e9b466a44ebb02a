# One image with the three programs. Build it with BuildKit (the default of Docker 23 and later).

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep compiled dependencies between builds. Cargo tells what changed by time: a file that was edited while
# an earlier build ran would look older than its result, so all of ours are made new.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --locked --profile dist --package trainer --package scorer --package simulator \
    && mkdir /out \
    && cp target/dist/trainer target/dist/scorer target/dist/simulator /out/

FROM debian:bookworm-slim
# librdkafka's TLS looks for the system's certificates. A volume in the place of the store takes over its rights, and the
# program may run as any user.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin isolog \
    && install -d -o isolog -g isolog /isolog /isolog/models \
    && install -d -m 1777 -o isolog -g isolog /isolog/store
COPY --from=build /out/ /usr/local/bin/
WORKDIR /isolog
COPY --chown=isolog:isolog data/ data/
USER 1000:1000
CMD ["scorer", "run"]
