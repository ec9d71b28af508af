//! The HTML shape: the page that a person with a browser sees.
//!
//! The page is complete in itself: no external resource, and a Content-Security-Policy that permits its own style and script alone, by
//! their hashes. Without its script and its style it loses comfort and no content. Knows no other shape.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderName, HeaderValue, Method};

use super::values::{PageWords, debug_text, timestamp};
use crate::envelope::Envelope;

/// The style: system fonts, light and dark, from 320 px on.
const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#f7f7f5;--card:#fff;--line:#e3e2dd;--text:#1c1b19;--dim:#66635c;--bad:#b42318;--warn:#7a5200;--act:#2f54c9;--on:#fff}\
@media(prefers-color-scheme:dark){:root{--bg:#131314;--card:#1c1c1e;--line:#333336;--text:#edecea;--dim:#a5a29b;--bad:#ff9b8f;--warn:#e9bd6a;--act:#9db2ff;--on:#10142a}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;min-height:100dvh;display:grid;place-items:center;padding:24px 20px;background:var(--bg);color:var(--text);\
font:16px/1.6 -apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",system-ui,sans-serif;overflow-wrap:anywhere;word-break:auto-phrase}\
:lang(ko){word-break:keep-all}\
main{width:100%;max-width:34rem}\
.s{display:inline-block;margin:0 0 .9rem;padding:.1rem .6rem;border:1px solid;border-radius:99px;color:var(--warn);font:600 .8rem/1.5 ui-monospace,Menlo,Consolas,monospace}\
.f{color:var(--bad)}\
h1{margin:0 0 .6rem;font-size:clamp(1.4rem,5vw,1.75rem);line-height:1.3;font-weight:650;text-wrap:balance}\
p,ul{margin:0 0 .75rem;color:var(--dim)}\
ul{padding-inline-start:1.2rem}\
b{color:var(--text);font-weight:600}\
.a{display:flex;flex-wrap:wrap;align-items:center;gap:.6rem 1rem;margin:1.5rem 0 0}\
.a a{padding:.6rem 1.2rem;border:1px solid var(--act);border-radius:9px;background:var(--act);color:var(--on);font-weight:600;text-decoration:none}\
.a:has(#w:not([hidden])) a{background:none;color:var(--act)}\
#w b{font-variant-numeric:tabular-nums}\
:focus-visible{outline:3px solid var(--act);outline-offset:2px}\
dl{margin:2rem 0 .75rem;border:1px solid var(--line);border-radius:12px;background:var(--card);font-size:.875rem}\
dl div{display:flex;flex-wrap:wrap;align-items:center;gap:0 1rem;padding:.7rem 1rem}\
div+div{border-top:1px solid var(--line)}\
dt{flex:0 0 7rem;color:var(--dim)}\
dd{flex:1 1 12rem;display:flex;gap:.75rem;align-items:center;justify-content:space-between;margin:0}\
code,time{font:.8125rem/1.6 ui-monospace,Menlo,Consolas,monospace;user-select:all;-webkit-user-select:all;word-break:break-all}\
button{flex:none;padding:.15rem .6rem;border:1px solid var(--line);border-radius:7px;background:none;color:inherit;font:inherit;font-size:.8125rem;cursor:pointer}\
button[hidden]{display:none}\
.h,pre{font-size:.8125rem}\
pre{overflow:auto;padding:1rem;border:1px solid var(--line);border-radius:12px;background:var(--card);white-space:pre-wrap}";

/// The script: copies the id, and counts the time until a retry down.
const SCRIPT: &str = "\
(d=>{let q=s=>d.querySelector(s),c=q('button'),i=q('#i'),l=c.textContent,w=q('#w');\
c.hidden=!1;c.onclick=async()=>{try{await navigator.clipboard.writeText(i.textContent)}\
catch{getSelection().selectAllChildren(i);d.execCommand('copy')}\
c.textContent=c.dataset.d;setTimeout(()=>c.textContent=l,2e3)};\
if(w){let e=Date.now()+w.dataset.s*1e3,b=q('#w b'),p=n=>(n+'').padStart(2,0),\
t=()=>{let n=Math.ceil((e-Date.now())/1e3),h=n/3600|0,m=n/60%60|0;\
if(n<1){w.hidden=!0;clearInterval(x)}else b.textContent=(h?h+':'+p(m):m)+':'+p(n%60)},x=setInterval(t,500)}})(document)";

/// The longest wait that is shown, in seconds: nobody keeps a page open for a day.
const MAX_WAIT: u64 = 86_400;

/// Returns the Content-Security-Policy of the page (<https://www.w3.org/TR/CSP3/>).
fn content_policy() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let hash =
            |text: &str| base64::engine::general_purpose::STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()));
        let (style, script) = (hash(STYLE), hash(SCRIPT));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        );
        // The hashes are base64, so the value is always valid; the other is stricter.
        HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    });
    POLICY.clone()
}

