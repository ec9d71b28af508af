//! The labels of metrics, and where their values come from. No value is taken from a request.

/// One label.
#[derive(Debug)]
pub struct Label {
    /// The name.
    pub name: &'static str,
    /// Where its values come from, which bounds their number.
    pub values: &'static str,
}

/// The route of a request.
pub const ROUTE: Label =
    Label { name: "route", values: "`name` of a `[[routes]]`, or its paths if it has no name; `-` for requests that match no route" };
/// The backend of a request.
pub const BACKEND: Label =
    Label { name: "backend", values: "the name of a `[backends.NAME]`; `-` for a route that redirects or responds itself" };
/// An address of a backend.
pub const ENDPOINT: Label =
    Label { name: "endpoint", values: "a URL of `endpoints`, with the address in parentheses if the URL has a host name that resolves" };
/// A status.
pub const CODE: Label = Label {
    name: "code",
    values: "the status code if it is registered at IANA, or 499 for a client that left before a response began; `2xx` to `5xx` for any other",
};
/// A reason.
pub const REASON: Label = Label {
    name: "reason",
    values: "empty for a success; the reason of the error catalog (`lockgate errors`); `upstream_response` for an error that the backend \
             sent; `client_closed` if the client closed the connection",
};
/// A limit.
pub const LIMIT: Label = Label { name: "limit", values: "the name of a `[limits.NAME]`" };
/// The end of an authentication.
pub const AUTH_RESULT: Label =
    Label { name: "result", values: "`admitted`, `refused`, `redirected`, or `failed` because nobody could tell" };
/// The end of a handshake.
pub const TLS_RESULT: Label = Label {
    name: "result",
    values: "`completed`, `timeout`, `closed`, `clear_text`, `incompatible`, `client_certificate`, `alert`, `protocol`",
};
/// The end of an attempt to connect.
pub const CONNECT_RESULT: Label = Label { name: "result", values: "`opened` or `failed`" };
/// Why a request was sent again.
pub const RETRY_REASON: Label = Label {
    name: "reason",
    values: "what the policy retries on: `connect`, `lost`, `timeout`, `status`; `unsent` if nothing had been processed, `stale` if an idle \
             connection turned out to be closed",
};
/// The end of a retry.
pub const RETRY_OUTCOME: Label =
    Label { name: "outcome", values: "`success`, `failure`, or `cancelled` because the client left or the deadline passed" };
/// The end of a hedged attempt.
pub const HEDGE_OUTCOME: Label = Label {
    name: "outcome",
    values: "`won` if it answered first, `lost` if the first attempt did, `failure` if neither answered, `cancelled` as above",
};
/// What became of a check in the shared store.
pub const STORE_OUTCOME: Label =
    Label { name: "outcome", values: "`decided` by the store, `failed`, or `skipped` because the store had failed before" };
/// The outcome of a reload.
pub const RELOAD_OUTCOME: Label = Label { name: "outcome", values: "`applied`, `unchanged`, or `rejected`" };
/// Who is told.
pub const NOTIFIER: Label = Label { name: "notifier", values: "`name` of a `[[notify]]`, or its `kind` if it has no name" };
/// What became of a notification.
pub const NOTIFY_OUTCOME: Label = Label {
    name: "outcome",
    values: "`sent`, `failed` because it was refused or could not be sent for too long, `dropped` because too many waited, `held` back to be \
             told in a summary",
};
/// The outcome of a login.
pub const LOGIN_OUTCOME: Label =
    Label { name: "outcome", values: "`succeeded`, `failed`, or `limited` because the client, or all of them, had failed too often" };
/// The state of a circuit breaker.
pub const BREAKER_STATE: Label = Label { name: "state", values: "`closed`, `open`, `half_open`" };
/// The state of an upstream connection.
pub const CONNECTION_STATE: Label = Label { name: "state", values: "`active` or `idle`" };
/// A file.
pub const FILE: Label = Label { name: "file", values: "a certificate's path as in the configuration" };
/// The version of the gateway.
pub const VERSION: Label = Label { name: "version", values: "the version of this build" };
/// The commit of the gateway.
pub const REVISION: Label = Label { name: "revision", values: "the commit of this build" };
