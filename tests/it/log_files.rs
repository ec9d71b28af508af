//! Tests the log in a file, with the shipped binary: permissions, SIGUSR1, rotation by size, full disks, deleted folders and paths that
//! cannot be written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::harness::{Client, Origin, Process, Temporary, eventually, get, send, until};

fn config(origin: &Origin, file: &Path, more: &str) -> String {
    format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 1\ndrain_delay = \"off\"\n[backends.o]\nendpoints = \
         [\"http://{}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n[log]\nfile = \"{}\"\n{more}",
        origin.address,
        file.display()
    )
}

fn ok() -> Origin {
    Origin::start(|c| {
        while {
            c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            c.next_head()
        } {}
    })
}

fn start(name: &str, config: &str) -> (Process, Temporary) {
    let file = Temporary::file(&format!("{name}.toml"), config);
    (Process::start(&["run", "--config", file.to_str().unwrap()]), file)
}

/// Waits until a file has a line with these words.
fn wait_for(file: &Path, words: &str) {
    until(|| {
        let text = fs::read_to_string(file).unwrap_or_default();
        if text.lines().any(|line| line.contains(words)) { Ok(()) } else { Err(format!("no {words} in {}: {text}", file.display())) }
    });
}

fn dropped(process: &Process) -> u64 {
    let text = get(process.admin, "/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix("lockgate_log_lines_dropped_total ")).unwrap();
    line.parse().unwrap()
}

/// Ends the process; what it wrote to standard output since it began to listen.
fn end(mut process: Process) -> Vec<String> {
    process.signal("-TERM");
    assert_eq!(process.exit_code(), Some(0));
    process.lines.by_ref().map_while(Result::ok).collect()
}

/// logrotate renames the file and sends SIGUSR1. Events stay on standard output.
#[test]
fn sigusr1_opens_the_file_again() {
    let (origin, folder) = (ok(), Temporary::folder("reopened"));
    let (file, old) = (folder.join("access.log"), folder.join("access.log.old"));
    let (process, _config) = start("reopened", &config(&origin, &file, ""));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777 & !0o640, 0, "the start creates it");
    get(process.address, "/before");
    wait_for(&file, "/before");
    fs::rename(&file, &old).unwrap();
    // Until the signal comes, lines go on into the renamed file.
    get(process.address, "/between");
    wait_for(&old, "/between");
    process.signal("-USR1");
    eventually("the file exists again", || file.exists());
    get(process.address, "/after");
    wait_for(&file, "/after");
    assert!(!fs::read_to_string(&old).unwrap().contains("/after") && !fs::read_to_string(&file).unwrap().contains("/between"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777 & !0o640, 0);
    let events = end(process);
    for word in ["SIGUSR1", "the log file was opened again", "\"drained\""] {
        assert!(events.iter().any(|line| line.contains(word)), "{word}: {events:#?}");
    }
    assert!(!events.iter().any(|line| line.contains("\"request\"")), "{events:#?}");
    assert!(!fs::read_to_string(&file).unwrap().contains("drained"), "a file has access lines only");
}

/// No line is lost, cut or written twice, no file becomes too large, and older ones go.
#[test]
fn a_file_is_rotated_by_its_size() {
    let (origin, folder) = (ok(), Temporary::folder("rotated"));
    let file = folder.join("access.log");
    let (process, _config) = start("rotated", &config(&origin, &file, "max_size = \"1MiB\"\nkeep = 2\n"));
    let (agent, query) = ("u".repeat(250), "name=1&".repeat(80));
    let mut client = Client::connect(process.address);
    let count = 3600;
    for n in 0..count {
        client.write(format!("GET /{n}/{} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\nX: {query}\r\n\r\n", "p".repeat(900)));
        assert_eq!(client.response("GET").status, 200);
    }
    wait_for(&file, &format!("/{}/", count - 1));
    let older = |number: u32| folder.join(format!("access.log.{number}"));
    assert!(older(1).exists() && older(2).exists() && !older(3).exists());
    let mut numbers = Vec::new();
    for path in [older(2), older(1), file.clone()] {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.len() <= 1 << 20, "{} has {} bytes", path.display(), text.len());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777 & !0o640, 0);
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            numbers.push(line["path"].as_str().unwrap().split('/').nth(1).unwrap().parse::<u32>().unwrap());
        }
    }
    let first = numbers[0];
    assert!(first > 0, "the oldest lines are gone");
    assert_eq!(numbers, (first..count).collect::<Vec<_>>());
    assert_eq!(dropped(&process), 0);
}

