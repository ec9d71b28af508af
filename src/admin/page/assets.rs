//! Style sheet, script and icon. Their addresses hold a hash of their content, so that browsers may keep them for ever.
//!
//! They hold nothing of the gateway's state: they may be shown to anyone, and a form to log in may use them.

use std::sync::LazyLock;

use ring::digest::{SHA256, digest};

use super::answer::Answer;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");

/// The addresses of the assets.
#[derive(Debug)]
pub(super) struct Assets {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: address("page", STYLE, "css"),
    script: address("page", SCRIPT, "js"),
    icon: address("icon", ICON, "svg"),
});

fn address(name: &str, content: &str, extension: &str) -> String {
    let hash: String = digest(&SHA256, content.as_bytes()).as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/{name}-{hash}.{extension}")
}

/// Returns the asset at a path.
pub(in crate::admin) fn find(path: &str) -> Option<Answer> {
    let assets = &*ASSETS;
    match path {
        _ if path == assets.style => Some(Answer::asset("text/css; charset=utf-8", STYLE)),
        _ if path == assets.script => Some(Answer::asset("text/javascript; charset=utf-8", SCRIPT)),
        _ if path == assets.icon => Some(Answer::asset("image/svg+xml", ICON)),
        _ => None,
    }
}
