//! `lockgate demo`: starts a faulty service and the gateway in front of it, and compares their responses.

mod legacy;
mod table;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use self::table::{Columns, Summary};
use super::args::DemoArgs;
use super::output::{self, Style};
use super::run::{cannot_start, fail};
use crate::app::App;
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
        sink.map_err(Into::into).and_then(|sink| App::start(plan, sink, LineSettings::default()))
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
    let (columns, style) = (Columns::of(output::width()), Style::of_output());
    output::print(&columns.head(style));
    let (mut sent, mut leaked) = (0, 0);
    for case in legacy::CASES {
        let direct = if matches!(case.path, "/hang" | "/refused") { None } else { fetch(service, case.path).await };
        let response = fetch(gateway, case.path).await.unwrap_or_default();
        let found = |text: &str| case.secrets.iter().filter(|secret| text.contains(**secret)).count();
        let in_response = found(&response);
        sent += direct.as_deref().map_or(0, found);
        leaked += in_response;
        let service = service_summary(direct.as_deref(), !case.secrets.is_empty());
        output::print(&columns.line(case.title, &service, &gateway_summary(&response, in_response > 0), style));
    }
    let count = format!("leaked frames: {leaked}");
    output::print(&format!("\n{} of {sent}", if leaked == 0 { style.green(&count) } else { style.red(&count) }));
    output::print(&style.dim(
        "A leaked frame is a piece of the inside (stack frame, file, SQL, address,\n\
         password) that the service sent and a response of the gateway still has. Each\n\
         response has an X-Request-Id; under it the log has what the service said.",
    ));
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

/// The status and the beginning of the body.
fn service_summary(response: Option<&str>, leaks: bool) -> Summary {
    let Some(response) = response else { return Summary { status: 0, text: "no response".into(), more: String::new(), leaks: false } };
    let (status, body) = parts(response);
    Summary { status, text: body.split_whitespace().collect::<Vec<_>>().join(" "), more: String::new(), leaks }
}

/// The status, code and message of an envelope, or the status and the beginning of another body.
fn gateway_summary(response: &str, leaks: bool) -> Summary {
    let (status, body) = parts(response);
    let (text, more) = match serde_json::from_str::<serde_json::Value>(body) {
        Ok(value) if value["error"]["code"].is_string() => {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&value["error"]["code"]), text(&value["error"]["message"]))
        }
        _ => (body.to_owned(), String::new()),
    };
    Summary { status, text, more, leaks }
}

/// The status and the body of a response.
fn parts(response: &str) -> (u16, &str) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((response, ""));
    (head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0), body)
}
