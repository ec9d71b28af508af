//! Makes an entry of an observation: masks credentials, bounds every part, and finds the group.
//!
//! Runs on the journal's thread. Nothing leaves this file unmasked.

use super::entry::{AttemptEntry, Entry, Headers, Millis};
use super::fingerprint;
use super::names::is_secret_header;
use super::observation::{Attempt, Observation, Said, Told};
use super::payload;
use super::protocols::are_protocols;
use super::rules::{MASK, Rules, without_last_word};
use super::trace;
use crate::context::protocol;
use crate::header::HeaderList;
use crate::redact;
use crate::report;
use crate::text::{Untrusted, plain_host};

/// The most of a body that the client got, in bytes.
const MAX_ANSWER: usize = 16 * 1024;
/// The most of a single header value, in bytes.
const MAX_VALUE: usize = 1024;
/// The most headers of a message.
const MAX_HEADERS: usize = 100;
/// The most of a path, a message or another short text, in bytes.
const MAX_TEXT: usize = 2 * 1024;
/// The most of a stack trace, in bytes.
const MAX_STACK: usize = 32 * 1024;
impl Rules {
    fn headers(&self, list: &HeaderList) -> Headers {
        let one = |(name, value): (&http::HeaderName, crate::header::Value<'_>)| {
            let (name, value) = (name.as_str(), value.as_bytes());
            let value = if name == "host" { plain_host(value) } else { value };
            let is_secret = is_secret_header(name, self) || name == "sec-websocket-protocol" && !are_protocols(value);
            let value = if is_secret { MASK.to_owned() } else { self.header_value(&String::from_utf8_lossy(value)) };
            (name.to_owned(), value)
        };
        list.iter().take(MAX_HEADERS).map(one).collect()
    }

    /// Masks the value of a header: the URLs in it like the one of the request, and JSON by its members.
    fn header_value(&self, value: &str) -> String {
        let masked = payload::said(&redact::masked_urls(value), usize::MAX, self);
        self.part_of_url(&masked, MAX_VALUE)
    }

