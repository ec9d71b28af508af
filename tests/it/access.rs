//! Tests who may enter: lists of addresses, and names with passwords.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lockgate::plan::compile;

use crate::harness::contract::assert_contract;
use crate::harness::{GatewayUnderTest, Origin, Response, Temporary, send};

/// A gateway whose backend is the origin; `routes` are its routes.
fn gateway(origin: &Origin, routes: &str) -> GatewayUnderTest {
    GatewayUnderTest::start(&format!(
        "[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n[backends.o]\nendpoints = [\"http://{}\"]\n{routes}",
        origin.address
    ))
}

fn asked(gateway: &GatewayUnderTest, target: &str, headers: &str) -> Response {
    send(gateway.address, format!("GET {target} HTTP/1.1\r\nHost: a\r\n{headers}Connection: close\r\n\r\n"))
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

/// A file with the users alice and bob.
fn users(name: &str) -> Temporary {
    let hash = |password: &str| bcrypt::hash(password, 4).unwrap();
    let argon2 = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    Temporary::file(name, &format!("# team\nalice:{}\nbob:{argon2}\n", hash("s3cret").replace("$2b$", "$2y$")))
}

fn problems(route: &str) -> String {
    let text = format!("[backends.o]\nendpoints = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/*\"\n{route}\n");
    let found = compile::from_text(&text, &|_| None).err().unwrap_or_default();
    found.into_iter().map(|problem| format!("{} | {}\n", problem.title, problem.help)).collect()
}

#[test]
fn addresses_are_admitted_and_refused_before_anything_else() {
    let origin = Origin::echo();
    let gateway = gateway(
        &origin,
        "[limits.one]\nrate = \"1/d\"\nkey = \"global\"\n\
         [[routes]]\npath = \"/in/*\"\nbackend = \"o\"\nlimits = [\"one\"]\nerrors = { format = \"problem\" }\n\
         access = { allow = [\"10.0.0.0/8\", \"2001:db8::/32\"], deny = \"10.9.0.0/16\" }\n\
         [[routes]]\npath = \"/not/*\"\nbackend = \"o\"\naccess = { deny = [\"192.0.2.0/24\"] }\n\
         [[routes]]\npath = \"/moved\"\nredirect = { to = \"/in/\" }\naccess = { allow = \"10.0.0.0/8\" }\n\
         [[routes]]\npath = \"/page\"\nrespond = { status = 200, body = \"ok\" }\naccess = { allow = \"10.0.0.0/8\" }\n",
    );
    let from = |client: &str, target: &str| asked(&gateway, target, &format!("X-Forwarded-For: {client}\r\n"));
    for _ in 0..3 {
        let refused = from("192.0.2.7", "/in/a");
        assert_eq!((refused.status, assert_contract("GET", &refused)), (403, "FORBIDDEN".into()));
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "in the format of the route");
        assert_eq!(from("10.9.1.1", "/in/a").status, 403, "deny wins");
    }
    assert_eq!(from("10.1.1.1", "/in/a").status, 200, "what is refused is not counted");
    assert_eq!(from("2001:db8::7", "/in/a").status, 429);
    assert_eq!([from("192.0.2.1", "/not/a").status, from("10.1.1.1", "/not/a").status], [403, 200]);
    for (client, moved, page) in [("10.1.1.1", 308, 200), ("192.0.2.1", 403, 403)] {
        assert_eq!([from(client, "/moved").status, from(client, "/page").status], [moved, page]);
    }
    // The body of a refused request is not waited for.
    let post = "POST /in/a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: 1000\r\n\r\nx";
    assert_eq!(send(gateway.address, post).status, 403);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn lists_are_inherited_and_replaced() {
    let origin = Origin::echo();
    let gateway = gateway(
        &origin,
        "[defaults]\naccess = { allow = \"10.0.0.0/8\" }\n[[routes]]\npath = \"/a\"\nbackend = \"o\"\n\
         [[routes]]\npath = \"/b\"\nbackend = \"o\"\naccess = { allow = [\"0.0.0.0/0\", \"::/0\"] }\n",
    );
    assert_eq!([asked(&gateway, "/a", "").status, asked(&gateway, "/b", "").status], [403, 200]);
}

#[test]
fn a_password_is_asked_for_and_kept_from_the_backend() {
    let (origin, file) = (Origin::echo(), users("htpasswd-asked"));
    let auth = |more: &str| format!("auth = {{ basic = \"file:{}\"{more} }}", file.display());
    let gateway = gateway(
        &origin,
        &format!(
            "[[routes]]\nname = \"a\"\npath = \"/a\"\nbackend = \"o\"\n{}\n[[routes]]\npath = \"/b\"\nbackend = \"o\"\n{}\n",
            auth(", user_header = \"X-User\", realm = \"Wiki\""),
            auth(", forward_credentials = true"),
        ),
    );
    let right = basic("alice", "s3cret");
    for wrong in [
        String::new(),
        basic("alice", "wrong"),
        basic("carol", "s3cret"),
        basic("bob", "s3cret"),
        right.replace("Basic", "Bearer"),
        format!("{right}{right}"),
        "Authorization: Basic !\r\n".to_owned(),
    ] {
        let refused = asked(&gateway, "/a", &wrong);
        assert_eq!((refused.status, assert_contract("GET", &refused)), (401, "UNAUTHORIZED".into()), "{wrong}");
        assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"Wiki\", charset=\"UTF-8\""));
        assert_eq!(refused.header("proxy-status"), Some("lockgate; error=http_request_denied"));
    }
    assert_eq!(origin.requests().len(), 0);
    // Twice: verified, and remembered. `Connection` cannot remove what the gateway says.
    for headers in [&right, &basic("bob", "password"), &right] {
        let spoofed = format!("{headers}X-User: root\r\nX-User: admin\r\nX_User: root\r\nConnection: X-User, Authorization\r\n");
        let seen = asked(&gateway, "/a", &spoofed).text().to_lowercase();
        let user = if *headers == right { "x-user: alice" } else { "x-user: bob" };
        assert!(seen.contains(user), "{seen}");
        assert!(!["root", "admin", "x_user", "authorization", "basic "].iter().any(|word| seen.contains(word)), "{seen}");
    }
    let seen = asked(&gateway, "/b", &right).text().to_lowercase();
    assert!(seen.contains("authorization: basic ") && !seen.contains("x-user"), "{seen}");
    let page = asked(&gateway, "/b", "");
    assert_eq!(page.header("www-authenticate"), Some("Basic realm=\"Restricted\", charset=\"UTF-8\""));
    gateway.wait_for_metric("lockgate_auth_total{route=\"a\",result=\"admitted\"} 3");
    gateway.wait_for_metric("lockgate_auth_total{route=\"a\",result=\"refused\"} 7");
}