/// The headers of a page of the gateway's own.
pub(super) fn headers() -> Vec<(HeaderName, HeaderValue)> {
    vec![(CONTENT_SECURITY_POLICY, content_policy()), no_index()]
}

/// The header that keeps a page out of search engines.
pub(super) const fn no_index() -> (HeaderName, HeaderValue) {
    (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"))
}

/// Renders the page of an error.
pub(super) fn page(e: &Envelope, words: &PageWords<'_>) -> Vec<u8> {
    let status = e.status.as_u16();
    let lang = escape(&e.negotiated_language);
    let dir = if is_right_to_left(&e.negotiated_language) { " dir=\"rtl\"" } else { "" };
    // The catalog's message begins with what happened, which is the heading. Above a message of the upstream, the catalog says it.
    let (title, text) = match e.is_translated {
        true => first_sentence(e.message.as_str()),
        false => (first_sentence(words.title).0, e.message.as_str()),
    };
    let title = escape(title);
    let fault = if e.status.is_server_error() { " f" } else { "" };
    let mut page = String::with_capacity(STYLE.len() + SCRIPT.len() + 2048);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"{lang}\"{dir}>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<p class=\"s{fault}\">{status}</p>\n<h1>{title}</h1>\n"
    );
    if !text.is_empty() {
        let _ = writeln!(page, "<p dir=\"auto\">{}</p>", escape(text));
    }
    items(&mut page, e);
    actions(&mut page, e, words);
    facts(&mut page, e, words);
    if let Some(debug) = &e.debug {
        let _ = writeln!(page, "<pre dir=\"ltr\">{}</pre>", escape(&debug_text(debug)));
    }
    let _ = write!(page, "</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n");
    page.into_bytes()
}

/// Lists the errors of fields and the others.
fn items(page: &mut String, e: &Envelope) {
    if e.errors.is_empty() {
        return;
    }
    page.push_str("<ul dir=\"auto\">\n");
    for item in &e.errors {
        let message = escape(item.message.as_str());
        let _ = match &item.field {
            Some(field) => writeln!(page, "<li><b>{}</b>: {message}</li>", escape(field)),
            None => writeln!(page, "<li>{message}</li>"),
        };
    }
    page.push_str("</ul>\n");
}

/// What the reader can do: load the same page again where that may help, now or after a while, or leave where nothing is.
fn actions(page: &mut String, e: &Envelope, words: &PageWords<'_>) {
    let status = e.status.as_u16();
    // A link repeats a GET and nothing else: what a form sent is sent again by nobody but the reader.
    let is_page = e.method == Method::GET || e.method == Method::HEAD;
    let may_pass = matches!(status, 408 | 425 | 429 | 500 | 502..=504);
    let wait = e.retry_after.filter(|seconds| may_pass && *seconds <= MAX_WAIT);
    let link = match status {
        _ if is_page && may_pass => Some(("", words.retry)),
        404 | 410 if is_page && e.path != "/" => Some(("/", words.home)),
        _ => None,
    };
    if link.is_none() && wait.is_none() {
        return;
    }
    page.push_str("<div class=\"a\">");
    if let Some((target, label)) = link {
        let _ = write!(page, "<a href=\"{target}\">{}</a>", escape(label));
    }
    if let Some(seconds) = wait {
        let (before, after) = words.wait;
        let _ = write!(page, "<span id=\"w\" data-s=\"{seconds}\">{}<b>{}</b>{}</span>", escape(before), clock(seconds), escape(after));
    }
    page.push_str("</div>\n");
}

