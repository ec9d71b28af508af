//! A whole document: does it leak, and what is left of it when that is taken out.
//!
//! A document may speak *of* exceptions, paths and addresses: one mention proves nothing. What only a failing program
//! writes does; and once that is found, every lesser sign counts too.

use std::ops::Range;

use super::blocks;
use super::engine::{Exhausted, Hit, RuleFilter, Steps};
use super::json;
use super::redactor::Redactor;
use super::rules::{Family, Weight};
use super::view::View;

/// Bytes of text that may go with one likely sign: a text this short is about little else.
const SHORT: usize = 1_500;

/// One thing that was found in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub family: Family,
    /// How much it proves.
    pub weight: Weight,
    /// Bytes of the document.
    pub span: Range<usize>,
}

/// What the views of one document show.
struct DocumentViews<'t> {
    views: Vec<(View<'t>, Vec<Hit>)>,
    is_json: bool,
}

impl Redactor {
    /// True when the document holds what only a failing program writes, or takes too long to judge.
    pub fn document_leaks(&self, text: &str) -> bool {
        self.proven(&self.without_allowed(text.as_bytes()), &mut Steps::of(text.len())) != Ok(false)
    }

    /// What must be taken out of a document, in its order and without overlaps; empty when it does not leak.
    pub fn findings(&self, text: &str) -> Vec<Finding> {
        let found = self.all_findings(text.as_bytes(), false).unwrap_or_else(|Exhausted| unjudged(text.len()));
        merged(found.into_iter().map(|finding| Finding { span: aligned(text, finding.span), ..finding }).collect())
    }

    /// Ranges to overwrite in a part of a document. Once it has been seen to leak, every sign counts.
    pub(super) fn leaks_in(&self, bytes: &[u8], leaked_before: bool) -> Vec<Range<usize>> {
        let found = self.all_findings(bytes, leaked_before).unwrap_or_else(|Exhausted| unjudged(bytes.len()));
        found.into_iter().map(|finding| finding.span).collect()
    }

    fn all_findings(&self, bytes: &[u8], leaked_before: bool) -> Result<Vec<Finding>, Exhausted> {
        let masked = self.without_allowed(bytes);
        if !leaked_before && !self.proven(&masked, &mut Steps::of(bytes.len()))? {
            return Ok(Vec::new());
        }
        self.placed(&masked, &mut Steps::of(bytes.len()))
    }

    /// Every sign in a document that leaks.
    fn placed(&self, text: &[u8], steps: &mut Steps) -> Result<Vec<Finding>, Exhausted> {
        let seen = self.look(text, steps)?;
        let mut found = Vec::new();
        let last = seen.views.len() - 1;
        // A hit in JSON itself may span its syntax; its strings have a view of their own.
        let first = usize::from(seen.is_json);
        for (at, (view, hits)) in seen.views.iter().enumerate().skip(first) {
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

    /// The document without what leaks; `None` when nothing does. JSON stays JSON.
    pub fn document(&self, text: &str) -> Option<String> {
        let cleaned = self.cleaned(text, &mut Steps::of(text.len()), &mut Steps::of(text.len()));
        cleaned.unwrap_or_else(|Exhausted| Some(unknown(text)))
    }

    /// The same, within steps to judge it and steps to find all places.
    pub(super) fn cleaned(&self, text: &str, judging: &mut Steps, placing: &mut Steps) -> Result<Option<String>, Exhausted> {
        let masked = self.without_allowed(text.as_bytes());
        if !self.proven(&masked, judging)? {
            return Ok(None);
        }
        if let Some(pruned) = self.json(text, judging, placing) {
            return pruned.map(Some);
        }
        let found = self.placed(&masked, placing)?.into_iter();
        let found = merged(found.map(|finding| Finding { span: aligned(text, finding.span), ..finding }).collect());
        Ok(Some(replaced(text, &found)))
    }

    /// The views that a text has.
    fn views<'t>(raw: View<'t>) -> (Vec<View<'t>>, bool) {
        let starts = raw.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&raw.text).trim_ascii();
        let is_like_json = matches!(starts.first(), Some(b'{' | b'[')) && memchr::memchr(b'"', starts).is_some();
        let is_json = is_like_json && is_json(starts);
        let mut views = vec![raw];
        // What no reader of JSON takes (a lone surrogate, a comment, two documents) still has strings.
        if is_like_json {
            views.push(views[0].strings());
        }
        // In this order: JSON may hold HTML, and HTML no JSON that matters.
        if let Some(next) = views.last().filter(|view| view.has_escapes()).map(View::unescaped) {
            views.push(next);
        }
        if let Some(shown) = views.last().filter(|view| view.has_markup()) {
            let (attributes, visible) = (shown.attributes(), shown.visible());
            views.extend(Some(attributes).filter(|view| !view.text.is_empty()));
            views.push(visible);
        }
        (views, is_json)
    }

