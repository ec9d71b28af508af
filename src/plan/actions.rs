//! Compiles what a route does with a path: prefixes, rewrites, redirects and fixed responses. Must not know what the route matches beside
//! its paths.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use super::{PathTemplate, Redirect, Respond};
use crate::config::actions::{RedirectKeys, RespondKeys};
use crate::config::diagnose::Problems;
use crate::config::file;
use crate::config::section::At;
use crate::policy::Scheme;
use crate::route::{Conditions, Pattern, Template};

/// The media type of a body without `content_type`.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Compiles `strip_prefix`, which must be a prefix of every path of the route.
pub(super) fn strip_prefix(prefix: &At<String>, keys: &file::Route, problems: &mut Problems) -> Option<String> {
    let bare = prefix.value.trim_end_matches('/');
    let covers = |path: &str| {
        let covered = path.strip_suffix("/*").unwrap_or(path);
        covered.strip_prefix(bare).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if !(bare.starts_with('/')
        && !bare.contains(['{', '}'])
        && keys.path_regex.is_empty()
        && keys.paths.iter().all(|path| covers(&path.value)))
    {
        problems.add(
            prefix.span.clone(),
            "`strip_prefix` must be a prefix of the route's path",
            "the prefix begins with `/` and ends at the end of a path segment",
        );
        return None;
    }
    Some(bare.to_owned())
}

/// Compiles `add_prefix` behind the base path of the backend's endpoints.
pub(super) fn add_prefix(base: &str, prefix: Option<&At<String>>, problems: &mut Problems) -> Option<String> {
    let own = prefix.map_or("", |at| at.value.trim_end_matches('/'));
    let is_path = own.is_empty() || Pattern::of_path(own).is_ok_and(|pattern| matches!(pattern, Pattern::Exact(_)));
    if let Some(at) = prefix.filter(|_| !is_path || own.is_empty()) {
        problems.add(at.span.clone(), "invalid `add_prefix`", "expected a plain path, such as \"/app\"");
        return None;
    }
    Some(format!("{base}{own}")).filter(|all| !all.is_empty())
}

/// Compiles `rewrite`, which is a path.
pub(super) fn rewrite(text: &At<String>, patterns: &Arc<[Pattern]>, problems: &mut Problems) -> Option<PathTemplate> {
    let template = template(text, "rewrite", patterns, problems)?;
    if !is_path(&text.value) {
        let help = "it begins with `/` or `{path}`, such as \"/v2{path}\", and has no dot segment; other characters are percent-encoded";
        problems.add(text.span.clone(), "`rewrite` is not a path", help);
        return None;
    }
    if template.has_query_in_path() {
        problems.add(
            text.span.clone(),
            "`rewrite` is not a path",
            "write `{query}` behind a `?`: in front of it, a query could have dot segments",
        );
        return None;
    }
    Some(PathTemplate { template, patterns: Arc::clone(patterns) })
}

/// Returns true for a path with placeholders.
fn is_path(text: &str) -> bool {
    let filled: String = text
        .split('{')
        .enumerate()
        .map(|(at, part)| if at == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) })
        .collect();
    let is_sound = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'<' | b'>' | b'"' | b'`' | b'^' | b'\\'));
    let escapes_end = filled.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    let path = text.split('?').next().unwrap_or_default();
    let has_dots = path.to_ascii_lowercase().replace("%2e", ".").split('/').any(|segment| matches!(segment, "." | ".."));
    is_sound && escapes_end && !has_dots && (text.starts_with('/') || text.starts_with("{path}"))
}

/// Compiles `redirect`.
pub(super) fn redirect(
    keys: &RedirectKeys,
    patterns: &Arc<[Pattern]>,
    conditions: &Conditions,
    problems: &mut Problems,
) -> Option<Redirect> {
    let template = template(&keys.to, "redirect.to", patterns, problems)?;
    let text = keys.to.value.as_str();
    let mut complain = |title: &str, help: &str| problems.add_url(text, keys.to.span.clone(), title, help);
    let is_url = ["/", "http://", "https://", "{path}", "{scheme}://"].iter().any(|begin| text.starts_with(begin));
    if !is_url || text.starts_with("//") || text.contains(|c: char| c.is_ascii_control() || c == ' ' || c == '\\' || !c.is_ascii()) {
        complain(
            "`redirect.to` is not a URL",
            "expected a path or a URL, such as \"https://{host}{path}\"; other characters are percent-encoded",
        );
        return None;
    }
    if has_user(text) {
        complain("the URL of a redirect can have no user", "every client would be told the password; remove everything before the `@`");
        return None;
    }
    if !template.has_safe_authority() {
        let help = "put a `/` before the placeholder: otherwise a request could choose the host that clients are sent to";
        complain("the host of a redirect can have no placeholder but {host}", help);
        return None;
    }
    let own_path = template.literal().filter(|to| to.starts_with('/')).map(|to| to.split(['?', '#']).next().unwrap_or(to));
    if template.is_path_only() || own_path.is_some_and(|path| patterns.iter().any(|pattern| pattern.matches(path))) {
        complain("this redirect leads to itself", "redirect to a path that the route does not match");
        return None;
    }
    let whole_site = patterns.iter().all(|pattern| pattern.to_string() == "/*");
    let keeps_path = text == "https://{host}{path}" || (text == "https://{host}/{rest}" && whole_site);
    if keeps_path && conditions.scheme != Some(Scheme::Http) {
        let help = "add to the route: scheme = \"http\"; a request over https would be redirected to itself, and gets 502";
        problems.warn(keys.to.span.clone(), "this redirect leads to itself for requests over https", help);
    }
    Some(Redirect { to: PathTemplate { template, patterns: Arc::clone(patterns) }, status: keys.status })
}

/// Returns true if a URL has a user (RFC 3986 3.2.1).
fn has_user(url: &str) -> bool {
    let authority = url.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    authority.is_some_and(|authority| authority.contains('@'))
}

/// Compiles `respond`.
pub(super) fn respond(keys: &RespondKeys) -> Respond {
    let content_type = keys.content_type.clone().unwrap_or(TEXT);
    Respond { status: keys.status, body: keys.body.as_ref().map(|body| (Bytes::from(body.clone()), content_type)) }
}

fn template(text: &At<String>, key: &str, patterns: &[Pattern], problems: &mut Problems) -> Option<Template> {
    // A placeholder must have a value whichever of the paths matches.
    let mut names = patterns.first().map(Pattern::names).unwrap_or_default();
    names.retain(|name| patterns.iter().all(|pattern| pattern.names().contains(name)));
    match Template::parse(&text.value, &names) {
        Ok(template) => Some(template),
        Err(complaint) => {
            problems.add(text.span.clone(), format!("`{key}` is not valid"), complaint);
            None
        }
    }
}
