//! `Accept`, `Accept-Language` and content types.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::context::Dialect;
use lockgate::language;
use lockgate::policy::{Format, Protocol};
use lockgate::render::negotiate::{NegotiationInput, Shape, Terms, shape};

fuzz_target!(|text: &str| {
    let dialect = Dialect::of_content_type(text.as_bytes());
    for protocol in [Protocol::Http, Protocol::Graphql, Protocol::Jsonrpc] {
        let fixed = Terms { format: Format::Flat, protocol, negotiate: false };
        let open = Terms { negotiate: true, ..fixed };
        let own = shape(NegotiationInput::default(), open);
        assert_eq!(shape(NegotiationInput { accept: Some(text), dialect, ..NegotiationInput::default() }, fixed), own);
        let chosen = shape(NegotiationInput { accept: Some(text), dialect, ..NegotiationInput::default() }, open);
        assert!(dialect.is_none() || !matches!(chosen, Shape::Json(_)));
    }
    let languages = ["en".to_owned(), "ko".to_owned(), "pt-BR".to_owned()];
    assert!(languages.iter().any(|tag| tag == language::negotiate(Some(text), &languages)));
});
