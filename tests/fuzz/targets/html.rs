//! Pages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::report;

fuzz_target!(|text: &str| {
    let report = report::read(&format!("<!doctype html>{text}"));
    assert!(report.alternatives.len() <= 4);
});
