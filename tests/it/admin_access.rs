//! Tests who may use the admin listener: roles, tokens, sessions, forms, and what is written down of it.

mod api;
mod audit;
mod login;
mod matrix;

use std::net::SocketAddr;

use base64::Engine as _;

use crate::harness::{GatewayUnderTest, Origin, Response, Temporary, get, send, until};

const OPERATOR: &str = "t0ken-of-a-test";
const VIEWER: &str = "t0ken-of-a-viewer";

/// What the backend of these tests says. None of these words is for a viewer.
const SAID: &str = "java.lang.IllegalStateException: no stock for order 4711\n\tat shop.Stock.take(Stock.java:42)\n\tat shop.Orders.place(Orders.java:7)\n";
const ORIGINALS: [&str; 6] = ["IllegalStateException", "no stock", "Stock.java", "shop.Orders", "node-7", "header-of-the-client"];

/// A request to an admin listener, from a client behind a trusted proxy.
#[derive(Clone, Default)]
struct Ask {
    headers: String,
    client: Option<String>,
}

impl Ask {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    fn bearer(token: &str) -> Self {
        Self::default().with("Authorization", &format!("Bearer {token}"))
    }

    fn basic(token: &str) -> Self {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("any:{token}"));
        Self::default().with("Authorization", &format!("Basic {encoded}"))
    }

    fn cookie(value: &str) -> Self {
        Self::default().with("Cookie", value)
    }

    fn browser(self) -> Self {
        self.with("Accept", "text/html,application/xhtml+xml")
    }

    fn from(mut self, client: &str) -> Self {
        self.client = Some(client.to_owned());
        self
    }

    fn send(&self, admin: SocketAddr, method: &str, target: &str, body: &str) -> Response {
        let client = self.client.as_ref().map(|client| format!("X-Forwarded-For: {client}\r\n")).unwrap_or_default();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {admin}\r\n{client}{}Connection: close\r\n", self.headers);
        match body {
            "" if method == "GET" || method == "HEAD" => send(admin, format!("{head}\r\n")),
            body => send(
                admin,
                format!("{head}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
            ),
        }
    }

    fn get(&self, admin: SocketAddr, target: &str) -> Response {
        self.send(admin, "GET", target, "")
    }
}

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let found = page.split(&format!("name=\"{name}\" value=\"")).nth(1).and_then(|rest| rest.split('"').next());
    found.unwrap_or_else(|| panic!("no {name} in {page}")).replace("&amp;", "&").replace("&#38;", "&")
}

/// The pairs of name and value that a response sets as cookies.
fn cookies(response: &Response) -> Vec<String> {
    response.all("set-cookie").iter().map(|line| line.split(';').next().unwrap().to_owned()).collect()
}

/// Sends the form to log in as a browser does that has just opened it. `more` is sent with both requests.
fn log_in(admin: SocketAddr, token: &str, to: &str, more: &Ask) -> Response {
    let form = more.get(admin, "/login");
    assert_eq!(form.status, 200, "{form:?}");
    let csrf = hidden(&form.text(), "csrf");
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("csrf", &csrf)
        .append_pair("to", to)
        .append_pair("token", token)
        .finish();
    more.clone().with("Cookie", &cookies(&form).join("; ")).send(admin, "POST", "/login", &body)
}

/// The cookie of a new session.
fn session(admin: SocketAddr, token: &str) -> String {
    let response = log_in(admin, token, "/", &Ask::default());
    assert_eq!((response.status, response.header("location")), (303, Some("/")), "{response:?}");
    cookies(&response).into_iter().find(|cookie| cookie.starts_with("lockgate-session=")).unwrap()
}

/// A gateway with both tokens, and a request that has failed.
struct Guarded {
    gateway: GatewayUnderTest,
    admin: SocketAddr,
    id: String,
    group: String,
    _origin: Origin,
    _token: Temporary,
}

impl Guarded {
    fn start(name: &str, listen: &str) -> Self {
        let origin = Origin::says(format!(
            "HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nX-Node: node-7\r\nContent-Length: {}\r\n\r\n{SAID}",
            SAID.len()
        ));
        let token = Temporary::file(&format!("viewer-{name}"), VIEWER);
        let gateway = GatewayUnderTest::start(&format!(
            "[listen]\nadmin_token = \"file:tests/it/harness/token\"\nadmin_viewer_token = \"file:{}\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n{listen}\
             [backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\nname = \"all\"\npath = \"/*\"\nbackend = \"o\"\n",
            token.display(),
            origin.address
        ));
        let failed =
            send(gateway.address, "GET /orders/1 HTTP/1.1\r\nHost: shop\r\nX-Own: header-of-the-client\r\nConnection: close\r\n\r\n");
        let id = failed.header("x-request-id").unwrap().to_owned();
        let admin = gateway.admin;
        let entry = until(|| match Ask::bearer(OPERATOR).get(admin, &format!("/api/errors/{id}")) {
            response if response.status == 200 => Ok(response.json()),
            response => Err(response.text()),
        });
        let group = entry["fingerprint"].as_str().unwrap().to_owned();
        Self { gateway, admin, id, group, _origin: origin, _token: token }
    }

    /// The path of a row, with what there is in the place of names.
    fn path(&self, pattern: &str) -> String {
        let asset = || {
            let page = get(self.admin, "/login").text();
            page.split("/assets/").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
        };
        let path = pattern.replace("{id}", &self.id).replace("{fingerprint}", &self.group).replace("{form}", "json");
        let path = if path.contains("{name}") { path.replace("{name}", &asset()) } else { path };
        if path == "/route" { "/route?url=/x".to_owned() } else { path }
    }
}

#[test]
fn a_configuration_gives_tokens_a_meaning() {
    let token = Temporary::file("same-token", OPERATOR);
    let token = token.display();
    let complaint = |listen: &str| {
        let text =
            format!("[listen]\n{listen}\n[backends.o]\nendpoints = [\"http://127.0.0.1:9\"]\n[[routes]]\npath = \"/*\"\nbackend = \"o\"\n");
        lockgate::plan::compile::from_text(&text, &|_| None)
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|problem| problem.title)
            .collect::<String>()
    };
    let operator = "admin_token = \"file:tests/it/harness/token\"\n";
    assert!(complaint(&format!("admin_viewer_token = \"file:{token}\"")).contains("has no effect without `admin_token`"));
    assert!(complaint("admin_session = \"1h\"").contains("has no effect without `admin_token`"));
    assert!(complaint(&format!("{operator}admin_viewer_token = \"file:{token}\"")).contains("the same as `admin_token`"));
    assert!(complaint(&format!("{operator}admin_session = \"31d\"")).contains("from 1s to 30d"));
    assert!(complaint(&format!("{operator}admin_viewer_token = \"literal\"")).contains("must not be written"));
    assert_eq!(complaint(&format!("{operator}admin_session = \"30d\"")), "");
}
