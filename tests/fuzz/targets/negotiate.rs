//! `Accept`, `Accept-Language` and content types.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::context::Dialect;
use lockgate::message;
use lockgate::policy::{Format, Protocol};
use lockgate::render::negotiate::{Asked, Shape, Terms, shape};

fuzz_target!(|text: &str| {
    let dialect = Dialect::of_content_type(text.as_bytes());
    for protocol in [Protocol::Http, Protocol::Graphql, Protocol::Jsonrpc] {
        let fixed = Terms { format: Format::Flat, protocol, negotiate: false };
        let open = Terms { negotiate: true, ..fixed };
        let own = shape(Asked::default(), open);
        assert_eq!(shape(Asked { accept: Some(text), dialect, ..Asked::default() }, fixed), own);
        let chosen = shape(Asked { accept: Some(text), dialect, ..Asked::default() }, open);
        assert!(dialect.is_none() || !matches!(chosen, Shape::Json(_)));
    }
    let languages = ["en".to_owned(), "ko".to_owned(), "pt-BR".to_owned()];
    assert!(languages.iter().any(|tag| tag == message::negotiate(Some(text), &languages)));
});
