//! What holds for every store: one set of tests, called with each of them.

use lockgate::journal::entry::{AttemptEntry, Entry};
use lockgate::journal::memory::MemoryStore;
use lockgate::journal::postgres::PostgresStore;
use lockgate::journal::query::{
    Count, CountQuery, Cursor, Filter, GroupEvent, GroupOrder, GroupQuery, GroupState, ListQuery, MAX_LIMIT, Pruned, Purge, Step,
};
use lockgate::journal::sqlite::SqliteStore;
use lockgate::journal::store::Store;

use super::entry;
use crate::harness::{Temporary, postgres::Postgres};

/// Entries are kept for so long, in milliseconds.
pub(super) const KEEP: u64 = 30 * 24 * 3_600_000;
const ROOM: u64 = 1 << 30;

pub(super) fn memory() -> MemoryStore {
    MemoryStore::new(1 << 30, KEEP)
}

pub(super) fn sqlite(name: &str) -> (SqliteStore, Temporary) {
    let folder = Temporary::folder(&format!("journal-{name}"));
    (SqliteStore::open(&folder.join("journal.sqlite"), ROOM, KEEP).unwrap(), folder)
}

pub(super) fn postgres() -> PostgresStore {
    PostgresStore::new(&Postgres::shared().database(), ROOM, KEEP).unwrap()
}

macro_rules! for_every_store {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&super::memory()); })*
        }
        mod sqlite {
            $(#[test] fn $name() { super::$name(&super::sqlite(stringify!($name)).0); })*
        }
        mod postgres {
            $(#[test] fn $name() { super::$name(&super::postgres()); })*
        }
    };
}

for_every_store! {
    an_entry_is_found_as_it_was_written
    an_empty_store_has_answers
    a_request_id_replaces_its_entry
    lists_are_newest_first_and_pages_meet
    entries_of_one_millisecond_are_ordered_by_id
    filters_restrict
    words_are_found_by_their_beginning
    text_of_any_language_is_found
    groups_count_and_keep_what_came_first
    groups_are_ordered_and_filtered
    a_resolved_group_regresses
    counts_are_by_bucket_backend_and_status
    purge_removes_for_good
    prune_removes_what_is_too_old
    prune_leaves_room_for_batches
    a_purge_is_taken_out_of_the_groups
    a_group_is_purged_with_its_counts
    everything_is_purged
    what_is_only_counted_is_not_kept
    usage_follows
    limits_are_bounded
}

fn ids(store: &dyn Store, query: &ListQuery) -> Vec<String> {
    store.list(query).unwrap().items.into_iter().map(|item| item.request_id).collect()
}

/// Prunes to the end, in steps. Returns the number of entries that were removed.
pub(super) fn prune(store: &dyn Store, now: u64) -> u64 {
    let mut removed = 0;
    for _ in 0..10_000 {
        let step = store.prune(now).unwrap();
        removed += step.removed;
        if !step.more {
            return removed;
        }
    }
    panic!("no end after {removed} entries");
}

fn filtered(store: &dyn Store, filter: Filter) -> Vec<String> {
    ids(store, &ListQuery { filter, limit: 100, ..ListQuery::default() })
}

fn text(store: &dyn Store, words: &str) -> Vec<String> {
    filtered(store, Filter { text: Some(words.into()), ..Filter::default() })
}

fn an_entry_is_found_as_it_was_written(store: &dyn Store) {
    let odd = "\u{0}\u{1}'\"\\%_ \u{1f600} \u{d55c}\u{ae00} \u{202e}\r\n\t".to_owned();
    let full = Entry {
        trace_id: Some("0af7".into()),
        upstream_us: Some(1),
        host: Some("shop.example.test".into()),
        query: Some("q=***".into()),
        request_headers: vec![("accept".into(), "*/*".into()), ("accept".into(), String::new())],
        attempts: vec![AttemptEntry { endpoint: None, status: Some(500), reason: Some(odd.clone()), ..AttemptEntry::default() }],
        cause: Some(odd.clone()),
        upstream_headers: vec![("x".into(), odd.clone())],
        upstream_body: Some(odd.repeat(1000)),
        upstream_truncated: true,
        stack: Some(odd.clone()),
        caused_by: Some(odd.clone()),
        message: Some(odd.clone()),
        answer_headers: vec![("y".into(), "z".into())],
        answer_body: Some("{}".into()),
        ..entry("full", 1000)
    };
    let empty = Entry { request_id: "empty".into(), ..Entry::default() };
    assert_eq!(store.write(&[full.clone(), empty.clone()]).unwrap().len(), 2);
    assert_eq!(store.find("full").unwrap(), Some(full));
    assert_eq!(store.find("empty").unwrap(), Some(empty));
    assert_eq!(store.find("' OR 1=1 --").unwrap(), None);
    let listed = store.list(&ListQuery { limit: 10, ..ListQuery::default() }).unwrap().items;
    assert_eq!(
        (listed.len(), listed[0].endpoint.as_deref(), listed[0].received, listed[1].received),
        (2, Some("10.0.0.1:80"), Some(500), None)
    );
}

