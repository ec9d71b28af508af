//! `lockgate init`: writes a commented configuration file from three questions, or from options.
//!
//! Nothing is written that `lockgate check` would reject, and no file is overwritten without `--force`. Must not start the gateway.

use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use ipnet::IpNet;

use super::args::InitArgs;
use super::run::fail;
use super::{output, source};
use crate::config::diagnose::{self, Problem};
use crate::plan::{OWN_LISTENER, compile};

/// The networks of most load balancers: the private ones (RFC 1918, RFC 4193).
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"];
/// The address that is listened on without an answer.
const LISTEN: &str = "0.0.0.0:8080";
/// The same if the service is there itself.
const OTHER: &str = "0.0.0.0:8081";

/// The answers to the questions.
struct Answers {
    to: String,
    listen: SocketAddr,
    /// The networks of the proxies in front.
    proxies: Vec<String>,
}

pub(super) fn init(args: &InitArgs) -> ExitCode {
    if args.output.exists() && !args.force {
        let code = fail(&format!("{} exists", args.output.display()));
        output::print_error("help: name another file with --output, or overwrite it with --force");
        return code;
    }
    let answers = match answers(args) {
        Ok(answers) => answers,
        Err(complaint) => return fail(&complaint),
    };
    let text = text(&answers);
    let show = |problems: &[Problem]| output::print_error(diagnose::render("the answers", &text, problems, output::color()).trim_end());
    match compile::from_text(&text, &|_| None) {
        Ok(plan) if plan.warnings.is_empty() => {}
        Ok(plan) => show(&plan.warnings),
        Err(problems) => {
            show(&problems);
            return ExitCode::FAILURE;
        }
    }
    if let Err(error) = write(args, &text) {
        return fail(&format!("cannot write {}: {error}", args.output.display()));
    }
    let file = args.output.display();
    let (listen, to) = (answers.listen, &answers.to);
    output::print(&format!(
        "{file} is written: it listens on {listen} and forwards to {to}. Next:\n  lockgate check {file}\n  lockgate run --config {file}"
    ));
    ExitCode::SUCCESS
}

/// Writes the file. Without `--force` it must not exist, also not since it was looked for.
fn write(args: &InitArgs, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!args.force);
    options.open(&args.output)?.write_all(text.as_bytes())
}

/// Takes the answers from the options, and asks for the others at a terminal.
fn answers(args: &InitArgs) -> Result<Answers, String> {
    let asks = io::stdin().is_terminal();
    let to = match (&args.to, asks) {
        (Some(to), _) => url(to)?,
        (None, true) => ask("URL of your service", "http://127.0.0.1:8000", url)?,
        (None, false) => return Err("--to is missing: the URL of your service, such as --to http://127.0.0.1:8000".into()),
    };
    let default = if is_at_default(&to) { OTHER } else { LISTEN };
    let listen = match (args.listen, asks) {
        (Some(listen), _) => listen,
        (None, true) => ask("Address and port to listen on", default, address)?,
        (None, false) => address(default)?,
    };
    let proxies = match (&args.behind, asks) {
        (Some(behind), _) => networks(behind)?,
        (None, true) => ask("Is it behind a load balancer? yes, no, or its networks", "no", networks)?,
        (None, false) => Vec::new(),
    };
    Ok(Answers { to, listen, proxies })
}

/// The number of times that a question is asked.
const TRIES: usize = 3;

/// Asks a question until the answer is valid. An empty answer stands for the default.
fn ask<T>(question: &str, default: &str, parse: fn(&str) -> Result<T, String>) -> Result<T, String> {
    let mut complaint = String::new();
    for _ in 0..TRIES {
        let _ = write!(io::stderr(), "{question} [{default}]: ");
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
        let line = line.trim();
        match parse(if line.is_empty() { default } else { line }) {
            Ok(value) => return Ok(value),
            Err(wrong) => {
                output::print_error(&wrong);
                complaint = wrong;
            }
        }
    }
    Err(complaint)
}

/// A URL, also when its scheme was left out.
fn url(text: &str) -> Result<String, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let parsed = url.parse::<http::Uri>().ok();
    let is_valid = parsed.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some());
    if is_valid { Ok(url) } else { Err(format!("`{text}` is no URL: expected one such as http://127.0.0.1:8000")) }
}

/// Returns true for a service of this machine at the port that is listened on by default.
fn is_at_default(url: &str) -> bool {
    let Ok(plan) = compile::from_text(&source::to_url(url), &|_| None) else { return false };
    plan.warnings.iter().any(|warning| warning.title == OWN_LISTENER)
}

