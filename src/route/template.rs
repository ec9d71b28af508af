//! Text with placeholders for parts of a request, such as `https://{host}{path}`. Knows nothing of redirects or rewrites.

use super::pattern::Pattern;

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Host,
    Path,
    Query,
    Scheme,
    Capture(String),
}

/// Text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// The values of the placeholders.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The host that the client named, without its port.
    pub host: &'a str,
    /// The path of `{path}`.
    pub path: &'a str,
    /// The query without its question mark.
    pub query: &'a str,
    /// The scheme that the client used.
    pub scheme: &'a str,
    /// The pattern of the route, and the path that it matched.
    pub captures: (&'a Pattern, &'a str),
}

impl Template {
    /// Reads a template. `names` are the captures of the route.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn parse(text: &str, names: &[&str]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(open);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let inner = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let Some((name, after)) = inner else { return Err("a placeholder is written `{name}`".to_owned()) };
            parts.push(match name {
                "host" => Part::Host,
                "path" => Part::Path,
                "query" => Part::Query,
                "scheme" => Part::Scheme,
                _ if names.contains(&name) => Part::Capture(name.to_owned()),
                _ => return Err(unknown(name, names)),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// Returns the text with the values of a request.
    ///
    /// A part of the path that is put into the query is escaped there, so that it stays one value.
    pub fn render(&self, values: &Values<'_>) -> String {
        let (pattern, matched) = values.captures;
        let mut out = String::new();
        let mut in_query = false;
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    in_query |= text.contains(['?', '#']);
                    out.push_str(text);
                }
                Part::Host => out.push_str(values.host),
                Part::Query => out.push_str(values.query),
                Part::Scheme => out.push_str(values.scheme),
                Part::Path => push_path(&mut out, values.path, in_query),
                Part::Capture(name) => push_path(&mut out, pattern.capture(matched, name), in_query),
            }
        }
        out
    }

    /// Returns the text, if there are no placeholders.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns true if the text has a query, so that the request's own is not added.
    pub fn has_query(&self) -> bool {
        self.parts.iter().any(|part| *part == Part::Query || matches!(part, Part::Text(text) if text.contains('?')))
    }

    /// Returns true if the template is nothing but the path.
    pub fn is_path_only(&self) -> bool {
        self.parts == [Part::Path]
    }

    /// Returns true if the query of the request is put where a path is expected.
    pub fn has_query_in_path(&self) -> bool {
        let before = self.parts.iter().take_while(|part| !matches!(part, Part::Text(text) if text.contains('?')));
        before.into_iter().any(|part| *part == Part::Query)
    }

    /// Returns true if the host of the request is part of the text.
    pub fn has_host(&self) -> bool {
        self.parts.contains(&Part::Host)
    }

    /// Returns true if only text, `{scheme}` and `{host}` are before the path of the URL: anything else that a client chooses could turn
    /// the URL into one of another host.
    pub fn has_safe_authority(&self) -> bool {
        let begins_path = |text: &str| text.split_once("://").map_or(text, |(_, after)| after).contains('/') || text.starts_with('/');
        let mut before = String::new();
        for part in &self.parts {
            if begins_path(&before) {
                break;
            }
            match part {
                Part::Text(text) => before.push_str(text),
                Part::Scheme => before.push_str("https"),
                Part::Host => before.push_str("host"),
                Part::Path => break,
                Part::Capture(_) | Part::Query => return false,
            }
        }
        // `https:///x` has no host: browsers would take the first segment of the path for it.
        before.split_once("://").is_none_or(|(_, after)| !after.is_empty() && !after.starts_with(['/', '?', '#', '\\']))
    }
}

/// Appends a part of a path. In a query, the bytes that separate its parameters are escaped.
fn push_path(out: &mut String, part: &str, in_query: bool) {
    for c in part.chars() {
        match c {
            '&' | ';' | '+' | '=' | '#' | '?' if in_query => out.push_str(&format!("%{:02X}", c as u32)),
            c => out.push(c),
        }
    }
}

fn unknown(name: &str, names: &[&str]) -> String {
    let all: Vec<String> = ["host", "path", "query", "scheme"].iter().chain(names).map(|name| format!("{{{name}}}")).collect();
    format!("there is no placeholder {{{name}}}; this route has {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let pattern = Pattern::of_path("/users/{id}/*").unwrap();
        let template = Template::parse("{scheme}://{host}/u/{id}/{rest}?from={path}", &pattern.names()).unwrap();
        let path = "/users/7/a/b";
        let values = Values { host: "h:1", path, query: "q", scheme: "https", captures: (&pattern, path) };
        assert_eq!(template.render(&values), "https://h:1/u/7/a/b?from=/users/7/a/b");
        assert!(template.has_query() && template.has_safe_authority() && template.literal().is_none());
    }

    #[test]
    fn a_capture_stays_one_value_of_the_query() {
        let pattern = Pattern::of_path("/users/{id}").unwrap();
        let template = Template::parse("/find/{id}?user={id}", &pattern.names()).unwrap();
        let path = "/users/7&admin=1;x+y";
        let values = Values { host: "", path, query: "", scheme: "http", captures: (&pattern, path) };
        assert_eq!(template.render(&values), "/find/7&admin=1;x+y?user=7%26admin%3D1%3Bx%2By");
        assert!(Template::parse("/a/{query}?b", &[]).unwrap().has_query_in_path());
        assert!(!Template::parse("/a?{query}", &[]).unwrap().has_query_in_path());
    }

    #[test]
    fn wrong_placeholders_are_refused() {
        assert!(Template::parse("/{id}", &["user"]).unwrap_err().contains("{user}"));
        assert!(Template::parse("/{path", &[]).is_err() && Template::parse("/path}", &[]).is_err());
    }

    #[test]
    fn a_capture_cannot_choose_the_host() {
        let safe = |text| Template::parse(text, &["id"]).unwrap().has_safe_authority();
        assert!(safe("https://{host}{path}") && safe("https://a.example/{id}") && safe("/{id}") && safe("https://a.example"));
        assert!(!safe("https:///{id}") && !safe("https://{path}"));
        assert!(!safe("https://{id}.example/") && !safe("https://a.example{id}") && !safe("{id}"));
    }
}