    /// Does any view prove a failure?
    fn proven(&self, text: &[u8], steps: &mut Steps) -> Result<bool, Exhausted> {
        let (views, is_json) = Self::views(View::of(text));
        let visible = views.last().map_or(0, |view| view.text.len());
        for view in &views {
            if proves(&view.text, &self.hits(&view.text, RuleFilter::TELLING, steps)?, visible, is_json) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Everything that is seen, with its places.
    fn look<'t>(&self, text: &'t [u8], steps: &mut Steps) -> Result<DocumentViews<'t>, Exhausted> {
        let (views, is_json) = Self::views(View::mapped(text));
        let with_hits = |view: View<'t>| self.hits(&view.text, RuleFilter::BUT_MARKUP, steps).map(|hits| (view, hits));
        Ok(DocumentViews { is_json, views: views.into_iter().map(with_hits).collect::<Result<_, _>>()? })
    }

    /// A string of a leaking document, with every sign counted; `None` when there is none.
    pub(super) fn pruned_string(&self, text: &str, judging: &mut Steps, placing: &mut Steps) -> Result<Option<String>, Exhausted> {
        if !self.leaks_within(text, judging) {
            return Ok(None);
        }
        if let Some(cleaned) = self.cleaned(text, judging, placing)? {
            return Ok(Some(cleaned));
        }
        let hits = self.hits(text.as_bytes(), RuleFilter::BUT_MARKUP, placing)?;
        let spans = widened_all(text.as_bytes(), &hits)
            .map(|(span, hit)| Finding { family: hit.family, weight: hit.weight, span: aligned(text, span) })
            .collect();
        Ok(Some(replaced(text, &merged(spans))))
    }
}

/// The text with a word in the place of each finding.
fn replaced(text: &str, found: &[Finding]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut kept = 0;
    for finding in found {
        out.push_str(text.get(kept..finding.span.start).unwrap_or_default());
        // Pieces of one finding that tags divide are told once.
        let placeholder = finding.family.placeholder();
        if !out.trim_end_matches(|c: char| c == '>' || c.is_whitespace()).ends_with(&placeholder) {
            out.push_str(&placeholder);
        }
        kept = finding.span.end;
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    out
}

/// What is left of a document that could not be judged.
fn unknown(text: &str) -> String {
    let all = Family::Trace.placeholder();
    if text.trim_start().starts_with(['{', '[']) { json::quoted(&all) } else { all }
}

/// All of a document that could not be judged.
fn unjudged(length: usize) -> Vec<Finding> {
    vec![Finding { family: Family::Trace, weight: Weight::Sure, span: 0..length }]
}

/// JSON, whole or cut.
fn is_json(text: &[u8]) -> bool {
    match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
        Ok(_) => true,
        Err(error) => error.is_eof(),
    }
}

