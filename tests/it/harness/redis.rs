//! Runs a real `redis-server` on a free port, without files on disk.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Temporary, eventually, until};

pub struct Redis {
    pub address: SocketAddr,
    child: Child,
    /// Where it runs: a node of a cluster writes there.
    _folder: Temporary,
}

impl Redis {
    /// Starts one. A test that needs it fails where the program is not installed.
    pub fn start() -> Self {
        Self::start_at(free())
    }

    /// The same at an address where one has been.
    pub fn start_at(address: SocketAddr) -> Self {
        Self::spawn(address, &[])
    }

    /// Three nodes of one cluster, each with a third of the slots.
    pub fn cluster() -> Vec<Self> {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..3 {
            let (address, bus) = (free(), free().port().to_string());
            nodes.push(Self::spawn(address, &["--cluster-enabled", "yes", "--cluster-port", &bus]));
            buses.push(bus);
        }
        for (node, slots) in nodes.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
            assert!(node.says(&format!("CLUSTER ADDSLOTSRANGE {slots}")).unwrap().starts_with("+OK"));
        }
        let meet = || {
            for (node, bus) in nodes.iter().zip(&buses).skip(1) {
                let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.address.port());
                assert!(nodes[0].says(&meet).unwrap().starts_with("+OK"));
            }
        };
        meet();
        let mut looks = 0;
        eventually("the cluster forms", || {
            looks += 1;
            // A node that was too busy to answer in time is forgotten: it is met again.
            if looks % 1_000 == 0 {
                meet();
            }
            nodes.iter().all(|node| node.says("CLUSTER INFO").unwrap().contains("cluster_state:ok"))
        });
        nodes
    }

    fn spawn(address: SocketAddr, more: &[&str]) -> Self {
        let port = address.port().to_string();
        let folder = Temporary::folder(&format!("redis-{port}"));
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir(&*folder)
            .spawn()
            .unwrap_or_else(|error| panic!("this test needs redis-server, which does not start ({error}): scripts/test installs it"));
        let redis = Self { address, child, _folder: folder };
        eventually("redis-server answers", || redis.says("PING").is_some_and(|answer| answer.starts_with("+PONG")));
        redis
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

/// A free port outside of the range from which the system takes ports of outgoing connections: none of those can take it before the
/// server has it.
pub fn free() -> SocketAddr {
    until(|| {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..30_000)));
        TcpListener::bind(address).map(|_| address).map_err(|error| format!("a free port ({error})"))
    })
}
