//! Small parts that several pages show: the state of a group, a status, a line of a table of occurrences.
//!
//! Plain data with templates.

use askama::Template;
use askama::filters::HtmlSafe;

use super::ask::encoded;
use super::body::visible;
use super::language::Catalogue;
use super::shell::Shell;
use super::time::{self, Ago};
use crate::journal::query::{Group, GroupState, Summary};

/// A word in a small frame, such as the state of a group.
#[derive(Clone, Debug, Template)]
#[template(ext = "html", source = r#"<span class="chip chip-{{ class }}">{{ text }}</span>"#)]
pub(super) struct Chip {
    pub(super) class: &'static str,
    pub(super) text: String,
}

impl HtmlSafe for Chip {}

/// Returns the key of the name of a state.
pub(super) const fn state_key(state: GroupState) -> &'static str {
    match state {
        GroupState::New => "state_new",
        GroupState::Known => "state_known",
        GroupState::Resolved => "state_resolved",
        GroupState::Regressed => "state_regressed",
        GroupState::Muted => "state_muted",
    }
}

impl Chip {
    pub(super) fn of_state(state: GroupState, texts: &Catalogue) -> Self {
        Self { class: state.word(), text: texts.text(state_key(state)).to_owned() }
    }

    /// The state, or that the group occurs more and more often.
    pub(super) fn of_group(state: GroupState, is_rising: bool, texts: &Catalogue) -> Self {
        match state {
            GroupState::Known if is_rising => Self { class: "rising", text: texts.text("rising").to_owned() },
            GroupState::New | GroupState::Known | GroupState::Resolved | GroupState::Regressed | GroupState::Muted => {
                Self::of_state(state, texts)
            }
        }
    }
}

/// A status.
#[derive(Clone, Debug, Template)]
#[template(ext = "html", source = r#"<span class="status status-{{ class }}">{{ status }}</span>"#)]
pub(super) struct Status {
    class: &'static str,
    status: u16,
}

impl HtmlSafe for Status {}

impl Status {
    pub(super) const fn new(status: u16) -> Self {
        let class = match status {
            500.. => "bad",
            400..500 => "warn",
            _ => "good",
        };
        Self { class, status }
    }
}

/// An occurrence in a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) href: String,
    pub(super) id: String,
    pub(super) at: Ago,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) route: String,
    pub(super) backend: String,
    pub(super) endpoint: String,
    pub(super) received: Option<Status>,
    pub(super) status: Status,
    pub(super) code: String,
    pub(super) duration: String,
    pub(super) title: String,
}

impl Row {
    pub(super) fn new(summary: &Summary, shell: &Shell<'_>) -> Self {
        Self {
            href: format!("/errors/{}", encoded(&summary.request_id)),
            id: visible(&summary.request_id),
            at: Ago::new(summary.at, shell.now, shell.texts),
            method: visible(&summary.method),
            path: visible(&summary.path),
            route: visible(&summary.route),
            backend: visible(&summary.backend),
            endpoint: visible(summary.endpoint.as_deref().unwrap_or("–")),
            received: summary.received.map(Status::new),
            status: Status::new(summary.status),
            code: visible(&summary.code),
            duration: time::duration(summary.duration_us),
            title: if shell.shows_originals() { visible(&summary.title) } else { public_title(&summary.code, &summary.reason) },
        }
    }
}

/// Returns what a viewer reads in the place of a title, which the upstream has worded.
pub(in crate::admin) fn public_title(code: &str, reason: &str) -> String {
    match reason {
        "" => visible(code),
        _ => format!("{} · {}", visible(code), visible(&reason.replace('_', " "))),
    }
}

/// Returns the title of a group for the role of a client.
pub(super) fn title_of(group: &Group, shell: &Shell<'_>) -> String {
    if shell.shows_originals() { visible(&group.title) } else { public_title(&group.code, "") }
}
