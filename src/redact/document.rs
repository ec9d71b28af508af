//! The redactor of whole documents: decides whether a document leaks, and removes the leaks from it.
//!
//! A document may mention exceptions, paths and addresses, so one mention proves nothing. Output that only a failing program writes does,
//! and once that is found, weaker matches count too. This file knows no single rule and no transport.

use std::ops::Range;

use super::blocks;
use super::engine::{Exhausted, Hit, RuleFilter, Steps};
use super::json;
use super::redactor::Redactor;
use super::rules::{Family, Weight};
use super::view::View;

/// The maximum length of visible text per likely match, in bytes. A text this short holds little besides the match.
const SHORT: usize = 1_500;

/// A range of a document to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The family of the internal.
    pub family: Family,
    /// The strength of the evidence.
    pub weight: Weight,
    /// The byte range in the document.
    pub span: Range<usize>,
}

/// The views of one document, each with its matches.
struct DocumentViews<'t> {
    views: Vec<(View<'t>, Vec<Hit>)>,
    is_json: bool,
}

impl Redactor {
    /// Returns true if the document holds output that only a failing program writes, or takes too long to inspect.
    pub fn document_leaks(&self, text: &str) -> bool {
        self.proves_failure(&self.without_allowed(text.as_bytes()), &mut Steps::of(text.len())) != Ok(false)
    }

    /// Returns the ranges to remove from a document, in order and without overlaps. Returns none if the document does not leak.
    pub fn findings(&self, text: &str) -> Vec<Finding> {
        let found = self.leak_findings(text.as_bytes(), false).unwrap_or_else(|Exhausted| whole_document(text.len()));
        merged(found.into_iter().map(|finding| Finding { span: char_aligned(text, finding.span), ..finding }).collect())
    }

    /// Returns the ranges to overwrite in a part of a document. If `leaked_before` is set, weak matches count without further evidence.
    pub(super) fn leaks_in(&self, bytes: &[u8], leaked_before: bool) -> Vec<Range<usize>> {
        let found = self.leak_findings(bytes, leaked_before).unwrap_or_else(|Exhausted| whole_document(bytes.len()));
        found.into_iter().map(|finding| finding.span).collect()
    }

    fn leak_findings(&self, bytes: &[u8], leaked_before: bool) -> Result<Vec<Finding>, Exhausted> {
        let masked = self.without_allowed(bytes);
        if !leaked_before && !self.proves_failure(&masked, &mut Steps::of(bytes.len()))? {
            return Ok(Vec::new());
        }
        self.locate(&masked, &mut Steps::of(bytes.len()))
    }

    /// Returns the ranges to remove from a document that is known to leak.
    fn locate(&self, text: &[u8], steps: &mut Steps) -> Result<Vec<Finding>, Exhausted> {
        let document = self.search_views(text, steps)?;
        let mut found = Vec::new();
        let last = document.views.len() - 1;
        // A match in the source of JSON may span its syntax. The strings of JSON have a view of their own.
        let first = usize::from(document.is_json);
        for (at, (view, hits)) in document.views.iter().enumerate().skip(first) {
            let traces: Vec<Range<usize>> = hits
                .iter()
                .filter(|hit| at == last && hit.family == Family::Trace && hit.weight > Weight::Hint)
                .map(|hit| hit.span.clone())
                .collect();
            let grown = blocks::grow(&view.text, &traces).into_iter().flat_map(|block| view.sources(block));
            found.extend(grown.map(|span| Finding { family: Family::Trace, weight: Weight::Hint, span }));
            for (span, hit) in widened_all(&view.text, hits) {
                let spans = view.sources(span).into_iter();
                found.extend(spans.map(|span| Finding { family: hit.family, weight: hit.weight, span }));
            }
        }
        Ok(merged(found))
    }

    /// Returns the document with placeholders in place of its leaks, or `None` if it does not leak. JSON remains valid JSON.
    pub fn document(&self, text: &str) -> Option<String> {
        let redacted = self.redacted(text, &mut Steps::of(text.len()), &mut Steps::of(text.len()));
        redacted.unwrap_or_else(|Exhausted| Some(fully_redacted(text)))
    }

