//! What messages look like: JSON, templates, chat programs, Sentry; signatures; and what they do not have.

use serde_json::{Value, json};

use super::receiver::{OPENS, Receiver, says};
use super::{fail, gateway, upstream};
use crate::harness::{GatewayUnderTest, Origin, Temporary};

/// HMAC-SHA256 (RFC 2104) from a hash, so that the test does not repeat the gateway's way.
fn hmac(key: &[u8], text: &[u8]) -> String {
    let sha256 = |parts: &[&[u8]]| {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        parts.iter().for_each(|part| context.update(part));
        context.finish().as_ref().to_vec()
    };
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = sha256(&[&pad(0x36), text]);
    sha256(&[&pad(0x5c), &inner]).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_new_group_is_told_with_where_it_happened() {
    let (origin, receiver) = (upstream(), Receiver::start("forms-json"));
    let table = format!("[listen]\nadmin_public_url = \"https://gw.example/lockgate/\"\n{}", receiver.table("webhook", ""));
    let gateway = GatewayUnderTest::in_front_of(origin.address, &table);
    fail(&gateway, "order-1234567");
    let told = receiver.messages(1)[0].clone();
    assert!(told.head.starts_with(&format!("POST /hook/{OPENS}?key=hunter2 HTTP/1.1\r\n")), "{}", told.head);
    assert_eq!(told.header("content-type"), Some("application/json"));
    let json = told.json();
    for (key, value) in [
        ("event", json!("new-group")),
        ("severity", json!("error")),
        ("route", json!("all")),
        ("backend", json!("o")),
        ("code", json!("UPSTREAM_ERROR")),
        ("status", json!(502)),
        ("count", json!(1)),
        ("endpoint", Value::Null),
    ] {
        assert_eq!(json[key], value, "{key} of {json:#}");
    }
    let group = json["group"].as_str().unwrap();
    assert_eq!(json["link"], format!("https://gw.example/lockgate/groups/{group}"));
    assert!(json["title"].as_str().unwrap().contains("is broken"), "{json:#}");
    // The number of the order is a value, which stays in the journal.
    assert!(!String::from_utf8_lossy(&told.body).contains("1234567"), "{json:#}");
    assert_eq!(told.header("idempotency-key"), json["id"].as_str());
    gateway.wait_for_metric("lockgate_notifications_total{notifier=\"webhook\",outcome=\"sent\"} 1");
}

#[test]
fn a_message_is_signed_and_keeps_its_key_when_it_is_sent_again() {
    let key = Temporary::file("notify-key", "a-key-of-a-test");
    let (origin, receiver) = (upstream(), Receiver::answers("forms-signed", vec![says(500, ""), says(200, "")]));
    let gateway = gateway(&origin, &receiver, &format!("secret = \"file:{}\"\n", key.display()));
    fail(&gateway, "a");
    let told = receiver.messages(2);
    for told in &told {
        let timestamp = told.header("lockgate-timestamp").unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(now - timestamp.parse::<u64>().unwrap() < 600);
        let expected = hmac(b"a-key-of-a-test", &[timestamp.as_bytes(), b".", &told.body].concat());
        assert_eq!(told.header("lockgate-signature"), Some(format!("v1={expected}").as_str()));
    }
    assert_eq!(told[0].header("idempotency-key"), told[1].header("idempotency-key"));
    assert_eq!(told[0].body, told[1].body);
}

#[test]
fn a_template_is_the_body() {
    let (origin, receiver) = (upstream(), Receiver::start("forms-template"));
    let token = Temporary::file("notify-token", "Bearer t0ken");
    let more = format!(
        "template = '''{{\"msg\": \"{{{{event}}}}: {{{{title}}}}\", \"n\": {{{{count}}}}, \"link\": {{{{link}}}}}}'''\nheaders = {{ authorization = \"file:{}\" }}\n",
        token.display()
    );
    let gateway = gateway(&origin, &receiver, &more);
    fail(&gateway, "a%22b");
    let told = receiver.messages(1)[0].clone();
    let json = told.json();
    assert!(json["msg"].as_str().unwrap().starts_with("new-group: "), "{json}");
    assert_eq!((&json["n"], &json["link"]), (&json!(1), &Value::Null));
    assert_eq!(told.header("authorization"), Some("Bearer t0ken"));
}

#[test]
fn chat_programs_get_their_own_form() {
    let origin = upstream();
    let (slack, teams, discord) = (Receiver::start("forms-slack"), Receiver::start("forms-teams"), Receiver::start("forms-discord"));
    let tables = [slack.table("slack", ""), teams.table("teams", ""), discord.table("discord", "")].concat();
    let gateway = GatewayUnderTest::in_front_of(origin.address, &tables);
    fail(&gateway, "a");
    let slack = slack.messages(1)[0].json();
    assert_eq!(slack["text"], "Lockgate: new group");
    assert!(slack["attachments"][0]["title"].as_str().unwrap().contains("is broken"), "{slack:#}");
    let card = teams.messages(1)[0].json()["attachments"][0]["content"].clone();
    assert_eq!((&card["type"], &card["body"][0]["text"]), (&json!("AdaptiveCard"), &json!("Lockgate: new group")));
    let discord = discord.messages(1)[0].json();
    assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
    assert!(discord["embeds"][0]["fields"].as_array().unwrap().iter().any(|field| field["value"] == "all"), "{discord:#}");
}

#[test]
fn sentry_gets_an_envelope() {
    let (origin, receiver) = (upstream(), Receiver::start("forms-sentry"));
    let dsn = Temporary::file("notify-dsn", &format!("http://abcdef0123@{}/base/42", receiver.address()));
    let table = format!("[[notify]]\nkind = \"sentry\"\nurl = \"file:{}\"\n", dsn.display());
    let gateway = GatewayUnderTest::in_front_of(origin.address, &table);
    fail(&gateway, "a");
    let told = receiver.messages(1)[0].clone();
    assert!(told.head.starts_with("POST /base/api/42/envelope/ HTTP/1.1\r\n"), "{}", told.head);
    assert_eq!(told.header("content-type"), Some("application/x-sentry-envelope"));
    let auth = told.header("x-sentry-auth").unwrap();
    assert!(auth.starts_with("Sentry sentry_version=7, sentry_client=lockgate/") && auth.ends_with(", sentry_key=abcdef0123"), "{auth}");
    let text = String::from_utf8(told.body).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [head, item, event] = lines[..] else { panic!("{text}") };
    let of = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    assert_eq!((of(item)["type"].as_str(), of(item)["length"].as_u64()), (Some("event"), Some(event.len() as u64)));
    let (head, event) = (of(head), of(event));
    assert!(head["sent_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(head["event_id"], event["event_id"]);
    let id = event["event_id"].as_str().unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!((&event["level"], &event["platform"], &event["tags"]["route"]), (&json!("error"), &json!("other"), &json!("all")));
    assert!(event["message"]["formatted"].as_str().unwrap().contains("is broken") && event["fingerprint"].as_array().unwrap().len() == 2);
}

#[test]
fn what_is_told_has_no_credentials_and_nothing_of_a_body() {
    let body = "{\"message\":\"login of alice@example.com failed with password=hunter2-pass\",\"internal\":\"10.9.8.7 stays here\"}";
    let origin = Origin::says(format!("HTTP/1.1 500 x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let receiver = Receiver::start("forms-private");
    let gateway = gateway(&origin, &receiver, "");
    fail(&gateway, "?token=t0k3n-of-a-query");
    let told = String::from_utf8(receiver.messages(1)[0].body.clone()).unwrap();
    for secret in ["hunter2-pass", "10.9.8.7", "t0k3n-of-a-query", "127.0.0.1"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[test]
fn a_title_has_no_links_paths_hosts_or_credentials_of_an_upstream() {
    let said = "see http://evil.example/phish or evil.example for /home/kim/private/salary.txt of db-prod.internal.corp with token tulip";
    let body = format!("{{\"message\":\"{said}\"}}");
    let origin = Origin::says(format!("HTTP/1.1 500 x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let kinds = ["webhook", "slack", "teams", "discord"];
    let receivers = kinds.map(|kind| Receiver::start(&format!("forms-title-{kind}")));
    let tables: String = kinds.iter().zip(&receivers).map(|(kind, receiver)| receiver.table(kind, "")).collect();
    let gateway = GatewayUnderTest::in_front_of(origin.address, &tables);
    fail(&gateway, "a");
    for receiver in &receivers {
        let told = String::from_utf8(receiver.messages(1)[0].body.clone()).unwrap();
        assert!(told.contains("see \u{2026} or"), "{told}");
        for internal in ["evil.example", "salary", "kim", "corp", "tulip"] {
            assert!(!told.contains(internal), "{internal} in {told}");
        }
    }
}
