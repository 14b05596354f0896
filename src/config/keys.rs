//! Reads one setting after the other from file and environment.
//!
//! Each key that is read becomes known. At the end, every key that nothing has read is reported.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use toml::de::DeValue;

use super::{
    environment::{self, Variables},
    file::File,
    given::Given,
    literal::can_be_meant,
    problem::Problems,
};

/// How similar an unknown key must be to a known one to be taken for a typing mistake.
const ALIKE: f64 = 0.8;

/// The values that were not read yet.
#[derive(Default)]
pub(super) struct Keys<'a> {
    file: File<'a>,
    /// The variables, by the keys that they stand for.
    variables: BTreeMap<&'static str, Given<String>>,
    known: Vec<&'static str>,
    /// Values that cannot be read. They may contain the users, so nothing is known about these.
    pub problems: Problems,
    /// Values that can be read but make no sense.
    pub unfit: Problems,
}

impl<'a> Keys<'a> {
    /// Reads a file with this text. A variable replaces its key in the file.
    pub fn new(path: &'a Path, text: &'a str, variables: &Variables) -> Self {
        let mut problems = Problems::default();
        Self {
            variables: environment::by_key(variables, &mut problems),
            file: File::parse(path, text, &mut problems),
            known: Vec::new(),
            problems,
            unfit: Problems::default(),
        }
    }

    pub fn text(&mut self, key: &'static str) -> Option<Given<String>> {
        let in_file = self.in_file(key, "text in double quotes", |value| {
            value.as_str().map(ToOwned::to_owned)
        });
        let problems = &mut self.problems;
        let in_file = in_file.filter(|given| can_be_meant(&given.setting, &given.value, problems));
        self.variable(key).or(in_file)
    }

    pub fn path(&mut self, key: &'static str) -> Option<Given<PathBuf>> {
        self.text(key).map(|given| given.map(PathBuf::from))
    }

    pub fn number<T: FromStr + TryFrom<u64>>(
        &mut self,
        key: &'static str,
        needed: &str,
    ) -> Option<Given<T>> {
        let in_file = self.in_file(key, format_args!("{needed} (without quotes)"), |value| {
            let digits = value.as_integer()?;
            let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
            number.try_into().ok()
        });
        self.parsed(key, needed).or(in_file)
    }

    /// A number that must not be zero.
    pub fn at_least_one<T>(&mut self, key: &'static str, needed: &str, default: T) -> T
    where
        T: Default + fmt::Display + FromStr + PartialEq + TryFrom<u64>,
    {
        let needed = format!("{needed}, at least 1, such as {default}");
        match self.number(key, &needed) {
            Some(Given { setting, value }) if value == T::default() => {
                let what = format_args!("has to be at least 1; the default is {default}");
                self.unfit.add(setting, what);
                default
            }
            Some(given) => given.value,
            None => default,
        }
    }

    /// One of several words.
    pub fn word<T: FromStr>(&mut self, key: &'static str, needed: &str) -> Option<Given<T>> {
        let in_file = self.in_file(key, format_args!("{needed}, in double quotes"), |value| {
            value.as_str()?.parse().ok()
        });
        self.parsed(key, needed).or(in_file)
    }

    /// The entries of a list, each with its line. Variables cannot give lists.
    pub fn list(&mut self, key: &'static str, needed: &str) -> Option<Vec<Given<DeValue<'a>>>> {
        let list = self.in_file(key, needed, |value| match value {
            DeValue::Array(entries) => Some(entries),
            _ => None,
        })?;
        let file = &self.file;
        let entries = list.value.into_iter().map(|entry| Given {
            setting: file.setting(key, entry.span().start),
            value: entry.into_inner(),
        });
        Some(entries.collect())
    }

    /// The value in the file. It is checked even if a variable replaces it.
    pub fn in_file<T>(
        &mut self,
        key: &'static str,
        needed: impl fmt::Display,
        read: impl FnOnce(DeValue<'a>) -> Option<T>,
    ) -> Option<Given<T>> {
        self.known.push(key);
        let Given { setting, value } = self.file.take(key)?;
        if let Some(value) = read(value) {
            return Some(Given { setting, value });
        }
        self.problems
            .add(setting, format_args!("has to be {needed}"));
        None
    }

    /// The variable that stands for a key; an empty one counts as unset.
    fn variable(&mut self, key: &str) -> Option<Given<String>> {
        let given = self.variables.remove(key);
        given.filter(|given| !given.value.is_empty())
    }

    fn parsed<T: FromStr>(&mut self, key: &str, needed: &str) -> Option<Given<T>> {
        let Given { setting, value } = self.variable(key)?;
        if let Ok(value) = value.parse() {
            return Some(Given { setting, value });
        }
        self.problems
            .add(setting, format_args!("{value:?} is not {needed}"));
        None
    }

    /// The variable that stands for a key, even if it is empty.
    pub fn variable_as_it_is(&mut self, key: &str) -> Option<Given<String>> {
        self.variables.remove(key)
    }

    /// Reports the keys that are no settings.
    pub fn refuse_the_rest(&mut self) {
        for Given { setting, value } in self.file.rest() {
            let likeness = |known: &&str| strsim::jaro_winkler(&value, known);
            let nearest = self
                .known
                .iter()
                .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
                .filter(|nearest| likeness(nearest) > ALIKE);
            let hint = nearest.map_or_else(
                || format!("the settings are {}", self.known.join(", ")),
                |name| format!("did you mean {name}?"),
            );
            self.problems
                .add(setting, format_args!("there is no such setting; {hint}"));
        }
    }
}