    /// Returns a query without its values.
    fn query(&self, query: &str) -> String {
        let mut masked = Vec::new();
        redact::masked_query(&mut masked, query.as_bytes());
        let masked = String::from_utf8_lossy(&masked);
        // A name may be a credential itself.
        masked.split('&').map(|parameter| self.part_of_url(parameter, MAX_VALUE)).collect::<Vec<_>>().join("&")
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn attempt(attempt: &Attempt) -> AttemptEntry {
    AttemptEntry {
        endpoint: attempt.endpoint.as_deref().map(str::to_owned),
        begin_us: micros(attempt.begin),
        connect_us: micros(attempt.connect),
        took_us: micros(attempt.took),
        status: attempt.status,
        reason: attempt.kind.map(|kind| kind.row().reason.to_owned()),
    }
}

/// Makes the entry.
pub(super) fn entry(observed: Observation, rules: &Rules) -> Entry {
    let at = observed.at.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut entry = Entry {
        request_id: observed.id.as_str().to_owned(),
        trace_id: observed.trace.map(|trace| String::from_utf8_lossy(&trace).into_owned()),
        at: u64::try_from(at.as_millis()).unwrap_or(Millis::MAX),
        duration_us: micros(observed.took),
        upstream_us: observed.upstream_time.map(micros),
        client: observed.client.to_string(),
        method: observed.method.as_str().to_owned(),
        host: observed.host.map(|host| rules.text(&String::from_utf8_lossy(plain_host(&host)), MAX_VALUE)),
        path: rules.part_of_url(observed.uri.path(), MAX_TEXT),
        query: observed.uri.query().map(|query| rules.query(query)),
        protocol: protocol(observed.version).to_owned(),
        request_headers: rules.headers(&observed.headers),
        route: observed.route.to_string(),
        backend: observed.backend.to_string(),
        endpoint: observed.endpoint.map(|endpoint| endpoint.to_string()),
        attempts: observed.attempts.iter().map(attempt).collect(),
        status: observed.status,
        received: observed.received,
        code: rules.text(&observed.code, MAX_VALUE),
        reason: observed.kind.row().reason.to_owned(),
        cause: observed.cause.map(|cause| payload::said(&cause, MAX_TEXT, rules)),
        config: observed.config.to_string(),
        gateway: rules.gateway.clone(),
        ..Entry::default()
    };
    if let Some(body) = &observed.body {
        let payload::Shown { text, truncated } = payload::shown(body, rules);
        (entry.request_body, entry.request_truncated) = (text, truncated);
    }
    if let Some(said) = observed.said {
        add_said(&mut entry, *said, rules);
    }
    if let Some(Told { headers, body }) = observed.told.map(|told| *told) {
        entry.answer_headers = rules.headers(&headers);
        entry.answer_body = Some(payload::said(&String::from_utf8_lossy(&body), MAX_ANSWER, rules));
    }
    (entry.fingerprint, entry.title) = fingerprint::of(&entry);
    entry
}

fn add_said(entry: &mut Entry, said: Said, rules: &Rules) {
    let Said { headers, body, truncated, report: read } = said;
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
    // The request itself reads a body only if the client is told of it.
    let read = read.unwrap_or_else(|| report::read_as(&body, content_type.as_deref(), crate::language::Languages::new(None, &[])));
    let text = |text: &Option<Untrusted>, max| text.as_ref().map(|text| payload::said(whole(text.raw(), &body, truncated), max, rules));
    entry.exception = text(&read.exception, MAX_TEXT);
    // A message may be a trace, whose end says what was thrown.
    entry.message = text(&read.message, MAX_STACK);
    entry.caused_by = text(&read.cause, MAX_TEXT);
    entry.stack = text(&read.stack, MAX_STACK);
    entry.upstream_headers = rules.headers(&headers);
    entry.upstream_truncated = truncated || body.len() > rules.body_limit;
    entry.upstream_body = Some(payload::said(whole(&body, &body, truncated), rules.body_limit, rules));
    trace::complete(entry);
    // And once more: what a page hides in its markup is plain in what was read out of it.
    let masked = |text: Option<String>| text.map(|text| payload::said(&text, MAX_TEXT, rules));
    (entry.exception, entry.message) = (masked(entry.exception.take()), masked(entry.message.take()));
}

/// Returns a text of a body without its last word, if that is where the body was cut.
fn whole<'t>(text: &'t str, body: &str, truncated: bool) -> &'t str {
    let last = |text: &'_ str| text.trim_end().rsplit(char::is_whitespace).next().unwrap_or_default().to_owned();
    if truncated && last(body).ends_with(&last(text)) { without_last_word(text.trim_end()) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let patterns = vec![regex::Regex::new("CUST-[0-9]{8}").unwrap()];
        Rules { body_limit: 1 << 20, headers: vec!["x-tenant".into()], patterns, gateway: String::new(), names: Default::default() }
    }

    fn header(name: &'static str, value: &'static str) -> String {
        let mut list = HeaderList::default();
        list.insert(http::HeaderName::from_static(name), http::HeaderValue::from_static(value));
        rules().headers(&list).remove(0).1
    }

