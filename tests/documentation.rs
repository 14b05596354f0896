//! The man pages, the default configuration and the pages about settings and messages against the
//! program: they say the same.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anki_syncd::{
    cli,
    collection::upload::Refusal,
    config::{Settings, Sources, environment::Variables},
};
use clap::{Arg, Command};
use regex::Regex;

const COMMANDS_PAGE: &str = include_str!("../packaging/man/anki-syncd.8");
const SETTINGS_PAGE: &str = include_str!("../packaging/man/anki-syncd.toml.5");
const DEFAULTS: &str = include_str!("../packaging/anki-syncd.toml");
const ABOUT_SETTINGS: &str = include_str!("../docs/settings.md");
const ABOUT_MESSAGES: &str = include_str!("../docs/troubleshooting.md");
const ENVIRONMENT: &str = include_str!("../src/config/environment.rs");
const SERVICE: &str = include_str!("../systemd/anki-syncd.service");
const EXIT: &str = include_str!("../src/service/exit.rs");

/// One `.It` of a page: what heads it, and what follows up to the next.
struct Item<'a> {
    head: &'a str,
    whole: &'a str,
}

/// The items of one section.
fn items<'a>(page: &'a str, section: &str) -> Vec<Item<'a>> {
    let heading = format!("\n.Sh {section}\n");
    let text = page.split_once(&heading).map_or("", |(_, text)| text);
    let text = text.split("\n.Sh ").next().unwrap();
    text.split("\n.It ")
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

/// Commands that do something, by their full names, without the program's.
fn commands(command: &Command, path: &str) -> Vec<(String, Command)> {
    let mut named = Vec::new();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let path = format!("{path} {}", sub.get_name()).trim().to_owned();
        if !sub.is_subcommand_required_set() {
            named.push((path.clone(), sub.clone()));
        }
        named.extend(commands(sub, &path));
    }
    named
}

fn options(command: &Command) -> Vec<&Arg> {
    let shown = |arg: &&Arg| !arg.is_hide_set() && !arg.is_positional();
    command.get_arguments().filter(shown).collect()
}

/// What the page has to say of a command's arguments.
fn check_arguments(name: &str, command: &Command, written: &str) {
    let long: BTreeSet<String> = options(command)
        .iter()
        .map(|arg| arg.get_long().unwrap().to_owned())
        .filter(|name| !["help", "version"].contains(&name.as_str()))
        .collect();
    let mut documented = found(r"(?:Fl|,) -([a-z][a-z-]*)", written);
    documented.retain(|name| !["help", "version"].contains(&name.as_str()));
    assert_eq!(documented, long, "the options of `{name}` in anki-syncd(8)");
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        if arg.get_action().takes_values() {
            for value in arg.get_value_names().unwrap_or_default() {
                assert!(
                    written.contains(&format!("Ar {value}")),
                    "anki-syncd(8) lacks `Ar {value}` at `{name}`"
                );
            }
        }
        for default in arg.get_default_values() {
            let default = default.to_string_lossy();
            assert!(
                arg.is_hide_default_value_set() || written.contains(&format!("Li {default}")),
                "anki-syncd(8) lacks the default `Li {default}` of {} at `{name}`",
                arg.get_id()
            );
        }
    }
}

/// What `--help` says of a command and its arguments.
fn help_texts(command: &Command) -> Vec<String> {
    let of_arguments = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .map(|arg| arg.get_help().map(ToString::to_string));
    let about = command.get_about().map(ToString::to_string);
    of_arguments
        .chain([about])
        .map(|text| text.unwrap_or_else(|| panic!("a help text is missing in {command}")))
        .collect()
}

#[test]
fn help_texts_are_in_plain_english() {
    let mut all = commands(&cli::command(), "");
    all.push((String::new(), cli::command()));
    for (name, command) in all {
        for text in help_texts(&command) {
            for unclear in ["anew", "for good", "spares", "told", "whoever", "whom"] {
                assert!(
                    !text.to_lowercase().contains(unclear),
                    "`anki-syncd {name}`: {text}"
                );
            }
        }
    }
}

#[test]
fn the_man_page_has_the_options_of_the_program() {
    let written: Vec<&str> = items(COMMANDS_PAGE, "OPTIONS")
        .iter()
        .map(|item| item.whole)
        .collect();
    check_arguments("anki-syncd", &cli::command(), &written.join("\n"));
}

