//! The form to log in: cookies, tokens of forms, where it leads, and how often it may be tried.

use super::{Ask, Guarded, OPERATOR, VIEWER, cookies, hidden, log_in, session};
use crate::harness::get;

#[test]
fn the_form_works_without_a_script_and_tells_nothing() {
    let guarded = Guarded::start("form", "");
    let form = get(guarded.admin, "/login");
    let page = form.text();
    assert_eq!((form.status, form.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.contains("type=\"password\"") && page.contains("action=\"/login\"") && page.contains("autocomplete=\"current-password\""));
    assert!(!page.contains("<script") && !page.contains(env!("CARGO_PKG_VERSION")), "{page}");
    let korean = Ask::default().with("Accept-Language", "ko").get(guarded.admin, "/login?to=/errors").text();
    assert!(
        korean.contains("<html lang=\"ko\">") && korean.contains("로그인") && korean.contains("/login?to=%2Ferrors&#38;lang=en"),
        "{korean}"
    );
    let chosen = get(guarded.admin, "/login?to=/errors&lang=ko");
    assert_eq!((chosen.status, chosen.header("location")), (303, Some("/login?to=%2Ferrors")));
    assert_eq!(
        log_in(guarded.admin, &format!(" {OPERATOR}\n"), "/errors", &Ask::default()).header("location"),
        Some("/errors"),
        "a pasted token"
    );
}

#[test]
fn the_cookie_of_a_session_is_strict_and_is_not_the_token() {
    let guarded = Guarded::start("cookie", "admin_session = \"2h\"\n");
    let of = |more: &Ask| {
        let response = log_in(guarded.admin, VIEWER, "/", more);
        assert!(!response.everything().contains(VIEWER));
        let all = response.all("set-cookie").join("\n");
        (all, cookies(&response))
    };
    let (plain, _) = of(&Ask::default());
    let mut lines = plain.lines();
    let (opened, closed) = (lines.next().unwrap(), lines.next().unwrap());
    let (name, attributes) = opened.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=7200; HttpOnly; SameSite=Strict");
    assert!(
        name.strip_prefix("lockgate-session=").is_some_and(|id| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "{name}"
    );
    assert_eq!(closed, "lockgate-login=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict", "the cookie of the form goes");
    for header in [("X-Forwarded-Proto", "https"), ("Forwarded", "for=1.2.3.4;proto=https")] {
        let https = Ask::default().with(header.0, header.1);
        let (secure, pairs) = of(&https);
        assert!(
            secure.lines().all(|line| line.starts_with("__Host-lockgate-")
                && line.ends_with("; Path=/; Max-Age=7200; HttpOnly; SameSite=Strict; Secure")
                || line.contains("Max-Age=0")),
            "{secure}"
        );
        let cookie = pairs.iter().find(|pair| pair.starts_with("__Host-lockgate-session=")).unwrap();
        let page = |ask: Ask| ask.with("Cookie", cookie).browser().get(guarded.admin, "/").status;
        assert_eq!((page(https), page(Ask::default())), (200, 303), "it counts over HTTPS only");
    }
    let (first, second) = (session(guarded.admin, VIEWER), session(guarded.admin, VIEWER));
    assert_ne!(first, second);
}

#[test]
fn a_new_login_ends_the_session_of_before() {
    let guarded = Guarded::start("renewed", "");
    let viewer = session(guarded.admin, VIEWER);
    let form = get(guarded.admin, "/login");
    let body = format!("csrf={}&token={OPERATOR}", hidden(&form.text(), "csrf"));
    let cookie = format!("{}; {viewer}", cookies(&form).join("; "));
    assert_eq!(Ask::cookie(&cookie).send(guarded.admin, "POST", "/login", &body).status, 303);
    assert_eq!(Ask::cookie(&viewer).browser().get(guarded.admin, "/").status, 303);
}

#[test]
fn a_form_that_the_browser_was_not_given_is_refused() {
    let guarded = Guarded::start("csrf", "");
    let admin = guarded.admin;
    let (form, other) = (get(admin, "/login"), get(admin, "/login"));
    let (own, foreign) = (hidden(&form.text(), "csrf"), hidden(&other.text(), "csrf"));
    let cookie = cookies(&form).join("; ");
    let post = |ask: Ask, csrf: &str| ask.send(admin, "POST", "/login", &format!("csrf={csrf}&token={OPERATOR}"));
    for (cookie, csrf) in
        [("", own.as_str()), (&cookie, ""), (&cookie, &foreign), (&cookie, &own[..63]), ("lockgate-login=", ""), ("lockgate-login=a", &own)]
    {
        let refused = post(Ask::cookie(cookie), csrf);
        assert!(refused.status == 403 && !refused.everything().contains("lockgate-session"), "{cookie} {csrf} {refused:?}");
        assert!(refused.text().contains("too old") && refused.text().contains("type=\"password\""), "the form is shown again");
    }
    for headers in [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        assert_eq!(post(Ask::cookie(&cookie).with(headers.0, headers.1), &own).status, 403);
    }
    assert_eq!(post(Ask::cookie(&cookie), &own).status, 303);
    let large = format!("csrf={own}&token={OPERATOR}&x={}", "x".repeat(9000));
    assert_eq!(Ask::cookie(&cookie).send(admin, "POST", "/login", &large).status, 403, "a body that is too large is no form");
}

#[test]
fn a_login_never_leads_elsewhere() {
    let guarded = Guarded::start("redirect", "");
    let admin = guarded.admin;
    for to in [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "/%5cevil.example",
        "\\/evil.example",
        "/login",
        "/logout",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/errors\r\nX: y",
        "/nope",
        "/metrics",
        "@evil.example",
        ".evil.example",
    ] {
        let response = log_in(admin, OPERATOR, to, &Ask::default());
        assert_eq!((response.status, response.header("location")), (303, Some("/")), "{to}");
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("to", to).finish();
        let known = Ask::cookie(&session(admin, VIEWER)).get(admin, &format!("/login?{query}"));
        assert_eq!(known.header("location"), Some("/"), "{to}");
        assert_eq!(hidden(&get(admin, &format!("/login?{query}")).text(), "to"), "/", "{to}");
    }
    for path in ["//evil.example/", "//evil.example/?lang=ko", "/errors//?lang=ko", "/..//evil.example?lang=en"] {
        for ask in [Ask::default().browser(), Ask::bearer(OPERATOR).browser()] {
            let response = ask.get(admin, path);
            assert!(response.header("location").is_none_or(|to| to == "/login"), "{path}: {response:?}");
        }
    }
}

#[test]
fn guesses_are_limited_by_client() {
    let guarded = Guarded::start("guesses", "");
    let admin = guarded.admin;
    let one = Ask::default().from("10.1.1.1");
    let statuses: Vec<u16> = (0..14).map(|n| log_in(admin, &format!("guess-{n}"), "/", &one).status).collect();
    assert_eq!(statuses, [[403; 10].as_slice(), &[429; 4]].concat());
    let limited = log_in(admin, OPERATOR, "/", &one);
    assert!(
        limited.status == 429 && limited.header("retry-after").is_some_and(|wait| (1..=6).contains(&wait.parse::<u64>().unwrap())),
        "{limited:?}"
    );
    assert!(limited.text().contains("too many wrong tokens") && !limited.everything().contains("lockgate-session="));
    // The same bound holds for tokens in headers, or it would be one for nobody.
    let header = Ask::bearer(OPERATOR).from("10.1.1.1").get(admin, "/config");
    assert_eq!((header.status, header.code()), (429, "RATE_LIMITED".to_owned()));
    assert!(header.header("retry-after").is_some());
    // Others, sessions and the neighbours of an IPv4 address are not stopped; a whole /64 of IPv6 is one client.
    assert_eq!(log_in(admin, OPERATOR, "/", &Ask::default().from("10.1.1.2")).status, 303);
    assert_eq!(Ask::cookie(&session(admin, VIEWER)).from("10.1.1.1").get(admin, "/").status, 200);
    for n in 0..10 {
        assert_eq!(Ask::basic("guess").from(&format!("2001:db8::{n}")).get(admin, "/config").status, 401);
    }
    assert_eq!(Ask::basic("guess").from("2001:db8::ffff").get(admin, "/config").status, 429);
    assert_eq!(Ask::basic("guess").from("2001:db8:1::1").get(admin, "/config").status, 401);
    guarded.gateway.wait_for_metric("lockgate_admin_logins_total{outcome=\"failed\"} 21");
    guarded.gateway.wait_for_metric("lockgate_admin_logins_total{outcome=\"limited\"} 7");
    guarded.gateway.wait_for_metric("lockgate_admin_logins_total{outcome=\"succeeded\"} 2");
}

#[test]
fn guesses_at_the_same_time_and_from_everywhere_are_limited_together() {
    let guarded = Guarded::start("everywhere", "");
    let admin = guarded.admin;
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            std::thread::spawn(move || {
                let ask = |n: u32| Ask::bearer("guess").from(&format!("10.2.{thread}.{}", n % 5)).get(admin, "/config").status;
                (0..40).map(ask).filter(|status| *status == 401).count()
            })
        })
        .collect();
    let looked_at: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    // 320 guesses of 40 clients, each of which may guess ten times: 100 at once, and one more for each 0.6 s that the test takes.
    assert!((100..200).contains(&looked_at), "{looked_at}");
    // A client whose address cannot be forged counts alone: the addresses here are told by a trusted proxy.
    assert_eq!(Ask::bearer(OPERATOR).from("10.2.100.1").get(admin, "/config").status, 429);
}

