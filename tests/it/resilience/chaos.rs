//! Tests endpoints that fail under load and return, and a new configuration under load.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lockgate::config::expand::Surroundings;
use lockgate::plan::compile;

use super::gateway;
use crate::harness::contract::assert_contract;
use crate::harness::{Client, GatewayUnderTest, eventually};

/// An origin that can be killed, connections and all, and started again at its address.
struct Mortal {
    address: SocketAddr,
    alive: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    served: Arc<AtomicUsize>,
    /// Connections that are served now.
    serving: Arc<AtomicUsize>,
}

impl Mortal {
    fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mortal = Self { address, alive: Arc::default(), open: Arc::default(), served: Arc::default(), serving: Arc::default() };
        mortal.revive();
        mortal
    }

    fn revive(&self) {
        let listener = TcpListener::bind(self.address).unwrap();
        self.alive.store(true, Ordering::SeqCst);
        let (alive, open, served) = (Arc::clone(&self.alive), Arc::clone(&self.open), Arc::clone(&self.served));
        let serving = Arc::clone(&self.serving);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if !alive.load(Ordering::SeqCst) {
                    return;
                }
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let (served, serving) = (Arc::clone(&served), Arc::clone(&serving));
                serving.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    serve(stream, &served);
                    serving.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
    }

    fn kill(&self) {
        self.alive.store(false, Ordering::SeqCst);
        // Wakes the accept, which closes the listener.
        eventually("the listener is closed", || TcpStream::connect(self.address).is_err());
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        eventually("no request is served any more", || self.serving.load(Ordering::SeqCst) == 0);
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, served: &AtomicUsize) {
    use std::io::{Read, Write};
    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        seen.extend_from_slice(&piece[..read]);
        while let Some(end) = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            seen.drain(..end + 4);
            served.fetch_add(1, Ordering::SeqCst);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }
}

/// Requests of one kind on connections that stay, until told to stop or dropped; each client counts its failures.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<std::thread::JoinHandle<usize>>,
}

impl Load {
    fn start(gateway: &GatewayUnderTest, method: &'static str, clients: usize) -> Self {
        let (stop, address) = (Arc::new(AtomicBool::new(false)), gateway.address);
        let one = |stop: Arc<AtomicBool>| {
            std::thread::spawn(move || {
                let (mut client, mut failures) = (Client::connect(address), 0);
                while !stop.load(Ordering::SeqCst) {
                    client.write(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
                    let response = client.response(method);
                    if response.status != 200 {
                        assert_contract(method, &response);
                        failures += 1;
                    }
                }
                failures
            })
        };
        Self { clients: (0..clients).map(|_| one(Arc::clone(&stop))).collect(), stop }
    }

    /// Stops; the failures of all clients.
    fn end(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.drain(..).map(|client| client.join().unwrap()).sum()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

#[test]
fn an_endpoint_that_dies_under_load_costs_what_was_in_flight_and_comes_back_without_an_error() {
    let mortals = [Mortal::start(), Mortal::start(), Mortal::start()];
    let endpoints: Vec<String> = mortals.iter().map(|mortal| format!("\"http://{}\"", mortal.address)).collect();
    let gateway = gateway(&endpoints, "slow_start = \"200ms\"", "retry = { on = [\"connect\", \"lost\"] }", "");
    let (gets, posts) = (Load::start(&gateway, "GET", 4), Load::start(&gateway, "POST", 4));
    let first = &mortals[0];
    eventually("the first endpoint has served 100 requests", || first.served() >= 100);
    first.kill();
    let (killed, others) = (first.served(), || mortals[1].served() + mortals[2].served());
    let goal = others() + 500;
    eventually("the others have served 500 more", || others() >= goal);
    assert_eq!(first.served(), killed);
    first.revive();
    eventually("the first endpoint serves again", || first.served() >= killed + 50);
    let failed = gets.end();
    assert_eq!(failed, 0, "idempotent requests are sent again");
    let lost = posts.end();
    assert!(lost <= 4, "{lost} lost, four were in flight");
}

#[test]
fn a_reload_keeps_what_is_known_of_an_endpoint() {
    let health = "[backends.o.health]\npath = \"/health\"\n";
    let text = |endpoints: &str| format!("[backends.o]\nendpoints = [{endpoints}]\n{health}[[routes]]\npath = \"/*\"\nbackend = \"o\"\n");
    let (a, b, c) = ("\"http://10.0.0.1:80\"", "\"http://10.0.0.2:80\"", "\"http://10.0.0.3:80\"");
    let first = compile::from_text(&text(&format!("{a}, {b}")), &|_| None).unwrap();
    let before = first.backends[0].endpoints();
    before[0].health.set(false, tokio::time::Instant::now());
    let next = compile::successor(&text(&format!("{a}, {c}")), &Surroundings::of_text(&|_| None), Some(&first)).unwrap();
    let after = next.backends[0].endpoints();
    assert!(Arc::ptr_eq(&before[0], &after[0]) && !after[0].health.is_healthy(), "the same endpoint, still unhealthy");
    assert!(after[1].health.is_healthy() && !after.iter().any(|endpoint| Arc::ptr_eq(endpoint, &before[1])));
    let changed = text(a).replace("[backends.o.health]", "pool = { max_connections = 7 }\n[backends.o.health]");
    let other = compile::successor(&changed, &Surroundings::of_text(&|_| None), Some(&first)).unwrap();
    assert!(!Arc::ptr_eq(&before[0], &other.backends[0].endpoints()[0]), "other bounds, other connections");
    let unprobed = compile::successor(&text(a).replace(health, ""), &Surroundings::of_text(&|_| None), Some(&first)).unwrap();
    assert!(unprobed.backends[0].endpoints()[0].health.is_healthy(), "nobody would ever find it well again");
}
