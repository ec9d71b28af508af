//! The redactor: messages, codes, documents and streams. What is cleared is clean; a stream keeps its length.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use lockgate::redact::{Guard, Redactor, mask};
use lockgate::text::Untrusted;

static REDACTOR: LazyLock<Arc<Redactor>> = LazyLock::new(Arc::default);

fuzz_target!(|text: &str| {
    let redactor = &*REDACTOR;
    if let Some(clean) = redactor.clear(&Untrusted::new(text)) {
        assert!(!clean.as_str().is_empty() && !clean.as_str().contains('\n'));
    }
    redactor.clear_code(text);
    redactor.clear_field(text);
    mask(text, 1_024);
    let findings = redactor.findings(text);
    assert!(findings.windows(2).all(|pair| pair[0].span.end < pair[1].span.start), "in order, without overlaps");
    assert!(findings.iter().all(|finding| text.get(finding.span.clone()).is_some()), "at the borders of characters");
    assert_eq!(redactor.document(text).is_some(), redactor.document_leaks(text));
    let mut guard = Guard::new(Arc::clone(redactor));
    let mut length = 0;
    for piece in text.as_bytes().chunks(97) {
        length += guard.push(piece).len();
    }
    assert_eq!(length + guard.finish().len(), text.len());
});
