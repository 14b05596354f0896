//! The environment variables of the reference server, with the same meanings.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{given::Given, literal::can_be_meant, problem::Problems};

/// The environment. It is a parameter, so that tests need not change the process's own.
pub type Variables = BTreeMap<OsString, OsString>;

/// All variables except those of the users, and the key of the file that each stands for.
pub const KEYS: [(&str, &str); 6] = [
    ("SYNC_BASE", "base"),
    ("SYNC_HOST", "host"),
    ("SYNC_PORT", "port"),
    ("SYNC_IP_HEADER", "ip_header"),
    ("MAX_SYNC_PAYLOAD_MEGS", "max_sync_payload_megs"),
    ("PASSWORDS_HASHED", "passwords_hashed"),
];
const USER: &str = "SYNC_USER";

/// Whether a variable is, or looks like, one of ours.
pub(crate) fn concerns_us(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("SYNC_") || KEYS.iter().any(|(variable, _)| name.starts_with(variable))
}

/// Whether variables list the users. They replace all other lists.
pub(crate) fn lists_users(variables: &Variables) -> bool {
    let mut names = variables.keys();
    names.any(|name| name.to_string_lossy().starts_with(USER))
}

/// The values of the variables that are set, by key.
pub(super) fn by_key(
    variables: &Variables,
    problems: &mut Problems,
) -> BTreeMap<&'static str, Given<String>> {
    let values = KEYS.into_iter().filter_map(|(name, key)| {
        let Some(value) = variables.get(OsStr::new(name))?.to_str() else {
            problems.add(name, "the value is not UTF-8");
            return None;
        };
        can_be_meant(name, value, problems).then(|| (key, given(name, value.to_owned())))
    });
    values.collect()
}

/// `SYNC_USER1`, `SYNC_USER2` …: the reference server stops at the first number that is missing,
/// and ignores the rest silently. Here all of them count.
pub(super) fn users(
    variables: &Variables,
    warnings: &mut Vec<String>,
) -> Vec<Given<Result<String, String>>> {
    let mut numbered = Vec::new();
    let mut others = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let digits = name
            .strip_prefix(USER)
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

fn given<T>(setting: &str, value: T) -> Given<T> {
    Given {
        setting: setting.to_owned(),
        value,
    }
}

fn number_is_plain(digits: &str) -> bool {
    !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}
