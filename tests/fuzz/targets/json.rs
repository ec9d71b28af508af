//! JSON errors: the text is put where each shape would have it, so that the readers behind the parser are reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::report;

const FRAMES: [&str; 10] = [
    "{$}",
    "[$]",
    "{\"error\":$}",
    "{\"errors\":$,\"message\":\"a b\"}",
    "{\"detail\":$}",
    "{\"jsonrpc\":\"2.0\",\"error\":$,\"id\":1}",
    "{\"error\":{\"code\":\"A\",\"message\":\"a b\",\"innererror\":{},\"details\":$}}",
    "{\"resourceType\":\"OperationOutcome\",\"issue\":$}",
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"details\":$}",
    "{\"__type\":\"a#B\",\"message\":$}",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    report::read(&FRAMES[usize::from(*choice) % FRAMES.len()].replace('$', text));
});
