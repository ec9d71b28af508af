//! Random batches and questions: all stores give the same answers as the one in memory.

use lockgate::journal::entry::Entry;
use lockgate::journal::query::{CountQuery, Cursor, Filter, Group, GroupOrder, GroupQuery, GroupState, ListQuery, Purge, Step};
use lockgate::journal::store::Store;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::conformance::{memory, postgres, sqlite};
use super::entry;

/// How many random stories are told.
const CASES: u32 = 24;

#[derive(Clone, Debug)]
enum Act {
    Write(Vec<Entry>),
    State(String, GroupState),
    Purge(Purge),
}

fn an_entry() -> impl Strategy<Value = Entry> {
    let names = (0u8..60, 0u64..40, 0u8..3, 0u8..3, 0u8..4, 400u16..405);
    let texts = (
        "[a-c]{1,3}( [a-c0-2]{1,4}){0,3}",
        proptest::option::of("[A-C\u{e4}\u{c4}\u{d55c}]{1,3}( [xy][0-9]{1,2}){0,2}"),
        proptest::option::of("[ef]"),
    );
    (names, texts).prop_map(|((id, at, route, backend, group, status), (message, stack, exception))| Entry {
        route: format!("route{route}"),
        backend: format!("backend{backend}"),
        endpoint: (backend > 0).then(|| format!("endpoint{backend}")),
        fingerprint: format!("group{group}"),
        status,
        message: Some(message),
        stack,
        exception,
        config: format!("{at}"),
        title: format!("title of id{id} at {at}"),
        ..entry(&format!("id{id}"), at * 20_000)
    })
}

fn an_act() -> impl Strategy<Value = Act> {
    let state = proptest::sample::select(&GroupState::ALL[..]);
    prop_oneof![
        6 => proptest::collection::vec(an_entry(), 0..12).prop_map(Act::Write),
        1 => (0u8..4, state).prop_map(|(group, state)| Act::State(format!("group{group}"), state)),
        1 => (0u8..60).prop_map(|id| Act::Purge(Purge::Request(format!("id{id}")))),
        1 => (0u64..800_000).prop_map(|end| Act::Purge(Purge::Before(end))),
        1 => (0u8..4).prop_map(|group| Act::Purge(Purge::Group(format!("group{group}")))),
    ]
}

fn a_question() -> impl Strategy<Value = ListQuery> {
    let maybe = |text: &'static str| proptest::option::weighted(0.2, text);
    let bounds = (proptest::option::weighted(0.2, 0u64..800_000), proptest::option::weighted(0.2, 0u64..800_000), 1usize..9);
    let names = (maybe("route[0-2]"), maybe("backend[0-2]"), maybe("endpoint[0-2]"), maybe("[ef]"), maybe("group[0-3]"));
    let rest = (
        proptest::option::weighted(0.2, (400u16..405, 0u16..3)),
        proptest::option::weighted(0.5, "[a-cA-Cx\u{e4}0-2]{1,2}( [a-cxy1]{1,2}){0,1}"),
    );
    (bounds, names, rest).prop_map(|((since, until, limit), (route, backend, endpoint, exception, group), (status, text))| {
        let status = status.map(|(first, more)| (first, first + more));
        let filter = Filter { since, until, route, backend, endpoint, status, exception, group, text, ..Filter::default() };
        ListQuery { filter, after: None, limit }
    })
}

/// Everything that a store says.
fn answers(store: &dyn Store, questions: &[ListQuery]) -> Vec<String> {
    let mut all = Vec::new();
    for question in questions {
        let mut query = question.clone();
        // Page by page to the end: the bound is more than there can be.
        for _ in 0..100 {
            let page = store.list(&query).unwrap();
            all.push(format!("{question:?}: {page:?}"));
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
    }
    for order in [GroupOrder::LastSeen, GroupOrder::FirstSeen, GroupOrder::Count] {
        // By one, from the end of the page before.
        let (mut found, mut query) = (Vec::new(), GroupQuery { order, limit: 1, ..GroupQuery::default() });
        for _ in 0..20 {
            let Some(group) = store.groups(&query).unwrap().pop() else { break };
            query.after = Some(Cursor { at: order.rank(&group), id: group.fingerprint.clone() });
            found.push(Group { state_set: 0, ..group });
        }
        let all_at_once = store.groups(&GroupQuery { order, limit: 10, ..GroupQuery::default() }).unwrap();
        assert_eq!(found, all_at_once.into_iter().map(|group| Group { state_set: 0, ..group }).collect::<Vec<_>>());
        all.push(format!("{found:?}"));
    }
    for group in [None, Some("group1".to_owned())] {
        for step in [Step::Minute, Step::Hour] {
            all.push(format!("{:?}", store.counts(&CountQuery { group: group.clone(), since: 0, until: 10_000_000, step }).unwrap()));
        }
    }
    let usage = store.usage().unwrap();
    all.push(format!("{:?}", (usage.entries, usage.oldest)));
    all.extend((0..60).step_by(7).map(|id| format!("{:?}", store.find(&format!("id{id}")).unwrap())));
    all
}

fn act(store: &dyn Store, act: &Act) -> String {
    match act {
        Act::Write(batch) => format!("{:?}", store.write(batch).unwrap()),
        Act::State(group, state) => format!("{:?}", store.set_state(group, *state, 50).unwrap()),
        Act::Purge(what) => format!("{:?}", store.purge(what).unwrap()),
    }
}

fn agree<S: Store, K>(new: impl Fn() -> (S, K)) {
    let story = (proptest::collection::vec(an_act(), 1..8), proptest::collection::vec(a_question(), 1..6));
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let result = runner.run(&story, |(acts, questions)| {
        let (model, (store, _kept)) = (memory(), new());
        for done in &acts {
            prop_assert_eq!(act(&store, done), act(&model, done), "{:?}", done);
        }
        for (said, expected) in answers(&store, &questions).into_iter().zip(answers(&model, &questions)) {
            prop_assert_eq!(said, expected);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn sqlite_agrees_with_memory() {
    agree(|| sqlite("random"));
}

#[test]
fn postgres_agrees_with_memory() {
    agree(|| (postgres(), ()));
}
