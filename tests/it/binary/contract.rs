//! Tests `lockgate test` and `lockgate record`: the cases of `tests/contract`, differences and their formats, files that are not valid, and
//! cases that are recorded.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::{lockgate, temp, text};
use crate::harness::{Origin, Temporary, eventually, send};

const FOLDER: &str = "tests/contract";

#[test]
fn the_contract_holds() {
    let output = lockgate(&["test", FOLDER]);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains(" 0 failed"));
}

#[test]
fn every_fault_has_a_case() {
    let files = ["faults", "bodies", "rules"].map(|name| std::fs::read_to_string(format!("{FOLDER}/{name}.toml")).unwrap()).concat();
    let listed = text(&lockgate(&["test", "--faults"]).stdout);
    let words: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for word in &words {
        assert!(files.contains(&format!("fault = \"{word}\"")), "no case has the fault {word}");
    }
    // A reason that only an upstream can cause is a fault that a case can have.
    let reasons = text(&lockgate(&["errors", "--format", "json"]).stdout);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&reasons).unwrap();
    for row in rows.iter().filter(|row| row["code"].as_str().unwrap().starts_with("UPSTREAM_")) {
        let reason = row["reason"].as_str().unwrap();
        assert!(reason.is_empty() || words.contains(&reason), "{reason}");
    }
}

/// A configuration whose backend is this address.
fn config(name: &str, url: &str, more: &str) -> Temporary {
    temp(name, &format!("[backends.shop]\nendpoints = [\"{url}\"]\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"shop\"\n{more}"))
}

