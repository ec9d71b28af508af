//! The explanation of a request as text and as JSON. Knows nothing of how it was found.

use serde_json::{Map, Value, json};

use super::rejected::Rejected;
use super::route::{Explanation, Fact};

/// The widest column of names and of texts, in characters.
const MAX_COLUMNS: (usize, usize) = (28, 60);

impl Explanation {
    /// Returns the explanation as lines for a terminal: what applies, and behind it where it comes from.
    pub fn text(&self) -> String {
        let facts: Vec<&Fact> = self.route.iter().chain(&self.facts).collect();
        let width = |of: fn(&Fact) -> &str, most: usize| {
            facts.iter().map(|fact| of(fact).chars().count()).filter(|width| *width <= most).max().unwrap_or_default()
        };
        let (names, texts) = (width(|fact| &fact.name, MAX_COLUMNS.0), width(|fact| &fact.text, MAX_COLUMNS.1));
        let mut lines = vec![self.request.clone(), self.outcome.clone(), String::new()];
        for Fact { name, text, origin } in facts {
            lines.push(format!("{name:<names$}  {text:<texts$}  {origin}").trim_end().to_owned());
        }
        if !self.rejected.is_empty() {
            lines.push(String::new());
            lines.push("Other routes with this path:".to_owned());
        }
        for Rejected { route, origin, why } in &self.rejected {
            lines.push(format!("  {route} ({origin}): {why}"));
        }
        lines.join("\n").trim_end().to_owned()
    }

    /// Returns the explanation as JSON.
    pub fn json(&self) -> Value {
        let fact = |Fact { name, text, origin }: &Fact| json!({ "name": name, "value": text, "origin": origin });
        let rejected = |Rejected { route, origin, why }: &Rejected| json!({ "route": route, "origin": origin, "why": why });
        let mut all = Map::new();
        all.insert("request".into(), self.request.as_str().into());
        all.insert("outcome".into(), self.outcome.as_str().into());
        let route = self.route.as_ref().map(|Fact { text, origin, .. }| json!({ "name": text, "origin": origin }));
        all.insert("route".into(), route.unwrap_or(Value::Null));
        all.insert("facts".into(), self.facts.iter().map(fact).collect());
        all.insert("rejected".into(), self.rejected.iter().map(rejected).collect());
        Value::Object(all)
    }
}
