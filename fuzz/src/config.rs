//! What the operator writes: the users file, and the settings in a file and in the environment.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use anki_syncd::{
    account::{
        name::UserName,
        users_file::{Document, EditError, entries},
    },
    config::{Settings, Sources},
};

/// A users file: editing it and taking the edit back leaves every other line as it was, also
/// those that cannot be used.
pub fn users_file(data: &[u8]) {
    let document = Document::parse(data);
    assert_eq!(document.bytes(), data);
    let [one, two] = ["somebody new", "somebody else"].map(|name| name.parse().unwrap());
    add_and_remove(&document, data, &one);
    let text = String::from_utf8_lossy(data);
    let mut listed = HashMap::new();
    for (_, entry) in entries(&text) {
        let is_usable = entry.is_ok();
        let name = entry.map_or_else(|wrong| wrong.user, |(name, _)| Some(name));
        if let Some(name) = name {
            listed.entry(name).or_insert_with(Vec::new).push(is_usable);
        }
    }
    for (name, entries) in listed.into_iter().take(4) {
        assert_eq!(
            document.clone().add(&name, "x"),
            Err(EditError::Exists(name.clone()))
        );
        match entries[..] {
            [true] => {
                rename_there_and_back(&document, &name, &two);
                remove(&document, &name);
            }
            [false] => remove(&document, &name),
            _ => assert_eq!(
                document.clone().remove(&name),
                Err(EditError::Twice(name.clone()))
            ),
        }
    }
}

fn add_and_remove(document: &Document, text: &[u8], new: &UserName) {
    let mut edited = document.clone();
    if edited.contains(new) {
        return;
    }
    edited.add(new, "secret").unwrap();
    edited.change_password(new, "another").unwrap();
    let mut read = Document::parse(&edited.bytes());
    assert!(read.contains(new));
    read.remove(new).unwrap();
    let rest = read.bytes();
    // A last line without an end has got one.
    assert!(rest == text || rest.strip_suffix(b"\n") == Some(text));
}

fn rename_there_and_back(document: &Document, name: &UserName, to: &UserName) {
    let mut edited = document.clone();
    if edited.contains(to) {
        return;
    }
    edited.rename(name, to).unwrap();
    let mut read = Document::parse(&edited.bytes());
    assert!(read.contains(to) && !read.contains(name));
    read.rename(to, name).unwrap();
    assert_eq!(read.bytes(), document.bytes());
}

fn remove(document: &Document, name: &UserName) {
    let mut edited = document.clone();
    edited.remove(name).unwrap();
    let (before, after) = (document.bytes(), edited.bytes());
    assert!(!Document::parse(&after).contains(name));
    let lines = |bytes: &[u8]| bytes.split_inclusive(|byte| *byte == b'\n').count();
    assert_eq!(lines(&before), lines(&after) + 1);
}

/// The settings: a TOML file, and behind a zero byte `NAME=value` for each variable, with zero
/// bytes between. Mistakes are sentences, with none of the passwords in them.
pub fn settings(data: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = data.split(|byte| *byte == 0);
    let file = folder.path().join("settings.toml");
    fs::write(&file, parts.next().unwrap_or_default()).unwrap();
    let variables = parts.filter_map(|part| {
        let equals = part.iter().position(|byte| *byte == b'=')?;
        let (name, value) = part.split_at(equals);
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        Some((text(name), text(&value[1..])))
    });
    let sources = Sources {
        file: Some(file),
        variables: variables.collect(),
        state: Some(folder.path().join("state")),
        ..Sources::default()
    };
    if names_a_users_file(data) {
        return;
    }
    match Settings::load(&sources) {
        Ok(settings) => {
            assert!(settings.limits.sent > 0 && settings.limits.connections > 0);
            assert!(settings.limits.decoded >= settings.limits.sent);
            let shown = format!("{settings:?}");
            assert!(
                !shown.contains("hunter2") || is_elsewhere(&sources),
                "{shown}"
            );
        }
        Err(problems) => {
            assert!(!problems.0.is_empty());
            let told = problems.to_string();
            assert!(
                !told.contains("hunter2") || is_elsewhere(&sources),
                "{told}"
            );
        }
    }
    assert!(
        !folder.path().join("state").exists(),
        "something was created"
    );
}

/// Whether the password is the value of what holds none, or a user's name, which a message may
/// quote.
fn is_elsewhere(sources: &Sources) -> bool {
    sources.variables.iter().any(|(name, value)| {
        let value = value.to_string_lossy();
        let public = if name.as_bytes().starts_with(b"SYNC_USER") {
            value.split_once(':').map_or("", |(user, _)| user)
        } else {
            &value
        };
        public.contains("hunter2")
    })
}

/// What it names may be a device or a pipe, which would be read without end.
fn names_a_users_file(data: &[u8]) -> bool {
    data.windows(10).any(|window| window == b"users_file")
}
