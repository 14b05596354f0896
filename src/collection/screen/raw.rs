//! Reads the schema of an SQLite file without SQLite.
//!
//! SQLite parses the whole list at the first statement, and then loads the statistics with a query that computes
//! generated columns. So a stranger's file could make it parse gigabytes, or compute for ever, before anything else is
//! known of the file. This module reads the few pages of the list with a budget. The format is described in
//! <https://sqlite.org/fileformat2.html>; any departure from it is [`RawError::Damaged`].

#[cfg(test)]
mod tests;

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// The list of a real collection has some 10 KB in 40 rows.
const SCHEMA: Budget = Budget {
    read: MAX_READ,
    bytes: 1 << 20,
    rows: 2_000,
};
/// The statistics of a real collection have some 100 KB in 300 rows. SQLite takes up to 12 KB of memory for each, even
/// if it is short.
const STATISTICS: Budget = Budget {
    read: MAX_READ,
    bytes: 8 << 20,
    rows: 5_000,
};
/// Counted in whole pages, since some are hardly filled, and a page may be read more than once.
const MAX_READ: usize = 32 << 20;
const MAX_DEPTH: usize = 8;
/// Two names and little else come before a definition. So it always begins on the first or second page, which SQLite
/// and this module find in the same way. For further pages, SQLite uses the pointer map of a file with `auto_vacuum`.
const MAX_BEFORE_SQL: usize = 500;
const HEADER: usize = 100;

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub name: String,
    pub root: u32,
    /// None for an index that belongs to a constraint.
    pub sql: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RawError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("is not an SQLite database with UTF-8 text")]
    NotADatabase,
    #[error("is damaged")]
    Damaged,
    #[error("has more tables than any Anki collection")]
    TooMuch,
}

type Result<T> = std::result::Result<T, RawError>;

pub(super) struct Raw {
    file: File,
    page_size: usize,
    usable: usize,
    pages: u64,
}

