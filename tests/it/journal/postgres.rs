//! What only the store in PostgreSQL can show: several gateways, a database that is away, and one that comes back.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use lockgate::journal::entry::Entry;
use lockgate::journal::postgres::PostgresStore;
use lockgate::journal::query::GroupEvent;
use lockgate::journal::store::{Store, StoreError};

use super::conformance::{KEEP, prune};
use super::entry;
use crate::harness::{eventually, postgres::Postgres};

fn store(url: &str) -> PostgresStore {
    PostgresStore::new(url, 1 << 30, KEEP).unwrap()
}

#[test]
fn several_gateways_share_one_journal() {
    let url = Postgres::shared().database();
    let write = |gateway: &str| {
        let store = store(&url);
        let mut new = 0;
        for batch in 0..10 {
            let id = |n: u64| format!("{gateway}-{batch}-{n}");
            let batch: Vec<Entry> = (0..20).map(|n| Entry { gateway: gateway.into(), ..entry(&id(n), batch * 20 + n) }).collect();
            new += store.write(&batch).unwrap().into_iter().filter(|event| matches!(event, GroupEvent::New(_))).count();
        }
        new
    };
    // All of them make the tables at once.
    let new: usize = std::thread::scope(|scope| {
        let gateways: Vec<_> = ["a", "b", "c"].into_iter().map(|name| scope.spawn(move || write(name))).collect();
        gateways.into_iter().map(|gateway| gateway.join().unwrap()).sum()
    });
    let store = store(&url);
    assert_eq!((new, store.usage().unwrap().entries, store.group("f1").unwrap().unwrap().count), (1, 600, 600));
    assert_eq!(store.find("b-9-19").unwrap().unwrap().gateway, "b");
}

#[test]
fn a_dead_database_is_said_quickly() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = store(&format!("postgres://lockgate@{closed}/x"));
    assert!(matches!(dead.write(&[entry("a", 1)]), Err(StoreError::Unavailable { .. })));
    // The second one is not even tried.
    let error = dead.write(&[entry("a", 1)]).unwrap_err().to_string();
    assert!(error.contains("the last attempt to connect has failed"), "{error}");
    assert!(dead.find("a").is_err());
}

#[test]
fn a_silent_database_is_given_up() {
    // Accepts connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = store(&format!("postgres://lockgate@{}/x?sslmode=disable", silent.local_addr().unwrap()));
    let begin = Instant::now();
    assert!(matches!(store.write(&[entry("a", 1)]), Err(StoreError::Unavailable { .. })));
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_database_that_comes_back_is_used_again() {
    let server = Postgres::shared();
    let url = server.database();
    let store = store(&url);
    store.write(&[entry("a", 1)]).unwrap();
    server.execute(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    eventually("the store writes again", || store.write(&[entry("b", 2)]).is_ok());
    assert!(store.find("a").unwrap().is_some() && store.find("b").unwrap().is_some());
}

#[test]
fn tables_of_a_later_version_are_left_alone() {
    let server = Postgres::shared();
    let url = server.database();
    store(&url).write(&[entry("a", 1)]).unwrap();
    server.execute(&url, "UPDATE lockgate_version SET version = 99");
    let error = store(&url).find("a").unwrap_err().to_string();
    assert!(error.contains("later version"), "{error}");
}

#[test]
fn the_oldest_entries_go_when_there_is_no_room() {
    let url = Postgres::shared().database();
    let small = PostgresStore::new(&url, 100_000, KEEP).unwrap();
    small.write(&(0..1500).map(|n| entry(&format!("r{n}"), n)).collect::<Vec<_>>()).unwrap();
    assert!(small.usage().unwrap().bytes > 100_000);
    let removed = prune(&small, 1500);
    let usage = small.usage().unwrap();
    assert!(usage.bytes <= 100_000 && usage.entries + removed == 1500 && usage.entries > 20, "{usage:?}");
    assert!(small.find("r1499").unwrap().is_some() && small.find("r0").unwrap().is_none());
}

#[test]
fn tls_is_demanded_or_refused() {
    let url = Postgres::shared().database().replace("sslmode=disable", "sslmode=require");
    let error = store(&url).find("a").unwrap_err().to_string();
    assert!(error.to_lowercase().contains("tls"), "{error}");
    let error = PostgresStore::new("postgres://me:hunter2@[", 1, 1).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}
