//! `lockgate reload`: asks the running gateway to load its configuration again, and prints what that has done.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::admin_client::{Admin, AdminResponse};
use super::args::{AdminArgs, EX_CONFIG};
use super::output;
use super::run::fail;

/// How long the gateway may take: the reload itself is bounded by the size of the configuration.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn reload(args: &AdminArgs) -> ExitCode {
    let Ok(admin) = Admin::find(args) else { return ExitCode::from(EX_CONFIG) };
    match admin.request("POST", "/reload", TIMEOUT) {
        Ok(AdminResponse { status: 401, .. }) => fail(&format!("{}; or send it a SIGHUP, which needs no token", admin.refused())),
        Ok(response) => show(&response),
        Err(error) => fail(&format!("cannot reach {}: {error}", admin.address)),
    }
}

/// Returns a change on one line.
fn line(change: &Value) -> String {
    let part = [&change["table"], &change["name"]].into_iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    let key = |key: &Value| {
        let side = |side: &str| key[side].as_str().unwrap_or("-").to_owned();
        let values = if key["secret"] == true { "a secret".to_owned() } else { format!("{} -> {}", side("old"), side("new")) };
        format!("{}: {values}", key["key"].as_str().unwrap_or_default())
    };
    let keys: Vec<String> = change["keys"].as_array().into_iter().flatten().map(key).collect();
    format!("{} {part} {}", change["change"].as_str().unwrap_or_default(), keys.join(", ")).trim_end().to_owned()
}

fn show(AdminResponse { status, body, .. }: &AdminResponse) -> ExitCode {
    let Ok(answer) = serde_json::from_str::<Value>(body) else {
        return fail(&format!("the admin listener responded with {status}, and not with JSON"));
    };
    let texts = |key: &str| -> Vec<String> {
        answer[key].as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let version = answer["running"]["version"].as_str().unwrap_or_default();
    match answer["outcome"].as_str() {
        Some("applied") => {
            output::print(&format!("reloaded: version {version} runs, after {} ms", answer["took_ms"]));
            output::print(&format!("  {}", answer["summary"].as_str().unwrap_or_default()));
            answer["changes"].as_array().into_iter().flatten().for_each(|change| output::print(&format!("  {}", line(change))));
            if let Some(more) = answer["more"].as_u64().filter(|more| *more > 0) {
                output::print(&format!("  and {more} more"));
            }
            for key in texts("needs_restart") {
                output::print_error(&format!("warning: the new value of {key} needs a restart"));
            }
            for warning in answer["warnings"].as_array().into_iter().flatten() {
                output::print_error(&format!("warning: {}", warning["title"].as_str().unwrap_or_default()));
            }
            ExitCode::SUCCESS
        }
        Some("unchanged") => {
            output::print(&format!("unchanged: version {version} runs"));
            let waiting: Vec<&str> =
                answer["running"]["needs_restart"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if !waiting.is_empty() {
                output::print_error(&format!("waits for a restart: {}", waiting.join(", ")));
            }
            ExitCode::SUCCESS
        }
        Some("rejected") => {
            output::print_error(answer["text"].as_str().unwrap_or_default().trim_end());
            output::print_error(&format!("\nnothing has changed: version {version} still runs"));
            ExitCode::from(EX_CONFIG)
        }
        Some(_) | None => {
            let why = answer["error"]["details"]["errors"][0]["message"].as_str().or(answer["error"]["message"].as_str());
            fail(why.unwrap_or("the admin listener refused the request"))
        }
    }
}
