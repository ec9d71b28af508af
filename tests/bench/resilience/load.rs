//! Load and origins of the bench: requests at a fixed rate whatever the answers do (an open loop), each timed from the moment it was
//! due, so that a stall is seen by all that it delays.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// One request as it went.
#[derive(Clone, Copy)]
pub struct Sample {
    /// When it was due, since the begin.
    pub due: Duration,
    /// From there to the answer.
    pub took: Duration,
    /// From when it was written to the answer.
    pub served: Duration,
    /// 0 where the connection broke.
    pub status: u16,
}

/// What is asked, and how often.
#[derive(Clone, Copy)]
pub struct Plan {
    pub gateway: SocketAddr,
    pub method: &'static str,
    pub per_second: u32,
    pub connections: u32,
    pub lasts: Duration,
}

/// Runs a plan to its end.
pub async fn run(plan: Plan) -> Vec<Sample> {
    let begin = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..plan.connections {
        workers.spawn(work(plan, worker, begin));
    }
    let mut all = Vec::new();
    while let Some(samples) = workers.join_next().await {
        all.extend(samples.unwrap());
    }
    all
}

async fn work(plan: Plan, worker: u32, begin: Instant) -> Vec<Sample> {
    let request = format!("{} / HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n", plan.method);
    let (mut stream, mut samples) = (None, Vec::new());
    for turn in 0u64.. {
        let due = Duration::from_secs_f64((turn * u64::from(plan.connections) + u64::from(worker)) as f64 / f64::from(plan.per_second));
        if due >= plan.lasts {
            break;
        }
        tokio::time::sleep_until(begin + due).await;
        let sent = Instant::now();
        let status = ask(&mut stream, plan.gateway, &request).await.unwrap_or(0);
        if status == 0 {
            stream = None;
        }
        samples.push(Sample { due, took: begin.elapsed() - due, served: sent.elapsed(), status });
    }
    samples
}

async fn ask(stream: &mut Option<TcpStream>, address: SocketAddr, request: &str) -> Option<u16> {
    let connected = match stream.take() {
        Some(connected) => connected,
        None => TcpStream::connect(address).await.ok()?,
    };
    let stream = stream.insert(connected);
    stream.set_nodelay(true).ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let (mut seen, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        seen.extend_from_slice(&piece[..read]);
        let Some(end) = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&seen[..end]).ok()?;
        let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if seen.len() >= end + 4 + length.unwrap_or(0) {
            return head.get(9..12)?.parse().ok();
        }
    }
}

/// The time within which so many hundredths of the samples were.
pub fn percentile(samples: impl Iterator<Item = Duration>, hundredths: f64) -> Duration {
    let mut all: Vec<Duration> = samples.collect();
    all.sort_unstable();
    let at = ((all.len() as f64 * hundredths / 100.0) as usize).min(all.len().saturating_sub(1));
    all.get(at).copied().unwrap_or_default()
}

/// An origin whose behaviour the bench changes as it goes.
pub struct Origin {
    pub address: SocketAddr,
    pub state: Arc<State>,
    tasks: Option<tokio::task::JoinHandle<()>>,
}

/// How it behaves.
pub struct State {
    pub micros: AtomicU64,
    pub status: AtomicU16,
    pub served: AtomicU64,
    pub in_flight: AtomicU64,
    places: Semaphore,
}

impl Origin {
    /// Answers after `takes`, `places` requests at a time; the others wait.
    pub async fn start(takes: Duration, places: usize) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let state = State {
            micros: AtomicU64::new(takes.as_micros() as u64),
            status: AtomicU16::new(200),
            served: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            places: Semaphore::new(places),
        };
        let mut origin = Self { address, state: Arc::new(state), tasks: None };
        origin.revive();
        origin
    }

    pub fn revive(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        let (listener, state) = (socket.listen(1024).unwrap(), Arc::clone(&self.state));
        self.tasks = Some(tokio::spawn(async move {
            // Dropped with this task: its connections break at once.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
        }));
    }

    /// Ends it with all its connections.
    pub async fn kill(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            tasks.abort();
            let _ = tasks.await;
        }
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    let (mut seen, mut piece) = (Vec::new(), [0; 8192]);
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        seen.extend_from_slice(&piece[..read]);
        while let Some(end) = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            seen.drain(..end + 4);
            state.in_flight.fetch_add(1, Ordering::Relaxed);
            let status = state.status.load(Ordering::Relaxed);
            if let (200, Ok(_place)) = (status, state.places.acquire().await) {
                tokio::time::sleep(Duration::from_micros(state.micros.load(Ordering::Relaxed))).await;
            }
            state.served.fetch_add(1, Ordering::Relaxed);
            state.in_flight.fetch_sub(1, Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
