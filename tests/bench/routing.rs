//! The look-up of a route in a table of one rule, and in one of 10,000 rules of every kind. The look-up must not depend on their number.
#![allow(clippy::expect_used, reason = "the rules of a bench are valid")]

use std::net::IpAddr;

use divan::{Bencher, black_box};
use http::Method;
use lockgate::header::HeaderList;
use lockgate::policy::Scheme;
use lockgate::route::{Asked, Conditions, Match, Pattern, Query, Table};

fn main() {
    divan::main();
}

/// A kind of rule, and a path that the rule with a number matches.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Exact,
    Prefix,
    Captures,
    Expression,
}

const KINDS: [Kind; 4] = [Kind::Exact, Kind::Prefix, Kind::Captures, Kind::Expression];

fn rule(kind: Kind, number: usize) -> Match {
    let path = match kind {
        Kind::Exact => Pattern::of_path(&format!("/exact{number}/orders")).ok(),
        Kind::Prefix => Pattern::of_path(&format!("/prefix{number}/orders/*")).ok(),
        Kind::Captures => Pattern::of_path(&format!("/captures{number}/{{id}}/orders")).ok(),
        Kind::Expression => Pattern::of_expression(&format!("/expression{number}/[0-9]+/(?<page>[a-z]+)")).ok(),
    };
    Match { host: None, path: path.expect("a valid path"), methods: None, conditions: Conditions::default() }
}

fn path(kind: Kind, number: usize) -> String {
    match kind {
        Kind::Exact => format!("/exact{number}/orders"),
        Kind::Prefix => format!("/prefix{number}/orders/7/items"),
        Kind::Captures => format!("/captures{number}/7/orders"),
        Kind::Expression => format!("/expression{number}/7/items"),
    }
}

fn find(bencher: Bencher<'_, '_>, rules: Vec<(Match, usize)>, path: &str) {
    let (table, conflicts) = Table::build(rules);
    assert!(conflicts.is_empty());
    let headers = HeaderList::new();
    let asked = Asked {
        host: Some("shop.example.com"),
        path,
        query: Query::default(),
        method: &Method::GET,
        headers: &headers,
        client: IpAddr::from([192, 0, 2, 1]),
        scheme: Scheme::Http,
    };
    bencher.bench_local(|| black_box(table.find(black_box(&asked))) == lockgate::route::Found::Nothing);
}

#[divan::bench(args = KINDS)]
fn one(bencher: Bencher<'_, '_>, kind: Kind) {
    find(bencher, vec![(rule(kind, 1234), 0)], &path(kind, 1234));
}

#[divan::bench(args = KINDS)]
fn ten_thousand(bencher: Bencher<'_, '_>, kind: Kind) {
    let rules = (0..10_000).map(|number| (rule(KINDS[number % 4], number / 4), number)).collect();
    find(bencher, rules, &path(kind, 1234));
}
