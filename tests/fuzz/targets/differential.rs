//! Pipelined requests as the gateway reads them, and as hyper does: whatever the gateway takes for a request, with its body, hyper must take
//! for the same one. The gateway may be stricter, never laxer.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use lockgate::http1::request::{Inspected, Limits, RequestParser};
use tokio::io::AsyncWriteExt as _;

const LIMITS: Limits = Limits { head: 8192, target: 4096, strict_target: true, fields: 64 };

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    line: String,
    headers: Vec<(String, Bytes)>,
    /// `None` if the body does not end.
    body: Option<Vec<u8>>,
}

fn seen(method: &http::Method, uri: &http::Uri, version: http::Version, headers: &http::HeaderMap, body: Option<Vec<u8>>) -> Seen {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), Bytes::copy_from_slice(value.as_bytes()))).collect();
    Seen { line: format!("{method} {uri} {version:?}"), headers, body }
}

/// The requests that the gateway finds.
fn ours(mut input: &[u8]) -> Vec<Seen> {
    let (mut all, mut parser) = (Vec::new(), RequestParser::new(LIMITS));
    while let Inspected::Head(length, mut head) = parser.inspect(input) {
        input = &input[length..];
        let mut body = Vec::new();
        let Ok(taken) = head.framing.decode(input, &mut body) else { break };
        input = &input[taken..];
        let is_whole = head.framing.is_end();
        all.push(seen(&head.method, &head.target.uri, head.version, &http::HeaderMap::from(&head.headers), is_whole.then_some(body)));
        if !is_whole || !head.keep_alive || head.method == http::Method::CONNECT {
            break;
        }
    }
    all
}

async fn hypers(input: &[u8]) -> Vec<Seen> {
    let all = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: http::Request<Incoming>| {
        let all = Rc::clone(&all);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            all.borrow_mut().push(seen(&head.method, &head.uri, head.version, &head.headers, body));
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        }
    });
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(input).await.unwrap();
    client.shutdown().await.unwrap();
    let _ = http1::Builder::new().half_close(true).max_headers(4096).serve_connection(TokioIo::new(server), service).await;
    drop(client);
    all.take()
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
}

fuzz_target!(|bytes: &[u8]| {
    // The first byte is the other targets'.
    let Some((_, input)) = bytes.split_first() else { return };
    let ours = ours(input);
    if ours.is_empty() {
        return;
    }
    let hypers = RUNTIME.with(|runtime| runtime.block_on(hypers(input)));
    for (number, request) in ours.iter().enumerate() {
        assert_eq!(Some(request), hypers.get(number), "request {number}");
    }
});