fn an_empty_store_has_answers(store: &dyn Store) {
    assert!(store.write(&[]).unwrap().is_empty());
    assert_eq!(store.find("x").unwrap(), None);
    assert!(ids(store, &ListQuery { limit: 10, ..ListQuery::default() }).is_empty());
    assert!(text(store, "x").is_empty());
    assert!(store.groups(&GroupQuery { limit: 10, ..GroupQuery::default() }).unwrap().is_empty());
    assert_eq!(store.group("x").unwrap(), None);
    assert!(!store.set_state("x", GroupState::Known, 0).unwrap());
    assert_eq!(store.purge(&Purge::Request("x".into())).unwrap(), 0);
    assert_eq!(store.prune(KEEP * 2).unwrap(), Pruned::default());
    let usage = store.usage().unwrap();
    assert_eq!((usage.entries, usage.oldest), (0, None));
}

fn a_request_id_replaces_its_entry(store: &dyn Store) {
    let second = Entry { status: 504, message: Some("replaced".into()), fingerprint: "f2".into(), ..entry("a", 90_000) };
    assert_eq!(store.write(&[entry("a", 1000)]).unwrap(), [GroupEvent::New("f1".into())]);
    assert!(store.write(std::slice::from_ref(&second)).unwrap().is_empty());
    assert_eq!(store.find("a").unwrap(), Some(second));
    assert_eq!(filtered(store, Filter::default()), ["a"]);
    assert_eq!((text(store, "replaced").len(), text(store, "closed order").len()), (1, 1));
    // The first one counts, in its group.
    assert_eq!(store.group("f1").unwrap().unwrap().count, 1);
    assert_eq!(store.group("f2").unwrap(), None);
    assert_eq!(store.usage().unwrap().entries, 1);
    // Within one batch, too.
    let twice = [entry("b", 5), Entry { status: 503, ..entry("b", 6) }];
    assert!(store.write(&twice).unwrap().is_empty());
    assert_eq!(store.find("b").unwrap().unwrap().status, 503);
    assert_eq!((store.group("f1").unwrap().unwrap().count, store.usage().unwrap().entries), (2, 2));
}

fn lists_are_newest_first_and_pages_meet(store: &dyn Store) {
    // Not in the order of time.
    let all: Vec<Entry> = (0..25).map(|n| entry(&format!("r{n:02}"), 1000 + (n * 7) % 25 * 10)).collect();
    all.chunks(4).for_each(|batch| drop(store.write(batch).unwrap()));
    let mut expected: Vec<(u64, String)> = all.iter().map(|entry| (entry.at, entry.request_id.clone())).collect();
    expected.sort_by(|a, b| b.cmp(a));
    let (mut found, mut after) = (Vec::new(), None);
    for page in 0..=9 {
        let page = (store.list(&ListQuery { after: after.clone(), limit: 3, ..ListQuery::default() }).unwrap(), page);
        found.extend(page.0.items.iter().map(|item| (item.at, item.request_id.clone())));
        after.clone_from(&page.0.next);
        if after.is_none() {
            assert_eq!(page.1, 8);
            break;
        }
        assert_eq!(page.0.items.len(), 3);
    }
    assert_eq!(found, expected);
    // A full last page has no next one.
    let page = store.list(&ListQuery { limit: 25, ..ListQuery::default() }).unwrap();
    assert_eq!((page.items.len(), page.next), (25, None));
    // A cursor of an entry that is gone still has its place.
    let gone = Cursor { at: expected[3].0, id: format!("{}z", expected[3].1) };
    assert_eq!(ids(store, &ListQuery { after: Some(gone), limit: 1, ..ListQuery::default() }), [expected[3].1.clone()]);
}

