//! JSON inside of every wrapper that a service puts around it, and markup in a message. Nothing panics, and what is
//! shown is one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::redact::Redactor;
use lockgate::report;
use lockgate::text::Untrusted;

fuzz_target!(|text: &str| {
    let quoted = format!("\"{}\"", text.escape_default());
    for (before, after) in [
        (")]}',\n", ""),
        ("while(1);", ""),
        ("for (;;);", ""),
        ("cb(", ");"),
        ("/**/ typeof cb === 'function' && cb(", ")"),
        ("event: error\ndata: ", "\n\n"),
        ("--b\r\nContent-Type: application/json\r\n\r\n", "\r\n--b--\r\n"),
        ("{\"a\":1}\n", "\n"),
        ("\u{feff}", ""),
        ("<?xml version=\"1.0\"?><a><![CDATA[", "]]></a>"),
    ] {
        let report = report::read(&format!("{before}{text}{after}"));
        assert!(report.fields.len() <= 1_000);
    }
    report::read(&quoted);
    let redactor = Redactor::default();
    for wrapped in [format!("<b>{text}</b>"), format!("<p>{text}<br/>x"), format!("&lt;i&gt;{text}&lt;/i&gt;")] {
        if let Some(clean) = redactor.clear(&Untrusted::new(wrapped)) {
            assert!(!clean.as_str().is_empty() && !clean.as_str().contains('\n'));
        }
    }
});
