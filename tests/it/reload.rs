//! Tests the reload: what changes, what stays, and what a configuration that cannot be used does.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::harness::contract::assert_contract;
use crate::harness::{Client, Origin, Process, Response, Temporary, eventually, get, send, until};
use crate::telemetry::collector::Collector;

/// A gateway process whose configuration file is in a folder of its own.
struct Gateway {
    folder: Temporary,
    process: Process,
}

/// The beginning of each configuration. The file is not watched, so that only the test decides when it is read.
const UNWATCHED: &str = "watch = false\n[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 2\ndrain_delay = \"off\"\n";

/// A backend and a route to it.
fn route(origin: &Origin, more: &str) -> String {
    format!("[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n{more}", origin.address)
}

impl Gateway {
    fn start(name: &str, text: &str) -> Self {
        let folder = Temporary::folder(name);
        std::fs::write(folder.join("lockgate.toml"), text).unwrap();
        let process = Process::start(&["run", "--config", folder.join("lockgate.toml").to_str().unwrap()]);
        Self { folder, process }
    }

    fn write(&self, text: &str) {
        std::fs::write(self.folder.join("lockgate.toml"), text).unwrap();
    }

    /// Asks for a reload, and returns the answer.
    fn reload(&self) -> (u16, Value) {
        let response = post(self.process.admin, "/reload", "");
        (response.status, response.json())
    }

    /// Writes a configuration that can be used, and has it applied.
    fn apply(&self, text: &str) -> Value {
        self.write(text);
        let (status, answer) = self.reload();
        assert_eq!((status, &answer["outcome"]), (200, &Value::from("applied")), "{answer:#}");
        answer
    }

    fn config(&self) -> Value {
        get(self.process.admin, "/config").json()
    }

    fn get(&self, path: &str) -> Response {
        get(self.process.address, path)
    }

    /// Runs the command `lockgate reload` against this gateway.
    fn command(&self) -> Output {
        let file = self.folder.join("lockgate.toml");
        let args = ["reload", "--admin", &self.process.admin.to_string(), "--config", file.to_str().unwrap()];
        Command::new(env!("CARGO_BIN_EXE_lockgate")).args(args).output().unwrap()
    }

    fn metric(&self, name: &str) -> Option<String> {
        let text = get(self.process.admin, "/metrics").text();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
    }

    /// The number of entries of a folder of the process in `/proc`.
    fn count(&self, folder: &str) -> usize {
        std::fs::read_dir(format!("/proc/{}/{folder}", self.process.child.id())).unwrap().count()
    }
}

fn post(address: SocketAddr, path: &str, headers: &str) -> Response {
    send(address, format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n{headers}Connection: close\r\n\r\n"))
}

/// A port that is free at the moment.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_connection_gets_the_new_configuration_with_its_next_request() {
    let origin = Origin::echo();
    let gateway = Gateway::start("next-request", &format!("{UNWATCHED}{}", route(&origin, "")));
    let mut client = Client::connect(gateway.process.address);
    client.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("GET").status, 200);
    let before = gateway.config();
    let answer = gateway.apply(&format!("{UNWATCHED}{}", route(&origin, "maintenance = true\n")));
    assert_eq!(answer["needs_restart"], Value::Array(Vec::new()));
    client.write("GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(assert_contract("GET", &client.response("GET")), "UPSTREAM_UNAVAILABLE");
    let after = gateway.config();
    assert_ne!(before["running"]["version"], after["running"]["version"]);
    assert_eq!((&before["last_reload"], &after["last_reload"]["cause"]), (&Value::Null, &Value::from("admin")));
    assert_eq!(gateway.reload().1["outcome"], "unchanged");
}

