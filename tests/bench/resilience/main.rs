//! Bad days in figures: an endpoint that dies, one that is slow, a wave of errors, more requests than can be served, a shared limit
//! with and without its store.
//!
//! `cargo bench --bench resilience [-- CASE...]`. The gateway is a process of its own, on CPU 0 where `taskset` is installed; origins
//! and load are this process. Every case prints what it measured beside what it must reach, and the bench fails when one
//! does not reach it.
#![allow(missing_docs, unreachable_pub, reason = "a bench has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench talks and stops at the first surprise"
)]

mod load;
mod shared;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use load::{Origin, Plan, Sample, percentile, run};

/// A gateway process; its log is thrown away.
pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
}

impl Gateway {
    fn start(backend: &str, route: &str, origins: &[&Origin]) -> Self {
        let endpoints: Vec<String> = origins.iter().map(|origin| format!("\"http://{}\"", origin.address)).collect();
        let text = format!(
            "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 1\n[log]\nlevel = \"info\"\nformat = \"json\"\naccess = false\n\
             [backends.o]\nendpoints = [{}]\n{backend}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n{route}\n",
            endpoints.join(", ")
        );
        let path = std::env::temp_dir().join(format!("lockgate-bench-{}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let lockgate = env!("CARGO_BIN_EXE_lockgate");
        let pinned = Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok();
        let mut command = if pinned { Command::new("taskset") } else { Command::new(lockgate) };
        if pinned {
            command.args(["-c", "0", lockgate]);
        }
        let mut child = command.args(["run", "--config", path.to_str().unwrap()]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        // It has been read.
        let _ = std::fs::remove_file(path);
        Self { child, address: first["address"].as_str().unwrap().parse().unwrap() }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One line of the report; false when the goal is missed.
pub fn tell(what: &str, measured: String, goal: &str, reached: bool) -> bool {
    println!("| {what} | {measured} | {goal} | {} |", if reached { "reached" } else { "MISSED" });
    reached
}

fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

fn failed(samples: &[Sample], from: Duration) -> usize {
    samples.iter().filter(|sample| sample.due >= from && sample.status != 200).count()
}

const SECOND: Duration = Duration::from_secs(1);

async fn origins(count: usize, takes: Duration) -> Vec<Origin> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(Origin::start(takes, 10_000).await);
    }
    all
}

/// Three endpoints, one killed under load and started again.
async fn kill() -> bool {
    let mut all = origins(3, Duration::from_millis(5)).await;
    let gateway = Gateway::start("slow_start = \"2s\"", "retry = { on = [\"connect\", \"lost\"] }", &all.iter().collect::<Vec<_>>());
    let plan = Plan { gateway: gateway.address, method: "GET", per_second: 2000, connections: 64, lasts: 9 * SECOND };
    let (gets, posts) = (tokio::spawn(run(plan)), tokio::spawn(run(Plan { method: "POST", per_second: 500, connections: 32, ..plan })));
    tokio::time::sleep(3 * SECOND).await;
    let in_flight = all[0].state.in_flight.load(Ordering::Relaxed) as usize;
    all[0].kill().await;
    tokio::time::sleep(3 * SECOND).await;
    let (before, revived) = (all[0].state.served.load(Ordering::Relaxed), 6 * SECOND);
    all[0].revive();
    let (gets, posts) = (gets.await.unwrap(), posts.await.unwrap());
    let back = all[0].state.served.load(Ordering::Relaxed) - before;
    let (late, early) = (failed(&gets, 4 * SECOND), failed(&gets, Duration::ZERO));
    let lost = failed(&posts, Duration::ZERO);
    let after = failed(&gets, revived) + failed(&posts, revived);
    let first =
        tell("killed: GETs that failed after the first second (all)", format!("{late} ({early}) of {}", gets.len()), "0", late == 0);
    let second = tell(
        "killed: POSTs that failed",
        format!("{lost} of {}, {in_flight} requests were in flight there", posts.len()),
        "at most those in flight",
        lost <= in_flight,
    );
    let third = tell("started again: errors; requests it served", format!("{after}; {back}"), "0; some", after == 0 && back > 0);
    first && second && third
}

/// One endpoint of three is twenty times slower.
async fn slow() -> bool {
    let all = origins(3, Duration::from_millis(5)).await;
    let gateway = Gateway::start("", "", &all.iter().collect::<Vec<_>>());
    let plan = Plan { gateway: gateway.address, method: "GET", per_second: 1500, connections: 96, lasts: 6 * SECOND };
    let p99 = |samples: &[Sample]| percentile(samples.iter().filter(|sample| sample.due > SECOND).map(|sample| sample.took), 99.0);
    let healthy = p99(&run(plan).await);
    all[0].state.micros.store(100_000, Ordering::Relaxed);
    let before = all[0].state.served.load(Ordering::Relaxed);
    let slowed = run(plan).await;
    let share = (all[0].state.served.load(Ordering::Relaxed) - before) as f64 / slowed.len() as f64;
    let slow = p99(&slowed);
    let ratio = slow.as_secs_f64() / healthy.as_secs_f64();
    tell(
        "one of three 20x slower: p99, healthy p99",
        format!("{}, {} = {ratio:.2}x; it got {:.2} % of the requests", ms(slow), ms(healthy), share * 100.0),
        "under 2x",
        ratio < 2.0,
    )
}

/// Ten seconds in which every answer is a 503.
async fn wave(breaker: bool) -> bool {
    let all = origins(3, Duration::from_millis(2)).await;
    let backend = if breaker { "[backends.o.breaker]\nopen_after = \"50% of 20\"\nopen_for = \"1s\"" } else { "" };
    let gateway = Gateway::start(backend, "retry = { attempts = 3, on = [\"503\"], budget = \"20%\" }", &all.iter().collect::<Vec<_>>());
    let served = || all.iter().map(|origin| origin.state.served.load(Ordering::Relaxed)).sum::<u64>();
    let set = |status: u16| all.iter().for_each(|origin| origin.state.status.store(status, Ordering::Relaxed));
    let plan = Plan { gateway: gateway.address, method: "GET", per_second: 1000, connections: 64, lasts: 18 * SECOND };
    let load = tokio::spawn(run(plan));
    tokio::time::sleep(3 * SECOND).await;
    set(503);
    let before = served();
    tokio::time::sleep(10 * SECOND).await;
    let attempts = served() - before;
    set(200);
    let samples = load.await.unwrap();
    let (begin, end) = (3 * SECOND, 13 * SECOND);
    let requests = samples.iter().filter(|sample| sample.due >= begin && sample.due < end).count();
    let ratio = attempts as f64 / requests as f64;
    // The last request that failed after the wave.
    let last = samples.iter().filter(|sample| sample.due >= end && sample.status != 200).map(|sample| sample.due + sample.took).max();
    let recovery = last.map_or(Duration::ZERO, |last| last.saturating_sub(end));
    let words = if breaker { "with a breaker" } else { "without a breaker" };
    let first = tell(
        &format!("wave of 503, {words}: attempts / requests"),
        format!("{attempts} / {requests} = {ratio:.3}"),
        "at most 1.2",
        ratio <= 1.2,
    );
    let second = tell(&format!("wave of 503, {words}: recovery"), ms(recovery), "at most 2 s", recovery <= 2 * SECOND);
    first && second
}

/// Three times more requests than the backend can do.
async fn overload(adaptive: bool) -> bool {
    let origin = Origin::start(Duration::from_millis(10), 16).await;
    let backend = if adaptive { "max_in_flight = 200\nadaptive = true" } else { "max_in_flight = 20" };
    let gateway = Gateway::start(backend, "", &[&origin]);
    let lasts = 8 * SECOND;
    let warm = 3 * SECOND;
    let plan = Plan { gateway: gateway.address, method: "GET", per_second: 1500, connections: 600, lasts };
    let good = |samples: &[Sample]| {
        let served = samples.iter().filter(|sample| sample.due > warm && sample.status == 200).count();
        served as f64 / (lasts - warm).as_secs_f64()
    };
    // What it can do is what it does when just so much is asked.
    let peak = good(&run(plan).await);
    let over = run(Plan { per_second: 4500, ..plan }).await;
    let refused: Vec<&Sample> = over.iter().filter(|sample| sample.due > warm && sample.status == 503).collect();
    let goodput = good(&over);
    let p99 = percentile(refused.iter().map(|sample| sample.served), 99.0);
    let served = percentile(over.iter().filter(|sample| sample.due > warm && sample.status == 200).map(|sample| sample.served), 99.0);
    let others = over.iter().filter(|sample| !matches!(sample.status, 200 | 503)).count();
    let words = if adaptive { "adaptive limit" } else { "fixed limit" };
    let share = goodput / peak;
    let first = tell(
        &format!("3x overload, {words}: goodput, peak"),
        format!("{goodput:.0}/s, {peak:.0}/s = {:.1} %; p99 of those served {}; {others} other answers", share * 100.0, ms(served)),
        "at least 90 %",
        share >= 0.9 && others == 0,
    );
    let second =
        tell(&format!("3x overload, {words}: p99 of {} refusals", refused.len()), ms(p99), "under 5 ms", p99 < Duration::from_millis(5));
    first && second
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let asked = |case: &str| wanted.is_empty() || wanted.iter().any(|word| word == case);
    println!("| what | measured | must | |\n|---|---|---|---|");
    let mut reached = true;
    if asked("kill") {
        reached &= kill().await;
    }
    if asked("slow") {
        reached &= slow().await;
    }
    if asked("wave") {
        reached &= wave(true).await;
        reached &= wave(false).await;
    }
    if asked("overload") {
        reached &= overload(false).await;
        reached &= overload(true).await;
    }
    if asked("shared") {
        reached &= shared::decisions().await;
    }
    assert!(reached, "a goal is missed");
}
