//! What is told of backends, breakers, certificates and reloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::fail;
use super::receiver::Receiver;
use crate::harness::{GatewayUnderTest, Origin, Process, Temporary, eventually, get, send};

#[test]
fn a_backend_that_goes_down_and_comes_back_is_told() {
    let healthy = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&healthy);
    let origin = Origin::start(move |conversation| {
        let status = if state.load(Ordering::SeqCst) { 200 } else { 503 };
        conversation.say(format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    });
    let receiver = Receiver::start("states-down");
    let toml = format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\nhealth = {{ path = \"/health\", every = \"20ms\", unhealthy_after = 1, healthy_after = 1 }}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n{}",
        origin.address,
        receiver.table("webhook", "when = [\"backend-down\", \"backend-up\"]\n")
    );
    let _gateway = GatewayUnderTest::start(&toml);
    origin.wait_for_requests(1);
    assert_eq!(receiver.now().len(), 0);
    healthy.store(false, Ordering::SeqCst);
    let down = receiver.messages(1)[0].json();
    assert_eq!((&down["event"], &down["backend"], &down["severity"]), (&json!("backend-down"), &json!("o"), &json!("error")));
    healthy.store(true, Ordering::SeqCst);
    let up = receiver.messages(2)[1].json();
    assert_eq!((&up["event"], &up["backend"], &up["severity"]), (&json!("backend-up"), &json!("o"), &json!("info")));
}

#[test]
fn a_breaker_that_opens_is_told_with_its_endpoint() {
    let (origin, receiver) = (super::upstream(), Receiver::start("states-breaker"));
    let toml = format!(
        "[backends.o]\nendpoints = [\"http://{}\"]\nbreaker = {{ open_after = \"100% of 2\", open_for = \"1h\" }}\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n{}",
        origin.address,
        receiver.table("webhook", "when = \"breaker-open\"\n")
    );
    let gateway = GatewayUnderTest::start(&toml);
    fail(&gateway, "a");
    fail(&gateway, "b");
    let told = receiver.messages(1)[0].json();
    assert_eq!((&told["event"], &told["backend"]), (&json!("breaker-open"), &json!("o")));
    assert_eq!(told["endpoint"], format!("http://{}", origin.address));
}

#[test]
fn a_certificate_that_ends_soon_is_told() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    parameters.not_after = (std::time::SystemTime::now() + std::time::Duration::from_secs(5 * 86_400 + 3_600)).into();
    let certificate = parameters.self_signed(&key).unwrap();
    let (cert, key) = (Temporary::file("notify.crt", &certificate.pem()), Temporary::file("notify.pem", &key.serialize_pem()));
    let receiver = Receiver::start("states-certificate");
    let toml = format!(
        "[listen.tls]\naddress = \"127.0.0.1:0\"\ncert = \"{}\"\nkey = \"{}\"\n[[routes]]\npath = \"/*\"\nrespond = {{ status = 204 }}\n{}",
        cert.display(),
        key.display(),
        receiver.table("webhook", "when = \"certificate < 14d\"\n")
    );
    let _gateway = GatewayUnderTest::start(&toml);
    let told = receiver.messages(1)[0].json();
    assert_eq!((&told["event"], &told["severity"]), (&json!("certificate"), &json!("warning")));
    let name = cert.file_name().unwrap().to_str().unwrap();
    assert_eq!(told["title"], format!("The certificate in {name} ends in 5 days"), "no folder of the machine: {told:#}");
}

/// A gateway process whose configuration file is in a folder of its own.
fn process(folder: &Temporary, text: &str) -> Process {
    std::fs::write(folder.join("lockgate.toml"), text).unwrap();
    Process::start(&["run", "--config", folder.join("lockgate.toml").to_str().unwrap()])
}

fn reload(process: &Process) -> u16 {
    let admin = process.admin;
    send(admin, format!("POST /reload HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")).status
}

/// A whole configuration of a process.
pub fn whole(origin: &Origin, tables: &str) -> String {
    format!(
        "watch = false\n[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 1\ndrain_delay = \"off\"\n[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n{tables}",
        origin.address
    )
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_once_per_window() {
    let (origin, receiver) = (super::upstream(), Receiver::start("states-reload"));
    let folder = Temporary::folder("notify-reload");
    let good = whole(&origin, &receiver.table("webhook", "when = \"reload-failed\"\n"));
    let process = process(&folder, &good);
    for broken in ["mode = \"prod\"\n", "mode = \"dev\"\n"] {
        std::fs::write(folder.join("lockgate.toml"), format!("{broken}{good}")).unwrap();
        assert_eq!(reload(&process), 422);
    }
    let told = receiver.messages(1)[0].json();
    assert_eq!((&told["event"], &told["count"]), (&json!("reload-failed"), &json!(1)));
    assert_eq!(told["title"], "The changed configuration cannot be used (1 problem): what was before stays in use");
    assert_eq!(receiver.now().len(), 1);
}

#[test]
fn a_reload_replaces_notifiers_and_one_that_has_not_changed_keeps_its_digest() {
    let (origin, kept, gone, new) =
        (super::upstream(), Receiver::start("reload-kept"), Receiver::start("reload-gone"), Receiver::start("reload-new"));
    let folder = Temporary::folder("notify-replaced");
    let kept_table = kept.table("webhook", "name = \"kept\"\nwindow = \"2s\"\n");
    let first = [kept_table.clone(), gone.table("webhook", "name = \"gone\"\nwindow = \"1s\"\n")].concat();
    let process = process(&folder, &whole(&origin, &first));
    let fail = |path: &str| assert_eq!(get(process.address, path).status, 502);
    fail("/a");
    kept.messages(1);
    gone.messages(1);
    fail("/a");
    let second = [kept_table, new.table("webhook", "name = \"new\"\n")].concat();
    std::fs::write(folder.join("lockgate.toml"), whole(&origin, &second)).unwrap();
    assert_eq!(reload(&process), 200);
    let digest = kept.messages(2)[1].json();
    assert_eq!((&digest["event"], &digest["count"]), (&json!("digest"), &json!(1)));
    fail("/b");
    assert_eq!(new.messages(1)[0].told().0, "new-group");
    kept.messages(3);
    assert_eq!(gone.now().len(), 1, "one that is gone is told nothing more");
    eventually("its metrics end", || !get(process.admin, "/metrics").text().contains("notifier=\"gone\""));
}
