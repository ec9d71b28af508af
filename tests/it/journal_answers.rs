//! Tests what `lockgate errors` says to people: names of groups, hints, and why there is no answer.

use std::process::{Command, Output};

use lockgate::journal::Entry;
use lockgate::journal::sqlite::SqliteStore;
use lockgate::journal::store::Store;

use crate::harness::{GatewayUnderTest, Origin, Temporary, get, until};

fn errors(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lockgate")).arg("errors").args(args).env_remove("LOCKGATE_CONFIG").output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn failing() -> Origin {
    Origin::says("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n\r\nOrderError: no stock\n")
}

/// A journal in a file, with entries of one group each, or all of one.
fn journal(name: &str, entries: u64, fingerprint: impl Fn(u64) -> String) -> (Temporary, String) {
    let folder = Temporary::folder(name);
    let path = folder.join("journal.db");
    let entry = |n: u64| Entry {
        request_id: format!("r{n:03}"),
        at: 1000 + n,
        status: 502,
        code: "UPSTREAM_ERROR".into(),
        fingerprint: fingerprint(n),
        ..Entry::default()
    };
    let store = SqliteStore::open(&path, 1 << 30, 1 << 50).unwrap();
    store.write(&(0..entries).map(entry).collect::<Vec<_>>()).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn a_group_is_named_by_what_the_list_of_groups_shows() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let admin = gateway.admin.to_string();
    get(gateway.address, "/orders/1");
    let group = until(|| get(gateway.admin, "/api/groups").json()["items"].get(0).cloned().ok_or_else(|| "no group".to_owned()));
    let fingerprint = group["fingerprint"].as_str().unwrap();
    let ask = |args: &[&str]| errors(&[args, &["--admin", &admin]].concat());
    let shown = out(&ask(&["groups"]));
    let name = shown.split_whitespace().nth(2).unwrap();
    assert!(name.len() == 12 && fingerprint.starts_with(name) && shown.lines().all(|line| line.len() <= 100), "{shown}");
    for (command, state) in [("resolve", "resolved"), ("mute", "muted"), ("reopen", "new")] {
        let set = ask(&[command, name]);
        assert_eq!(out(&set), format!("{fingerprint} is {state}\n"), "{set:?}");
        assert_eq!(get(gateway.admin, &format!("/api/groups/{fingerprint}")).json()["state"], state);
    }
    assert_eq!(out(&ask(&["list", "--group", name])).lines().count(), 1);
    assert!(out(&ask(&["list", "--group", name])).contains("/orders/1"));
    for args in [&["purge", "--yes", "--group", "zzz"][..], &["resolve", "zzz"], &["list", "--group", "zzz"], &["resolve", ""]] {
        let refused = ask(args);
        assert!(refused.status.code() == Some(1) && told(&refused).contains("there is no group"), "{args:?} {refused:?}");
    }
    let purged = ask(&["purge", "--yes", "--group", name]);
    assert_eq!(out(&purged), "removed 1 entry\n", "{purged:?}");
}

#[test]
fn the_beginning_of_two_fingerprints_names_neither() {
    let (_folder, file) = journal("two-groups", 4, |n| format!("{}{:028x}", if n < 3 { "abcd" } else { "abce" }, n));
    let purge = |group: &str| errors(&["purge", "--yes", "--file", &file, "--group", group]);
    let refused = purge("abcd");
    assert!(refused.status.code() == Some(1) && told(&refused).contains("several groups begin with abcd"), "{refused:?}");
    let refused = purge("abc");
    assert!(refused.status.code() == Some(1) && told(&refused).contains("there is no group abc"), "{refused:?}");
    let refused = errors(&["resolve", "abce", "--file", &file]);
    assert!(refused.status.code() == Some(1) && told(&refused).contains("a running gateway"), "{refused:?}");
    assert_eq!(out(&purge("abce")), "removed 1 entry\n");
}

#[test]
fn an_entry_is_found_right_after_its_request_and_one_that_is_none_is_told() {
    let origin = failing();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let admin = gateway.admin.to_string();
    let id = get(gateway.address, "/orders/1").header("x-request-id").unwrap().to_owned();
    let show = |id: &str| errors(&["show", id, "--admin", &admin]);
    let shown = show(&id);
    assert!(out(&shown).contains("-- what the service was sent") && out(&shown).contains("no stock"), "{shown:?}");
    let unknown = show("01a2220b-24a0-711b-986e-2b39c7936ece");
    for part in ["no entry with this request id. ", "`journal.keep`", "another gateway", "succeeded"] {
        assert!(unknown.status.code() == Some(1) && told(&unknown).contains(part), "{part} {unknown:?}");
    }
    let none = show("xyz");
    assert!(none.status.code() == Some(1) && told(&none).contains("`xyz` is none that a gateway makes"), "{none:?}");
    for command in [&["list"][..], &["groups"], &["show", &id], &["resolve", "abcd"]] {
        let other = errors(&[command, &["--admin", &gateway.address.to_string()]].concat());
        let words = "the address answers, but is no admin listener (127.0.0.1:9090 by default)";
        assert!(other.status.code() == Some(1) && told(&other).contains(words), "{command:?} {other:?}");
    }
    let without = GatewayUnderTest::in_front_of(origin.address, "[journal]\nenabled = false\n");
    for command in [&["list"][..], &["show", &id]] {
        let none = errors(&[command, &["--admin", &without.admin.to_string()]].concat());
        assert!(told(&none).contains("keeps no journal"), "{command:?} {none:?}");
    }
}

#[test]
fn a_list_says_that_there_is_more_and_what_its_limit_can_be() {
    let (_folder, file) = journal("more", 60, |_| "5f2c".into());
    let list = |more: &[&str]| errors(&[&["list", "--file", &file], more].concat());
    let cut = list(&[]);
    assert_eq!(out(&cut).lines().count(), 50);
    assert_eq!(told(&cut), "50 shown, older ones exist: --limit 1000, --until TIME, or `lockgate errors export`\n");
    assert_eq!(told(&list(&["--limit", "60"])), "");
    assert_eq!(told(&list(&["--json"])), "", "JSON names the next page itself");
    let wrong = list(&["--limit", "100000"]);
    assert!(wrong.status.code() == Some(2) && told(&wrong).contains("1..=1000"), "{wrong:?}");
    assert!(out(&list(&["--help"])).contains("[1 to 1000, default: 50]"));
    assert!(out(&errors(&["show", "r001", "--file", &file])).contains("-- what the client sent"), "it was never sent on");
}

#[test]
fn a_word_of_no_catalog_is_hinted_at_when_nothing_is_found() {
    let (_folder, file) = journal("words", 1, |_| "5f2c".into());
    let list = |more: &[&str]| told(&errors(&[&["list", "--file", &file], more].concat()));
    assert_eq!(list(&["--code", "UPSTREAM_EROR"]), "no code of the catalog has this name; did you mean UPSTREAM_ERROR?\n");
    assert_eq!(list(&["--reason", "foo"]), "no reason of the catalog has this name; `lockgate errors` lists them\n");
    assert_eq!(list(&["--code", "upstream_error"]), "no code of the catalog has this name; did you mean UPSTREAM_ERROR?\n");
    assert_eq!(list(&["--code", "UPSTREAM_ERROR"]), "");
    assert_eq!(list(&["--code", "UPSTREAM_UNREACHABLE", "--reason", "connection_refused"]), "");
}