#[test]
fn a_request_keeps_the_configuration_with_which_it_began() {
    let (release, released) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (wait, waits) = (Arc::clone(&release), Arc::clone(&released));
    let origin = Origin::start(move |c| {
        waits.store(true, Ordering::SeqCst);
        eventually("the test lets the origin answer", || wait.load(Ordering::SeqCst));
        c.say("HTTP/1.1 500 X\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"error\":\"broken\"}");
    });
    let gateway = Gateway::start("in-flight", &format!("{UNWATCHED}{}[errors]\nformat = \"flat\"\n", route(&origin, "")));
    let mut client = Client::connect(gateway.process.address);
    client.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request is at the origin", || released.load(Ordering::SeqCst));
    gateway.apply(&format!("{UNWATCHED}{}[errors]\nformat = \"problem\"\n", route(&origin, "")));
    release.store(true, Ordering::SeqCst);
    assert_eq!(client.response("GET").header("content-type"), Some("application/json"), "the format from before");
    client.write("GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("GET").header("content-type"), Some("application/problem+json"));
}

#[test]
fn a_configuration_that_cannot_be_used_changes_nothing() {
    let origin = Origin::echo();
    let good = format!("{UNWATCHED}{}", route(&origin, ""));
    let mut gateway = Gateway::start("bad", &good);
    let version = gateway.config()["running"]["version"].clone();
    gateway.write(&format!("{good}\nnonsense = 1\n[backends.x]\nendpoints = [\"ftp://a\"]\n"));
    let (status, answer) = gateway.reload();
    assert_eq!((status, &answer["outcome"], &answer["running"]["version"]), (422, &Value::from("rejected"), &version), "{answer:#}");
    assert_eq!(answer["problems"].as_array().unwrap().len(), 2);
    assert!(answer["text"].as_str().unwrap().contains("unknown key `routes.nonsense`"), "{answer:#}");
    assert_eq!(gateway.metric("lockgate_config_last_reload_successful").as_deref(), Some("0"));
    assert_eq!(gateway.config()["last_reload"]["problems"], answer["problems"]);
    assert_eq!(gateway.get("/").status, 200);
    let output = gateway.command();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing has changed"), "{output:?}");

    std::fs::remove_file(gateway.folder.join("lockgate.toml")).unwrap();
    assert!(gateway.reload().1["problems"][0]["title"].as_str().unwrap().contains("cannot read"));
    assert_eq!(gateway.get("/").status, 200);

    gateway.write(&good);
    let output = gateway.command();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains(version.as_str().unwrap()), "{output:?}");
    assert_eq!(gateway.metric("lockgate_config_last_reload_successful").as_deref(), Some("1"));
    gateway.process.signal("-TERM");
    assert_eq!(gateway.process.exit_code(), Some(0));
    let log: Vec<String> = gateway.process.lines.by_ref().map_while(Result::ok).collect();
    assert!(log.iter().any(|line| line.contains("cannot be used") && line.contains("unknown key `routes.nonsense`")), "{log:#?}");
}

#[test]
fn what_is_unchanged_keeps_its_state() {
    let origin = Origin::echo();
    let text = |path: &str| {
        format!(
            "{UNWATCHED}[limits.few]\nrate = \"3/h\"\n{}limits = [\"few\"]\n[[routes]]\npath = \"{path}\"\nbackend = \"o\"\n",
            route(&origin, "")
        )
    };
    let gateway = Gateway::start("state", &text("/x").replace("workers = 2", "workers = 1"));
    assert_eq!((gateway.get("/").status, gateway.get("/").status), (200, 200));
    let answer = gateway.apply(&text("/y"));
    assert_eq!(answer["needs_restart"], serde_json::json!(["listen.workers"]));
    assert_eq!((gateway.get("/").status, gateway.get("/").status), (200, 429), "the count of the limit goes on");
    assert_eq!(origin.connections(), 1, "the connection to the origin stays");
}

