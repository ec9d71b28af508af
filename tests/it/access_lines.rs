//! Tests the forms of access lines: that of Apache, templates and selections of fields; which requests have a line; and that no client can
//! forge one.

mod parsers;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use lockgate::context::{ClientPreferences, Named, RequestContext, RequestId, Said, Trail};
use lockgate::failure::Kind;
use lockgate::observe::access_record::{End, Facts, Original, Record};
use lockgate::observe::field::{FIELDS, Field};
use lockgate::observe::recorder::{LineSettings, Recorder, Style};
use lockgate::observe::selection::Selection;
use lockgate::observe::template::Template;
use lockgate::observe::writer::Sink;
use lockgate::plan::{Plan, compile};
use parsers::{combined, fields};
use proptest::prelude::*;

use crate::harness::wait::let_time_pass;
use crate::harness::{GatewayUnderTest, Origin, get, send};

/// `%b` is `-` for an empty body, and what a client sends cannot end a quotation.
#[test]
fn combined_lines_are_those_of_apache() {
    let origin = Origin::echo();
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[log]\nformat = \"combined\"\n");
    let request = "POST /orders?token=hunter2&page= HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl \"x\\\" \u{e9}\tz\r\n\
                   Referer: https://u:hunter2@shop.example/a?token=hunter2#hunter2\r\nContent-Length: 3\r\n\r\nabc";
    let response = send(gateway.address, request);
    let line = combined(&gateway.raw_log_line(&["POST"])).unwrap();
    assert_eq!((line.client.as_str(), line.identity.as_str(), line.user.as_str()), ("127.0.0.1", "-", "-"));
    assert_eq!(line.request, "POST /orders?token=***&*** HTTP/1.1");
    assert_eq!((line.status, line.bytes), (200, Some(response.body.len() as u64)));
    assert_eq!(line.referer, "https://***@shop.example/a?token=***");
    assert_eq!(line.user_agent, "curl \"x\\\" \u{e9}\tz");
    assert!(line.time.ends_with(" +0000") && line.time.as_bytes()[2] == b'/', "{}", line.time);
    // Nothing was sent, so the size is `-`, and so is what the client did not send.
    send(gateway.address, "HEAD /empty HTTP/1.0\r\n\r\n");
    let raw = gateway.raw_log_line(&["HEAD"]);
    assert!(raw.ends_with("\"HEAD /empty HTTP/1.0\" 200 - \"-\" \"-\""), "{raw}");
    assert_eq!(combined(&raw).unwrap().bytes, None);
    // What is no request at all has a line too.
    send(gateway.address, "GET / \"forged\" HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(combined(&gateway.raw_log_line(&[" 400 "])).unwrap().status, 400);
    assert!(gateway.log_text().lines().all(|line| combined(line).is_ok()), "{}", gateway.log_text());
}

