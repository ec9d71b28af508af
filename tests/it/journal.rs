//! Tests of the error journal: one set for all stores, what only one of them can show, and the groups of recorded errors.

mod conformance;
mod grouping;
mod postgres;
mod random;
mod sqlite;

use lockgate::journal::Entry;

/// An entry with everything, of which nothing but the id and the time is asked by most tests.
fn entry(id: &str, at: u64) -> Entry {
    Entry {
        request_id: id.into(),
        at,
        duration_us: 1500,
        client: "192.0.2.7".into(),
        method: "GET".into(),
        path: "/orders/17".into(),
        protocol: "HTTP/1.1".into(),
        route: "shop".into(),
        backend: "orders".into(),
        endpoint: Some("10.0.0.1:80".into()),
        status: 502,
        received: Some(500),
        code: "upstream_error".into(),
        reason: "http_upstream".into(),
        exception: Some("OrderError".into()),
        message: Some("order 17 is closed".into()),
        upstream_body: Some("{\"message\":\"order 17 is closed\"}".into()),
        config: "a1".into(),
        gateway: "one".into(),
        fingerprint: "f1".into(),
        title: "OrderError: order 17 is closed".into(),
        ..Entry::default()
    }
}
