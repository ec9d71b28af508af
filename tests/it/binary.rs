//! Tests the shipped binary: command line, exit codes and signals. `beginnings` tests what new users see first; `documents` executes the
//! examples of the documents, and `book` what concerns all of them together; `explained` tests the commands that explain a configuration.

mod beginnings;
mod book;
mod contract;
mod documents;
mod explained;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::contract::assert_contract;
use crate::harness::{Client, Origin, Process, Temporary, eventually, get};

fn lockgate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("LOCKGATE_CONFIG")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn temp(name: &str, content: &str) -> Temporary {
    Temporary::file(&format!("{name}.toml"), content)
}

#[test]
fn the_shipped_configurations_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|end| end == "toml")) {
        let output = lockgate(&["check", path.to_str().unwrap()]);
        assert!(output.status.success(), "{}: {}", path.display(), text(&output.stderr));
    }
}

#[test]
fn a_bad_configuration_shows_everything_and_exits_78() {
    let file = temp("bad", "[listen]\nhtpp = \"x\"\nidle_timeout = \"0s\"\n[[routes]]\npath = \"orders\"\nbackend = \"o\"\n");
    for command in [vec!["check", file.to_str().unwrap()], vec!["run", "--config", file.to_str().unwrap()]] {
        let output = lockgate(&command);
        assert_eq!(output.status.code(), Some(78));
        let shown = text(&output.stderr);
        for part in
            ["unknown key `listen.htpp`", "did you mean `http`?", ":2:1", "^^^^", "zero is not a duration", "begins with `/`", "4 problems"]
        {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn secrets_are_never_shown() {
    let file = temp("secret", "[listen]\nadmin_token = \"${LOCKGATE_TEST_SECRET}\"\nadmin = \"${LOCKGATE_TEST_SECRET}\"\n");
    let output = Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .args(["check", file.to_str().unwrap()])
        .env("LOCKGATE_TEST_SECRET", "hunter2")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(
        !text(&output.stderr).contains("hunter2") && text(&output.stderr).contains("${LOCKGATE_TEST_SECRET}"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_missing_file_says_where_it_was_looked_for() {
    let output = Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .arg("run")
        .current_dir(std::env::temp_dir())
        .env_remove("LOCKGATE_CONFIG")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(
        text(&output.stderr).contains("/etc/lockgate/lockgate.toml") && text(&output.stderr).contains("--to"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_port_in_use_says_what_to_do_and_exits_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = lockgate(&["run", "--to", "http://127.0.0.1:1", "--listen", &address, "--admin", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stderr);
    assert!(shown.lines().count() == 2 && shown.contains(&address) && shown.contains("in use"), "{shown}");
    assert!(shown.contains(&format!("ss -ltnp 'sport = :{}'", taken.local_addr().unwrap().port())), "{shown}");
    // An address of documentation (RFC 5737), which no machine has.
    let output = lockgate(&["run", "--to", "http://127.0.0.1:1", "--listen", "192.0.2.1:8080", "--admin", "127.0.0.1:0"]);
    assert!(text(&output.stderr).contains("no interface of this machine"), "{}", text(&output.stderr));
}

const FREE: &[&str] = &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

#[test]
fn run_to_a_url_serves_and_a_signal_drains_it() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |c| {
        wait.lock().unwrap().recv().unwrap();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let config = temp(
        "drain",
        &format!(
            "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain_delay = \"off\"\n[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
            origin.address
        ),
    );
    let mut process = Process::start(&["run", "--config", config.to_str().unwrap()]);
    let health = |process: &Process| lockgate(&["healthcheck", "--admin", &process.admin.to_string()]).status.code();
    assert_eq!(health(&process), Some(0));
    let mut client = Client::connect(process.address);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_requests(1);
    process.signal("-TERM");
    eventually("the process is not healthy any more", || health(&process) != Some(0));
    go.send(()).unwrap();
    assert_eq!(client.response("GET").text(), "ok");
    assert_eq!(process.exit_code(), Some(0));
    let rest: Vec<String> = process.lines.by_ref().map_while(Result::ok).collect();
    assert!(rest.iter().any(|line| line.contains("\"drained\"")), "{rest:#?}");
    assert_eq!(health(&process), Some(1));
}

/// A signal that means something to other servers, or nothing at all, never ends the process.
#[test]
fn no_signal_ends_the_process_without_a_drain() {
    let origin = Origin::echo();
    let url = format!("http://{}", origin.address);
    let mut process = Process::start(&[&["run", "--to", &url], FREE].concat());
    for signal in ["-HUP", "-USR1", "-USR2", "-ALRM", "-VTALRM", "-PROF", "-IO", "-XFSZ", "-34"] {
        process.signal(signal);
        assert_eq!(get(process.address, "/").status, 200, "{signal}");
    }
    process.signal("-QUIT");
    assert_eq!(process.exit_code(), Some(0));
    let rest: Vec<String> = process.lines.by_ref().map_while(Result::ok).collect();
    for word in ["has not changed", "SIGUSR1", "SIGUSR2", "\"drained\""] {
        assert!(rest.iter().any(|line| line.contains(word)), "{word}: {rest:#?}");
    }
}

#[test]
fn without_a_file_a_url_is_enough() {
    let origin = Origin::says("HTTP/1.1 500 X\r\nContent-Length: 7\r\n\r\nleak-me");
    let url = format!("http://{}", origin.address);
    let process = Process::start(&[&["run", "--to", &url], FREE].concat());
    assert_eq!(assert_contract("GET", &get(process.address, "/")), "UPSTREAM_ERROR");
}

#[test]
fn two_gateways_cannot_share_a_port_by_accident() {
    let first = Process::start(&[&["run", "--to", "http://127.0.0.1:1"], FREE].concat());
    let output = lockgate(&["run", "--to", "http://127.0.0.1:1", "--listen", &first.address.to_string(), "--admin", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
}

/// For a person: one line per request, one block per error, and nothing that steers the terminal.
#[test]
fn the_pretty_log_has_one_line_per_request_and_one_block_per_error() {
    let origin = Origin::start(|c| {
        let found = c.head.starts_with("GET /ok ");
        c.say(if found {
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        } else {
            "HTTP/1.1 500 X\r\nContent-Length: 18\r\n\r\nline 1\nline \x1b[31m2"
        });
    });
    let config = temp(
        "pretty",
        &format!(
            "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain_delay = \"off\"\n[log]\nformat = \"pretty\"\n[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n",
            origin.address
        ),
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .args(["run", "--config", config.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap();
    let address =
        first.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("{first}")).parse().unwrap();
    get(address, "/ok");
    let failed = get(address, "/java?token=hunter2");
    let id = failed.header("x-request-id").unwrap().to_owned();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let all: Vec<String> = lines.collect();
    child.wait().unwrap();
    let at = |part: &str| all.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} in\n{all:#?}"));
    let ok = at(" 200 GET ");
    assert!(all[ok].contains("/ok") && !all[ok].contains("code=") && all[ok + 1].starts_with(|c: char| c.is_ascii_digit()), "{all:#?}");
    let block = at(" 502 GET ");
    assert!(all[block].contains("/java?token=***"), "{all:#?}");
    let shown = all[block + 1..].iter().take_while(|line| line.starts_with(' ')).cloned().collect::<Vec<_>>().join("\n");
    for part in ["UPSTREAM_ERROR", &id, "upstream  o http://", "answered 500", "original  line 1\n", "line \\u{1b}[31m2"] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    assert!(!all.join("").contains('\x1b'), "no colors without a terminal");
}

#[test]
fn lines_about_endpoints_name_backend_endpoint_and_cause() {
    let origin = Origin::start(|c| c.say("HTTP/1.1 500 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    let url = format!("http://{}", origin.address);
    let config = temp(
        "events",
        &format!(
            r#"[listen]
http = "127.0.0.1:0"
admin = "127.0.0.1:0"
drain_delay = "off"
[backends.probed]
endpoints = ["{url}"]
health = {{ path = "/health", every = "20ms", unhealthy_after = 1 }}
[backends.broken]
endpoints = ["{url}"]
breaker = {{ open_after = "50% of 2" }}
[backends.named]
endpoints = ["http://nothing.invalid"]
[[routes]]
path = "/probed"
backend = "probed"
[[routes]]
path = "/broken"
backend = "broken"
[[routes]]
path = "/named"
backend = "named"
"#
        ),
    );
    let mut process = Process::start(&["run", "--config", config.to_str().unwrap()]);
    eventually("the breaker opens", || get(process.address, "/broken").status == 503);
    eventually("the endpoint is unhealthy", || get(process.address, "/probed").status == 503);
    eventually("the name is looked up", || get(process.address, "/named").status == 502);
    process.signal("-TERM");
    assert_eq!(process.exit_code(), Some(0));
    let lines: Vec<serde_json::Value> =
        process.lines.by_ref().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()).collect();
    for (backend, endpoint, cause) in [
        ("probed", url.as_str(), "GET /health was answered with 500"),
        ("broken", url.as_str(), "the last answer was 500"),
        ("named", "http://nothing.invalid", "cannot resolve `nothing.invalid`"),
    ] {
        let found = lines.iter().any(|line| {
            let is = |key: &str, value: &str| line[key].as_str().is_some_and(|text| text.contains(value));
            line["message"] != "request"
                && line["level"] == "WARN"
                && is("backend", backend)
                && is("endpoint", endpoint)
                && is("cause", cause)
        });
        assert!(found, "{backend}, {cause}: {lines:#?}");
    }
}

#[test]
fn the_demo_leaks_nothing() {
    let output = lockgate(&["demo", "--once", "--listen", "127.0.0.1:0"]);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", text(&output.stderr));
    for part in [
        "Java trace as HTML",
        "502 UPSTREAM_ERROR",
        "504 UPSTREAM_TIMEOUT",
        "422 ORDER_INVALID",
        "200 {\"orders\":[7,8]}",
        "leaked frames: 0",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn help_and_version_teach() {
    assert!(text(&lockgate(&["--help"]).stdout).contains("lockgate demo"));
    // Version, commit and build profile.
    let version = text(&lockgate(&["--version"]).stdout);
    let told =
        version.trim().strip_prefix("lockgate 0.").and_then(|rest| rest.split_once(" (")).map(|(_, rest)| rest.trim_end_matches(')'));
    let (commit, profile) = told.and_then(|told| told.split_once(", ")).unwrap_or_else(|| panic!("{version}"));
    assert!(!commit.is_empty() && matches!(profile, "debug" | "release" | "dist" | "pgo"), "{version}");
    assert_eq!(lockgate(&["nonsense"]).status.code(), Some(2));
}

#[test]
fn an_environment_that_names_a_file_does_not_forbid_to_name_a_url() {
    let origin = Origin::echo();
    let url = format!("http://{}", origin.address);
    let mut child = Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .args([&["run", "--to", &url], FREE].concat())
        .env("LOCKGATE_CONFIG", "/etc/lockgate/lockgate.toml")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("listening"), "{line}");
}

#[test]
fn an_admin_listener_for_others_needs_a_token_wherever_it_is_named() {
    let output = lockgate(&["run", "--to", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(78));
    let file = temp("token", "[listen]\nadmin = \"0.0.0.0:0\"\nadmin_token = \"literal\"\n");
    assert!(text(&lockgate(&["check", file.to_str().unwrap()]).stderr).contains("a secret must not be written in the configuration file"));
}

#[test]
fn mistakes_in_how_errors_are_told_are_shown_with_their_place() {
    let folder = Temporary::folder("broken");
    std::fs::write(folder.join("de.toml"), "[codes]\nNOT_FOUND = \"Nichts.\"\nFORBIDDEN = 7\n[page]\nhlep = \"x\"\n").unwrap();
    let file = temp(
        "broken-errors",
        &format!(
            r#"[backends.a]
endpoints = ["http://127.0.0.1:1"]
errors = {{ fromat = "flat" }}
[[routes]]
path = "/*"
backend = "a"
[errors]
format = "template"
template = '{{"a": {{{{mesage}}}}}}'
messages = {:?}
languages = ["xx"]
errors_in_success = [{{ pointer = "resultCode", is = "1", not = "2" }}, {{ code = "/a" }}, "gaphql"]
[errors.status_map]
"E1" = {{ status = 500 }}
"E2" = {{ }}
"E3" = {{ code = "two words" }}
[errors.redact]
extra = ["a(b", "x*"]
"#,
            folder.display().to_string()
        ),
    );
    let output = lockgate(&["check", file.to_str().unwrap()]);
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78));
    for part in [
        "unknown key `backends.a.errors.fromat`",
        "did you mean `format`?",
        "its line 1, column 9",
        "there is no value `mesage`",
        "de.toml:3:13: `FORBIDDEN` must be a string",
        "de.toml:5:8: unknown word `hlep`",
        "this language is not available",
        "`pointer` is not a JSON pointer",
        "`is` and `not` exclude each other",
        "the rule has no `pointer`",
        "unknown preset",
        "an upstream error cannot be mapped to status 500",
        "the rule changes nothing",
        "invalid error code",
        "invalid pattern",
        "unclosed group",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn redact_is_a_filter_and_a_check() {
    let dirty = temp(
        "dirty",
        "ok\nTraceback (most recent call last):\n  File \"/srv/app/a.py\", line 3, in f\n  File \"/srv/app/b.py\", line 9, in g\nKeyError: 'x'\nbye\n",
    );
    let clean = temp("clean", "An exception at line 3 of the poem.\n");
    let of = |args: &[&str]| {
        let output = lockgate(args);
        (text(&output.stdout), output.status.code())
    };
    assert_eq!(of(&["redact", dirty.to_str().unwrap()]), ("ok\n[redacted:trace]\nbye\n".into(), Some(0)));
    assert_eq!(of(&["redact", clean.to_str().unwrap()]), ("An exception at line 3 of the poem.\n".into(), Some(0)));
    let (report, code) = of(&["redact", "--check", dirty.to_str().unwrap()]);
    assert!(report.starts_with("2:1: ") && code == Some(1), "{report}");
    assert_eq!(of(&["redact", "--check", clean.to_str().unwrap()]), (String::new(), Some(0)));
    assert_eq!(of(&["redact", "/nowhere/at/all"]).1, Some(1));
}
