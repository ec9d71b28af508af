# syntax=docker/dockerfile:1
# Dependency stage. It does not depend on the sources, so that a change of the sources does not compile the dependencies again.
FROM docker.io/library/rust:1.95-trixie AS dependencies
WORKDIR /build
# rust-toolchain.toml is not copied: the image has the right toolchain, and the file would make rustup install another one.
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo ./.cargo
# Cargo requires a file for each target in the manifest, so placeholders are created.
RUN for file in src/lib.rs $(sed -n 's/^path = "\(.*\)"/\1/p' Cargo.toml); do \
      mkdir -p "$(dirname "$file")" && printf '//! placeholder\nfn main() {}\n' > "$file" || exit 1; \
    done \
 && printf '//! placeholder\n' > src/lib.rs \
 && printf '//! placeholder\nfn main() {}\n' > src/main.rs \
 && cargo build --profile dist --locked --bin lockgate \
 && rm -rf src target/dist/deps/lockgate-* target/dist/deps/liblockgate-* target/dist/.fingerprint/lockgate-* target/dist/build/lockgate-*

# Build stage: compiles the sources.
FROM dependencies AS build
COPY config ./config
COPY templates ./templates
COPY src ./src
# REVISION is the commit for `lockgate --version`, and SOURCE_DATE_EPOCH its time for the files of the layer. SOURCE_DATE_EPOCH is hidden
# from Cargo, because it would run build scripts of dependencies again.
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
RUN env -u SOURCE_DATE_EPOCH LOCKGATE_REVISION="$REVISION" cargo build --profile dist --locked --bin lockgate \
 && mkdir -p /out/usr/local/bin \
 && cp target/dist/lockgate /out/usr/local/bin/lockgate \
 && find /out -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# Runtime stage: only the binary, as an unprivileged user. The file system may be read-only.
FROM gcr.io/distroless/cc-debian13:nonroot
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Lockgate" \
      org.opencontainers.image.description="A reverse proxy that converts every error into one consistent response format" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /out/usr/local/bin/lockgate /usr/local/bin/lockgate
# MIMALLOC_ARENA_EAGER_COMMIT=0 makes the allocator commit memory only as needed, independent of its build options.
ENV LOCKGATE_CONFIG=/etc/lockgate/lockgate.toml MIMALLOC_ARENA_EAGER_COMMIT=0
USER nonroot
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/usr/local/bin/lockgate", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/lockgate"]
CMD ["run"]
