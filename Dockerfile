# The server: one binary, no shell, not root.
#
#   docker build -t symbolon .

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# The dependencies are a layer of their own: it is made anew only when they change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/baseline benches/server \
    && touch src/lib.rs benches/hot_path.rs benches/server/main.rs \
        benches/baseline/main.rs benches/baseline/mimalloc.rs \
    && echo 'fn main() {}' >src/main.rs \
    && cargo build --locked --release --bin symbolon && rm -r src
COPY migrations migrations
COPY templates templates
COPY src src
# What was made of the empty files is older than these.
RUN find src -name '*.rs' -exec touch {} + && cargo build --locked --release --bin symbolon
RUN mkdir -m 700 /data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/symbolon /usr/local/bin/symbolon
COPY --from=build --chown=65532:65532 /data /home/nonroot/symbolon-data
USER 65532:65532
# Whoever listens for others has to say under which URL: SYMBOLON_ISSUER.
ENV SYMBOLON_LISTEN=0.0.0.0:8080 SYMBOLON_DATA_DIR=/home/nonroot/symbolon-data
# The tokens and the token key of the embedded stores outlive the container. Replicas keep nothing here.
VOLUME ["/home/nonroot/symbolon-data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# Whether the process answers, not whether it is ready: an orchestrator restarts what is unhealthy, and no restart mends a
# store that is down.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/symbolon", "healthcheck", "--live"]
ENTRYPOINT ["/usr/local/bin/symbolon"]
CMD ["serve"]
