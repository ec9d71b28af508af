//! Tests WebSocket over HTTP/2 (RFC 8441): an extended CONNECT of the client is a handshake of HTTP/1.1 at the upstream.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use tungstenite::protocol::Role;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use super::bridge::{connect, extended, open, refused, tunnel};
use super::{HELLO, accepting, assert_going_away, assert_masked_going_away, echo_server, rest_of, status_and_code};
use crate::harness::wait::{PATIENCE, in_time, let_time_pass};
use crate::harness::{GatewayUnderTest, Origin};

const VERSION: &[(&str, &str)] = &[("sec-websocket-version", "13")];

fn socket(gateway: &GatewayUnderTest) -> WebSocket<TcpStream> {
    WebSocket::from_raw_socket(tunnel(gateway, "/chat", VERSION).0, Role::Client, None)
}

/// Reads a number of bytes.
fn bytes(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut all = vec![0; count];
    stream.read_exact(&mut all).unwrap();
    all
}

#[test]
fn messages_of_every_size_come_back_over_http2() {
    let gateway = GatewayUnderTest::in_front_of(echo_server(), "");
    let mut client = socket(&gateway);
    gateway.wait_for_metric("lockgate_tunnels_open{route=\"all\",backend=\"o\"} 1");
    for size in [0, 1, 125, 126, 65_535, 65_536, 3_000_000] {
        let sent = Message::binary((0..size).map(|at| at as u8).collect::<Vec<u8>>());
        client.send(sent.clone()).unwrap();
        assert_eq!(client.read().unwrap(), sent, "{size}");
    }
    client.close(None).unwrap();
    while client.read().is_ok() {}
    let line = gateway.log_line(&["\"path\":\"/chat\""]);
    assert_eq!((&line["method"], line["status"].as_u64(), line["received"].as_u64()), (&"GET".into(), Some(101), Some(101)), "{line}");
    assert!(line["bytesIn"].as_u64().unwrap() > 3_131_000 && line["bytesOut"].as_u64().unwrap() > 3_131_000, "{line}");
    assert_eq!((&line["tunnelEnd"], &line["code"]), (&"upstream".into(), &serde_json::Value::Null), "{line}");
    gateway.wait_for_metric("lockgate_tunnels_open{route=\"all\",backend=\"o\"} 0");
}