fn run(config: &Temporary, cases: &Temporary, more: &[&str]) -> (Option<i32>, String, String) {
    let args = [&["test", "--config", config.to_str().unwrap(), cases.to_str().unwrap()], more].concat();
    let output = lockgate(&args);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_example_passes() {
    let example = temp("contract-example", &text(&lockgate(&["test", "--example"]).stdout));
    let config = config("contract-example-config", "http://shop.invalid:8000", "");
    assert_eq!(run(&config, &example, &[]).0, Some(0));
}

#[test]
fn a_case_that_fails_shows_what_differs_and_where() {
    let cases = temp(
        "contract-fails",
        "[[cases]]\nname = \"one\"\nrequest = { path = \"/x\" }\nupstream = { status = 500, body = \"at com.shop.Dao(Dao.java:1)\" }\n\
         [cases.expect]\nstatus = 500\ncode = \"NOPE\"\nheaders = { X-Request-Id = false }\nabsent = \"statusCode\"\njson = { error = { details = 1 } }\n\
         [[cases]]\nname = \"two\"\nexpect = { status = 200 }\n",
    );
    let config = config("contract-fails-config", "http://127.0.0.1:1", "");
    let (code, shown, _) = run(&config, &cases, &[]);
    assert_eq!(code, Some(1), "{shown}");
    for part in [
        "FAIL  one",
        ":1\n",
        "status:6\n          expected  500\n          got       502",
        "code:7\n          expected  \"NOPE\"\n          got       \"UPSTREAM_ERROR\"",
        "expected  no such header",
        "it stands in the body: ...",
        "json.error.details:10\n          expected  1\n          got       nothing",
        "response: 502 application/json",
        "ok    two",
        "2 cases: 1 passed, 1 failed",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let (code, shown, _) = run(&config, &cases, &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &json["failed"], &json["cases"][0]["differences"][0]["got"]), (Some(1), &1.into(), &"502".into()));
    let (_, shown, _) = run(&config, &cases, &["--format", "junit"]);
    for part in ["<testsuites tests=\"2\" failures=\"1\">", "<failure message=\"status: expected 500, got 502\">", "name=\"two\" time=\""] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    assert_eq!(run(&config, &cases, &["--only", "two"]).0, Some(0));
}

#[test]
fn a_file_that_is_not_valid_runs_nothing() {
    let cases = temp("contract-invalid", "[[cases]]\nname = \"one\"\nupstream = { falt = \"dns_error\" }\nexpect = { sttus = 200 }\n");
    let config = config("contract-invalid-config", "http://127.0.0.1:1", "");
    let (code, shown, complaint) = run(&config, &cases, &[]);
    assert_eq!((code, shown.as_str()), (Some(78), ""));
    for part in ["did you mean `fault`?", "did you mean `status`?", ":3:14", "^^^^", "2 problems"] {
        assert!(complaint.contains(part), "{part} in\n{complaint}");
    }
    let good = temp("contract-good", "[[cases]]\nname = \"one\"\nexpect = { status = 200 }\n");
    let bad = temp("contract-bad-config", "[listen]\nhtpp = 1\n");
    assert_eq!(run(&bad, &good, &[]).0, Some(78));
    assert_eq!(lockgate(&["test"]).status.code(), Some(2));
    assert_eq!(lockgate(&["test", "/nowhere.toml"]).status.code(), Some(78));
}

#[test]
fn a_backend_that_does_not_exist_is_no_pass() {
    let cases =
        temp("contract-backend", "[[cases]]\nname = \"one\"\nupstream = { backend = \"shp\", status = 500 }\nexpect = { status = 200 }\n");
    let config = config("contract-backend-config", "http://127.0.0.1:1", "");
    let (code, shown, _) = run(&config, &cases, &[]);
    assert!(code == Some(1) && shown.contains("no backend of the configuration is called shp; there are: shop"), "{shown}");
}

#[test]
fn no_service_is_contacted_and_no_timeout_is_waited_for() {
    let origin = Origin::echo();
    let cases = temp(
        "contract-alone",
        "[[cases]]\nname = \"answer\"\nexpect = { status = 200 }\n\
         [[cases]]\nname = \"late\"\nupstream = { fault = \"connection_read_timeout\" }\nexpect = { status = 504, attempts = 1 }\n\
         [[cases]]\nname = \"stalled\"\nupstream = { fault = \"stalled_body\", status = 422, body = \"half of a text\" }\nexpect = { status = 422 }\n\
         [[cases]]\nname = \"limit\"\nrepeat = 3\nexpect = { status = 429 }\n",
    );
    let more = "response_timeout = \"50m\"\nidle_timeout = \"50m\"\nlimits = [\"few\"]\n[limits.few]\nrate = \"2/h\"\nstore = \"shared\"\n\
                [redis]\nurl = \"redis://127.0.0.1:1\"\n";
    let config = config("contract-alone-config", &format!("http://{}", origin.address), more);
    let (code, shown, complaint) = run(&config, &cases, &[]);
    assert_eq!(code, Some(0), "{shown}{complaint}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn update_writes_what_came_back_and_keeps_the_rest() {
    let cases = temp(
        "contract-update",
        "# A comment.\n[[cases]]\nname = \"one\"\nupstream = { fault = \"dns_error\" }\n[cases.expect]\nstatus = 500 # why\ncode = \"X\"\n\n\
         # Another.\n[[cases]]\nname = \"two\"\nupstream = { status = 404, json = { message = \"There is no order 7.\" } }\n",
    );
    let config = config("contract-update-config", "http://127.0.0.1:1", "");
    assert_eq!(run(&config, &cases, &[]).0, Some(78), "a case that expects nothing");
    let (_, _, told) = run(&config, &cases, &["--update"]);
    assert!(told.contains("3 expectations written"), "{told}");
    let written = std::fs::read_to_string(&*cases).unwrap();
    for part in [
        "# A comment.",
        "status = 502 # why\ncode = \"UPSTREAM_UNREACHABLE\"",
        "# Another.",
        "[cases.expect]\nstatus = 404\ncode = \"NOT_FOUND\"\nmessage = \"There is no order 7.\"",
    ] {
        assert!(written.contains(part), "{part} in\n{written}");
    }
    assert_eq!(run(&config, &cases, &[]).0, Some(0), "{written}");
}

/// A recorder, killed when the test ends.
struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An origin that answers with several errors, by path.
fn faulty() -> Origin {
    Origin::start(|c| {
        let json = |status: &str, body: &str| {
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nSet-Cookie: sid=biscuit\r\n");
            format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
        };
        let trace = "java.lang.IllegalStateException: password=hunter2\n\tat com.shop.orders.OrderDao.find(OrderDao.java:42)\n";
        let head = c.head.clone();
        c.body();
        c.say(match head {
            head if head.contains(" /users/") => {
                json("404 Not Found", "{\"message\":\"There is no such user.\",\"token\":\"abcdefgh12345\"}")
            }
            head if head.contains(" /trace") => {
                let head = "HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n";
                format!("{head}\r\n{:x}\r\n{trace}\r\n0\r\n\r\n", trace.len())
            }
            _ => json("200 OK", "{}"),
        });
    })
}

#[test]
fn recorded_cases_pass_and_hold_no_credentials() {
    let origin = faulty();
    let folder = Temporary::folder("contract-recorded");
    let out = folder.to_str().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    command.args(["record", "--to", &format!("http://{}", origin.address), "--out", out, "--listen", "127.0.0.1:0"]);
    let mut recorder = Recorder(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(recorder.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.strip_prefix("http://").and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    for (method, path) in [("GET", "/users/7?key=grapes"), ("GET", "/users/8"), ("GET", "/ok"), ("POST", "/trace")] {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer plumplumplum\r\nCookie: sid=biscuit\r\nAccept: application/json\r\n"
        );
        let response = send(address, format!("{head}Connection: close\r\nContent-Length: 9\r\n\r\npin=13579"));
        assert_eq!(response.status == 200, path == "/ok", "{path} {}", response.text());
    }
    let files = || std::fs::read_dir(&*folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    eventually("two cases", || files() == 2);
    assert!(Command::new("kill").args(["-TERM", &recorder.0.id().to_string()]).status().unwrap().success());
    assert!(recorder.0.wait().unwrap().success());
    assert!(lines.map_while(Result::ok).any(|line| line == format!("2 cases written to {out}")));
    let written: String =
        std::fs::read_dir(&*folder).unwrap().filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok()).collect();
    for secret in ["plumplumplum", "biscuit", "grapes", "abcdefgh12345", "hunter2", "13579"] {
        assert!(!written.contains(secret), "{secret} in\n{written}");
    }
    for part in [
        "POST /trace: 500 becomes 502 UPSTREAM_ERROR",
        "OrderDao.java:42",
        "absent = [",
        "There is no such user.",
        "path = \"/users/7?key=***\"",
    ] {
        assert!(written.contains(part), "{part} in\n{written}");
    }
    let output = lockgate(&["test", out]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn a_name_that_no_case_has_is_told() {
    let cases = temp(
        "contract-only",
        "[[cases]]\nname = \"one \\u001b[31m\"\nexpect = { status = 200 }\n[[cases]]\nname = \"two\"\nexpect = { status = 200 }\n",
    );
    let config = config("contract-only-config", "http://127.0.0.1:1", "");
    let (code, shown, complaint) = run(&config, &cases, &["--only", "zzz"]);
    assert_eq!((code, shown.as_str()), (Some(2), ""), "{complaint}");
    assert!(complaint.contains("`zzz`") && complaint.contains("  one ") && complaint.contains("  two\n"), "{complaint}");
    assert!(!complaint.contains('\u{1b}'), "{complaint:?}");
    assert_eq!(run(&config, &cases, &["--only", "tw"]).0, Some(0));
}

#[test]
fn names_steer_no_terminal_and_break_no_report() {
    let name = "a\\u001b]0;x\\u0007\\r\\nb\\tc\\u009b";
    let cases = temp(
        "contract-names",
        &format!(
            "[[cases]]\nname = \"{name}\"\nexpect = {{ status = 201, body = \"\\u001b[2J\" }}\n[[cases]]\nname = \"good {name}\"\nexpect = {{ status = 200 }}\n"
        ),
    );
    let config = config("contract-names-config", "http://127.0.0.1:1", "");
    let (code, shown, _) = run(&config, &cases, &[]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    let (_, junit, _) = run(&config, &cases, &["--format", "junit"]);
    assert!(junit.contains("&#10;b&#9;c") && !junit.chars().any(|c| c.is_control() && c != '\n'), "{junit:?}");
    let lines = junit.lines().count();
    assert!(junit.lines().filter(|line| line.contains("<testcase")).all(|line| line.ends_with('>')), "{lines} lines: {junit}");
}

#[test]
fn expectations_that_cannot_be_met_or_missed_are_refused() {
    let config = config("contract-impossible-config", "http://127.0.0.1:1", "");
    for key in ["absent = [\"a\", \"\"]", "absent = \"\"", "body_contains = \"\"", "status = 100", "status = 999"] {
        let cases = temp("contract-impossible", &format!("[[cases]]\nname = \"one\"\nexpect = {{ {key} }}\n"));
        let (code, _, complaint) = run(&config, &cases, &[]);
        assert!(code == Some(78) && complaint.contains('^') && complaint.contains(":3:"), "{key}: {complaint}");
    }
}

#[test]
fn the_example_of_the_help_works_from_an_empty_folder() {
    let folder = Temporary::folder("contract-empty");
    let here = |args: &[&str]| {
        let command = std::process::Command::new(env!("CARGO_BIN_EXE_lockgate"))
            .args(args)
            .current_dir(&*folder)
            .env_remove("LOCKGATE_CONFIG")
            .output();
        command.unwrap()
    };
    std::fs::write(folder.join("cases.toml"), here(&["test", "--example"]).stdout).unwrap();
    let without = here(&["test", "cases.toml"]);
    let complaint = text(&without.stderr);
    assert!(without.status.code() == Some(78) && complaint.contains("--config") && !complaint.contains("run --to"), "{complaint}");
    assert!(here(&["init", "--to", "http://127.0.0.1:8000"]).status.success());
    let output = here(&["test", "cases.toml"]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
