//! The list of tags. Notes have their own tags besides.

use rusqlite::{Connection, OptionalExtension};
use unicode_normalization::UnicodeNormalization;

use super::{Result, pending};
use crate::wire::Usn;

const SEPARATOR: &str = "::";

/// The tags that are new to a peer.
pub(super) fn changed(conn: &Connection, min_usn: Usn) -> Result<Vec<String>> {
    let sql = format!("select tag from tags where {}", pending::condition(min_usn));
    let mut statement = conn.prepare_cached(&sql)?;
    let tags = statement.query_map([min_usn], |row| row.get(0))?;
    Ok(tags.collect::<rusqlite::Result<_>>()?)
}

/// Adds the tags that the list does not have in any case.
pub(super) fn merge(conn: &Connection, tags: &[String], usn: Usn) -> Result<()> {
    for tag in tags {
        let tag = normalized(tag);
        if existing(conn, &tag)?.is_none() {
            let tag = in_case_of_parents(conn, &tag)?;
            let mut statement = conn.prepare_cached(
                "insert or replace into tags (tag, usn, collapsed, config) values (?, ?, 1, null)",
            )?;
            statement.execute((tag, usn))?;
        }
    }
    Ok(())
}

/// The list's spelling of a tag.
fn existing(conn: &Connection, tag: &str) -> Result<Option<String>> {
    let mut statement = conn.prepare_cached("select tag from tags where tag = ?")?;
    Ok(statement.query_row([tag], |row| row.get(0)).optional()?)
}

/// The tag with its nearest parent in the list, in that parent's spelling.
fn in_case_of_parents(conn: &Connection, tag: &str) -> Result<String> {
    let mut parent = tag;
    while let Some((shorter, _)) = parent.rsplit_once(SEPARATOR) {
        parent = shorter;
        if let Some(existing) = existing(conn, parent)? {
            let components = parent.split(SEPARATOR).count();
            let rest: Vec<&str> = tag.split(SEPARATOR).skip(components).collect();
            return Ok([existing.as_str(), &rest.join(SEPARATOR)].join(SEPARATOR));
        }
    }
    Ok(tag.to_owned())
}

fn normalized(tag: &str) -> String {
    let components: Vec<String> = tag.split(SEPARATOR).map(component).collect();
    components.join(SEPARATOR)
}

fn component(name: &str) -> String {
    let belongs = |char: &char| !char.is_ascii_control() && !is_separator(*char);
    let name: String = name.nfc().filter(belongs).collect();
    match name.trim() {
        "" => "blank".to_owned(),
        name => name.to_owned(),
    }
}

/// Whether a character separates the tags of a note.
pub(super) fn is_separator(char: char) -> bool {
    matches!(char, ' ' | '\u{3000}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::collection::testing::{self, rows};

    fn merged(existing: &[(&str, i32)], incoming: &[&str]) -> serde_json::Value {
        let conn = testing::collection();
        for (tag, usn) in existing {
            conn.execute("insert into tags values (?, ?, 0, null)", (tag, usn))
                .unwrap();
        }
        let incoming: Vec<String> = incoming.iter().map(ToString::to_string).collect();
        merge(&conn, &incoming, Usn(9)).unwrap();
        json!(rows(
            &conn,
            "select tag, usn, collapsed, config from tags order by tag collate binary"
        ))
    }

    #[test]
    fn a_new_tag_is_added_collapsed_with_the_servers_usn() {
        assert_eq!(merged(&[], &["new"]), json!([["new", 9, 1, null]]));
    }

    #[test]
    fn a_known_tag_stays_as_it_is_whatever_its_case() {
        assert_eq!(
            merged(&[("Foo", 2)], &["FOO", "foo"]),
            json!([["Foo", 2, 0, null]])
        );
    }

    #[test]
    fn a_new_tag_takes_over_the_case_of_its_nearest_parent() {
        let expected = json!([["foo", 2, 0, null], ["foo::Bar", 9, 1, null]]);
        assert_eq!(merged(&[("foo", 2)], &["Foo::Bar"]), expected);
        let expected = json!([
            ["A", 1, 0, null],
            ["a::B", 2, 0, null],
            ["a::B::c::d", 9, 1, null]
        ]);
        assert_eq!(merged(&[("A", 1), ("a::B", 2)], &["A::b::c::d"]), expected);
    }

    #[test]
    fn parents_are_not_added() {
        assert_eq!(merged(&[], &["x::y"]), json!([["x::y", 9, 1, null]]));
    }

    #[test]
    fn names_are_normalized() {
        for (tag, expected) in [
            ("", "blank"),
            ("::", "blank::blank"),
            ("x::", "x::blank"),
            ("a b", "ab"),
            ("a\tb", "ab"),
            ("a\u{3000}b", "ab"),
            ("a\u{a0}b", "a\u{a0}b"),
            ("\u{a0}a\u{a0}", "a"),
            ("e\u{301}", "é"),
        ] {
            assert_eq!(normalized(tag), expected, "{tag:?}");
        }
    }

    #[test]
    fn tags_are_sent_from_the_clients_usn_on() {
        let conn = testing::collection();
        for (tag, usn) in [("unsent", -1), ("old", 3), ("new", 4), ("newer", 5)] {
            conn.execute("insert into tags values (?, ?, 0, null)", (tag, usn))
                .unwrap();
        }
        assert_eq!(changed(&conn, Usn(4)).unwrap(), ["new", "newer"]);
        assert_eq!(changed(&conn, Usn::UNSENT).unwrap(), ["unsent"]);
    }
}
