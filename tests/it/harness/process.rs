//! Runs the shipped binary as a process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::until;

/// A gateway process, killed when the test ends.
pub struct Process {
    pub child: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Process {
    pub fn start(args: &[&str]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_lockgate")).args(args))
    }

    /// The same with so many file descriptors.
    pub fn start_limited(descriptors: u32, args: &[&str]) -> Self {
        Self::start_with(&format!("ulimit -n {descriptors}"), args)
    }

    /// The same after a command of the shell, such as one that limits the process.
    pub fn start_with(command: &str, args: &[&str]) -> Self {
        let line = format!("{command}; exec \"$0\" \"$@\"");
        Self::spawn(Command::new("sh").args(["-c", &line, env!("CARGO_BIN_EXE_lockgate")]).args(args))
    }

    /// The same by a command that becomes the gateway.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.env_remove("LOCKGATE_CONFIG").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(Ok(line)) = lines.next() else {
            let mut told = String::new();
            child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
            panic!("did not start: {told}");
        };
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |key: &str| json[key].as_str().unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        Self { address: address("address"), admin: address("admin"), child, lines }
    }

    /// Waits for the end of the process; its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        until(|| self.child.try_wait().unwrap().ok_or_else(|| "the process does not end".to_owned())).code()
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
