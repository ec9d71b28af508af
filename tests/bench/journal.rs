//! Measures the store of the error journal in a file: entries per second with their cost in CPU time, and questions with many entries.
//!
//! `cargo bench --bench journal` writes 5,000 entries a second for 30 seconds, and then asks with 1,000,000 entries. Environment: `ENTRIES`
//! (1000000), `SECONDS` (30; zero leaves the first part out), `RATE` (5000), `FOLDER` (that of temporary files).
#![allow(missing_docs, reason = "a bench has no outside")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a bench tells and stops")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lockgate::journal::Entry;
use lockgate::journal::fingerprint;
use lockgate::journal::query::{CountQuery, Filter, GroupOrder, GroupQuery, ListQuery, Step};
use lockgate::journal::sqlite::SqliteStore;
use lockgate::journal::store::Store;

const KEEP: u64 = 30 * 24 * 3_600_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

/// An entry of about 6 KB: one of 300 faults, with ids of its own.
fn entry(n: u64, at: u64) -> Entry {
    let hash = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let fault = (hash >> 40) % 300;
    let route = ["shop", "pay", "search", "users", "stock"][(fault % 5) as usize];
    let own = (0..4).map(|depth| format!("\tat com.acme.{route}.Service{fault}.step{depth}(Service{fault}.java:{})\n", 10 + depth));
    let library = (0..25).map(|depth| format!("\tat org.springframework.web.Filter{depth}.doFilter(Filter{depth}.java:{})\n", 100 + depth));
    let stack: String = std::iter::once(format!("com.acme.Order{fault}Exception: failed\n")).chain(own).chain(library).collect();
    let message = format!("order {hash:016x} of customer {} cannot be paid: step {fault} failed", hash % 1_000_000);
    let header = |name: &str, value: String| (name.to_owned(), value);
    let mut entry = Entry {
        request_id: format!("0190{:08x}{:020x}", at, hash),
        trace_id: Some(format!("{hash:032x}")),
        at,
        duration_us: hash % 900_000,
        client: format!("10.1.{}.{}", hash % 256, (hash >> 8) % 256),
        method: "POST".into(),
        host: Some("shop.example.test".into()),
        path: format!("/api/{route}/orders/{}", hash % 1_000_000),
        protocol: "HTTP/1.1".into(),
        request_headers: (0..12).map(|n| header(&format!("x-header-{n}"), format!("value {n} {}", hash % 1000))).collect(),
        route: route.into(),
        backend: format!("{route}-backend"),
        endpoint: Some(format!("10.0.0.{}:8080", hash % 4)),
        attempts: vec![Default::default()],
        status: 500 + (fault % 5) as u16,
        received: Some(500),
        code: if fault.is_multiple_of(3) { "upstream_timeout" } else { "upstream_error" }.into(),
        reason: "http_upstream".into(),
        upstream_headers: (0..8).map(|n| header(&format!("x-upstream-{n}"), format!("{n}"))).collect(),
        upstream_body: Some(format!("{{\"message\":\"{message}\",\"trace\":{}}}", serde_json::to_string(&stack).unwrap())),
        exception: Some(format!("com.acme.Order{fault}Exception")),
        message: Some(message),
        stack: Some(stack),
        answer_headers: vec![header("content-type", "application/json".into())],
        answer_body: Some(format!("{{\"error\":{{\"code\":\"upstream_error\",\"request_id\":\"{hash:016x}\"}}}}")),
        config: "a1b2c3".into(),
        gateway: "bench".into(),
        ..Entry::default()
    };
    (entry.fingerprint, entry.title) = fingerprint::of(&entry);
    entry
}

/// The CPU time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Writes at a rate, as the writer does: what has gathered in 50 ms is a batch.
fn write_at_rate(path: &Path, rate: u64, seconds: u64) {
    let store = SqliteStore::open(path, 64 << 30, KEEP).unwrap();
    let (begin, mut written, mut making, mut worst) = (Instant::now(), 0, Duration::ZERO, Duration::ZERO);
    let before = cpu();
    while begin.elapsed() < Duration::from_secs(seconds) {
        std::thread::park_timeout(Duration::from_millis(50));
        let due = (begin.elapsed().as_millis() as u64 * rate / 1000).min(rate * seconds) - written;
        let made = cpu();
        let batch: Vec<Entry> = (written..written + due).map(|n| entry(n, 1_700_000_000_000 + n / 5)).collect();
        making += cpu() - made;
        let wrote = Instant::now();
        store.write(&batch).unwrap();
        worst = worst.max(wrote.elapsed());
        written += due;
    }
    let spent = cpu() - before - making;
    let per = |time: Duration| time.as_secs_f64() * 1e6 / written as f64;
    println!("rate: {written} entries in {:.1} s ({:.0}/s)", begin.elapsed().as_secs_f64(), written as f64 / begin.elapsed().as_secs_f64());
    println!(
        "CPU of the store: {:.1} us per entry; making and grouping them took {:.1} us; longest batch {worst:?}",
        per(spent),
        per(making)
    );
    let usage = store.usage().unwrap();
    println!("bytes: {} ({} per entry)", usage.bytes, usage.bytes / usage.entries);
}

