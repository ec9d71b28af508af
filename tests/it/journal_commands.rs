//! Tests `lockgate errors tail|export|purge` and the commands that read a file.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use lockgate::journal::Entry;
use lockgate::journal::sqlite::SqliteStore;
use lockgate::journal::store::Store;
use serde_json::Value;

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, PATIENCE, Process, Temporary, get, send, until};

fn failing() -> Origin {
    Origin::says("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\nOrderError: no stock\n")
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    command.arg("errors").args(args).env_remove("LOCKGATE_CONFIG").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fails a request at a gateway, and waits until it is in the journal. Returns its id.
fn fail(address: SocketAddr, admin: SocketAddr, path: &str) -> String {
    let id = get(address, path).header("x-request-id").unwrap().to_owned();
    until(|| match get(admin, &format!("/api/errors/{id}")).status {
        200 => Ok(()),
        status => Err(format!("{status}")),
    });
    id
}

/// A command that runs, and the lines that it prints.
struct Running {
    child: Child,
    lines: Receiver<String>,
    told: Receiver<String>,
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || BufReader::new(from).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
    receiver
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, error) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, lines: lines(out), told: lines(error) }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    /// Waits for a line on standard error.
    fn told(&self, words: &str) {
        while !self.told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("not told: {words}")).contains(words) {}
    }

    fn interrupt(mut self) -> Option<i32> {
        assert!(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success());
        until(|| self.child.try_wait().unwrap().ok_or_else(|| "the command does not end".to_owned())).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tail_follows_and_ends_on_an_interrupt() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let admin = gateway.admin.to_string();
    let first = fail(gateway.address, gateway.admin, "/orders/1");
    let tail = Running::start(&["tail", "--admin", &admin, "--status", "5xx"]);
    assert!(tail.line().contains(&first), "the latest come first");
    let second = fail(gateway.address, gateway.admin, "/orders/2");
    let line = tail.line();
    assert!(line.contains(&second) && line.contains("GET /orders/2"), "{line}");
    assert_eq!(tail.interrupt(), Some(0));

    let tail = Running::start(&["tail", "--admin", &admin, "--json", "--lines", "1", "--text", "stock"]);
    let item: Value = serde_json::from_str(&tail.line()).unwrap();
    assert_eq!(item["request_id"], second.as_str());
    get(gateway.address, "/%zz");
    let third = fail(gateway.address, gateway.admin, "/orders/3");
    let item: Value = serde_json::from_str(&tail.line()).unwrap();
    assert_eq!(item["request_id"], third.as_str(), "what does not match is left out");
}

/// A configuration with addresses and a file for the journal.
fn config(name: &str, admin: SocketAddr, origin: SocketAddr, journal: &Path) -> Temporary {
    let text = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"{admin}\"\nworkers = 1\n[journal]\npath = \"{}\"\n[backends.o]\n\
         endpoints = [\"http://{origin}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        journal.display()
    );
    Temporary::file(&format!("{name}.toml"), &text)
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn tail_goes_on_when_the_gateway_restarts() {
    let (origin, folder, admin) = (failing(), Temporary::folder("tail-restart"), free_address());
    let config = config("tail-restart", admin, origin.address, &folder.join("journal.db"));
    let start = || Process::start(&["run", "--config", config.to_str().unwrap()]);
    let mut gateway = start();
    let tail = Running::start(&["tail", "--admin", &admin.to_string(), "--lines", "5"]);
    let first = fail(gateway.address, admin, "/orders/1");
    assert!(tail.line().contains(&first));
    gateway.signal("-TERM");
    gateway.exit_code();
    tail.told("does not answer");
    let gateway = start();
    // Written before the command has connected again, or after.
    let second = fail(gateway.address, admin, "/orders/2");
    tail.told("answers again");
    assert!(tail.line().contains(&second));
    let third = fail(gateway.address, admin, "/orders/3");
    assert!(tail.line().contains(&third));
    assert_eq!(tail.interrupt(), Some(0));
}

