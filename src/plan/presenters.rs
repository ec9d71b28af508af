//! Compiles how error responses are presented: languages and their files, the redactor with the operator's patterns, the
//! template, the pages.
//!
//! Routes with equal settings share one compiled value. Must not render errors; `render` does.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::policies::Layers;
use super::{ErrorPresenter, pages};
use crate::config::diagnose::Problems;
use crate::config::section::At;
use crate::message::Messages;
use crate::policy::Format;
use crate::redact::Redactor;
use crate::regular_file;
use crate::render::{PageName, Pages, Template};

/// The largest language file, in bytes.
const MAX_FILE: u64 = 256 * 1024;
/// The maximum number of language files in a directory.
const MAX_FILES: usize = 100;

/// The values that were compiled so far, by their settings.
#[derive(Default)]
pub(super) struct ErrorPresenters {
    messages: HashMap<String, Arc<Messages>>,
    redactors: HashMap<(Vec<String>, Vec<String>), Arc<Redactor>>,
    templates: HashMap<(String, String), Arc<Template>>,
    /// By their directory; `None` if they cannot be used.
    pages: HashMap<String, Option<Arc<Pages>>>,
}

impl ErrorPresenters {
    /// Returns the presenter of these layers and its languages: the configured ones, or all that are available.
    pub(super) fn compile(&mut self, layers: &Layers<'_>, problems: &mut Problems) -> (ErrorPresenter, Vec<String>) {
        let messages = self.messages(layers.error(|keys| &keys.messages), problems);
        if layers.error(|keys| &keys.languages).is_some_and(|list| list.is_empty()) {
            problems.add(None, "`languages` is empty", "remove the key to use all available languages");
        }
        let languages =
            layers.error(|keys| &keys.languages).map(|list| available(list, &messages, problems)).filter(|list| !list.is_empty());
        let languages = languages.unwrap_or_else(|| all_languages(&messages));
        let redactor = self.redactor(layers, problems);
        let template = self.template(layers, problems);
        let pages = self.pages(layers, &messages, problems);
        (ErrorPresenter { redactor, messages, template, pages }, languages)
    }

    fn pages(&mut self, layers: &Layers<'_>, messages: &Messages, problems: &mut Problems) -> Option<Arc<Pages>> {
        let directory = layers.error(|keys| &keys.page)?;
        let found = self.pages.entry(directory.value.clone()).or_insert_with(|| pages::read(&directory, problems)).clone()?;
        let known = messages.tags();
        for tag in found.names().filter_map(PageName::language).filter(|tag| !known.contains(tag)) {
            let help = format!("available: {}; files in `errors.messages` add more", known.join(", "));
            problems.add(
                directory.span.clone(),
                format!("`{}` has a page in a language that is not available: `{tag}`", directory.value),
                help,
            );
        }
        Some(found)
    }

    fn messages(&mut self, directory: Option<At<String>>, problems: &mut Problems) -> Arc<Messages> {
        let Some(directory) = directory else { return self.messages.entry(String::new()).or_default().clone() };
        if let Some(known) = self.messages.get(&directory.value) {
            return Arc::clone(known);
        }
        let mut messages = Messages::default();
        if let Err(complaint) = read_directory(&directory.value, &mut messages) {
            for (title, help) in complaint {
                problems.add(directory.span.clone(), title, help);
            }
        }
        let messages = Arc::new(messages);
        self.messages.insert(directory.value, Arc::clone(&messages));
        messages
    }

    fn redactor(&mut self, layers: &Layers<'_>, problems: &mut Problems) -> Arc<Redactor> {
        let keys = layers.error(|keys| &keys.redact).unwrap_or_default();
        for at in keys.allow.iter().filter(|at| at.value.trim().len() < 3) {
            problems.add(
                at.span.clone(),
                "an allowed text must have at least three characters",
                "redaction skips every place where this text occurs",
            );
        }
        let texts = |list: &[At<String>]| list.iter().map(|at| at.value.clone()).collect::<Vec<_>>();
        let (extra, allow) = (texts(&keys.extra), texts(&keys.allow));
        if let Some(known) = self.redactors.get(&(extra.clone(), allow.clone())) {
            return Arc::clone(known);
        }
        for (text, at) in extra.iter().zip(&keys.extra) {
            if let Err((_, why)) = Redactor::new(std::slice::from_ref(text), &[]) {
                let why = why.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
                problems.add(at.span.clone(), "invalid pattern", why);
            }
        }
        // Patterns that could not be compiled were reported above.
        let made = Redactor::new(&extra, &allow).map(Arc::new).unwrap_or_default();
        self.redactors.insert((extra, allow), Arc::clone(&made));
        made
    }

