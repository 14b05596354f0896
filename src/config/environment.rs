//! The environment variables of the reference server, with its meanings.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{
    client_address::ClientAddress,
    fragment::{Fragment, Given, parse},
    literal::can_be_meant,
    problem::Problems,
};

/// The environment, handed in so that tests need not change the process's own.
pub type Variables = BTreeMap<OsString, OsString>;

/// Reads the variables that concern us.
#[must_use]
pub fn read(
    variables: &Variables,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Fragment {
    let mut fragment = Fragment {
        users: users(variables, problems),
        ..Fragment::default()
    };
    let mut text = |name: &str| text(variables, name, problems);
    let (base, host, port) = (text("SYNC_BASE"), text("SYNC_HOST"), text("SYNC_PORT"));
    let (ip_header, megs) = (text("SYNC_IP_HEADER"), text("MAX_SYNC_PAYLOAD_MEGS"));
    fragment.base = base.map(|text| given("SYNC_BASE", text.into()));
    fragment.host = host.map(|text| given("SYNC_HOST", text));
    fragment.port = port.and_then(|text| {
        parse(
            "SYNC_PORT",
            &text,
            "a port number from 0 to 65535",
            problems,
        )
    });
    fragment.client_address = ip_header.and_then(|text| {
        let names = format!("one of {}", ClientAddress::names());
        parse("SYNC_IP_HEADER", &text, names, problems)
    });
    fragment.payload_megs = megs.and_then(|text| {
        parse(
            "MAX_SYNC_PAYLOAD_MEGS",
            &text,
            "a whole number of MiB, such as 100",
            problems,
        )
    });
    fragment.passwords_hashed = passwords_hashed(variables, problems, warnings);
    fragment
}

fn passwords_hashed(
    variables: &Variables,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Option<Given<bool>> {
    const NAME: &str = "PASSWORDS_HASHED";
    let value = variables.get(OsStr::new(NAME))?.to_string_lossy();
    if !can_be_meant(NAME, &value, problems) {
        return None;
    }
    let on = !["", "0", "false"].contains(&value.trim().to_lowercase().as_str());
    if !on {
        warnings.push(format!(
            "{NAME}={value} is taken as off; the bundled server would take it as on. Unset it if passwords are plain, set it to 1 if they are hashes"
        ));
    }
    Some(given(NAME, on))
}

fn given<T>(setting: &str, value: T) -> Given<T> {
    Given {
        setting: setting.to_owned(),
        value,
    }
}

/// A variable's value; an empty one counts as unset.
fn text(variables: &Variables, name: &str, problems: &mut Problems) -> Option<String> {
    let value = variables.get(OsStr::new(name))?;
    match value.to_str() {
        Some(text) if !can_be_meant(name, text, problems) => None,
        Some(text) => Some(text.to_owned()).filter(|text| !text.is_empty()),
        None => {
            problems.add(name, "the value is not UTF-8");
            None
        }
    }
}

/// `SYNC_USER1`, `SYNC_USER2` …: the reference server stops at the first that is
/// missing, and so drops the rest without a word.
fn users(variables: &Variables, problems: &mut Problems) -> Vec<Given<String>> {
    let mut numbers: Vec<u32> = Vec::new();
    for name in variables.keys().filter_map(|name| name.to_str()) {
        let digits = name
            .strip_prefix("SYNC_USER")
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let Some(digits) = digits else { continue };
        match digits.parse() {
            Ok(number) if number > 0 && number_is_plain(digits) => numbers.push(number),
            _ => problems.add(
                name,
                "not a number that is read: write SYNC_USER1, SYNC_USER2 and so on",
            ),
        }
    }
    numbers.sort_unstable();
    let mut users = Vec::new();
    for (expected, number) in (1..).zip(numbers) {
        let name = format!("SYNC_USER{number}");
        if number != expected {
            let missing = format!("SYNC_USER{expected}");
            problems.add(
                missing,
                format_args!("is missing, but {name} is set: number the users without a gap"),
            );
            break;
        }
        users.extend(text(variables, &name, problems).map(|value| given(&name, value)));
    }
    users
}

fn number_is_plain(digits: &str) -> bool {
    !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}
