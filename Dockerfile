# syntax=docker/dockerfile:1

FROM rust:1.88-slim-bookworm AS build
WORKDIR /encke
COPY . .
RUN cargo build --release --locked --bin encke

# The C library and nothing else: no shell, no packages, a user without rights.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /encke/target/release/encke /usr/local/bin/encke
# Options are variables here (ENCKE_HEARTBEAT=15s) or arguments behind the image's name. In a container loopback is the
# container's own, so the public port listens on all addresses; publishing from outside needs ENCKE_PRIVATE, on a network
# that strangers cannot reach.
ENV ENCKE_LISTEN=0.0.0.0:8080
EXPOSE 8080
# By number, so that a host knows it too: nonroot.
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/local/bin/encke", "healthy"]
# SIGTERM drains. Give it longer than --drain-timeout (docker stop --time).
ENTRYPOINT ["/usr/local/bin/encke"]
CMD ["serve"]