    fn template(&mut self, layers: &Layers<'_>, problems: &mut Problems) -> Option<Arc<Template>> {
        let wanted = layers.error(|keys| &keys.format) == Some(Format::Template);
        let text = layers.error(|keys| &keys.template).filter(|at| !at.value.is_empty());
        let media = layers.error(|keys| &keys.template_type);
        let media_name = media.as_ref().map_or("application/json", |at| at.value.as_str());
        if let Some(at) = media.as_ref().filter(|at| !is_media_type(&at.value)) {
            let help = "expected a content type such as \"application/json\" or \"text/html; charset=utf-8\"";
            problems.add(at.span.clone(), "invalid content type", help);
            return None;
        }
        let Some(text) = text else {
            if wanted {
                problems.add(
                    None,
                    "`format = \"template\"` needs a `template`",
                    "add: template = '{\"code\": {{code}}, \"message\": {{message}}}'",
                );
            }
            return None;
        };
        let key = (text.value.clone(), media_name.to_owned());
        if let Some(known) = self.templates.get(&key) {
            return Some(Arc::clone(known));
        }
        match Template::compile(&text.value, media_name) {
            Ok(template) => {
                let template = Arc::new(template);
                self.templates.insert(key, Arc::clone(&template));
                Some(template)
            }
            Err(wrong) => {
                let title = format!("the template is invalid at its line {}, column {}", wrong.line, wrong.column);
                problems.add(text.span, title, wrong.message);
                None
            }
        }
    }
}

/// Returns all languages: English, which is the fallback, and then the others in alphabetical order.
fn all_languages(messages: &Messages) -> Vec<String> {
    let mut tags: Vec<String> = messages.tags().into_iter().map(str::to_owned).collect();
    tags.sort_by_key(|tag| (tag != "en", tag.clone()));
    tags
}

/// Returns the languages of a list that are available, and reports the others.
fn available(list: Vec<At<String>>, messages: &Messages, problems: &mut Problems) -> Vec<String> {
    let mut found = Vec::new();
    for tag in list {
        if messages.tags().contains(&tag.value.as_str()) {
            found.push(tag.value);
        } else {
            let help = format!("available: {}; files in `errors.messages` add more", messages.tags().join(", "));
            problems.add(tag.span, "this language is not available", help);
        }
    }
    found
}

fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    text.bytes().all(|b| (b' '..=b'~').contains(&b)) && essence.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
}

/// The titles and help texts of problems.
type Complaints = Vec<(String, String)>;

/// Adds every `LANG.toml` of a directory.
fn read_directory(directory: &str, messages: &mut Messages) -> Result<(), Complaints> {
    let unreadable = |path: &Path, error: &std::io::Error| vec![(format!("cannot read `{}`: {error}", path.display()), String::new())];
    let entries = std::fs::read_dir(directory).map_err(|error| unreadable(Path::new(directory), &error))?;
    let mut paths: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    paths.sort();
    let mut complaints = Complaints::new();
    for path in paths.iter().take(MAX_FILES) {
        let tag = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if !is_language_tag(tag) {
            let help = "expected a language tag (RFC 5646) as in de.toml or pt-BR.toml";
            complaints.push((format!("the file name of `{}` is not a language tag", path.display()), help.into()));
            continue;
        }
        match regular_file::read_text(path, MAX_FILE) {
            Ok(text) => {
                for (span, what, help) in messages.add_file(tag, &text).err().unwrap_or_default() {
                    let (line, column) = place(&text, span.start);
                    complaints.push((format!("{}:{line}:{column}: {what}", path.display()), help));
                }
            }
            Err(error) => complaints.extend(unreadable(path, &error)),
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints) }
}

/// Returns true for a language tag such as `de`, `pt-BR` or `zh-Hant` (RFC 5646 2.1, the common forms).
fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let primary = parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_lowercase()));
    primary && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Returns the line and the column of a byte position.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
}
