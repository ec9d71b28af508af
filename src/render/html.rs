//! The HTML shape: an accessible page without scripts and external resources, readable without its style. Knows no other shape.

use super::values::PageWords;
use crate::envelope::Envelope;

/// Renders the page of an error.
pub(super) fn page(e: &Envelope, words: PageWords<'_>) -> Vec<u8> {
    let status = e.status.as_u16();
    let title = e.status.canonical_reason().unwrap_or("Error");
    let lang = &e.negotiated_language;
    let mut page = format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{status} {title}</title>\n\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:15vh auto;padding:0 1rem}}small{{color:#595959}}</style>\n\
         </head>\n<body>\n<main>\n<h1>{status} {title}</h1>\n<p>{}</p>\n",
        escape(e.message.as_str())
    );
    if !e.errors.is_empty() {
        page.push_str("<ul>\n");
        for item in &e.errors {
            let message = escape(item.message.as_str());
            match &item.field {
                Some(field) => page.push_str(&format!("<li><strong>{}</strong>: {message}</li>\n", escape(field))),
                None => page.push_str(&format!("<li>{message}</li>\n")),
            }
        }
        page.push_str("</ul>\n");
    }
    let label = escape(words.request_id);
    page.push_str(&format!("<p><small>{label}: <code>{}</code>. {}</small></p>\n", escape(e.request_id.as_str()), escape(words.help)));
    page.push_str(&format!("<p><small><code>{}</code></small></p>\n", escape(&e.code)));
    if let Some(debug) = &e.debug {
        page.push_str(&format!("<pre>{}</pre>\n", escape(&format!("{debug:#?}"))));
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page.into_bytes()
}

/// Escapes a value for text and quoted attributes.
fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    html_escape::encode_safe(text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn markup_is_escaped() {
        assert_eq!(super::escape("<a href='x'>&\""), "&lt;a href=&#x27;x&#x27;&gt;&amp;&quot;");
    }
}
