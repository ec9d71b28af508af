//! What only the store in a file can show: its end by a signal, damage, a full disk, budgets, other processes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lockgate::journal::entry::Entry;
use lockgate::journal::query::{Filter, ListQuery, Purge};
use lockgate::journal::sqlite::SqliteStore;
use lockgate::journal::store::{Store, StoreError};

use super::conformance::{KEEP, prune};
use super::entry;
use crate::harness::{Temporary, eventually};

const ROOM: u64 = 1 << 30;
/// Names the file of the child below.
const FILE: &str = "LOCKGATE_TEST_JOURNAL";

fn folder(name: &str) -> (Temporary, PathBuf) {
    let folder = Temporary::folder(&format!("journal-file-{name}"));
    let path = folder.join("journal.sqlite");
    (folder, path)
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, ROOM, KEEP).unwrap()
}

fn count(store: &SqliteStore) -> u64 {
    store.usage().unwrap().entries
}

/// A body that hardly compresses.
fn noise(n: u64, words: u64) -> String {
    (0..words)
        .map(|i| format!("{:016x} ", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(i.wrapping_mul(0xbf58_476d_1ce4_e5b9))))
        .collect()
}

/// Not a test: what a child process does. It writes batches of 20 until it is ended, and the number of its last batch into a file.
#[test]
#[ignore = "the child of other tests"]
fn child_that_writes() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let store = open(&path);
    for batch in 0u64.. {
        let entries: Vec<Entry> =
            (0..20).map(|n| Entry { upstream_body: Some(noise(batch * 20 + n, 100)), ..entry(&format!("{batch}-{n}"), batch) }).collect();
        let said = match store.write(&entries) {
            Ok(_) => format!("{}", batch + 1),
            Err(error) => format!("{} {error:?}", batch),
        };
        std::fs::write(path.with_extension("said"), said).unwrap();
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
}

struct Writes(Child);