/// What a reader tells when asking for help.
fn facts(page: &mut String, e: &Envelope, words: &PageWords<'_>) {
    let time = timestamp(e.timestamp);
    let shown = time.get(..19).unwrap_or(&time).replace('T', " ");
    let _ = write!(
        page,
        "<dl>\n<div><dt>{}</dt><dd><code id=\"i\" dir=\"ltr\">{}</code><button type=\"button\" aria-live=\"polite\" data-d=\"{}\" hidden>{}</button></dd></div>\n\
         <div><dt>{}</dt><dd><code dir=\"ltr\">{}</code></dd></div>\n<div><dt>{}</dt><dd><time dir=\"ltr\" datetime=\"{time}\">{shown} UTC</time></dd></div>\n</dl>\n\
         <p class=\"h\">{}</p>\n",
        escape(words.request_id),
        escape(e.request_id.as_str()),
        escape(words.copied),
        escape(words.copy),
        escape(words.code),
        escape(&e.code),
        escape(words.time),
        escape(words.help)
    );
}

/// Splits a message of the catalog into its first sentence, without its full stop, and the rest.
fn first_sentence(message: &str) -> (&str, &str) {
    let ends = |(at, c): (usize, char)| {
        let behind = &message[at + c.len_utf8()..];
        let is_end =
            matches!(c, '。' | '！' | '？' | '।' | '۔') || (matches!(c, '.' | '!' | '?' | '؟') && behind.starts_with([' ', '\u{a0}']));
        is_end.then_some((at, c, behind))
    };
    match message.char_indices().find_map(ends) {
        // A full stop is no part of a heading, unlike other marks.
        Some((at, '.' | '。' | '।' | '۔', behind)) => (&message[..at], behind.trim()),
        Some((_, _, behind)) => (&message[..message.len() - behind.len()], behind.trim()),
        None => (message.trim_end_matches('.'), ""),
    }
}

/// A time in seconds as a clock shows it: `0:05`, `1:02:03`.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Returns true for languages that are written from right to left.
fn is_right_to_left(tag: &str) -> bool {
    let primary = tag.split('-').next().unwrap_or_default();
    matches!(primary, "ar" | "ckb" | "dv" | "fa" | "he" | "ps" | "sd" | "ug" | "ur" | "yi")
}

/// Escapes a value for text and quoted attributes.
fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    html_escape::encode_safe(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape("<a href='x'>&\""), "&lt;a href=&#x27;x&#x27;&gt;&amp;&quot;");
    }

    #[test]
    fn the_heading_is_what_happened() {
        for (message, heading, rest) in [
            ("The service has a problem. Please try again later.", "The service has a problem", "Please try again later."),
            ("This was not found.", "This was not found", ""),
            ("服务出现问题。请稍后再试。", "服务出现问题", "请稍后再试。"),
            ("Nanu? Das gibt es nicht.", "Nanu?", "Das gibt es nicht."),
            ("See example.com", "See example.com", ""),
            ("", "", ""),
        ] {
            assert_eq!(first_sentence(message), (heading, rest), "{message}");
        }
    }

    #[test]
    fn a_wait_is_shown_as_a_clock() {
        assert_eq!([5, 65, 3723].map(clock), ["0:05", "1:05", "1:02:03"]);
    }

    #[test]
    fn the_page_is_small_and_ends_no_element_early() {
        let sample = super::super::values::sample(true);
        let page = String::from_utf8(page(&sample, &PageWords::default())).unwrap();
        assert!(page.len() < 6 * 1024, "{} bytes", page.len());
        assert!(!STYLE.contains('<') && !SCRIPT.contains("</") && !SCRIPT.contains("<!"));
        assert!(!page.contains("<c>") && page.contains("a &quot;b&quot; &lt;c&gt;"), "{page}");
        for outside in ["http:", "https:", "//", "url(", "@import", "src="] {
            assert!(!page.contains(outside), "{outside} in {page}");
        }
    }
}