/// Do these hits prove that a program has failed, in so much text?
fn proves(text: &[u8], hits: &[Hit], visible: usize, is_json: bool) -> bool {
    let (mut frames, mut likely) = (0, 0);
    let (mut frame_end, mut likely_end) = (0, 0);
    // Two rules may see the same thing: what overlaps counts once, and as the stronger.
    let strongest = |hit: &&Hit| hit.weight >= Weight::Frame;
    for hit in hits.iter().filter(strongest) {
        if hit.weight == Weight::Sure {
            return true;
        }
        frames += usize::from(hit.span.start >= frame_end);
        frame_end = frame_end.max(hit.span.end);
    }
    // With one frame at most, what belongs to it lies within one range; with more, it need not be known.
    let frame = hits.iter().find(strongest).map(|first| first.span.start..frame_end);
    let within_frame = |hit: &Hit| frame.as_ref().is_some_and(|frame| frame.start <= hit.span.end && hit.span.start <= frame.end);
    for hit in hits.iter().filter(|hit| hit.weight == Weight::Likely && (frames > 1 || !within_frame(hit))) {
        likely += usize::from(hit.span.start >= likely_end);
        likely_end = likely_end.max(hit.span.end);
    }
    // One frame is enough of a text that hardly holds anything else.
    // A mere `x.js:7` may be the line of a test's report.
    let telling = |hit: &Hit| text[hit.span.clone()].iter().any(|b| matches!(b, b'(' | b'\'' | b'"' | b'#' | b'=' | b'$'));
    let lone = frames == 1 && !is_json && visible <= SHORT / 3 && hits.iter().filter(strongest).any(telling);
    frames >= 2 || lone || (frames > 0 && likely > 0) || (likely > 0 && likely * SHORT >= visible)
}

/// Rules see bytes; nothing is cut within a character.
fn aligned(text: &str, span: Range<usize>) -> Range<usize> {
    let (mut start, mut end) = (span.start.min(text.len()), span.end.min(text.len()));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

/// Hits (in order) with what belongs to them. What an earlier one covers is not looked at again, so that this stays linear.
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

/// A hit with what belongs to it: a statement or a fault reaches to the end of its line, a path or host to the end of its word.
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
            // The rule may begin with the character before the path.
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

/// Sorted, without overlaps; of two that overlap the first keeps its family.
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
    fn what_takes_too_long_to_judge_is_not_clean() {
        let redactor = Redactor::default();
        for text in ["at the end", "{\"a\":\"at the end\"}"] {
            assert_eq!(redactor.cleaned(text, &mut Steps::none(), &mut Steps::none()), Err(Exhausted), "{text}");
            assert_eq!(redactor.cleaned(text, &mut Steps::of(0), &mut Steps::none()), Ok(None), "{text}");
            assert!(redactor.leaks_within(text, &mut Steps::none()) && !redactor.leaks(text));
        }
        let leaking = r#"["at a.b.C.d(C.java:1)","at a.b.C.e(C.java:2)"]"#;
        assert_eq!(redactor.cleaned(leaking, &mut Steps::of(0), &mut Steps::none()), Err(Exhausted));
        assert_eq!((unknown(leaking).as_str(), unknown("x").as_str()), ("\"[redacted:trace]\"", "[redacted:trace]"));
        assert_eq!(unjudged(9)[0].span, 0..9);
    }

    proptest::proptest! {
        /// An operator's pattern and the rules together: what any of them matches is gone.
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
                for hit in redactor.hits(text.as_bytes(), RuleFilter::BUT_MARKUP, &mut Steps::of(text.len())).unwrap() {
                    let covered = hit.span.clone().all(|at| findings.iter().any(|finding| finding.span.contains(&at)));
                    proptest::prop_assert!(covered, "{hit:?} in {text:?}: {findings:?}");
                }
            }
            let cleaned = redactor.document(&text).unwrap_or(text);
            proptest::prop_assert!(!cleaned.contains("ACME-"), "{}", cleaned);
        }
    }
}
