//! Media whose names a file system does not distinguish: on exFAT, `Cat.png` and `cat.png` would
//! silently become one file.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use super::{Refusal, batch::Change, name::MediaName};
use crate::spelling::{caseless, is_ignored_at};

/// Refuses a batch that would replace a file whose name differs only in upper and lower case.
/// `is_listed` says whether `media.db` has a file of exactly that name.
pub(super) fn check(
    media: &Path,
    changes: &BTreeMap<MediaName, Change>,
    is_listed: impl Fn(&MediaName) -> bool,
) -> Result<(), Refusal> {
    let mut new: HashMap<String, &MediaName> = HashMap::new();
    for (name, change) in changes {
        if !matches!(change, Change::Put(_)) {
            continue;
        }
        let twin = new.insert(caseless(name.as_str()), name);
        let twin = twin.map(ToString::to_string).or_else(|| {
            let is_taken = !is_listed(name) && media.join(name).exists();
            is_taken.then(|| other_spelling(media, name)).flatten()
        });
        if let Some(other) = twin
            && is_ignored_at(media)
        {
            return Err(Refusal::Case(name.to_string(), other));
        }
    }
    Ok(())
}

/// The name under which the file exists.
fn other_spelling(media: &Path, name: &MediaName) -> Option<String> {
    let wanted = caseless(name.as_str());
    let present = fs::read_dir(media).into_iter().flatten().flatten();
    let mut present = present.filter_map(|entry| entry.file_name().into_string().ok());
    let found = present.find(|present| *present == name.as_str() || caseless(present) == wanted);
    found.filter(|found| found != name.as_str())
}
