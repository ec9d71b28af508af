//! Tests that each client gets errors in a format that it can read, and that all formats have the same content.

use lockgate::rpc;
use prost::Message;

use crate::harness::contract::{assert_contract, assert_headers};
use crate::harness::{GatewayUnderTest, Origin, Response, send};

const BODY: &str = r#"{"message":"The <order> & \"7\" is not valid.","code":"ORDER_INVALID","errors":[{"field":"items[0].qty","message":"must be at least 1"}]}"#;

fn origin() -> Origin {
    Origin::says(format!("HTTP/1.1 422 X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len()))
}

fn asked(headers: &str, more: &str) -> Response {
    let origin = origin();
    let gateway = GatewayUnderTest::in_front_of(origin.address, more);
    send(gateway.address, format!("POST /a HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: 0\r\n\r\n"))
}

/// Text of the first element of this name.
fn element(xml: &str, name: &str) -> String {
    let open = xml.find(&format!("<{name}")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    let start = open + xml[open..].find('>').unwrap() + 1;
    let end = start + xml[start..].find(&format!("</{name}>")).unwrap();
    html_escape::decode_html_entities(&xml[start..end]).into_owned()
}

/// Well-formed to the last tag.
fn assert_xml(response: &Response) {
    let text = response.text();
    let mut reader = quick_xml::Reader::from_str(&text);
    while reader.read_event().unwrap_or_else(|error| panic!("{error}: {text}")) != quick_xml::events::Event::Eof {}
}

#[test]
fn xml_and_problem_xml() {
    let response = asked("Accept: application/xml\r\n", "");
    assert_contract("POST", &response);
    assert_xml(&response);
    assert_eq!((response.status, response.header("content-type")), (422, Some("application/xml")));
    let text = response.text();
    assert_eq!((element(&text, "code"), element(&text, "statusCode")), ("ORDER_INVALID".into(), "422".into()));
    assert_eq!(element(&text, "requestId"), response.header("x-request-id").unwrap());
    assert!(text.contains("<field name=\"items[0].qty\"><message>must be at least 1</message></field>"), "{text}");
    let problem = asked("Accept: application/problem+xml\r\n", "");
    assert_contract("POST", &problem);
    assert_xml(&problem);
    assert_eq!(problem.header("content-type"), Some("application/problem+xml"));
    assert_eq!(element(&problem.text(), "detail"), "The <order> & \"7\" is not valid.");
}

#[test]
fn soap_faults_of_both_versions() {
    let old = asked("SOAPAction: \"urn:save\"\r\nContent-Type: text/xml\r\n", "");
    assert_contract("POST", &old);
    assert_xml(&old);
    assert_eq!((old.status, old.header("content-type")), (422, Some("text/xml; charset=utf-8")));
    assert_eq!((element(&old.text(), "faultcode"), element(&old.text(), "code")), ("soap:Client".into(), "ORDER_INVALID".into()));
    let new = asked("Content-Type: application/soap+xml; charset=utf-8\r\n", "");
    assert_contract("POST", &new);
    assert_xml(&new);
    assert_eq!(new.header("content-type"), Some("application/soap+xml; charset=utf-8"));
    assert_eq!(
        (element(&new.text(), "env:Value"), element(&new.text(), "env:Text")),
        ("env:Sender".into(), "The <order> & \"7\" is not valid.".into())
    );
}

#[test]
fn grpc_and_grpc_web_are_told_in_headers() {
    for (sent, answered) in [("application/grpc", "application/grpc"), ("application/grpc-web+proto", "application/grpc-web+proto")] {
        let response = asked(&format!("Content-Type: {sent}\r\nTE: trailers\r\n"), "");
        assert_headers(&response);
        assert_eq!((response.status, response.header("content-type"), response.body.len()), (200, Some(answered), 0));
        assert_eq!(response.header("grpc-status"), Some("2"), "422 is UNKNOWN");
        assert_eq!(rpc::percent_decode(response.header("grpc-message").unwrap().as_bytes()), "The <order> & \"7\" is not valid.");
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(response.header("grpc-status-details-bin").unwrap()).unwrap();
        let status = rpc::Status::decode(bytes.as_slice()).unwrap();
        let violations = status.details.iter().find_map(|detail| detail.unpack::<rpc::BadRequest>()).unwrap().field_violations;
        assert_eq!((violations[0].field.as_str(), violations[0].description.as_str()), ("items[0].qty", "must be at least 1"));
        let id = status.details.iter().find_map(|detail| detail.unpack::<rpc::RequestInfo>()).unwrap().request_id;
        assert_eq!(Some(id.as_str()), response.header("x-request-id"));
    }
    let gateway =
        GatewayUnderTest::start("[backends.o]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/x\"\nbackend = \"o\"\n");
    for (path, status) in [("/x", "14"), ("/nowhere", "12")] {
        let response = send(
            gateway.address,
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n"),
        );
        assert_headers(&response);
        assert_eq!((response.status, response.header("grpc-status")), (200, Some(status)), "{path}");
    }
}

#[test]
fn metrics_count_a_grpc_answer_as_the_error_that_it_is() {
    let gateway = GatewayUnderTest::in_front_of("127.0.0.1:1".parse().unwrap(), "");
    let response = send(gateway.address, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(response.status, 200);
    gateway.wait_for_metric("lockgate_requests_total{route=\"all\",backend=\"o\",code=\"502\",reason=\"connection_refused\"} 1");
}

#[test]
fn what_a_grpc_service_says_of_its_failure_is_cleaned() {
    let said = |status: u8, message: &str| {
        Origin::says(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: {status}\r\nGrpc-Message: {message}\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    let through = |origin: &Origin| {
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        send(gateway.address, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n")
    };
    let server = through(&said(13, "pq: SELECT * FROM orders failed at db.corp.internal"));
    assert_eq!((server.header("grpc-status"), server.header("grpc-message")), (Some("13"), Some("The service had a problem.")));
    let client = through(&said(5, "Order 7 was not found"));
    assert_eq!((client.header("grpc-status"), client.header("grpc-message")), (Some("5"), Some("Order 7 was not found")));
    let trailers = Origin::says(
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTrailer: grpc-status, grpc-message\r\nTransfer-Encoding: chunked\r\n\r\n0\r\ngrpc-status: 2\r\ngrpc-message: at com.acme.OrderDao.find(OrderDao.java:3)\r\n\r\n",
    );
    let gateway = GatewayUnderTest::in_front_of(trailers.address, "");
    let late = send(
        gateway.address,
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nTE: trailers\r\nConnection: TE, close\r\nContent-Length: 0\r\n\r\n",
    );
    let told: Vec<_> = late.trailers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert!(told.contains(&("grpc-status", "2")) && told.contains(&("grpc-message", "The service had a problem.")), "{told:?}");
}

#[test]
fn graphql_and_json_rpc_where_a_route_speaks_them() {
    let graphql = asked("", "[errors]\nprotocol = \"graphql\"\n");
    assert_headers(&graphql);
    let error = &graphql.json()["errors"][0];
    assert_eq!((graphql.status, error["extensions"]["code"].as_str()), (422, Some("ORDER_INVALID")));
    assert_eq!(error["message"], "The <order> & \"7\" is not valid.");
    assert_eq!(error["extensions"]["details"]["fields"]["items[0].qty"][0], "must be at least 1");
    assert_eq!(error["extensions"]["requestId"], graphql.header("x-request-id").unwrap());
    assert!(graphql.json().get("data").is_none(), "a request that failed has no data");
    let typed = asked("Accept: application/graphql-response+json\r\n", "[errors]\nprotocol = \"graphql\"\n");
    assert_eq!(typed.header("content-type"), Some("application/graphql-response+json"));

    let rpc = asked("", "[errors]\nprotocol = \"jsonrpc\"\n");
    assert_headers(&rpc);
    assert_eq!((rpc.json()["jsonrpc"].as_str(), rpc.json()["error"]["code"].as_i64()), (Some("2.0"), Some(-32_602)));
    assert_eq!(rpc.json()["error"]["data"]["code"], "ORDER_INVALID");
    assert!(rpc.json()["id"].is_null());
}

#[test]
fn a_json_rpc_error_keeps_its_number_and_id() {
    let body = r#"{"jsonrpc":"2.0","error":{"code":-32010,"message":"The order is locked."},"id":"call-7"}"#;
    let origin = Origin::says(format!("HTTP/1.1 409 X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[errors]\nprotocol = \"jsonrpc\"\n");
    let json = send(gateway.address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").json();
    assert_eq!((json["error"]["code"].as_i64(), json["id"].as_str()), (Some(-32_010), Some("call-7")));
    assert_eq!(json["error"]["message"], "The order is locked.");
}

#[test]
fn the_id_of_a_call_is_told_whatever_went_wrong() {
    // A server that leaves the version out, and fails.
    let body = r#"{"error":{"code":-32603,"message":"x"},"id":7}"#;
    let origin = Origin::says(format!("HTTP/1.1 500 X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[errors]\nprotocol = \"jsonrpc\"\n");
    let response = send(gateway.address, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(response.json()["id"], 7);
}

#[test]
fn a_template_of_the_operators_own() {
    let more = "[errors]\nformat = \"template\"\ntemplate = '{\"ok\":false,\"why\":{{message}},\"ref\":\"{{code}}/{{requestId}}\",\"f\":{{fields}},\"wait\":{{retryAfterSeconds}}}'\n";
    let response = asked("", more);
    assert_headers(&response);
    let json = response.json();
    assert_eq!(json["why"], "The <order> & \"7\" is not valid.");
    assert_eq!(json["ref"], format!("ORDER_INVALID/{}", response.header("x-request-id").unwrap()));
    assert_eq!((json["f"]["items[0].qty"][0].as_str(), json["wait"].is_null()), (Some("must be at least 1"), true));
    let page = asked("", "[errors]\nformat = \"template\"\ntemplate_type = \"text/html\"\ntemplate = \"<p>{{message}}</p>\"\n");
    assert_eq!(page.text(), "<p>The &lt;order&gt; &amp; &quot;7&quot; is not valid.</p>");
    // A client that asked for something else gets that.
    let problem = asked("Accept: application/problem+json\r\n", more);
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
}

#[test]
fn head_has_the_headers_of_every_shape_and_no_body() {
    let origin = origin();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for accept in ["*/*", "text/html", "application/xml", "text/plain", "application/problem+json"] {
        let head = send(gateway.address, format!("HEAD /a HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"));
        assert_contract("HEAD", &head);
        assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 0);
    }
}

#[test]
fn vary_names_what_was_negotiated() {
    let response = asked("Accept: text/html\r\n", "");
    assert!(response.all("vary").contains(&"Accept"), "{response:?}");
    let fixed = asked("Accept: text/html\r\n", "[errors]\nnegotiate = false\n");
    assert!(!fixed.all("vary").contains(&"Accept"), "{fixed:?}");
}
