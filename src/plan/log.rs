//! Compiles `[log]`: which lines are written, in which form, and to where.
//!
//! Must not open a file or look at a terminal; `cli` does both.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::diagnose::Problems;
use crate::config::file::{self, LogFormat, LogLevel};
use crate::config::section::At;
use crate::observe::field::{FIELDS, Field};
use crate::observe::level::Level;
use crate::observe::log_file::Rotation;
use crate::observe::recorder::{LineSettings, Style, Terminal};
use crate::observe::sample::{Access, Sample};
use crate::observe::selection::Selection;
use crate::observe::template::{self, Template};

/// A success that takes as long has a line, whatever the sample is.
const DEFAULT_SLOW: Duration = Duration::from_secs(1);
/// The number of older files that are kept.
const DEFAULT_KEEP: u64 = 5;
/// The bounds of `max_size`, in bytes: lines reach a file in chunks of up to 64 KiB.
const SIZE_BOUNDS: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 40;
/// The bounds of `original_max`, in bytes: a shorter excerpt of an error is useless, and a longer one makes log lines too large.
const ORIGINAL_BOUNDS: std::ops::RangeInclusive<u64> = 256..=1 << 20;

/// The settings of the log.
#[derive(Clone, Debug)]
pub struct Log {
    /// The least severe level of events that are written.
    pub level: LogLevel,
    /// Which requests have a line.
    pub access: Access,
    /// Where lines are written.
    pub output: LogOutput,
    /// How much of an upstream error is kept.
    pub original: KeptOriginal,
    format: LogFormat,
    /// The form of lines if it does not depend on the output.
    style: Style,
}

/// Where access lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Standard,
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// When it is rotated, if it is at all.
        rotation: Option<Rotation>,
    },
}

impl Log {
    /// Returns the settings of access lines. `terminal` is standard output, and `level` the handle to the level of the log.
    pub fn lines(&self, level: &Level, terminal: Terminal) -> LineSettings {
        // A file has no colors.
        let shown = if self.output == LogOutput::Standard { terminal } else { Terminal::default() };
        let style = match self.format {
            LogFormat::Auto if shown.is_terminal => Style::Pretty { color: shown.color },
            LogFormat::Pretty => Style::Pretty { color: shown.color },
            LogFormat::Auto | LogFormat::Json | LogFormat::Combined | LogFormat::Template => self.style.clone(),
        };
        LineSettings { access: self.access, level: level.clone(), style, terminal }
    }

    /// Returns true if the outputs of another configuration are the same, so that none has to be opened.
    pub fn has_same_outputs(&self, other: &Self) -> bool {
        self.output == other.output && self.events_to_stderr() == other.events_to_stderr()
    }

    /// Returns true if events and access lines have different outputs: a file has access lines only, and lines that are not for people or
    /// JSON must not be mixed with events.
    pub fn separates_events(&self) -> bool {
        self.output != LogOutput::Standard || self.has_foreign_lines()
    }

    /// Returns true if events are written to standard error, because the access lines on standard output have a format in which there are
    /// no events.
    pub fn events_to_stderr(&self) -> bool {
        self.output == LogOutput::Standard && self.has_foreign_lines()
    }

    const fn has_foreign_lines(&self) -> bool {
        matches!(self.format, LogFormat::Combined | LogFormat::Template)
    }

    /// Returns true if events are written for people. `terminal` is the stream to which they are written.
    pub const fn has_pretty_events(&self, terminal: Terminal) -> bool {
        match self.format {
            LogFormat::Json => false,
            LogFormat::Pretty => true,
            LogFormat::Auto | LogFormat::Combined | LogFormat::Template => terminal.is_terminal,
        }
    }
}

/// How much of the body of an upstream error the log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptOriginal {
    /// 8 KiB of a 5xx, whose details only the log has, and 2 KiB of a 4xx, whose message the client gets.
    Usual,
    /// At most this many bytes of any error.
    AtMost(usize),
    /// Nothing.
    Off,
}

impl KeptOriginal {
    /// Returns the number of bytes that are kept of an error with this status.
    pub const fn of(self, status: u16) -> usize {
        match self {
            Self::Usual if status >= 500 => 8 * 1024,
            Self::Usual => 2 * 1024,
            Self::AtMost(most) => most,
            Self::Off => 0,
        }
    }
}

/// Compiles `[log]`.
pub(super) fn compile(keys: &file::Log, problems: &mut Problems) -> Log {
    Log {
        level: keys.level.unwrap_or_default(),
        access: access(keys, problems),
        output: output(keys, problems),
        original: kept_original(keys.original_max.as_ref(), problems),
        format: keys.format.as_ref().map_or_else(LogFormat::default, |at| at.value),
        style: style(keys, problems),
    }
}

/// Reports a key that has no effect.
fn idle<T>(at: Option<&At<T>>, title: &str, help: &str, problems: &mut Problems) {
    if let Some(at) = at {
        problems.add(at.span.clone(), title, help);
    }
}

