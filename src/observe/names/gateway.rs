//! The metrics of the gateway as a whole: connections, limits, memory, log, TLS of the listener, and the process.

use super::labels::{FILE, LIMIT, LOGIN_OUTCOME, NOTIFIER, NOTIFY_OUTCOME, RELOAD_OUTCOME, REVISION, STORE_OUTCOME, TLS_RESULT, VERSION};
use super::metric::{Metric, Section};

/// Accepted connections.
pub const ACCEPTED: Metric = Metric::counter("lockgate_connections_accepted", "connections", &[], "Client connections accepted");
/// Open connections.
pub const CONNECTIONS: Metric = Metric::gauge("lockgate_connections_open", "connections", &[], "Open client connections");
/// The bound on connections.
pub const CONNECTIONS_LIMIT: Metric =
    Metric::gauge("lockgate_connections_limit", "connections", &[], "Maximum number of client connections (`listen.max_connections`)");
/// Missing PROXY headers.
pub const PROXY_HEADER_FAILURES: Metric = Metric::counter(
    "lockgate_proxy_header_failures",
    "connections",
    &[],
    "Connections of trusted proxies that began without a valid PROXY header, and were closed",
);
/// Rejections of limits.
pub const RATE_LIMITED: Metric = Metric::counter("lockgate_rate_limited", "requests", &[LIMIT], "Requests that a limit rejected")
    .asked("topk(5, sum by (limit) (rate(lockgate_rate_limited_total[5m])))");
/// Checks in the shared store.
pub const SHARED_STORE: Metric = Metric::counter(
    "lockgate_shared_limit_requests",
    "requests",
    &[STORE_OUTCOME],
    "Checks of limits that several gateways share, by outcome",
);
/// The limit of the whole process.
pub const ADMISSION_LIMIT: Metric = Metric::gauge(
    "lockgate_in_flight_limit",
    "requests",
    &[],
    "Maximum number of requests in flight now (`listen.max_in_flight`); it changes if the limit is adaptive",
);
/// Permits of the whole process in use.
pub const ADMISSION_IN_FLIGHT: Metric =
    Metric::gauge("lockgate_in_flight", "requests", &[], "Requests that hold a permit of `listen.max_in_flight`");
/// Requests that wait for a permit of the process.
pub const ADMISSION_WAITING: Metric =
    Metric::gauge("lockgate_waiting", "requests", &[], "Requests that wait for a permit of `listen.max_in_flight`");
/// Bytes held.
pub const BUFFERED: Metric = Metric::gauge("lockgate_buffered_bytes", "bytes", &[], "Bytes of bodies that are held in memory");
/// The bound on bytes held.
pub const BUFFERED_LIMIT: Metric =
    Metric::gauge("lockgate_buffered_limit_bytes", "bytes", &[], "Maximum number of bytes of bodies that may be held in memory");
/// Lost log lines.
pub const LOG_DROPPED: Metric =
    Metric::counter("lockgate_log_lines_dropped", "lines", &[], "Log lines that were dropped because they could not be written");
/// Spans that arrived.
pub const SPANS_EXPORTED: Metric = Metric::counter("lockgate_trace_spans_exported", "spans", &[], "Spans that the collector took");
/// Spans that did not arrive.
pub const SPANS_FAILED: Metric = Metric::counter(
    "lockgate_trace_spans_failed",
    "spans",
    &[],
    "Spans that the collector refused, or that it could not be sent for too long",
);
/// Lost spans.
pub const SPANS_DROPPED: Metric =
    Metric::counter("lockgate_trace_spans_dropped", "spans", &[], "Spans that were dropped because the queue was full");
/// Written entries.
pub const JOURNAL_WRITTEN: Metric = Metric::counter("lockgate_journal_entries", "entries", &[], "Entries that the journal has written");
/// Lost entries.
pub const JOURNAL_DROPPED: Metric = Metric::counter(
    "lockgate_journal_entries_dropped",
    "entries",
    &[],
    "Entries of the journal that were dropped because its queue was full",
);
/// Entries that were not taken.
pub const JOURNAL_FAILED: Metric =
    Metric::counter("lockgate_journal_entries_failed", "entries", &[], "Entries of the journal that its store could not take");
/// Entries that were only counted.
pub const JOURNAL_SAMPLED: Metric = Metric::counter(
    "lockgate_journal_entries_sampled_out",
    "entries",
    &[],
    "Entries that were counted in their groups and not kept, because only a share is (`journal.sample`)",
);
/// Purged entries.
pub const JOURNAL_PURGED: Metric =
    Metric::counter("lockgate_journal_entries_purged", "entries", &[], "Entries that operators have removed from the journal");
/// What became of notifications.
pub const NOTIFICATIONS: Metric = Metric::counter(
    "lockgate_notifications",
    "messages",
    &[NOTIFIER, NOTIFY_OUTCOME],
    "Notifications (`[[notify]]`), by what became of them",
)
.asked("sum by (notifier) (increase(lockgate_notifications_total{outcome!=\"sent\"}[1h]))");
/// Lost events.
pub const NOTIFICATION_EVENTS_DROPPED: Metric =
    Metric::counter("lockgate_notifications_events_dropped", "events", &[], "Events that no notifier heard of, because the queue was full");
