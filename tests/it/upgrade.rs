//! Tests WebSocket and other upgrades over HTTP/1.1: what is forwarded, what is refused, and the life of a tunnel. Those over HTTP/2 and the
//! comparison of frames are in files of their own.

mod bridge;
mod frames;
mod http2;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::harness::contract::assert_contract;
use crate::harness::origin::Conversation;
use crate::harness::wait::PATIENCE;
use crate::harness::{Client, GatewayUnderTest, Origin, Response, send};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The head of a valid handshake without its last empty line.
const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: shop\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: \
                         dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
/// An unmasked text frame.
const HELLO: &[u8] = b"\x81\x05hello";

/// A WebSocket server that sends every message back. It ends with the test process.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut socket = tungstenite::accept(stream).unwrap();
                while let Ok(message) = socket.read() {
                    if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn connect(gateway: &GatewayUnderTest) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client("ws://shop/chat", stream).unwrap().0
}

/// The 101 that answers a handshake.
fn switching(accept: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")
}

/// An origin that accepts each handshake and goes on with `behave`.
fn accepting(behave: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Origin {
    Origin::start(move |conversation| {
        let accept = derive_accept_key(conversation.header("sec-websocket-key").unwrap().as_bytes());
        conversation.write(switching(&accept));
        behave(conversation);
    })
}

/// Opens a tunnel as raw bytes. `early` follows the handshake at once.
fn upgraded(gateway: &GatewayUnderTest, early: &[u8]) -> Client {
    let mut client = Client::connect(gateway.address);
    client.write([HANDSHAKE.as_bytes(), b"\r\n", early].concat());
    let response = client.response("GET");
    assert_eq!(response.status, 101, "{response:?}");
    client
}

/// Reads until the end of a connection.
fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all
}

fn status_and_code(response: &Response) -> (u16, String) {
    (response.status, assert_contract("GET", response))
}

#[test]
fn messages_of_every_size_come_back_in_order() {
    let gateway = GatewayUnderTest::in_front_of(echo_server(), "");
    let mut socket = connect(&gateway);
    for size in [0, 1, 125, 126, 65_535, 65_536, 3_000_000] {
        let sent = Message::binary((0..size).map(|at| at as u8).collect::<Vec<u8>>());
        socket.send(sent.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), sent, "{size}");
    }
    socket.send(Message::Ping(b"are you there".to_vec().into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(b"are you there".to_vec().into()));
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    let line = gateway.log_line(&["\"path\":\"/chat\""]);
    assert_eq!((line["status"].as_u64(), line["received"].as_u64(), &line["code"]), (Some(101), Some(101), &serde_json::Value::Null));
    // The frames of both directions: those of the client are masked.
    assert!(line["bytesIn"].as_u64().unwrap() > 3_131_000 && line["bytesOut"].as_u64().unwrap() > 3_131_000, "{line}");
    assert_eq!(line["tunnelEnd"], "upstream", "a server closes first: {line}");
}

#[test]
fn the_handshake_reaches_the_upstream_and_its_answer_the_client() {
    let origin = accepting(Conversation::hang);
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    client.write(format!(
        "{}Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\nX-Hop: 1\r\n\r\n",
        HANDSHAKE.replace("keep-alive, Upgrade", "upgrade, X-Hop, Sec-WebSocket-Key")
    ));
    let response = client.response("GET");
    assert_eq!((response.status, response.header("sec-websocket-accept")), (101, Some(ACCEPT)));
    assert_eq!((response.all("connection"), response.all("upgrade")), (vec!["Upgrade"], vec!["websocket"]));
    assert!(response.header("x-request-id").is_some() && response.header("content-length").is_none(), "{response:?}");
    let head = origin.requests()[0].to_lowercase();
    for line in
        ["connection: upgrade\r\n", "\r\nupgrade: websocket\r\n", "sec-websocket-protocol: chat", "permessage-deflate", "version: 13"]
    {
        assert_eq!(head.matches(line).count(), 1, "{line}: {head}");
    }
    assert!(head.contains(&KEY.to_lowercase()) && !head.contains("x-hop"), "{head}");
}