/// Under COMMANDS, an item each: `.It Cm user add Ar NAME`, with its options inside.
#[test]
fn the_man_page_has_every_command_with_its_arguments() {
    let mut documented: BTreeMap<String, String> = BTreeMap::new();
    let mut current = String::new();
    for item in items(COMMANDS_PAGE, "COMMANDS") {
        if let Some(rest) = item.head.strip_prefix("Cm ") {
            let words = rest.split(' ').take_while(|word| !is_macro(word));
            current = words.collect::<Vec<_>>().join(" ");
        }
        let text = documented.entry(current.clone()).or_default();
        text.push_str(item.whole);
    }
    let program = commands(&cli::command(), "");
    let names: BTreeSet<&String> = program.iter().map(|(name, _)| name).collect();
    assert_eq!(
        documented.keys().collect::<BTreeSet<_>>(),
        names,
        "the commands in anki-syncd(8), section COMMANDS"
    );
    for (name, command) in &program {
        check_arguments(name, command, &documented[name]);
    }
}

fn is_macro(word: &str) -> bool {
    ["Ar", "Fl", "Op", "Oo", "No"].contains(&word)
}

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
    assert_eq!(
        values.into_keys().chain(examples).collect::<BTreeSet<_>>(),
        keys()
    );
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
    assert_eq!(documented, keys());
}

/// The rows of a page's tables, in cells.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| "));
    lines.map(|line| line.split(" | ").map(str::trim).collect())
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
    assert_eq!(documented, keys());
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
    assert_eq!(named.collect::<BTreeSet<_>>(), variables());
}

/// One of each, so that a new one is missed here.
fn refusals() -> Vec<Refusal> {
    let next = |refusal: &Refusal| match refusal {
        Refusal::Empty => Some(Refusal::Foreign),
        Refusal::Foreign => Some(Refusal::Corrupt),
        Refusal::Corrupt => Some(Refusal::Laborious),
        Refusal::Laborious => Some(Refusal::Unlike("has a generated column".to_owned())),
        Refusal::Unlike(_) => Some(Refusal::Wrong("has the id 1 more than once".to_owned())),
        Refusal::Wrong(_) => Some(Refusal::Schema(99)),
        Refusal::Schema(_) => Some(Refusal::Restored {
            at: "2026-11-21 14:38 UTC".to_owned(),
        }),
        Refusal::Restored { .. } => Some(Refusal::TooLarge {
            sent: 1 << 20,
            decoded: 3 << 20,
        }),
        Refusal::TooLarge { .. } => Some(Refusal::OverQuota {
            size: 1 << 20,
            media: 1 << 20,
            quota: 1 << 20,
        }),
        Refusal::OverQuota { .. } => None,
    };
    std::iter::successors(Some(Refusal::Empty), next).collect()
}

#[test]
fn the_page_about_messages_has_every_refusal_of_an_upload() {
    let messages: Vec<Regex> = rows(ABOUT_MESSAGES)
        .map(|row| regex::escape(row[0]).replace('…', ".*"))
        .map(|pattern| Regex::new(&format!("^{pattern}$")).unwrap())
        .collect();
    let sentences: Vec<String> = refusals().iter().map(ToString::to_string).collect();
    for sentence in &sentences {
        assert!(
            messages.iter().any(|message| message.is_match(sentence)),
            "troubleshooting.md lacks: {sentence}"
        );
    }
    for message in messages {
        assert!(
            !message.as_str().contains("was refused")
                || sentences.iter().any(|sentence| message.is_match(sentence)),
            "no refusal says so: {message}"
        );
    }
}

#[test]
fn the_man_page_has_every_variable_of_the_environment() {
    let documented: BTreeSet<String> = items(SETTINGS_PAGE, "ENVIRONMENT")
        .iter()
        .flat_map(|item| found(r"^Ev ([A-Z0-9_]+)", item.head))
        .collect();
    assert_eq!(documented, variables());
}

#[test]
fn the_man_page_has_every_exit_status() {
    let documented: BTreeSet<String> = items(COMMANDS_PAGE, "EXIT STATUS")
        .iter()
        .map(|item| item.head.to_owned())
        .collect();
    assert_eq!(documented, found(r"\b[A-Z][A-Za-z]+ = (\d+),", EXIT));
}

/// Every unit, and every credential that the service knows of.
#[test]
fn the_man_page_has_every_unit_and_credential() {
    let heads = |section| -> BTreeSet<String> {
        items(COMMANDS_PAGE, section)
            .iter()
            .map(|item| item.head[3..].to_owned())
            .collect()
    };
    let kinds = [".service", ".socket", ".timer"];
    let mut units: BTreeSet<String> = fs::read_dir("systemd")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| kinds.iter().any(|kind| name.ends_with(kind)))
        .collect();
    // Told of with its timer.
    units.remove("anki-syncd-backup.service");
    assert_eq!(heads("UNITS"), units);
    assert_eq!(
        heads("CREDENTIALS"),
        found(r"LoadCredential=([a-z-]+):", SERVICE)
    );
}
