//! Tells the exception of an entry whose upstream did not name it: its stack trace does, in a text, a page or a message.
//!
//! Decodes pages, so that what it sets must be masked again. Must not know how entries are grouped.

use super::entry::Entry;
use crate::report::excerpt::{frames, visible};
use crate::report::thrown;
use crate::text::bounded;

/// The most of a body in which a trace is looked for, in bytes.
const MAX_BODY: usize = 32 * 1024;

/// Sets exception, message and stack from the trace, as far as the upstream did not say them.
pub fn complete(entry: &mut Entry) {
    if entry.exception.is_some() {
        return;
    }
    let is_trace = |text: &str| !frames(text).is_empty();
    let said = entry.message.as_deref().is_some_and(is_trace);
    let found = match (&entry.stack, &entry.message, &entry.upstream_body) {
        (Some(stack), ..) => exception(stack),
        (None, Some(message), _) if said => exception(message),
        (None, _, Some(body)) => {
            let seen = visible(bounded(body, MAX_BODY));
            if is_trace(&seen) { exception(&seen) } else { None }
        }
        (None, _, None) => None,
    };
    let Some((name, message)) = found else { return };
    let message = Some(message).filter(|message| !message.is_empty());
    if said {
        let trace = std::mem::replace(&mut entry.message, message);
        entry.stack = entry.stack.take().or(trace);
    } else {
        entry.message = entry.message.take().or(message);
    }
    entry.exception = Some(name);
}

fn exception(trace: &str) -> Option<(String, String)> {
    thrown::of(trace).map(|thrown| (thrown.name.to_owned(), thrown.message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "Traceback (most recent call last):\n  File \"/srv/a.py\", line 7, in pay\n    f()\nKeyError: 'sku'\n";

    fn completed(entry: Entry) -> [Option<String>; 3] {
        let mut entry = entry;
        complete(&mut entry);
        [entry.exception, entry.message, entry.stack]
    }

    fn told(texts: [&str; 3]) -> [Option<String>; 3] {
        texts.map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    #[test]
    fn the_exception_is_that_of_the_trace() {
        let message = Some(TRACE.to_owned());
        assert_eq!(completed(Entry { message: message.clone(), ..Entry::default() }), told(["KeyError", "'sku'", TRACE]));
        assert_eq!(completed(Entry { stack: message.clone(), ..Entry::default() }), told(["KeyError", "'sku'", TRACE]));
        let both = Entry { message: Some("no price".into()), stack: message.clone(), ..Entry::default() };
        assert_eq!(completed(both), told(["KeyError", "no price", TRACE]));
        let page = format!("<!doctype html><h1>Oops</h1><pre>{}</pre>", TRACE.replace('"', "&quot;").replace('\'', "&#39;"));
        let body = Entry { upstream_body: Some(page), ..Entry::default() };
        assert_eq!(completed(body), told(["KeyError", "'sku'", ""]));
    }

    #[test]
    fn what_the_upstream_said_stays() {
        let named = Entry { exception: Some("A".into()), message: Some(TRACE.into()), ..Entry::default() };
        assert_eq!(completed(named), told(["A", TRACE, ""]));
        let plain = Entry { message: Some("KeyError: 'sku'".into()), upstream_body: Some("KeyError: 'sku'".into()), ..Entry::default() };
        assert_eq!(completed(plain), told(["", "KeyError: 'sku'", ""]), "without frames it is a sentence");
    }
}