#[test]
fn an_extended_connect_is_a_handshake_at_the_upstream() {
    let origin = Origin::start(|conversation| {
        let accept = tungstenite::handshake::derive_accept_key(conversation.header("sec-websocket-key").unwrap().as_bytes());
        let own = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
        conversation.write(super::switching(&accept).replace("\r\n\r\n", &format!("\r\n{own}\r\n")).into_bytes());
        conversation.write(HELLO);
        conversation.hang();
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let asked = [
        VERSION[0],
        ("sec-websocket-protocol", "chat, other"),
        ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
        // What the protocol has no use for is replaced.
        ("sec-websocket-key", "AAAA"),
        ("content-type", "application/grpc"),
        ("origin", "https://app.example"),
    ];
    let (mut client, headers) = tunnel(&gateway, "/chat?room=1", &asked);
    assert_eq!(bytes(&mut client, 7), HELLO, "what the upstream pushed with its 101");
    assert_eq!(
        (&headers["sec-websocket-protocol"], &headers["sec-websocket-extensions"]),
        (&"chat".parse().unwrap(), &"permessage-deflate".parse().unwrap())
    );
    for name in ["connection", "upgrade", "sec-websocket-accept", "content-length", "transfer-encoding"] {
        assert!(!headers.contains_key(name), "{name}: {headers:?}");
    }
    assert!(headers.contains_key("x-request-id"));
    let head = origin.requests()[0].to_lowercase();
    assert!(head.starts_with("get /chat?room=1 http/1.1\r\n"), "{head}");
    for line in [
        "\r\nconnection: upgrade\r\n",
        "\r\nupgrade: websocket\r\n",
        "\r\nsec-websocket-protocol: chat, other\r\n",
        "\r\nsec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n",
        "\r\nsec-websocket-version: 13\r\n",
        "\r\norigin: https://app.example\r\n",
        "\r\nx-forwarded-host: shop\r\n",
    ] {
        assert_eq!(head.matches(line).count(), 1, "{line}: {head}");
    }
    assert!(head.matches("sec-websocket-key").count() == 1 && !head.contains("aaaa\r\n") && !head.contains("grpc"), "{head}");
}

#[test]
fn a_refusal_of_an_extended_connect_is_an_error_response() {
    let body = "<html>com.acme.Chat at /srv/app</html>";
    for (answer, expected) in [
        ("403 Forbidden", (403, "FORBIDDEN")),
        ("500 Internal Server Error", (502, "UPSTREAM_ERROR")),
        // A success would begin a tunnel.
        ("200 OK", (502, "UPSTREAM_PROTOCOL_ERROR")),
        ("204 No Content", (502, "UPSTREAM_PROTOCOL_ERROR")),
        (
            "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA",
            (502, "UPSTREAM_PROTOCOL_ERROR"),
        ),
    ] {
        let origin = Origin::says(format!("HTTP/1.1 {answer}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let asked = [VERSION[0], ("content-type", "application/grpc")];
        let response = refused(gateway.address, "websocket", "/chat", &asked);
        assert_eq!(status_and_code(&response), (expected.0, expected.1.into()), "{answer}");
    }
}

#[test]
fn an_extended_connect_that_is_not_permitted_is_refused() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{0}\"]\n[backends.h2]\nendpoints = [\"http://{0}\"]\nprotocol = \"h2\"\n[[routes]]\npath = \"/chat\"\n\
         backend = \"o\"\n[[routes]]\npath = \"/none\"\nbackend = \"o\"\nupgrades = []\n[[routes]]\npath = \"/h2\"\nbackend = \"h2\"\n\
         [[routes]]\npath = \"/post\"\nmethods = [\"POST\"]\nbackend = \"o\"\n",
        origin.address
    ));
    for (protocol, path, version, expected) in [
        ("websocket", "/none", "13", (501, "NOT_IMPLEMENTED")),
        ("websocket", "/h2", "13", (501, "NOT_IMPLEMENTED")),
        ("connect-udp", "/chat", "13", (501, "NOT_IMPLEMENTED")),
        ("websocket", "/chat", "8", (426, "UPGRADE_REQUIRED")),
        ("websocket", "/nowhere", "13", (404, "ROUTE_NOT_FOUND")),
        ("websocket", "/post", "13", (405, "METHOD_NOT_ALLOWED")),
    ] {
        let response = refused(gateway.address, protocol, path, &[("sec-websocket-version", version)]);
        let method = if protocol == "websocket" { "GET" } else { "CONNECT" };
        assert_eq!(
            (response.status, crate::harness::contract::assert_contract(method, &response)),
            (expected.0, expected.1.into()),
            "{protocol} {path}"
        );
    }
    assert_eq!(origin.connections(), 0, "nothing becomes a plain GET");
}

#[tokio::test]
async fn streams_of_one_connection_are_tunnels_and_requests() {
    let gateway = GatewayUnderTest::in_front_of(echo_server(), "[listen]\nidle_timeout = \"300ms\"\n");
    let mut sender = connect(gateway.address).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let response = open(&mut sender, || extended("websocket", "/chat", VERSION)).await;
        assert_eq!(response.status(), 200);
        streams.push(hyper_util::rt::TokioIo::new(hyper::upgrade::on(response).await.unwrap()));
    }
    // A tunnel is no idle connection.
    tokio::task::spawn_blocking(|| let_time_pass(Duration::from_millis(700))).await.unwrap();
    for (n, stream) in streams.iter_mut().enumerate() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        stream.write_all(&[0x82, 0x81, 0, 0, 0, 0, n as u8]).await.unwrap();
        let mut frame = [0; 3];
        in_time("an echo", stream.read_exact(&mut frame)).await.unwrap();
        assert_eq!(frame, [0x82, 1, n as u8]);
    }
}

