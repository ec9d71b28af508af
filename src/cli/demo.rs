//! x
use super::DemoArgs;
pub(super) fn demo(_args: &DemoArgs) -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
