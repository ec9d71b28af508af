//! Templates, patterns of operators, and language files: valid, or a complaint with its place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::message::Messages;
use lockgate::redact::Redactor;
use lockgate::render::Template;

fuzz_target!(|text: &str| {
    for content_type in ["application/json", "text/html", "text/plain"] {
        if let Err(wrong) = Template::compile(text, content_type) {
            assert!(wrong.line >= 1 && wrong.column >= 1 && !wrong.message.is_empty());
        }
    }
    if text.len() < 64 {
        let _ = Redactor::new(&[text.to_owned()], &[text.to_owned()]);
    }
    for (span, what, _) in Messages::default().add_file("de", text).err().unwrap_or_default() {
        assert!(span.start <= text.len() && !what.is_empty());
    }
});
