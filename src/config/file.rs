//! The TOML file: its values with their lines. All mistakes are found in one run.

use std::{fs, path::Path};

use toml::de::{DeTable, DeValue, Error};

use super::{given::Given, problem::Problems};

/// Our explanations of the parser's errors, by the beginning of its message.
const MISTAKES: [(&str, &str); 17] = [
    (
        "string values must be quoted",
        "the value is not text in double quotes, a number, true or false",
    ),
    ("invalid basic string, expected `\"`", UNCLOSED_TEXT),
    ("invalid literal string, expected `'`", UNCLOSED_TEXT),
    ("invalid multi-line", UNCLOSED_TEXT),
    (
        "missing escaped value",
        "a backslash has a special meaning in double quotes",
    ),
    (
        "invalid basic string",
        "the text contains a control character",
    ),
    (
        "key with no value",
        "it has no `=` between a name and a value",
    ),
    ("unquoted keys cannot be empty", "it has no name before `=`"),
    ("extra `=`", "it has more than one `=`"),
    ("unclosed array", UNCLOSED_LIST),
    ("unexpected `=` in array", UNCLOSED_LIST),
    (
        "missing comma between array elements",
        "a comma is missing between two entries of a list",
    ),
    ("duplicate key", "the setting is set a second time"),
    (
        "invalid boolean",
        "true and false are written in lower case",
    ),
    ("unexpected key or value", "something follows the value"),
    ("invalid float", UNQUOTED_TEXT),
    ("invalid time", UNQUOTED_TEXT),
];
const UNCLOSED_TEXT: &str = "the quotation mark at the end of the text is missing";
const UNCLOSED_LIST: &str = "the bracket at the end of a list is missing";
const UNQUOTED_TEXT: &str = "the value is not a number, and text needs double quotes";

/// Contains a line for each setting.
const DEFAULTS: &str = include_str!("../../packaging/anki-syncd.toml");
const LIST: &str = "users = [\"anna:secret\", \"ben:secret\"]";
const TEXT: &str = "host = \"127.0.0.1\"";

/// The text of the file.
pub(super) fn text(path: &Path, problems: &mut Problems) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| {
        problems.add(
            path.display().to_string(),
            format_args!("cannot be read: {error}"),
        );
        String::new()
    })
}

/// The settings that were not read yet.
pub(super) struct File<'a> {
    path: &'a Path,
    text: &'a str,
    table: DeTable<'a>,
    /// Lines that have been reported as unreadable; nothing else is reported of them.
    unreadable: Vec<usize>,
}

impl Default for File<'_> {
    fn default() -> Self {
        Self::parse(Path::new(""), "", &mut Problems::default())
    }
}

impl<'a> File<'a> {
    pub fn parse(path: &'a Path, text: &'a str, problems: &mut Problems) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut file = Self {
            path,
            text,
            table: table.into_inner(),
            unreadable: Vec::new(),
        };
        for error in errors {
            let line = file.line(error.span().map_or(0, |span| span.start));
            if !file.unreadable.contains(&line) {
                file.unreadable.push(line);
                let text = text.lines().nth(line - 1).unwrap_or_default();
                problems.add(file.place(line), unreadable(&error, text));
            }
        }
        file
    }

    /// The value of a key, unless its line was reported already.
    pub fn take(&mut self, key: &str) -> Option<Given<DeValue<'a>>> {
        let value = self.table.remove(key)?;
        let start = value.span().start;
        let is_unreadable = self.unreadable.contains(&self.line(start));
        (!is_unreadable).then(|| Given {
            setting: self.setting(key, start),
            value: value.into_inner(),
        })
    }

    /// The keys that nothing has read.
    pub fn rest(&mut self) -> Vec<Given<String>> {
        let keys = std::mem::take(&mut self.table).into_iter();
        keys.filter(|(key, _)| !self.unreadable.contains(&self.line(key.span().start)))
            .map(|(key, _)| Given {
                setting: self.setting(key.get_ref(), key.span().start),
                value: key.into_inner().into_owned(),
            })
            .collect()
    }

    /// The setting's name with its line, from its position in the text.
    pub fn setting(&self, key: &str, offset: usize) -> String {
        format!("{key} ({})", self.place(self.line(offset)))
    }

    fn place(&self, line: usize) -> String {
        format!("{}, line {line}", self.path.display())
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.bytes().take(offset);
        before.filter(|byte| *byte == b'\n').count() + 1
    }
}

/// The mistake in a line. The message does not quote the line, since it may hold a password.
fn unreadable(error: &Error, line: &str) -> String {
    let message = error.message();
    let mistake = MISTAKES
        .iter()
        .find(|(begin, _)| message.starts_with(begin));
    let mistake = mistake.map_or(String::new(), |(_, what)| format!(": {what}"));
    let example = example(message, line);
    format!(
        "this line cannot be read{mistake}. Write for example `{example}` (the parser says: {message})"
    )
}

/// The default of the line's setting, if the setting can be recognised.
fn example(message: &str, line: &str) -> &'static str {
    let line = line.trim_start();
    let end = line.find(|char: char| !char.is_ascii_lowercase() && char != '_');
    let name = &line[..end.unwrap_or(line.len())];
    let defaults = DEFAULTS.lines().filter_map(|line| line.strip_prefix('#'));
    let of_name = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(" = "))
    };
    // The parser notices an unclosed list only at a later line. Usually it is the list of users,
    // which has no default that shows how to write it.
    let is_list = message.contains("array");
    match defaults.filter(|_| !name.is_empty()).find(of_name) {
        Some(default) if name != "users" && (default.contains('[') || !is_list) => default,
        None if !is_list => TEXT,
        _ => LIST,
    }
}
