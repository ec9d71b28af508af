//! Reads what an upstream reports about its error: bytes in, a [`Report`] out.
//!
//! It reads and never judges: everything in a report is [`Untrusted`](crate::text::Untrusted) until the redactor has seen it. Pure; its
//! work is bounded by the body it is given.

pub mod database;
pub mod decode;
pub mod excerpt;
mod found;
mod html;
mod json;
mod names;
mod phrases;
mod plain;
mod reader;
pub mod success;
mod xml;

pub use found::{Certainty, Report};
pub use reader::{Kind, is_framework_page, kind_of, read, read_as};
