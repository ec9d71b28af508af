//! Budgets for memory: how often a request may allocate, what an idle connection may hold, and that a burst leaves nothing
//! behind. Counted, not timed: the figures are the same on every machine. A change that needs more raises its budget here, and
//! says why in its commit.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests say what must hold by unwrapping it")]

mod counting;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use lockgate::app::App;
use lockgate::observe::recorder::LineSettings;
use lockgate::observe::writer::Sink;
use lockgate::plan::compile;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Allocations of one request, the whole process but the test's own threads.
const OF_A_SUCCESS: f64 = 11.5;
// Its body is read before a connection is taken, and holds its share of the memory for bodies.
const OF_A_POST: f64 = 22.5;
/// All of what the backend wrote is masked and ranked, not its first 2 KiB.
const OF_A_REWRITTEN_500: f64 = 58.5;
const OF_A_REWRITTEN_404: f64 = 162.0;
const OF_A_REFUSED_429: f64 = 43.5;
/// Bytes that live for an idle connection of a client.
const OF_AN_IDLE_CONNECTION: i64 = 1_600;

const WARM: usize = 300;
const REQUESTS: usize = 1_000;

/// One test, so that nothing else runs in the process.
#[test]
fn memory_is_within_its_budgets() {
    counting::leave_out_this_thread();
    let gateway = gateway(origin());
    // The first error waits for the patterns: they are compiled when the counting begins.
    allocations(gateway, "GET /404 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut over = Vec::new();
    for (name, budget, request) in [
        ("a success", OF_A_SUCCESS, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a POST", OF_A_POST, "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
        ("a rewritten 500", OF_A_REWRITTEN_500, "GET /500 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a rewritten 404", OF_A_REWRITTEN_404, "GET /404 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a 429", OF_A_REFUSED_429, "GET /limited HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        let spent = allocations(gateway, request);
        println!("{name}: {spent:.2} allocations, budget {budget}");
        if spent > budget {
            over.push(format!("{name}: {spent:.2} allocations, budget {budget}"));
        }
    }
    let idle = idle_connections(gateway);
    println!("an idle connection: {idle} bytes, budget {OF_AN_IDLE_CONNECTION}");
    assert!(over.is_empty() && idle <= OF_AN_IDLE_CONNECTION, "{over:#?}, {idle} bytes of an idle connection");
}

/// Allocations of one request on a connection that is warm.
fn allocations(gateway: SocketAddr, request: &str) -> f64 {
    let mut client = BufReader::new(TcpStream::connect(gateway).unwrap());
    let mut send = |times: usize| {
        for _ in 0..times {
            client.get_mut().write_all(request.as_bytes()).unwrap();
            answer(&mut client);
        }
    };
    send(WARM);
    let before = counting::calls();
    send(REQUESTS);
    (counting::calls() - before) as f64 / REQUESTS as f64
}

/// Bytes that live for one of many idle connections, once they are parked; and all of it is gone when they close.
fn idle_connections(gateway: SocketAddr) -> i64 {
    const COUNT: i64 = 200;
    let before = counting::live();
    let open = || {
        let mut client = BufReader::new(TcpStream::connect(gateway).unwrap());
        client.get_mut().write_all(b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        answer(&mut client);
        client
    };
    let clients: Vec<_> = (0..COUNT).map(|_| open()).collect();
    let held = settled(|| (counting::live() - before) / COUNT, |held| held <= OF_AN_IDLE_CONNECTION);
    drop(clients);
    // What stays is not the connections': tables that grew, buffers of the log.
    let left = settled(|| (counting::live() - before) / COUNT, |left| left <= OF_AN_IDLE_CONNECTION / 4);
    assert!(left <= OF_AN_IDLE_CONNECTION / 4, "{left} bytes are left of each connection that is closed");
    held
}

/// The value once it is good, or as it is after ten seconds.
fn settled(value: impl Fn() -> i64, good: impl Fn(i64) -> bool) -> i64 {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let now = value();
        if good(now) || Instant::now() > deadline {
            return now;
        }
        std::thread::yield_now();
    }
}

/// Reads one answer to its end.
fn answer(from: &mut BufReader<TcpStream>) {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        assert!(from.read_line(&mut line).unwrap() > 0, "the gateway closed the connection");
        let lower = line.to_ascii_lowercase();
        length = lower.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).unwrap();
}

/// An origin that keeps its connections.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        counting::leave_out_this_thread();
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                counting::leave_out_this_thread();
                serve(BufReader::new(stream.unwrap()));
            });
        }
    });
    address
}

fn serve(mut client: BufReader<TcpStream>) {
    let page = format!("<html><body><pre>{}</pre></body></html>", "at com.acme.orders.OrderDao.save(OrderDao.java:118)\n".repeat(190));
    let json = r#"{"error":"ORDER_MISSING","message":"Order 7 is not here.","traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}"#;
    let response = |status: &str, kind: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nServer: old\r\n\r\n{body}", body.len())
    };
    let (ok, failed, missing) = (
        response("200 OK", "text/plain", "hello, world: this is a small answer of an origin."),
        response("500 Internal Server Error", "text/html", &page),
        response("404 Not Found", "application/json", json),
    );
    loop {
        let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if client.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            }
            let lower = line.to_ascii_lowercase();
            length = lower.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).unwrap();
        let answer = match path.as_str() {
            "/500" => &failed,
            "/404" => &missing,
            _ => &ok,
        };
        client.get_mut().write_all(answer.as_bytes()).unwrap();
    }
}

/// A gateway with every default feature, in a thread of its own until the process ends.
fn gateway(origin: SocketAddr) -> SocketAddr {
    let toml = format!(
        // The thread of the journal allocates what it keeps; the budgets are those of requests.
        "[listen]\nworkers = 1\n[journal]\nenabled = false\n[backends.o]\nendpoints = [\"http://{origin}\"]\npool = {{ idle_timeout = \"60s\" }}\n\
         [limits.each]\nrate = \"1000000/s\"\nkey = \"client-ip\"\n[limits.none]\nrate = \"1/d\"\n\
         [[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\nlimits = [\"each\"]\n\
         [[routes]]\nname = \"limited\"\npath = \"/limited\"\nbackend = \"o\"\nlimits = [\"none\"]\n"
    );
    let mut plan = compile::from_text(&toml, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    plan.listen.http = vec!["127.0.0.1:0".parse().unwrap()];
    plan.listen.admin = "127.0.0.1:0".parse().unwrap();
    let (started, starting) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let sink = Sink::start(std::io::sink(), Arc::new(AtomicU64::new(0))).unwrap();
            let lines = LineSettings::default();
            let app = App::start(plan, sink, lines).unwrap();
            started.send(app.addresses[0]).unwrap();
            std::future::pending::<()>().await;
        });
    });
    starting.recv().unwrap()
}