fn entries_of_one_millisecond_are_ordered_by_id(store: &dyn Store) {
    let batch: Vec<Entry> = ["m", "a", "Z", "\u{e4}", "0", "\u{d55c}"].iter().map(|id| entry(id, 7)).collect();
    store.write(&batch).unwrap();
    let mut after = None;
    let mut found = Vec::new();
    for _ in 0..6 {
        let page = store.list(&ListQuery { after, limit: 1, ..ListQuery::default() }).unwrap();
        found.extend(page.items.into_iter().map(|item| item.request_id));
        after = page.next;
    }
    assert_eq!((found, after), (["\u{d55c}", "\u{e4}", "m", "a", "Z", "0"].map(str::to_owned).to_vec(), None));
}

fn filters_restrict(store: &dyn Store) {
    let other = Entry {
        route: "pay".into(),
        backend: "bank".into(),
        endpoint: None,
        status: 404,
        code: "not_found".into(),
        reason: String::new(),
        exception: None,
        fingerprint: "f2".into(),
        ..entry("b", 2000)
    };
    store.write(&[entry("a", 1000), other, entry("c", 3000)]).unwrap();
    let is = |change: fn(&mut Filter), expected: &[&str]| {
        let mut filter = Filter::default();
        change(&mut filter);
        assert_eq!(filtered(store, filter.clone()), expected, "{filter:?}");
    };
    is(|f| f.since = Some(2000), &["c", "b"]);
    is(|f| f.until = Some(2000), &["a"]);
    is(|f| (f.since, f.until) = (Some(1001), Some(3000)), &["b"]);
    is(|f| (f.since, f.until) = (Some(2500), Some(2000)), &[]);
    is(|f| f.route = Some("pay".into()), &["b"]);
    is(|f| f.route = Some("Pay".into()), &[]);
    is(|f| f.backend = Some("orders".into()), &["c", "a"]);
    is(|f| f.endpoint = Some("10.0.0.1:80".into()), &["c", "a"]);
    is(|f| f.endpoint = Some(String::new()), &["b"]);
    is(|f| f.status = Some((404, 404)), &["b"]);
    is(|f| f.status = Some((400, 599)), &["c", "b", "a"]);
    is(|f| f.status = Some((500, 599)), &["c", "a"]);
    is(|f| f.code = Some("not_found".into()), &["b"]);
    is(|f| f.reason = Some("http_upstream".into()), &["c", "a"]);
    is(|f| f.reason = Some(String::new()), &["b"]);
    is(|f| f.exception = Some("OrderError".into()), &["c", "a"]);
    is(|f| f.exception = Some(String::new()), &["b"]);
    is(|f| f.group = Some("f2".into()), &["b"]);
    is(|f| (f.route, f.status) = (Some("shop".into()), Some((404, 404))), &[]);
    is(|f| (f.text, f.until) = (Some("closed".into()), Some(3000)), &["b", "a"]);
    is(|f| (f.text, f.route) = (Some("17".into()), Some("pay".into())), &["b"]);
}

