//! Tests limits that several gateways share, with a real `redis-server`: the same decisions as a local limit, one quota for three gateways,
//! and all failures of the store.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lockgate::limit::shared::{Address, StoreClient};
use lockgate::limit::{Decision, Key, RateLimit, Settings, Window};

use super::{Named, quoted};
use crate::harness::contract::assert_contract;
use crate::harness::redis::Redis;
use crate::harness::wait::PATIENCE;
use crate::harness::{Client, GatewayUnderTest, Process, Temporary, eventually, get, send};

/// A limit wherever it is counted.
enum Subject {
    Local(RateLimit),
    Shared(StoreClient, Settings),
}

impl Subject {
    async fn check(&self, key: Key<'_>, cost: u32) -> Decision {
        let cost = NonZeroU32::new(cost).unwrap();
        match self {
            Self::Local(limit) => limit.check(key, cost),
            Self::Shared(store, settings) => {
                // The connection is made in the background.
                let deadline = Instant::now() + PATIENCE;
                loop {
                    match store.check(settings, key, cost).await {
                        Ok(decision) => return decision,
                        Err(error) => assert!(Instant::now() < deadline, "the store has decided nothing within {PATIENCE:?}: {error:?}"),
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

fn window(count: u32, seconds: u64, burst: u32) -> Window {
    let nonzero = |n| NonZeroU32::new(n).unwrap();
    Window { count: nonzero(count), window: Duration::from_secs(seconds), burst: nonzero(burst) }
}

/// What every limit does, wherever it is counted.
async fn conforms(make: impl Fn(&str, &[Window]) -> Subject) {
    let limit = make("burst", &[window(1, 3600, 3)]);
    for left in [2, 1, 0] {
        let decision = limit.check(Key::Global, 1).await;
        assert_eq!((decision.admitted, decision.remaining, decision.wait), (true, left, Duration::ZERO));
    }
    let refused = limit.check(Key::Global, 1).await;
    assert!(!refused.admitted && refused.wait > Duration::from_secs(3000) && refused.wait <= Duration::from_secs(3600), "{refused:?}");
    assert!(limit.check(Key::Value(b"other"), 1).await.admitted, "keys are told apart");
    assert!(limit.check(Key::Address([1; 8]), 1).await.admitted);

    let limit = make("cost", &[window(10, 3600, 10)]);
    assert_eq!(limit.check(Key::Global, 4).await.remaining, 6);
    assert_eq!(limit.check(Key::Global, 4).await.remaining, 2);
    assert!(!limit.check(Key::Global, 4).await.admitted, "not a part of it");
    assert!(limit.check(Key::Global, 2).await.admitted, "what was refused took nothing");
    assert!(!limit.check(Key::Value(b"k"), 11).await.admitted, "more than ever fits");

    let limit = make("windows", &[window(2, 60, 2), window(3, 3600, 3)]);
    let first = limit.check(Key::Global, 1).await;
    assert_eq!((first.window, first.remaining), (0, 1), "the window with the least left");
    assert!(limit.check(Key::Global, 1).await.admitted);
    for _ in 0..5 {
        let refused = limit.check(Key::Global, 1).await;
        assert_eq!((refused.admitted, refused.window), (false, 0), "the short one refuses, and the long one is not touched");
    }

    let limit = make("time", &[window(1, 1, 1)]);
    // On a machine that is slow the second may have a token again: sooner or later two come within a second.
    let mut refused = limit.check(Key::Global, 1).await;
    for _ in 0..100 {
        if !refused.admitted {
            break;
        }
        refused = limit.check(Key::Global, 1).await;
    }
    assert!(!refused.admitted && refused.wait <= Duration::from_secs(1), "{refused:?}");
    tokio::time::sleep(refused.wait).await;
    assert!(limit.check(Key::Global, 1).await.admitted, "after the wait that was named");
}

fn settings(name: &str, windows: &[Window]) -> Settings {
    Settings { name: name.into(), windows: windows.to_vec(), max_keys: 1000 }
}

#[tokio::test]
async fn a_limit_in_this_process_conforms() {
    conforms(|name, windows| Subject::Local(RateLimit::new(settings(name, windows)))).await;
}

#[tokio::test]
async fn a_limit_in_a_shared_store_conforms() {
    let redis = Redis::start();
    let store = StoreClient::new(Address::new(&redis.url(), false, Duration::from_secs(5)).unwrap());
    conforms(|name, windows| Subject::Shared(store.clone(), settings(name, windows))).await;
}

#[tokio::test]
async fn a_limit_in_a_cluster_conforms() {
    let nodes = Redis::cluster();
    let store = StoreClient::new(Address::new(&nodes[0].url(), true, Duration::from_secs(5)).unwrap());
    conforms(|name, windows| Subject::Shared(store.clone(), settings(name, windows))).await;
    // Keys of every node: one that is moved is followed.
    let limit = Subject::Shared(store, settings("spread", &[window(1, 3600, 1)]));
    for n in 0..50u8 {
        assert!(limit.check(Key::Value(&[n]), 1).await.admitted);
        assert!(!limit.check(Key::Value(&[n]), 1).await.admitted);
    }
}

fn config(origin: &str, store: &str, rate: &str, on_failure: &str) -> String {
    format!(
        "[redis]\nurl = \"{store}\"\non_failure = \"{on_failure}\"\n[limits.l]\nrate = \"{rate}\"\nkey = \"global\"\nstore = \"shared\"\n\
         [backends.o]\nendpoints = [{origin}]\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\nlimits = [\"l\"]\n"
    )
}

#[test]
fn combined_keys_are_shared() {
    let redis = Redis::start();
    let origin = Named::start("a");
    let text =
        config(&quoted(&origin), &redis.url(), "1/d", "deny").replace("key = \"global\"", "key = [\"header:X-Api-Key\", \"client-ip\"]");
    let gateways = [GatewayUnderTest::start(&text), GatewayUnderTest::start(&text)];
    let ask =
        |at: usize, key: &str| send(gateways[at].address, format!("GET / HTTP/1.1\r\nHost: a\r\n{key}Connection: close\r\n\r\n")).status;
    // Without the store nobody is admitted, and it is connected in the background.
    for at in [0, 1] {
        eventually("the store decides", || ask(at, &format!("X-Api-Key: first-{at}\r\n")) == 200);
    }
    for (key, status) in [("X-Api-Key: a\r\n", 200), ("X-Api-Key: b\r\n", 200), ("", 200)] {
        assert_eq!([ask(0, key), ask(1, key)], [status, 429], "{key}");
    }
}

#[test]
fn three_gateways_hold_one_quota() {
    let redis = Redis::start();
    let origin = Named::start("a");
    // A quarter of an hour gives ten requests back. A deadline that passes costs a request that was counted, so it is long.
    let text = config(&quoted(&origin), &redis.url(), "1000/d", "deny").replace("[redis]\n", "[redis]\ntimeout = \"1s\"\n");
    let path = Temporary::file("shared.toml", &format!("[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{text}"));
    let gateways: Vec<Process> = (0..3).map(|_| Process::start(&["run", "--config", path.to_str().unwrap()])).collect();
    let admitted = Arc::new(AtomicUsize::new(0));
    // Nobody uses up the quota before the store has decided for each of them.
    let decided = Arc::new(std::sync::Barrier::new(2 * gateways.len()));
    let clients = gateways.iter().flat_map(|gateway| [gateway.address; 2]).map(|address| {
        let (admitted, decided) = (Arc::clone(&admitted), Arc::clone(&decided));
        std::thread::spawn(move || {
            let mut client = Client::connect(address);
            let mut is_admitted = || {
                client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                let response = client.response("GET");
                if response.status != 200 {
                    assert_eq!(assert_contract("GET", &response), "RATE_LIMITED");
                    return false;
                }
                admitted.fetch_add(1, Ordering::SeqCst);
                true
            };
            // Without the store nobody is admitted, and it is connected in the background.
            eventually("the store decides", &mut is_admitted);
            decided.wait();
            for _ in 0..400 {
                is_admitted();
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let admitted = admitted.load(Ordering::SeqCst);
    let unanswered: u64 = gateways.iter().map(|gateway| outcomes(gateway.admin, "failed")).sum();
    assert!(admitted <= 1010, "{admitted} of 2400 admitted, the quota is 1000");
    assert!(admitted as u64 + unanswered >= 1000, "{admitted} of 2400 admitted, {unanswered} unanswered, the quota is 1000");
}

fn start(store: &str, rate: &str, on_failure: &str) -> (Named, GatewayUnderTest) {
    let origin = Named::start("a");
    let gateway = GatewayUnderTest::start(&config(&quoted(&origin), store, rate, on_failure));
    (origin, gateway)
}

fn outcomes(admin: SocketAddr, word: &str) -> u64 {
    let text = get(admin, "/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("lockgate_shared_limit_requests_total{{outcome=\"{word}\"}} ")));
    line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

/// Requests until the store has decided one.
fn until_decided(gateway: &GatewayUnderTest) {
    let before = outcomes(gateway.admin, "decided");
    eventually("the store decides", || {
        assert_eq!(get(gateway.address, "/").status, 200);
        outcomes(gateway.admin, "decided") > before
    });
}

/// Every request is served, and soon the store is not asked any more.
fn serves_without_the_store(gateway: &GatewayUnderTest) {
    let skipped = outcomes(gateway.admin, "skipped");
    for _ in 0..50 {
        assert_eq!(get(gateway.address, "/").status, 200);
    }
    assert!(outcomes(gateway.admin, "skipped") - skipped >= 40, "{skipped}");
}

#[test]
fn a_store_that_is_killed_frozen_or_read_only_costs_no_request() {
    let redis = Redis::start();
    let (_origin, gateway) = start(&redis.url(), "1000000/s", "local");
    until_decided(&gateway);

    redis.signal("-STOP");
    serves_without_the_store(&gateway);
    redis.signal("-CONT");
    until_decided(&gateway);

    assert!(redis.says("REPLICAOF 127.0.0.1 1").unwrap().starts_with("+OK"));
    serves_without_the_store(&gateway);
    assert!(redis.says("REPLICAOF NO ONE").unwrap().starts_with("+OK"));
    until_decided(&gateway);

    let address = redis.address;
    drop(redis);
    serves_without_the_store(&gateway);
    let _redis = Redis::start_at(address);
    until_decided(&gateway);
}

#[test]
fn a_connection_that_the_store_closes_is_made_anew() {
    let redis = Redis::start();
    let (_origin, gateway) = start(&redis.url(), "1000000/s", "local");
    for _ in 0..3 {
        until_decided(&gateway);
        assert!(redis.says("CLIENT KILL TYPE normal SKIPME yes").unwrap().starts_with(':'));
    }
    until_decided(&gateway);
}

#[test]
fn a_store_that_is_not_there_at_the_start_is_found_later_and_not_stormed() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_origin, gateway) = start(&format!("redis://{address}"), "1000000/s", "local");
    serves_without_the_store(&gateway);
    let _redis = Redis::start_at(address);
    until_decided(&gateway);
}

/// A store that answers every command by other means.
fn impostor(behave: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let behave = Arc::new(behave);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let behave = Arc::clone(&behave);
            std::thread::spawn(move || behave(&mut stream));
        }
    });
    address
}

#[test]
fn a_store_that_talks_garbage_costs_no_request() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let garbage = impostor(move |stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        let mut command = [0; 4096];
        while matches!(stream.read(&mut command), Ok(read) if read > 0) {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let (_origin, gateway) = start(&format!("redis://{garbage}"), "1000000/s", "local");
    for _ in 0..50 {
        assert_eq!(get(gateway.address, "/").status, 200);
    }
    assert_eq!(outcomes(gateway.admin, "decided"), 0);
    let connections = connections.load(Ordering::SeqCst);
    assert!(connections < 10, "{connections} connections for 50 requests");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the store's slowness is what is tested; nothing waits for it to be over")]
fn a_slow_store_costs_no_request() {
    let redis = Redis::start();
    let behind = redis.address;
    // Every decision comes five seconds late: later than the deadline.
    let slow = impostor(move |stream| {
        let mut store = TcpStream::connect(behind).unwrap();
        let (mut back, mut client) = (store.try_clone().unwrap(), stream.try_clone().unwrap());
        let asked = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut command = [0; 4096];
            while let Ok(read @ 1..) = client.read(&mut command) {
                told.fetch_or(command[..read].windows(4).any(|word| word == b"EVAL"), Ordering::SeqCst);
                if store.write_all(&command[..read]).is_err() {
                    return;
                }
            }
        });
        let mut answer = [0; 4096];
        while let Ok(read @ 1..) = back.read(&mut answer) {
            if asked.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_secs(5));
            }
            if stream.write_all(&answer[..read]).is_err() {
                return;
            }
        }
    });
    let (_origin, gateway) = start(&format!("redis://{slow}"), "1000000/s", "local");
    eventually("a decision does not come in time", || {
        assert_eq!(get(gateway.address, "/").status, 200);
        outcomes(gateway.admin, "failed") > 0
    });
    for _ in 0..50 {
        assert_eq!(get(gateway.address, "/").status, 200);
    }
    assert_eq!(outcomes(gateway.admin, "decided"), 0);
}

#[test]
fn without_a_store_the_operator_decides() {
    let nowhere = format!("redis://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let statuses = |on_failure: &str| {
        let (_origin, gateway) = start(&nowhere, "2/d", on_failure);
        let mut all = Vec::new();
        for _ in 0..4 {
            let response = get(gateway.address, "/");
            if response.status != 200 {
                assert_eq!(assert_contract("GET", &response), "RATE_LIMITED");
            }
            all.push(response.status);
        }
        all
    };
    assert_eq!(statuses("local"), [200, 200, 429, 429]);
    assert_eq!(statuses("allow"), [200; 4]);
    assert_eq!(statuses("deny"), [429; 4]);
}

#[test]
fn a_shared_limit_needs_a_store() {
    let with_store = config("\"http://127.0.0.1:1\"", "redis://127.0.0.1:1", "1/s", "local");
    let without = with_store.split_once("[limits.l]").map(|(_, rest)| format!("[limits.l]{rest}")).unwrap();
    assert!(lockgate::plan::compile::from_text(&with_store, &|_| None).is_ok());
    let problems = lockgate::plan::compile::from_text(&without, &|_| None).unwrap_err();
    assert!(problems.iter().any(|problem| problem.title.contains("needs [redis]")), "{problems:?}");
}
