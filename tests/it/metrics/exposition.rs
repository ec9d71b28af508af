//! Tests what a scrape of `/metrics` gets.

use std::collections::{BTreeMap, BTreeSet};

use lockgate::observe::names::{self, Type};

use super::{assert_accepted, metric_of};
use crate::harness::{Client, GatewayUnderTest, Origin, Temporary, get, send};

/// A gateway that has a use for every metric, and has served some requests.
fn gateway(name: &str) -> (GatewayUnderTest, Vec<Origin>, Temporary) {
    let good = Origin::echo();
    let bad = Origin::says("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
    let users = Temporary::file(&format!("metrics-users-{name}"), "a:$2y$04$abcdefghijklmnopqrstuuDsVBHrqBVBzV8eNvOpvO3vSCyOSQ4pu\n");
    let text = format!(
        "[listen]\nmax_in_flight = 9\n\
         [limits.l]\nrate = \"1/h\"\n\
         [backends.o]\nendpoints = [\"http://{}\"]\nmax_in_flight = 9\nbreaker = {{ open_after = \"50% of 20\" }}\n\
         [backends.p]\nendpoints = [\"http://{}\"]\n\
         [backends.tls]\nendpoints = [\"https://127.0.0.1:9\"]\ntls = {{ verify = false }}\n\
         [[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n\
         [[routes]]\nname = \"bad\"\npath = \"/bad\"\nbackend = \"p\"\n\
         [[routes]]\nname = \"dry\"\npath = \"/dry\"\nbackend = \"p\"\ndry_run = true\n\
         [[routes]]\nname = \"limited\"\npath = \"/limited\"\nbackend = \"o\"\nlimits = [\"l\"]\n\
         [[routes]]\nname = \"users\"\npath = \"/users\"\nbackend = \"o\"\nauth = {{ basic = \"file:{}\" }}\n\
         [[routes]]\nname = \"tls\"\npath = \"/tls\"\nbackend = \"tls\"\n",
        good.address,
        bad.address,
        users.display()
    );
    let gateway = GatewayUnderTest::start(&text);
    for path in ["/", "/bad", "/dry", "/limited", "/limited", "/users", "/tls"] {
        get(gateway.address, path);
    }
    gateway.wait_for_metric("lockgate_requests_total{route=\"tls\",backend=\"tls\",code=\"502\",reason=\"connection_refused\"} 1");
    (gateway, vec![good, bad], users)
}

fn open_metrics(gateway: &GatewayUnderTest) -> String {
    let accept = "application/openmetrics-text; version=1.0.0, text/plain;q=0.5";
    let response =
        send(gateway.admin, format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"));
    assert!(response.header("content-type").unwrap().starts_with("application/openmetrics-text"), "{response:?}");
    response.text()
}

/// Name and names of the labels of a sample; without the `le` of a histogram.
fn parts(line: &str) -> (&str, Vec<&str>) {
    let name = line.split(['{', ' ']).next().unwrap();
    let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
    let names = labels.split("\",").filter_map(|label| label.split_once("=\"")).map(|(name, _)| name).filter(|name| *name != "le");
    (name, names.collect())
}

#[test]
fn the_table_is_what_the_gateway_writes() {
    let (gateway, _origins, _users) = gateway("table");
    let text = get(gateway.admin, "/metrics").text();
    let comments = |word: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(word)?.split_once(' '));
        lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let (types, helps) = (comments("# TYPE "), comments("# HELP "));
    let written: BTreeSet<&str> = types.keys().map(String::as_str).collect();
    let table: Vec<String> = names::all().map(|metric| metric.sample_name()).collect();
    assert_eq!(written, table.iter().map(String::as_str).collect(), "left: what is written, right: the table in src/observe/names");
    let mut without_samples: BTreeSet<String> = types.keys().cloned().collect();
    for metric in names::all() {
        let name = metric.sample_name();
        if let Some(kind) = types.get(&name) {
            assert_eq!((kind.as_str(), helps[&name].as_str()), (metric.kind.word(), format!("{}.", metric.help).as_str()), "{name}");
        }
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = parts(line);
        let metric = metric_of(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        without_samples.remove(&metric.sample_name());
        assert_eq!(labels, metric.labels.iter().map(|label| label.name).collect::<Vec<_>>(), "{line}");
    }
    // A listener for TLS has its tests in `listen_tls`, and notifiers have theirs in `notify`.
    let elsewhere = ["lockgate_notifications_total", "lockgate_tls_certificate_end_timestamp_seconds"];
    assert_eq!(without_samples, elsewhere.map(str::to_owned).into());
}

#[test]
fn prometheus_reads_the_plain_format() {
    let (gateway, _origins, _users) = gateway("plain");
    let response = get(gateway.admin, "/metrics");
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = response.text();
    assert!(text.contains("le=\"+Inf\"") && !text.contains("# EOF") && !text.contains("trace_id"), "{text}");
    assert_accepted(&["check", "metrics"], &text);
}

/// The tool reads OpenMetrics only to import samples with a time, so each gets one.
#[test]
fn prometheus_reads_open_metrics_with_exemplars() {
    let (gateway, _origins, _users) = gateway("open");
    let text = open_metrics(&gateway);
    let (name, exemplar) = text.lines().find_map(|line| line.split_once(" # {trace_id=\"")).expect("a failure is an exemplar");
    let (trace, rest) = exemplar.split_once("\"} ").unwrap();
    assert!(name.starts_with("lockgate_request_duration_seconds_bucket{route=\"") && trace.len() == 32, "{name} {exemplar}");
    let (took, at) = rest.split_once(' ').unwrap();
    let bound: f64 = name.split_once("le=\"").unwrap().1.split('"').next().unwrap().parse().unwrap_or(f64::INFINITY);
    assert!(took.parse::<f64>().unwrap() <= bound && at.parse::<f64>().unwrap() > 1.6e9, "{name} {exemplar}");
    let timed = |line: &str| match line.split_once(" # ") {
        Some((sample, exemplar)) => format!("{sample} 1700000000 # {exemplar}\n"),
        None if line.starts_with('#') => format!("{line}\n"),
        None => format!("{line} 1700000000\n"),
    };
    let folder = Temporary::folder("metrics-import");
    let file = folder.join("metrics.txt");
    std::fs::write(&file, text.lines().map(timed).collect::<String>()).unwrap();
    let (file, out) = (file.display().to_string(), folder.join("data").display().to_string());
    assert_accepted(&["tsdb", "create-blocks-from", "openmetrics", &file, &out], "");
}

/// A trace in an exemplar is that of the log, and so the one that the backend got.
#[test]
fn an_exemplar_leads_to_the_request() {
    let origin = Origin::says("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = get(gateway.address, "/");
    let line = gateway.log_line(&[response.header("x-request-id").unwrap()]);
    let trace = line["traceId"].as_str().unwrap();
    let text = open_metrics(&gateway);
    assert!(text.contains(&format!("trace_id=\"{trace}\"")), "{trace} in\n{text}");
}

/// A success that is fast has no exemplar: it would cost every request something.
#[test]
fn a_fast_success_is_no_exemplar() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    get(gateway.address, "/");
    gateway.wait_for_metric("lockgate_requests_total{route=\"all\",backend=\"o\",code=\"200\",reason=\"\"} 1");
    let text = open_metrics(&gateway);
    let slow = |line: &str| line.starts_with("lockgate_request_duration_seconds_bucket") && line.contains("le=\"0.5\"} 0");
    assert!(!text.contains("trace_id") || text.lines().any(slow), "{text}");
}

/// The part of the gateway and that of the backend are told apart, and each request counts once.
#[test]
fn durations_are_those_of_the_gateway_and_of_the_backend() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    for _ in 0..3 {
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response("GET").status, 200);
    }
    for name in ["request_duration", "upstream_duration", "gateway_overhead"] {
        gateway.wait_for_metric(&format!("lockgate_{name}_seconds_count{{route=\"all\",backend=\"o\"}} 3"));
    }
    let text = get(gateway.admin, "/metrics").text();
    let sum = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("lockgate_{name}_seconds_sum{{route=\"all\",backend=\"o\"}} ")));
        line.unwrap().parse().unwrap()
    };
    let (whole, upstream, overhead) = (sum("request_duration"), sum("upstream_duration"), sum("gateway_overhead"));
    assert!(upstream > 0.0 && overhead > 0.0 && upstream + overhead <= whole + 1e-5, "{upstream} + {overhead} of {whole}");
}

/// A status that nobody registered is told as one of its class, so that a backend cannot add series without bound.
#[test]
fn statuses_of_a_backend_are_bounded() {
    let origin = Origin::says("HTTP/1.1 299 X\r\nContent-Length: 0\r\n\r\n");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    get(gateway.address, "/");
    gateway.wait_for_metric("lockgate_requests_total{route=\"all\",backend=\"o\",code=\"2xx\",reason=\"\"} 1");
    gateway.wait_for_metric("lockgate_upstream_responses_total{backend=\"o\",code=\"2xx\"} 1");
}

#[test]
fn every_type_of_metric_has_its_name() {
    for metric in names::all() {
        let histogram_of_time = metric.kind != Type::Histogram || metric.name.ends_with("_seconds");
        assert!(histogram_of_time && (metric.name.starts_with("lockgate_") || metric.name.starts_with("process_")), "{}", metric.name);
    }
}