fn words_are_found_by_their_beginning(store: &dyn Store) {
    let plain =
        |id: &str| Entry { path: "/".into(), title: String::new(), message: None, exception: None, upstream_body: None, ..entry(id, 1) };
    let mut batch = vec![
        Entry { path: "/carts/ab12".into(), ..plain("path") },
        Entry { title: "Timeout reached".into(), ..plain("title") },
        Entry { message: Some("Deadlock-found".into()), ..plain("message") },
        Entry { exception: Some("com.acme.CartError".into()), ..plain("exception") },
        Entry { stack: Some("at com.acme.Carts.pay(Carts.java:77)".into()), ..plain("stack") },
        Entry { cause: Some("connection refused".into()), ..plain("cause") },
        Entry { caused_by: Some("SocketException: reset".into()), ..plain("caused") },
        Entry { upstream_body: Some("{\"detail\":\"quota_used\"}".into()), ..plain("upstream") },
        Entry { answer_body: Some("<p>sorry</p>".into()), ..plain("answer") },
    ];
    batch.iter_mut().enumerate().for_each(|(at, entry)| entry.at = 100 - at as u64);
    store.write(&batch).unwrap();
    let is = |words: &str, expected: &[&str]| assert_eq!(text(store, words), expected, "{words}");
    is("cart", &["path", "exception", "stack"]);
    is("CART ab1", &["path"]);
    is("ab12", &["path"]);
    is("b12", &[]);
    is("deadlock found", &["message"]);
    is("found-deadlock", &["message"]);
    is("acme 7", &["stack"]);
    is("acme 78", &[]);
    is("refus", &["cause"]);
    is("socketexception", &["caused"]);
    is("quota \"used\"", &["upstream"]);
    is("sorry", &["answer"]);
    is("timeout refused", &[]);
    // What is no word restricts nothing, and is no syntax.
    is("  -- ' \" * ( ) : & | ! ^ ", &["path", "title", "message", "exception", "stack", "cause", "caused", "upstream", "answer"]);
    is("OR", &[]);
    is("NEAR(a b) NOT c", &[]);
}

fn text_of_any_language_is_found(store: &dyn Store) {
    let message = |id: &str, text: &str| Entry { message: Some(text.into()), ..entry(id, 1) };
    store
        .write(&[
            message("de", "GR\u{d6}SSE \u{fc}berschritten"),
            message("ko", "\u{c8fc}\u{bb38}\u{c744} \u{cc3e}\u{c744} \u{c218} \u{c5c6}\u{c2b5}\u{b2c8}\u{b2e4}"),
            message("emoji", "caf\u{e9}\u{1f600}boom"),
        ])
        .unwrap();
    assert_eq!(text(store, "gr\u{f6}ss \u{dc}BER"), ["de"]);
    assert_eq!(text(store, "\u{c8fc}\u{bb38}"), ["ko"]);
    assert_eq!(text(store, "boom caf\u{e9}"), ["emoji"]);
    assert!(text(store, "cafe").is_empty());
}

fn groups_count_and_keep_what_came_first(store: &dyn Store) {
    let first = Entry { config: "a1".into(), title: "first".into(), ..entry("a", 2000) };
    let late = Entry { config: "a2".into(), title: "second".into(), ..entry("b", 1000) };
    let event = vec![GroupEvent::New("f1".into())];
    assert_eq!(store.write(&[first, late]).unwrap(), event);
    assert!(store.write(&[entry("c", 3000), entry("d", 3000)]).unwrap().is_empty());
    let group = store.group("f1").unwrap().unwrap();
    assert_eq!((group.title.as_str(), group.first_config.as_str(), group.count), ("first", "a1", 4));
    assert_eq!((group.first_seen, group.last_seen, group.last_request_id.as_str()), (1000, 3000, "d"));
    assert_eq!((group.route.as_str(), group.backend.as_str(), group.code.as_str()), ("shop", "orders", "upstream_error"));
    assert_eq!((group.exception.as_deref(), group.reason.as_str(), group.state), (Some("OrderError"), "http_upstream", GroupState::New));
    // A group outlives its entries.
    prune(store, KEEP * 2);
    assert_eq!((store.usage().unwrap().entries, store.group("f1").unwrap().unwrap().count), (0, 4));
}