#[test]
fn limits_come_before_passwords_and_preflights_need_none() {
    let (origin, file) = (Origin::echo(), users("htpasswd-order"));
    let gateway = gateway(
        &origin,
        &format!(
            "[limits.tries]\nrate = \"2/d\"\n[[routes]]\npath = [\"/*\"]\nbackend = \"o\"\nlimits = [\"tries\"]\n\
             cors = {{ origins = [\"https://app.example\"] }}\nauth = {{ basic = \"file:{}\" }}\n",
            file.display()
        ),
    );
    let preflight = "OPTIONS /a HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n\r\n";
    let try_one = |password: &str| asked(&gateway, "/", &format!("{}Origin: https://app.example\r\n", basic("alice", password)));
    assert_eq!(send(gateway.address, preflight).status, 204);
    let refused = try_one("1");
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some("https://app.example")));
    assert_eq!([try_one("2").status, try_one("s3cret").status], [401, 429], "whoever guesses is slowed down");
    assert_eq!(send(gateway.address, preflight).status, 204);
}

#[test]
fn routes_without_a_backend_ask_too() {
    let (origin, file) = (Origin::echo(), users("htpasswd-own"));
    let auth = format!("auth = {{ basic = \"file:{}\" }}", file.display());
    let gateway = gateway(
        &origin,
        &format!(
            "[[routes]]\npath = \"/a\"\nredirect = {{ to = \"/b\" }}\n{auth}\n[[routes]]\npath = \"/b\"\nrespond = {{ status = 200, body = \"in\" }}\n{auth}\n"
        ),
    );
    let right = basic("alice", "s3cret");
    for (target, status) in [("/a", 308), ("/b", 200)] {
        assert_eq!([asked(&gateway, target, "").status, asked(&gateway, target, &right).status], [401, status], "{target}");
    }
}

