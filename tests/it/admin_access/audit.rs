//! What is written down of what clients do.

use serde_json::Value;

use super::{Ask, OPERATOR, VIEWER, hidden, log_in, session};
use crate::harness::{Origin, Process, Temporary, get, until};

/// The lines of the audit up to the end of the process, without their times.
fn lines(mut process: Process) -> Vec<Value> {
    process.signal("-TERM");
    assert_eq!(process.exit_code(), Some(0));
    let all = process.lines.by_ref().map_while(Result::ok).filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    all.filter(|line| line["message"] == "audit").collect()
}

/// A gateway with both tokens, whose log has only events, and a request that has failed.
struct Logged {
    process: Process,
    id: String,
    group: String,
    _folder: Temporary,
}

impl Logged {
    fn start(origin: &Origin) -> Self {
        let folder = Temporary::folder("audit");
        let config = folder.join("lockgate.toml");
        for (name, token) in [("operator", OPERATOR), ("viewer", VIEWER)] {
            std::fs::write(folder.join(name), token).unwrap();
        }
        let text = format!(
            "watch = false\n[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain_delay = \"off\"\nadmin_token = \"file:operator\"\n\
             admin_viewer_token = \"file:viewer\"\ntrusted_proxies = [\"127.0.0.1\"]\n[log]\nformat = \"json\"\naccess = false\nlevel = \"info\"\n\
             [backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
            origin.address
        );
        std::fs::write(&config, &text).unwrap();
        let process = Process::start(&["run", "--config", config.to_str().unwrap()]);
        let id = get(process.address, "/a").header("x-request-id").unwrap().to_owned();
        let group = until(|| match Ask::bearer(VIEWER).get(process.admin, &format!("/api/errors/{id}")) {
            response if response.status == 200 => Ok(response.json()["fingerprint"].as_str().unwrap().to_owned()),
            response => Err(response.text()),
        });
        Self { process, id, group, _folder: folder }
    }

    /// Does what is written down, and some things that are not.
    fn use_it(&self) {
        let Self { process, id, group, .. } = self;
        let admin = process.admin;
        let token = Ask::bearer(OPERATOR).from("10.9.8.7");
        // From here on only errors are logged, and the audit.
        assert_eq!(token.send(admin, "PUT", "/log", "error").status, 200);
        assert_eq!(log_in(admin, "wrong\"}\n{", "/", &Ask::default().from("10.1.1.1")).status, 403);
        let browser = Ask::cookie(&session(admin, OPERATOR));
        let page = browser.get(admin, &format!("/errors/{id}")).text();
        assert_eq!(browser.get(admin, &format!("/errors/{id}.md")).status, 200);
        assert_eq!(token.get(admin, &format!("/api/errors/{id}")).status, 200);
        for path in ["/", "/errors", &format!("/groups/{group}"), "/api/errors", "/config"] {
            assert_eq!(token.get(admin, path).status, 200);
        }
        let viewer = Ask::cookie(&session(admin, VIEWER));
        assert_eq!(viewer.get(admin, &format!("/errors/{id}")).status, 200);
        let csrf = hidden(&page, "csrf");
        assert_eq!(browser.send(admin, "POST", &format!("/groups/{group}"), &format!("csrf={csrf}&state=known")).status, 303);
        assert_eq!(token.send(admin, "POST", &format!("/api/groups/{group}?state=resolved"), "").status, 200);
        assert_eq!(token.send(admin, "POST", "/api/groups/none?state=resolved", "").status, 404);
        assert_eq!(token.send(admin, "POST", "/reload", "").status, 200);
        for _ in 0..12 {
            Ask::bearer("wrong").from("10.1.1.2").get(admin, "/config");
        }
        assert_eq!(browser.send(admin, "POST", "/logout", &format!("csrf={csrf}")).status, 303);
    }
}

#[test]
fn what_is_opened_and_changed_is_written_down_at_every_level() {
    let origin = Origin::says("HTTP/1.1 500 X\r\nContent-Length: 5\r\n\r\nOops!");
    let logged = Logged::start(&origin);
    logged.use_it();
    let Logged { process, id, group, .. } = logged;
    let lines = lines(process);
    let told = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let what = ["request_id", "group", "state", "outcome", "log_level"].map(text).join(" ").replace(&id, "ID").replace(&group, "GROUP");
        let by = if text("by").starts_with("session ") { "session".to_owned() } else { text("by") };
        format!("{} {by} {} {} {}", text("action"), text("role"), text("client"), what.trim())
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut expected = vec![
        "log_level token operator 10.9.8.7 error".to_owned(),
        "login_failed form 10.1.1.1".to_owned(),
        "login session operator 127.0.0.1".to_owned(),
        "original_opened session operator 127.0.0.1 ID".to_owned(),
        "original_opened session operator 127.0.0.1 ID".to_owned(),
        "original_opened token operator 10.9.8.7 ID".to_owned(),
        "login session viewer 127.0.0.1".to_owned(),
        "state_changed session operator 127.0.0.1 GROUP known".to_owned(),
        "state_changed token operator 10.9.8.7 GROUP resolved".to_owned(),
        "reload token operator 10.9.8.7 unchanged".to_owned(),
    ];
    expected.extend(std::iter::repeat_n("login_failed token 10.1.1.2".to_owned(), 10));
    expected.push("logout session operator 127.0.0.1".to_owned());
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected, "{lines:#?}");
    let limited: Vec<bool> = lines.iter().filter_map(|line| line["limited"].as_bool()).collect();
    assert_eq!(limited.iter().filter(|limited| **limited).count(), 1, "the tenth wrong token: {lines:#?}");
    let names: Vec<&str> = lines.iter().filter_map(|line| line["by"].as_str()).filter(|by| by.starts_with("session ")).collect();
    assert!(names.iter().all(|name| name.len() == "session ".len() + 8), "{names:?}");
    let all = lines.iter().map(Value::to_string).collect::<String>();
    assert!(!all.contains(OPERATOR) && !all.contains(VIEWER) && !all.contains("wrong"), "{all}");
}