    /// Implements [`Self::document`] with one budget to detect a leak and one to locate all of its ranges.
    pub(super) fn redacted(&self, text: &str, detect_steps: &mut Steps, locate_steps: &mut Steps) -> Result<Option<String>, Exhausted> {
        let masked = self.without_allowed(text.as_bytes());
        if !self.proves_failure(&masked, detect_steps)? {
            return Ok(None);
        }
        if let Some(pruned) = self.redacted_json(text, detect_steps, locate_steps) {
            return pruned.map(Some);
        }
        let found = self.locate(&masked, locate_steps)?.into_iter();
        let found = merged(found.map(|finding| Finding { span: char_aligned(text, finding.span), ..finding }).collect());
        Ok(Some(with_placeholders(text, &found)))
    }

    /// Returns the views of a text, and whether it is JSON.
    fn views<'t>(raw: View<'t>) -> (Vec<View<'t>>, bool) {
        let starts = raw.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&raw.text).trim_ascii();
        let is_like_json = matches!(starts.first(), Some(b'{' | b'[')) && memchr::memchr(b'"', starts).is_some();
        let is_json = is_like_json && is_json(starts);
        let mut views = vec![raw];
        // Invalid JSON (a lone surrogate, a comment, two documents) still has strings.
        if is_like_json {
            views.push(views[0].strings());
        }
        // In this order, because strings of JSON often hold HTML, but HTML rarely holds JSON.
        if let Some(next) = views.last().filter(|view| view.has_escapes()).map(View::unescaped) {
            views.push(next);
        }
        if let Some(next) = views.last().and_then(View::unprefixed) {
            views.push(next);
        }
        if let Some(shown) = views.last().filter(|view| view.has_markup()) {
            let (attributes, visible) = (shown.attributes(), shown.visible());
            views.extend(Some(attributes).filter(|view| !view.text.is_empty()));
            views.push(visible);
        }
        (views, is_json)
    }

    /// Returns true if any view proves that a program has failed.
    fn proves_failure(&self, text: &[u8], steps: &mut Steps) -> Result<bool, Exhausted> {
        let (views, is_json) = Self::views(View::of(text));
        let visible = views.last().map_or(0, |view| view.text.len());
        for view in &views {
            if is_proof(&view.text, &self.hits(&view.text, RuleFilter::EVIDENCE, steps)?, visible, is_json) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns all views with their matches, including the weak ones.
    fn search_views<'t>(&self, text: &'t [u8], steps: &mut Steps) -> Result<DocumentViews<'t>, Exhausted> {
        let (views, is_json) = Self::views(View::mapped(text));
        let with_hits = |view: View<'t>| self.hits(&view.text, RuleFilter::EXCEPT_MARKUP, steps).map(|hits| (view, hits));
        Ok(DocumentViews { is_json, views: views.into_iter().map(with_hits).collect::<Result<_, _>>()? })
    }

    /// Redacts a string of a leaking document, in which every match counts. Returns `None` if there is none.
    pub(super) fn redacted_string(
        &self,
        text: &str,
        detect_steps: &mut Steps,
        locate_steps: &mut Steps,
    ) -> Result<Option<String>, Exhausted> {
        if !self.leaks_within(text, detect_steps) {
            return Ok(None);
        }
        if let Some(redacted) = self.redacted(text, detect_steps, locate_steps)? {
            return Ok(Some(redacted));
        }
        let hits = self.hits(text.as_bytes(), RuleFilter::EXCEPT_MARKUP, locate_steps)?;
        let spans = widened_all(text.as_bytes(), &hits)
            .map(|(span, hit)| Finding { family: hit.family, weight: hit.weight, span: char_aligned(text, span) })
            .collect();
        Ok(Some(with_placeholders(text, &merged(spans))))
    }
}

