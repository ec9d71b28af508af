//! Sends batches of spans to the collector over HTTP/1.1. Must not know what a batch holds or what follows an answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use prost::Message as _;

use super::http_client::{HttpClient, MAX_ANSWER, USER_AGENT};
use crate::header::{HeaderList, retry_after_of};
use crate::observe::trace::export::{Answer, Collector, Response};
use crate::plan::Telemetry;
use crate::redact;
use crate::text::bounded;
use crate::upstream::connect::resolve::Resolver;

/// How much of the collector's own words the log gets, in bytes.
const MAX_WORDS: usize = 256;

/// A collector that is reached over HTTP.
pub(super) struct HttpCollector {
    client: HttpClient,
    settings: Arc<Telemetry>,
}

impl HttpCollector {
    pub(super) fn new(settings: Arc<Telemetry>, resolver: Resolver) -> Self {
        Self { client: HttpClient::new(Arc::clone(&settings.target), resolver, "collector"), settings }
    }

    async fn exchange(&mut self, batch: Bytes) -> Result<Answer, String> {
        let request = self.request(batch);
        let response = self.client.exchange(request).await?;
        Ok(answer(response.status(), response.headers(), response.body()))
    }

    fn request(&self, batch: Bytes) -> Request<Full<Bytes>> {
        let Telemetry { target, path, headers, .. } = &*self.settings;
        let mut request = Request::new(Full::new(batch));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = path.clone().into();
        let all = request.headers_mut();
        all.insert(header::HOST, target.authority.clone());
        all.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        all.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        all.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        for (name, value) in headers {
            all.insert(name.clone(), value.reveal().clone());
        }
        request
    }
}

impl Collector for HttpCollector {
    fn send(&mut self, batch: Bytes) -> impl Future<Output = Answer> + Send {
        let timeout: Duration = self.settings.timeout;
        async move {
            let unavailable = |cause| Answer::Unavailable { retry_after: None, cause };
            match tokio::time::timeout(timeout, self.exchange(batch)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(cause)) => unavailable(cause),
                // The connection was dropped with the exchange.
                Err(_) => unavailable("no answer within `timeout`".to_owned()),
            }
        }
    }
}

/// Reads an answer (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>).
fn answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    match status.as_u16() {
        200..=299 => {
            // A body that is no protobuf says nothing of rejected spans.
            let partial = Response::decode(body).ok().and_then(|response| response.partial_success).unwrap_or_default();
            // Masked as a whole first: the mask does not know a credential that is cut.
            let masked = redact::masked(bounded(&partial.error_message, MAX_ANSWER));
            let words = bounded(&masked, MAX_WORDS);
            let rejected = u64::try_from(partial.rejected_spans).unwrap_or_default();
            let complaint = (rejected > 0 || !words.is_empty()).then(|| format!("it rejected {rejected} spans: {words}"));
            Answer::Taken { rejected, complaint }
        }
        429 | 502 | 503 | 504 => {
            let asked = HeaderList::from(headers);
            let retry_after = asked.get(header::RETRY_AFTER).and_then(retry_after_of);
            Answer::Unavailable { retry_after, cause: format!("it answered with {}", status.as_u16()) }
        }
        other => Answer::Refused(format!("it answered with {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_decide_whether_a_batch_is_sent_again() {
        let of = |status: u16| answer(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), b"\xff not protobuf");
        for status in [200, 202, 204] {
            assert_eq!(of(status), Answer::Taken { rejected: 0, complaint: None }, "{status}");
        }
        for status in [429, 502, 503, 504] {
            assert!(matches!(of(status), Answer::Unavailable { retry_after: None, .. }), "{status}");
        }
        for status in [301, 307, 400, 401, 404, 408, 413, 500, 501] {
            assert!(matches!(of(status), Answer::Refused(_)), "{status}");
        }
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("7"))]);
        let asked = answer(StatusCode::SERVICE_UNAVAILABLE, &headers, b"");
        assert!(matches!(asked, Answer::Unavailable { retry_after: Some(wait), .. } if wait == Duration::from_secs(7)));
    }

    #[test]
    fn credentials_in_the_words_of_a_collector_are_masked() {
        let words = format!("cannot store for https://u:hunter2@db.example with password=hunter2 {}", "x".repeat(9_999));
        let partial_success = crate::observe::trace::export::PartialSuccess { rejected_spans: 1, error_message: words };
        let body = Response { partial_success: Some(partial_success) }.encode_to_vec();
        let Answer::Taken { complaint: Some(complaint), .. } = answer(StatusCode::OK, &HeaderMap::new(), &body) else { panic!() };
        assert!(complaint.contains("cannot store") && !complaint.contains("hunter2") && complaint.len() < 2 * MAX_WORDS, "{complaint}");
    }

    #[test]
    fn a_partial_success_is_read() {
        let partial = |rejected_spans, error_message: &str| {
            let partial_success = crate::observe::trace::export::PartialSuccess { rejected_spans, error_message: error_message.into() };
            let body = Response { partial_success: Some(partial_success) }.encode_to_vec();
            match answer(StatusCode::OK, &HeaderMap::new(), &body) {
                Answer::Taken { rejected, complaint } => (rejected, complaint.unwrap_or_default().len()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(partial(0, ""), (0, 0));
        assert_eq!(partial(-3, "").0, 0);
        assert!(partial(3, "").1 > 0 && partial(0, "a warning").1 > 0);
        assert!(partial(1, &"x".repeat(9_999)).1 < 2 * MAX_WORDS);
    }
}
