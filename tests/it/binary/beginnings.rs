//! Tests what a new user sees first: `init`, the completions, the demo at a terminal, the health check without a file.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::{FREE, lockgate, text};
use crate::harness::{Origin, Process, Temporary, get};

/// Runs a command at a terminal of this many columns, with these lines as input. `script` (util-linux) makes the terminal.
fn at_a_terminal(columns: u16, command: &str, environment: &[(&str, &str)], input: &str) -> (String, bool) {
    let line = format!("stty cols {columns} -echo; exec {} {command}", env!("CARGO_BIN_EXE_lockgate"));
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (text(&output.stdout), output.status.success())
}

#[test]
fn init_writes_a_file_that_runs_and_overwrites_none() {
    let folder = Temporary::folder("init");
    let file = folder.join("lockgate.toml");
    let path = file.to_str().unwrap();
    let origin = Origin::echo();
    let url = origin.address.to_string();
    let output = lockgate(&["init", "--to", &url, "--behind", "127.0.0.0/8,fd00::/8", "--listen", "127.0.0.1:8181", "--output", path]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(lockgate(&["check", path]).status.success());
    let written = std::fs::read_to_string(&file).unwrap();
    for part in ["http = \"127.0.0.1:8181\"", "trusted_proxies = [\"127.0.0.0/8\", \"fd00::/8\"]", "# [listen.tls]", "path = \"/*\""] {
        assert!(written.contains(part), "{part} in\n{written}");
    }
    let process = Process::start(&[&["run", "--config", path], FREE].concat());
    assert_eq!(get(process.address, "/").status, 200);

    std::fs::write(&file, "mine").unwrap();
    let output = lockgate(&["init", "--to", &url, "--output", path]);
    assert_eq!((output.status.code(), std::fs::read_to_string(&file).unwrap().as_str()), (Some(1), "mine"));
    assert!(text(&output.stderr).contains("--force"), "{}", text(&output.stderr));
    assert!(lockgate(&["init", "--to", &url, "--output", path, "--force"]).status.success());
    assert_ne!(std::fs::read_to_string(&file).unwrap(), "mine");

    // Without a terminal nobody can be asked, and what is wrong is not written.
    let other = folder.join("other.toml");
    for wrong in
        [&["init"][..], &["init", "--to", "ftp://x"], &["init", "--to", "http://u:p@a"], &["init", "--to", "a", "--behind", "maybe"]]
    {
        let output = lockgate(&[wrong, &["--output", other.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(1), "{wrong:?}");
        assert!(!other.exists() && !output.stderr.is_empty(), "{wrong:?}");
    }
}

#[test]
fn init_asks_three_questions_at_a_terminal() {
    let folder = Temporary::folder("init-asks");
    let file = folder.join("lockgate.toml");
    let (shown, good) = at_a_terminal(80, &format!("init -o {}", file.display()), &[], "ftp://x\nlocalhost:3000\n9000\nyes\n");
    assert!(good && shown.contains("is no URL") && shown.contains("[0.0.0.0:8080]") && shown.contains("load balancer"), "{shown}");
    let written = std::fs::read_to_string(&file).unwrap();
    for part in ["http://localhost:3000", "\"0.0.0.0:9000\"", "\"10.0.0.0/8\", \"172.16.0.0/12\""] {
        assert!(written.contains(part), "{part} in\n{written}");
    }
}

#[test]
fn completions_name_every_command() {
    let help = text(&lockgate(&["--help"]).stdout);
    let commands: Vec<&str> =
        help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1).map_while(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"completions") && commands.len() >= 9, "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let output = lockgate(&["completions", shell]);
        let script = text(&output.stdout);
        assert!(output.status.success() && commands.iter().all(|command| script.contains(command)), "{shell}: {script}");
    }
    let mut bash = Command::new("bash").args(["-n"]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut bash.stdin.take().unwrap(), &lockgate(&["completions", "bash"]).stdout).unwrap();
    assert!(bash.wait().unwrap().success());
    assert_eq!(lockgate(&["completions", "cmd"]).status.code(), Some(2));
}

/// A text without its terminal styles.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[test]
fn the_demo_fits_the_terminal_and_has_its_colors() {
    let demo = "demo --once --listen 127.0.0.1:0";
    for columns in [80, 120] {
        let (shown, good) = at_a_terminal(columns, demo, &[], "");
        assert!(good && shown.contains("\x1b[1;31m502\x1b[0m"), "{shown}");
        for line in plain(&shown).lines() {
            assert!(line.trim_end().chars().count() <= usize::from(columns), "{columns}: {line}");
        }
        assert!(plain(&shown).contains("leaked frames: 0") && shown.contains("A leaked frame is"), "{shown}");
    }
    let (shown, _) = at_a_terminal(100, demo, &[("NO_COLOR", "1")], "");
    assert!(!shown.contains('\x1b') && shown.contains("502 UPSTREAM_ERROR"), "{shown}");
}

/// Colors and all: the log at a terminal starts, tells of a request, and stops.
#[test]
fn the_log_has_colors_at_a_terminal() {
    let gateway = env!("CARGO_BIN_EXE_lockgate");
    let line = format!("echo pid=$$; exec {gateway} run --to http://127.0.0.1:1 --listen 127.0.0.1:0 --admin 127.0.0.1:0");
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let pid = lines.next().unwrap().trim().strip_prefix("pid=").unwrap().to_owned();
    let first = plain(&lines.next().unwrap());
    let address = first.split("address=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("{first}"));
    assert_eq!(get(address.parse().unwrap(), "/x").status, 502);
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    child.wait().unwrap();
    let all = rest.join("\n");
    assert!(all.contains("\x1b[1;31m502\x1b[0m") && plain(&all).contains("UPSTREAM_UNREACHABLE"), "{all}");
}

/// An image names a file in its environment; with `--to` there need not be one.
#[test]
fn the_health_check_works_without_a_file() {
    let output = Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .arg("healthcheck")
        .current_dir(std::env::temp_dir())
        .env("LOCKGATE_CONFIG", "/etc/lockgate/nobody-mounted-this.toml")
        .output()
        .unwrap();
    // Whether or not something listens there, the default address was asked.
    assert_ne!(output.status.code(), Some(78), "{}", text(&output.stderr));
    assert!(output.status.success() || text(&output.stderr).contains("127.0.0.1:9090"), "{}", text(&output.stderr));
    let process = Process::start(&[&["run", "--to", "http://127.0.0.1:1"], FREE].concat());
    let admin = process.admin.to_string();
    assert!(lockgate(&["healthcheck", "--admin", &admin]).status.success());
    // The page needs no token, so that none is read and none is sent.
    let file = super::temp("health-token", "[listen]\nadmin_token = \"file:/nowhere/token\"\n");
    assert!(lockgate(&["healthcheck", "--admin", &admin, "--config", file.to_str().unwrap()]).status.success());
}

/// A service at the port of the gateway: each request would come back.
#[test]
fn an_endpoint_at_the_own_listener_is_warned_of() {
    const WORDS: &str = "the endpoint is this gateway's own listener";
    let folder = Temporary::folder("own-listener");
    let told = |listen: &str, endpoint: &str| {
        let file = folder.join("own.toml");
        let routes = "[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
        std::fs::write(&file, format!("{listen}\n[backends.o]\nendpoints = [\"{endpoint}\"]\n{routes}")).unwrap();
        let output = lockgate(&["check", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stderr)
    };
    for (listen, endpoint) in [
        ("", "http://127.0.0.1:8080"),
        ("", "http://localhost:8080"),
        ("[listen]\nhttp = \"127.0.0.1:80\"", "http://localhost"),
        ("[listen]\nhttp = [\"127.0.0.1:1\", \"10.0.0.1:8000\"]", "http://10.0.0.1:8000"),
    ] {
        assert!(told(listen, endpoint).contains(WORDS), "{listen} {endpoint}");
    }
    for (listen, endpoint) in [
        ("", "http://127.0.0.1:8081"),
        ("", "https://127.0.0.1:8080"),
        ("", "http://orders:8080"),
        ("[listen]\nhttp = \"0.0.0.0:80\"", "http://127.0.0.1:8080"),
    ] {
        assert_eq!(told(listen, endpoint), "", "{listen} {endpoint}");
    }

    let path = folder.join("lockgate.toml");
    let path = path.to_str().unwrap();
    let output = lockgate(&["init", "--to", "127.0.0.1:8080", "--output", path]);
    assert!(text(&output.stdout).contains("listens on 0.0.0.0:8081 and forwards to http://127.0.0.1:8080"), "{output:?}");
    assert_eq!(text(&lockgate(&["check", path]).stderr), "");
    let output = lockgate(&["init", "--to", "127.0.0.1:8080", "--listen", "127.0.0.1:8080", "--output", path, "--force"]);
    assert!(output.status.success() && text(&output.stderr).contains(WORDS), "{output:?}");
    let output = lockgate(&["init", "--to", "foo", "--output", path, "--force"]);
    assert!(text(&output.stdout).contains("forwards to http://foo."), "{output:?}");

    // The port is taken, so that the gateway ends; it has warned before.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let run =
        |more: &[&str]| text(&lockgate(&[&["run", "--listen", &address.to_string(), "--admin", "127.0.0.1:0"], more].concat()).stderr);
    assert!(run(&["--to", &format!("http://localhost:{}", address.port())]).contains(WORDS));
    assert!(!run(&["--to", "http://localhost:8080"]).contains(WORDS));
    assert!(!run(&["--config", folder.join("own.toml").to_str().unwrap()]).contains(WORDS));
}

#[test]
fn a_token_that_cannot_be_read_is_one_problem() {
    let file = Temporary::file(
        "unreadable-token.toml",
        "[listen]\nadmin = \"0.0.0.0:9090\"\nadmin_token = \"file:/nonexistent/token\"\nadmin_session = \"1h\"\n\
         admin_viewer_token = \"${LOCKGATE_TEST_UNSET}\"\n[backends.o]\n\
         endpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
    );
    let output = lockgate(&["check", file.to_str().unwrap()]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(78) && told.contains("cannot read `/nonexistent/token`"), "{told}");
    assert!(told.contains("LOCKGATE_TEST_UNSET") && told.contains("2 problems") && !told.contains("needs `admin_token`"), "{told}");
}

#[test]
fn a_reload_that_changes_nothing_repeats_what_waits_for_a_restart() {
    let config = |keep: &str| {
        format!(
            "watch = false\n[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[journal]\nkeep = \"{keep}\"\n[backends.o]\n\
             endpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n"
        )
    };
    let folder = Temporary::folder("waits");
    let file = folder.join("lockgate.toml");
    std::fs::write(&file, config("1d")).unwrap();
    let process = Process::start(&["run", "--config", file.to_str().unwrap()]);
    let reload = || lockgate(&["reload", "--admin", &process.admin.to_string()]);
    let same = reload();
    assert!(text(&same.stdout).contains("unchanged") && same.stderr.is_empty(), "{same:?}");
    std::fs::write(&file, config("2d")).unwrap();
    assert!(text(&reload().stderr).contains("needs a restart"));
    let again = reload();
    assert!(text(&again.stdout).contains("unchanged") && text(&again.stderr).contains("waits for a restart: journal"), "{again:?}");
}