fn groups_are_ordered_and_filtered(store: &dyn Store) {
    let of = |group: &str, id: &str, at: u64, route: &str| Entry { fingerprint: group.into(), route: route.into(), ..entry(id, at) };
    let batch =
        [of("x", "1", 100, "shop"), of("y", "2", 50, "pay"), of("y", "3", 300, "pay"), of("z", "4", 200, "shop"), of("y", "5", 60, "pay")];
    assert_eq!(store.write(&batch).unwrap().len(), 3);
    let names = |query: GroupQuery| -> String {
        store.groups(&query).unwrap().into_iter().map(|group| group.fingerprint).collect::<Vec<_>>().join(" ")
    };
    let all = GroupQuery { limit: 10, ..GroupQuery::default() };
    assert_eq!(names(all.clone()), "y z x");
    assert_eq!(names(GroupQuery { order: GroupOrder::FirstSeen, ..all.clone() }), "z x y");
    assert_eq!(names(GroupQuery { order: GroupOrder::Count, ..all.clone() }), "y x z");
    assert_eq!(names(GroupQuery { offset: 1, limit: 1, ..all.clone() }), "z");
    for order in [GroupOrder::LastSeen, GroupOrder::FirstSeen, GroupOrder::Count] {
        let whole = names(GroupQuery { order, ..all.clone() });
        let (mut found, mut after) = (Vec::new(), None);
        for _ in 0..10 {
            let Some(group) = store.groups(&GroupQuery { order, after, limit: 1, ..all.clone() }).unwrap().pop() else { break };
            after = Some(Cursor { at: order.rank(&group), id: group.fingerprint.clone() });
            found.push(group.fingerprint);
        }
        assert_eq!(found.join(" "), whole, "{order:?}");
    }
    assert_eq!(names(GroupQuery { since: Some(200), ..all.clone() }), "y z");
    assert_eq!(names(GroupQuery { route: Some("shop".into()), ..all.clone() }), "z x");
    assert_eq!(names(GroupQuery { backend: Some("none".into()), ..all.clone() }), "");
    assert!(store.set_state("x", GroupState::Muted, 0).unwrap());
    assert!(store.set_state("z", GroupState::Known, 0).unwrap());
    assert_eq!(names(GroupQuery { states: vec![GroupState::Muted, GroupState::Known], ..all.clone() }), "z x");
    assert_eq!(names(GroupQuery { states: vec![GroupState::New], ..all }), "y");
}

fn a_resolved_group_regresses(store: &dyn Store) {
    store.write(&[entry("a", 1)]).unwrap();
    for state in GroupState::ALL {
        store.set_state("f1", state, 1).unwrap();
        assert_eq!(store.group("f1").unwrap().unwrap().state, state);
    }
    store.set_state("f1", GroupState::Resolved, 100).unwrap();
    // They had begun before, and failed after.
    assert!(store.write(&[entry("y", 2), entry("z", 99)]).unwrap().is_empty());
    assert_eq!(store.group("f1").unwrap().map(|group| (group.state, group.count)), Some((GroupState::Resolved, 3)));
    assert_eq!(store.write(&[entry("b", 100), entry("c", 101)]).unwrap(), [GroupEvent::Regressed("f1".into())]);
    assert_eq!(store.group("f1").unwrap().unwrap().state, GroupState::Regressed);
    assert!(store.write(&[entry("d", 4)]).unwrap().is_empty());
    // What is muted stays so.
    store.set_state("f1", GroupState::Muted, 5).unwrap();
    assert!(store.write(&[entry("e", 5)]).unwrap().is_empty());
    assert_eq!(store.group("f1").unwrap().unwrap().state, GroupState::Muted);
}

fn counts_are_by_bucket_backend_and_status(store: &dyn Store) {
    let hour = 3_600_000;
    let other = |id: &str, at: u64| Entry { backend: "bank".into(), status: 504, fingerprint: "f2".into(), ..entry(id, at) };
    store.write(&[entry("a", hour + 1), entry("b", hour + 59_999), entry("c", hour + 60_000), other("d", hour + 5)]).unwrap();
    store.write(&[entry("e", hour + 2), other("f", 2 * hour), entry("a", hour + 3)]).unwrap();
    let count = |at: u64, backend: &str, status: u16, count: u64| Count { at, backend: backend.into(), status, count };
    let minutes = CountQuery { group: None, since: 0, until: 3 * hour, step: Step::Minute };
    let all = [
        count(hour, "bank", 504, 1),
        count(hour, "orders", 502, 3),
        count(hour + 60_000, "orders", 502, 1),
        count(2 * hour, "bank", 504, 1),
    ];
    assert_eq!(store.counts(&minutes).unwrap(), all);
    assert_eq!(store.counts(&CountQuery { group: Some("f2".into()), ..minutes.clone() }).unwrap(), [all[0].clone(), all[3].clone()]);
    // From the bucket of `since` to the one before that of `until`.
    assert_eq!(store.counts(&CountQuery { since: hour + 60_001, until: 2 * hour + 1, ..minutes.clone() }).unwrap(), all[2..3]);
    let hours = store.counts(&CountQuery { step: Step::Hour, ..minutes }).unwrap();
    assert_eq!(hours, [count(hour, "bank", 504, 1), count(hour, "orders", 502, 4), count(2 * hour, "bank", 504, 1)]);
}

