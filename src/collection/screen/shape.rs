//! How tables and indexes are declared, according to SQLite's [`pragmas`], which evaluate nothing.

mod pragmas;

use std::sync::LazyLock;

use pragmas::{Column, Index, Origin, Table, columns, indexes};
use regex::Regex;
use rusqlite::Connection;

use super::{Foreign, INDEX, Objection, of_anki, quoted, shown};
use crate::collection::schema;

/// The differences between a file's declarations and Anki's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Indexes that compute, or that would refuse rows that Anki does not refuse.
    pub foreign: Vec<Foreign>,
    /// Tables of Anki's that can be rebuilt with all their rows, and the first schema in which they should be.
    maimed: Vec<(&'static str, i64)>,
    /// Tables that are not Anki's and have generated columns. They must never be read.
    pub computed: Vec<String>,
}

/// Checks every table and index. Views and virtual tables must have been removed before.
///
/// # Errors
/// As SQLite says; inside, the [`Objection`] to a table that cannot be repaired.
pub fn shape(conn: &Connection) -> rusqlite::Result<Result<Shape, Objection>> {
    let mut shape = Shape::default();
    let mut tables = conn.prepare_cached(
        "select name, wr, strict from pragma_table_list where schema = 'main' and type in ('table', 'shadow') \
         and name not in ('sqlite_schema', 'sqlite_master')",
    )?;
    let mut tables = tables.query([])?;
    while let Some(row) = tables.next()? {
        let name: String = row.get(0)?;
        let table = Table {
            is_without_rowid: row.get(1)?,
            is_strict: row.get(2)?,
            columns: columns(conn, &name)?,
            indexes: indexes(conn, &name)?,
            name,
        };
        if let Err(objection) = shape.add(conn, &table) {
            return Ok(Err(objection));
        }
    }
    Ok(Ok(shape))
}

impl Shape {
    /// Tables of Anki's that should be rebuilt in this schema, and can be with all their rows.
    pub fn maimed(&self, version: i64) -> Vec<&'static str> {
        let is_maimed = |table: &&str| {
            let mut maimed = self.maimed.iter();
            maimed.any(|(name, since)| name == table && version >= *since)
        };
        let tables = schema::TABLES.into_iter().map(|(table, _)| table);
        tables.filter(is_maimed).collect()
    }

    fn add(&mut self, conn: &Connection, table: &Table) -> Result<(), Objection> {
        let anki = of_anki(&table.name);
        let is_computed = table.columns.iter().any(|column| column.is_generated);
        match anki {
            Some(_) if is_computed => return Err(Objection::Generated(shown(&table.name))),
            None if is_computed => self.computed.push(table.name.clone()),
            _ => {}
        }
        for index in &table.indexes {
            let refuses = anki.is_some() && index.is_unique && !index.is_ankis();
            if index.origin != Origin::Statement {
                if index.has_unknown_order() {
                    return Err(Objection::Collation(shown(&table.name)));
                }
            } else if index.computes() || refuses {
                self.foreign.push(Foreign {
                    kind: INDEX,
                    name: index.name.clone(),
                });
            }
        }
        if let Some(anki) = anki
            && let Some(since) = table.maimed_since(conn, anki)
        {
            self.maimed.push((anki, since));
        }
        Ok(())
    }
}

impl Index {
    fn computes(&self) -> bool {
        let is_partial = self.is_partial && self.sql.as_deref().map(plain) != Some(plain(PARTIAL));
        is_partial || self.columns.contains(&None) || self.has_unknown_order()
    }

    fn has_unknown_order(&self) -> bool {
        let known = |name: &String| KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name));
        !self.collations.iter().all(known)
    }

    /// Whether Anki makes exactly this unique index.
    fn is_ankis(&self) -> bool {
        UNIQUE.iter().any(|(name, table, columns)| {
            name.eq_ignore_ascii_case(&self.name)
                && table.eq_ignore_ascii_case(&self.table)
                && self
                    .columns
                    .iter()
                    .map(Option::as_deref)
                    .eq(columns.iter().map(|name| Some(*name)))
        })
    }
}

const KNOWN: [&str; 4] = ["binary", "nocase", "rtrim", "unicase"];
const PARTIAL: &str = "CREATE INDEX idx_cards_odid ON cards (odid) WHERE odid != 0";
const UNIQUE: [(&str, &str, &[&str]); 4] = [
    ("idx_fields_name_ntid", "fields", &["name", "ntid"]),
    ("idx_templates_name_ntid", "templates", &["name", "ntid"]),
    ("idx_notetypes_name", "notetypes", &["name"]),
    ("idx_decks_name", "decks", &["name"]),
];