fn access(keys: &file::Log, problems: &mut Problems) -> Access {
    if keys.access == Some(false) {
        let help = "remove the key, or `access = false`";
        idle(keys.sample.as_ref(), "`sample` has no effect without access lines", help, problems);
        idle(keys.slow.as_ref(), "`slow` has no effect without access lines", help, problems);
        return Access::Off;
    }
    let Some(sample) = &keys.sample else {
        idle(keys.slow.as_ref(), "`slow` has no effect without `sample`", "every request has a line; add: sample = 0.1", problems);
        return Access::All;
    };
    let slow = keys.slow.as_ref().map_or(DEFAULT_SLOW, |at| at.value);
    if sample.value < 1.0 { Access::Sampled(Sample::new(sample.value, slow)) } else { Access::All }
}

fn output(keys: &file::Log, problems: &mut Problems) -> LogOutput {
    let Some(file) = &keys.file else {
        let help = "add: file = \"/var/log/lockgate/access.log\"";
        idle(keys.max_size.as_ref(), "`max_size` has no effect without `file`", help, problems);
        idle(keys.keep.as_ref(), "`keep` has no effect without `file`", help, problems);
        return LogOutput::Standard;
    };
    if keys.max_size.is_none() {
        idle(keys.keep.as_ref(), "`keep` has no effect without `max_size`", "add: max_size = \"100MiB\"", problems);
    }
    if let Some(at) = keys.max_size.as_ref().filter(|at| !SIZE_BOUNDS.contains(&at.value)) {
        problems.add(at.span.clone(), "`max_size` must be from 1MiB to 1024GiB", "100MiB is typical");
    }
    let keep = keys.keep.as_ref().map_or(DEFAULT_KEEP, |at| at.value) as u32;
    let rotation = keys.max_size.as_ref().map(|at| Rotation { max_size: at.value, keep });
    LogOutput::File { path: PathBuf::from(&file.value), rotation }
}

fn style(keys: &file::Log, problems: &mut Problems) -> Style {
    let format = keys.format.as_ref().map_or_else(LogFormat::default, |at| at.value);
    match format {
        LogFormat::Template => {}
        LogFormat::Json | LogFormat::Pretty | LogFormat::Combined | LogFormat::Auto => {
            idle(
                keys.template.as_ref(),
                "`template` has no effect without `format = \"template\"`",
                "add: format = \"template\"",
                problems,
            );
        }
    }
    match format {
        LogFormat::Json | LogFormat::Auto => selection(keys.exclude.as_ref(), problems),
        LogFormat::Pretty | LogFormat::Combined | LogFormat::Template => {
            let help = "only JSON lines can leave out fields; add: format = \"json\"";
            idle(keys.exclude.as_ref(), "`exclude` has no effect with this `format`", help, problems);
            match format {
                LogFormat::Template => template_of(keys, problems),
                LogFormat::Combined => Style::Template(Arc::new(Template::combined())),
                LogFormat::Json | LogFormat::Pretty | LogFormat::Auto => Style::Json,
            }
        }
    }
}

fn template_of(keys: &file::Log, problems: &mut Problems) -> Style {
    let Some(at) = &keys.template else {
        let span = keys.format.as_ref().map(|at| at.span.clone());
        let help = "add: template = '{timestamp} {client} \"{method} {path}\" {status} {durationMs}'";
        problems.add(span, "`format = \"template\"` needs `template`", help);
        return Style::Json;
    };
    match Template::parse(&at.value) {
        Ok(template) => Style::Template(Arc::new(template)),
        Err(error) => {
            // The place within the text is known if the file has it as it is, between two quotation marks.
            let is_literal = at.span.len() == at.value.len() + 2;
            let begin = at.span.start + 1;
            let span = if is_literal { begin + error.at.start..begin + error.at.end } else { at.span.clone() };
            problems.add(span, format!("`log.template`: {}", error.title), error.help);
            Style::Json
        }
    }
}

fn selection(exclude: Option<&At<Vec<At<String>>>>, problems: &mut Problems) -> Style {
    let mut excluded = Vec::new();
    for name in exclude.into_iter().flat_map(|at| &at.value) {
        match Field::named(&name.value) {
            Some(field) => excluded.push(field),
            None => {
                let help = template::suggestion(&name.value, &FIELDS.map(|(known, _)| known));
                problems.add(name.span.clone(), format!("unknown field `{}`", name.value), help);
            }
        }
    }
    if excluded.is_empty() { Style::Json } else { Style::Selected(Arc::new(Selection::without(&excluded))) }
}

fn kept_original(at: Option<&At<Option<u64>>>, problems: &mut Problems) -> KeptOriginal {
    match at.map(|at| (at.value, &at.span)) {
        None => KeptOriginal::Usual,
        Some((None, _)) => KeptOriginal::Off,
        Some((Some(most), span)) => {
            if !ORIGINAL_BOUNDS.contains(&most) {
                let title = "`original_max` must be from 256B to 1MiB";
                problems.add(span.clone(), title, "write \"off\" to keep no upstream errors in the log");
            }
            KeptOriginal::AtMost(most as usize)
        }
    }
}