/// The place of the older file is taken by a folder: the file grows further.
#[test]
fn a_rotation_that_fails_costs_no_line() {
    let (origin, folder) = (ok(), Temporary::folder("unrotated"));
    let file = folder.join("access.log");
    fs::create_dir_all(folder.join("access.log.1/full")).unwrap();
    let (process, _config) = start("unrotated", &config(&origin, &file, "max_size = \"1MiB\"\nkeep = 1\n"));
    let mut client = Client::connect(process.address);
    for n in 0..1400 {
        client.write(format!("GET /{n}/{} HTTP/1.1\r\nHost: a\r\n\r\n", "p".repeat(900)));
        assert_eq!(client.response("GET").status, 200);
    }
    wait_for(&file, "/1399/");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.len() > 1 << 20 && text.lines().count() == 1400, "{} lines in {} bytes", text.lines().count(), text.len());
    assert_eq!(dropped(&process), 0);
    let events = end(process);
    assert_eq!(events.iter().filter(|line| line.contains("cannot be rotated")).count(), 1, "{events:#?}");
}

/// The shipped example, executed by logrotate itself while lines are written.
#[test]
fn the_example_of_logrotate_loses_no_line() {
    let (origin, folder) = (ok(), Temporary::folder("logrotate"));
    let file = folder.join("access.log");
    let (process, _config) = start("logrotate", &config(&origin, &file, ""));
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/logrotate.conf")).unwrap();
    let signal = "systemctl kill --kill-whom=main --signal=USR1 lockgate.service";
    assert!(example.contains("/var/log/lockgate/access.log") && example.contains(signal));
    let text = example
        .replace("/var/log/lockgate/access.log", file.to_str().unwrap())
        .replace(signal, &format!("kill -USR1 {}", process.child.id()));
    let rules = Temporary::file("logrotate.conf", &text);
    fs::set_permissions(&*rules, fs::Permissions::from_mode(0o644)).unwrap();
    let state = folder.join("state");
    for round in 0..3 {
        get(process.address, &format!("/round-{round}"));
        wait_for(&file, &format!("/round-{round}"));
        let rotate = Command::new("logrotate").args(["--force", "--state"]).args([&state, &*rules]).output();
        let output = match rotate {
            Ok(output) => output,
            Err(error) => return println!("skipped: logrotate (package logrotate): {error}"),
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        eventually("the file exists again", || file.exists());
    }
    let older = |number: u32| fs::read_to_string(folder.join(format!("access.log.{number}"))).unwrap();
    assert!(older(1).contains("/round-2"));
    for number in [2, 3] {
        assert!(folder.join(format!("access.log.{number}.gz")).exists(), "{number}");
    }
    end(process);
}

/// A full disk costs lines, which are counted, and no request.
#[test]
fn a_full_disk_costs_lines_and_no_request() {
    let origin = ok();
    let (process, _config) = start("full", &config(&origin, Path::new("/dev/full"), ""));
    for n in 0..5 {
        assert_eq!(get(process.address, &format!("/{n}")).status, 200);
    }
    eventually("the lines are counted", || dropped(&process) == 5);
    let events = end(process);
    assert_eq!(events.iter().filter(|line| line.contains("cannot be written and are dropped")).count(), 1, "{events:#?}");
}

/// A limit of the file size stands for a disk that becomes full in the middle of a line. With a new file, lines are written again.
#[test]
fn a_file_that_cannot_grow_is_left_for_a_new_one() {
    let (origin, folder) = (ok(), Temporary::folder("limited"));
    let (file, old) = (folder.join("access.log"), folder.join("access.log.old"));
    let config = Temporary::file("limited.toml", &config(&origin, &file, ""));
    let process = Process::start_with("ulimit -f 8", &["run", "--config", config.to_str().unwrap()]);
    let mut sent = 0;
    eventually("lines are lost", || {
        sent += 1;
        get(process.address, &format!("/{sent}/{}", "p".repeat(900))).status == 200 && dropped(&process) > 0
    });
    let kept = fs::read_to_string(&file).unwrap();
    let whole = kept.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
    assert!(whole > 0 && kept.len() <= 8 * 1024, "{} lines in {} bytes", whole, kept.len());
    fs::rename(&file, &old).unwrap();
    process.signal("-USR1");
    eventually("the file exists again", || file.exists());
    get(process.address, "/after");
    wait_for(&file, "/after");
    let events = end(process);
    assert!(events.iter().any(|line| line.contains("can be written again")), "{events:#?}");
    assert!(fs::read_to_string(&file).unwrap().lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

/// While the folder is missing, lines are lost and counted; when it is back, they are written again without a signal.
#[test]
fn a_deleted_folder_costs_lines_until_it_is_back() {
    let (origin, parent) = (ok(), Temporary::folder("deleted"));
    let folder = parent.join("log");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("access.log");
    let (process, _config) = start("deleted", &config(&origin, &file, ""));
    get(process.address, "/before");
    wait_for(&file, "/before");
    fs::remove_dir_all(&folder).unwrap();
    eventually("lines are lost", || get(process.address, "/lost").status == 200 && dropped(&process) > 0);
    fs::create_dir(&folder).unwrap();
    eventually("lines are written", || {
        get(process.address, "/after").status == 200 && fs::read_to_string(&file).is_ok_and(|text| text.contains("/after"))
    });
    end(process);
}

/// A program that replaces the file without a signal is noticed as well, and a file that was truncated is written from its beginning.
#[test]
fn a_replaced_file_is_noticed() {
    let (origin, folder) = (ok(), Temporary::folder("replaced"));
    let file = folder.join("access.log");
    let (process, _config) = start("replaced", &config(&origin, &file, ""));
    get(process.address, "/before");
    wait_for(&file, "/before");
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(0).unwrap();
    get(process.address, "/truncated");
    wait_for(&file, "/truncated");
    assert!(fs::read(&file).unwrap().starts_with(b"{"), "no hole at the beginning");
    fs::rename(&file, folder.join("old")).unwrap();
    fs::write(&file, "").unwrap();
    eventually("the new file is written", || {
        get(process.address, "/after").status == 200 && fs::read_to_string(&file).is_ok_and(|text| text.contains("/after"))
    });
}

#[test]
fn a_path_that_cannot_be_written_ends_the_start() {
    let (origin, folder) = (ok(), Temporary::folder("unwritable"));
    let pipe = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let plain = folder.join("plain");
    fs::write(&plain, "").unwrap();
    for (path, words) in [
        (folder.join("missing/access.log"), "create the folder: `mkdir -p"),
        (folder.to_path_buf(), "names a regular file"),
        (pipe, "names a regular file"),
        (plain.join("access.log"), "is not a folder"),
    ] {
        let file = Temporary::file("unwritable.toml", &config(&origin, &path, ""));
        let output = Command::new(env!("CARGO_BIN_EXE_lockgate")).args(["run", "--config", file.to_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", path.display());
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(&format!("cannot write the log to {}", path.display())) && told.contains(words), "{told}");
        assert!(output.stdout.is_empty());
    }
}

/// A reload changes file, format, sample and level; one whose file cannot be written changes nothing.
#[test]
fn a_reload_changes_the_log() {
    let (origin, folder) = (ok(), Temporary::folder("reloaded"));
    let (first, second) = (folder.join("first.log"), folder.join("second.log"));
    let text = |file: &Path, more: &str| config(&origin, file, more);
    let (process, config) = start("reloaded", &text(&first, "format = \"json\"\n"));
    let reload = |text: String| {
        fs::write(&*config, text).unwrap();
        send(process.admin, "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    };
    get(process.address, "/one");
    wait_for(&first, "/one");
    let refused = reload(text(&folder.join("missing/access.log"), "format = \"combined\"\n"));
    assert!(refused.status == 422 && refused.text().contains("cannot write the log to"), "{}", refused.text());
    get(process.address, "/two");
    wait_for(&first, "\"/two\"");
    // The level that was set meanwhile stays, because the configuration says nothing new of it.
    let set = "PUT /log HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\ntrace";
    assert_eq!(send(process.admin, set).status, 200);
    assert_eq!(reload(text(&second, "format = \"combined\"\n")).status, 200);
    assert_eq!(get(process.admin, "/log").json()["level"], "trace");
    get(process.address, "/three");
    wait_for(&second, "\"GET /three HTTP/1.1\" 200 - ");
    assert!(!fs::read_to_string(&first).unwrap().contains("/three"));
    // Another format in the same file.
    let template = "format = \"template\"\ntemplate = 'template {path} {status}'\nlevel = \"warn\"\n";
    assert_eq!(reload(text(&second, template)).status, 200);
    assert_eq!(get(process.admin, "/log").json()["level"], "warn");
    get(process.address, "/four");
    wait_for(&second, "template /four 200");
    assert_eq!(reload(text(&second, "sample = 0\nslow = \"1h\"\n")).status, 200);
    get(process.address, "/five");
    assert_eq!(reload(text(&second, "")).status, 200);
    get(process.address, "/six");
    wait_for(&second, "/six");
    assert!(!fs::read_to_string(&second).unwrap().contains("/five"));
    end(process);
}

/// On standard output, lines that are no JSON are not mixed with events: those go to standard error.
#[test]
fn events_do_not_mix_with_combined_lines() {
    let origin = ok();
    let text = config(&origin, Path::new("unused"), "format = \"combined\"\n").replace("file = \"unused\"\n", "");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = Temporary::file("mixed.toml", &text.replacen("127.0.0.1:0", &port.to_string(), 1));
    let mut child = Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .args(["run", "--config", file.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the gateway listens", || std::net::TcpStream::connect(port).is_ok());
    assert_eq!(send(port, "GET /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status, 200);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    until(|| child.try_wait().unwrap().ok_or_else(|| "the process does not end".to_owned()));
    let output = child.wait_with_output().unwrap();
    let (lines, events) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(lines.lines().count() == 1 && lines.contains("\"GET /seen HTTP/1.1\" 200 - "), "{lines}");
    assert!(events.contains("\"listening\"") && events.contains("\"drained\"") && !events.contains("/seen"), "{events}");
}