impl Writes {
    fn start(path: &Path, limit: &str) -> Self {
        // A limit on files ends a process with a signal unless that is ignored.
        let line = format!("trap '' XFSZ; {limit} exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &line]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "journal::sqlite::child_that_writes", "--ignored", "--nocapture"]);
        Self(command.env(FILE, path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn said(path: &Path) -> String {
    std::fs::read_to_string(path.with_extension("said")).unwrap_or_default()
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    let (_folder, path) = folder("kill");
    for round in 0..4 {
        let _ = std::fs::remove_file(path.with_extension("said"));
        let mut child = Writes::start(&path, "");
        eventually("the child writes", || said(&path).parse::<u64>().is_ok_and(|batches| batches > 3 + round * 5));
        child.kill();
        let batches: u64 = said(&path).parse().unwrap_or_default();
        let store = open(&path);
        assert_eq!(store.moved_aside(), None);
        for batch in 0..batches {
            assert!(store.find(&format!("{batch}-19")).unwrap().is_some(), "round {round}: batch {batch} of {batches}");
        }
        // A batch is there as a whole or not at all, and all sums are right.
        let entries = count(&store);
        assert_eq!(entries % 20, 0);
        let all = ListQuery { limit: 1000, ..ListQuery::default() };
        assert_eq!(store.list(&all).unwrap().items.len() as u64, entries.min(1000));
        let found = ListQuery { filter: Filter { text: Some("closed".into()), ..Filter::default() }, limit: 1000, ..ListQuery::default() };
        assert_eq!(store.list(&found).unwrap().items.len() as u64, entries.min(1000));
        assert_eq!(store.purge(&Purge::Before(u64::MAX)).unwrap(), entries);
    }
}

#[test]
fn a_full_disk_is_said_and_left_behind() {
    let (_folder, path) = folder("full");
    // 2 MB, in blocks of 512 bytes.
    let mut child = Writes::start(&path, "ulimit -S -f 4096;");
    eventually("the disk is full", || said(&path).contains("Full("));
    let full: u64 = said(&path).split(' ').next().unwrap().parse().unwrap();
    let limits = ["--pid", &child.0.id().to_string(), "--fsize=unlimited:unlimited"].map(str::to_owned);
    assert!(Command::new("prlimit").args(limits).status().unwrap().success());
    eventually("the child writes again", || said(&path).parse::<u64>().is_ok_and(|batches| batches > full + 3));
    child.kill();
    let store = open(&path);
    assert!(store.moved_aside().is_none() && store.find("0-0").unwrap().is_some());
}

#[test]
fn a_file_that_is_no_journal_is_moved_aside() {
    let contents: [(&str, &[u8]); 3] =
        [("text", b"hello, this is no database at all"), ("zeros", &[0; 8192]), ("head", b"SQLite format 3\0 and then nothing")];
    for (name, content) in contents {
        let (folder, path) = folder(&format!("foreign-{name}"));
        std::fs::write(&path, content).unwrap();
        let store = open(&path);
        let aside = store.moved_aside().unwrap_or_else(|| panic!("{name}")).to_owned();
        assert_eq!(std::fs::read(&aside).unwrap(), content);
        assert!(aside.starts_with(&*folder) && aside.to_string_lossy().contains(".damaged-2"));
        store.write(&[entry("a", 1)]).unwrap();
        drop(store);
        let store = open(&path);
        assert_eq!((store.moved_aside(), count(&store)), (None, 1));
    }
}

#[test]
fn a_database_of_someone_else_is_moved_aside() {
    let (_folder, path) = folder("other");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE orders (id); INSERT INTO orders VALUES (7)").unwrap();
    drop(other);
    let store = open(&path);
    let aside = rusqlite::Connection::open(store.moved_aside().unwrap()).unwrap();
    assert_eq!(aside.query_row("SELECT id FROM orders", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
}

#[test]
fn a_damaged_journal_is_moved_aside() {
    let (_folder, path) = folder("damaged");
    let store = open(&path);
    store.write(&(0..500).map(|n| Entry { upstream_body: Some(noise(n, 50)), ..entry(&format!("r{n}"), n) }).collect::<Vec<_>>()).unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[8192..length - 8192].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let store = open(&path);
    assert!(store.moved_aside().is_some());
    store.write(&[entry("new", 1)]).unwrap();
    assert_eq!(count(&store), 1);
}

#[test]
fn damage_while_it_is_open_is_left_behind() {
    let (_folder, path) = folder("damaged-open");
    let store = open(&path);
    let batch = |from: u64| {
        (from..from + 3000).map(|n| Entry { upstream_body: Some(noise(n, 100)), ..entry(&format!("r{n}"), n) }).collect::<Vec<_>>()
    };
    store.write(&batch(0)).unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let damage = vec![0xa5; 4096];
    for page in 1..bytes / 4096 {
        std::os::unix::fs::FileExt::write_all_at(&file, &damage, page * 4096).unwrap();
    }
    // What the connection remembers may be enough for some batches.
    let written = (1..50).find(|round| {
        store.write(&batch(round * 3000)).unwrap();
        count(&store) == 3000
    });
    assert!(written.is_some(), "the damage was never found");
    let aside = std::fs::read_dir(path.parent().unwrap()).unwrap().flatten();
    assert!(aside.into_iter().any(|entry| entry.file_name().to_string_lossy().contains(".damaged-")));
}

#[test]
fn a_journal_of_a_later_version_is_left_alone() {
    let (_folder, path) = folder("later");
    drop(open(&path));
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let error = SqliteStore::open(&path, ROOM, KEEP).unwrap_err().to_string();
    assert!(error.contains("later version"), "{error}");
    assert!(SqliteStore::open_read_only(&path).unwrap_err().to_string().contains("later version"));
}

#[test]
fn a_missing_folder_is_named() {
    let error = SqliteStore::open(Path::new("/nowhere/at/all/journal.sqlite"), ROOM, KEEP).unwrap_err().to_string();
    assert!(error.contains("there is no folder /nowhere/at/all"), "{error}");
}

#[test]
fn one_process_writes() {
    let (_folder, path) = folder("twice");
    let first = open(&path);
    let error = SqliteStore::open(&path, ROOM, KEEP).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { .. }) && error.to_string().contains("used by another process"), "{error}");
    drop(first);
    open(&path);
}

#[test]
fn only_its_owner_reads_the_file() {
    let (_folder, path) = folder("mode");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(&path);
    store.write(&[entry("a", 1)]).unwrap();
    for end in ["", "-wal", "-shm", "-lock"] {
        let file = path.with_extension(format!("sqlite{end}"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn others_read_while_it_is_written() {
    let (_folder, path) = folder("read-only");
    assert!(SqliteStore::open_read_only(&path).unwrap_err().to_string().contains("there is no file"));
    let store = open(&path);
    let reader = SqliteStore::open_read_only(&path).unwrap();
    store.write(&[entry("a", 1)]).unwrap();
    assert!(reader.find("a").unwrap().is_some());
    assert!(reader.write(&[entry("b", 1)]).is_err() && reader.purge(&Purge::Before(9)).is_err());
    drop((store, reader));
    assert!(SqliteStore::open_read_only(&path).unwrap().find("a").unwrap().is_some());
    let other = path.with_extension("txt");
    std::fs::write(&other, "no database").unwrap();
    assert!(SqliteStore::open_read_only(&other).is_err());
}

#[test]
fn the_file_stays_within_its_budget() {
    let (_folder, path) = folder("budget");
    let budget = 4 << 20;
    let store = SqliteStore::open(&path, budget, KEEP).unwrap();
    for batch in 0..60u64 {
        let entries: Vec<Entry> =
            (0..100).map(|n| batch * 100 + n).map(|n| Entry { upstream_body: Some(noise(n, 100)), ..entry(&format!("r{n}"), n) }).collect();
        store.write(&entries).unwrap();
        // Between two prunes, too.
        assert!(store.usage().unwrap().bytes < budget + (2 << 20), "{batch}: {:?}", store.usage());
    }
    prune(&store, 6000);
    let usage = store.usage().unwrap();
    assert!(usage.bytes <= budget && usage.entries > 100 && usage.oldest > Some(3000), "{usage:?}");
    // The newest stay.
    assert!(store.find("r5999").unwrap().is_some() && store.find("r0").unwrap().is_none());
    drop(store);
    assert!(std::fs::metadata(&path).unwrap().len() < budget + (4 << 20));
}

#[test]
fn old_entries_go_in_steps() {
    let (_folder, path) = folder("steps");
    let store = open(&path);
    store.write(&(0..1800).map(|n| Entry { upstream_body: Some(noise(n, 50)), ..entry(&format!("r{n}"), n) }).collect::<Vec<_>>()).unwrap();
    let mut steps = Vec::new();
    while steps.len() < 1000 {
        let step = store.prune(KEEP + 5000).unwrap();
        steps.push(step.removed);
        if !step.more {
            break;
        }
    }
    assert_eq!(steps[..4], [500, 500, 500, 300], "{steps:?}");
    assert!(steps.len() < 100 && count(&store) == 0, "{steps:?}");
}

#[test]
fn a_file_that_is_removed_or_emptied_is_begun_anew() {
    type Loss = fn(&Path);
    let losses: [(&str, Loss); 2] =
        [("removed", |path| std::fs::remove_file(path).unwrap()), ("emptied", |path| std::fs::write(path, "").unwrap())];
    for (name, lose) in losses {
        let (_folder, path) = folder(name);
        let store = open(&path);
        store.write(&[entry("before", 4)]).unwrap();
        prune(&store, 5);
        assert_eq!(count(&store), 1, "{name}: it is still there");
        lose(&path);
        prune(&store, 5);
        store.write(&[entry("after", 5)]).unwrap();
        drop(store);
        assert!(open(&path).find("after").unwrap().is_some(), "{name}");
    }
}

#[test]
fn a_purge_tells_that_a_reader_keeps_the_log() {
    let (_folder, path) = folder("purge-reader");
    let store = open(&path);
    store.write(&[entry("first", 4), entry("second", 5)]).unwrap();
    let reader = rusqlite::Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM entries", [], |row| row.get::<_, i64>(0)).unwrap();
    let told = store.purge(&Purge::Request("first".into())).unwrap_err().to_string();
    assert!(told.contains("another program reads it"), "{told}");
    // Batches are written in between and afterwards.
    store.write(&[entry("third", 6)]).unwrap();
    drop(reader);
    assert_eq!(store.purge(&Purge::Request("second".into())).unwrap(), 1);
    assert_eq!(std::fs::metadata(path.with_file_name("journal.sqlite-wal")).unwrap().len(), 0);
}

#[test]
fn what_is_purged_is_not_in_the_file() {
    let (_folder, path) = folder("purge");
    let store = open(&path);
    let secret = Entry { path: "/zqxjkvbsecretpath".into(), title: "zqxjkvbtitle9".into(), ..entry("zqxjkvbid", 5) };
    store.write(&[entry("first", 4), secret]).unwrap();
    store.write(&(0..50).map(|n| entry(&format!("r{n}"), n)).collect::<Vec<_>>()).unwrap();
    assert_eq!(store.purge(&Purge::Request("zqxjkvbid".into())).unwrap(), 1);
    drop(store);
    let bytes = std::fs::read(&path).unwrap();
    let left = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    // Its group names no request of its own but the last one.
    assert!(left("r49"));
    assert_eq!(["zqxjkvbsecretpath", "zqxjkvbid", "zqxjkvbtitle9"].map(left), [false; 3]);
}

#[test]
fn what_is_purged_while_others_are_written_is_not_in_the_file() {
    let (_folder, path) = folder("purge-busy");
    let store = open(&path);
    let secret = |n: u64| Entry {
        path: format!("/zqxjkvbpath{n}"),
        title: format!("zqxjkvbtitle{n}"),
        exception: Some("ZqxjkvbError".into()),
        fingerprint: "secret".into(),
        stack: Some("at zqxjkvb.frame".into()),
        ..entry(&format!("zqxjkvbid{n}"), n)
    };
    for batch in 0..20u64 {
        let secrets = (batch * 50..batch * 50 + 50).map(secret);
        let others = (0..50).map(|n| Entry { upstream_body: Some(noise(batch * 50 + n, 20)), ..entry(&format!("r{batch}-{n}"), n) });
        store.write(&secrets.chain(others).collect::<Vec<_>>()).unwrap();
    }
    // Pruning leaves what it removes in pages that are free.
    prune(&store, KEEP + 40);
    let ended = std::sync::atomic::AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) && written < 10_000 {
                store.write(&[entry(&format!("w{written}"), 9000)]).unwrap();
                written += 1;
            }
            written
        });
        // The oldest ones of the thousand are pruned.
        assert_eq!(store.purge(&Purge::Group("secret".into())).unwrap(), 960);
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(written > 0 && store.find("w0").unwrap().is_some());
    for file in [path.clone(), path.with_extension("sqlite-wal")] {
        let bytes = std::fs::read(&file).unwrap().to_ascii_lowercase();
        let at = bytes.windows(7).position(|part| part == b"zqxjkvb");
        assert_eq!(at, None, "{}", file.display());
    }
}