fn ask<T>(name: &str, mut question: impl FnMut(u64) -> T) {
    let mut times: Vec<Duration> = (0..15)
        .map(|n| {
            let begin = Instant::now();
            std::hint::black_box(question(n));
            begin.elapsed()
        })
        .collect();
    times.sort();
    println!("{name}: median {:?}, longest {:?}", times[times.len() / 2], times[times.len() - 1]);
}

fn ask_many(path: &Path, entries: u64) {
    let store = SqliteStore::open(path, 64 << 30, KEEP).unwrap();
    let at = |n: u64| 1_700_000_000_000 + n * 20;
    let begin = Instant::now();
    for first in (0..entries).step_by(2000) {
        store.write(&(first..(first + 2000).min(entries)).map(|n| entry(n, at(n))).collect::<Vec<_>>()).unwrap();
    }
    println!("{entries} entries in {:.1} s, making included", begin.elapsed().as_secs_f64());
    let usage = store.usage().unwrap();
    println!("bytes: {} ({} per entry)", usage.bytes, usage.bytes / usage.entries.max(1));
    let list = |filter: Filter| store.list(&ListQuery { filter, limit: 50, ..ListQuery::default() }).unwrap().items.len();
    ask("find", |n| store.find(&entry(n * 61_357 % entries, at(n * 61_357 % entries)).request_id).unwrap().unwrap());
    ask("groups by last seen", |_| store.groups(&GroupQuery { limit: 100, ..GroupQuery::default() }).unwrap().len());
    ask("groups by count", |_| store.groups(&GroupQuery { limit: 100, order: GroupOrder::Count, ..GroupQuery::default() }).unwrap().len());
    ask("usage", |_| store.usage().unwrap());
    ask("list, first page", |_| list(Filter::default()));
    ask("list, a route", |_| list(Filter { route: Some("pay".into()), ..Filter::default() }));
    ask("list, a route and statuses", |_| list(Filter { route: Some("pay".into()), status: Some((500, 503)), ..Filter::default() }));
    ask("list, a group", |n| list(Filter { group: Some(entry(n, 0).fingerprint), ..Filter::default() }));
    ask("list, no such route", |_| list(Filter { route: Some("none".into()), ..Filter::default() }));
    ask("list, two that never meet", |_| {
        list(Filter { route: Some("pay".into()), backend: Some("shop-backend".into()), ..Filter::default() })
    });
    ask("list, statuses that there are none of", |_| list(Filter { status: Some((400, 499)), ..Filter::default() }));
    let text = |words: &str| list(Filter { text: Some(words.into()), ..Filter::default() });
    ask("text, frequent", |_| text("failed order"));
    ask("text, one fault", |_| text("order7exception"));
    ask("text, an id", |n| text(&format!("{:016x}", (n * 61_357 % entries).wrapping_mul(0x9e37_79b9_7f4a_7c15))));
    ask("text, a digit and a word", |_| text("1 failed"));
    ask("text, none", |_| text("zebra"));
    let range = |step: Step| CountQuery { group: None, since: at(0), until: at(entries), step };
    ask("counts, minutes", |_| store.counts(&range(Step::Minute)).unwrap().len());
    ask("counts, hours", |_| store.counts(&range(Step::Hour)).unwrap().len());
    let begin = Instant::now();
    let (mut removed, mut longest) = (0, Duration::ZERO);
    loop {
        let step = Instant::now();
        let pruned = store.prune(at(entries / 2) + KEEP).unwrap();
        (removed, longest) = (removed + pruned.removed, longest.max(step.elapsed()));
        if !pruned.more {
            break;
        }
    }
    println!(
        "prune of {removed} entries in {:.1} s, the longest step {:.1} ms",
        begin.elapsed().as_secs_f64(),
        longest.as_secs_f64() * 1e3
    );
}

fn main() {
    let folder = std::env::var_os("FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("lockgate-bench-journal-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (entries, seconds) = (setting("ENTRIES", 1_000_000), setting("SECONDS", 30));
    if seconds > 0 {
        write_at_rate(&folder.join("rate.sqlite"), setting("RATE", 5000), seconds);
    }
    if entries > 0 {
        ask_many(&folder.join("many.sqlite"), entries);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
