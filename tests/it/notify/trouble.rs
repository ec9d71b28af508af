//! Receivers that fail, hang, redirect, are busy or wrong: no request notices, and what becomes of messages is counted. No secret is shown.

use std::net::TcpListener;
use std::process::Command;

use super::receiver::{OPENS, Receiver, says};
use super::states::whole;
use super::{fail, gateway, upstream};
use crate::harness::{GatewayUnderTest, Process, Temporary, eventually, get};
use crate::telemetry::secure;

fn outcome(gateway: &GatewayUnderTest, outcome: &str, count: usize) {
    gateway.wait_for_metric(&format!("lockgate_notifications_total{{notifier=\"webhook\",outcome=\"{outcome}\"}} {count}"));
}

/// A receiver whose first answer is `answer`, and a message to it. Returns the number of its messages when one was taken.
fn after(name: &str, answer: Vec<u8>, more: &str) -> usize {
    let (origin, receiver) = (upstream(), Receiver::answers(name, vec![answer, says(204, "")]));
    let gateway = gateway(&origin, &receiver, more);
    fail(&gateway, "a");
    outcome(&gateway, "sent", 1);
    outcome(&gateway, "failed", 0);
    receiver.now().len()
}

#[test]
fn a_message_is_sent_again_where_that_may_help() {
    assert_eq!(after("retry-500", says(500, ""), ""), 2);
    assert_eq!(after("retry-429", says(429, "Retry-After: 1\r\n"), ""), 2);
    assert_eq!(after("retry-closed", b"\r\n".to_vec(), ""), 2);
    assert_eq!(after("retry-hangs", Vec::new(), "timeout = \"200ms\"\n"), 2);
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let endless = [b"HTTP/1.1 200 x\r\nContent-Length: 999999999\r\n\r\n".to_vec(), vec![b'x'; 1 << 20]].concat();
    assert_eq!(after("endless", endless, ""), 1);
}

#[test]
fn a_message_that_is_refused_is_not_sent_again() {
    for status in [400, 401, 404, 410, 413] {
        let (origin, receiver) = (upstream(), Receiver::answers(&format!("refused-{status}"), vec![says(status, ""), says(200, "")]));
        let gateway = gateway(&origin, &receiver, "");
        fail(&gateway, "a");
        outcome(&gateway, "failed", 1);
        assert_eq!(receiver.now().len(), 1, "{status}");
        fail(&gateway, "b");
        outcome(&gateway, "sent", 1);
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let (origin, elsewhere) = (upstream(), Receiver::start("redirect-to"));
    for status in [301, 302, 307, 308] {
        let redirect = says(status, &format!("Location: http://{}/\r\n", elsewhere.address()));
        let receiver = Receiver::answers(&format!("redirect-{status}"), vec![redirect]);
        let gateway = gateway(&origin, &receiver, "");
        fail(&gateway, "a");
        outcome(&gateway, "failed", 1);
        assert_eq!(receiver.now().len(), 1);
    }
    assert_eq!(elsewhere.now().len(), 0);
}

#[test]
fn a_receiver_that_never_answers_holds_neither_requests_nor_another_receiver_nor_the_shutdown() {
    let (origin, hangs, works) = (upstream(), Receiver::answers("hangs", vec![Vec::new()]), Receiver::start("works"));
    let tables = [hangs.table("webhook", "timeout = \"60s\"\n"), works.table("webhook", "name = \"works\"\n")].concat();
    let table = format!("[listen]\ndrain_delay = \"off\"\n{tables}");
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, &table);
    for fault in ["a", "b", "c"] {
        fail(&gateway, &format!("{fault}-fault"));
    }
    assert_eq!((works.messages(3).len(), hangs.messages(1).len()), (3, 1));
    gateway.begin_stop();
    assert!(gateway.stopped());
}

#[test]
fn the_last_message_is_sent_at_the_shutdown() {
    let (origin, receiver) = (upstream(), Receiver::start("shutdown"));
    let table = format!("[listen]\ndrain_delay = \"off\"\n{}", receiver.table("webhook", ""));
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, &table);
    fail(&gateway, "a");
    gateway.wait_for_metric("lockgate_journal_entries_total 1");
    gateway.begin_stop();
    assert!(gateway.stopped());
    assert_eq!(receiver.now().len(), 1);
}

