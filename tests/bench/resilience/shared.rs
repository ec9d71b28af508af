//! A shared limit: ten thousand decisions a second over one connection, and what it costs when the store is gone.

use std::net::TcpListener;
use std::num::NonZeroU32;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lockgate::limit::shared::{Address, StoreClient};
use lockgate::limit::{Key, RateLimit, Settings, Window};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::load::percentile;
use super::{ms, tell};

const PER_SECOND: u32 = 10_000;
const LASTS: Duration = Duration::from_secs(5);

fn settings() -> Settings {
    let count = NonZeroU32::new(1_000_000).unwrap();
    Settings { name: "bench".into(), windows: vec![Window { count, window: Duration::from_secs(1), burst: count }], max_keys: 100_000 }
}

fn redis() -> Option<(Child, String)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let args = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let child = Command::new("redis-server").args(args).stdout(Stdio::null()).current_dir(std::env::temp_dir()).spawn();
    child.ok().map(|child| (child, format!("redis://127.0.0.1:{port}")))
}

/// Time per decision of a limit that does not ask anybody, in nanoseconds.
async fn each(rounds: u32, mut decide: impl AsyncFnMut(u32)) -> f64 {
    let begin = Instant::now();
    for round in 0..rounds {
        decide(round).await;
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
}

pub async fn decisions() -> bool {
    let Some((mut child, url)) = redis() else {
        println!("skipped: redis-server is not installed");
        return true;
    };
    let store = StoreClient::new(Address::new(&url, false, Duration::from_millis(30)).unwrap());
    let one = NonZeroU32::MIN;
    while store.check(&settings(), Key::Global, one).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let begin = Instant::now();
    let mut asked = JoinSet::new();
    let mut samples = Vec::new();
    let mut failed = 0;
    for n in 0..PER_SECOND * LASTS.as_secs() as u32 {
        let due = begin + Duration::from_secs_f64(f64::from(n) / f64::from(PER_SECOND));
        // The timer knows milliseconds: ten requests are sent together then, as clients do.
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        let (store, settings) = (store.clone(), settings());
        asked.spawn(async move {
            let (key, sent) = ((n % 5000).to_be_bytes(), Instant::now());
            let decided = store.check(&settings, Key::Value(&key), one).await;
            decided.ok().map(|_| sent.elapsed())
        });
        while let Some(done) = asked.try_join_next() {
            done.unwrap().map_or_else(|| failed += 1, |took| samples.push(took));
        }
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap().map_or_else(|| failed += 1, |took| samples.push(took));
    }
    let rate = samples.len() as f64 / begin.elapsed().as_secs_f64();
    let (p50, p99) = (percentile(samples.iter().copied(), 50.0), percentile(samples.iter().copied(), 99.0));
    let first = tell(
        "shared limit at 10,000 decisions/s, one core: p99 (p50)",
        format!("{} ({}); {rate:.0}/s, {failed} unanswered", ms(p99), ms(p50)),
        "under 1 ms",
        p99 < Duration::from_millis(1) && failed == 0 && rate > 9_000.0,
    );
    let _ = (child.kill(), child.wait());
    // The first ones find out.
    for _ in 0..10 {
        let _ = store.check(&settings(), Key::Global, one).await;
    }
    let settings = settings();
    let gone = each(1_000_000, async |n| assert!(store.check(&settings, Key::Value(&(n % 5000).to_be_bytes()), one).await.is_err())).await;
    let local = RateLimit::new(settings.clone());
    let here = each(1_000_000, async |n| assert!(local.check(Key::Value(&(n % 5000).to_be_bytes()), one).admitted)).await;
    let second = tell(
        "store down: added to a request",
        format!("{:.3} us, and {:.3} us for the local limit that stands in", gone / 1e3, here / 1e3),
        "under 5 us",
        gone < 5_000.0,
    );
    first && second
}
