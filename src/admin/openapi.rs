//! The description of the interface of the admin listener (OpenAPI 3.1): `GET /api/openapi.json`, and `lockgate openapi --admin`.
//!
//! It is a file, because people read it too. Tests compare it with the table of pages, with the parameters that pages take, and with what a
//! running gateway answers.

/// The document.
pub const DOCUMENT: &str = include_str!("openapi.json");
