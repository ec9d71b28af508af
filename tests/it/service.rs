//! A service manager starts the gateway: it is told of each state, and it passes the sockets that it has opened.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use crate::harness::{Client, Origin, PATIENCE, Process, Temporary, get, until};

/// Where a service manager listens for states.
struct Manager {
    folder: Temporary,
    socket: UnixDatagram,
}

impl Manager {
    fn new(name: &str) -> Self {
        let folder = Temporary::folder(name);
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { folder, socket }
    }

    /// The next message.
    fn told(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// The next message that is no sign of life.
    fn told_of_a_change(&self) -> String {
        until(|| Some(self.told()).filter(|told| told != "WATCHDOG=1\n").ok_or_else(|| "only signs of life".to_owned()))
    }
}

/// A process that ends with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command that starts the gateway with a socket as its descriptor 3, as a service manager does.
fn activated(socket: OwnedFd, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec 3<&0 0</dev/null; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_lockgate")]);
    command.args(arguments).stdin(Stdio::from(socket));
    command
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn config(listen: &str, origin: &Origin) -> String {
    format!(
        "[listen]\nhttp = [{listen}]\nadmin = \"127.0.0.1:0\"\nworkers = 2\ndrain_delay = \"off\"\n[backends.o]\nendpoints = [\"http://{}\"]\n[[routes]]\npath = \
         \"/*\"\nbackend = \"o\"\n",
        origin.address
    )
}

fn handle(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().unwrap().into()
}

#[test]
fn the_manager_is_told_of_start_reload_life_and_end() {
    let manager = Manager::new("notified");
    let origin = Origin::echo();
    let config = Temporary::file("notified.toml", &config("\"127.0.0.1:0\"", &origin));
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    command.args(["run", "--config", config.to_str().unwrap()]).env("NOTIFY_SOCKET", manager.folder.join("notify"));
    let mut process = Process::spawn(command.env("WATCHDOG_USEC", "900000"));
    assert_eq!(manager.told_of_a_change(), "READY=1\n");
    assert_eq!(get(process.address, "/").status, 200, "it serves when it says so");
    assert_eq!(manager.told(), "WATCHDOG=1\n");
    assert_eq!(manager.told(), "WATCHDOG=1\n");
    process.signal("-HUP");
    let told = manager.told_of_a_change();
    let time = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{told}"));
    assert!(time.trim_end().parse::<u64>().unwrap() > 0);
    assert_eq!(manager.told_of_a_change(), "READY=1\n");
    process.signal("-TERM");
    // 20 s of drain_timeout, and 10 s for what follows it.
    assert_eq!(manager.told_of_a_change(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000\n");
    assert_eq!(process.exit_code(), Some(0));
}

#[test]
fn a_socket_of_the_manager_serves_and_outlives_the_process() {
    let origin = Origin::echo();
    let (socket, address) = listener();
    // A client that comes before the gateway waits for it.
    let mut early = Client::connect(address);
    early.write("GET /early HTTP/1.1\r\nHost: a\r\n\r\n");
    let text = config(&format!("\"{address}\""), &origin);
    let file = Temporary::file("activated.toml", &text);
    let arguments = ["run", "--config", file.to_str().unwrap()];
    let mut process = Process::spawn(&mut activated(handle(&socket), &arguments));
    assert_eq!(process.address, address);
    assert_eq!(early.response("GET").status, 200);
    // A reload leaves it as it is, beside a listener of the gateway itself.
    let (other, free) = listener();
    drop(other);
    std::fs::write(&*file, config(&format!("\"{address}\", \"{free}\""), &origin)).unwrap();
    process.signal("-HUP");
    until(|| if std::net::TcpStream::connect(free).is_ok() { Ok(()) } else { Err("the new listener is not open".to_owned()) });
    assert_eq!(get(address, "/").status, 200);
    assert_eq!(get(free, "/").status, 200);
    // Without it, the configuration cannot be used.
    std::fs::write(&*file, config(&format!("\"{free}\""), &origin)).unwrap();
    process.signal("-HUP");
    let refused = format!("the service manager has passed a socket on {address}");
    assert!(process.lines.by_ref().map_while(Result::ok).any(|line| line.contains(&refused)));
    assert_eq!(get(address, "/").status, 200);
    process.signal("-TERM");
    assert_eq!(process.exit_code(), Some(0));
    // Between two processes, clients wait.
    let mut waiting = Client::connect(address);
    waiting.write("GET /waiting HTTP/1.1\r\nHost: a\r\n\r\n");
    std::fs::write(&*file, text).unwrap();
    let next = Process::spawn(&mut activated(handle(&socket), &arguments));
    assert_eq!(waiting.response("GET").status, 200);
    assert_eq!(next.address, address);
}

#[test]
fn the_admin_listener_can_be_a_socket_of_the_manager() {
    let (socket, address) = listener();
    let admin = address.to_string();
    let arguments = ["run", "--to", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", &admin];
    let process = Process::spawn(&mut activated(handle(&socket), &arguments));
    assert_eq!(process.admin, address);
    assert_eq!(get(address, "/readyz").status, 200);
}

#[test]
fn a_socket_that_would_answer_nobody_ends_the_start() {
    let arguments = ["run", "--to", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let (socket, address) = listener();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (socket, told) in [(handle(&socket), format!("must be \"{address}\"")), (udp.into(), "pass TCP sockets only".to_owned())] {
        let mut started = Started(activated(socket, &arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
        let status = until(|| started.0.try_wait().unwrap().ok_or_else(|| "the start does not end".to_owned()));
        let mut said = String::new();
        started.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&told), "{said}");
    }
}
