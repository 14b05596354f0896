//! The settings: the default file, the man page, and the page about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anki_syncd::config::{Settings, Sources, environment::Variables};
use regex::Regex;

use crate::{found, items, rows, same};

const SETTINGS_PAGE: &str = include_str!("../../packaging/man/anki-syncd.toml.5");
const DEFAULTS: &str = include_str!("../../packaging/anki-syncd.toml");
const ABOUT_SETTINGS: &str = include_str!("../../docs/settings.md");
const ENVIRONMENT: &str = include_str!("../../src/config/environment.rs");

/// The settings as the file takes them, with users so that it is complete.
fn load(text: &str) -> Result<Settings, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    Settings::load(&Sources {
        file: Some(file.path().into()),
        variables: Variables::from([("SYNC_USER1".into(), "someone:secret".into())]),
        state: Some("/var/lib/anki-syncd".into()),
        ..Sources::default()
    })
    .map_err(|problems| format!("{:?}", problems.0))
}

/// Every key of the file, as they are listed for whoever writes one that is like none of them.
fn keys() -> BTreeSet<String> {
    let error = load("zzzzz = 1").unwrap_err();
    let (_, listed) = error.split_once("the settings are ").unwrap();
    found("([a-z_]+)(?:,|\")", listed)
}

/// The default file's settings with its values; and the names of those that are examples.
fn defaults() -> (BTreeMap<String, String>, BTreeSet<String>) {
    let line = Regex::new(r"^#([a-z_]+) = (.+)$").unwrap();
    let (mut values, mut examples) = (BTreeMap::new(), BTreeSet::new());
    let mut before = "";
    for text in DEFAULTS.lines() {
        if let Some(captures) = line.captures(text) {
            if before.ends_with("Example:") {
                examples.insert(captures[1].to_owned());
            } else {
                values.insert(captures[1].to_owned(), captures[2].to_owned());
            }
        }
        before = text;
    }
    (values, examples)
}

#[test]
fn the_default_file_has_every_key_once_and_nothing_but_comments() {
    assert!(load(DEFAULTS).is_ok());
    let live = |line: &&str| !line.is_empty() && !line.starts_with('#');
    assert_eq!(DEFAULTS.lines().find(live), None);
    let (values, examples) = defaults();
    assert!(values.keys().all(|name| !examples.contains(name)));
    let written = values.into_keys().chain(examples).collect();
    same("packaging/anki-syncd.toml", &written, &keys());
}

#[test]
fn the_default_file_uncommented_changes_nothing() {
    let settings = |text: &str| {
        let mut settings = load(text).unwrap();
        // Where a value was written is another matter.
        settings.address_given_by.clear();
        format!("{settings:?}")
    };
    let builtin = settings("");
    let (values, _) = defaults();
    for (name, value) in &values {
        let line = format!("{name} = {value}\n");
        assert_eq!(settings(&line), builtin, "{name} in anki-syncd.toml");
    }
    // It would also be equal if the comparison saw nothing.
    assert_ne!(settings("port = 8081"), builtin);
    assert_ne!(settings("body_timeout_secs = 61"), builtin);
}

#[test]
fn every_example_of_the_default_file_is_valid() {
    let examples = defaults().1;
    for line in DEFAULTS.lines() {
        let name = line.trim_start_matches('#').split(" = ").next().unwrap();
        if examples.contains(name) {
            assert_eq!(load(&line[1..]).err(), None);
        }
    }
}

#[test]
fn the_man_page_has_every_setting_with_its_default() {
    let (values, _) = defaults();
    let mut documented = BTreeSet::new();
    for item in items(SETTINGS_PAGE, "SETTINGS") {
        let head = item.head.strip_prefix("Va ").unwrap();
        let (name, default) = match head.split_once(" No = Li ") {
            Some((name, default)) => (name, Some(default.replace(r"\(dq", "\""))),
            None => (head, None),
        };
        // What `base` is by default depends on who starts it: that is told in words.
        let expected = values.get(name).filter(|_| name != "base");
        assert_eq!(default.as_ref(), expected, "{name} in anki-syncd.toml(5)");
        documented.insert(name.to_owned());
    }
    same("packaging/man/anki-syncd.toml.5", &documented, &keys());
}

#[test]
fn the_page_about_settings_has_every_one_with_its_default() {
    let (values, _) = defaults();
    let mut documented = BTreeSet::new();
    for row in rows(ABOUT_SETTINGS) {
        let name = row[0].trim_matches('`');
        if name.is_empty() || !name.chars().all(|it| it.is_ascii_lowercase() || it == '_') {
            continue;
        }
        if name != "setting" && name != "variable" {
            documented.insert(name.to_owned());
            // What these are by default is told in words.
            if !["base", "run_as", "users_file"].contains(&name) {
                assert_eq!(
                    row[1],
                    format!("`{}`", values[name]),
                    "{name} in settings.md"
                );
            }
        }
    }
    same("docs/settings.md", &documented, &keys());
}

fn variables() -> BTreeSet<String> {
    let mut program = found(r#""([A-Z]+_[A-Z_]+)""#, ENVIRONMENT);
    program.remove("SYNC_USER");
    program.extend(["SYNC_USER1".to_owned(), "RUST_LOG".to_owned()]);
    program
}

#[test]
fn the_page_about_settings_has_every_variable_of_the_environment() {
    let named = rows(ABOUT_SETTINGS).flat_map(|row| found(r"^`([A-Z]+_[A-Z0-9_]+)`", row[0]));
    same("docs/settings.md", &named.collect(), &variables());
}

#[test]
fn the_man_page_has_every_variable_of_the_environment() {
    let documented: BTreeSet<String> = items(SETTINGS_PAGE, "ENVIRONMENT")
        .iter()
        .flat_map(|item| found(r"^Ev ([A-Z0-9_]+)", item.head))
        .collect();
    same("packaging/man/anki-syncd.toml.5", &documented, &variables());
}
