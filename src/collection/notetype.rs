//! Notetypes: one row each in `notetypes`, and one for each field and template.

mod convert;
#[cfg(test)]
mod tests;

use prost::Message;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    Error, Result,
    error::InRow,
    proto::{FieldConfig, NotetypeConfig, TemplateConfig},
};
use crate::{
    wire::{
        Usn,
        notetype::{Field, Notetype, Template},
    },
    work,
};

/// Stores the notetypes that are not older than the ones here.
pub(super) fn merge(
    conn: &Connection,
    notetypes: impl IntoIterator<Item = Notetype>,
    usn: Usn,
    now_secs: i64,
) -> Result<()> {
    for mut notetype in notetypes {
        if notetype.id == 0 {
            return Err(Error::ZeroId("notetype"));
        }
        if let Some(mtime_secs) = mtime_of(conn, notetype.id)? {
            if mtime_secs > notetype.mtime_secs {
                continue;
            }
            require_same_shape(conn, &notetype)?;
        }
        while name_is_taken(conn, &notetype)? {
            work::step()?;
            notetype.name.push('+');
            notetype.mtime_secs = now_secs;
            notetype.usn = usn;
        }
        store(conn, notetype)?;
    }
    Ok(())
}

fn mtime_of(conn: &Connection, id: i64) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached("select mtime_secs from notetypes where id = ?")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

/// Notes and cards on other devices depend on the number of fields and templates. Only a full sync changes all of them.
fn require_same_shape(conn: &Connection, notetype: &Notetype) -> Result<()> {
    let (fields, templates): (usize, usize) = conn.query_row(
        "select (select count(*) from fields where ntid = ?1), (select count(*) from templates where ntid = ?1)",
        [notetype.id],
        |row| Ok((count(row, 0)?, count(row, 1)?)),
    )?;
    if (fields, templates) == (notetype.fields.len(), notetype.templates.len()) {
        Ok(())
    } else {
        Err(Error::NotetypeShape(notetype.id))
    }
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<usize> {
    row.get::<_, u32>(column).map(|count| count as usize)
}

/// Whether another notetype has this name, in any case.
pub(super) fn name_is_taken(conn: &Connection, notetype: &Notetype) -> Result<bool> {
    let mut statement =
        conn.prepare_cached("select exists (select 1 from notetypes where name = ? and id != ?)")?;
    Ok(statement.query_row((&notetype.name, notetype.id), |row| row.get(0))?)
}

/// Replaces the notetype of this id.
pub(super) fn store(conn: &Connection, notetype: Notetype) -> Result<()> {
    let Notetype {
        id,
        mtime_secs,
        usn,
        ..
    } = notetype;
    let (name, config, fields, templates) = convert::to_rows(notetype);
    conn.prepare_cached("insert or replace into notetypes (id, name, mtime_secs, usn, config) values (?, ?, ?, ?, ?)")?
        .execute((id, name, mtime_secs, usn, config.encode_to_vec()))?;
    conn.prepare_cached("delete from fields where ntid = ?")?
        .execute([id])?;
    let mut insert =
        conn.prepare_cached("insert into fields (ntid, ord, name, config) values (?, ?, ?, ?)")?;
    for (ord, (name, config)) in (0_u32..).zip(fields) {
        insert.execute((id, ord, name, config.encode_to_vec()))?;
    }
    conn.prepare_cached("delete from templates where ntid = ?")?
        .execute([id])?;
    let mut insert = conn.prepare_cached(
        "insert into templates (ntid, ord, name, mtime_secs, usn, config) values (?, ?, ?, 0, 0, ?)",
    )?;
    for (ord, (name, config)) in (0_u32..).zip(templates) {
        insert.execute((id, ord, name, config.encode_to_vec()))?;
    }
    Ok(())
}

pub(super) fn read(conn: &Connection, id: i64) -> Result<Notetype> {
    let mut notetype =
        conn.prepare_cached("select name, mtime_secs, usn, config from notetypes where id = ?")?;
    let (name, mtime_secs, usn, config) = notetype
        .query_row([id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, blob(row, 3)?))
        })
        .in_row("notetypes", id)?;
    let config = NotetypeConfig::decode(&config[..]).in_row("notetypes", id)?;
    let fields = fields(conn, id)?;
    let templates = templates(conn, id)?;
    Ok(Notetype {
        id,
        name,
        mtime_secs,
        usn,
        templates,
        fields,
        ..convert::from_config(config)
    })
}

fn fields(conn: &Connection, id: i64) -> Result<Vec<Field>> {
    let mut statement =
        conn.prepare_cached("select ord, name, config from fields where ntid = ? order by ord")?;
    let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?, blob(row, 2)?)))?;
    rows.map(|row| {
        let (ord, name, config) = row.in_row("fields", id)?;
        let config = FieldConfig::decode(&config[..]).in_row("fields", id)?;
        Ok(convert::field(ord, name, config))
    })
    .collect()
}

fn templates(conn: &Connection, id: i64) -> Result<Vec<Template>> {
    let mut statement =
        conn.prepare_cached("select ord, name, config from templates where ntid = ? order by ord")?;
    let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?, blob(row, 2)?)))?;
    rows.map(|row| {
        let (ord, name, config) = row.in_row("templates", id)?;
        let config = TemplateConfig::decode(&config[..]).in_row("templates", id)?;
        Ok(convert::template(ord, name, config))
    })
    .collect()
}

fn blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    row.get(column)
}

/// How many fields a note of a notetype has, and the field that lists are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoteShape {
    pub(super) fields: usize,
    pub(super) sort_field: usize,
}

/// The shape of a notetype's notes; none if it does not exist.
pub(super) fn note_shape(conn: &Connection, id: i64) -> Result<Option<NoteShape>> {
    let mut statement = conn.prepare_cached(
        "select config, (select count(*) from fields where ntid = notetypes.id) from notetypes where id = ?",
    )?;
    let row = statement
        .query_row([id], |row| Ok((blob(row, 0)?, count(row, 1)?)))
        .optional()?;
    let Some((config, fields)) = row else {
        return Ok(None);
    };
    let config = NotetypeConfig::decode(&config[..]).in_row("notetypes", id)?;
    Ok(Some(NoteShape {
        fields: fields.max(1),
        sort_field: config.sort_field_idx as usize,
    }))
}
