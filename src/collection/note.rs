//! Notes.

use std::{borrow::Cow, collections::HashMap};

use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    Error, Result,
    error::InRow,
    notetype::{self, NoteShape},
    strip::{checksum, strip},
    tag,
};
use crate::wire::{
    Usn,
    note::{Blank, Note, Zero},
};

const FIELD_SEPARATOR: char = '\u{1f}';

/// The shapes of notes by notetype; each is read once.
#[derive(Debug, Default)]
pub(super) struct Shapes(HashMap<i64, NoteShape>);

impl Shapes {
    fn of(&mut self, conn: &Connection, note: &Note) -> Result<NoteShape> {
        if let Some(shape) = self.0.get(&note.mid) {
            return Ok(*shape);
        }
        let shape = notetype::note_shape(conn, note.mid)?;
        let shape = shape.ok_or(Error::MissingNotetype {
            note: note.id,
            notetype: note.mid,
        })?;
        self.0.insert(note.mid, shape);
        Ok(shape)
    }
}

/// Stores a note, unless the one here was also changed, and not earlier.
pub(super) fn merge(
    conn: &Connection,
    note: &Note,
    min_usn: Usn,
    shapes: &mut Shapes,
) -> Result<()> {
    let mut statement = conn.prepare_cached("select usn, mod from notes where id = ?")?;
    let ours: Option<(Usn, i64)> = statement
        .query_row([note.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .in_row("notes", note.id)?;
    match ours {
        Some((usn, mtime_secs)) if min_usn.is_new(usn) && mtime_secs >= note.mtime_secs => Ok(()),
        ours => store(conn, note, shapes.of(conn, note)?, ours.is_some()),
    }
}

/// Replaces a note whose notetype and first field are the same. Unlike [`STORE`], it leaves the
/// indexes by them alone, and add-ons' columns.
const CHANGE: &str = "update or replace notes
    set guid = ?2, mod = ?4, usn = ?5, tags = ?6, flds = ?7, sfld = ?8, flags = 0, data = ''
    where id = ?1 and mid = ?3 and csum = ?9";
const STORE: &str = "insert or replace into notes
        (id, guid, mid, mod, usn, tags, flds, sfld, csum, flags, data)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, '')";

fn store(conn: &Connection, note: &Note, shape: NoteShape, is_here: bool) -> Result<()> {
    let fields = without_control_chars(&note.fields);
    let found = fields.split(FIELD_SEPARATOR).count();
    if found != shape.fields {
        let (note, notetype) = (note.id, note.mid);
        return Err(Error::FieldCount {
            note,
            notetype,
            found,
            expected: shape.fields,
        });
    }
    let stripped = |ord| {
        fields
            .split(FIELD_SEPARATOR)
            .nth(ord)
            .map(strip)
            .unwrap_or_default()
    };
    let first = stripped(0);
    let checksum = checksum(&first);
    let sort_field = if shape.sort_field == 0 {
        first
    } else {
        stripped(shape.sort_field)
    };
    let tags = &tag_column(&note.tags);
    // Bound as text. The column turns texts that look like numbers into numbers, so that they sort
    // as numbers.
    let values = (
        note.id,
        &note.guid,
        note.mid,
        note.mtime_secs,
        note.usn,
        tags,
        &fields,
        &sort_field,
        checksum,
    );
    if !(is_here && conn.prepare_cached(CHANGE)?.execute(values)? > 0) {
        conn.prepare_cached(STORE)?.execute(values)?;
    }
    Ok(())
}

fn without_control_chars(fields: &str) -> Cow<'_, str> {
    let unwanted =
        |char: char| char.is_ascii_control() && !matches!(char, '\n' | '\t' | FIELD_SEPARATOR);
    if fields.contains(unwanted) {
        Cow::Owned(fields.replace(unwanted, ""))
    } else {
        Cow::Borrowed(fields)
    }
}

/// The tags with one space around each, so that one tag can be searched for.
fn tag_column(tags: &str) -> String {
    let mut column = String::with_capacity(tags.len() + 2);
    for tag in tags.split(tag::is_separator).filter(|tag| !tag.is_empty()) {
        column.push(' ');
        column.push_str(tag);
    }
    if !column.is_empty() {
        column.push(' ');
    }
    column
}

/// The bytes of a note's text, without reading it.
pub(super) fn size(conn: &Connection, id: i64) -> Result<u64> {
    let mut statement = conn.prepare_cached(
        "select octet_length(guid) + octet_length(tags) + octet_length(flds) from notes where id = ?",
    )?;
    let size: Option<i64> = statement
        .query_row([id], |row| row.get(0))
        .in_row("notes", id)?;
    Ok(size.map_or(0, i64::unsigned_abs))
}

pub(super) fn read(conn: &Connection, id: i64) -> Result<Note> {
    let mut statement =
        conn.prepare_cached("select id, guid, mid, mod, usn, tags, flds from notes where id = ?")?;
    statement.query_row([id], from_row).in_row("notes", id)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        id: row.get(0)?,
        guid: row.get(1)?,
        mid: row.get(2)?,
        mtime_secs: row.get(3)?,
        usn: row.get(4)?,
        tags: tag_column(row.get_ref(5)?.as_str()?),
        fields: row.get(6)?,
        sort_field: Blank,
        checksum: Blank,
        flags: Zero,
        data: Blank,
    })
}

#[cfg(test)]
mod tests;