/// What the receiver says repeats the path, as some do.
fn repeats_the_path() -> Vec<u8> {
    let body = format!("no hook /hook/{OPENS} with hunter2 for Bearer tiny-hunter2 signed by key-hunter2-of-signatures");
    format!("HTTP/1.1 404 x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn secrets_are_neither_in_the_log_nor_on_the_pages() {
    let (origin, receiver) = (upstream(), Receiver::answers("secret", vec![repeats_the_path()]));
    let key = Temporary::file("notify-secret-key", "key-hunter2-of-signatures");
    let token = Temporary::file("notify-secret-token", "Bearer tiny-hunter2");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = Temporary::file("notify-secret-down", &format!("http://{free}/hook/{OPENS}"));
    let tables = [
        receiver
            .table("webhook", &format!("secret = \"file:{}\"\nheaders = {{ x-token = \"file:{}\" }}\n", key.display(), token.display())),
        format!("[[notify]]\nkind = \"slack\"\nurl = \"file:{}\"\n", down.display()),
    ];
    let text = whole(&origin, &tables.concat());
    let file = Temporary::file("notify-secret.toml", &text);
    let mut process = Process::start(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(get(process.address, "/a").status, 502);
    eventually("the message is refused", || {
        let metrics = get(process.admin, "/metrics").text();
        metrics.contains("lockgate_notifications_total{notifier=\"webhook\",outcome=\"failed\"} 1")
    });
    let pages = ["/config", "/metrics", "/configuration", "/groups"].map(|page| get(process.admin, page).text()).concat();
    // The one that cannot be reached is tried again until the shutdown.
    process.signal("-TERM");
    let log: String = process.lines.by_ref().map_while(Result::ok).map(|line| line + "\n").collect();
    for words in ["a notification was not taken", "it answered with 404", "the receiver"] {
        assert!(log.contains(words), "{words} in {log}");
    }
    for text in [log, pages] {
        assert!(!text.contains("hunter2") && !text.contains(OPENS) && !text.contains("signed by"), "{text}");
    }
}

fn command(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lockgate")).args(args).output().unwrap();
    (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_command_sends_a_test_and_says_what_was_answered() {
    let (good, bad) = (Receiver::start("command-good"), Receiver::answers("command-bad", vec![repeats_the_path()]));
    let (key, token) = (
        Temporary::file("notify-command-key", "key-hunter2-of-signatures"),
        Temporary::file("notify-command-token", "Bearer tiny-hunter2"),
    );
    let more =
        format!("name = \"te\\u001bam\"\nsecret = \"file:{}\"\nheaders = {{ x-token = \"file:{}\" }}\n", key.display(), token.display());
    let tables = [good.table("slack", ""), bad.table("webhook", &more)].concat();
    let text = "[backends.o]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    let file = Temporary::file("notify-command.toml", &format!("{text}{tables}"));
    let file = file.to_str().unwrap().to_owned();
    let (code, shown) = command(&["notify", "test", "--config", &file]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("slack: sent: it answered with 200"), "{shown}");
    assert!(shown.contains("te am: not sent: it answered with 404: no *** /***/*** with ***"), "{shown}");
    assert!(!["hunter2", "tiny", "of-signatures", "\u{1b}"].iter().any(|secret| shown.contains(secret)), "{shown}");
    assert_eq!(good.messages(1)[0].json()["text"], "Lockgate: test");
    let (code, shown) = command(&["notify", "test", "slack", "--config", &file]);
    assert_eq!((code, bad.now().len()), (Some(0), 1), "{shown}");
    let (code, shown) = command(&["notify", "test", "nobody", "--config", &file]);
    assert!(code == Some(1) && shown.contains("there are: slack, te am"), "{shown}");
    let none = Temporary::file("notify-command-none.toml", text);
    let (code, shown) = command(&["notify", "test", "--config", none.to_str().unwrap()]);
    assert!(code == Some(1) && shown.contains("no [[notify]]"), "{shown}");
    // What the configuration commands show is what the file has.
    for args in [["config", &file], ["check", &file]] {
        let (code, shown) = command(&args);
        assert!(code == Some(0) && !shown.contains("hunter2"), "{shown}");
    }
    let (_, shown) = command(&["config", &file]);
    assert!(shown.contains("[[notify]]") && shown.contains(&format!("url = \"{}\"", bad.reference())), "{shown}");
}

#[test]
fn a_receiver_over_tls_is_verified() {
    let (own, other) = (secure::collector(), secure::collector());
    let url = Temporary::file("notify-tls-url", &format!("https://{}/hook/{OPENS}", own.address));
    let (own_ca, other_ca) = (Temporary::file("notify-tls-own.pem", &own.pem), Temporary::file("notify-tls-other.pem", &other.pem));
    let test = |ca: &Temporary| {
        let text = format!(
            "[[routes]]\npath = \"/*\"\nrespond = {{ status = 204 }}\n[[notify]]\nkind = \"slack\"\nurl = \"file:{}\"\n",
            url.display()
        );
        let file = Temporary::file("notify-tls.toml", &format!("{text}ca = \"{}\"\n", ca.display()));
        command(&["notify", "test", "--config", file.to_str().unwrap()])
    };
    let (code, shown) = test(&other_ca);
    assert!(code == Some(1) && shown.contains("slack: not sent"), "{shown}");
    assert_eq!(*own.heads.lock().unwrap(), Vec::<String>::new(), "one that is not trusted gets nothing");
    let (code, shown) = test(&own_ca);
    assert!(code == Some(0) && shown.contains("slack: sent: it answered with 200"), "{shown}");
    assert!(own.heads.lock().unwrap()[0].starts_with(&format!("POST /hook/{OPENS} HTTP/1.1\r\n")));
}
