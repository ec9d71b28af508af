//! Runs a real PostgreSQL on a free port: one for all tests of the process, ended and removed with it.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{eventually, free};

/// PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

/// A server.
pub struct Postgres {
    pub port: u16,
    programs: PathBuf,
    /// The server ends when this ends: with the process, however it ends.
    held: Option<ChildStdin>,
    child: Child,
}

fn programs() -> PathBuf {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    // Debian keeps the programs of each version apart.
    folders.extend(std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin")));
    let found = folders.iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    let found = found.expect("this test needs initdb and postgres: scripts/test installs them");
    // Some of them may be links to where all are.
    std::fs::canonicalize(found.join("postgres")).unwrap().parent().unwrap().to_owned()
}

/// Makes the folder of a server, which is of nobody if this runs as root. The shell below removes it: a value of a `static` is never dropped.
fn folder(port: u16) -> PathBuf {
    let name = format!("lockgate-{}-postgres-{port}", std::process::id());
    let folder = std::env::temp_dir().join(&name);
    std::fs::create_dir(&folder).unwrap();
    if std::fs::metadata(&folder).unwrap().uid() != 0 {
        return folder;
    }
    // The folder of temporary files may be one that only root enters.
    std::fs::remove_dir(&folder).unwrap();
    let folder = Path::new("/tmp").join(name);
    std::fs::create_dir(&folder).unwrap();
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    folder
}

fn as_nobody(command: &mut Command, folder: &Path) {
    if std::fs::metadata(folder).unwrap().uid() == NOBODY {
        command.uid(NOBODY).gid(NOBODY);
    }
}

impl Postgres {
    /// The server of all tests.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One of its own, for a test that ends it.
    pub fn start() -> Self {
        let (programs, port) = (programs(), free().port());
        let folder = folder(port);
        let mut init = Command::new(programs.join("initdb"));
        init.args(["--no-sync", "-A", "trust", "-U", "lockgate", "-E", "UTF8", "--locale=C", "-D"]).arg(folder.join("data"));
        as_nobody(&mut init, &folder);
        let output = init.current_dir("/").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line = "\"$1/postgres\" -D \"$2/data\" -p \"$3\" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
                    -c shared_buffers=16MB -c max_connections=60 >\"$2/log\" 2>&1 & \
                    read -r _; kill -TERM $!; kill -INT $!; wait $!; rm -rf \"$2\"";
        let mut server = Command::new("sh");
        server.args(["-c", line, "sh"]).arg(&programs).arg(&folder).arg(port.to_string());
        as_nobody(&mut server, &folder);
        let mut child = server.current_dir("/").stdin(Stdio::piped()).process_group(0).spawn().unwrap();
        let server = Self { port, programs, held: child.stdin.take(), child };
        eventually("PostgreSQL answers", || server.run("pg_isready", &["-q"]));
        server
    }

    /// Calls one of its programs.
    fn run(&self, program: &str, args: &[&str]) -> bool {
        let port = self.port.to_string();
        let mut command = Command::new(self.programs.join(program));
        command.args(["-h", "127.0.0.1", "-p", &port, "-U", "lockgate"]).args(args);
        command.stdout(Stdio::null()).status().unwrap().success()
    }

    /// Makes a new database, and returns its URL.
    pub fn database(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
        assert!(self.run("createdb", &[&name]));
        format!("postgres://lockgate@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }

    /// Executes a statement.
    pub fn execute(&self, url: &str, statement: &str) {
        let mut psql = Command::new(self.programs.join("psql"));
        assert!(psql.args([url, "-q", "-c", statement]).stdout(Stdio::null()).status().unwrap().success());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.held.take());
        let _ = self.child.wait();
    }
}
