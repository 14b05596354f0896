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
        users: users(variables, warnings),
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
            "a port number from 0 to 65535, such as 8080",
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
            "a whole number of MiB, at least 1, such as 100",
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
            "{NAME}={value} turns the setting off here, but on in the server that is bundled with Anki. Unset it if passwords are plain, set it to 1 if they are hashes"
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
/// missing, and so drops the rest without a word. Here all of them count.
fn users(variables: &Variables, warnings: &mut Vec<String>) -> Vec<Given<Result<String, String>>> {
    let mut numbered = Vec::new();
    let mut others = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let digits = name
            .strip_prefix("SYNC_USER")
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let Some(digits) = digits else { continue };
        match digits.parse::<u32>() {
            Ok(number) if number > 0 && number_is_plain(digits) => {
                numbered.push((number, value.to_string_lossy().into_owned()));
            }
            _ => {
                let what = "is ignored: number the users SYNC_USER1, SYNC_USER2 and so on";
                others.push(given(name, Err(what.to_owned())));
            }
        }
    }
    numbered.sort_unstable();
    let gap = (1..).zip(&numbered).find(|(due, user)| *due != user.0);
    if let Some((due, (number, _))) = gap {
        warnings.push(format!("SYNC_USER{due} is missing, but SYNC_USER{number} is set. Number the users without a gap: the server that is bundled with Anki ignores those after it"));
    }
    let users = numbered.into_iter().filter(|(_, value)| !value.is_empty());
    let users = users.map(|(number, value)| given(&format!("SYNC_USER{number}"), Ok(value)));
    users.chain(others).collect()
}

fn number_is_plain(digits: &str) -> bool {
    !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}
