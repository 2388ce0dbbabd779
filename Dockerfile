# syntax=docker/dockerfile:1
# Two stages: the toolchain stays behind, the image is the binary, the root certificates and a user without rights.
FROM rust:1.95-bookworm AS build
WORKDIR /build
# The libraries first, over an empty program: this layer is made anew only when Cargo.toml, Cargo.lock or a bench changes.
COPY Cargo.toml Cargo.lock ./
COPY benches ./benches
RUN mkdir src && echo 'fn main() {}' > src/main.rs && : > src/lib.rs && \
    cargo build --release --locked --bin dimmer && rm -r src
COPY src ./src
# What was copied is older than what was built of the empty program.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin dimmer && mkdir /state

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/dimmer /usr/local/bin/dimmer
# A volume put here belongs to the user that dimmer runs as.
COPY --from=build --chown=65532:65532 /state /var/lib/dimmer
WORKDIR /etc/dimmer
# By number, so that an orchestrator can see that it is not root.
USER 65532:65532
EXPOSE 8080 9901
STOPSIGNAL SIGTERM
# There is no shell and no curl in the image: the binary asks /readyz itself, Kubernetes asks GET /healthz and /readyz on port 9901.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/local/bin/dimmer", "healthcheck", "--timeout", "3"]
ENTRYPOINT ["/usr/local/bin/dimmer"]
CMD ["serve"]
