//! `lockgate demo`: a misbehaving service, the gateway in front of it, and a tour that shows both sides.

mod legacy;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::args::DemoArgs;
use super::output;
use super::run::fail;
use crate::app::App;
use crate::failure::catalog::Severity;
use crate::observe::access_log::Style;
use crate::observe::recorder::LineSettings;
use crate::observe::writer::Sink;
use crate::plan::{Plan, compile};

/// The configuration of the demo; its two addresses are replaced by those that were free.
const CONFIG: &str = include_str!("../../../config/demo.toml");
/// How long one answer of the tour may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn demo(args: &DemoArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let code = runtime.block_on(show(args));
    runtime.shutdown_background();
    code
}

async fn show(args: &DemoArgs) -> ExitCode {
    let (legacy, refused) = match (listener().await, listener().await) {
        (Ok(legacy), Ok(refused)) => (legacy, refused),
        (Err(error), _) | (_, Err(error)) => return fail(&format!("cannot start the demo service: {error}")),
    };
    let (Ok(service), Ok(nobody)) = (legacy.local_addr(), refused.local_addr()) else { return fail("no address for the demo service") };
    // A port that was just free and is closed again: it refuses.
    drop(refused);
    tokio::spawn(legacy::serve(legacy));
    let app = match plan(args, service, nobody).map(|plan| {
        // The tour is the output; the lines of its requests would only scroll it away.
        let sink = Sink::start(std::io::sink(), std::sync::Arc::clone(&plan.metrics.log_dropped));
        sink.map_err(Into::into)
            .and_then(|sink| App::start(plan, sink, LineSettings { access: true, failures: Severity::Info, style: Style::Json }))
    }) {
        Some(Ok(app)) => app,
        Some(Err(error)) => return fail(&error.to_string()),
        None => return fail("the demo's own configuration is not valid"),
    };
    let Some(gateway) = app.addresses.first().copied() else { return fail("no address for the gateway") };
    let leaked = tour(service, gateway).await;
    if !args.once {
        output::say(&format!(
            "\nThe gateway stays up on http://{gateway}, the service behind it on http://{service}. Compare them yourself:"
        ));
        output::say(&format!(
            "  curl -i http://{service}/java\n  curl -i http://{gateway}/java\n  curl -i -H 'Accept-Language: ko' http://{gateway}/java"
        ));
        output::say("Ctrl-C ends the demo.");
        // An error here means that no signal can be caught: then the demo ends at once.
        let _ = tokio::signal::ctrl_c().await;
    }
    app.shutdown(std::future::ready(())).await;
    if leaked == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn listener() -> std::io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).await
}

fn plan(args: &DemoArgs, service: SocketAddr, nobody: SocketAddr) -> Option<Plan> {
    let text = CONFIG.replace("127.0.0.1:18080", &service.to_string()).replace("127.0.0.1:18081", &nobody.to_string());
    let mut plan = compile::from_text(&text, &|_| None).ok()?;
    plan.listen.http = vec![args.listen];
    plan.listen.admin = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), 0);
    Some(plan)
}

/// Asks for every case on both sides, prints the table, returns how many secrets came through.
async fn tour(service: SocketAddr, gateway: SocketAddr) -> usize {
    output::say(&format!("{:<29} {:<38} {:<52} {}", "the service", "what it said", "what the client got", "request id"));
    let mut leaked = 0;
    for case in legacy::CASES {
        let direct = if matches!(case.path, "/hang" | "/refused") { None } else { ask(service, case.path).await };
        let answer = ask(gateway, case.path).await.unwrap_or_default();
        leaked += case.secrets.iter().filter(|secret| answer.contains(**secret)).count();
        let (said, got, id) = (summary(direct.as_deref()), told(&answer), header(&answer, "x-request-id").unwrap_or_default());
        output::say(&format!("{:<29} {:<38} {:<52} {id}", case.title, said, got));
    }
    output::say(&format!("\nleaked frames: {leaked}"));
    leaked
}

/// A whole answer as text; `None` when there was none.
async fn ask(address: SocketAddr, path: &str) -> Option<String> {
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
    let bytes = tokio::time::timeout(PATIENCE, exchange).await.ok()?.ok()?;
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn summary(answer: Option<&str>) -> String {
    let Some(answer) = answer else { return "(no answer)".into() };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let line: String = body.split_whitespace().collect::<Vec<_>>().join(" ");
    shorten(&format!("{} {line}", head.get(9..12).unwrap_or("?")), 36)
}

fn told(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.get(9..12).unwrap_or("?");
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(value) if value["error"]["code"].is_string() => {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            shorten(&format!("{status} {}: {}", text(&value["error"]["code"]), text(&value["error"]["message"])), 50)
        }
        _ => shorten(&format!("{status} {body}"), 50),
    }
}

fn header(answer: &str, name: &str) -> Option<String> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()))
}

fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max { text.to_owned() } else { text.chars().take(max - 3).collect::<String>() + "..." }
}