fn purge_removes_for_good(store: &dyn Store) {
    store.write(&[entry("a", 10), entry("b", 20), entry("c", 30), entry("d", 40)]).unwrap();
    assert_eq!(store.purge(&Purge::Request("c".into())).unwrap(), 1);
    assert_eq!(store.purge(&Purge::Request("c".into())).unwrap(), 0);
    assert_eq!(store.find("c").unwrap(), None);
    assert_eq!(store.purge(&Purge::Before(20)).unwrap(), 1);
    assert_eq!(filtered(store, Filter::default()), ["d", "b"]);
    assert_eq!(text(store, "closed"), ["d", "b"]);
    assert_eq!(store.usage().unwrap().entries, 2);
    // An id that was removed may be written again.
    store.write(&[entry("c", 30)]).unwrap();
    assert_eq!(text(store, "closed"), ["d", "c", "b"]);
}

fn prune_removes_what_is_too_old(store: &dyn Store) {
    let now = KEEP + 1_000_000_000;
    let old = |n: u64| entry(&format!("old{n}"), now - KEEP - 1 - n);
    store.write(&(0..2500).map(old).collect::<Vec<_>>()).unwrap();
    store.write(&[entry("edge", now - KEEP), entry("new", now)]).unwrap();
    prune(store, now);
    assert_eq!(filtered(store, Filter::default()), ["new", "edge"]);
    assert_eq!(store.usage().unwrap().entries, 2);
    let counts = |step: Step| store.counts(&CountQuery { group: None, since: 0, until: now + step.millis(), step }).unwrap();
    let first = |step: Step| counts(step).first().map(|count| count.at).unwrap();
    assert!(first(Step::Minute) >= now - Step::Minute.kept() && first(Step::Hour) >= now - Step::Hour.kept());
    assert_eq!(counts(Step::Minute).len(), 1);
}

fn prune_leaves_room_for_batches(store: &dyn Store) {
    let now = KEEP + 1_000_000_000;
    store.write(&(0..5000).map(|n| entry(&format!("old{n}"), n)).collect::<Vec<_>>()).unwrap();
    let mut written = 0;
    for step in 0..100 {
        let Pruned { removed, more } = store.prune(now).unwrap();
        assert!(removed <= 2000, "{removed} entries in one step");
        // A batch is written between any two steps.
        store.write(&[entry(&format!("new{step}"), now)]).unwrap();
        assert!(store.find(&format!("new{step}")).unwrap().is_some());
        written += 1;
        if !more {
            break;
        }
    }
    assert!(written < 100, "the last step said that there is more");
    assert_eq!(store.usage().unwrap().entries, written);
}

fn sum(store: &dyn Store, group: Option<&str>) -> u64 {
    let query = CountQuery { group: group.map(str::to_owned), since: 0, until: 1 << 40, step: Step::Minute };
    store.counts(&query).unwrap().into_iter().map(|count| count.count).sum()
}

fn a_purge_is_taken_out_of_the_groups(store: &dyn Store) {
    let titled = |id: &str, at: u64| Entry { title: format!("title of {id}"), ..entry(id, at) };
    let other = Entry { fingerprint: "f2".into(), ..titled("other", 25) };
    store.write(&[titled("a", 10), titled("b", 20), other, titled("c", 30), titled("d", 40)]).unwrap();
    store.purge(&Purge::Before(20)).unwrap();
    let group = store.group("f1").unwrap().unwrap();
    assert_eq!((group.count, group.title.as_str(), group.last_request_id.as_str()), (3, "title of b", "d"));
    store.purge(&Purge::Request("d".into())).unwrap();
    let group = store.group("f1").unwrap().unwrap();
    assert_eq!((group.count, group.last_request_id.as_str(), group.last_seen), (2, "c", 30));
    assert_eq!((sum(store, Some("f1")), sum(store, None)), (2, 3));
    // The last entry takes its group with it.
    store.purge(&Purge::Request("other".into())).unwrap();
    assert_eq!((store.group("f2").unwrap(), sum(store, Some("f2")), sum(store, None)), (None, 0, 2));
}

