# Builds the binary, and copies it to a small image. It runs as a user of its own, not as root.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package daybook

FROM debian:bookworm-slim
# OpenSSL, and the authorities that PostgreSQL's and Kafka's certificates may be signed by.
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 ca-certificates && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 daybook
COPY --from=build /src/target/release/daybook /usr/local/bin/daybook
USER daybook
# The second port is for operators. It is not for the public.
EXPOSE 8080 9464
ENV DAYBOOK_LISTEN=0.0.0.0:8080 DAYBOOK_OPS_LISTEN=0.0.0.0:9464
ENTRYPOINT ["daybook"]
CMD ["serve"]