#[test]
fn a_101_that_does_not_answer_the_handshake_is_an_invalid_response() {
    let other = switching(ACCEPT).replace("websocket", "h2c");
    let bad = [
        ("an accept of another key", switching("c3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("no accept", switching(ACCEPT).replace("Sec-WebSocket-Accept", "X-Accept")),
        ("two accepts", switching(&format!("{ACCEPT}\r\nSec-WebSocket-Accept: {ACCEPT}"))),
        ("another protocol", other),
        ("no protocol", switching(ACCEPT).replace("Upgrade: websocket\r\n", "")),
        ("two protocols", switching(ACCEPT).replace("Upgrade: websocket\r\n", "Upgrade: websocket, h2c\r\n")),
        ("no connection", switching(ACCEPT).replace("Connection: Upgrade\r\n", "")),
        ("frames before it", format!("{}{}", String::from_utf8_lossy(&HELLO[1..]), switching(ACCEPT))),
    ];
    for (what, answer) in bad {
        let origin = Origin::start(move |conversation| {
            conversation.write([answer.as_bytes(), HELLO].concat());
            conversation.hang();
        });
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let response = send(gateway.address, format!("{HANDSHAKE}\r\n"));
        assert_eq!(status_and_code(&response), (502, "UPSTREAM_PROTOCOL_ERROR".into()), "{what}");
        assert!(!response.text().contains("hello"), "{what}");
    }
}

#[test]
fn a_101_that_nobody_asked_for_is_an_invalid_response() {
    let origin = Origin::says(switching(ACCEPT));
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let plain = "GET / HTTP/1.1\r\nHost: shop\r\n";
    for asks in ["", "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", "Connection: Upgrade\r\n"] {
        let response = send(gateway.address, format!("{plain}{asks}\r\n"));
        assert_eq!(status_and_code(&response), (502, "UPSTREAM_PROTOCOL_ERROR".into()), "{asks}");
    }
    assert!(origin.requests().iter().all(|head| !head.to_lowercase().contains("upgrade")), "{:?}", origin.requests());
}

#[test]
fn a_refusal_of_the_upstream_is_a_response_like_any_other() {
    for (answer, expected) in [
        ("403 Forbidden", (403, "FORBIDDEN")),
        ("426 Upgrade Required", (426, "UPGRADE_REQUIRED")),
        ("500 Internal Server Error", (502, "UPSTREAM_ERROR")),
        ("503 Service Unavailable", (503, "UPSTREAM_UNAVAILABLE")),
    ] {
        let body = "<html>com.acme.Chat at /srv/app</html>";
        let origin = Origin::says(format!("HTTP/1.1 {answer}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let mut client = Client::connect(gateway.address);
        client.write(format!("{HANDSHAKE}\r\n"));
        let response = client.response("GET");
        assert_eq!(status_and_code(&response), (expected.0, expected.1.into()));
        // The connection has not left HTTP.
        client.write(format!("{HANDSHAKE}\r\n"));
        assert_eq!(client.response("GET").status, expected.0);
    }
    let origin = Origin::says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = send(gateway.address, format!("{HANDSHAKE}\r\n"));
    assert_eq!((response.status, response.text().as_str(), response.header("upgrade")), (200, "ok", None));
}

#[test]
fn an_upgrade_that_the_route_does_not_permit_is_refused() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::start(&format!(
        "[defaults]\nupgrades = [\"acme\"]\n[backends.o]\nendpoints = [\"http://{0}\"]\n[[routes]]\npath = \"/chat\"\nbackend = \"o\"\n\
         [[routes]]\npath = \"/none\"\nbackend = \"o\"\nupgrades = []\n",
        origin.address
    ));
    for path in ["/chat", "/none"] {
        let response = send(gateway.address, format!("{}\r\n", HANDSHAKE.replace("/chat", path)));
        assert_eq!(status_and_code(&response), (501, "NOT_IMPLEMENTED".into()));
    }
    assert_eq!(origin.connections(), 0, "nothing becomes a plain GET");
    // Another protocol is an offer that a server may ignore.
    let response = send(gateway.address, format!("{}\r\n", HANDSHAKE.replace("Upgrade: websocket", "Upgrade: h2c")));
    assert_eq!(response.status, 200);
    assert!(!origin.requests()[0].to_lowercase().contains("upgrade"));
}

#[test]
fn a_handshake_that_is_not_valid_is_refused() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let key = format!("Sec-WebSocket-Key: {KEY}\r\n");
    let bad = [
        ("HTTP/1.0", HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0")),
        ("no Connection", HANDSHAKE.replace("keep-alive, Upgrade", "keep-alive")),
        ("no key", HANDSHAKE.replace(&key, "")),
        ("two keys", format!("{HANDSHAKE}{key}")),
        ("a short key", HANDSHAKE.replace(KEY, "dGhlIHNhbXBsZQ==")),
        ("no base64", HANDSHAKE.replace(KEY, "dGhlIHNhbXBsZSBub25jZ!==")),
        ("a length", format!("{HANDSHAKE}Content-Length: 5\r\n")),
        ("chunks", format!("{HANDSHAKE}Transfer-Encoding: chunked\r\n")),
    ];
    for (what, head) in bad {
        let response = send(gateway.address, format!("{head}\r\n5\r\nhello\r\n0\r\n\r\n"));
        assert_eq!(status_and_code(&response), (400, "BAD_REQUEST".into()), "{what}");
    }
    let response = send(gateway.address, format!("{}\r\n", HANDSHAKE.replace("GET", "OPTIONS")));
    assert_eq!((response.status, assert_contract("OPTIONS", &response)), (400, "BAD_REQUEST".into()));
    for version in ["Version: 8", "Version: 13, 8", "Version: 13\r\nSec-WebSocket-Version: 13", "Versions: 13"] {
        let response = send(gateway.address, format!("{}\r\n", HANDSHAKE.replace("Version: 13", version)));
        assert_eq!(status_and_code(&response), (426, "UPGRADE_REQUIRED".into()), "{version}");
        assert_eq!((response.header("sec-websocket-version"), response.header("upgrade")), (Some("13"), Some("websocket")));
        assert_eq!(response.header("connection"), Some("Upgrade"));
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn bytes_that_come_early_on_either_side_are_passed_on_in_order() {
    let origin = Origin::start(|conversation| {
        // Pushed in one piece with the 101.
        conversation.write([switching(ACCEPT).as_bytes(), HELLO].concat());
        while conversation.rest.len() < 3002 {
            let mut piece = [0; 4096];
            let read = conversation.stream.read(&mut piece).unwrap();
            conversation.rest.extend_from_slice(&piece[..read]);
        }
        let rest = conversation.rest.clone();
        conversation.say(rest);
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let early: Vec<u8> = (0..3000).map(|at| at as u8).collect();
    let mut client = upgraded(&gateway, &early);
    client.write(b"!!");
    assert_eq!(client.bytes(7), HELLO);
    assert_eq!(client.bytes(3002), [&early[..], b"!!"].concat());
    assert!(client.is_closed());
}

#[test]
fn early_bytes_are_bounded_until_the_upstream_has_answered() {
    let (answer, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |conversation| {
        wait.lock().unwrap().recv().unwrap();
        conversation.write(switching(ACCEPT));
        let mut all = rest_of(&mut conversation.stream);
        all.splice(..0, conversation.rest.drain(..));
        conversation.say(all.len().to_string());
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = Client::connect(gateway.address);
    client.write(format!("{HANDSHAKE}\r\n"));
    origin.wait_for_requests(1);
    let mut writer = client.stream.try_clone().unwrap();
    writer.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let (piece, mut sent) = (vec![0; 64 * 1024], 0);
    while let Ok(written) = writer.write(&piece) {
        sent += written;
        assert!(sent < 64 << 20, "the gateway takes whatever comes");
    }
    answer.send(()).unwrap();
    assert_eq!(client.response("GET").status, 101);
    client.stream.shutdown(Shutdown::Write).unwrap();
    let said = client.bytes(usize::MAX);
    assert_eq!(String::from_utf8(said).unwrap(), sent.to_string());
}

#[test]
fn each_direction_ends_by_itself() {
    let origin = accepting(|conversation| {
        let all = rest_of(&mut conversation.stream);
        conversation.say([b"after the end: ", &all[..]].concat());
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let mut client = upgraded(&gateway, b"");
    client.write(b"last words");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.bytes(25), b"after the end: last words");
    assert!(client.is_closed());
    let line = gateway.log_line(&["/chat"]);
    assert_eq!((&line["tunnelEnd"], &line["bytesIn"], &line["bytesOut"]), (&"client".into(), &10.into(), &25.into()), "{line}");
}

#[test]
fn a_side_that_leaves_ends_the_other() {
    let (ended, end) = std::sync::mpsc::channel();
    let ended = std::sync::Mutex::new(ended);
    let origin = accepting(move |conversation| {
        rest_of(&mut conversation.stream);
        ended.lock().unwrap().send(()).unwrap();
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for reset in [false, true] {
        let client = upgraded(&gateway, b"");
        if reset {
            socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(client);
        end.recv_timeout(PATIENCE).unwrap();
    }
    for reset in [false, true] {
        let origin = accepting(move |conversation| {
            conversation.write(HELLO);
            let mut piece = [0];
            let _ = conversation.stream.read(&mut piece);
            if reset {
                conversation.reset();
            }
        });
        let gateway = GatewayUnderTest::in_front_of(origin.address, "");
        let mut client = upgraded(&gateway, b"");
        assert_eq!(client.bytes(7), HELLO);
        client.write(b"x");
        assert!(client.is_closed());
        assert_eq!(gateway.log_line(&["/chat"])["tunnelEnd"], "upstream", "reset: {reset}");
    }
}

#[test]
fn a_side_that_reads_nothing_stops_the_other() {
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
        // The client reads again: everything that was taken arrives.
        conversation.stream.set_write_timeout(Some(PATIENCE)).unwrap();
        conversation.stream.write_all(&sent.to_be_bytes()).unwrap();
        conversation.say(b"");
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\nidle_timeout = \"100ms\"\ntotal_timeout = \"1s\"\n");
    let mut client = upgraded(&gateway, b"");
    is_blocked.recv_timeout(PATIENCE).unwrap();
    let all = client.bytes(usize::MAX);
    let (data, told) = all.split_at(all.len() - 8);
    assert_eq!(data.len() as u64, u64::from_be_bytes(told.try_into().unwrap()));
    assert!(data.iter().all(|byte| *byte == 7));
}

/// A close frame with status 1001, as a client reads it.
fn assert_going_away(frame: &[u8]) {
    assert_eq!((frame[0], usize::from(frame[1]), &frame[2..4]), (0x88, frame.len() - 2, &[0x03, 0xe9][..]), "{frame:?}");
}

/// The same, as a server reads it: masked.
fn assert_masked_going_away(frame: &[u8]) {
    assert_eq!((frame[0], usize::from(frame[1])), (0x88, 0x80 + frame.len() - 6), "{frame:?}");
    assert_eq!([frame[6] ^ frame[2], frame[7] ^ frame[3]], [0x03, 0xe9], "{frame:?}");
}

#[test]
fn a_silent_tunnel_ends_with_a_close_frame_on_both_sides() {
    let (told, tell) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let origin = accepting(move |conversation| {
        let rest = rest_of(&mut conversation.stream);
        told.lock().unwrap().send(rest).unwrap();
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[defaults]\nwebsocket_idle_timeout = \"1s\"\n");
    let mut client = upgraded(&gateway, b"");
    // A tunnel in use stays open.
    for _ in 0..6 {
        client.write(b"\x89\x80aaaa");
        crate::harness::wait::let_time_pass(Duration::from_millis(250));
    }
    assert_going_away(&client.bytes(usize::MAX));
    let received = tell.recv_timeout(PATIENCE).unwrap();
    assert_masked_going_away(&received[36..]);
    assert_eq!(gateway.log_line(&["/chat"])["tunnelEnd"], "idle");
}

#[test]
fn the_end_of_a_drain_closes_both_sides_with_1001() {
    let (told, tell) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let origin = accepting(move |conversation| {
        let rest = rest_of(&mut conversation.stream);
        told.lock().unwrap().send(rest).unwrap();
    });
    let listen = "[listen]\ndrain_delay = \"off\"\ndrain_timeout = \"300ms\"\n";
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, listen);
    let mut client = upgraded(&gateway, b"");
    let mut within = upgraded(&gateway, b"\x81\x85aaaahe");
    gateway.begin_stop();
    assert_going_away(&client.bytes(usize::MAX));
    assert_going_away(&within.bytes(usize::MAX));
    let mut received = [tell.recv_timeout(PATIENCE).unwrap(), tell.recv_timeout(PATIENCE).unwrap()];
    received.sort();
    // One client is within a frame: nothing can be added for the upstream.
    assert_eq!(received[0], b"\x81\x85aaaahe");
    assert_masked_going_away(&received[1]);
    assert_eq!(gateway.log_line(&["/chat"])["tunnelEnd"], "drain");
    assert!(!gateway.stopped(), "it did not end by itself");
}

#[test]
fn a_client_library_understands_the_end_of_a_drain() {
    let mut gateway = GatewayUnderTest::in_front_of(echo_server(), "[listen]\ndrain_delay = \"off\"\ndrain_timeout = \"200ms\"\n");
    let mut socket = connect(&gateway);
    socket.send(Message::text("hello")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("hello"));
    gateway.begin_stop();
    let Message::Close(Some(close)) = socket.read().unwrap() else { panic!("no close frame") };
    assert_eq!(close.code, CloseCode::Away);
}

#[test]
fn a_tunnel_holds_its_permits_for_as_long_as_it_lives() {
    let origin = accepting(|conversation| drop(rest_of(&mut conversation.stream)));
    let keys = ["max_in_flight = 1\nqueue = { max = 0 }\n", "pool = { max_connections = 1, max_idle = 1, idle_timeout = \"1s\" }\n"];
    for (keys, code) in keys.iter().zip(["OVERLOADED", "OVERLOADED"]) {
        let gateway = GatewayUnderTest::start(&format!(
            "[backends.o]\nendpoints = [\"http://{}\"]\nconnect_timeout = \"300ms\"\n{keys}[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
            origin.address
        ));
        let first = upgraded(&gateway, b"");
        let response = send(gateway.address, format!("{HANDSHAKE}\r\n"));
        assert_eq!(status_and_code(&response), (503, code.into()), "{keys}");
        drop(first);
        gateway.log_line(&["\"status\":101"]);
        upgraded(&gateway, b"");
    }
}

/// Asks for a tunnel from this address of the loopback network.
fn asked_from(source: [u8; 4], gateway: &GatewayUnderTest) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&gateway.address.into()).unwrap();
    let mut client = Client::connect(gateway.address);
    client.stream = socket.into();
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write(format!("{HANDSHAKE}\r\n"));
    client
}

#[test]
fn the_tunnels_of_one_client_leave_connections_for_others() {
    let origin = accepting(|conversation| drop(rest_of(&mut conversation.stream)));
    let gateway = GatewayUnderTest::start(&format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\nconnect_timeout = \"300ms\"\n\
         pool = {{ max_connections = 8, max_idle = 8, idle_timeout = \"1s\" }}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    ));
    let mut tunnels: Vec<Client> = (0..7).map(|_| asked_from([127, 0, 0, 1], &gateway)).collect();
    assert!(tunnels.iter_mut().all(|client| client.response("GET").status == 101));
    let response = asked_from([127, 0, 0, 1], &gateway).response("GET");
    assert_eq!(status_and_code(&response), (503, "OVERLOADED".into()));
    assert_eq!(asked_from([127, 0, 0, 2], &gateway).response("GET").status, 101, "another client has its share");
}

#[test]
fn another_protocol_is_a_tunnel_without_frames() {
    let (told, tell) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let origin = Origin::start(move |conversation| {
        conversation.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ACME/2\r\n\r\nwelcome");
        let rest = rest_of(&mut conversation.stream);
        told.lock().unwrap().send((conversation.head.clone(), rest)).unwrap();
    });
    let more = "[defaults]\nupgrades = [\"acme/2\"]\nwebsocket_idle_timeout = \"300ms\"\n";
    let gateway = GatewayUnderTest::in_front_of(origin.address, more);
    let mut client = Client::connect(gateway.address);
    client.write("GET /a HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: other, Acme/2\r\n\r\n");
    assert_eq!(client.response("GET").status, 101);
    assert_eq!(client.bytes(7), b"welcome");
    client.write(b"hello");
    assert!(client.is_closed());
    let (head, rest) = tell.recv_timeout(PATIENCE).unwrap();
    assert!(head.to_lowercase().contains("\r\nupgrade: acme/2\r\n"), "{head}");
    assert_eq!(rest, b"hello");
    let with_body = "POST /a HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: acme/2\r\nContent-Length: 1\r\n\r\nx";
    let response = send(gateway.address, with_body);
    assert_eq!((response.status, assert_contract("POST", &response)), (400, "BAD_REQUEST".into()));
}

#[test]
fn server_sent_events_and_long_polls_are_not_buffered() {
    let origin = Origin::start(|conversation| {
        let kind = if conversation.head.starts_with("GET /events") { "text/event-stream" } else { "application/json" };
        conversation.write(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n"));
        // The second part follows when the client has the first.
        conversation.next_head();
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    for path in ["/events", "/poll"] {
        let mut client = Client::connect(gateway.address);
        client.write(format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n"));
        client.wait_for("first\n");
    }
}
