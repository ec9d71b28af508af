//! `lockgate notify test`: sends a test message to each notifier, and prints what it answered.

use std::process::ExitCode;
use std::sync::Arc;

use super::args::{EX_CONFIG, NotifyCommand, NotifyTestArgs};
use super::output::{self, one_line};
use super::run::fail;
use super::source::Source;
use crate::app::notify;
use crate::notify::deliver::{Answer, Reply};
use crate::plan::Notify;

pub(super) fn notify(command: &NotifyCommand) -> ExitCode {
    match command {
        NotifyCommand::Test(args) => test(args),
    }
}

fn test(args: &NotifyTestArgs) -> ExitCode {
    let Ok(plan) = Source::find(args.config.as_deref()).and_then(|source| source.compile()) else { return ExitCode::from(EX_CONFIG) };
    if plan.notify.is_empty() {
        return fail("the configuration has no [[notify]]");
    }
    let is_meant = |notify: &&Arc<Notify>| args.name.as_ref().is_none_or(|name| *name == notify.settings.name);
    let meant: Vec<&Arc<Notify>> = plan.notify.iter().filter(is_meant).collect();
    if meant.is_empty() {
        let names: Vec<&str> = plan.notify.iter().map(|notify| notify.settings.name.as_str()).collect();
        return fail(&format!("there is no notifier with this name; there are: {}", one_line(&names.join(", "))));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let mut all_taken = true;
    for notifier in meant {
        let (taken, told) = told(runtime.block_on(notify::test(notifier)));
        all_taken &= taken;
        let word = if taken { "sent" } else { "not sent" };
        output::print(&one_line(&format!("{}: {word}: {told}", notifier.settings.name)));
    }
    if all_taken { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns whether the message was taken, and what is to be said of it.
fn told(answer: Answer) -> (bool, String) {
    let said = |Reply { cause, words }: Reply| if words.is_empty() { cause } else { format!("{cause}: {words}") };
    match answer {
        Answer::Taken(reply) => (true, said(reply)),
        Answer::Refused(reply) | Answer::Unavailable { retry_after: None, reply } => (false, said(reply)),
        Answer::Unavailable { retry_after: Some(wait), reply } => {
            (false, format!("{} (it asks to wait {} s)", said(reply), wait.as_secs()))
        }
    }
}