#[test]
fn sessions_are_bounded() {
    let guarded = Guarded::start("bounded", "");
    let admin = guarded.admin;
    let first = session(admin, VIEWER);
    let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(move || (0..32).map(|_| session(admin, VIEWER)).collect::<Vec<_>>())).collect();
    let all: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(all.len(), 256);
    let is_open = |cookie: &str| Ask::cookie(cookie).browser().get(admin, "/configuration").status == 200;
    assert!(!is_open(&first), "the oldest session makes room");
    assert!(all.iter().all(|cookie| is_open(cookie)));
}

#[test]
fn a_link_from_elsewhere_finds_the_session() {
    let guarded = Guarded::start("link", "");
    let admin = guarded.admin;
    let elsewhere = || {
        Ask::default().browser().with("Sec-Fetch-Site", "cross-site").with("Sec-Fetch-Mode", "navigate").with("Sec-Fetch-Dest", "document")
    };
    let path = format!("/errors/{}", guarded.id);
    // The browser sends no strict cookie with the link, nor with what it leads to.
    let to = elsewhere().get(admin, &path).header("location").unwrap().to_owned();
    let again = elsewhere().get(admin, &to);
    let page = again.text();
    assert!(again.status == 200 && page.contains("http-equiv=\"refresh\""), "{page}");
    let next = page.split("url=").nth(1).and_then(|rest| rest.split('"').next()).unwrap().replace("&#38;", "&");
    assert!(next.starts_with("/login?to="), "{next}");
    // This one comes from a page of the gateway.
    let own = || Ask::default().browser().with("Sec-Fetch-Site", "same-origin");
    let found = own().with("Cookie", &session(admin, VIEWER)).get(admin, &next);
    assert_eq!((found.status, found.header("location")), (303, Some(path.as_str())));
    assert!(own().get(admin, &next).text().contains("type=\"password\""));
    assert!(elsewhere().get(admin, &next).text().contains("type=\"password\""), "not for ever");
}

#[test]
fn a_browser_is_not_asked_by_a_dialog() {
    let guarded = Guarded::start("dialog", "");
    let challenge = |ask: Ask| ask.get(guarded.admin, "/api/errors").header("www-authenticate").unwrap().to_owned();
    assert!(challenge(Ask::default()).contains("Basic"));
    assert!(!challenge(Ask::default().with("Sec-Fetch-Mode", "cors")).contains("Basic"));
}
