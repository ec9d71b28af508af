//! Three gateways behind a real HAProxy, with a real Redis and a real PostgreSQL: one quota, one journal, and no lost request when one of
//! them is killed or replaced.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::contract::assert_contract;
use crate::harness::postgres::Postgres;
use crate::harness::redis::{Redis, free};
use crate::harness::{Client, Origin, Process, Response, Temporary, eventually, get, until};

/// What the shared limit admits. It refills once in 72 s, so that a test sees the burst alone.
const QUOTA: usize = 50;

/// A load balancer that asks the readiness of each gateway, and sends an idempotent request again if a gateway breaks off.
struct HaProxy {
    address: SocketAddr,
    child: Child,
    _config: Temporary,
}

impl HaProxy {
    /// With the configuration of docs/operations.md, for these gateways, and with health checks that are quick enough for a test.
    fn start(gateways: &[Gateway]) -> Self {
        let address = free();
        let documented = Self::documented();
        let (servers, rest): (Vec<&str>, Vec<&str>) = documented.lines().partition(|line| line.trim_start().starts_with("server "));
        let rest = rest.join("\n").replace("bind :80", &format!("bind {address}"));
        let servers = gateways.iter().enumerate().map(|(n, one)| {
            let server = servers[0].replace("g0 10.0.0.1:8080", &format!("g{n} {}", one.address));
            server.replace("9090 inter 1s", &format!("{} inter 50ms fall 1 rise 1", one.admin.port()))
        });
        let text = format!("{rest}\n{}\n", servers.collect::<Vec<_>>().join("\n"));
        let config = Temporary::file(&format!("haproxy-{}.cfg", address.port()), &text);
        let mut command = Command::new("haproxy");
        // Debian has it where only root looks.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        let child = command.args(["-db", "-f"]).arg(&*config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("this test needs haproxy ({error}): scripts/test installs it"));
        let haproxy = Self { address, child, _config: config };
        eventually("HAProxy serves", || std::net::TcpStream::connect(address).is_ok() && get(address, "/ok").status == 200);
        haproxy
    }

    fn documented() -> String {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
        let block = page.split("```haproxy\n").nth(1).expect("docs/operations.md has a block of HAProxy");
        block.split("```").next().unwrap().to_owned()
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One gateway, which keeps its addresses when it starts again.
struct Gateway {
    address: SocketAddr,
    admin: SocketAddr,
    config: Temporary,
    process: Process,
}

impl Gateway {
    fn start(origin: SocketAddr, redis: &Redis, database: &Temporary) -> Self {
        let (address, admin) = (free(), free());
        let text = format!(
            "[listen]\nhttp = \"{address}\"\nadmin = \"{admin}\"\ndrain_delay = \"500ms\"\n[log]\nformat = \"json\"\naccess = false\n\
             [redis]\nurl = \"{}\"\ntimeout = \"1s\"\non_failure = \"deny\"\n[limits.all]\nrate = \"{QUOTA}/h\"\nkey = \"header:X-Api-Key\"\nstore = \"shared\"\n\
             [journal]\nurl = \"file:{}\"\n[backends.o]\nendpoints = [\"http://{origin}\"]\n\
             [[routes]]\npath = \"/*\"\nbackend = \"o\"\n[[routes]]\npath = \"/limited\"\nbackend = \"o\"\nlimits = [\"all\"]\n",
            redis.url(),
            database.display()
        );
        let config = Temporary::file(&format!("several-{}.toml", address.port()), &text);
        let process = Process::start(&["run", "--config", config.to_str().unwrap()]);
        Self { address, admin, config, process }
    }

    fn start_again(&mut self) {
        self.process = Process::start(&["run", "--config", self.config.to_str().unwrap()]);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        eventually("the gateway is ready", || get(self.admin, "/readyz").status == 200);
    }
}

/// Three of them, and what is behind.
struct Fleet {
    gateways: Vec<Gateway>,
    _redis: Redis,
    _database: Temporary,
    _origin: Origin,
}

fn fleet() -> Fleet {
    let origin = Origin::start(|c| {
        let (status, body) = match c.head.contains(" /fails ") {
            true => ("500 Internal Server Error", "java.lang.IllegalStateException: no stock\n\tat shop.Stock.take(Stock.java:42)\n"),
            false => ("200 OK", "fine"),
        };
        c.say(format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    });
    let redis = Redis::start();
    let database = Temporary::file(&format!("several-url-{}", redis.address.port()), &Postgres::shared().database());
    let gateways: Vec<Gateway> = (0..3).map(|_| Gateway::start(origin.address, &redis, &database)).collect();
    gateways.iter().for_each(Gateway::wait_until_ready);
    Fleet { gateways, _redis: redis, _database: database, _origin: origin }
}

/// Ends the clients when it is dropped, also by a test that fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_quota_is_exact_over_all_gateways() {
    let fleet = fleet();
    let balancer = HaProxy::start(&fleet.gateways);
    let (admitted, limited) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = Client::connect(balancer.address);
                for _ in 0..QUOTA / 2 {
                    client.write("GET /limited HTTP/1.1\r\nHost: shop\r\nX-Api-Key: one\r\n\r\n");
                    let response = client.response("GET");
                    match response.status {
                        200 => admitted.fetch_add(1, Ordering::Relaxed),
                        429 => {
                            assert_eq!(assert_contract("GET", &response), "RATE_LIMITED");
                            limited.fetch_add(1, Ordering::Relaxed)
                        }
                        status => panic!("{status}: {}", response.text()),
                    };
                }
            });
        }
    });
    assert_eq!((admitted.into_inner(), limited.into_inner()), (QUOTA, 2 * QUOTA));
}

