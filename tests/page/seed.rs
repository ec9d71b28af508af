//! Entries of a journal as a busy day writes them: faults of several languages, pages, timeouts, retries, and foreign text that tries to
//! become code. Deterministic but for the time.

use lockgate::journal::entry::{AttemptEntry, Headers, Millis};
use lockgate::journal::query::GroupState;
use lockgate::journal::{Entry, Store, fingerprint};

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// When a fault occurs: how many times within the last hour, the last day and the last week, and the state of its group.
#[derive(Clone, Copy)]
struct Rhythm {
    hour: u64,
    day: u64,
    week: u64,
    state: Option<GroupState>,
    /// It began minutes ago and becomes more.
    grows: bool,
}

const fn rhythm(hour: u64, day: u64, week: u64, state: Option<GroupState>) -> Rhythm {
    Rhythm { hour, day, week, state, grows: false }
}

const NEW: Rhythm = Rhythm { hour: 184, day: 0, week: 0, state: None, grows: true };

/// A fault: the words that differ from one to the next.
struct Fault {
    rhythm: Rhythm,
    route: &'static str,
    backend: &'static str,
    endpoints: &'static [&'static str],
    request: (&'static str, &'static str),
    received: Option<u16>,
    told: (u16, &'static str, &'static str),
    reason: &'static str,
    cause: Option<&'static str>,
    content_type: &'static str,
    body: &'static str,
    exception: Option<&'static str>,
    message: Option<&'static str>,
    stack: Option<&'static str>,
    caused_by: Option<&'static str>,
    millis: u64,
    attempts: usize,
}

const BASE: Fault = Fault {
    rhythm: rhythm(0, 0, 0, None),
    route: "",
    backend: "",
    endpoints: &[],
    request: ("GET", "/"),
    received: Some(500),
    told: (502, "UPSTREAM_ERROR", "The service has a problem. Please try again later."),
    reason: "",
    cause: None,
    content_type: "application/json",
    body: "",
    exception: None,
    message: None,
    stack: None,
    caused_by: None,
    millis: 90,
    attempts: 1,
};

const JAVA_STACK: &str = "org.postgresql.util.PSQLException: Connection to orders-db.internal:5432 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.
\tat org.postgresql.core.v3.ConnectionFactoryImpl.openConnectionImpl(ConnectionFactoryImpl.java:342)
\tat org.postgresql.core.ConnectionFactory.openConnection(ConnectionFactory.java:54)
\tat org.postgresql.jdbc.PgConnection.<init>(PgConnection.java:273)
\tat com.zaxxer.hikari.util.DriverDataSource.getConnection(DriverDataSource.java:138)
\tat com.zaxxer.hikari.pool.HikariPool.newConnection(HikariPool.java:519)
\tat com.acme.orders.persistence.OrderDao.find(OrderDao.java:118)
\tat com.acme.orders.api.OrderController.get(OrderController.java:41)
\tat java.base/jdk.internal.reflect.DirectMethodHandleAccessor.invoke(DirectMethodHandleAccessor.java:103)
\tat org.springframework.web.method.support.InvocableHandlerMethod.doInvoke(InvocableHandlerMethod.java:255)
\tat org.springframework.web.servlet.DispatcherServlet.doDispatch(DispatcherServlet.java:1089)
\tat org.apache.catalina.core.ApplicationFilterChain.internalDoFilter(ApplicationFilterChain.java:206)
\tat java.base/java.lang.Thread.run(Thread.java:1583)
Caused by: java.net.ConnectException: Connection refused
\tat java.base/sun.nio.ch.Net.pollConnect(Native Method)
\tat java.base/sun.nio.ch.NioSocketImpl.connect(NioSocketImpl.java:592)
\tat com.acme.orders.persistence.Failover.next(Failover.java:77)
\t... 31 more";

