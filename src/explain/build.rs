//! Finds the values that are in force: walks the schema along the text of a configuration.
//!
//! A route inherits from its backend, from `[defaults]` and from `[errors]`, as `plan` merges them. Must not check values; `plan` does.

use std::collections::HashMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::effective::{Content, Effective, Layer, Origin, Part, Setting};
use super::shown;
use crate::config::diagnose::Problems;
use crate::config::expand::Surroundings;
use crate::config::schema::kind::Kind;
use crate::config::schema::{self, KeyInfo, POLICY, ROOT, TableInfo, value};
use crate::plan;

/// The table of a route.
const ROUTE: &str = "route";
/// The table that a route and a backend override key by key.
const ERRORS: &str = "errors";

type Found<'t> = Option<&'t Spanned<DeValue<'t>>>;

impl Effective {
    /// Finds the values of a configuration. `file` is the name of the file in origins. What cannot be read is left out: the caller has
    /// compiled the text before.
    pub fn read(text: &str, file: &str, around: &Surroundings<'_>) -> Self {
        let (root, _) = DeTable::parse_recoverable(text);
        let keys = crate::config::read(text, &mut Problems::default(), around);
        let names = plan::route_rules(&keys).into_iter().map(|route| route.name).collect();
        let lines = text.match_indices('\n').map(|(at, _)| at).collect();
        Self { file: file.to_owned(), parts: Builder { root: root.get_ref(), lines, around, names }.parts() }
    }
}

struct Builder<'t> {
    root: &'t DeTable<'t>,
    /// The places of line ends.
    lines: Vec<usize>,
    around: &'t Surroundings<'t>,
    /// The names of the routes.
    names: Vec<String>,
}

/// Where the walk is.
#[derive(Clone)]
struct Place<'t> {
    prefix: String,
    order: [u16; 3],
    depth: usize,
    layer: Layer,
    /// For one of several backends.
    backend: Option<Arc<str>>,
    /// The tables of the file around, the innermost last.
    around: Vec<Option<&'t DeTable<'t>>>,
    /// The part is a route without a backend.
    without_backend: bool,
}

impl Place<'_> {
    fn new(layer: Layer) -> Self {
        Self { prefix: String::new(), order: [0; 3], depth: 0, layer, backend: None, around: Vec::new(), without_backend: false }
    }

    /// The place of the key at this position of a table.
    fn at(&self, position: usize) -> Self {
        let mut place = self.clone();
        if let Some(slot) = place.order.get_mut(self.depth) {
            *slot = position as u16;
        }
        place
    }
}

impl<'t> Builder<'t> {
    fn parts(&self) -> Vec<Part> {
        let Some(root) = schema::table(ROOT) else { return Vec::new() };
        let mut parts = vec![self.part("", None, None, Vec::new())];
        for (position, key) in root.all_keys().enumerate() {
            let found = self.root.get(key.name.as_str());
            match &key.kind {
                Kind::Table(name) => parts.extend(schema::table(name).and_then(|table| self.single(key, table, found))),
                Kind::Map(item) => parts.extend(self.named(key, item.table().and_then(schema::table), found)),
                Kind::List(item) if item.table() == Some(ROUTE) => parts.extend(self.routes(key, schema::table(ROUTE), found)),
                Kind::List(item) if item.table().is_some() => parts.extend(self.listed(key, item.table().and_then(schema::table), found)),
                Kind::Boolean
                | Kind::Fraction
                | Kind::Integer(..)
                | Kind::Text(_)
                | Kind::Word(_)
                | Kind::Choice(_)
                | Kind::List(_)
                | Kind::Either(_) => {
                    let place = Place::new(Layer::Own).at(position);
                    self.key(key, found, None, &place, &mut parts[0].own);
                }
            }
        }
        parts
    }