/// Replaces each finding with its placeholder.
fn with_placeholders(text: &str, found: &[Finding]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut kept = 0;
    for finding in found {
        out.push_str(text.get(kept..finding.span.start).unwrap_or_default());
        // Tags can divide one finding into several ranges, which get one placeholder.
        let placeholder = finding.family.placeholder();
        if !out.trim_end_matches(|c: char| c == '>' || c.is_whitespace()).ends_with(&placeholder) {
            out.push_str(&placeholder);
        }
        kept = finding.span.end;
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    out
}

/// The replacement for a document that took too long to inspect.
fn fully_redacted(text: &str) -> String {
    let all = Family::Trace.placeholder();
    if text.trim_start().starts_with(['{', '[']) { json::quoted(&all) } else { all }
}

/// A finding that covers a document that took too long to inspect.
fn whole_document(length: usize) -> Vec<Finding> {
    vec![Finding { family: Family::Trace, weight: Weight::Sure, span: 0..length }]
}

/// Returns true for JSON, even if its end is missing.
fn is_json(text: &[u8]) -> bool {
    match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
        Ok(_) => true,
        Err(error) => error.is_eof(),
    }
}

/// Returns true if these matches prove that a program has failed, given the length of the visible text.
fn is_proof(text: &[u8], hits: &[Hit], visible: usize, is_json: bool) -> bool {
    let (mut frames, mut likely) = (0, 0);
    let (mut frame_end, mut likely_end) = (0, 0);
    // Overlapping matches of several rules count once, with the highest weight.
    let strongest = |hit: &&Hit| hit.weight >= Weight::Frame;
    for hit in hits.iter().filter(strongest) {
        if hit.weight == Weight::Sure {
            return true;
        }
        frames += usize::from(hit.span.start >= frame_end);
        frame_end = frame_end.max(hit.span.end);
    }
    // With a single frame, all of its overlapping matches lie within one range. With more frames, the likely matches need no such check.
    let frame = hits.iter().find(strongest).map(|first| first.span.start..frame_end);
    // A match that only touches a frame is another line or word, and counts.
    let within_frame = |hit: &Hit| frame.as_ref().is_some_and(|frame| frame.start < hit.span.end && hit.span.start < frame.end);
    let counts = |hit: &&Hit| hit.weight == Weight::Likely && (frames > 1 || !within_frame(hit)) && !is_quoted(text, hit);
    for hit in hits.iter().filter(counts) {
        likely += usize::from(hit.span.start >= likely_end);
        likely_end = likely_end.max(hit.span.end);
    }
    // A single frame is enough in a short text. A bare `x.js:7` is not, because a test report has such lines.
    let is_specific = |hit: &Hit| text[hit.span.clone()].iter().any(|b| matches!(b, b'(' | b'\'' | b'"' | b'#' | b'=' | b'$'));
    let lone = frames == 1 && !is_json && visible <= SHORT / 3 && hits.iter().filter(strongest).any(is_specific);
    frames >= 2 || lone || (frames > 0 && likely > 0) || (likely > 0 && likely * SHORT >= visible)
}

/// Returns true for words that a sentence quotes: a name or header of a trace behind `word "`, or anything behind a backtick.
fn is_quoted(text: &[u8], hit: &Hit) -> bool {
    let Some((mark, mut before)) = text[..hit.span.start].split_last() else { return false };
    // The quotation mark is escaped in JSON.
    while let Some(rest) = before.strip_suffix(b"\\") {
        before = rest;
    }
    let in_prose = before.strip_suffix(b" ").is_some_and(|rest| rest.last().is_some_and(u8::is_ascii_alphanumeric));
    *mark == b'`' || (matches!(mark, b'"' | b'\'') && in_prose && matches!(hit.family, Family::Trace | Family::Class))
}

/// Extends the range to character boundaries, because rules match bytes.
fn char_aligned(text: &str, span: Range<usize>) -> Range<usize> {
    let (mut start, mut end) = (span.start.min(text.len()), span.end.min(text.len()));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

/// Widens sorted matches. Skips a match that an earlier one covers, so that the cost stays linear.
fn widened_all<'h>(text: &'h [u8], hits: &'h [Hit]) -> impl Iterator<Item = (Range<usize>, &'h Hit)> {
    let mut covered = 0;
    hits.iter().filter_map(move |hit| {
        if hit.span.end <= covered {
            return None;
        }
        let span = widened(text, hit, covered);
        covered = covered.max(span.end);
        Some((span, hit))
    })
}