/// SQL without what may differ between versions. A text that becomes equal to Anki's has no call of a function in it.
fn plain(sql: &str) -> String {
    sql.to_ascii_lowercase().replace(
        |char: char| char.is_whitespace() || "\"`;".contains(char),
        "",
    )
}

/// The tables whose declaration matters, with their keys, whether they are without rowid, and the first schema with
/// this declaration.
const DECLARED: [(&str, &[&str], bool, i64); 12] = [
    ("col", &["id"], false, 11),
    ("notes", &["id"], false, 11),
    ("cards", &["id"], false, 11),
    ("revlog", &["id"], false, 11),
    ("deck_config", &["id"], false, 14),
    ("config", &["KEY"], true, 14),
    ("fields", &["ntid", "ord"], true, 15),
    ("templates", &["ntid", "ord"], true, 15),
    ("notetypes", &["id"], false, 15),
    ("decks", &["id"], false, 15),
    ("tags", &["tag"], true, 17),
    ("graves", &["oid", "type"], true, 18),
];

impl Table {
    /// Whether the table lacks a part of Anki's declaration that syncs need and that a rebuild adds. Returns the first
    /// schema that needs it.
    fn maimed_since(&self, conn: &Connection, anki: &str) -> Option<i64> {
        let (_, key, is_without_rowid, since) =
            DECLARED.iter().find(|(table, ..)| *table == anki)?;
        let is_maimed = self.lacks_columns(anki)
            || !self.has_key(key)
            || self.is_without_rowid != *is_without_rowid
            || self.is_strict
            || self.refuses_rows()
            || !self.can_be_compared(conn);
        (is_maimed && self.has_what_a_rebuild_takes(anki)).then_some(*since)
    }

    fn has(&self, column: &str) -> bool {
        self.columns
            .iter()
            .any(|present| present.name.eq_ignore_ascii_case(column))
    }

    fn has_what_a_rebuild_takes(&self, anki: &str) -> bool {
        super::rebuild::taken(anki)
            .iter()
            .all(|column| self.has(column))
    }

    fn lacks_columns(&self, anki: &str) -> bool {
        let declared = schema::TABLES.iter().find(|(table, _)| *table == anki);
        declared.is_some_and(|(_, columns)| !columns.iter().all(|column| self.has(column)))
    }

    fn has_key(&self, key: &[&str]) -> bool {
        let mut present: Vec<_> = self
            .columns
            .iter()
            .filter(|column| column.key > 0)
            .collect();
        present.sort_by_key(|column| column.key);
        let names = present.len() == key.len()
            && present
                .iter()
                .zip(key)
                .all(|(column, name)| column.name.eq_ignore_ascii_case(name));
        // Only in this form it is the rowid, which is always a number.
        let is_number = key != ["id"]
            || present
                .iter()
                .all(|column| column.kind.eq_ignore_ascii_case("integer"));
        let of_tags = self.name.eq_ignore_ascii_case("tags");
        let order = !of_tags
            || self
                .indexes
                .iter()
                .filter(|index| index.origin == Origin::Key)
                .all(Index::is_unicase);
        names && is_number && order
    }

    /// Rows that Anki and this server insert might violate a rule that Anki has not set.
    fn refuses_rows(&self) -> bool {
        let constraint = |index: &Index| index.origin == Origin::Constraint;
        let column = |column: &Column| {
            let is_extra = of_anki(&self.name).is_some_and(|anki| !is_column(anki, &column.name));
            is_extra
                && (column.is_required && column.default.is_none()
                    || column
                        .default
                        .as_deref()
                        .is_some_and(|text| !CONSTANT.is_match(text)))
        };
        self.indexes.iter().any(constraint) || self.columns.iter().any(column)
    }

    /// Whether SQLite knows the collation of every column. Preparing a statement evaluates nothing.
    fn can_be_compared(&self, conn: &Connection) -> bool {
        let each: Vec<_> = self
            .columns
            .iter()
            .map(|column| format!("{} = ''", quoted(&column.name)))
            .collect();
        let compare = format!(
            "select 1 from {} where {}",
            quoted(&self.name),
            each.join(" or ")
        );
        conn.prepare(&compare).is_ok()
    }
}

impl Index {
    fn is_unicase(&self) -> bool {
        self.collations
            .first()
            .is_some_and(|first| first.eq_ignore_ascii_case("unicase"))
    }
}

/// A number, a text or a word, without anything to compute.
static CONSTANT: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the pattern is a constant, and used by a test"
    )]
    Regex::new(r#"^([+-]?[0-9.]+|\w+|'[^']*'|"[^"]*")$"#).expect("a valid pattern")
});

fn is_column(anki: &str, column: &str) -> bool {
    let declared = schema::TABLES.iter().find(|(table, _)| *table == anki);
    declared
        .is_some_and(|(_, columns)| columns.iter().any(|name| name.eq_ignore_ascii_case(column)))
}
