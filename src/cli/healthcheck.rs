//! `lockgate healthcheck`: checks whether the gateway on this machine is ready.

use std::process::ExitCode;
use std::time::Duration;

use super::admin_client::Admin;
use super::args::{EX_CONFIG, ListenerArgs};
use super::run::fail;

/// The timeout of each step of the request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Sends no token: `/readyz` needs none, and a token that cannot be read says nothing of the gateway.
pub(super) fn healthcheck(args: &ListenerArgs) -> ExitCode {
    let Ok(admin) = Admin::without_token(args) else { return ExitCode::from(EX_CONFIG) };
    match admin.request("GET", "/readyz", TIMEOUT) {
        Ok(response) if response.status == 200 => ExitCode::SUCCESS,
        Ok(response) => fail(&format!("the gateway is not ready: /readyz on {} responded with {}", admin.address, response.status)),
        Err(error) => fail(&format!("cannot reach {}: {error}", admin.address)),
    }
}
