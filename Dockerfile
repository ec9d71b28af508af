# syntax=docker/dockerfile:1
# Dependencies: a stage that does not depend on the sources, so that a source change does not compile them again.
FROM docker.io/library/rust:1.95-trixie AS dependencies
WORKDIR /build
# The image is the toolchain: rust-toolchain.toml would make rustup look for another one.
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo ./.cargo
# Every target that the manifest names must be there, if only in name.
RUN for file in src/lib.rs $(sed -n 's/^path = "\(.*\)"/\1/p' Cargo.toml); do \
      mkdir -p "$(dirname "$file")" && printf '//! placeholder\nfn main() {}\n' > "$file" || exit 1; \
    done \
 && printf '//! placeholder\n' > src/lib.rs \
 && printf '//! placeholder\nfn main() {}\n' > src/main.rs \
 && cargo build --profile dist --locked --bin lockgate \
 && rm -rf src target/dist/deps/lockgate-* target/dist/deps/liblockgate-* target/dist/.fingerprint/lockgate-* target/dist/build/lockgate-*

# Build: the sources.
FROM dependencies AS build
COPY config ./config
COPY src ./src
# The commit, for `lockgate --version`; the moment of it, for the layer's files. Build scripts of dependencies look at the moment too
# and would run again: it is not for them.
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
RUN env -u SOURCE_DATE_EPOCH LOCKGATE_REVISION="$REVISION" cargo build --profile dist --locked --bin lockgate \
 && mkdir -p /out/usr/local/bin \
 && cp target/dist/lockgate /out/usr/local/bin/lockgate \
 && find /out -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# Run: nothing but the binary, as a user without rights, on a file system that may be read-only.
FROM gcr.io/distroless/cc-debian13:nonroot
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Lockgate" \
      org.opencontainers.image.description="A reverse-proxy gateway that makes every error speak one language" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /out/usr/local/bin/lockgate /usr/local/bin/lockgate
# The allocator takes memory as it needs it, however it was built.
ENV LOCKGATE_CONFIG=/etc/lockgate/lockgate.toml MIMALLOC_ARENA_EAGER_COMMIT=0
USER nonroot
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/usr/local/bin/lockgate", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/lockgate"]
CMD ["run"]