/// Extends a match to all that belongs to it: SQL, an environment dump or a likely fault to the end of its line; a path, secret or address
/// to the end of its word.
fn widened(text: &[u8], hit: &Hit, covered: usize) -> Range<usize> {
    let line_end = || text[hit.span.end..].iter().position(|b| *b == b'\n').map_or(text.len(), |at| hit.span.end + at);
    let ends_word = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'<' | b'>' | b',' | b')' | b']' | b'}' | b';');
    let word_end = || text[hit.span.end..].iter().position(ends_word).map_or(text.len(), |at| hit.span.end + at);
    let floor = covered.min(hit.span.start);
    let word_start = || text[floor..hit.span.start].iter().rposition(ends_word).map_or(floor, |at| floor + at + 1);
    match hit.family {
        Family::Sql | Family::Environment => hit.span.start..line_end().max(hit.span.end),
        Family::Fault if hit.weight == Weight::Likely => hit.span.start..line_end().max(hit.span.end),
        Family::Path => {
            // The match may begin with the character before the path.
            let skip = text[hit.span.clone()]
                .iter()
                .take(1)
                .filter(|b| ends_word(b) || matches!(b, b'(' | b'=' | b':' | b'[' | b'`' | b'@' | b'|'))
                .count();
            hit.span.start + skip..word_end().max(hit.span.end)
        }
        Family::Secret | Family::Address => word_start().min(hit.span.start)..word_end().max(hit.span.end),
        Family::Trace | Family::Class | Family::Fault | Family::Markup | Family::Extra => hit.span.clone(),
    }
}

/// Sorts findings and merges those that overlap. A merged finding keeps the family of the first.
fn merged(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by_key(|finding| (finding.span.start, finding.span.end, finding.family));
    let mut merged: Vec<Finding> = Vec::new();
    for finding in found {
        match merged.last_mut() {
            Some(last) if finding.span.start <= last.span.end => {
                last.span.end = last.span.end.max(finding.span.end);
                last.weight = last.weight.max(finding.weight);
            }
            _ => merged.push(finding),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhausted_steps_count_as_a_leak() {
        let redactor = Redactor::default();
        for text in ["at the end", "{\"a\":\"at the end\"}"] {
            assert_eq!(redactor.redacted(text, &mut Steps::none(), &mut Steps::none()), Err(Exhausted), "{text}");
            assert_eq!(redactor.redacted(text, &mut Steps::of(0), &mut Steps::none()), Ok(None), "{text}");
            assert!(redactor.leaks_within(text, &mut Steps::none()) && !redactor.leaks(text));
        }
        let leaking = r#"["at a.b.C.d(C.java:1)","at a.b.C.e(C.java:2)"]"#;
        assert_eq!(redactor.redacted(leaking, &mut Steps::of(0), &mut Steps::none()), Err(Exhausted));
        assert_eq!((fully_redacted(leaking).as_str(), fully_redacted("x").as_str()), ("\"[redacted:trace]\"", "[redacted:trace]"));
        assert_eq!(whole_document(9)[0].span, 0..9);
    }

    proptest::proptest! {
        /// Every match of a built-in rule or of an operator's pattern is removed.
        #[test]
        fn every_match_is_covered(pieces in proptest::collection::vec(0usize..9, 0..12)) {
            const PIECES: [&str; 9] = [
                "ACME-1234", " ", "\n", "at com.acme.Order.find(Order.java:42)", "password=hunter2", "10.20.30.40",
                "java.lang.NullPointerException: x", "words ", "SELECT a, b FROM t WHERE c = 1",
            ];
            let text: String = pieces.iter().map(|at| PIECES[*at]).collect();
            let redactor = Redactor::new(&["ACME-\\d+".into()], &[]).unwrap();
            let findings = redactor.findings(&text);
            if !findings.is_empty() {
                for hit in redactor.hits(text.as_bytes(), RuleFilter::EXCEPT_MARKUP, &mut Steps::of(text.len())).unwrap() {
                    let covered = hit.span.clone().all(|at| findings.iter().any(|finding| finding.span.contains(&at)));
                    proptest::prop_assert!(covered, "{hit:?} in {text:?}: {findings:?}");
                }
            }
            let redacted = redactor.document(&text).unwrap_or(text);
            proptest::prop_assert!(!redacted.contains("ACME-"), "{}", redacted);
        }
    }
}