    fn part(&self, table: &'static str, name: Option<String>, place: Option<usize>, own: Vec<Setting>) -> Part {
        let line = place.map(|at| self.line(at));
        Part { table, name, is_listed: false, line, own, inherited: Arc::new([]) }
    }

    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|end| *end < at) + 1
    }

    /// A table that there is once.
    fn single(&self, key: &'static KeyInfo, table: &'static TableInfo, found: Found<'t>) -> Option<Part> {
        let set = found.and_then(|value| value.get_ref().as_table());
        if set.is_none() && !key.always {
            return None;
        }
        let mut own = Vec::new();
        self.table(table, set, &Place::new(Layer::Own), &mut own);
        Some(self.part(&key.name, None, found.map(|value| value.span().start), own))
    }

    /// The tables whose names the operator chooses. One with policy keys shows those that it sets.
    fn named(&self, key: &'static KeyInfo, table: Option<&'static TableInfo>, found: Found<'t>) -> Vec<Part> {
        let (Some(table), Some(all)) = (table, found.and_then(|value| value.get_ref().as_table())) else { return Vec::new() };
        let mut names: Vec<_> = all.iter().collect();
        names.sort_by_key(|(name, _)| name.span().start);
        let part = |(name, value): (&Spanned<_>, &'t Spanned<DeValue<'t>>)| {
            let set = value.get_ref().as_table();
            let mut own = Vec::new();
            let place = Place::new(Layer::Own);
            for (position, key) in table.all_keys().enumerate() {
                let found = set.and_then(|set| set.get(key.name.as_str()));
                let place = place.at(position);
                if is_layered(table, key) {
                    self.set_only(key, found, &place, &mut own);
                } else {
                    self.key(key, found, set, &place, &mut own);
                }
            }
            self.part(&key.name, Some(std::borrow::Cow::<str>::as_ref(name.get_ref()).to_owned()), Some(name.span().start), own)
        };
        names.into_iter().map(part).collect()
    }

    /// A layered key, if it is set: with `errors`, each key that is set.
    fn set_only(&self, key: &'static KeyInfo, found: Found<'t>, place: &Place<'t>, out: &mut Vec<Setting>) {
        if found.is_none() {
            return;
        }
        let Some(errors) = errors_of(key) else { return self.key(key, found, None, place, out) };
        let place = below(place, ERRORS);
        for (position, key) in errors.all_keys().enumerate() {
            let found = found.and_then(|value| value.get_ref().as_table()?.get(key.name.as_str()));
            if found.is_some() {
                self.key(key, found, None, &place.at(position), out);
            }
        }
    }

    /// Tables of a list that inherit nothing. One without a `name` is named by its `kind`, as `plan` does it.
    fn listed(&self, key: &'static KeyInfo, table: Option<&'static TableInfo>, found: Found<'t>) -> Vec<Part> {
        let (Some(table), Some(list)) = (table, found.and_then(|value| value.get_ref().as_array())) else { return Vec::new() };
        let part = |item: &'t Spanned<DeValue<'t>>| {
            let set = item.get_ref().as_table();
            let text = |key: &str| set.and_then(|set| set.get(key)?.get_ref().as_str()).map(str::to_owned);
            let name = text("name").or_else(|| text("kind"));
            let mut own = Vec::new();
            self.table(table, set, &Place::new(Layer::Own), &mut own);
            Part { is_listed: true, ..self.part(&key.name, name, Some(item.span().start), own) }
        };
        list.iter().map(part).collect()
    }

    fn routes(&self, key: &'static KeyInfo, table: Option<&'static TableInfo>, found: Found<'t>) -> Vec<Part> {
        let (Some(table), Some(list)) = (table, found.and_then(|value| value.get_ref().as_array())) else { return Vec::new() };
        let mut known: HashMap<Option<Vec<String>>, Arc<[Setting]>> = HashMap::new();
        let mut counted: HashMap<&str, usize> = HashMap::new();
        let mut parts = Vec::new();
        for (index, item) in list.iter().enumerate() {
            let set = item.get_ref().as_table();
            let backends = set.and_then(|set| set.get("backend")).map(|value| backends(value.get_ref()));
            let inherited = known.entry(backends).or_insert_with_key(|backends| self.inherited(table, backends.as_deref())).clone();
            let mut own = Vec::new();
            let place = Place::new(Layer::Own);
            for (position, key) in table.all_keys().enumerate() {
                let found = set.and_then(|set| set.get(key.name.as_str()));
                match errors_of(key) {
                    Some(_) => self.set_only(key, found, &place.at(position), &mut own),
                    None if found.is_some() => self.key(key, found, set, &place.at(position), &mut own),
                    None => {}
                }
            }
            let name = self.names.get(index).map_or("", String::as_str);
            if set.is_none_or(|set| set.get("name").is_none()) {
                let content = Content::Absent(name.to_owned().into());
                own.push(Setting { path: "name".into(), backend: None, content, origin: Origin::Default, order: [0; 3] });
            }
            let count = counted.entry(name).or_default();
            *count += 1;
            let name = if *count > 1 { format!("{name} #{count}") } else { name.to_owned() };
            let part = self.part(&key.name, Some(name), Some(item.span().start), own);
            parts.push(Part { is_listed: true, inherited, ..part });
        }
        parts
    }

    /// What holds for a route with these backends that sets nothing; `None` for a route without a backend.
    fn inherited(&self, table: &'static TableInfo, backends: Option<&[String]>) -> Arc<[Setting]> {
        let mut out = Vec::new();
        for (position, key) in table.all_keys().enumerate() {
            let place = Place { without_backend: backends.is_none(), ..Place::new(Layer::Own) }.at(position);
            match errors_of(key) {
                Some(errors) => {
                    let place = below(&place, ERRORS);
                    for (position, key) in errors.all_keys().enumerate() {
                        self.layered(key, &[ERRORS], backends, &place.at(position), &mut out);
                    }
                }
                None if is_layered(table, key) => self.layered(key, &[], backends, &place, &mut out),
                None => self.key(key, None, None, &place, &mut out),
            }
        }
        out.into()
    }

    /// A key of the least specific layer, and of each backend that sets it. `within` is the table of a backend that holds the key.
    fn layered(&self, key: &'static KeyInfo, within: &[&str], backends: Option<&[String]>, place: &Place<'t>, out: &mut Vec<Setting>) {
        if !applies(key, None, place) {
            return;
        }
        let table: &'static str = if within.is_empty() { "defaults" } else { ERRORS };
        let of_backend = |name: &str| {
            let outer = ["backends", name];
            let set = outer.iter().chain(within).try_fold(self.root, |table, name| table.get(*name)?.get_ref().as_table())?;
            set.get(key.name.as_str())
        };
        let backends = backends.unwrap_or_default();
        let overriding = backends.iter().filter_map(|name| Some((name.as_str(), of_backend(name)?)));
        let overriding: Vec<(&str, &'t Spanned<DeValue<'t>>)> = overriding.collect();
        if let (&[(name, value)], 1) = (overriding.as_slice(), backends.len()) {
            return self.key(key, Some(value), None, &Place { layer: Layer::Backend(name.into()), ..place.clone() }, out);
        }
        let base = self.root.get(table).and_then(|value| value.get_ref().as_table()?.get(key.name.as_str()));
        let layer = if base.is_some() { Layer::Table(table) } else { Layer::Own };
        self.key(key, base, None, &Place { layer, ..place.clone() }, out);
        for (name, value) in overriding {
            let name: Arc<str> = name.into();
            let place = Place { layer: Layer::Backend(Arc::clone(&name)), backend: Some(name), ..place.clone() };
            self.key(key, Some(value), None, &place, out);
        }
    }

    /// All keys of a table.
    fn table(&self, table: &'static TableInfo, set: Option<&'t DeTable<'t>>, place: &Place<'t>, out: &mut Vec<Setting>) {
        for (position, key) in table.all_keys().enumerate() {
            self.key(key, set.and_then(|set| set.get(key.name.as_str())), set, &place.at(position), out);
        }
    }

    /// One key: its value, its default, or what applies without a value. `beside` is the table that it belongs to.
    fn key(&self, key: &'static KeyInfo, found: Found<'t>, beside: Option<&'t DeTable<'t>>, place: &Place<'t>, out: &mut Vec<Setting>) {
        if found.is_none() && !applies(key, beside, place) {
            return;
        }
        let table = key.kind.table().and_then(schema::table);
        let set = found.and_then(|value| value.get_ref().as_table());
        if let Some(table) = table.filter(|_| set.is_some() || (found.is_none() && key.always)) {
            let mut place = below(place, &key.name);
            place.around.push(beside);
            return self.table(table, set, &place, out);
        }
        let content = match (found, &key.default) {
            (Some(value), _) => shown::content(key, value::of(value.get_ref()), self.around),
            (None, Some(default)) => Content::Value { shown: default.clone(), hidden: None },
            (None, None) if key.absent.is_empty() => return,
            (None, None) => Content::Absent(key.absent.as_str().into()),
        };
        let origin = match found {
            Some(value) => Origin::File { line: self.line(value.span().start), layer: place.layer.clone() },
            None => Origin::Default,
        };
        let path = format!("{}{}", place.prefix, value::key_of(&key.name));
        out.push(Setting { path, backend: place.backend.clone(), content, origin, order: place.order });
    }
}

