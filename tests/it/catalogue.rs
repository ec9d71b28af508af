//! Tests that each row of the catalog keeps the contract in every format and both modes.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method};
use http_body_util::BodyExt;
use lockgate::context::{ClientPreferences, Peer, WallClock};
use lockgate::failure::{Failure, Kind};
use lockgate::gateway::{Core, CurrentGateway, Early, Gateway, Lifecycle};
use lockgate::observe::recorder::{LineSettings, Recorder};
use lockgate::observe::writer::Sink;
use lockgate::plan::compile;
use lockgate::upstream::attempt::Upstreams;
use lockgate::upstream::connect::connector::Connector;
use lockgate::upstream::connect::resolve::Resolver;

use crate::harness::Response;
use crate::harness::contract::{assert_contract, assert_shape};

fn gateway(format: &str, mode: &str) -> Arc<Gateway> {
    let text = format!(
        "mode = \"{mode}\"\n[backends.o]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n[errors]\nformat = \"{format}\"\n"
    );
    let plan = Arc::new(compile::from_text(&text, &|_| None).unwrap());
    let sink = Sink::start(std::io::sink(), Arc::clone(&plan.metrics.log_dropped)).unwrap();
    let lines = LineSettings::default();
    let recorder = Arc::new(Recorder::new(0, Arc::clone(&plan.metrics), Arc::clone(&plan.no_route), lines, sink));
    let upstreams = Upstreams { connector: Connector::new(Resolver::default()), core: 0 };
    let core = Core {
        upstreams,
        via: HeaderValue::from_static("1.1 lockgate-test"),
        lifecycle: Arc::new(Lifecycle::default()),
        over: tokio::sync::Notify::new(),
        wall: WallClock::default(),
        journal: None,
    };
    CurrentGateway::new(Arc::new(core), plan, None, recorder, None).get()
}

async fn answer(gateway: &Gateway, kind: Kind, accept: Option<&'static str>, language: &'static str) -> Response {
    let peer = Peer { address: "192.0.2.1:1".parse().unwrap(), forwarded_for: HeaderValue::from_static("192.0.2.1"), trusted: false };
    let wanted = ClientPreferences { accept: accept.map(Into::into), language: Some(language.into()), ..ClientPreferences::default() };
    let failure = Failure::because(kind, "connect to 10.20.30.40: hunter2");
    let early = Early { failure, method: Method::GET, uri: "/a?token=hunter2".parse().unwrap(), wanted };
    let lockgate::gateway::ClientResponse { status, headers, body, .. } = gateway.answer_early(&peer, early);
    let body: Bytes = body.collect().await.unwrap().to_bytes();
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
    Response { status: status.as_u16(), headers, body: body.to_vec(), complete: true, ..Response::default() }
}

const ACCEPTS: &[Option<&str>] =
    &[None, Some("*/*"), Some("application/problem+json"), Some("text/html,*/*;q=0.8"), Some("text/plain"), Some("image/png")];

#[tokio::test]
async fn every_row_keeps_the_contract_in_every_format_and_mode() {
    let mut cells = 0;
    for format in ["envelope", "problem", "flat"] {
        for mode in ["production", "development"] {
            let gateway = gateway(format, mode);
            for kind in Kind::ALL {
                for accept in ACCEPTS {
                    for language in ["en", "ko"] {
                        let response = answer(&gateway, *kind, *accept, language).await;
                        check(&response, *kind, mode, language);
                        assert_eq!(response.header("content-type"), Some(content_type(format, *accept)), "{format} {accept:?}");
                        cells += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cells, 3 * 2 * Kind::ALL.len() * ACCEPTS.len() * 2);
}

fn check(response: &Response, kind: Kind, mode: &str, language: &str) {
    let row = kind.row();
    let code = if mode == "development" {
        assert!(response.text().contains("10.20.30.40"), "development shows the cause: {response:?}");
        assert_shape("GET", response)
    } else {
        assert_contract("GET", response)
    };
    let status = match kind {
        Kind::Responded => 500,
        _ if row.status == 0 => 400,
        _ => row.status,
    };
    assert_eq!(response.status, status, "{kind:?}");
    if !code.is_empty() && !row.code.is_empty() {
        assert_eq!(code, row.code);
    }
    assert_eq!(response.header("content-language"), Some(language), "{kind:?}");
    let told = response.header("proxy-status").unwrap_or_default();
    assert_eq!(told.contains(&format!("error={}", row.reason)), !row.reason.is_empty(), "{kind:?}: {told}");
    assert!(response.all("vary").join(",").contains("Accept-Language"), "{response:?}");
}

fn content_type(format: &str, accept: Option<&str>) -> &'static str {
    match accept {
        Some("text/html,*/*;q=0.8") => "text/html; charset=utf-8",
        Some("text/plain") => "text/plain; charset=utf-8",
        Some("application/problem+json") => "application/problem+json",
        _ if format == "problem" => "application/problem+json",
        _ => "application/json",
    }
}

#[tokio::test]
async fn korean_is_korean() {
    let response = answer(&gateway("envelope", "production"), Kind::RateLimited, None, "ko-KR,en;q=0.5").await;
    assert!(response.json()["error"]["message"].as_str().unwrap().contains("요청이 너무 많습니다"));
    assert_eq!(response.json()["error"]["code"], "RATE_LIMITED");
}
