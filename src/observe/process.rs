//! The metrics of the process itself, as the operating system tells them when the metrics are read. What it does not tell is left out.
//!
//! Must not know the gateway.

use std::fmt::{self, Write};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Resource;

use super::exposition::Exposition;
use super::names;

/// The metrics of the process.
#[derive(Debug)]
pub(super) struct Process {
    /// When it began, in seconds since 1970.
    started: f64,
}

impl Default for Process {
    /// Takes the current time as that of the start.
    fn default() -> Self {
        Self { started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() }
    }
}

impl Process {
    /// Writes the metrics.
    pub(super) fn encode<W: Write>(&self, out: &mut Exposition<'_, W>) -> fmt::Result {
        if let Some(seconds) = cpu_seconds() {
            out.metric(&names::CPU)?.value(&[], format_args!("{seconds:?}"))?;
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (metric, value) in [
            (&names::RESIDENT, field(&status, "VmRSS:").map(|kilobytes| kilobytes * 1024)),
            (&names::VIRTUAL, field(&status, "VmSize:").map(|kilobytes| kilobytes * 1024)),
            (&names::OPEN_FDS, open_fds()),
            (&names::MAX_FDS, rustix::process::getrlimit(Resource::Nofile).current),
            (&names::THREADS, field(&status, "Threads:")),
        ] {
            let mut samples = out.metric(metric)?;
            value.map_or(Ok(()), |value| samples.count(&[], value))?;
        }
        out.metric(&names::START)?.value(&[], format_args!("{:?}", self.started))
    }
}

/// The ticks of a second in `/proc` (`USER_HZ`, time(7)), which Linux has on every architecture that Rust knows.
const TICKS: f64 = 100.0;

/// Returns the time that all threads have used, in seconds (`utime` and `stime` of proc(5)).
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS)
}

/// Returns the number behind a name of `/proc/self/status` (proc(5)).
fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Returns the number of open file descriptors. Linux 6.2 and later tell it as the size of the folder, which spares a walk through all.
fn open_fds() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        // The walk itself opens one.
        0 => Some((fs::read_dir(FOLDER).ok()?.count() as u64).saturating_sub(1)),
        size => Some(size),
    }
}

#[cfg(test)]
mod tests {
    use super::super::exposition::Format;
    use super::*;

    #[test]
    fn the_operating_system_tells_everything() {
        // A tick is ten milliseconds.
        std::hint::black_box((0..50_000_000_u64).fold(0, |sum, number| std::hint::black_box(sum ^ number)));
        let mut text = String::new();
        Process::default().encode(&mut Exposition::new(&mut text, Format::Plain)).unwrap();
        let value = |name: &str| -> f64 { text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap() };
        assert!(value("process_resident_memory_bytes ") > 1e6 && value("process_virtual_memory_bytes ") > 1e6, "{text}");
        assert!(value("process_open_fds ") >= 3.0 && value("process_open_fds ") <= value("process_max_fds "), "{text}");
        assert!(value("process_threads ") >= 1.0 && value("process_cpu_seconds_total ") > 0.0, "{text}");
        assert!(value("process_start_time_seconds ") > 1.6e9, "{text}");
    }
}