#[test]
fn a_template_has_the_fields_and_the_order_of_the_operator() {
    let origin = Origin::says("HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\nbusy \"now");
    let template = r#"{client}|{method} {host}{path}|{status}/{received}|{code}|{query}|{durationMs}ms|{userAgent}|"{userAgent}"|{{{requestId}}}|{original}|{tls}"#;
    let gateway = GatewayUnderTest::in_front_of(origin.address, &format!("[log]\nformat = \"template\"\ntemplate = '{template}'\n"));
    let response = send(gateway.address, "GET /a%7Cb?x&y=1 HTTP/1.1\r\nHost: h:8\r\nUser-Agent: a|b \"c\r\n\r\n");
    let id = response.header("x-request-id").unwrap();
    let line = gateway.raw_log_line(&[id]);
    let parts: Vec<&str> = line.split('|').collect();
    assert_eq!(parts[0], "127.0.0.1");
    assert_eq!(parts[1], "GET h:8/a%7Cb");
    assert_eq!(parts[2..4], ["503/503", "UPSTREAM_UNAVAILABLE"]);
    assert_eq!(parts[4], r"***&y=***");
    assert!(parts[5].ends_with("ms"), "{line}");
    assert_eq!(parts[6], r#"a\x7cb \"c"#);
    // The end of the user agent is a quotation mark, so `|` within it stands for itself.
    assert!(line.contains(r#"|"a|b \"c"|{"#) && line.ends_with(&format!("|{{{id}}}|busy \\\"now|-")), "{line}");
}

#[test]
fn fields_can_be_left_out_but_not_the_id_of_an_error() {
    let origin = Origin::start(|c| {
        let ok = c.head.starts_with("GET /ok");
        c.say(if ok { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" } else { "HTTP/1.1 500 X\r\nContent-Length: 4\r\n\r\noops" });
    });
    let keys = |exclude: &str| format!("[log]\nformat = \"json\"\nexclude = {exclude}\n");
    let gateway =
        GatewayUnderTest::in_front_of(origin.address, &keys("[\"client\", \"userAgent\", \"timestamp\", \"original\", \"requestId\"]"));
    let request = |path: &str| send(gateway.address, format!("GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: curl\r\n\r\n"));
    request("/ok");
    let id = request("/bad").header("x-request-id").unwrap().to_owned();
    let (ok, bad) = (gateway.log_line(&["/ok"]), gateway.log_line(&["/bad"]));
    for line in [&ok, &bad] {
        for gone in ["client", "userAgent", "timestamp", "original", "truncated"] {
            assert!(line.get(gone).is_none(), "{gone} in {line}");
        }
        assert!(line["status"].is_number() && line["path"].is_string() && line["level"].is_string(), "{line}");
    }
    assert!(ok.get("requestId").is_none(), "{ok}");
    assert_eq!(bad["requestId"], id);
}

/// The ids decide, so two gateways in a row keep the same requests; errors are all kept.
#[test]
fn gateways_agree_on_the_sample() {
    let origin = Origin::start(|c| {
        let failing = c.head.contains("/bad");
        c.say(if failing { "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n" } else { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" });
    });
    let start = || {
        GatewayUnderTest::in_front_of(
            origin.address,
            "[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n[log]\nlevel = \"error\"\nsample = 0.3\nslow = \"1h\"\nformat = \"json\"\n",
        )
    };
    let kept = |gateway: &GatewayUnderTest| {
        for n in 0..200 {
            let path = if n % 50 == 0 { "/bad" } else { "/ok" };
            send(gateway.address, format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: id-{n}\r\nConnection: close\r\n\r\n"));
        }
        // The last line shows that the others were written.
        send(gateway.address, "GET /bad HTTP/1.1\r\nHost: a\r\nX-Request-Id: last\r\nConnection: close\r\n\r\n");
        gateway.raw_log_line(&["\"last\""]);
        let ids = gateway
            .log_text()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["requestId"].to_string())
            .collect();
        let ids: BTreeSet<String> = ids;
        ids
    };
    let (one, other) = (start(), start());
    let ids = kept(&one);
    assert_eq!(ids, kept(&other));
    assert!((30..120).contains(&ids.len()), "{}", ids.len());
    for n in [0, 50, 100, 150] {
        assert!(ids.contains(&format!("\"id-{n}\"")), "errors are kept: {ids:?}");
    }
}

#[test]
fn slow_requests_have_a_line_without_a_sample() {
    let origin = Origin::start(|c| {
        if c.head.contains("/slow") {
            let_time_pass(Duration::from_millis(300));
        }
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let gateway = GatewayUnderTest::in_front_of(origin.address, "[log]\nsample = 0\nslow = \"250ms\"\nformat = \"json\"\n");
    get(gateway.address, "/quick");
    get(gateway.address, "/slow");
    gateway.log_line(&["/slow"]);
    assert!(!gateway.log_text().contains("/quick"), "{}", gateway.log_text());
}

#[test]
fn keys_of_the_log_that_mean_nothing_are_errors() {
    for (keys, words) in [
        ("format = \"combine\"", "did you mean \\\"combined\\\""),
        ("format = \"template\"", "needs `template`"),
        ("template = '{client}'", "add: format"),
        ("format = \"combined\"\nexclude = [\"client\"]", "only JSON lines"),
        ("exclude = [\"user_agent\"]", "did you mean `userAgent`"),
        ("exclude = [\"referer\"]", "unknown field `referer`"),
        ("sample = \"10%\"", "a number from 0 to 1"),
        ("sample = 1.5", "a number from 0 to 1"),
        ("sample = -0.1", "a number from 0 to 1"),
        ("sample = nan", "a number from 0 to 1"),
        ("access = false\nsample = 0.5", "no effect without access lines"),
        ("slow = \"1s\"", "no effect without `sample`"),
        ("max_size = \"1MiB\"", "no effect without `file`"),
        ("file = \"a\"\nkeep = 3", "no effect without `max_size`"),
        ("file = \"a\"\nmax_size = \"1KiB\"", "from 1MiB"),
        ("file = \"a\"\nmax_size = \"1MiB\"\nkeep = 0", "between 1 and 1000"),
    ] {
        let text =
            format!("[backends.o]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n[log]\n{keys}\n");
        let told = format!("{:?}", compile::from_text(&text, &|_| None).err().unwrap_or_default());
        assert!(told.contains(words), "{keys}: {told}");
    }
}

/// What the bytes of a client and of an upstream become in every form.
#[derive(Clone, Debug)]
struct Visit {
    host: Option<Vec<u8>>,
    user_agent: Vec<u8>,
    referer: Vec<u8>,
    target: String,
    cause: String,
    original: String,
    code: String,
}

fn visit() -> impl Strategy<Value = Visit> {
    // Most bytes are those that could end something.
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(b"\n\r\"\\ |{},:[]-x0\x1b\x7f\x85\xc2\x00".to_vec())];
    let bytes = || proptest::collection::vec(byte.clone(), 0..40);
    let text = || "(\\PC|[\n\r\"\\\\ |{}\u{85}\u{2028}\u{202e}\u{1b}\u{0}]){0,40}";
    (proptest::option::of(bytes()), bytes(), bytes(), "/[!-~]{0,20}(\\?[!-~]{0,20})?", text(), text(), text()).prop_map(
        |(host, user_agent, referer, target, cause, original, code)| Visit { host, user_agent, referer, target, cause, original, code },
    )
}

/// A recorder whose lines are in memory.
struct Lines {
    recorder: Recorder,
    sink: Sink,
    text: Arc<Mutex<Vec<u8>>>,
}

struct Memory(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn new(plan: &Plan, style: Style) -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let sink = Sink::start(Memory(Arc::clone(&text)), Arc::clone(&plan.metrics.log_dropped)).unwrap();
        let settings = LineSettings { style, ..LineSettings::default() };
        let recorder = Recorder::new(0, Arc::clone(&plan.metrics), Arc::clone(&plan.no_route), settings, sink.clone());
        Self { recorder, sink, text }
    }

    fn of(&self, context: &RequestContext, facts: &mut Facts) -> String {
        self.recorder.record(context, facts);
        self.recorder.flush();
        self.sink.flush(Duration::from_secs(20));
        String::from_utf8(std::mem::take(&mut self.text.lock().unwrap())).unwrap()
    }
}

fn recorded(visit: &Visit, failed: bool) -> Option<(RequestContext, Facts)> {
    let said = Said { host: visit.host.as_deref(), user_agent: &visit.user_agent, referer: &visit.referer, ..Said::default() };
    let context = RequestContext {
        id: RequestId::generate(SystemTime::now()),
        arrival: tokio::time::Instant::now(),
        wall: SystemTime::now(),
        method: http::Method::GET,
        uri: visit.target.parse().ok()?,
        version: http::Version::HTTP_11,
        tls: None,
        named: Named::new(&said),
        raw_query: None,
        client: "192.0.2.1".parse().unwrap(),
        wanted: ClientPreferences::default(),
    };
    let facts = Facts {
        status: if failed { 502 } else { 200 },
        kind: failed.then_some(Kind::ConnectionRefused),
        cause: failed.then(|| visit.cause.as_str().into()),
        original: failed.then(|| Box::new(Original { text: visit.original.clone(), truncated: true })),
        code: failed.then(|| visit.code.clone().into()),
        trail: Trail { endpoint: Some("http://127.0.0.1:1".into()), attempts: 1, ..Trail::default() },
        dispatched: true,
        end: End::Complete,
        ended: Some(context.arrival),
        ..Facts::default()
    };
    Some((context, facts))
}

/// Whatever a client or an upstream sends, a request is one line of its format, and every value is read back as it was.
#[test]
fn no_bytes_forge_a_line_or_break_its_quotations() {
    let plan =
        compile::from_text("[backends.o]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n", &|_| None);
    let plan = plan.unwrap();
    let everything = FIELDS.map(|(name, _)| format!("{{{name}}}")).join("|");
    let template = format!("{everything}|\"{{referer}}\" {{userAgent}} [{{host}}]");
    let template = Lines::new(&plan, Style::Template(Arc::new(Template::parse(&template).unwrap())));
    let apache = Lines::new(&plan, Style::Template(Arc::new(Template::combined())));
    let json = Lines::new(&plan, Style::Json);
    let selected = Lines::new(&plan, Style::Selected(Arc::new(Selection::without(&[]))));
    let fewer = Lines::new(&plan, Style::Selected(Arc::new(Selection::without(&[Field::Host, Field::UserAgent]))));
    let pretty = Lines::new(&plan, Style::Pretty { color: false });
    let run = |visit: &Visit, failed: bool| {
        let Some((context, facts)) = recorded(visit, failed) else { return };
        let facts = std::cell::RefCell::new(facts);
        let one = |lines: &Lines| {
            let text = lines.of(&context, &mut facts.borrow_mut());
            assert!(text.ends_with('\n') && text.matches('\n').count() == 1 && !text.contains('\r'), "{text:?}");
            text.trim_end().to_owned()
        };
        let agent = String::from_utf8_lossy(context.named.user_agent()).into_owned();
        // JSON: the value is read back, and leaving out nothing changes nothing.
        let all: serde_json::Value = serde_json::from_str(&one(&json)).unwrap();
        assert_eq!(all["userAgent"].as_str().unwrap_or_default(), agent);
        assert_eq!(one(&json), one(&selected));
        let mut expected = all.clone();
        for gone in ["host", "userAgent"] {
            expected.as_object_mut().unwrap().shift_remove(gone);
        }
        assert_eq!(serde_json::from_str::<serde_json::Value>(&one(&fewer)).unwrap(), expected);
        // Apache.
        let line = combined(&one(&apache)).unwrap();
        let raw = context.named.user_agent();
        assert_eq!(line.user_agent_bytes, if raw.is_empty() { b"-" } else { raw });
        // The template: every value but the last ones ends at `|`.
        let text = one(&template);
        let values = fields(&text, '|', FIELDS.len() + 1);
        assert_eq!(values.len(), FIELDS.len() + 1, "{text}");
        let at = FIELDS.iter().position(|(_, field)| *field == Field::Original).unwrap();
        let original = if failed && !visit.original.is_empty() { visit.original.as_bytes() } else { b"-" };
        assert_eq!(values[at], original);
        // For a person: what follows the line of the request is indented, and nothing steers the terminal.
        let text = pretty.of(&context, &mut facts.borrow_mut());
        assert!(text.lines().skip(1).all(|line| line.starts_with("     ")), "{text}");
        assert!(failed || text.lines().count() == 1, "{text}");
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    };
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() });
    runner
        .run(&(visit(), any::<bool>()), |(visit, failed)| {
            run(&visit, failed);
            Ok(())
        })
        .unwrap();
}

/// What a client writes around its host may be a credential: a user, or a query.
#[test]
fn a_host_has_no_credentials_in_any_form() {
    let formats = [
        "format = \"json\"",
        "format = \"pretty\"",
        "format = \"combined\"",
        "format = \"template\"\ntemplate = '{method} {host}|{path}|{status}'",
    ];
    let heads = [
        "GET /x HTTP/1.1\r\nHost: u:hunter2@h.example\r\n",
        "GET http://u:hunter2@h.example/x HTTP/1.1\r\nHost: h.example\r\n",
        "GET /x HTTP/1.1\r\nHost: h.example?token=hunter2\r\n",
        "GET /x HTTP/1.1\r\nHost: h.example/hunter2\r\n",
        "GET /x HTTP/1.1\r\nHost: h.example#hunter2\r\n",
        "GET /x HTTP/1.1\r\nHost: u:hunter2/w@h.example\r\n",
        "GET /x HTTP/1.1\r\nHost: h.example?a=@hunter2\r\n",
        "CONNECT u:hunter2@h.example:443 HTTP/1.1\r\nHost: h.example\r\n",
    ];
    for format in formats {
        let origin = Origin::echo();
        let gateway = GatewayUnderTest::in_front_of(origin.address, &format!("[log]\n{format}\n"));
        for head in heads {
            let before = gateway.log_lines();
            let response = send(gateway.address, format!("{head}Connection: close\r\n\r\n"));
            assert!(response.status >= 400, "{head}");
            crate::harness::eventually("a line", || gateway.log_lines() > before);
        }
        let all = gateway.log_text();
        assert!(!all.contains("hunter2"), "{all}");
        assert!(format.contains("combined") || all.contains("h.example"), "{all}");
    }
}