impl Raw {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => RawError::NotADatabase,
                _ => error.into(),
            })?;
        let encoding = u32_at(&header, 56)?;
        if !header.starts_with(b"SQLite format 3\0") || encoding > 1 {
            return Err(RawError::NotADatabase);
        }
        let page_size = match u16_at(&header, 16)? {
            1 => 65_536,
            size => size,
        };
        let usable = page_size.saturating_sub(header[20].into());
        if !page_size.is_power_of_two() || page_size < 512 || usable < 480 {
            return Err(RawError::NotADatabase);
        }
        let pages = file.metadata()?.len() / page_size as u64;
        Ok(Self {
            file,
            page_size,
            usable,
            pages,
        })
    }

    /// The rows of `sqlite_schema`, in order.
    pub(super) fn schema(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.each_record(1, SCHEMA, |record| {
            rows.push(row(record)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// Refuses a table of statistics that would fill the memory when SQLite loads it.
    pub(super) fn limit_statistics(&self, root: u32) -> Result<()> {
        self.each_record(root, STATISTICS, |_| Ok(()))
    }

    /// All records of a table with rowids, in order.
    fn each_record(
        &self,
        root: u32,
        mut budget: Budget,
        mut visit: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut next = vec![(root, 0)];
        while let Some((number, depth)) = next.pop() {
            if depth > MAX_DEPTH {
                return Err(RawError::Damaged);
            }
            let page = self.page(number, &mut budget)?;
            let start = if number == 1 { HEADER } else { 0 };
            let kind = *page.get(start).ok_or(RawError::Damaged)?;
            let cells = u16_at(&page, start + 3)?;
            let pointers = start + if kind == INTERIOR { 12 } else { 8 };
            let cell = |index: usize| u16_at(&page, pointers + 2 * index);
            match kind {
                INTERIOR => {
                    next.push((u32_at(&page, start + 8)?, depth + 1));
                    for index in (0..cells).rev() {
                        next.push((u32_at(&page, cell(index)?)?, depth + 1));
                    }
                }
                LEAF => {
                    for index in 0..cells {
                        visit(&self.record(&page, cell(index)?, &mut budget)?)?;
                    }
                }
                _ => return Err(RawError::Damaged),
            }
        }
        Ok(())
    }

    fn page(&self, number: u32, budget: &mut Budget) -> Result<Vec<u8>> {
        spend(&mut budget.read, self.page_size)?;
        if number == 0 || u64::from(number) > self.pages {
            return Err(RawError::Damaged);
        }
        let mut page = vec![0; self.page_size];
        let at = u64::from(number - 1) * self.page_size as u64;
        self.file.read_exact_at(&mut page, at)?;
        page.truncate(self.usable);
        Ok(page)
    }

    /// The content of a leaf's cell, with the part that did not fit onto its page.
    fn record(&self, page: &[u8], cell: usize, budget: &mut Budget) -> Result<Vec<u8>> {
        let mut rest = page.get(cell..).ok_or(RawError::Damaged)?;
        // In the length, SQLite gives a ninth byte another meaning.
        if rest.iter().take(8).all(|byte| byte & 0x80 != 0) {
            return Err(RawError::Damaged);
        }
        let length = usize::try_from(varint(&mut rest)?).map_err(|_| RawError::TooMuch)?;
        varint(&mut rest)?;
        spend(&mut budget.rows, 1)?;
        spend(&mut budget.bytes, length)?;
        let local = self.local(length);
        let mut record = rest.get(..local).ok_or(RawError::Damaged)?.to_vec();
        let mut next = if length > local {
            u32_at(rest, local)?
        } else {
            0
        };
        while record.len() < length {
            let page = self.page(next, budget)?;
            next = u32_at(&page, 0)?;
            let wanted = (length - record.len()).min(self.usable - 4);
            record.extend_from_slice(&page[4..4 + wanted]);
        }
        Ok(record)
    }

    /// How many bytes of a record are on its leaf.
    fn local(&self, length: usize) -> usize {
        let most = self.usable - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (self.usable - 4);
        if fitting <= most { fitting } else { least }
    }
}

const INTERIOR: u8 = 0x05;
const LEAF: u8 = 0x0d;

/// What may still be read.
struct Budget {
    read: usize,
    bytes: usize,
    rows: usize,
}

fn spend(budget: &mut usize, amount: usize) -> Result<()> {
    *budget = budget.checked_sub(amount).ok_or(RawError::TooMuch)?;
    Ok(())
}

/// The columns are type, name, `tbl_name`, rootpage, sql. The first and the third are not read: SQLite itself uses the
/// SQL.
fn row(record: &[u8]) -> Result<Row> {
    let mut rest = record;
    let header = usize::try_from(varint(&mut rest)?).map_err(|_| RawError::Damaged)?;
    let mut types = record
        .get(record.len() - rest.len()..header)
        .ok_or(RawError::Damaged)?;
    let mut body = record.get(header..).ok_or(RawError::Damaged)?;
    let mut next = || -> Result<(u64, &[u8])> {
        let kind = varint(&mut types)?;
        let (value, after) = body
            .split_at_checked(size(kind)?)
            .ok_or(RawError::Damaged)?;
        body = after;
        Ok((kind, value))
    };
    let (_, name, _, root, sql) = (next()?, next()?, next()?, next()?, next()?);
    if record.len() - sql.1.len() > MAX_BEFORE_SQL {
        return Err(RawError::TooMuch);
    }
    Ok(Row {
        name: text(name)?.ok_or(RawError::Damaged)?,
        root: integer(root)?,
        sql: text(sql)?,
    })
}

fn size(kind: u64) -> Result<usize> {
    Ok(match kind {
        0 | 8 | 9 => 0,
        1..=4 => usize::try_from(kind).map_err(|_| RawError::Damaged)?,
        5 => 6,
        6 | 7 => 8,
        10 | 11 => return Err(RawError::Damaged),
        _ => usize::try_from((kind - 12) / 2).map_err(|_| RawError::Damaged)?,
    })
}

fn text((kind, value): (u64, &[u8])) -> Result<Option<String>> {
    match kind {
        0 => Ok(None),
        // SQLite would only read it up to a zero.
        13.. if kind % 2 == 1 && !value.contains(&0) => String::from_utf8(value.to_vec())
            .map(Some)
            .map_err(|_| RawError::Damaged),
        _ => Err(RawError::Damaged),
    }
}

fn integer((kind, value): (u64, &[u8])) -> Result<u32> {
    match kind {
        0 | 8 => Ok(0),
        9 => Ok(1),
        1..=6 => {
            let value = value
                .iter()
                .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            u32::try_from(value).map_err(|_| RawError::Damaged)
        }
        _ => Err(RawError::Damaged),
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0_u64;
    for index in 0..9 {
        let (byte, rest) = bytes.split_first().ok_or(RawError::Damaged)?;
        *bytes = rest;
        if index == 8 {
            return Ok(value << 8 | u64::from(*byte));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(value)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<usize> {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    bytes
        .map(|bytes| u16::from_be_bytes(*bytes).into())
        .ok_or(RawError::Damaged)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    bytes
        .map(|bytes| u32::from_be_bytes(*bytes))
        .ok_or(RawError::Damaged)
}
