# The binary, built once, on a small image, as nobody in particular.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package daybook

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 daybook
COPY --from=build /src/target/release/daybook /usr/local/bin/daybook
USER daybook
EXPOSE 8080
ENV DAYBOOK_LISTEN=0.0.0.0:8080
ENTRYPOINT ["daybook"]
CMD ["serve"]
