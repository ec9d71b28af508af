//! Tests the dashboard and the alerts below `deploy`: they name only metrics and labels that exist, the tool of Prometheus accepts all
//! queries, and every alert has a test and says what to do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lockgate::observe::names::Metric;
use serde_json::Value;

use super::{assert_accepted, metric_of, promtool};
use crate::harness::Temporary;

/// Labels that Prometheus adds to all samples, or that alerts have.
const ADDED: [&str; 3] = ["job", "instance", "le"];
/// What the variables of the dashboard are in a query.
const VARIABLES: [(&str, &str); 5] =
    [("$__rate_interval", "5m"), ("$job", ".*"), ("$instance", ".*"), ("$route", ".*"), ("$backend", ".*")];

fn deployed(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

/// The names in a query that look like those of metrics, with what follows each.
fn named(query: &str) -> Vec<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for prefix in ["lockgate_", "process_"] {
        for (at, _) in query.match_indices(prefix) {
            if !query[..at].ends_with(is_name) {
                let rest = &query[at..];
                found.push(rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len())));
            }
        }
    }
    found
}

/// The labels that the matchers of a selector name; what follows is not read.
fn matched(behind: &str) -> Vec<&str> {
    let Some(matchers) = behind.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { return Vec::new() };
    matchers.0.split(',').filter_map(|matcher| Some(matcher[..matcher.find(['=', '!'])?].trim())).collect()
}

/// The labels that a query groups by or joins on.
fn grouped(query: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for word in ["by (", "on (", "without ("] {
        for part in query.split(word).skip(1) {
            found.extend(part.split(')').next().unwrap().split(',').map(str::trim));
        }
    }
    found.retain(|label| !label.is_empty());
    found
}

/// Asserts that all metrics and labels of a query exist. Returns the metrics.
fn assert_exists(query: &str) -> Vec<&'static Metric> {
    let mut metrics = Vec::new();
    for (name, behind) in named(query) {
        let metric = metric_of(name).unwrap_or_else(|| panic!("there is no metric {name}: {query}"));
        for label in matched(behind) {
            let exists = ADDED.contains(&label) || metric.labels.iter().any(|own| own.name == label);
            assert!(exists, "{name} has no label {label}: {query}");
        }
        metrics.push(metric);
    }
    assert!(!metrics.is_empty(), "{query}");
    for label in grouped(query) {
        let exists = ADDED.contains(&label) || metrics.iter().any(|metric| metric.labels.iter().any(|own| own.name == label));
        assert!(exists, "no metric has the label {label}: {query}");
    }
    metrics
}