#[test]
fn an_original_is_found_on_each_gateway() {
    let mut fleet = fleet();
    let id = |response: Response| response.header("x-request-id").unwrap().to_owned();
    let ids: Vec<String> = fleet.gateways.iter().map(|one| id(get(one.address, "/fails"))).collect();
    let shown = |admin: SocketAddr, id: &str| {
        until(|| match get(admin, &format!("/api/errors/{id}")) {
            response if response.status == 200 => Ok(response.json()),
            response => Err(response.text()),
        })
    };
    // What was written survives the gateway that wrote it.
    assert_eq!(shown(fleet.gateways[0].admin, &ids[0])["request_id"], ids[0].as_str());
    fleet.gateways[0].process.signal("-KILL");
    assert_eq!(fleet.gateways[0].process.exit_code(), None);
    for one in &fleet.gateways[1..] {
        for id in &ids {
            assert!(shown(one.admin, id)["upstream_body"].as_str().unwrap().contains("Stock.java:42"));
        }
        let groups = get(one.admin, "/api/groups").json();
        assert_eq!((groups["items"].as_array().unwrap().len(), &groups["items"][0]["count"]), (1, &3.into()), "{groups:#}");
    }
}

#[test]
fn no_idempotent_request_is_lost_when_a_gateway_is_killed_or_replaced() {
    let mut fleet = fleet();
    let balancer = HaProxy::start(&fleet.gateways);
    let (done, end) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _ends = Ends(&end);
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(balancer.address);
                while !end.load(Ordering::Relaxed) {
                    client.write("GET /orders/7 HTTP/1.1\r\nHost: shop\r\n\r\n");
                    let response = client.response("GET");
                    // The scope waits for the other threads before it tells of this one.
                    let _ends = (response.status != 200).then(|| Ends(&end));
                    assert_eq!(response.status, 200, "{response:?}");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let more = |count: usize| {
            let goal = done.load(Ordering::Relaxed) + count;
            eventually("requests are answered", || done.load(Ordering::Relaxed) >= goal || end.load(Ordering::Relaxed));
        };
        more(200);
        fleet.gateways[0].process.signal("-KILL");
        assert_eq!(fleet.gateways[0].process.exit_code(), None);
        more(200);
        fleet.gateways[0].start_again();
        more(200);
        // One after the other is replaced, as in a rolling update.
        for one in &mut fleet.gateways {
            one.process.signal("-TERM");
            assert_eq!(one.process.exit_code(), Some(0));
            more(100);
            one.start_again();
            more(100);
        }
    });
}
