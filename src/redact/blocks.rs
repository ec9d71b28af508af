//! Extends the frames of a stack trace to the whole block of lines: its header, its frames, and the lines between and after them.
//!
//! Knows lines and which of them hold a frame. Knows no runtime.

use std::ops::Range;

/// The maximum number of lines between two frames of one trace: excerpts of code, messages of a chained cause.
const MAX_GAP: usize = 5;
/// The maximum number of lines of code or messages after the last frame.
const MAX_TAIL: usize = 3;
/// The maximum number of lines before the first frame that may be its header.
const MAX_HEAD: usize = 2;

/// Extends frames (sorted ranges of `text`) to whole blocks of lines.
pub(super) fn grow(text: &[u8], frames: &[Range<usize>]) -> Vec<Range<usize>> {
    let lines = lines(text);
    let mut framed = vec![false; lines.len()];
    let mut at = 0;
    for frame in frames {
        while at + 1 < lines.len() && lines[at].end < frame.start {
            at += 1;
        }
        let mut line = at;
        while line < lines.len() && lines[line].start < frame.end {
            framed[line] = true;
            line += 1;
        }
    }
    let mut blocks: Vec<Range<usize>> = Vec::new();
    for line in (0..lines.len()).filter(|line| framed[*line]) {
        match blocks.last_mut() {
            Some(block) if line - block.end <= MAX_GAP => block.end = line + 1,
            _ => blocks.push(line..line + 1),
        }
    }
    let of = |line: usize| &text[lines[line].clone()];
    blocks
        .into_iter()
        .map(|block| {
            let (mut first, mut end) = (block.start, block.end);
            let floor = first.saturating_sub(MAX_HEAD);
            while first > floor && (is_header(of(first - 1)) || (is_blank(of(first - 1)) && first - 1 > floor && is_header(of(first - 2))))
            {
                first -= 1;
            }
            let ceiling = (end + MAX_TAIL).min(lines.len());
            while end < ceiling && (is_continuation(of(end)) || is_header(of(end))) {
                end += 1;
            }
            lines[first].start..lines[end - 1].end
        })
        .collect()
}

fn lines(text: &[u8]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut lines = Vec::new();
    for (at, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        lines.push(start..at);
        start = at + 1;
    }
    lines.push(start..text.len());
    lines
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Returns true for a line that names the failure: `Name: text`, or one with a word such as `exception`.
fn is_header(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let lower: Vec<u8> = line.iter().take(400).map(u8::to_ascii_lowercase).collect();
    let names = [
        b"exception".as_slice(),
        b"error",
        b"panic",
        b"fatal",
        b"fault",
        b"abort",
        b"warning",
        b"uncaught",
        b"trace",
        b"failure",
        b"caused by",
    ];
    let word = names.iter().any(|name| lower.windows(name.len()).any(|part| part == *name));
    let label = line.iter().position(|b| *b == b':').is_some_and(|colon| {
        colon > 2
            && line[..colon].iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'$' | b'\\'))
            && line[0].is_ascii_uppercase()
    });
    word || label
}

/// Returns true for a line of code below a frame: an indented line, or one of marks such as `^`.
fn is_continuation(line: &[u8]) -> bool {
    (line.first().is_some_and(u8::is_ascii_whitespace) && !is_blank(line))
        || line.trim_ascii().iter().all(|b| matches!(b, b'^' | b'~' | b'-' | b'|')) && !is_blank(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(text: &str) -> Vec<&str> {
        let frames: Vec<_> = text.match_indices("FRAME").map(|(at, found)| at..at + found.len()).collect();
        grow(text.as_bytes(), &frames).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn lines_that_name_a_failure_are_headers() {
        for line in ["Shop::Gone: it left", "KeyFault: 'x'", "something caused by rain"] {
            assert!(is_header(line.as_bytes()), "{line}");
        }
        for line in ["Hi: there", "a sentence: with words", "at: home"] {
            assert!(!is_header(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn blocks_include_headers_excerpts_and_last_lines() {
        assert_eq!(
            grown("Hello\nTraceback FRAME\n  FRAME one\n    code()\n  FRAME two\n    more()\nKeyError: 'x'\nBye"),
            ["Traceback FRAME\n  FRAME one\n    code()\n  FRAME two\n    more()\nKeyError: 'x'"]
        );
        assert_eq!(
            grown("a\njava.lang.IllegalStateException: boom\n\tFRAME\n\tFRAME\nb"),
            ["java.lang.IllegalStateException: boom\n\tFRAME\n\tFRAME"]
        );
        assert_eq!(grown("panic: x\n\nFRAME\n\nThe end."), ["panic: x\n\nFRAME"]);
        assert_eq!(grown("nothing here"), Vec::<&str>::new());
    }

    proptest::proptest! {
        #[test]
        fn blocks_contain_their_frames(text in "(FRAME|a|:|E| |\\n){0,60}") {
            let frames: Vec<_> = text.match_indices("FRAME").map(|(at, found)| at..at + found.len()).collect();
            let blocks = grow(text.as_bytes(), &frames);
            for frame in &frames {
                proptest::prop_assert!(blocks.iter().any(|block| block.start <= frame.start && frame.end <= block.end));
            }
        }
    }
}
