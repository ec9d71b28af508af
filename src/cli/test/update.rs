//! `lockgate test --update`: writes what came back into the file of cases.
//!
//! A value that differs is replaced in its place, and a case that expects nothing gets an expectation; everything else of the file stays as
//! it is. Differences that have no single value, such as a member of JSON, are left to a person.

use std::ops::Range;

use super::ran::Ran;
use crate::cli::cases::{read, write};
use crate::cli::output;
use crate::cli::source::{Reported, Source};

pub(super) fn update(source: &Source, ran: &[Ran<'_>]) -> Result<(), Reported> {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for ran in ran {
        if let (true, Ok(got)) = (ran.case.checks.is_empty(), &ran.got) {
            let at = end_of(source, ran);
            edits.push((at..at, format!("\n{}", write::expect(got, &[]))));
        }
        let replaced = ran.differences.iter().filter_map(|difference| Some((difference.span.clone(), difference.instead.clone()?)));
        edits.extend(replaced);
    }
    if edits.is_empty() {
        return Ok(());
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = source.text.clone();
    for (range, new) in &edits {
        text.replace_range(range.clone(), new);
    }
    let complaint = match read::read(&text, source.folder(), false) {
        Ok(_) => std::fs::write(&source.name, &text).err().map(|error| error.to_string()),
        Err(_) => Some("its cases are not written as [[cases]]".into()),
    };
    match complaint {
        None => {
            let count = edits.len();
            output::print_error(&format!("{}: {count} {} written", source.name, if count == 1 { "expectation" } else { "expectations" }));
            Ok(())
        }
        Some(complaint) => {
            output::print_error(&format!("error: cannot update {}: {complaint}", source.name));
            Err(Reported)
        }
    }
}

/// Returns the end of the last line of a case.
fn end_of(source: &Source, ran: &Ran<'_>) -> usize {
    let text = &source.text;
    let header = "[[cases]]";
    let begin = (ran.case.span.start + 1).min(text.len());
    let next = text[begin..].match_indices(header).map(|(at, _)| begin + at).find(|at| *at == 0 || text.as_bytes()[at - 1] == b'\n');
    let (mut end, mut at) = (ran.case.span.start, ran.case.span.start);
    for line in text[at..next.unwrap_or(text.len())].split_inclusive('\n') {
        at += line.len();
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') {
            end = at;
        }
    }
    end
}