/// The place within a table.
fn below<'t>(place: &Place<'t>, name: &str) -> Place<'t> {
    let mut place = place.clone();
    place.prefix.push_str(name);
    place.prefix.push('.');
    place.depth += 1;
    place
}

/// Returns true if a key of a table is one that layers override: a policy key, or `errors`.
fn is_layered(table: &TableInfo, key: &KeyInfo) -> bool {
    let has_policy = table.includes.as_deref() == Some(POLICY);
    has_policy && (errors_of(key).is_some() || !table.keys.iter().any(|own| own.name == key.name))
}

/// The table of `errors`, if the key holds one.
fn errors_of(key: &KeyInfo) -> Option<&'static TableInfo> {
    key.kind.table().filter(|name| *name == ERRORS).and_then(schema::table)
}

/// Returns true if a key that is not set has an effect: the keys that it needs are there, and none of those that it cannot go with.
fn applies(key: &KeyInfo, beside: Option<&DeTable<'_>>, place: &Place<'_>) -> bool {
    let table = |name: &'_ str| match name.starts_with("../") {
        true => place.around.last().copied().flatten(),
        false => beside,
    };
    let get = |name: &str| table(name).and_then(|table| table.get(name.trim_start_matches("../")));
    let is = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        get(name).is_some_and(|found| found.get_ref().as_str() == Some(value))
    };
    // Only a route has the key `backend`.
    let has = |name: &str| if name == "backend" { !place.without_backend } else { get(name).is_some() };
    key.with.iter().all(|name| has(name)) && !key.unless.iter().any(|pair| is(pair))
}

