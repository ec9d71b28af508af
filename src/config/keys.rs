//! Reads the whole file, section by section: the keys with their types.
//!
//! Checks each key by itself. Must not know defaults; rules that involve several sections belong to `plan`.

use std::net::SocketAddr;

use toml::Spanned;
use toml::de::DeValue;

use super::errors::errors;
use super::file::{File, Listen, Log, LogFormat, LogLevel, OnFailure, Redis};
use super::journal::journal;
use super::limits::limit;
use super::listen_tls::listen_tls;
use super::notify::notify;
use super::policy_keys::policy;
use super::routes::routes;
use super::section::{At, Section};
use super::telemetry::telemetry;
use super::units;
use super::upstreams::backend;
use super::values::{placed, secret};
use crate::policy::Mode;
use crate::text::Secret;

/// Reads the root table.
pub(super) fn read(root: &mut Section<'_, '_>) -> File {
    File {
        mode: root.choice("mode", &[("production", Some(Mode::Production)), ("development", Some(Mode::Development))]).unwrap_or_default(),
        watch: root.boolean("watch"),
        listen: root.table("listen", listen).unwrap_or_default(),
        defaults: root.table("defaults", |s| policy(s)).unwrap_or_default(),
        backends: named_tables(root, "backends", backend),
        limits: named_tables(root, "limits", limit),
        routes: routes(root),
        errors: root.table("errors", errors).unwrap_or_default(),
        redis: root.table("redis", redis).flatten(),
        log: root.table("log", log).unwrap_or_default(),
        journal: root
            .table("journal", |s| {
                let url = secret(s, "url", has_credentials);
                journal(s, url)
            })
            .unwrap_or_default(),
        telemetry: root.table("telemetry", telemetry).flatten(),
        notify: notify(root),
    }
}

/// Reads a table whose keys are names that the operator chooses.
fn named_tables<T>(root: &mut Section<'_, '_>, key: &'static str, read: fn(&mut Section<'_, '_>, At<String>) -> T) -> Vec<T> {
    let read_all = |section: &mut Section<'_, '_>| {
        section.allow_any_key();
        let mut all = Vec::new();
        for name in section.names() {
            if let Some(value) = section.named(&name.value) {
                let key = name.value.clone();
                all.extend(section.table_in(&key, value, |s| read(s, name)));
            }
        }
        all
    };
    root.table(key, read_all).unwrap_or_default()
}

fn listen(s: &mut Section<'_, '_>) -> Listen {
    Listen {
        http: s.strings("http", true).map(|list| addresses(s, list)),
        admin: s.parsed("admin", units::address),
        trusted_proxies: s.networks("trusted_proxies").unwrap_or_default(),
        workers: workers(s),
        max_connections: s.number("max_connections", 1..=1_000_000),
        header_timeout: s.parsed("header_timeout", units::duration),
        idle_timeout: s.parsed("idle_timeout", units::duration),
        body_timeout: s.parsed("body_timeout", units::duration_or_off),
        write_timeout: s.parsed("write_timeout", units::duration),
        drain_delay: s.parsed("drain_delay", units::duration_or_off),
        drain_timeout: s.parsed("drain_timeout", units::duration),
        has_admin_token: s.named("admin_token").is_some(),
        admin_token: admin_token(s, "admin_token"),
        admin_viewer_token: admin_token(s, "admin_viewer_token"),
        admin_session: s.parsed("admin_session", units::duration),
        max_header_size: s.parsed("max_header_size", units::size),
        strict_target: s.boolean("strict_target"),
        max_in_flight: s.number("max_in_flight", 1..=1_000_000),
        buffer_memory: s.parsed("buffer_memory", units::size),
        tls: s.table("tls", listen_tls),
        proxy_protocol: flag(s, "proxy_protocol"),
        admin_public_url: s.parsed("admin_public_url", units::base_url),
    }
}

/// Reads a switch with its place.
fn flag(s: &mut Section<'_, '_>, key: &'static str) -> Option<At<bool>> {
    let value = s.boolean(key);
    placed(s, key, value)
}

/// Reads a token of the admin listener. One that no client can send in a header (RFC 9110 5.5) would lock everybody out.
fn admin_token(s: &mut Section<'_, '_>, key: &'static str) -> Option<At<Secret<String>>> {
    let found = secret(s, key, |_| true)?;
    let token = found.value.reveal();
    if token.trim() == token && token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Some(found);
    }
    let title = format!("no client could send this `{key}`");
    let help = "a token has printable ASCII characters on one line, and no space at its beginning or end";
    s.problems.add(found.span, title, help);
    None
}

/// Returns true for the URL of a database that may hold a password.
fn has_credentials(url: &str) -> bool {
    url.contains('@') || url.to_ascii_lowercase().contains("password")
}

fn redis(s: &mut Section<'_, '_>) -> Option<Redis> {
    let span = s.span.clone();
    // A URL without credentials is not a secret.
    let url = secret(s, "url", |text| text.contains('@'));
    if url.is_none() && s.named("url").is_none() {
        s.problems.add(span, "[redis] has no `url`", "add: url = \"redis://127.0.0.1:6379\", or \"${REDIS_URL}\" if it has a password");
    }
    let cluster = s.boolean("cluster").unwrap_or(false);
    let timeout = s.parsed("timeout", units::duration);
    if let Some(at) = timeout.as_ref().filter(|at| at.value > std::time::Duration::from_secs(1)) {
        s.problems.add(at.span.clone(), "`timeout` is at most 1s", "every request of a shared limit may wait this long; 30ms is typical");
    }
    let timeout = timeout.map(|at| at.value);
    let choices = [("local", Some(OnFailure::Local)), ("allow", Some(OnFailure::Allow)), ("deny", Some(OnFailure::Deny))];
    let on_failure = s.choice("on_failure", &choices).unwrap_or_default();
    Some(Redis { url: url?, cluster, timeout, on_failure })
}

fn addresses(s: &mut Section<'_, '_>, list: Vec<At<String>>) -> Vec<At<SocketAddr>> {
    let mut found = Vec::new();
    for item in list {
        match units::address(&item.value) {
            Ok(value) => found.push(At { value, span: item.span }),
            Err(help) => s.problems.add_url(&item.value, item.span, "invalid listen address", help),
        }
    }
    found
}

/// Reads the number of worker threads; `"auto"` is `None`.
fn workers(s: &mut Section<'_, '_>) -> Option<u64> {
    match s.value("workers").map(Spanned::get_ref) {
        Some(DeValue::String(word)) if word == "auto" => None,
        Some(_) => s.number("workers", 1..=1024),
        None => None,
    }
}

fn log(s: &mut Section<'_, '_>) -> Log {
    let levels = LogLevel::ALL.map(|level| (level.as_str(), Some(level)));
    let formats = [
        ("json", Some(LogFormat::Json)),
        ("pretty", Some(LogFormat::Pretty)),
        ("combined", Some(LogFormat::Combined)),
        ("template", Some(LogFormat::Template)),
        ("auto", Some(LogFormat::Auto)),
    ];
    let format = s.choice("format", &formats);
    let exclude = s.strings("exclude", false);
    let keep = s.number("keep", 1..=1000);
    Log {
        level: s.choice("level", &levels),
        format: placed(s, "format", format),
        template: s.string("template"),
        exclude: placed(s, "exclude", exclude),
        access: s.boolean("access"),
        sample: s.share("sample"),
        slow: s.parsed("slow", units::duration),
        file: s.output("file"),
        max_size: s.parsed("max_size", units::size),
        keep: placed(s, "keep", keep),
        original_max: s.parsed("original_max", units::size_or_off),
    }
}