#[test]
fn weak_hashes_are_named_by_line_and_user_and_never_shown() {
    let sha = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=";
    let good = bcrypt::hash("x", 4).unwrap();
    let text =
        format!("alice:{good}\nbob:{sha}\n# note\ncarol:$apr1$Q6ZYh...$RV6ft2bZ8j.NGrxLYaJt9.\ndave:hunter2\nalice:{good}\nnocolon\n");
    let file = Temporary::file("htpasswd-weak", &text);
    let all = problems(&format!("backend = \"o\"\nauth = {{ basic = \"file:{}\" }}", file.display()));
    for part in [
        "line 2, user `bob`: the password is stored as SHA-1",
        "line 4, user `carol`: the password is stored as MD5",
        "line 5, user `dave`",
    ] {
        assert!(all.contains(part), "{part} in\n{all}");
    }
    for part in ["htpasswd -B", "line 6, user `alice`: the name was on a line before", "line 7: not a name and a hash"] {
        assert!(all.contains(part), "{part} in\n{all}");
    }
    assert!(!["W6ph", "RV6ft", "hunter2", "nocolon", &good[20..]].iter().any(|secret| all.contains(secret)), "{all}");
}

#[test]
fn what_can_have_no_effect_or_is_not_valid_is_an_error() {
    let file = users("htpasswd-errors");
    let (empty, path) = (Temporary::file("htpasswd-empty", "# nobody\n"), file.display());
    for (route, part) in [
        ("access = { allow = [] }".to_owned(), "`allow` is empty"),
        ("access = {}".to_owned(), "has no effect without `allow` or `deny`"),
        ("access = { allow = [\"10.0.0.0/33\"] }".to_owned(), "invalid network"),
        ("auth = {}".to_owned(), "no `basic` and no `forward`"),
        ("auth = { basic = \"alice:secret\" }".to_owned(), "expected \"file:/path\""),
        ("auth = { basic = \"file:/nowhere/htpasswd\" }".to_owned(), "cannot read"),
        (format!("auth = {{ basic = \"file:{}\" }}", empty.display()), "has no user"),
        (format!("auth = {{ basic = \"file:{path}\", forward = \"http://a\" }}"), "one of `basic` and `forward`"),
        (format!("auth = {{ basic = \"file:{path}\", copy = [\"X-User\"] }}"), "`copy` has no effect"),
        (format!("auth = {{ basic = \"file:{path}\", realm = \"a\\\"b\" }}"), "printable ASCII"),
        (format!("auth = {{ basic = \"file:{path}\", user_header = \"X User\" }}"), "invalid header name"),
        (format!("auth = {{ basic = \"file:{path}\", user_header = \"X-Forwarded-For\" }}"), "cannot tell who the user is"),
        ("auth = { forward = \"ftp://a\" }".to_owned(), "begins with http:// or https://"),
        ("auth = { forward = \"http://u:p@a/\" }".to_owned(), "no user"),
        ("auth = { forward = \"http://a\", copy = [\"X User\"] }".to_owned(), "invalid header name"),
        ("auth = { forward = \"http://a\", copy = [\"Host\"] }".to_owned(), "managed by the gateway"),
        ("auth = { forward = \"http://a\", copy = [\"Cookie\"] }".to_owned(), "cannot tell who the user is"),
        ("auth = { forward = \"http://a\", realm = \"x\" }".to_owned(), "`realm` has no effect"),
        ("auth = { forward = \"http://a\", ca = \"/x\" }".to_owned(), "`ca` has no effect without https"),
        ("auth = { forward = \"http://a\", timeout = \"0s\" }".to_owned(), "zero"),
    ] {
        let all = problems(&format!("backend = \"o\"\n{route}"));
        assert!(all.contains(part), "{route}: {part} in\n{all}");
    }
    let all = problems(&format!("respond = {{ status = 200 }}\nauth = {{ basic = \"file:{path}\", user_header = \"X-User\" }}"));
    assert!(all.contains("`user_header` has no effect on a route without `backend`"), "{all}");
}

#[test]
fn the_old_name_of_exempt_says_the_new_one() {
    let text = "[limits.a]\nrate = \"1/s\"\nallow = [\"10.0.0.0/8\"]\n[[routes]]\npath = \"/\"\nrespond = { status = 200 }\n";
    let found = compile::from_text(text, &|_| None).unwrap_err();
    assert!(found.iter().any(|problem| problem.title == "`allow` of a limit is named `exempt`"), "{found:?}");
}
