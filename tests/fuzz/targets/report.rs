//! Any text through whatever reader takes it, and through the readers of errors inside successes and of constraints.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::language::Languages;
use lockgate::policy::{PointerRule, SuccessPreset, SuccessRule, Trigger};
use lockgate::report::{self, database, success};

fuzz_target!(|text: &str| {
    let report = report::read(text);
    assert!(report.fields.len() <= 1_000);
    let pointer = SuccessRule::Pointer(PointerRule {
        pointer: "/a".into(),
        trigger: Trigger::Not(vec!["0".into()]),
        code: Some("/a".into()),
        message: Some("/b/0".into()),
        status: vec![("*".into(), 404)],
    });
    let presets = [SuccessPreset::Graphql, SuccessPreset::Soap, SuccessPreset::Jsonrpc, SuccessPreset::SuccessFlag];
    let rules: Vec<SuccessRule> = presets.into_iter().map(SuccessRule::Preset).chain([pointer]).collect();
    if let Some(told) = success::read(text, &rules, Languages::default()) {
        assert!((400..600).contains(&told.status));
    }
    database::constraint(text);
    report::is_framework_page(text);
});