/// An address with a port, or a port alone.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.trim_start_matches(':').parse::<u16>().ok().map(|port| SocketAddr::from(([0, 0, 0, 0], port)));
    port.or_else(|| text.parse().ok()).ok_or_else(|| format!("`{text}` is no address: expected one such as {LISTEN}"))
}

/// `yes`, `no`, or networks with commas between them.
fn networks(text: &str) -> Result<Vec<String>, String> {
    match text.to_ascii_lowercase().as_str() {
        "no" | "n" => return Ok(Vec::new()),
        "yes" | "y" => return Ok(PRIVATE.map(str::to_owned).to_vec()),
        _ => {}
    }
    let is_network = |part: &str| part.parse::<IpNet>().is_ok() || part.parse::<IpAddr>().is_ok();
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let wrong = || format!("`{part}` is no network: expected yes, no, or networks such as 10.0.0.0/8");
            if is_network(part) { Ok(part.to_owned()) } else { Err(wrong()) }
        })
        .collect()
}

/// The commented file.
fn text(answers: &Answers) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let trusted = match answers.proxies.as_slice() {
        [] => "# trusted_proxies = [\"10.0.0.0/8\"]   # the networks of load balancers in front, whose X-Forwarded-* headers count\n"
            .to_owned(),
        list => {
            let list = list.iter().map(|network| quoted(network)).collect::<Vec<_>>().join(", ");
            format!("trusted_proxies = [{list}]   # X-Forwarded-* and X-Request-Id count only from these; as few as possible\n")
        }
    };
    format!(
        r#"# Lockgate. `lockgate check` validates this file; config/full.toml of the distribution lists every key.

[listen]
http = {listen}
# admin = "127.0.0.1:9090"              # /livez, /readyz, /metrics, /config, /route and more
{trusted}
# [listen.tls]                          # HTTPS on port 8443
# cert = "tls.crt"                      # names of files are relative to this file
# key = "tls.key"

# What every route inherits. The timeouts are the defaults.
[defaults]
connect_timeout = "2s"
response_timeout = "30s"                # from the last byte of the request to the response head, else 504
# limits = ["per_client"]

# [limits.per_client]                   # 429 with Retry-After above it
# rate = "100/s"
# key = "client-ip"

[backends.app]
endpoints = [{to}]
# health = {{ path = "/health" }}         # an endpoint that fails its probes gets no requests

# The most specific route wins; the order does not matter.
[[routes]]
name = "all"
path = "/*"
backend = "app"

# Errors have one format, and tell clients nothing of what is inside: docs/error-handling.md
[errors]
format = "envelope"                     # or "problem" (RFC 9457), "flat", "template"
"#,
        listen = quoted(&answers.listen.to_string()),
        to = quoted(&answers.to),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood_as_people_write_them() {
        assert_eq!(url("localhost:3000").unwrap(), "http://localhost:3000");
        assert_eq!(url("https://a.example").unwrap(), "https://a.example");
        assert!(url("ftp://a").is_err() && url("http://").is_err());
        assert_eq!(address("9000").unwrap().to_string(), "0.0.0.0:9000");
        assert_eq!(address(":9000").unwrap().to_string(), "0.0.0.0:9000");
        assert_eq!(address("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert!(address("here").is_err());
        assert_eq!(networks("Yes").unwrap().len(), PRIVATE.len());
        assert_eq!(networks("10.1.0.0/16, 10.2.0.1").unwrap(), ["10.1.0.0/16", "10.2.0.1"]);
        assert!(networks("no").unwrap().is_empty() && networks("maybe").is_err());
    }

    proptest::proptest! {
        /// Whatever the answers, the file is valid or they are refused.
        #[test]
        fn every_file_is_valid(host in "[a-z0-9.\\[\\]:\"\\\\ ]{1,20}", port in 1u16.., behind in "(yes|no|10\\.0\\.0\\.0/8)") {
            if let Ok(to) = url(&format!("http://{host}")) {
                let answers = Answers { to, listen: SocketAddr::from(([0, 0, 0, 0], port)), proxies: networks(&behind).unwrap() };
                // A URL that the check refuses is reported and not written.
                if let Err(problems) = compile::from_text(&text(&answers), &|_| None) {
                    proptest::prop_assert!(problems.iter().all(|problem| problem.title.contains("endpoint") || problem.title.contains("address")), "{problems:?}");
                }
            }
        }
    }
}
