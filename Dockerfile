# syntax=docker/dockerfile:1
# Dependency stage. It runs on the machine that builds, and compiles for the platform of the image (`docker buildx build --platform`).
# It does not depend on the sources, so that a change of the sources does not compile the dependencies again.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95-trixie AS dependencies
ARG TARGETARCH
WORKDIR /build
# A compiler for the other machine, only if it is another one. /cross has its settings, for this stage and the next.
RUN native=$(dpkg --print-architecture); \
    case "${TARGETARCH:-$native}" in \
      amd64) machine=x86_64 ;; \
      arm64) machine=aarch64 ;; \
      *) echo "error: no image for $TARGETARCH: amd64 or arm64" >&2; exit 1 ;; \
    esac \
 && echo "export CARGO_BUILD_TARGET=$machine-unknown-linux-gnu" > /cross \
 && if [ "${TARGETARCH:-$native}" != "$native" ]; then \
      { [ -d "$(rustc --print sysroot)/lib/rustlib/$machine-unknown-linux-gnu" ] || rustup target add "$machine-unknown-linux-gnu"; } \
      && apt-get update && apt-get install --yes --no-install-recommends "gcc-$(echo $machine | tr _ -)-linux-gnu" "libc6-dev-$TARGETARCH-cross" \
      && echo "export CC_${machine}_unknown_linux_gnu=$machine-linux-gnu-gcc" >> /cross \
      && echo "export CARGO_TARGET_$(echo $machine | tr a-z A-Z)_UNKNOWN_LINUX_GNU_LINKER=$machine-linux-gnu-gcc" >> /cross; \
    fi
# rust-toolchain.toml is not copied: the image has the right toolchain, and the file would make rustup install another one.
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo ./.cargo
# Cargo requires a file for each target in the manifest, so placeholders are created.
RUN for file in src/lib.rs $(sed -n 's/^path = "\(.*\)"/\1/p' Cargo.toml); do \
      mkdir -p "$(dirname "$file")" && printf '//! placeholder\nfn main() {}\n' > "$file" || exit 1; \
    done \
 && printf '//! placeholder\n' > src/lib.rs \
 && printf '//! placeholder\nfn main() {}\n' > src/main.rs \
 && . /cross && cargo build --profile dist --locked --bin lockgate \
 && rm -rf src && find target -path '*/dist/*' \( -name 'lockgate-*' -o -name 'liblockgate-*' \) -prune -exec rm -rf {} +

# Build stage: compiles the sources.
FROM dependencies AS build
COPY config ./config
COPY templates ./templates
COPY src ./src
# REVISION is the commit for `lockgate --version`, and SOURCE_DATE_EPOCH its time for the files of the layer. SOURCE_DATE_EPOCH is hidden
# from Cargo, because it would run build scripts of dependencies again.
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
COPY deploy/container ./deploy/container
RUN . /cross && env -u SOURCE_DATE_EPOCH LOCKGATE_REVISION="$REVISION" cargo build --profile dist --locked --bin lockgate \
 && deploy/container/root-filesystem "target/$CARGO_BUILD_TARGET/dist/lockgate" /out/root \
 && mkdir -p /out/owned/tmp /out/owned/var/tmp /out/owned/var/lib/lockgate && chmod 1777 /out/owned/tmp /out/owned/var/tmp \
 && find /out -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

# Runtime stage: the binary and what it loads, without a shell, as an unprivileged user. The file system may be read-only.
FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Lockgate" \
      org.opencontainers.image.description="A reverse proxy that converts every error into one consistent response format" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /out/root/ /
# A volume for the journal in /var/lib/lockgate gets its owner from here.
COPY --from=build --chown=65532:65532 /out/owned/ /
# MIMALLOC_ARENA_EAGER_COMMIT=0 makes the allocator commit memory only as needed, independent of its build options.
ENV LOCKGATE_CONFIG=/etc/lockgate/lockgate.toml MIMALLOC_ARENA_EAGER_COMMIT=0 PATH=/usr/local/bin
# By number, because Kubernetes cannot tell of a name that it is not root.
USER 65532:65532
WORKDIR /var/lib/lockgate
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/usr/local/bin/lockgate", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/lockgate"]
CMD ["run"]
