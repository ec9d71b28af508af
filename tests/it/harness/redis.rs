//! A real `redis-server` on a port that was free, with nothing on disk.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Redis {
    pub address: SocketAddr,
    child: Child,
}

impl Redis {
    /// Starts one; `None`, with a word about it, where the program is not installed.
    pub fn start() -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self::start_at(address)
    }

    /// The same at an address where one has been.
    #[allow(clippy::print_stdout, reason = "a skipped test says why")]
    pub fn start_at(address: SocketAddr) -> Option<Self> {
        let port = address.port().to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir(std::env::temp_dir())
            .spawn();
        let Ok(child) = child else {
            println!("skipped: redis-server is not installed");
            return None;
        };
        let redis = Self { address, child };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !redis.says("PING").is_some_and(|answer| answer.starts_with("+PONG")) {
            assert!(Instant::now() < deadline, "redis-server did not start");
            std::thread::yield_now();
        }
        Some(redis)
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The first line of its answer to an inline command.
    pub fn says(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut answer = [0; 1024];
        let read = stream.read(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
