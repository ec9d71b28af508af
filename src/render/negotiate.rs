//! Which shape the client can read: the `Accept` header against the shapes there are (RFC 9110 12.5.1).

use crate::context::quality;
use crate::policy::Format;

/// The shape of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The route's JSON (or `problem` where asked for).
    Json(Format),
    /// A plain page.
    Html,
    /// Plain text.
    Text,
}

/// The longest header that is read, in bytes.
const MAX_ACCEPT: usize = 2048;

/// Chooses. `accept` is the header's value, `negotiate = false` fixes the route's format.
pub fn shape(accept: Option<&str>, format: Format, negotiate: bool) -> Shape {
    let Some(accept) = accept.filter(|_| negotiate) else { return Shape::Json(format) };
    let ranges = parse(accept);
    // A browser: it names text/html itself and prefers it over JSON.
    let exact =
        |wanted: &str| ranges.iter().filter(|range| range.name.eq_ignore_ascii_case(wanted)).map(|range| range.quality).max().unwrap_or(0);
    let json = exact("application/json")
        .max(ranges.iter().filter(|r| r.name.len() > 5 && ends_with_json(r.name)).map(|r| r.quality).max().unwrap_or(0));
    let candidates = [
        (exact("application/problem+json"), Shape::Json(Format::Problem)),
        (json, Shape::Json(format)),
        (exact("text/html").max(exact("application/xhtml+xml")), Shape::Html),
        (exact("text/plain"), Shape::Text),
    ];
    // Ties go to the first named: problem and JSON are more precise than pages.
    let mut best = (0, Shape::Json(format));
    for (quality, shape) in candidates {
        if quality > best.0 {
            best = (quality, shape);
        }
    }
    best.1
}

/// True when a client names `text/html` and likes nothing of ours better: it shows pages to people.
pub fn prefers_html(accept: Option<&str>) -> bool {
    shape(accept, Format::Envelope, true) == Shape::Html
}

struct Range<'a> {
    name: &'a str,
    quality: u32,
}

fn parse(accept: &str) -> Vec<Range<'_>> {
    let mut end = accept.len().min(MAX_ACCEPT);
    while !accept.is_char_boundary(end) {
        end -= 1;
    }
    let range = |item| {
        let item: &str = item;
        let mut parts = item.split(';');
        let name = parts.next().unwrap_or_default().trim();
        let wanted = parts.find_map(|p| p.trim().strip_prefix("q=")).map_or(1000, quality);
        Range { name, quality: wanted }
    };
    accept[..end].split(',').take(64).map(range).collect()
}

fn ends_with_json(name: &str) -> bool {
    name.len() >= 5
        && name.as_bytes()[name.len() - 5..].eq_ignore_ascii_case(b"+json")
        && !name.eq_ignore_ascii_case("application/problem+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_they_can_read() {
        let of = |accept| shape(Some(accept), Format::Envelope, true);
        assert_eq!(of("*/*"), Shape::Json(Format::Envelope));
        assert_eq!(of("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Shape::Html);
        assert_eq!(of("application/json, text/plain, */*"), Shape::Json(Format::Envelope));
        assert_eq!(of("application/problem+json"), Shape::Json(Format::Problem));
        assert_eq!(of("application/problem+json, application/json"), Shape::Json(Format::Problem));
        assert_eq!(of("text/plain"), Shape::Text);
        assert_eq!(of("text/html;q=0.5, application/json"), Shape::Json(Format::Envelope));
        assert_eq!(of("image/png"), Shape::Json(Format::Envelope));
        assert_eq!(shape(Some("text/html"), Format::Flat, false), Shape::Json(Format::Flat));
        assert_eq!(shape(None, Format::Problem, true), Shape::Json(Format::Problem));
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read(accept in "\\PC{0,80}") {
            shape(Some(&accept), Format::Envelope, true);
        }
    }
}