#[test]
fn listeners_come_and_go() {
    let origin = Origin::echo();
    let (one, other) = (free(), free());
    let text = |http: &str| format!("{UNWATCHED}{}", route(&origin, "")).replace("\"127.0.0.1:0\"\nadmin", &format!("{http}\nadmin"));
    let gateway = Gateway::start("listeners", &text(&format!("\"{one}\"")));
    let mut client = Client::connect(one);
    client.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("GET").status, 200);
    // A request of which only a part has arrived is served all the same.
    let mut late = Client::connect(one);
    late.write("GET /late HTTP/1.1\r\n");
    gateway.apply(&text(&format!("[\"{one}\", \"{other}\"]")));
    assert_eq!((get(one, "/").status, get(other, "/").status), (200, 200));

    gateway.apply(&text(&format!("\"{other}\"")));
    assert!(client.is_closed(), "an idle connection of a listener that is gone");
    late.write("Host: a\r\n\r\n");
    let response = late.response("GET");
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    eventually("the listener is closed", || std::net::TcpStream::connect(one).is_err());
    assert_eq!(get(other, "/").status, 200);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    gateway.write(&text(&format!("[\"{other}\", \"{one}\", \"{}\"]", taken.local_addr().unwrap())));
    let (status, answer) = gateway.reload();
    assert_eq!((status, &answer["outcome"]), (422, &Value::from("rejected")));
    assert!(answer["text"].as_str().unwrap().contains("has the port"), "{answer:#}");
    assert!(std::net::TcpStream::connect(one).is_err(), "nothing of the refused configuration is in use");
    drop(taken);
    assert_eq!(gateway.reload().1["outcome"], "applied", "the same file can be applied now");
    assert_eq!(get(one, "/").status, 200);
}

#[test]
fn the_admin_listener_can_move() {
    let origin = Origin::echo();
    let text = format!("{UNWATCHED}{}", route(&origin, ""));
    let gateway = Gateway::start("admin-moves", &text);
    let next = free();
    gateway.apply(&text.replace("admin = \"127.0.0.1:0\"", &format!("admin = \"{next}\"")));
    assert_eq!(get(next, "/readyz").status, 200);
    eventually("the one from before is closed", || std::net::TcpStream::connect(gateway.process.admin).is_err());
}

#[test]
fn other_sites_cannot_reload() {
    let origin = Origin::echo();
    let gateway = Gateway::start("cross-site", &format!("{UNWATCHED}{}", route(&origin, "")));
    let admin = gateway.process.admin;
    for foreign in
        ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n", "Origin: null\r\n", "Sec-Fetch-Site: same-site\r\n"]
    {
        let response = post(admin, "/reload", foreign);
        assert_eq!((response.status, assert_contract("POST", &response)), (403, "FORBIDDEN".into()), "{foreign}");
    }
    assert_eq!(post(admin, "/reload", &format!("Origin: http://{admin}\r\nSec-Fetch-Site: same-origin\r\n")).status, 200);
    assert_eq!(get(admin, "/reload").status, 405);
    assert_eq!(send(admin, "POST /reload HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n").status, 421);
}

/// The beginning of a configuration whose files are watched.
const WATCHED: &str = "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 1\ndrain_delay = \"off\"\n";