/// The names of the backends of a route.
fn backends(value: &DeValue<'_>) -> Vec<String> {
    match value {
        DeValue::Array(list) => {
            let names = list.iter().filter_map(|item| item.get_ref().as_table()?.get("name")?.get_ref().as_str());
            names.map(str::to_owned).collect()
        }
        other => other.as_str().map(str::to_owned).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::expand::Surroundings;
    use crate::explain::Effective;
    use crate::plan::compile;

    const MORE: &str = r#"
mode = "development"
[listen]
admin = "127.0.0.1:0"
admin_token = "${TOKEN}"
[defaults]
connect_timeout = "7s"
request_headers = { set = { X-One = "1" } }
retry = { attempts = 3 }
limits = ["rates"]
[errors]
languages = ["ko", "en"]
redact = { allow = ["docs.internal"] }
[limits.rates]
rate = ["5/s", "${DAILY}"]
[backends.one]
endpoints = ["http://127.0.0.1:1", { url = "http://127.0.0.1:2", drain = true }]
protocol = "h2"
health = { path = "/h" }
breaker = {}
retry = { on = ["connect"] }
errors = { format = "flat" }
[backends.two]
endpoints = ["http://127.0.0.1:3/base"]
max_in_flight = 9
send_proxy = "v1"
response_timeout = "1s"
[[routes]]
path = "/one/*"
backend = "one"
strip_prefix = "/one"
cors = { origins = ["https://a.example"] }
auth = { forward = "http://127.0.0.1:4/" }
[[routes]]
path = "/two"
headers = { X-A = "1", X-B = "*" }
backend = "two"
keep_fields = "all"
errors = { redact = { extra = ["x+"] }, status_map = { "5xx" = { code = "DOWN" } } }
[[routes]]
path = "/both/{a}"
backend = [{ name = "one", weight = 1 }, { name = "two", weight = 2 }]
sticky = "client-ip"
idle_timeout = "3s"
[[routes]]
path = "/to"
redirect = { to = "/one" }
[[routes]]
path = "/text"
methods = ["GET"]
respond = { status = 200, body = "a\n\"b\"\u007f" }
access = { deny = ["10.0.0.0/8"] }
"#;

    fn variable(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("hunter2".into()),
            "DAILY" => Some("100/d".into()),
            _ => None,
        }
    }

    fn effective(text: &str) -> Effective {
        Effective::read(text, "a.toml", &Surroundings::of_text(&variable))
    }

    /// The lines of what runs, counted: maps have no order.
    fn lines(text: &str) -> BTreeMap<String, usize> {
        let mut plan = compile::from_text(text, &variable).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
        plan.warnings.clear();
        let mut counted = BTreeMap::new();
        for line in format!("{plan:#?}").lines() {
            *counted.entry(line.to_owned()).or_default() += 1;
        }
        // Times and random numbers.
        let is_time =
            |line: &str| line.trim().trim_start_matches("value: ").trim_end_matches(',').parse::<u64>().is_ok_and(|n| n > 1_000_000_000);
        counted.retain(|line, _| !["tv_sec", "tv_nsec", "seed", "started: "].iter().any(|word| line.contains(word)) && !is_time(line));
        counted
    }

    fn examples() -> Vec<String> {
        let file = |name: &str| std::fs::read_to_string(format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        vec![file("lockgate.toml"), file("full.toml"), file("demo.toml"), MORE.to_owned()]
    }

    /// The output sets every value that has a default. If one were not what the plan uses, another plan would result.
    #[test]
    fn the_effective_configuration_runs_as_the_file_does() {
        for text in examples() {
            let printed = effective(&text).toml();
            let (written, read) = (lines(&text), lines(&printed));
            let only = |one: &BTreeMap<String, usize>, two: &BTreeMap<String, usize>| {
                one.iter().filter(|(line, count)| two.get(*line) != Some(*count)).map(|(line, _)| line.clone()).collect::<Vec<_>>()
            };
            assert_eq!(only(&written, &read), only(&read, &written), "{printed}");
            assert!(written.len() > 100);
        }
    }

    #[test]
    fn origins_are_told() {
        let shown = effective(MORE).toml();
        let line = |begin: &str, within: &str| {
            let part = shown.split("\n\n").find(|part| part.contains(within)).unwrap_or_else(|| panic!("{within} in\n{shown}"));
            let line = part.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{begin} in\n{part}"));
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let two = "path = \"/two\"";
        assert_eq!(line("connect_timeout", two), "connect_timeout = \"7s\" # [defaults] a.toml:7");
        assert_eq!(line("response_timeout", two), "response_timeout = \"1s\" # backend two, a.toml:27");
        assert_eq!(line("keep_fields", two), "keep_fields = \"all\" # a.toml:38");
        assert_eq!(line("idle_timeout", two), "idle_timeout = \"60s\" # default");
        assert_eq!(line("errors.languages", two), "errors.languages = [\"ko\", \"en\"] # [errors] a.toml:12");
        // A table replaces the inherited one as a whole.
        assert_eq!(line("errors.redact.allow", two), "errors.redact.allow = [] # default");
        let one = "path = \"/one/*\"";
        assert_eq!(line("errors.format", one), "errors.format = \"flat\" # backend one, a.toml:22");
        assert_eq!(line("retry.attempts", one), "retry.attempts = 2 # default");
        let both = "path = \"/both/{a}\"";
        assert_eq!(line("# response_timeout = \"1s\"", both), "# response_timeout = \"1s\" (backend two) # backend two, a.toml:27");
        assert_eq!(line("# response_timeout = \"30s\"", both), "# response_timeout = \"30s\" (other backends) # default");
        assert_eq!(line("rate", "[limits.rates]"), "rate = [\"5/s\", \"100/d\"] # a.toml:15");
    }

    #[test]
    fn no_secret_is_shown() {
        let text = MORE.replace("X-One = \"1\"", "Authorization = \"Basic c2VjcmV0\", X-Api-Key = \"abc\", X-Two = \"a ${TOKEN}\"");
        let effective = effective(&text);
        for shown in [effective.toml(), effective.json().to_string()] {
            for secret in ["hunter2", "c2VjcmV0", "abc"] {
                assert!(!shown.contains(secret), "{secret} in\n{shown}");
            }
            assert!(shown.contains("${TOKEN}") && shown.contains("a ${TOKEN}"), "{shown}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,60}", noise in "[a-z\\[\\]=\"\\.{}/* \n]{0,80}") {
            for text in [text, format!("{MORE}{noise}")] {
                let effective = effective(&text);
                let _ = (effective.toml(), effective.json(), crate::explain::diff(&effective, &super::tests::effective(MORE)));
            }
        }
    }
}
