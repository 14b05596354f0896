//! The man page of the program: commands, options, findings, exit statuses, units.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use anki_syncd::{
    check::{Id, Severity},
    cli,
    service::exit::Exit,
};
use clap::{Arg, Command};

use crate::{COMMANDS_PAGE, found, items, same, section};

const SERVICE: &str = include_str!("../../systemd/anki-syncd.service");

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
    let page = format!("packaging/man/anki-syncd.8 at `{name}`");
    same(&page, &documented, &long);
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
    let names = program.iter().map(|(name, _)| name);
    let page = "packaging/man/anki-syncd.8, section COMMANDS,";
    same(page, &documented.keys().collect(), &names.collect());
    for (name, command) in &program {
        check_arguments(name, command, &documented[name]);
    }
}

fn is_macro(word: &str) -> bool {
    ["Ar", "Fl", "Op", "Oo", "No"].contains(&word)
}

/// Under FINDINGS, a list for each severity, the worst first.
#[test]
fn the_man_page_has_every_finding_with_its_severity() {
    let kinds = Id::ALL
        .iter()
        .map(|id| (id.severity(), id.name().to_owned()));
    let text = section(COMMANDS_PAGE, "FINDINGS");
    let lists = text.split("\n.Bl ").skip(1);
    let severities = [Severity::Problem, Severity::Warning, Severity::Note];
    let documented = severities
        .into_iter()
        .zip(lists)
        .flat_map(|(severity, list)| {
            let names = list.split("\n.It Li ").skip(1);
            names.map(move |item| (severity, item.lines().next().unwrap().to_owned()))
        });
    let page = "packaging/man/anki-syncd.8, section FINDINGS,";
    same(page, &documented.collect(), &kinds.collect());
}

/// The compiler does not notice: the list of all findings uses each of them. A finding that is only
/// compared with counts as reported, too.
#[test]
fn every_finding_is_reported_somewhere() {
    let mut folders = vec![PathBuf::from("src/check"), PathBuf::from("src/cli")];
    let mut sources = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("finding/id.rs") {
                sources += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let reported = found(r"\bId::([A-Z]\w+)", &sources);
    let ids = Id::ALL.iter().map(|id| format!("{id:?}"));
    let forgotten: Vec<_> = ids.filter(|id| !reported.contains(id)).collect();
    assert!(forgotten.is_empty(), "nothing reports {forgotten:?}");
}

#[test]
fn the_man_page_has_every_exit_status() {
    let documented: BTreeSet<String> = items(COMMANDS_PAGE, "EXIT STATUS")
        .iter()
        .map(|item| item.head.to_owned())
        .collect();
    // One after the other, so that a new one is missed here.
    let next = |exit: &Exit| match exit {
        Exit::Ok => Some(Exit::Problems),
        Exit::Problems => Some(Exit::Usage),
        Exit::Usage => Some(Exit::Unavailable),
        Exit::Unavailable => Some(Exit::CannotCreate),
        Exit::CannotCreate => Some(Exit::Config),
        Exit::Config => None,
    };
    let exits = std::iter::successors(Some(Exit::Ok), next);
    let statuses = exits.map(|exit| (exit as u8).to_string());
    assert_eq!(documented, statuses.collect());
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