#[test]
fn each_direction_of_an_http2_tunnel_ends_by_itself() {
    let origin = accepting(|conversation| {
        let all = rest_of(&mut conversation.stream);
        conversation.say([b"after the end: ", &all[..]].concat());
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = tunnel(&gateway, "/chat", VERSION).0;
    client.write_all(b"last words").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest_of(&mut client), b"after the end: last words");
    let line = gateway.log_line(&["/chat"]);
    assert_eq!((&line["tunnelEnd"], &line["bytesIn"], &line["bytesOut"]), (&"client".into(), &10.into(), &25.into()), "{line}");
}

#[tokio::test]
async fn a_client_that_resets_its_stream_or_leaves_ends_the_tunnel() {
    for whole in [false, true] {
        let (ended, end) = std::sync::mpsc::channel();
        let ended = std::sync::Mutex::new(ended);
        let origin = accepting(move |conversation| {
            rest_of(&mut conversation.stream);
            ended.lock().unwrap().send(()).unwrap();
        });
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let send = in_time("the stream", async {
            loop {
                let mut request = extended("websocket", "/chat", VERSION).map(drop);
                request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
                client = client.ready().await.unwrap();
                match client.send_request(request, false) {
                    Ok((response, send)) => {
                        assert_eq!(response.await.unwrap().status(), 200);
                        return send;
                    }
                    Err(error) => assert!(!error.is_io(), "{error}"),
                }
                tokio::task::yield_now().await;
            }
        });
        let mut send = send.await;
        if whole {
            connection.abort();
        } else {
            send.send_reset(h2::Reason::CANCEL);
        }
        tokio::task::spawn_blocking(move || {
            end.recv_timeout(PATIENCE).unwrap();
            assert_eq!(gateway.log_line(&["/chat"])["tunnelEnd"], "client", "the whole connection: {whole}");
        })
        .await
        .unwrap();
    }
}

#[test]
fn a_silent_http2_tunnel_ends_with_a_close_frame_on_both_sides() {
    let (told, tell) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let origin = accepting(move |conversation| told.lock().unwrap().send(rest_of(&mut conversation.stream)).unwrap());
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\nwebsocket_idle_timeout = \"300ms\"\n");
    let mut client = tunnel(&gateway, "/chat", VERSION).0;
    assert_going_away(&rest_of(&mut client));
    assert_masked_going_away(&tell.recv_timeout(PATIENCE).unwrap());
    assert_eq!(gateway.log_line(&["/chat"])["tunnelEnd"], "idle");
}

#[test]
fn the_end_of_a_drain_closes_http2_tunnels_with_1001() {
    let mut gateway = GatewayUnderTest::in_front_of(echo_server(), "[listen]\ndrain_delay = \"off\"\ndrain_timeout = \"300ms\"\n");
    let mut client = socket(&gateway);
    client.send(Message::text("hello")).unwrap();
    assert_eq!(client.read().unwrap(), Message::text("hello"));
    gateway.begin_stop();
    let Message::Close(Some(close)) = client.read().unwrap() else { panic!("no close frame") };
    assert_eq!(close.code, CloseCode::Away);
    assert_eq!(gateway.log_line(&["/chat"])["tunnelEnd"], "drain");
}

#[test]
fn a_side_of_an_http2_tunnel_that_reads_nothing_stops_the_other() {
    let (blocked, is_blocked) = std::sync::mpsc::channel();
    let blocked = std::sync::Mutex::new(blocked);
    let origin = accepting(move |conversation| {
        conversation.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let (piece, mut sent) = (vec![7; 64 * 1024], 0u64);
        while let Ok(written) = conversation.stream.write(&piece) {
            sent += written as u64;
            assert!(sent < 64 << 20, "the gateway takes whatever comes");
        }
        blocked.lock().unwrap().send(()).unwrap();
        conversation.stream.set_write_timeout(Some(PATIENCE)).unwrap();
        conversation.stream.write_all(&sent.to_be_bytes()).unwrap();
        conversation.say(b"");
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = tunnel(&gateway, "/chat", VERSION).0;
    is_blocked.recv_timeout(PATIENCE).unwrap();
    let all = rest_of(&mut client);
    let (data, told) = all.split_at(all.len() - 8);
    assert_eq!(data.len() as u64, u64::from_be_bytes(told.try_into().unwrap()));
    assert!(data.iter().all(|byte| *byte == 7));
}