#[test]
fn tail_of_no_gateway_says_so() {
    let output = run(&["tail", "--admin", &free_address().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot reach") && text(&output.stderr).contains("--file"), "{}", text(&output.stderr));
}

fn entry(id: &str, at: u64) -> Entry {
    Entry {
        request_id: id.into(),
        at,
        status: 502,
        method: "GET".into(),
        path: format!("/orders/{id}"),
        route: if at.is_multiple_of(2) { "even".into() } else { "odd".into() },
        fingerprint: "5f2c".into(),
        title: "OrderError: no stock".into(),
        upstream_body: Some("no stock".into()),
        ..Entry::default()
    }
}

/// A journal in a file, of a gateway that has ended.
fn journal(name: &str, entries: u64) -> (Temporary, std::path::PathBuf) {
    let folder = Temporary::folder(name);
    let path = folder.join("journal.db");
    let store = SqliteStore::open(&path, 1 << 30, 1 << 50).unwrap();
    store.write(&(0..entries).map(|n| entry(&format!("r{n:03}"), 1000 + n)).collect::<Vec<_>>()).unwrap();
    drop(store);
    (folder, path)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|found| found.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn export_writes_all_entries_as_lines() {
    let (folder, path) = journal("export", 250);
    let file = path.to_str().unwrap();
    let output = run(&["export", "--file", file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let all: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = all.iter().map(|entry| entry["request_id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), ids[0], ids[249], &all[7]["upstream_body"]), (250, "r249", "r000", &Value::from("no stock")));
    let to = folder.join("out.jsonl");
    let export = |more: &[&str]| run(&[&["export", "--file", file, "--output", to.to_str().unwrap()], more].concat());
    let output = export(&["--route", "even", "--group", "5f2c"]);
    assert!(output.status.success() && output.stdout.is_empty() && text(&output.stderr).contains("125 entries"), "{output:?}");
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&to).unwrap().lines().count(), 125);
    let again = export(&[]);
    assert!(!again.status.success() && text(&again.stderr).contains("cannot write"), "a file is not overwritten: {again:?}");
    assert_eq!(std::fs::read_to_string(&to).unwrap().lines().count(), 125);
    let wrong = run(&["export", "--file", file, "--since", "yesterday", "--output", folder.join("wrong").to_str().unwrap()]);
    assert!(!wrong.status.success() && !folder.join("wrong").exists(), "{wrong:?}");
}

#[test]
fn export_of_a_gateway_has_the_originals() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let id = fail(gateway.address, gateway.admin, "/orders/1");
    let output = run(&["export", "--admin", &gateway.admin.to_string(), "--since", "5m"]);
    let entry: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!((entry["request_id"].as_str(), entry["message"].as_str()), (Some(id.as_str()), Some("OrderError: no stock")), "{entry:#}");
    assert_eq!(get(gateway.admin, "/api/errors?full=true&limit=101").status, 400);
}

#[test]
fn a_file_is_read_without_a_gateway_and_nothing_is_made_beside_it() {
    let (folder, path) = journal("read-file", 20);
    let file = path.to_str().unwrap();
    let before = (names(&folder), std::fs::read(&path).unwrap());
    let list = run(&["list", "--file", file, "--limit", "3"]);
    assert_eq!(text(&list.stdout).lines().count(), 3, "{list:?}");
    assert!(text(&run(&["show", "r007", "--file", file]).stdout).contains("no stock"));
    assert!(text(&run(&["groups", "--file", file]).stdout).contains("20 new"));
    assert_eq!((names(&folder), std::fs::read(&path).unwrap()), before);
    assert_eq!(run(&["show", "unknown", "--file", file]).status.code(), Some(1));
}

#[test]
fn a_file_that_is_no_journal_is_told_so() {
    let folder = Temporary::folder("no-journal");
    std::fs::write(folder.join("text"), "hello, this is no database at all").unwrap();
    std::fs::write(folder.join("empty"), "").unwrap();
    std::fs::create_dir(folder.join("folder")).unwrap();
    // A pipe that nobody writes to: whoever opens it waits.
    assert!(Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    for (name, words) in [
        ("absent", "there is no file"),
        ("text", "not a database"),
        ("empty", "is not a journal"),
        ("folder", "is a directory"),
        ("pipe", "is a named pipe"),
        ("socket", "is a socket"),
    ] {
        let path = folder.join(name);
        for command in [&["list"] as &[&str], &["export"], &["purge", "--all", "--yes"], &["tail"]] {
            let output = run(&[command, &["--file", path.to_str().unwrap()]].concat());
            assert_eq!(output.status.code(), Some(1), "{name} {command:?}");
            assert!(text(&output.stderr).contains(words), "{name} {command:?}: {}", text(&output.stderr));
        }
    }
    assert_eq!(names(&folder), ["empty", "folder", "pipe", "socket", "text"]);
    assert!(text(&run(&["list", "--file", "/dev/null"]).stderr).contains("is a device"));
}

#[test]
fn a_file_is_read_while_a_gateway_writes_it_and_after_it_was_killed() {
    let (origin, folder, admin) = (failing(), Temporary::folder("read-busy"), free_address());
    let path = folder.join("journal.db");
    let config = config("read-busy", admin, origin.address, &path);
    let mut gateway = Process::start(&["run", "--config", config.to_str().unwrap()]);
    let first = fail(gateway.address, admin, "/orders/1");
    let tail = Running::start(&["tail", "--file", path.to_str().unwrap()]);
    assert!(tail.line().contains(&first));
    let second = fail(gateway.address, admin, "/orders/2");
    assert!(tail.line().contains(&second));
    let refused = run(&["purge", "--all", "--yes", "--file", path.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(told.contains("used by another process") && told.contains("without --file"), "{told}");
    gateway.signal("-9");
    gateway.exit_code();
    assert!(text(&run(&["show", &first, "--file", path.to_str().unwrap()]).stdout).contains("OrderError"));
    // Whoever names the configuration gets the file, and is told so.
    let listed = run(&["list", "--config", config.to_str().unwrap()]);
    assert!(text(&listed.stdout).contains(&second) && text(&listed.stderr).contains("no gateway answers"), "{listed:?}");
    let purged = run(&["purge", "--request-id", &first, "--yes", "--file", path.to_str().unwrap()]);
    assert_eq!(text(&purged.stdout), "removed 1 entry\n", "{purged:?}");
}

#[test]
fn purge_removes_what_is_named_and_is_counted() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let admin = gateway.admin.to_string();
    let ids: Vec<String> = (0..3).map(|n| fail(gateway.address, gateway.admin, &format!("/orders/{n}"))).collect();
    let purge = |more: &[&str]| run(&[&["purge", "--admin", &admin], more].concat());
    let asked = purge(&["--request-id", &ids[0]]);
    assert!(asked.status.code() == Some(1) && text(&asked.stderr).contains("--yes"), "{asked:?}");
    assert_eq!(get(gateway.admin, &format!("/api/errors/{}", ids[0])).status, 200);
    let cursor = get(gateway.admin, "/api/tail").json()["next"].as_str().unwrap().to_owned();
    assert_eq!(get(gateway.admin, &format!("/api/errors/{}", ids[0].replace('-', "%2D"))).status, 200);
    assert_eq!(text(&purge(&["--request-id", &ids[0], "--yes"]).stdout), "removed 1 entry\n");
    assert_eq!(get(gateway.admin, &format!("/api/errors/{}", ids[0])).status, 404);
    assert!(!get(gateway.admin, &format!("/api/tail?after={cursor}")).text().contains(&ids[0]));
    assert_eq!(get(gateway.admin, "/api/groups").json()["items"][0]["count"], 2);
    assert_eq!(purge(&["--request-id", &ids[0], "--yes"]).status.code(), Some(1));
    assert_eq!(text(&purge(&["--before", "1d", "--yes"]).stdout), "removed 0 entries\n");
    assert_eq!(purge(&["--before", "yesterday", "--yes"]).status.code(), Some(1));
    assert_eq!(purge(&["--yes"]).status.code(), Some(2), "what is removed must be named");
    assert_eq!(purge(&["--all", "--before", "1d", "--yes"]).status.code(), Some(2));
    assert_eq!(text(&purge(&["--all", "--yes"]).stdout), "removed 2 entries\n");
    assert!(get(gateway.admin, "/api/groups").json()["items"].as_array().unwrap().is_empty());
    assert!(get(gateway.admin, "/metrics").text().contains("lockgate_journal_entries_purged_total 3"));
}

#[test]
fn purge_has_the_guards_of_the_admin_listener() {
    let gateway = GatewayUnderTest::start(
        "[listen]\nadmin_token = \"file:tests/it/harness/token\"\n[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n\
         [[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
    );
    let id = get(gateway.address, "/x").header("x-request-id").unwrap().to_owned();
    let admin = gateway.admin;
    let delete = |target: &str, more: &str| {
        let response = send(admin, format!("DELETE {target} HTTP/1.1\r\nHost: {admin}\r\n{more}Connection: close\r\n\r\n"));
        if response.status >= 400 {
            assert_contract("DELETE", &response);
        }
        response.status
    };
    const TOKEN: &str = "Authorization: Bearer t0ken-of-a-test\r\n";
    let one = format!("/api/errors/{id}");
    assert_eq!(delete(&one, ""), 401);
    assert_eq!(delete(&one, &format!("{TOKEN}Origin: http://evil.example\r\n")), 403);
    assert_eq!(delete(&one, &format!("{TOKEN}Sec-Fetch-Site: cross-site\r\n")), 403);
    for (target, status) in [
        ("/api/errors", 400),
        ("/api/errors?all=false", 400),
        ("/api/errors?all=true&before=1d", 400),
        ("/api/errors?route=x", 400),
        ("/api/errors/unknown", 404),
        ("/api/groups/unknown", 405),
    ] {
        assert_eq!(delete(target, TOKEN), status, "{target}");
    }
    until(|| if delete(&one, TOKEN) == 200 { Ok(()) } else { Err("the entry is not there".to_owned()) });
    assert_eq!(delete(&one, TOKEN), 404);
}

#[test]
fn a_time_is_never_taken_for_another_one() {
    let (_folder, path) = journal("times", 5);
    let file = path.to_str().unwrap();
    for time in ["20261101", "1793491200", "7", "0"] {
        for command in [&["purge", "--yes", "--before", time] as &[&str], &["list", "--since", time], &["export", "--until", time]] {
            let output = run(&[command, &["--file", file]].concat());
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command:?}");
            assert!(told.contains("could be a date, seconds or milliseconds") && told.contains("2026-12-01"), "{command:?}: {told}");
        }
    }
    let list = |more: &[&str]| text(&run(&[&["list", "--file", file], more].concat()).stdout).lines().count();
    assert_eq!(
        (list(&["--since", "1970-01-02"]), list(&["--until", "1970-01-02"]), list(&["--until", "1970-01-01T00:00:01.002Z"])),
        (1, 5, 2)
    );
    assert_eq!(text(&run(&["purge", "--before", "1970-01-01", "--yes", "--file", file]).stdout), "removed 0 entries\n");
    assert_eq!(text(&run(&["purge", "--before", "2026-11-01", "--yes", "--file", file]).stdout), "removed 5 entries\n");
}

/// The reading end of a pipe is closed before the command begins to write.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn what_cannot_be_printed_fails_a_command_and_a_closed_pipe_does_not() {
    let (folder, path) = journal("full", 5);
    let file = path.to_str().unwrap();
    let config = config("full", free_address(), free_address(), &path);
    let config = config.to_str().unwrap();
    let cases = folder.join("cases.toml");
    std::fs::write(&cases, "[[cases]]\nname = \"a\"\nupstream = { status = 200 }\nexpect = { status = 200 }\n").unwrap();
    let commands: [&[&str]; 24] = [
        &["errors", "list", "--file", file],
        &["errors", "show", "r001", "--file", file, "--json"],
        &["errors", "groups", "--file", file],
        &["errors", "export", "--file", file],
        &["errors", "purge", "--request-id", "r003", "--yes", "--file", file],
        &["errors"],
        &["errors", "--format", "json"],
        &["explain", "502"],
        &["openapi"],
        &["openapi", "--admin"],
        &["schema"],
        &["config", config],
        &["diff", "--format", "json", config, config],
        &["route", "GET", "/x", "--config", config],
        &["completions", "bash"],
        &["test", "--example"],
        &["test", "--faults"],
        &["test", cases.to_str().unwrap(), "--config", config],
        &["redact", config],
        &["check", config],
        &["man", "--out", folder.to_str().unwrap()],
        &["--help"],
        &["errors", "purge", "--help"],
        &["--version"],
    ];
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let printing = |args: &[&str], to: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
        let output = command.args(args).env_remove("LOCKGATE_CONFIG").stdin(Stdio::null()).stdout(to).stderr(Stdio::piped());
        let output = output.spawn().unwrap().wait_with_output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    for args in commands {
        let (code, told) = printing(args, full().into());
        assert!(code == Some(1) && told.matches("cannot write").count() == 1, "{args:?}: {code:?} {told}");
    }
    for args in commands.into_iter().filter(|args| !args.contains(&"--request-id")) {
        assert_eq!(printing(args, closed()), (Some(0), String::new()), "{args:?}");
    }
    let tail = &["errors", "tail", "--file", file];
    let (code, told) = printing(tail, full().into());
    assert!(code == Some(1) && told.contains("cannot write"), "{told}");
    assert_eq!(printing(tail, closed()), (Some(0), String::new()));
}

#[test]
fn a_question_on_a_terminal_is_answered() {
    let (_folder, path) = journal("confirm", 5);
    // `script` gives the command a terminal.
    let line = format!("{} errors purge --all --file {}", env!("CARGO_BIN_EXE_lockgate"), path.display());
    let answer = |answer: &str| {
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("util-linux has script");
        child.stdin.take().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
        text(&child.wait_with_output().unwrap().stdout)
    };
    let kept = answer("n");
    assert!(kept.contains("Remove all entries") && kept.contains("nothing was removed"), "{kept}");
    let gone = answer("y");
    assert!(gone.contains("removed 5 entries"), "{gone}");
}