/// Replaces the link that all files are read through, as Kubernetes does for a volume.
fn swap(folder: &Path, version: &str, text: &str) {
    std::fs::create_dir(folder.join(version)).unwrap();
    std::fs::write(folder.join(version).join("lockgate.toml"), text).unwrap();
    symlink(version, folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

#[test]
fn a_volume_of_kubernetes_that_changes_is_seen() {
    let origin = Origin::echo();
    let folder = Temporary::folder("kubernetes");
    swap(&folder, "..1", &format!("{WATCHED}{}", route(&origin, "")));
    symlink("..data/lockgate.toml", folder.join("lockgate.toml")).unwrap();
    let process = Process::start(&["run", "--config", folder.join("lockgate.toml").to_str().unwrap()]);
    assert_eq!(get(process.address, "/").status, 200);
    swap(&folder, "..2", &format!("{WATCHED}{}", route(&origin, "maintenance = true\n")));
    std::fs::remove_dir_all(folder.join("..1")).unwrap();
    eventually("the new volume is in use", || get(process.address, "/").status == 503);
    eventually("the reload is told", || get(process.admin, "/config").json()["last_reload"]["cause"] == "files");
}

#[test]
fn a_file_that_is_written_in_parts_is_read_when_it_is_complete() {
    let origin = Origin::echo();
    let gateway = Gateway::start("half-written", &format!("{WATCHED}{}", route(&origin, "")));
    let text = format!("{WATCHED}{}", route(&origin, "maintenance = true\n"));
    let rejected = || gateway.config()["last_reload"]["outcome"] == "rejected";
    gateway.write(&text[..text.len() - 12]);
    eventually("the half is seen", rejected);
    assert_eq!(gateway.get("/").status, 200);
    gateway.write(&text);
    eventually("the whole file is in use", || gateway.get("/").status == 503);
    // A folder that is renamed, and another in its place.
    let aside = Temporary::folder("half-written-aside");
    std::fs::rename(&*gateway.folder, aside.join("old")).unwrap();
    eventually("the loss is told", rejected);
    assert_eq!(gateway.get("/").status, 503, "what ran before still runs");
    std::fs::create_dir(&*gateway.folder).unwrap();
    gateway.write(&format!("{WATCHED}{}", route(&origin, "")));
    eventually("the new folder is in use", || gateway.get("/").status == 200);
    // A link to itself.
    std::fs::remove_file(gateway.folder.join("lockgate.toml")).unwrap();
    symlink("lockgate.toml", gateway.folder.join("lockgate.toml")).unwrap();
    eventually("the loop is told", rejected);
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn files_that_the_configuration_names_count_as_configuration() {
    let origin = Origin::says("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n");
    let folder = Temporary::folder("named-files");
    let messages = folder.join("messages");
    std::fs::create_dir(&messages).unwrap();
    let hello = |text: &str| std::fs::write(messages.join("en.toml"), format!("[codes]\nNOT_FOUND = \"{text}\"\n")).unwrap();
    hello("One.");
    let users = folder.join("users");
    // The password is `secret`.
    let with_user =
        |name: &str| std::fs::write(&users, format!("{name}:$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe\n")).unwrap();
    with_user("ann");
    let text = format!(
        "{WATCHED}{}[errors]\nmessages = \"messages\"\n[[routes]]\npath = \"/private\"\nbackend = \"o\"\nauth = {{ basic = \"file:users\" }}\n",
        route(&origin, "")
    );
    std::fs::write(folder.join("lockgate.toml"), text).unwrap();
    let process = Process::start(&["run", "--config", folder.join("lockgate.toml").to_str().unwrap()]);
    let message = || get(process.address, "/").json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(message(), "One.");
    hello("Two.");
    eventually("the message is new", || message() == "Two.");
    hello("Three\nbroken");
    eventually("the broken file is told", || get(process.admin, "/config").json()["last_reload"]["outcome"] == "rejected");
    assert_eq!(message(), "Two.");
    hello("Four.");
    eventually("the message is new", || message() == "Four.");
    let loaded = || get(process.admin, "/metrics").text().lines().find(|line| line.contains("outcome=\"applied\"")).map(str::to_owned);
    let before = loaded();
    with_user("bob");
    eventually("the users are read", || loaded() != before);
}

#[test]
fn a_listener_can_change_to_tls_on_its_port() {
    let origin = Origin::echo();
    let address = free();
    let plain = format!("{UNWATCHED}{}", route(&origin, "")).replacen("127.0.0.1:0", &address.to_string(), 1);
    let gateway = Gateway::start("to-tls", &plain);
    assert_eq!(get(address, "/").status, 200);
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(gateway.folder.join("cert.pem"), key.cert.pem()).unwrap();
    std::fs::write(gateway.folder.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let tls = format!("{UNWATCHED}[listen.tls]\naddress = \"{address}\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n{}", route(&origin, ""));
    gateway.apply(&tls);
    let told = until(|| {
        let response = get(address, "/");
        if response.status == 400 { Ok(response) } else { Err(format!("{response:?}")) }
    });
    assert_eq!(assert_contract("GET", &told), "BAD_REQUEST", "clear text on the port for TLS");
    gateway.apply(&plain);
    until(|| match std::panic::catch_unwind(|| get(address, "/").status) {
        Ok(200) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn reloads_under_load_disturb_nothing() {
    const RELOADS: usize = 100;
    let origin = Origin::echo();
    let text = |turn: usize| {
        format!(
            "{UNWATCHED}[limits.l{turn}]\nrate = \"{}/s\"\n{}limits = [\"l{turn}\"]\n[[routes]]\nname = \"r{turn}\"\npath = \"/r{turn}/*\"\nbackend = \"p\"\n\
             [backends.p]\nendpoints = [\"http://{}\"]\nmax_in_flight = {}\n",
            1_000_000 + turn,
            route(&origin, ""),
            origin.address,
            10 + turn % 5
        )
    };
    let mut gateway = Gateway::start("load", &text(0));
    let address = gateway.process.address;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::SeqCst) {
                    client.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
                    let status = client.response("GET").status;
                    assert_eq!((status, if number == 0 { get(address, "/b").status } else { 200 }), (200, 200));
                    served.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let mut after_some = None;
    for turn in 1..=RELOADS {
        gateway.apply(&text(turn));
        if turn == RELOADS / 5 {
            after_some = Some((gateway.count("fd"), gateway.count("task")));
        }
        let seen = served.load(Ordering::SeqCst);
        eventually("requests go on", || served.load(Ordering::SeqCst) > seen + 4);
    }
    let (descriptors, tasks) = after_some.unwrap();
    stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    eventually("no descriptor is left over", || gateway.count("fd") <= descriptors);
    eventually("no thread is left over", || gateway.count("task") <= tasks);
    let metrics = get(gateway.process.admin, "/metrics").text();
    let gone: Vec<&str> = metrics.lines().filter(|line| line.contains("\"r50\"") || line.contains("\"l50\"")).collect();
    assert!(gone.is_empty(), "what is gone has no series: {gone:#?}");
    gateway.process.signal("-TERM");
    assert_eq!(gateway.process.exit_code(), Some(0));
}

#[test]
fn a_reload_does_not_keep_the_process_from_ending() {
    let origin = Origin::echo();
    let many: String = (0..3_000).map(|n| format!("[[routes]]\npath = \"/r{n}/*\"\nbackend = \"o\"\n")).collect();
    let mut gateway = Gateway::start("ending", &format!("{UNWATCHED}{}", route(&origin, "")));
    gateway.write(&format!("{UNWATCHED}{}{many}", route(&origin, "")));
    gateway.process.signal("-HUP");
    gateway.process.signal("-TERM");
    assert_eq!(gateway.process.exit_code(), Some(0));
}

#[test]
fn the_collector_of_traces_changes_and_the_one_from_before_gets_what_is_its() {
    let (origin, first, second) = (Origin::echo(), Collector::start(), Collector::start());
    let with = |table: &str| format!("{UNWATCHED}{}{table}", route(&origin, ""));
    let gateway = Gateway::start("reload-telemetry", &with(&first.table("sample = 1\n")));
    assert_eq!(gateway.get("/one").status, 200);
    // Settings that stay the same keep their exporter; the others do not wait for it.
    gateway.apply(&with(&format!("{}# changed\n", first.table("sample = 1\n"))));
    assert_eq!(gateway.get("/two").status, 200);
    gateway.apply(&with(&second.table("sample = 1\n")));
    assert_eq!(gateway.get("/three").status, 200);
    gateway.apply(&with(""));
    assert_eq!(gateway.get("/four").status, 200);
    let paths = |collector: &Collector, count| {
        let mut paths: Vec<String> = collector.spans(count).iter().filter_map(|span| span.get("url.path")).collect();
        paths.sort();
        paths
    };
    assert_eq!((paths(&first, 4), paths(&second, 2)), (vec!["/one".to_owned(), "/two".to_owned()], vec!["/three".to_owned()]));
    until(|| match gateway.metric("lockgate_trace_spans_exported_total").as_deref() {
        Some("6") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn what_is_no_file_is_refused_and_blocks_no_later_reload() {
    let origin = Origin::echo();
    let good = format!("{UNWATCHED}{}", route(&origin, ""));
    let gateway = Gateway::start("no-file", &good);
    let path = gateway.folder.join("lockgate.toml");
    let refused = |what: &str| {
        let (status, answer) = gateway.reload();
        let title = answer["problems"][0]["title"].as_str().unwrap_or_default();
        assert!(status == 422 && title.contains(what), "{what}: {answer:#}");
        assert_eq!(gateway.get("/").status, 200);
        std::fs::remove_file(&path).unwrap();
    };
    std::fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    refused("not a regular file");
    symlink("/dev/zero", &path).unwrap();
    refused("not a regular file");
    std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    refused("larger than");
    gateway.write(&"\0".repeat(100_000));
    refused("not text");
    for key in ["[errors]\nmessages = \"pipe\"\n", "[backends.tls]\nendpoints = [\"https://127.0.0.1:1\"]\nca = \"pipe\"\n"] {
        gateway.write(&format!("{good}{key}"));
        let pipe = gateway.folder.join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(gateway.reload().0, 422, "{key}");
        std::fs::remove_file(&pipe).unwrap();
    }
    gateway.write(&good);
    assert_eq!(gateway.reload().1["outcome"], "applied");
}

#[test]
fn a_changed_file_is_named_and_what_needs_a_restart_is_not_forgotten() {
    let origin = Origin::echo();
    let text = format!("{UNWATCHED}admin_token = \"file:token\"\n{}", route(&origin, ""));
    let folder = Temporary::folder("named");
    std::fs::write(folder.join("token"), "one").unwrap();
    std::fs::write(folder.join("lockgate.toml"), &text).unwrap();
    let process = Process::start(&["run", "--config", folder.join("lockgate.toml").to_str().unwrap()]);
    let reload = |token: &str| post(process.admin, "/reload", &format!("Authorization: Bearer {token}\r\n"));
    std::fs::write(folder.join("token"), "two").unwrap();
    let answer = reload("one").json();
    assert!(answer["files"][0].as_str().unwrap().ends_with("/token"), "{answer:#}");
    assert!(!answer.to_string().contains("two"));
    assert_eq!(reload("one").status, 401, "the new token counts");
    std::fs::write(folder.join("lockgate.toml"), text.replace("workers = 2", "workers = 3")).unwrap();
    assert_eq!(reload("two").json()["needs_restart"], serde_json::json!(["listen.workers"]));
    let again = reload("two").json();
    assert_eq!(
        (&again["outcome"], &again["running"]["needs_restart"]),
        (&Value::from("unchanged"), &serde_json::json!(["listen.workers"]))
    );
}

#[test]
fn many_who_ask_at_once_all_get_an_answer() {
    let origin = Origin::echo();
    let gateway = Gateway::start("at-once", &format!("{UNWATCHED}{}", route(&origin, "")));
    let admin = gateway.process.admin;
    let asked: Vec<_> = (0..12).map(|_| std::thread::spawn(move || post(admin, "/reload", ""))).collect();
    for response in asked.into_iter().map(|asked| asked.join().unwrap()) {
        assert!(response.status == 200 && response.json()["outcome"] == "unchanged", "{response:?}");
    }
}

#[test]
fn the_admin_listener_can_move_to_all_addresses_of_its_port() {
    let origin = Origin::echo();
    let admin = free();
    let text = format!("{UNWATCHED}{}", route(&origin, "")).replace("admin = \"127.0.0.1:0\"", &format!("admin = \"{admin}\""));
    let gateway = Gateway::start("admin-port", &text);
    gateway.apply(&text.replace(&admin.to_string(), &format!("[::1]:{}", admin.port())));
    let moved: SocketAddr = format!("[::1]:{}", admin.port()).parse().unwrap();
    assert_eq!(get(moved, "/readyz").status, 200);
}

#[test]
fn a_page_of_another_site_reads_nothing_and_a_link_may_be_followed() {
    let origin = Origin::echo();
    let gateway = Gateway::start("cross-site-reads", &format!("{UNWATCHED}{}", route(&origin, "")));
    let admin = gateway.process.admin;
    let ask = |path: &str, headers: &str| {
        send(admin, format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\n{headers}Connection: close\r\n\r\n")).status
    };
    for path in ["/config", "/route?url=/", "/log", "/api/errors"] {
        assert_eq!(ask(path, "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: empty\r\n"), 403, "{path}");
        assert_eq!(ask(path, "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"), 200, "{path}");
        assert_eq!(ask(path, ""), 200, "{path}");
    }
    assert_eq!(ask("/metrics", "Sec-Fetch-Site: cross-site\r\n"), 200);
}

/// A gateway that runs with another token than its file has says how to reach it nevertheless.
#[test]
fn the_command_reaches_a_gateway_with_another_token() {
    let origin = Origin::echo();
    let config = |token: &str, more: &str| format!("{UNWATCHED}admin_token = \"file:{token}\"\n{}", route(&origin, more));
    let folder = Temporary::folder("other-token");
    for (name, token) in [("old", "old-token\n"), ("new", "new-token\n"), ("bad", "a\nX-Injected: 1\n")] {
        std::fs::write(folder.join(name), token).unwrap();
    }
    let file = folder.join("lockgate.toml");
    std::fs::write(&file, config("old", "")).unwrap();
    let process = Process::start(&["run", "--config", file.to_str().unwrap()]);
    std::fs::write(&file, config("new", "maintenance = true\n")).unwrap();
    let run = |args: &[&str]| {
        let admin = ["--admin", &process.admin.to_string()].map(str::to_owned);
        let output = Command::new(env!("CARGO_BIN_EXE_lockgate")).args(args).args(admin).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (config, old, bad) = (file.to_str().unwrap(), folder.join("old"), folder.join("bad"));
    for command in [&["reload"][..], &["errors", "list"]] {
        let (code, _, complaint) = run(&[command, &["--config", config]].concat());
        assert!(code == Some(1) && complaint.contains("another admin_token") && complaint.contains("--token-file"), "{complaint}");
        assert_eq!(complaint.contains("SIGHUP"), command == ["reload"], "{complaint}");
        let (code, _, complaint) = run(command);
        assert!(code == Some(1) && complaint.contains("asks for its admin_token"), "{complaint}");
        let (code, _, complaint) = run(&[command, &["--token-file", bad.to_str().unwrap()]].concat());
        assert!(code == Some(78) && complaint.contains("printable") && !complaint.contains("Injected"), "{complaint}");
    }
    assert_eq!(run(&["errors", "list", "--token-file", old.to_str().unwrap()]).0, Some(0));
    let (code, shown, complaint) = run(&["reload", "--config", config, "--token-file", old.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{complaint}");
    assert!(shown.starts_with("reloaded: ") && shown.lines().all(|line| !line.is_empty()), "one line each: {shown:?}");
    let (code, shown, _) = run(&["reload", "--config", config]);
    assert!(code == Some(0) && shown.starts_with("unchanged: ") && shown.lines().count() == 1, "{shown:?}");
}

/// A question about a route is no request: of several backends, the next request gets the one that it would have got.
#[test]
fn a_question_takes_no_turn_of_a_split() {
    let (a, b) =
        (Origin::says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"), Origin::says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"));
    let gateway = Gateway::start(
        "question",
        &format!(
            "{UNWATCHED}[backends.a]\nendpoints = [\"http://{}\"]\n[backends.b]\nendpoints = [\"http://{}\"]\n\
             [[routes]]\npath = \"/*\"\nbackend = [{{ name = \"a\", weight = 1 }}, {{ name = \"b\", weight = 1 }}]\n",
            a.address, b.address
        ),
    );
    let mut seen = String::new();
    for _ in 0..6 {
        let told = get(gateway.process.admin, "/route?method=GET&url=/x");
        assert_eq!(told.status, 200, "{}", told.text());
        let outcome = told.json()["outcome"].as_str().unwrap_or_default().to_owned();
        let got = gateway.get("/x").text();
        assert!(outcome.starts_with(&format!("goes to the backend {got},")), "{outcome} and then {got}");
        seen.push_str(&got);
    }
    assert!(seen == "ababab" || seen == "bababa", "{seen}");
}