/// The strings below a key, anywhere in a document.
fn strings<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| match member.as_str().filter(|_| name == key) {
            Some(text) => found.push(text),
            None => strings(member, key, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| strings(item, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_dashboard_and_the_examples_name_what_exists() {
    let (_, text) = deployed("grafana/lockgate.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let (mut queries, mut definitions, mut legends) = (Vec::new(), Vec::new(), Vec::new());
    strings(&dashboard, "expr", &mut queries);
    strings(&dashboard, "definition", &mut definitions);
    assert!(queries.len() > 40 && definitions.len() == 4);
    queries.extend(lockgate::observe::names::all().map(|metric| metric.query).filter(|query| !query.is_empty()));
    for query in definitions {
        let (selector, label) = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
        let metrics = assert_exists(selector);
        assert!(ADDED.contains(&label) || metrics[0].labels.iter().any(|own| own.name == label), "{query}");
    }
    let replaced = |query: &str| VARIABLES.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (at, query) in queries.iter().enumerate() {
        assert_exists(&replaced(query));
        rules += &format!("      - record: query:{at}\n        expr: {}\n", serde_json::Value::from(replaced(query)));
    }
    let file = Temporary::file("metrics-dashboard.yml", &rules);
    assert_accepted(&["check", "rules", &file.display().to_string()], "");
    // A legend shows a label that its query keeps.
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(panel["type"] == "row" || panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{}", panel["title"]);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let (query, legend) = (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
            let shown: Vec<&str> = legend.split("{{").skip(1).map(|part| part.split("}}").next().unwrap()).collect();
            for label in &shown {
                let kept = query.contains(" by (").then(|| grouped(query).contains(label));
                let of_metric = || *label == "instance" || named(query).iter().any(|(_, behind)| matched(behind).contains(label));
                assert!(kept.unwrap_or_else(of_metric), "{label} of {legend}: {query}");
            }
            legends.push(shown);
        }
    }
    assert!(legends.iter().any(|shown| !shown.is_empty()));
}

/// One alert of the file.
struct Alert<'t> {
    name: &'t str,
    text: &'t str,
}

fn alerts(text: &str) -> Vec<Alert<'_>> {
    let found = text.split("- alert: ").skip(1).map(|block| Alert { name: block.lines().next().unwrap().trim(), text: block });
    found.collect()
}

impl Alert<'_> {
    /// The value of a key of one line.
    fn value(&self, key: &str) -> &str {
        let line = self.text.lines().find_map(|line| line.trim().strip_prefix(&format!("{key}: ")));
        line.unwrap_or_else(|| panic!("{} has no {key}", self.name))
    }

    /// The query, which may have several lines.
    fn query(&self) -> String {
        let (_, rest) = self.text.split_once("expr: ").unwrap();
        rest.lines()
            .take_while(|line| !line.trim().starts_with("for: ") && !line.trim().starts_with("labels:"))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[test]
fn alerts_name_what_exists_and_say_what_to_do() {
    let (path, text) = deployed("prometheus/alerts.yml");
    assert_accepted(&["check", "rules", &path.display().to_string()], "");
    let alerts = alerts(&text);
    assert!(alerts.len() >= 20);
    for alert in &alerts {
        let metrics = assert_exists(&alert.query());
        assert!(["critical", "warning"].contains(&alert.value("severity")), "{}", alert.name);
        let (summary, description) = (alert.value("summary"), alert.value("description"));
        assert!(
            !summary.trim_matches('\'').is_empty() && description.len() > 80 && description.trim_matches('\'').ends_with('.'),
            "{}",
            alert.name
        );
        for label in summary.split("$labels.").skip(1).map(|part| part.split(' ').next().unwrap()) {
            let query = alert.query();
            let kept = match query.contains(" by (") {
                true => grouped(&query).contains(&label),
                false => ADDED.contains(&label) || metrics.iter().any(|metric| metric.labels.iter().any(|own| own.name == label)),
            };
            assert!(kept || metrics.iter().any(|metric| metric.labels.iter().any(|own| own.name == label)), "{} of {}", label, alert.name);
        }
        // The prose names metrics, too.
        for (name, _) in named(description) {
            let histogram = || lockgate::observe::names::all().any(|metric| metric.name == name);
            let exists = metric_of(name).is_some() || histogram();
            assert!(exists, "{} names {name}", alert.name);
        }
    }
}

#[test]
fn every_alert_has_a_test_that_it_fires_and_one_that_it_does_not() {
    let ((_, text), (path, tests)) = (deployed("prometheus/alerts.yml"), deployed("prometheus/alerts_test.yml"));
    let names: BTreeSet<&str> = alerts(&text).iter().map(|alert| alert.name).collect();
    let mut fires = BTreeSet::new();
    let mut silent = BTreeSet::new();
    for block in tests.split("- alertname: ").skip(1) {
        let name = block.lines().next().unwrap();
        if block.contains("exp_alerts: []") {
            silent.insert(name)
        } else {
            fires.insert(name)
        };
    }
    assert_eq!((&fires, &silent), (&names, &names));
    for line in tests.lines().filter_map(|line| line.trim().strip_prefix("- series: ")) {
        assert_exists(line.trim_matches('\''));
    }
    let Some(output) = promtool(&["test", "rules", &path.display().to_string()], "") else { return };
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

/// The checks of this file find what they look for.
#[test]
fn a_name_that_does_not_exist_is_found() {
    for query in [
        "rate(lockgate_no_such_total[5m])",
        "lockgate_requests_total{class=\"5xx\"}",
        "sum by (limit) (lockgate_requests_total)",
        "lockgate_request_duration_seconds",
    ] {
        assert!(std::panic::catch_unwind(|| assert_exists(query)).is_err(), "{query}");
    }
    assert_exists(
        "sum by (route, le) (rate(lockgate_request_duration_seconds_bucket{job=\"a\",route!~\"b\"}[5m])) / on (job) process_open_fds",
    );
}
