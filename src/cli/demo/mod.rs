//! `lockgate demo`: starts a faulty service and the gateway in front of it, and compares their responses.

mod legacy;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::args::DemoArgs;
use super::output;
use super::run::{cannot_start, fail};
use crate::app::App;
use crate::failure::catalog::Severity;
use crate::observe::access_log::Style;
use crate::observe::recorder::LineSettings;
use crate::observe::writer::Sink;
use crate::plan::{Plan, compile};

/// The configuration of the demo. Its two backend addresses are replaced with free ones.
const CONFIG: &str = include_str!("../../../config/demo.toml");
/// The timeout of each request of the comparison.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn demo(args: &DemoArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let code = runtime.block_on(run(args));
    runtime.shutdown_background();
    code
}

async fn run(args: &DemoArgs) -> ExitCode {
    let (legacy, refused) = match (listener().await, listener().await) {
        (Ok(legacy), Ok(refused)) => (legacy, refused),
        (Err(error), _) | (_, Err(error)) => return fail(&format!("cannot start the demo service: {error}")),
    };
    let (Ok(service), Ok(closed)) = (legacy.local_addr(), refused.local_addr()) else {
        return fail("cannot get the address of the demo service");
    };
    // Connections to the port of a closed listener are refused.
    drop(refused);
    tokio::spawn(legacy::serve(legacy));
    let app = match plan(args, service, closed).map(|plan| {
        // Log lines are discarded, because they would mix with the comparison.
        let sink = Sink::start(std::io::sink(), std::sync::Arc::clone(&plan.metrics.log_dropped));
        sink.map_err(Into::into)
            .and_then(|sink| App::start(plan, sink, LineSettings { access: true, failures: Severity::Info, style: Style::Json }))
    }) {
        Some(Ok(app)) => app,
        Some(Err(error)) => return cannot_start(&error),
        None => return fail("the built-in configuration of the demo is invalid"),
    };
    let Some(gateway) = app.addresses.first().copied() else { return fail("cannot get the address of the gateway") };
    let leaked = compare(service, gateway).await;
    if !args.once {
        output::print(&format!(
            "\nThe gateway keeps running on http://{gateway}, and the service on http://{service}. To compare them yourself:"
        ));
        output::print(&format!(
            "  curl -i http://{service}/java\n  curl -i http://{gateway}/java\n  curl -i -H 'Accept-Language: ko' http://{gateway}/java"
        ));
        output::print("Press Ctrl-C to stop the demo.");
        // If the signal handler cannot be installed, the demo ends immediately.
        let _ = tokio::signal::ctrl_c().await;
    }
    app.shutdown(std::future::ready(())).await;
    if leaked == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn listener() -> std::io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).await
}

fn plan(args: &DemoArgs, service: SocketAddr, closed: SocketAddr) -> Option<Plan> {
    let text = CONFIG.replace("127.0.0.1:18080", &service.to_string()).replace("127.0.0.1:18081", &closed.to_string());
    let mut plan = compile::from_text(&text, &|_| None).ok()?;
    plan.listen.http = vec![args.listen];
    plan.listen.admin = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), 0);
    Some(plan)
}

/// Requests every case from the service and from the gateway, and prints both responses. Returns the number of secrets in responses of the
/// gateway.
async fn compare(service: SocketAddr, gateway: SocketAddr) -> usize {
    output::print(&format!("{:<29} {:<38} {:<52} {}", "case", "response of the service", "response of the gateway", "request id"));
    let mut leaked = 0;
    for case in legacy::CASES {
        let direct = if matches!(case.path, "/hang" | "/refused") { None } else { fetch(service, case.path).await };
        let response = fetch(gateway, case.path).await.unwrap_or_default();
        leaked += case.secrets.iter().filter(|secret| response.contains(**secret)).count();
        let id = header(&response, "x-request-id").unwrap_or_default();
        output::print(&format!("{:<29} {:<38} {:<52} {id}", case.title, raw_summary(direct.as_deref()), gateway_summary(&response)));
    }
    output::print(&format!("\nleaked frames: {leaked}"));
    leaked
}

/// Sends a request and returns the whole response as text, or `None` if there is none.
async fn fetch(address: SocketAddr, path: &str) -> Option<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nConnection: close\r\n\r\n").as_bytes(),
            )
            .await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        std::io::Result::Ok(bytes)
    };
    let bytes = tokio::time::timeout(TIMEOUT, exchange).await.ok()?.ok()?;
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Shows the status and the beginning of the body.
fn raw_summary(response: Option<&str>) -> String {
    let Some(response) = response else { return "(no response)".into() };
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((response, ""));
    let line: String = body.split_whitespace().collect::<Vec<_>>().join(" ");
    shorten(&format!("{} {line}", head.get(9..12).unwrap_or("?")), 36)
}

/// Shows the status, code and message of an envelope, or the status and the beginning of another body.
fn gateway_summary(response: &str) -> String {
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((response, ""));
    let status = head.get(9..12).unwrap_or("?");
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(value) if value["error"]["code"].is_string() => {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            shorten(&format!("{status} {}: {}", text(&value["error"]["code"]), text(&value["error"]["message"])), 50)
        }
        _ => shorten(&format!("{status} {body}"), 50),
    }
}

fn header(response: &str, name: &str) -> Option<String> {
    let head = response.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()))
}

fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max { text.to_owned() } else { text.chars().take(max - 3).collect::<String>() + "..." }
}