const PYTHON_STACK: &str = "Traceback (most recent call last):
  File \"/usr/local/lib/python3.12/site-packages/flask/app.py\", line 1473, in wsgi_app
    response = self.full_dispatch_request()
  File \"/usr/local/lib/python3.12/site-packages/flask/app.py\", line 882, in full_dispatch_request
    rv = self.handle_user_exception(e)
  File \"/srv/shop/checkout.py\", line 88, in checkout
    customer = cart[\"customer_id\"]
KeyError: 'customer_id'";

const GO_STACK: &str = "panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x6f2a41]

goroutine 4711 [running]:
github.com/acme/catalog/internal/search.(*Index).Lookup(0x0, {0xc0002a6000, 0x7})
\t/build/catalog/internal/search/index.go:214 +0x41
github.com/acme/catalog/internal/http.(*Server).search(0xc00018e000, {0x7f2b10, 0xc0001b60e0}, 0xc0000fe100)
\t/build/catalog/internal/http/search.go:63 +0x1d5
net/http.HandlerFunc.ServeHTTP(0xc00019a6c0?, {0x7f2b10?, 0xc0001b60e0?}, 0x0?)
\t/usr/local/go/src/net/http/server.go:2220 +0x29
net/http.(*ServeMux).ServeHTTP(0xc00011e5c0?, {0x7f2b10, 0xc0001b60e0}, 0xc0000fe100)
\t/usr/local/go/src/net/http/server.go:2747 +0x1ca";

const DOTNET_STACK: &str = "System.InvalidOperationException: Sequence contains no elements
   at System.Linq.ThrowHelper.ThrowNoElementsException()
   at System.Linq.Enumerable.First[TSource](IEnumerable`1 source)
   at Acme.Billing.Invoices.InvoiceService.Latest(Guid customer) in /src/Billing/Invoices/InvoiceService.cs:line 57
   at Acme.Billing.Controllers.InvoicesController.Get(Guid id) in /src/Billing/Controllers/InvoicesController.cs:line 31
   at Microsoft.AspNetCore.Mvc.Infrastructure.ActionMethodExecutor.Execute(ActionContext actionContext)
   at Microsoft.AspNetCore.Routing.EndpointMiddleware.Invoke(HttpContext httpContext)";

const RUBY_STACK: &str =
    "ActiveRecord::RecordNotUnique (PG::UniqueViolation: ERROR:  duplicate key value violates unique constraint \"index_users_on_email\"
DETAIL:  Key (email)=(kim@example.com) already exists.):
app/models/user.rb:42:in `register'
app/controllers/users_controller.rb:18:in `create'
/usr/local/bundle/gems/actionpack-7.1.3/lib/action_controller/metal/basic_implicit_render.rb:6:in `send_action'
/usr/local/bundle/gems/activerecord-7.1.3/lib/active_record/transactions.rb:305:in `transaction'";

const PHP_PAGE: &str = "<br />
<b>Fatal error</b>:  Uncaught PDOException: SQLSTATE[42S02]: Base table or view not found: 1146 Table 'legacy.wp_options' doesn't exist in /var/www/html/wp-includes/class-wpdb.php:2187
Stack trace:
#0 /var/www/html/wp-includes/class-wpdb.php(2187): PDO-&gt;query('SELECT option_v...')
#1 /var/www/html/wp-content/plugins/acme/report.php(77): wpdb-&gt;get_results('SELECT option_v...')
#2 {main}
  thrown in <b>/var/www/html/wp-includes/class-wpdb.php</b> on line <b>2187</b><br />";

/// What tries to become code. Each sets `window.xss` if it does.
pub(crate) const XSS: [&str; 10] = [
    "<script>window.xss=1</script>",
    "\"><img src=x onerror=window.xss=1>",
    "'><svg/onload=window.xss=1>",
    "</pre></title></style></textarea></script><script>window.xss=1</script>",
    "javascript:window.xss=1",
    "<iframe srcdoc=\"<script>parent.xss=1</script>\">",
    "{{constructor.constructor('window.xss=1')()}}",
    "<!--><img src=x onerror=window.xss=1>-->",
    "\u{202e}\u{7}<b onmouseover=window.xss=1>\u{200b}",
    "<math><mi//xlink:href=\"data:x,<script>window.xss=1</script>\">",
];

const ORDERS: &[&str] = &["http://10.0.0.11:8080", "http://10.0.0.12:8080", "http://10.0.0.13:8080"];
const SHOP: &[&str] = &["http://shop-1.internal:8000 (10.0.1.21)", "http://shop-2.internal:8000 (10.0.1.22)"];
const FAULTS: [Fault; 14] = [
    Fault {
        rhythm: NEW,
        route: "orders",
        backend: "orders-db-api",
        endpoints: ORDERS,
        request: ("GET", "/orders/{n}"),
        body: r#"{"timestamp":"2026-11-27T14:07:31.204+00:00","status":500,"error":"Internal Server Error","exception":"org.postgresql.util.PSQLException","message":"Connection to orders-db.internal:5432 refused. user=svc_orders password=***","trace":"org.postgresql.util.PSQLException: Connection to orders-db.internal:5432 refused.\n\tat org.postgresql.core.v3.ConnectionFactoryImpl.openConnectionImpl(ConnectionFactoryImpl.java:342)\n\tat com.acme.orders.persistence.OrderDao.find(OrderDao.java:118)\n\tat com.acme.orders.api.OrderController.get(OrderController.java:41)","path":"/orders/7","retryable":true,"attempt":3}"#,
        exception: Some("org.postgresql.util.PSQLException"),
        message: Some(
            "Connection to orders-db.internal:5432 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.",
        ),
        stack: Some(JAVA_STACK),
        caused_by: Some("java.net.ConnectException: Connection refused"),
        attempts: 3,
        millis: 184,
        ..BASE
    },
    Fault {
        rhythm: Rhythm { hour: 72, day: 60, week: 100, state: Some(GroupState::Known), grows: true },
        route: "reports",
        backend: "legacy-reports",
        endpoints: &["http://reports.internal:8080 (10.0.2.5)"],
        request: ("GET", "/reports/monthly?from=***&to=***"),
        received: None,
        told: (504, "UPSTREAM_TIMEOUT", "The service did not respond in time. Please try again."),
        reason: "http_response_timeout",
        cause: Some("no response headers within 5 s"),
        millis: 5_004,
        attempts: 1,
        ..BASE
    },
    Fault {
        rhythm: rhythm(16, 160, 260, Some(GroupState::Known)),
        route: "checkout",
        backend: "shop",
        endpoints: SHOP,
        request: ("POST", "/checkout"),
        content_type: "text/html; charset=utf-8",
        body: "<!doctype html>\n<html lang=en>\n  <head><title>KeyError: 'customer_id' // Werkzeug Debugger</title></head>\n  <body><div class=\"traceback\"><h1>KeyError</h1><pre>Traceback (most recent call last):\n  File \"/srv/shop/checkout.py\", line 88, in checkout\n    customer = cart[\"customer_id\"]\nKeyError: 'customer_id'</pre>\n  <p>SECRET_KEY=*** DEBUG=1 DATABASE_URL=postgres://shop:***@10.0.1.9/shop</p></div></body>\n</html>",
        exception: Some("KeyError"),
        message: Some("'customer_id'"),
        stack: Some(PYTHON_STACK),
        ..BASE
    },
    Fault {
        rhythm: rhythm(38, 420, 500, Some(GroupState::Known)),
        route: "signup",
        backend: "accounts",
        endpoints: &["https://accounts.internal (10.0.3.4)"],
        request: ("POST", "/users"),
        received: Some(422),
        told: (422, "VALIDATION_ERROR", "email must be an email"),
        body: r#"{"statusCode":422,"message":["email must be an email","password is too short"],"error":"Unprocessable Entity"}"#,
        message: Some("email must be an email"),
        millis: 12,
        ..BASE
    },
    Fault {
        rhythm: rhythm(4, 30, 0, Some(GroupState::Resolved)),
        route: "invoices",
        backend: "billing",
        endpoints: &["https://billing.internal:8443 (10.0.4.2)"],
        request: ("GET", "/invoices/latest"),
        received: None,
        told: (502, "UPSTREAM_UNREACHABLE", "The service cannot be reached. Please try again later."),
        reason: "tls_certificate_error",
        cause: Some("the certificate of billing.internal expired 2 days ago (2026-11-25T23:59:59Z)"),
        millis: 31,
        attempts: 3,
        ..BASE
    },
    Fault {
        rhythm: rhythm(9, 44, 60, None),
        route: "search",
        backend: "catalog",
        endpoints: &["http://10.0.5.1:9000", "http://10.0.5.2:9000"],
        request: ("GET", "/search?q=***&page=***"),
        content_type: "text/plain; charset=utf-8",
        body: GO_STACK,
        exception: Some("runtime error"),
        message: Some("invalid memory address or nil pointer dereference"),
        stack: Some(GO_STACK),
        millis: 8,
        ..BASE
    },
    Fault {
        rhythm: rhythm(3, 21, 40, Some(GroupState::Muted)),
        route: "legacy-site",
        backend: "wordpress",
        endpoints: &["http://10.0.6.1"],
        request: ("GET", "/reports/2019/"),
        content_type: "text/html; charset=UTF-8",
        body: PHP_PAGE,
        exception: Some("PDOException"),
        message: Some("SQLSTATE[42S02]: Base table or view not found: 1146 Table 'legacy.wp_options' doesn't exist"),
        stack: Some(
            "#0 /var/www/html/wp-includes/class-wpdb.php(2187): PDO->query('SELECT option_v...')\n#1 /var/www/html/wp-content/plugins/acme/report.php(77): wpdb->get_results('SELECT option_v...')\n#2 {main}",
        ),
        ..BASE
    },
    Fault {
        rhythm: rhythm(6, 40, 90, Some(GroupState::Known)),
        route: "invoices",
        backend: "billing",
        endpoints: &["https://billing.internal:8443 (10.0.4.2)"],
        request: ("GET", "/invoices/{n}"),
        content_type: "application/problem+json",
        body: r#"{"type":"https://tools.ietf.org/html/rfc9110#section-15.6.1","title":"An error occurred while processing your request.","status":500,"detail":"System.InvalidOperationException: Sequence contains no elements\n   at Acme.Billing.Invoices.InvoiceService.Latest(Guid customer) in /src/Billing/Invoices/InvoiceService.cs:line 57","traceId":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#,
        exception: Some("System.InvalidOperationException"),
        message: Some("Sequence contains no elements"),
        stack: Some(DOTNET_STACK),
        ..BASE
    },
    Fault {
        rhythm: rhythm(2, 18, 0, None),
        route: "signup",
        backend: "accounts",
        endpoints: &["https://accounts.internal (10.0.3.4)"],
        request: ("POST", "/users"),
        told: (409, "CONFLICT", "This record already exists."),
        content_type: "text/plain",
        body: RUBY_STACK,
        exception: Some("ActiveRecord::RecordNotUnique"),
        message: Some("PG::UniqueViolation: ERROR:  duplicate key value violates unique constraint \"index_users_on_email\""),
        stack: Some(RUBY_STACK),
        ..BASE
    },
    Fault {
        rhythm: rhythm(7, 20, 30, None),
        route: "payments",
        backend: "payments",
        endpoints: &["https://pay.internal (10.0.7.7)"],
        request: ("POST", "/결제/승인"),
        received: Some(400),
        told: (400, "PAYMENT_REJECTED", "카드 한도를 초과했습니다. 다른 카드로 다시 시도해 주세요."),
        body: r#"{"code":"PAYMENT_REJECTED","message":"카드 한도를 초과했습니다. 다른 카드로 다시 시도해 주세요.","가맹점":"주식회사 에이씨엠이","승인번호":null,"한도":{"월":3000000,"일":500000}}"#,
        message: Some("카드 한도를 초과했습니다. 다른 카드로 다시 시도해 주세요."),
        millis: 240,
        ..BASE
    },
    Fault {
        rhythm: rhythm(11, 80, 120, Some(GroupState::Known)),
        route: "search",
        backend: "catalog",
        request: ("GET", "/search"),
        received: None,
        told: (429, "RATE_LIMITED", "Too many requests. Please wait a moment."),
        reason: "rate_limited",
        cause: Some("limit per_client: 100 requests per minute"),
        millis: 0,
        attempts: 0,
        ..BASE
    },
    Fault {
        rhythm: rhythm(1, 0, 0, None),
        route: "export",
        backend: "exporter-with-a-very-long-name-that-nobody-would-choose-but-somebody-did-anyway-0123456789",
        endpoints: &[
            "http://exporter-with-a-very-long-name.production.eu-central-1.compute.internal.acme.example:18080 (2001:db8:85a3:8d3:1319:8a2e:370:7348)",
        ],
        request: (
            "GET",
            "/export/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/end",
        ),
        content_type: "text/plain",
        body: "LONGLINE",
        exception: Some("com.acme.exporter.streaming.chunked.compression.AbstractCompressedChunkedStreamingExporterFactoryBeanException"),
        message: Some(
            "a message that does not end: ................................................................................................................................................................",
        ),
        millis: 61_300,
        ..BASE
    },
    Fault {
        rhythm: rhythm(5, 12, 0, Some(GroupState::Known)),
        route: "orders",
        backend: "orders-db-api",
        endpoints: ORDERS,
        request: ("PUT", "/orders/{n}/status"),
        received: None,
        told: (502, "UPSTREAM_UNREACHABLE", "The service cannot be reached. Please try again later."),
        reason: "connection_refused",
        cause: Some("connection refused"),
        attempts: 3,
        millis: 620,
        ..BASE
    },
    Fault {
        rhythm: rhythm(0, 9, 30, Some(GroupState::Resolved)),
        route: "media",
        backend: "media",
        endpoints: &["http://10.0.8.1"],
        request: ("GET", "/media/{n}.jpg"),
        received: Some(503),
        told: (503, "UPSTREAM_UNAVAILABLE", "The service is busy. Please try again later."),
        content_type: "text/html",
        body: "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx/1.25.3</center>\r\n</body>\r\n</html>",
        message: Some("503 Service Temporarily Unavailable"),
        ..BASE
    },
];

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn id(numbers: &mut Numbers, at: Millis) -> String {
    let (one, other) = (numbers.next(), numbers.next());
    format!(
        "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
        at >> 16,
        at & 0xffff,
        one & 0xfff,
        0x8000 | (one >> 16 & 0x3fff),
        other & 0xffff_ffff_ffff
    )
}

fn attempts(fault: &Fault, numbers: &mut Numbers, total: u64) -> Vec<AttemptEntry> {
    let count = fault.attempts.min(if fault.endpoints.is_empty() { 0 } else { 8 }) as u64;
    let each = total / count.max(1);
    let one = |at: u64| {
        let connect_us = if fault.reason == "http_response_timeout" || numbers.below(3) > 0 { each / 25 } else { 0 };
        AttemptEntry {
            endpoint: Some(fault.endpoints[((numbers.below(9) + at) % fault.endpoints.len() as u64) as usize].to_owned()),
            begin_us: at * each + if at > 0 { each / 8 } else { each / 60 },
            connect_us,
            took_us: each * 4 / 5,
            status: fault.received,
            reason: (!fault.reason.is_empty()).then(|| fault.reason.to_owned()),
        }
    };
    (0..count).map(one).collect()
}

fn entry(fault: &Fault, at: Millis, numbers: &mut Numbers, configs: &[&str]) -> Entry {
    let total = fault.millis * 1000 * (80 + numbers.below(60)) / 100 + 300 + numbers.below(900);
    let number = (7 + numbers.below(9000)).to_string();
    let (path, query) = match fault.request.1.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (fault.request.1, None),
    };
    let (status, code, _) = fault.told;
    let request_id = id(numbers, at);
    let attempts = attempts(fault, numbers, total);
    let path = path.replace("{n}", &number);
    let mut entry = Entry {
        trace_id: numbers.below(2).eq(&0).then(|| format!("{:032x}", numbers.next())),
        at,
        duration_us: total,
        upstream_us: fault.received.map(|_| total * 9 / 10),
        client: format!("203.0.113.{}", 1 + numbers.below(250)),
        method: fault.request.0.to_owned(),
        host: Some("shop.acme.example".to_owned()),
        query,
        protocol: if numbers.below(3) == 0 { "HTTP/1.1" } else { "HTTP/2" }.to_owned(),
        request_headers: headers(&[
            ("accept", "application/json, text/plain;q=0.9"),
            ("accept-language", "ko-KR,ko;q=0.9,en;q=0.8"),
            ("authorization", "***"),
            ("cookie", "***"),
            (
                "user-agent",
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
            ),
            ("x-request-id", &request_id),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ]),
        route: fault.route.to_owned(),
        backend: fault.backend.to_owned(),
        endpoint: attempts.last().and_then(|attempt| attempt.endpoint.clone()),
        attempts,
        status,
        received: fault.received,
        code: code.to_owned(),
        reason: fault.reason.to_owned(),
        cause: fault.cause.map(str::to_owned),
        config: configs[usize::from(fault.rhythm.week == 0)].to_owned(),
        gateway: "eu-1a".to_owned(),
        path,
        request_id,
        ..Entry::default()
    };
    add_said(&mut entry, fault);
    add_answer(&mut entry, fault);
    (entry.fingerprint, entry.title) = fingerprint::of(&entry);
    entry
}

/// Adds what the upstream said.
fn add_said(entry: &mut Entry, fault: &Fault) {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    (entry.exception, entry.message) = (owned(fault.exception), owned(fault.message));
    (entry.stack, entry.caused_by) = (owned(fault.stack), owned(fault.caused_by));
    if fault.received.is_none() {
        return;
    }
    entry.upstream_truncated = fault.body == "LONGLINE";
    entry.upstream_body = Some(match fault.body {
        "LONGLINE" => format!("java.lang.OutOfMemoryError: {}", "0123456789abcdef".repeat(3_000)),
        body => body.to_owned(),
    });
    entry.upstream_headers = headers(&[
        ("content-type", fault.content_type),
        ("server", "Jetty(11.0.20)"),
        ("x-powered-by", "acme/4.2"),
        ("date", "Sat, 28 Nov 2026 12:00:00 GMT"),
        ("set-cookie", "***"),
    ]);
}

/// Adds what the client got.
fn add_answer(entry: &mut Entry, fault: &Fault) {
    let (status, code, message) = fault.told;
    let (id, method, path) = (&entry.request_id, &entry.method, &entry.path);
    let body = format!(
        r#"{{"error":{{"code":"{code}","message":"{message}"}},"statusCode":{status},"timestamp":"2026-11-28T12:00:00.000Z","requestId":"{id}","method":"{method}","path":"{path}"}}"#
    );
    entry.answer_body = Some(body);
    entry.answer_headers = headers(&[
        ("content-type", "application/json"),
        ("content-language", "en"),
        ("cache-control", "no-store"),
        ("x-request-id", id),
        ("proxy-status", "lockgate; received-status=500"),
    ]);
}

/// Entries whose every text is one of [`XSS`].
fn attacks(now: Millis, numbers: &mut Numbers) -> Vec<Entry> {
    let one = |(at, text): (usize, &&str)| {
        let text = (*text).to_owned();
        let pairs: Headers = vec![("x-attack".to_owned(), text.clone()), (text.clone(), "value".to_owned())];
        let at = now - 1_000 * (at as u64 + 1) - if at < 2 { 40 * MINUTE } else { 5 * HOUR };
        let mut entry = Entry {
            request_id: id(numbers, at),
            at,
            duration_us: 1_000,
            client: "203.0.113.66".to_owned(),
            method: "GET".to_owned(),
            host: Some(text.clone()),
            path: format!("/{text}"),
            query: Some(text.clone()),
            protocol: "HTTP/1.1".to_owned(),
            request_headers: pairs.clone(),
            route: "attacks".to_owned(),
            backend: text.clone(),
            endpoint: Some(text.clone()),
            attempts: vec![AttemptEntry {
                endpoint: Some(text.clone()),
                took_us: 900,
                status: Some(500),
                reason: Some(text.clone()),
                ..AttemptEntry::default()
            }],
            status: 502,
            received: Some(500),
            code: text.clone(),
            reason: text.clone(),
            cause: Some(text.clone()),
            upstream_headers: pairs.clone(),
            upstream_body: Some(format!(
                "{text}\njava.sql.SQLException: {text}\n\tat com.acme.A.b(A.java:1)\n\tat com.acme.C.d(C.java:2)\n{text}"
            )),
            exception: Some(format!("Attack{text}")),
            message: Some(text.clone()),
            stack: Some(format!("{text}\n\tat com.acme.A.b({text})\n\tat java.lang.A.b({text})\n\tat java.lang.A.c({text})")),
            caused_by: Some(text.clone()),
            answer_headers: pairs,
            answer_body: Some(format!("{{\"error\":{{\"message\":{}}}}}", serde_json::Value::from(text.as_str()))),
            config: text,
            ..Entry::default()
        };
        (entry.fingerprint, entry.title) = fingerprint::of(&entry);
        entry
    };
    XSS.iter().enumerate().map(one).collect()
}

/// Fills a store. Returns the fingerprints of the groups in the order of the faults, then those of the attacks.
pub(crate) fn fill(store: &dyn Store, now: Millis, configs: &[&str; 2]) -> Vec<String> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut groups = Vec::new();
    for fault in &FAULTS {
        let Rhythm { hour, day, week, state, grows } = fault.rhythm;
        let mut times: Vec<Millis> = Vec::new();
        for at in 0..hour {
            // What grows is denser towards now.
            let share = if grows { (at as f64 / hour as f64).sqrt() } else { numbers.below(1000) as f64 / 1000.0 };
            let span = if grows { 26 * MINUTE } else { 58 * MINUTE };
            times.push(now - 4_000 - numbers.below(9_000) - ((1.0 - share) * span as f64) as u64);
        }
        times.extend((0..day).map(|_| now - HOUR - numbers.below(23 * HOUR)));
        times.extend((0..week).map(|_| now - 24 * HOUR - numbers.below(6 * 24 * HOUR)));
        let entries: Vec<Entry> = times.iter().map(|at| entry(fault, *at, &mut numbers, configs)).collect();
        let Some(group) = entries.first().map(|entry| entry.fingerprint.clone()) else { continue };
        let (before, after) = entries.split_at(entries.len() / 2);
        let _ = store.write(before);
        if let Some(state) = state {
            let _ = store.set_state(&group, state, 0);
        }
        // What was resolved and occurs again is regressed, but for those whose occurrences are older.
        let _ = store.write(after);
        if hour == 0
            && let Some(state) = state
        {
            let _ = store.set_state(&group, state, 0);
        }
        groups.push(group);
    }
    let attacks = attacks(now, &mut numbers);
    let _ = store.write(&attacks);
    groups.extend(attacks.into_iter().map(|entry| entry.fingerprint));
    groups
}