/// The build.
pub const BUILD: Metric = Metric::gauge("lockgate_build_info", "always 1", &[VERSION, REVISION], "The version of the gateway, as labels");
/// Worker threads.
pub const WORKERS: Metric = Metric::gauge("lockgate_workers", "threads", &[], "Threads that serve requests (`listen.workers`)")
    .asked("rate(process_cpu_seconds_total[5m]) / on (instance) lockgate_workers");

/// Whether the last reload succeeded.
pub const CONFIG_SUCCESSFUL: Metric = Metric::gauge(
    "lockgate_config_last_reload_successful",
    "0 or 1",
    &[],
    "0 if the configuration could not be used when it was loaded last, so that an older one runs, else 1",
);
/// The last successful reload.
pub const CONFIG_SUCCEEDED_AT: Metric = Metric::gauge(
    "lockgate_config_last_reload_success_timestamp_seconds",
    "seconds since 1970",
    &[],
    "When the configuration was last loaded with success",
);
/// Reloads.
pub const CONFIG_RELOADS: Metric =
    Metric::counter("lockgate_config_reloads", "reloads", &[RELOAD_OUTCOME], "Reloads of the configuration, by outcome");

/// Logins at the admin listener.
pub const ADMIN_LOGINS: Metric = Metric::counter(
    "lockgate_admin_logins",
    "attempts",
    &[LOGIN_OUTCOME],
    "Logins at the pages of the admin listener, and requests to it with a wrong token, by outcome",
);

/// Handshakes with clients.
pub const HANDSHAKES: Metric =
    Metric::counter("lockgate_tls_handshakes", "handshakes", &[TLS_RESULT], "TLS handshakes with clients, by how they ended");
/// Ends of certificates.
pub const CERTIFICATE_END: Metric = Metric::gauge(
    "lockgate_tls_certificate_end_timestamp_seconds",
    "seconds since 1970",
    &[FILE],
    "When a certificate of the listener ends",
)
.asked("(lockgate_tls_certificate_end_timestamp_seconds - time()) / 86400");
/// Whether the certificates could be read.
pub const CERTIFICATES_READ: Metric = Metric::gauge(
    "lockgate_tls_certificates_last_read_successful",
    "0 or 1",
    &[],
    "0 if the certificates could not be read when their files last changed, else 1",
);

/// CPU time.
pub const CPU: Metric =
    Metric::counter("process_cpu_seconds", "seconds", &[], "CPU time that the process has used, in user and system mode");
/// Resident memory.
pub const RESIDENT: Metric = Metric::gauge("process_resident_memory_bytes", "bytes", &[], "Memory of the process that is in RAM");
/// Virtual memory.
pub const VIRTUAL: Metric = Metric::gauge("process_virtual_memory_bytes", "bytes", &[], "Virtual memory of the process");
/// Open file descriptors.
pub const OPEN_FDS: Metric = Metric::gauge("process_open_fds", "descriptors", &[], "Open file descriptors");
/// The bound on file descriptors.
pub const MAX_FDS: Metric = Metric::gauge("process_max_fds", "descriptors", &[], "Maximum number of open file descriptors");
/// The start of the process.
pub const START: Metric = Metric::gauge("process_start_time_seconds", "seconds since 1970", &[], "When the gateway was started");
/// Threads of the process.
pub const THREADS: Metric = Metric::gauge("process_threads", "threads", &[], "Threads of the process");

/// The gateway as a whole.
pub const GATEWAY_METRICS: Section = Section {
    title: "Connections, limits and memory",
    metrics: &[
        &ACCEPTED,
        &CONNECTIONS,
        &CONNECTIONS_LIMIT,
        &PROXY_HEADER_FAILURES,
        &RATE_LIMITED,
        &SHARED_STORE,
        &ADMISSION_LIMIT,
        &ADMISSION_IN_FLIGHT,
        &ADMISSION_WAITING,
        &BUFFERED,
        &BUFFERED_LIMIT,
        &LOG_DROPPED,
        &SPANS_EXPORTED,
        &SPANS_FAILED,
        &SPANS_DROPPED,
        &JOURNAL_WRITTEN,
        &JOURNAL_DROPPED,
        &JOURNAL_FAILED,
        &JOURNAL_SAMPLED,
        &JOURNAL_PURGED,
        &NOTIFICATIONS,
        &NOTIFICATION_EVENTS_DROPPED,
        &ADMIN_LOGINS,
        &BUILD,
        &WORKERS,
    ],
};

/// The configuration.
pub const CONFIGURATION_METRICS: Section =
    Section { title: "Configuration", metrics: &[&CONFIG_SUCCESSFUL, &CONFIG_SUCCEEDED_AT, &CONFIG_RELOADS] };

/// TLS of the listener.
pub const TLS_METRICS: Section = Section { title: "TLS of the listener", metrics: &[&HANDSHAKES, &CERTIFICATE_END, &CERTIFICATES_READ] };

/// The process.
pub const PROCESS_METRICS: Section =
    Section { title: "Process", metrics: &[&CPU, &RESIDENT, &VIRTUAL, &OPEN_FDS, &MAX_FDS, &START, &THREADS] };
