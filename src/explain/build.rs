//! Finds the values that are in force: walks the schema along the text of a configuration.
//!
//! A route inherits from its backend, from `[defaults]` and from `[errors]`, as `plan` merges them. Must not check values; `plan` does.

use std::collections::HashMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::effective::{Content, Layer, Origin, Part, Setting};
use super::shown;
use crate::config::diagnose::Problems;
use crate::config::expand::Surroundings;
use crate::config::schema::kind::Kind;
use crate::config::schema::{self, KeyInfo, POLICY, ROOT, TableInfo, value};
use crate::plan;

/// The table that a route and a backend override key by key.
const ERRORS: &str = "errors";

type Found<'t> = Option<&'t Spanned<DeValue<'t>>>;

/// Returns all parts of a configuration.
pub(super) fn parts(text: &str, around: &Surroundings<'_>) -> Vec<Part> {
    let (root, _) = DeTable::parse_recoverable(text);
    let file = crate::config::read(text, &mut Problems::default(), around);
    let names = plan::route_rules(&file).into_iter().map(|route| route.name).collect();
    let lines = text.match_indices('\n').map(|(at, _)| at).collect();
    Builder { root: root.get_ref(), lines, around, names }.parts()
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
        Self {
            prefix: String::new(),
            order: [0; 3],
            depth: 0,
            layer,
            backend: None,
            around: Vec::new(),
            without_backend: false,
        }
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
                Kind::List(item) if item.table().is_some() => parts.extend(self.routes(key, item.table().and_then(schema::table), found)),
                Kind::Boolean | Kind::Integer(..) | Kind::Text(_) | Kind::Word(_) | Kind::Choice(_) | Kind::List(_) | Kind::Either(_) => {
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

/// Returns true if a key that is not set has an effect: the keys that it needs are there.
fn applies(key: &KeyInfo, beside: Option<&DeTable<'_>>, place: &Place<'_>) -> bool {
    let has = |table: Option<&DeTable<'_>>, name: &str| table.is_some_and(|table| table.get(name).is_some());
    key.with.iter().all(|with| match with.strip_prefix("../") {
        Some(name) => place.around.last().is_some_and(|table| has(*table, name)),
        // Only a route has the key `backend`.
        None if with == "backend" => !place.without_backend,
        None => has(beside, with),
    })
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
