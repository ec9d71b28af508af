//! Reads `[journal]`: what is kept of failed requests. Must not know how it is stored.

use regex::Regex;

use super::file::Journal;
use super::section::{At, Section};
use super::units;
use crate::text::Secret;

/// Reads the table. `url` is its key of that name, which is a secret.
pub(super) fn journal(s: &mut Section<'_, '_>, url: Option<At<Secret<String>>>) -> Journal {
    // The gateway writes it: it is no part of the configuration, whose files are watched.
    let path = s.output("path");
    let (enabled, keep) = (s.boolean("enabled"), s.parsed("keep", units::duration));
    let (max_size, body_limit) = (s.parsed("max_size", units::size), s.parsed("body_limit", units::size));
    let (request_body, sample) = (s.parsed("request_body", units::size_or_off), s.share("sample").map(|at| at.value));
    let patterns = s.strings("redact", true).unwrap_or_default();
    let redact = patterns.into_iter().filter_map(|pattern| compiled(s, pattern)).collect();
    let headers = s.strings("redact_headers", true).unwrap_or_default();
    Journal {
        enabled,
        path,
        url,
        keep,
        max_size,
        body_limit,
        request_body,
        sample,
        redact,
        redact_headers: headers.into_iter().map(|at| at.value.to_ascii_lowercase()).collect(),
    }
}

/// Compiles a pattern. It is searched in time that grows with the text alone.
fn compiled(s: &mut Section<'_, '_>, At { value, span }: At<String>) -> Option<Regex> {
    match regex::RegexBuilder::new(&value).size_limit(64 * 1024).build() {
        Ok(pattern) if pattern.is_match("") => {
            s.problems.add(span, "the pattern matches an empty text", "it would mask nothing, or everything");
            None
        }
        Ok(pattern) => Some(pattern),
        Err(error) => {
            s.problems.add(span, "invalid pattern", error.to_string());
            None
        }
    }
}
