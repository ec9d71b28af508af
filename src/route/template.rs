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
    pub fn render(&self, values: &Values<'_>) -> String {
        let (pattern, matched) = values.captures;
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Host => values.host,
                Part::Path => values.path,
                Part::Query => values.query,
                Part::Scheme => values.scheme,
                Part::Capture(name) => pattern.capture(matched, name),
            })
            .collect()
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

    /// Returns true if only text, `{scheme}` and `{host}` are before the path of the URL: anything else that a client chooses could turn
    /// the URL into one of another host.
    pub fn has_safe_authority(&self) -> bool {
        let mut before = String::new();
        for part in &self.parts {
            let begins_path = |text: &str| text.split_once("://").map_or(text, |(_, after)| after).contains('/') || text.starts_with('/');
            match part {
                _ if begins_path(&before) => return true,
                Part::Text(text) => before.push_str(text),
                Part::Scheme => before.push_str("https"),
                Part::Host => before.push_str("host"),
                Part::Path => return true,
                Part::Capture(_) | Part::Query => return false,
            }
        }
        true
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
    fn wrong_placeholders_are_refused() {
        assert!(Template::parse("/{id}", &["user"]).unwrap_err().contains("{user}"));
        assert!(Template::parse("/{path", &[]).is_err() && Template::parse("/path}", &[]).is_err());
    }

    #[test]
    fn a_capture_cannot_choose_the_host() {
        let safe = |text| Template::parse(text, &["id"]).unwrap().has_safe_authority();
        assert!(safe("https://{host}{path}") && safe("https://a.example/{id}") && safe("/{id}") && safe("https://a.example"));
        assert!(!safe("https://{id}.example/") && !safe("https://a.example{id}") && !safe("{id}"));
    }
}
