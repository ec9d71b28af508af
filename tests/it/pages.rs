//! Tests the page that a person with a browser gets, and the pages of an operator.

use base64::Engine as _;

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, Response, Temporary, send};

/// What a browser sends.
const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nConnection: close\r\n";
const EXPRESS: &str = "Content-Security-Policy: default-src 'self'\r\nContent-Security-Policy-Report-Only: default-src 'none'\r\n";

fn says(status: u16, headers: &str, body: &str) -> Origin {
    Origin::says(format!("HTTP/1.1 {status} X\r\n{EXPRESS}{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// The page for an error of this status.
fn page(status: u16, headers: &str, request: &str) -> Response {
    let origin = says(status, headers, "boom at com.acme.OrderDao.find(OrderDao.java:3)");
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = send(gateway.address, format!("{request}Host: a\r\n{BROWSER}\r\n"));
    assert_contract(request.split(' ').next().unwrap(), &response);
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    response
}

/// What stands between two texts.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let start = text.find(before).unwrap_or_else(|| panic!("no {before} in {text}")) + before.len();
    &text[start..start + text[start..].find(after).unwrap()]
}

#[test]
fn a_page_is_in_the_language_of_its_reader() {
    for (language, title, retry) in [
        ("en", "The service has a problem", "Try again"),
        ("ko-KR,ko;q=0.9,en;q=0.8", "서비스에 문제가 발생했습니다", "다시 시도"),
        ("ja", "サービスで問題が発生しました", "もう一度試す"),
        ("zh-CN", "服务出现问题", "重试"),
    ] {
        let response = page(500, "", &format!("GET /a HTTP/1.1\r\nAccept-Language: {language}\r\n"));
        let text = response.text();
        assert_eq!((between(&text, "<h1>", "</h1>"), between(&text, "<title>", "</title>")), (title, title));
        assert_eq!(between(&text, "<html lang=\"", "\""), &language[..2]);
        assert!(text.contains(&format!("<a href=\"\">{retry}</a>")), "{text}");
        let english = ["Error code", "Copy", "Try again", "Request id", "Bad Gateway"];
        assert!(language == "en" || english.iter().all(|word| !text.contains(word)), "{text}");
    }
}

#[test]
fn a_page_brings_all_it_needs_and_permits_nothing_else() {
    let response = page(503, "Retry-After: 95\r\nX-Frame-Options: DENY\r\n", "GET /a HTTP/1.1\r\n");
    let text = response.text();
    assert_eq!(response.all("content-security-policy").len(), 1, "the upstream's is replaced: {response:?}");
    assert_eq!(response.header("content-security-policy-report-only"), None);
    assert_eq!(response.header("x-robots-tag"), Some("noindex"));
    let missing = page(404, "", "GET /a HTTP/1.1\r\n");
    assert_eq!(missing.all("content-security-policy"), response.all("content-security-policy"));
    assert_eq!(missing.header("content-security-policy-report-only"), None);
    let policy = response.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    for (directive, element) in [("style-src", "style"), ("script-src", "script")] {
        let content = between(&text, &format!("<{element}>"), &format!("</{element}>"));
        let digest = ring::digest::digest(&ring::digest::SHA256, content.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(digest);
        assert!(policy.contains(&format!("{directive} 'sha256-{hash}'")), "{directive} in {policy}");
        assert_eq!(text.matches(&format!("<{element}")).count(), 1);
    }
    for inline in ["style=\"", "onclick=\"", "src=", "http://", "https://", "url("] {
        assert!(!text.contains(inline), "{inline} in {text}");
    }
    assert!(response.body.len() < 4096, "{} bytes", response.body.len());
    assert!(text.contains("prefers-color-scheme:dark") && text.contains("width=device-width") && text.contains("content=\"noindex\""));
    // Without a script the wait is there, and a click selects the id as a whole.
    assert!(text.contains("<span id=\"w\" data-s=\"95\">You can try again in <b>1:35</b>.</span>"), "{text}");
    let id = response.header("x-request-id").unwrap();
    assert!(text.contains(&format!("<code id=\"i\" dir=\"ltr\">{id}</code>")) && text.contains("user-select:all"), "{text}");
}

#[test]
fn a_page_offers_what_helps() {
    let retry = "<a href=\"\">";
    for (status, request, wanted) in [
        (503, "GET /a HTTP/1.1\r\n", true),
        (500, "GET /a HTTP/1.1\r\n", true),
        (429, "GET /a HTTP/1.1\r\n", true),
        (409, "GET /a HTTP/1.1\r\n", false),
        (404, "GET /a HTTP/1.1\r\n", false),
        // What was sent is not sent again by a click.
        (503, "POST /a HTTP/1.1\r\nContent-Length: 0\r\n", false),
    ] {
        let text = page(status, "", request).text();
        assert_eq!(text.contains(retry), wanted, "{status} {request}: {text}");
    }
    assert!(page(404, "", "GET /a HTTP/1.1\r\n").text().contains("<a href=\"/\">Go to the home page</a>"));
    assert!(!page(404, "", "GET / HTTP/1.1\r\n").text().contains("<a "), "one is there already");
    assert!(page(503, "", "POST /a HTTP/1.1\r\nContent-Length: 0\r\n").text().contains("id=\"w\""), "when to try again");
}

#[test]
fn the_words_of_an_upstream_stand_below_a_heading_of_the_catalog() {
    let body = r#"{"message":"<b onclick=x>Bob</b> & \"co\" may not.","errors":[{"field":"a&b","message":"\"1\" < 2"}]}"#;
    let origin = says(422, "Content-Type: application/json\r\n", body);
    let gateway = GatewayUnderTest::in_front_of(origin.address, "");
    let response = send(gateway.address, format!("GET /%3Cscript%3E HTTP/1.1\r\nHost: a\r\nAccept-Language: ko\r\n{BROWSER}\r\n"));
    assert_contract("GET", &response);
    let text = response.text();
    assert_eq!(between(&text, "<h1>", "</h1>"), "요청에 올바르지 않은 항목이 있습니다");
    assert!(text.contains("<p dir=\"auto\">Bob &amp; &quot;co&quot; may not.</p>"), "{text}");
    assert!(text.contains("<li><b>a&amp;b</b>: &quot;1&quot; &lt; 2</li>"), "{text}");
    assert_eq!((text.matches("<script>").count(), text.contains("onclick=x")), (1, false), "{text}");
}

#[test]
fn a_page_of_a_language_from_right_to_left() {
    let folder = Temporary::folder("page-words");
    std::fs::write(folder.join("ar.toml"), "[codes]\nUPSTREAM_ERROR = \"حدث خطأ. حاول لاحقًا.\"\n[page]\nretry = \"أعد المحاولة\"\n")
        .unwrap();
    let origin = says(500, "", "");
    let gateway = GatewayUnderTest::in_front_of(origin.address, &format!("[errors]\nmessages = {:?}\n", folder.display().to_string()));
    let text = send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Language: ar\r\n{BROWSER}\r\n")).text();
    assert!(text.contains("<html lang=\"ar\" dir=\"rtl\">") && text.contains("<h1>حدث خطأ</h1>"), "{text}");
}

#[test]
fn the_page_of_development_is_readable() {
    let origin = says(500, "Content-Type: text/plain\r\n", "Traceback:\n  <main> line 3\nValueError: x");
    let toml = format!(
        "mode = \"development\"\n[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n",
        origin.address
    );
    let gateway = GatewayUnderTest::start(&toml);
    let text = send(gateway.address, format!("GET / HTTP/1.1\r\nHost: a\r\n{BROWSER}\r\n")).text();
    assert!(text.contains("upstream status: 500\nbackend: o\n") && text.contains("body:\nTraceback:\n  &lt;main&gt; line 3\n"), "{text}");
    assert!(!text.contains("Some("), "{text}");
}

/// A folder of pages: names and contents.
fn folder(name: &str, pages: &[(&str, &[u8])]) -> (Temporary, String) {
    let folder = Temporary::folder(name);
    for (page, content) in pages {
        std::fs::write(folder.join(page), content).unwrap();
    }
    let toml = format!("[errors]\npage = {:?}\n", folder.display().to_string());
    (folder, toml)
}

#[test]
fn an_operators_own_pages() {
    let (_folder, toml) = folder(
        "own-pages",
        &[
            ("default.html", b"<!doctype html><html lang=\"{{language}}\"><title>{{statusCode}}</title><style>p{color:red}</style><p title=\"{{message}}\">{{message}} {{requestId}}"),
            ("502.ko.html", "\u{feff}<p>잠시 후에 오세요 {{requestId}}".as_bytes()),
            ("5xx.html", b"<p>Later, in {{retryAfterSeconds}} s: {{requestId}}"),
            ("404.html", b"<p>Nothing at {{path}}: {{requestId}}"),
            ("README.md", b"no page"),
        ],
    );
    let asked = |origin: &Origin, more: &str, headers: &str| {
        let gateway = GatewayUnderTest::in_front_of(origin.address, &format!("{toml}{more}"));
        let response = send(gateway.address, format!("GET /x%22 HTTP/1.1\r\nHost: a\r\n{headers}Connection: close\r\n\r\n"));
        assert_contract("GET", &response);
        response
    };
    let browser = BROWSER.strip_suffix("Connection: close\r\n").unwrap();
    let with_id = |text: &str, response: &Response| format!("{text}{}", response.header("x-request-id").unwrap());
    let broken = says(500, "", "");
    let korean = asked(&broken, "", &format!("{browser}Accept-Language: ko\r\n"));
    assert_eq!((korean.status, korean.text()), (502, with_id("<p>잠시 후에 오세요 ", &korean)));
    assert_eq!(korean.header("x-robots-tag"), Some("noindex"));
    let english = asked(&says(503, "Retry-After: 7\r\n", ""), "", browser);
    assert_eq!(english.text(), with_id("<p>Later, in 7 s: ", &english));
    let missing = asked(&says(404, "", ""), "", browser);
    assert_eq!(missing.text(), with_id("<p>Nothing at &#x2F;x%22: ", &missing));
    // A client error keeps most headers of the upstream, but its policy knows nothing of this page.
    let policies = [missing.header("content-security-policy"), missing.header("content-security-policy-report-only")];
    assert_eq!(policies, [None, None]);
    let message = r#"{"message":"a < b & \"c\" is locked."}"#;
    let locked = asked(&says(409, "Content-Type: application/json\r\n", message), "", browser);
    assert!(locked.text().contains("<p title=\"a &lt; b &amp; &quot;c&quot; is locked.\">"), "{}", locked.text());
    // An API gets the envelope all the same, and a page that the operator's policy is for keeps that.
    assert_eq!(asked(&broken, "", "").json()["error"]["code"], "UPSTREAM_ERROR");
    let set = "[defaults]\nresponse_headers = { set = { Content-Security-Policy = \"default-src 'none'\" } }\n";
    assert_eq!(asked(&broken, set, browser).header("content-security-policy"), Some("default-src 'none'"));
}

#[test]
fn pages_that_cannot_be_used_are_problems_of_the_configuration() {
    const REST: &str = "[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n";
    let told = |name: &str, pages: &[(&str, &[u8])], more: &str| {
        let (_folder, toml) = folder(name, pages);
        let problems = lockgate::plan::compile::from_text(&format!("{REST}{toml}{more}"), &|_| None).map(|_| ()).expect_err(name);
        assert!(problems.iter().all(|problem| problem.span.is_some()), "{problems:?}");
        problems.into_iter().map(|problem| format!("{} | {}\n", problem.title, problem.help)).collect::<String>()
    };
    let large = vec![b'a'; 64 * 1024 + 1];
    let many: [(&str, &[u8], &[&str]); 10] = [
        ("default.html", b"<p>\n {{mesage}}", &["default.html:2:4: the page is invalid", "no value `mesage`"]),
        ("default.html", b"<p>{{message", &["default.html:1:4", "never closed"]),
        ("default.html", b"<p>\n\xff", &["default.html:2: not UTF-8"]),
        ("default.html", &large, &["too large", "64 KiB"]),
        ("default.html", b" \n", &["is empty"]),
        ("default.html", b"<script>let id = '{{requestId}}'</script>", &["<script> cannot be made safe"]),
        ("default.html", b"<p>\n<a href=\"{{path}}\">", &["default.html:2:10", "the URL of `href` must begin with"]),
        ("502.html", b"<p>", &["has no default page", "add default.html"]),
        ("error.html", b"<p>", &["not that of an error page", "404.ko.html"]),
        ("default.tlh.html", b"<p>", &["not available: `tlh`", "errors.messages"]),
    ];
    for (at, (page, content, words)) in many.into_iter().enumerate() {
        let told = told(&format!("bad-pages-{at}"), &[(page, content)], "");
        assert!(words.iter().all(|word| told.contains(word)), "{page}: {words:?} in {told}");
    }
    assert!(told("no-effect", &[("default.html", b"<p>")], "negotiate = false\n").contains("no effect with `negotiate = false`"));
    let missing = lockgate::plan::compile::from_text(&format!("{REST}[errors]\npage = \"/nowhere\"\n"), &|_| None);
    assert!(format!("{:?}", missing.map(|_| ()).unwrap_err()).contains("cannot read `/nowhere`"));
}
