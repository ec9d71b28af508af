//! Extracts the content of an upstream's error: decodes its body and parses it into a [`Report`].
//!
//! The texts of a report are [`Untrusted`](crate::text::Untrusted) until the redactor has inspected them. The module is pure, its work is
//! bounded by the size of the body, and it knows neither routes nor how an error is rendered.

pub mod database;
pub mod decode;
pub mod excerpt;
pub mod extra;
mod found;
pub mod headers;
mod html;
mod json;
mod names;
mod phrases;
mod plain;
mod reader;
pub mod success;
pub mod thrown;
mod unwrap;
mod xml;

pub use found::{Certainty, Field, Item, Report};
pub use phrases::is_phrase_of;
pub use reader::{Kind, is_framework_page, kind_of, read, read_as, read_in};