    #[test]
    fn values_of_headers_are_masked() {
        for (name, value, shown) in [
            ("x-vault-token", "S3CR", "***"),
            ("x-tenant", "S3CR", "***"),
            ("referer", "https://a.example/cb?code=S3CR&state=S3CR#S3CR", "https://a.example/cb?code=***&state=***"),
            ("location", "/cb/password%3DS3CR", "/cb/password=***"),
            ("x-original-url", "/cb?code=S3CR", "/cb?code=***"),
            ("x-context", "{\"pin\":\"S3CR\"}", "{\"pin\":\"***\"}"),
            ("sec-websocket-protocol", "bearer, S3CR", "***"),
            ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.c3cr", "***"),
            ("sec-websocket-protocol", "chat, 0123456789abcdef", "***"),
            ("sec-websocket-protocol", "chat, qwertzuiop", "***"),
            ("referer", "https://a.example/reset-password/S3CR", "https://a.example/reset-password/***"),
            ("x-headers", "[[\"cookie\",\"S3CR\"]]", "[[\"cookie\",\"***\"]]"),
            ("sec-websocket-protocol", "graphql-transport-ws, v12.stomp", "graphql-transport-ws, v12.stomp"),
            ("accept", "text/html, */*;q=0.8", "text/html, */*;q=0.8"),
            ("user-agent", "curl/8.5 (x; y)", "curl/8.5 (x; y)"),
            ("idempotency-key", "a-1", "a-1"),
        ] {
            assert_eq!(header(name, value), shown, "{name}");
        }
    }

    #[test]
    fn encoded_credentials_of_a_path_are_masked() {
        let path = |path: &str| rules().part_of_url(path, MAX_TEXT);
        for text in [
            "/cb/password%3DS3CR",
            "/cb/password%253DS3CR",
            "/x/Bearer%20S3CRS3CR",
            "/u/https%3A%2F%2Fu%3AS3CR%40h",
            "/cb/acc%65ss_token%3DS3CR",
            "/cb/access_token=S3CR",
            "/token/S3CR",
            "/reset%2Dpassword/S3CR",
            "/reset-password%2FS3CR",
        ] {
            assert!(!path(text).contains("S3CR"), "{}", path(text));
        }
        assert_eq!(path("/a/%43UST-12345678%0A"), "/a/***%0A", "control characters stay encoded");
        for text in ["/a%20b/%E4%BD%A0", "/orders/7", "/a%", "/%ff"] {
            assert_eq!(path(text), text);
        }
        assert_eq!(path("/%25252525252570"), "***");
    }

    #[test]
    fn names_of_parameters_are_masked_like_texts() {
        let query = |query: &str| rules().query(query);
        assert_eq!(query("sk_live_0123456789abcdefghijklmn=2&a=1"), "***=***&a=***");
        assert_eq!(query("CUST-12345678=1&cookie=2&b=3"), "***=***&cookie=***&b=***");
        assert!(!query("a%3Dpassword%3DS3CR=1").contains("S3CR"));
    }

    #[test]
    fn what_a_page_hides_in_its_markup_is_masked_where_it_is_plain() {
        let frame = "File &quot;/srv/a.py&quot;, line 7, in pay";
        let body = format!(
            "<!doctype html><title>Oops</title><h1>Something went wrong</h1><pre>Traceback (most recent call last):\n  {frame}\n    f()\nKeyError: password&#61;S3CR</pre>"
        );
        let mut entry = Entry::default();
        // A page in which the reader has found nothing.
        let report = Some(report::Report::default());
        add_said(&mut entry, Said { body, report, ..Said::default() }, &rules());
        assert_eq!(entry.exception.as_deref(), Some("KeyError"));
        assert!(entry.message.as_deref().is_some_and(|message| !message.contains("S3CR")), "{entry:?}");
    }

    #[test]
    fn a_cut_body_loses_its_last_word() {
        let token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
        for before in ["could not push with ", "{\"message\": \"no ", "{\"stack\":\"a\\n\\tat b\\nwith ", "<p>with <b>", &"x/".repeat(400)]
        {
            for length in 5..=token.len() {
                let body = format!("{before}{}", &token[..length]);
                let said = Said { body, truncated: true, ..Said::default() };
                let mut entry = Entry::default();
                add_said(&mut entry, said, &rules());
                let all = format!("{:?} {:?} {:?}", entry.upstream_body, entry.message, entry.stack);
                assert!(!all.contains("ghp_") && !all.contains("01234"), "{all}");
            }
        }
        let mut entry = Entry::default();
        add_said(&mut entry, Said { body: "no order 7".into(), ..Said::default() }, &rules());
        assert_eq!(entry.upstream_body.as_deref(), Some("no order 7"));
    }
}