fn a_group_is_purged_with_its_counts(store: &dyn Store) {
    let of = |group: &str, id: u64| Entry { fingerprint: group.into(), ..entry(&format!("{group}-{id}"), id) };
    store.write(&(0..1200).map(|n| of("f1", n)).collect::<Vec<_>>()).unwrap();
    store.write(&(0..3).map(|n| of("f2", n)).collect::<Vec<_>>()).unwrap();
    assert_eq!(store.purge(&Purge::Group("f1".into())).unwrap(), 1200);
    assert_eq!((store.group("f1").unwrap(), sum(store, Some("f1")), sum(store, None)), (None, 0, 3));
    assert_eq!((text(store, "closed").len(), store.usage().unwrap().entries), (3, 3));
    assert_eq!(store.purge(&Purge::Group("f1".into())).unwrap(), 0);
    // Without its entries, too.
    prune(store, KEEP * 2);
    assert_eq!((store.purge(&Purge::Group("f2".into())).unwrap(), store.group("f2").unwrap()), (0, None));
}

fn everything_is_purged(store: &dyn Store) {
    store.write(&(0..1200).map(|n| entry(&format!("r{n}"), n)).collect::<Vec<_>>()).unwrap();
    assert_eq!(store.purge(&Purge::All).unwrap(), 1200);
    assert_eq!((store.usage().unwrap().entries, store.group("f1").unwrap(), sum(store, None)), (0, None, 0));
    store.write(&[entry("new", 5)]).unwrap();
    assert_eq!((text(store, "closed").len(), store.group("f1").unwrap().unwrap().count), (1, 1));
}

fn what_is_only_counted_is_not_kept(store: &dyn Store) {
    let counted = |id: &str, at: u64| Entry { counted_only: true, ..entry(id, at) };
    assert_eq!(store.write(&[entry("a", 1), counted("b", 2)]).unwrap().len(), 1);
    assert!(store.write(&[counted("c", 3)]).unwrap().is_empty());
    let group = store.group("f1").unwrap().unwrap();
    assert_eq!((group.count, group.last_seen, group.last_request_id.as_str()), (3, 3, "a"));
    assert_eq!((sum(store, None), store.usage().unwrap().entries), (3, 1));
    assert_eq!((store.find("b").unwrap(), filtered(store, Filter::default())), (None, vec!["a".to_owned()]));
}

fn usage_follows(store: &dyn Store) {
    let empty = store.usage().unwrap();
    let noise = |n: u64| Entry {
        upstream_body: Some((0..2000).map(|i| format!("{:x} ", (n + 1) * 7919 * (i + 1))).collect()),
        ..entry(&format!("r{n}"), 500 + n)
    };
    store.write(&(0..20).map(noise).collect::<Vec<_>>()).unwrap();
    let full = store.usage().unwrap();
    assert_eq!((full.entries, full.oldest), (20, Some(500)));
    assert!(full.bytes > empty.bytes + 20 * 1000, "{empty:?} {full:?}");
    store.purge(&Purge::Before(510)).unwrap();
    let left = store.usage().unwrap();
    assert_eq!((left.entries, left.oldest), (10, Some(510)));
    assert!(left.bytes < full.bytes, "{left:?} {full:?}");
}

fn limits_are_bounded(store: &dyn Store) {
    let batch: Vec<Entry> =
        (0..MAX_LIMIT as u64 + 20).map(|n| Entry { fingerprint: format!("f{n}"), ..entry(&format!("r{n}"), n) }).collect();
    store.write(&batch).unwrap();
    let page = store.list(&ListQuery { limit: usize::MAX, ..ListQuery::default() }).unwrap();
    assert_eq!((page.items.len(), page.next.is_some()), (MAX_LIMIT, true));
    assert_eq!(store.groups(&GroupQuery { limit: usize::MAX, ..GroupQuery::default() }).unwrap().len(), MAX_LIMIT);
    let none = store.list(&ListQuery::default()).unwrap();
    assert_eq!((none.items.len(), none.next), (0, None));
}
