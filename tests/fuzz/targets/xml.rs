//! XML errors and SOAP faults.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::report;

fuzz_target!(|text: &str| {
    report::read(&format!("<?xml version=\"1.0\"?>{text}"));
    report::read(&format!("<e:Envelope><e:Body><e:Fault>{text}</e:Fault></e:Body></e:Envelope>"));
});
