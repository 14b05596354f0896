//! The man pages, the default configuration and the pages about settings and messages against the
//! program: they say the same.
#![allow(clippy::unwrap_used, reason = "tests")]

mod commands;
mod log;
mod messages;
mod settings;

use std::collections::BTreeSet;

use regex::Regex;

const COMMANDS_PAGE: &str = include_str!("../../packaging/man/anki-syncd.8");

/// One `.It` of a page: what heads it, and what follows up to the next.
struct Item<'a> {
    head: &'a str,
    whole: &'a str,
}

/// The text of one section.
fn section<'a>(page: &'a str, name: &str) -> &'a str {
    let heading = format!("\n.Sh {name}\n");
    let text = page.split_once(&heading).map_or("", |(_, text)| text);
    text.split("\n.Sh ").next().unwrap()
}

/// The items of one section.
fn items<'a>(page: &'a str, name: &str) -> Vec<Item<'a>> {
    section(page, name)
        .split("\n.It ")
        .skip(1)
        .map(|whole| Item {
            head: whole.lines().next().unwrap(),
            whole,
        })
        .collect()
}

/// Every match of the first group.
fn found(pattern: &str, text: &str) -> BTreeSet<String> {
    Regex::new(pattern)
        .unwrap()
        .captures_iter(text)
        .map(|captures| captures[1].to_owned())
        .collect()
}

/// Fails with what is missing in a file, and with what does not belong there.
fn same<T: Ord + std::fmt::Debug>(file: &str, written: &BTreeSet<T>, program: &BTreeSet<T>) {
    let missing: Vec<_> = program.difference(written).collect();
    let unknown: Vec<_> = written.difference(program).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "{file} lacks {missing:?}; the program does not know {unknown:?}"
    );
}

/// The rows of a page's tables, in cells.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| "));
    lines.map(|line| line.split(" | ").map(str::trim).collect())
}
