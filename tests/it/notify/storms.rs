//! Many failures and few messages: digests, bounds, filters and the states of groups.

use serde_json::json;

use super::receiver::{Receiver, Told};
use super::{fail, gateway, upstream};
use crate::harness::{Client, GatewayUnderTest, get, send};

fn events(told: &[Told]) -> Vec<(String, u64)> {
    told.iter().map(|told| (told.told().0, told.json()["count"].as_u64().unwrap())).collect()
}

#[test]
fn ten_thousand_failures_of_one_group_are_one_message_and_one_digest() {
    let (origin, receiver) = (upstream(), Receiver::start("storm"));
    let table = format!("[listen]\ndrain_delay = \"off\"\n{}", receiver.table("webhook", ""));
    let mut gateway = GatewayUnderTest::in_front_of(origin.address, &table);
    let mut client = Client::connect(gateway.address);
    for _ in 0..100 {
        client.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100));
        for _ in 0..100 {
            assert_eq!(client.response("GET").status, 502);
        }
    }
    drop(client);
    gateway.wait_for_metric("lockgate_journal_entries_total 10000");
    gateway.wait_for_metric("lockgate_notifications_events_dropped_total 0");
    assert_eq!(receiver.messages(1)[0].told().0, "new-group");
    // The window is open for ten minutes, or until the shutdown.
    gateway.begin_stop();
    assert!(gateway.stopped());
    let told = receiver.now();
    assert_eq!(events(&told).iter().map(|(event, _)| event.as_str()).collect::<Vec<_>>(), ["new-group", "digest"], "{told:#?}");
    assert_eq!(events(&told).iter().map(|(_, count)| count).sum::<u64>(), 10_000, "{told:#?}");
    assert_ne!(told[0].json()["id"], told[1].json()["id"]);
}

#[test]
fn other_faults_are_other_messages_up_to_a_bound() {
    let (origin, receiver) = (upstream(), Receiver::start("storm-bound"));
    let gateway = gateway(&origin, &receiver, "max_per_minute = 3\n");
    for fault in ["a", "b", "c", "d", "e"] {
        fail(&gateway, &format!("{fault}-fault"));
    }
    gateway.wait_for_metric("lockgate_notifications_total{notifier=\"webhook\",outcome=\"held\"} 2");
    assert_eq!(receiver.messages(3).len(), 3);
}

#[test]
fn a_rate_is_told_when_it_is_exceeded() {
    let (origin, receiver) = (upstream(), Receiver::start("storm-rate"));
    let gateway = gateway(&origin, &receiver, "when = [\"> 5/h\", \"route > 7/h\"]\n");
    for _ in 0..5 {
        fail(&gateway, "a");
    }
    gateway.wait_for_metric("lockgate_journal_entries_total 5");
    assert_eq!(receiver.now().len(), 0);
    fail(&gateway, "a");
    let of_group = receiver.messages(1)[0].json();
    assert_eq!((&of_group["event"], &of_group["route"]), (&json!("rate"), &json!("all")));
    fail(&gateway, "b");
    fail(&gateway, "c");
    let of_route = receiver.messages(2)[1].json();
    assert_eq!((&of_route["title"], &of_route["group"]), (&json!("Route all: many failures"), &json!(null)));
}

#[test]
fn a_group_that_was_resolved_and_occurs_again_is_a_regression_and_a_muted_one_is_silent() {
    let (origin, receiver) = (upstream(), Receiver::start("regression"));
    let gateway = gateway(&origin, &receiver, "window = \"1s\"\n");
    fail(&gateway, "a");
    let group = receiver.messages(1)[0].json()["group"].as_str().unwrap().to_owned();
    let set = |state: &str| {
        let admin = gateway.admin;
        let path = format!("/api/groups/{group}?state={state}");
        let head = format!("POST {path} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert_eq!(send(admin, head).status, 200);
    };
    set("muted");
    for _ in 0..5 {
        fail(&gateway, "a");
    }
    gateway.wait_for_metric("lockgate_journal_entries_total 6");
    // Until the window has ended, whose digest the group does not get.
    crate::harness::wait::let_time_pass(std::time::Duration::from_millis(1500));
    fail(&gateway, "other");
    let told = receiver.messages(2);
    assert!(told[1].told().0 == "new-group" && told[1].json()["group"] != group.as_str(), "{told:#?}");
    set("resolved");
    fail(&gateway, "a");
    let told = receiver.messages(3);
    assert!(told[2].told().0 == "regression" && told[2].json()["group"] == group.as_str(), "{told:#?}");
}

#[test]
fn only_what_a_filter_names_is_told() {
    let (origin, all, filtered) = (upstream(), Receiver::start("filter-all"), Receiver::start("filter"));
    let filter = "name = \"filtered\"\nwhen = \"new-group\"\ncodes = \"NOT_FOUND\"\n";
    let tables = [all.table("webhook", ""), filtered.table("webhook", filter)].concat();
    let gateway = GatewayUnderTest::in_front_of(origin.address, &tables);
    fail(&gateway, "a");
    all.messages(1);
    assert_eq!(get(gateway.address, "/fine").status, 200);
    assert_eq!(filtered.now().len(), 0);
}
