//! The sanity check at the end of a sync: whether both sides have the same.

use rusqlite::Connection;

use super::Result;
use crate::wire::{
    Usn,
    sanity::{Counts, SanityReply, SanityStatus},
};

/// All tables with a USN; none of their rows may stay unsent.
pub(super) const TABLES_WITH_USN: [&str; 8] = [
    "cards",
    "notes",
    "revlog",
    "graves",
    "decks",
    "deck_config",
    "tags",
    "notetypes",
];

/// Compares the client's counts with the rows here. Any result but "ok" means that the sync must be rolled back.
///
/// Due counts depend on the time of day, and both sides keep graves differently: neither is compared.
///
/// `reviews` is the number of reviews here, if it is known; afterwards it is. Counting a million takes milliseconds
/// on a fast computer, and seconds on one with an SD card. What differs from the client's number is counted anew.
pub fn check(conn: &Connection, client: Counts, reviews: &mut Option<u32>) -> Result<SanityReply> {
    if any_unsent(conn)? {
        return Ok(SanityReply {
            status: SanityStatus::Bad,
            client,
            server: None,
        });
    }
    let client = Counts {
        due: (0, 0, 0),
        graves: 0,
        ..client
    };
    *reviews = reviews.filter(|known| *known == client.revlog);
    let server = counts(conn, *reviews)?;
    *reviews = Some(server.revlog);
    let status = if client == server {
        SanityStatus::Ok
    } else {
        SanityStatus::Bad
    };
    Ok(SanityReply {
        status,
        client,
        server: Some(server),
    })
}

/// Whether a client sent a row without the server's USN. Such a row would never reach another device.
fn any_unsent(conn: &Connection) -> Result<bool> {
    let unsent =
        TABLES_WITH_USN.map(|table| format!("exists (select 1 from {table} where usn = ?1)"));
    let mut statement = conn.prepare_cached(&format!("select {}", unsent.join(" or ")))?;
    Ok(statement.query_row([Usn::UNSENT], |row| row.get(0))?)
}

/// Marks all rows as sent.
pub fn mark_all_sent(conn: &Connection) -> Result<()> {
    for table in TABLES_WITH_USN {
        let sql = format!("update {table} set usn = 0 where usn = ?");
        conn.execute(&sql, [Usn::UNSENT])?;
    }
    Ok(())
}

fn counts(conn: &Connection, reviews: Option<u32>) -> Result<Counts> {
    let count = |table| {
        let mut statement = conn.prepare_cached(&format!("select count(*) from {table}"))?;
        statement.query_row([], |row| row.get(0))
    };
    Ok(Counts {
        due: (0, 0, 0),
        cards: count("cards")?,
        notes: count("notes")?,
        revlog: reviews.map_or_else(|| count("revlog"), Ok)?,
        graves: 0,
        notetypes: count("notetypes")?,
        decks: count("decks")?,
        deck_config: count("deck_config")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::testing;

    fn check(conn: &Connection, client: Counts) -> Result<SanityReply> {
        super::check(conn, client, &mut None)
    }

    const NEW: Counts = Counts {
        due: (0, 0, 0),
        cards: 0,
        notes: 0,
        revlog: 0,
        graves: 0,
        notetypes: 3,
        decks: 1,
        deck_config: 1,
    };

    #[test]
    fn equal_counts_are_ok_whatever_is_due_or_in_graves() {
        let conn = testing::collection();
        conn.execute_batch("insert into graves values (1, 0, 0)")
            .unwrap();
        let reply = check(
            &conn,
            Counts {
                due: (1, 2, 3),
                graves: 7,
                ..NEW
            },
        )
        .unwrap();
        assert_eq!(
            reply,
            SanityReply {
                status: SanityStatus::Ok,
                client: NEW,
                server: Some(NEW)
            }
        );
    }

    #[test]
    fn each_other_count_has_to_agree() {
        let conn = testing::collection();
        for client in [
            Counts { cards: 1, ..NEW },
            Counts { notes: 1, ..NEW },
            Counts { revlog: 1, ..NEW },
            Counts {
                notetypes: 1,
                ..NEW
            },
            Counts { decks: 2, ..NEW },
            Counts {
                deck_config: 2,
                ..NEW
            },
        ] {
            let reply = check(
                &conn,
                Counts {
                    due: (9, 9, 9),
                    ..client
                },
            )
            .unwrap();
            assert_eq!(
                reply,
                SanityReply {
                    status: SanityStatus::Bad,
                    client,
                    server: Some(NEW)
                }
            );
        }
    }

    #[test]
    fn every_kind_of_row_is_counted() {
        let conn = testing::collection();
        conn.execute_batch(
            "insert into notes values (1, 'g', 1, 0, 0, '', '', '', 0, 0, '');
             insert into cards values (1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '');
             insert into revlog values (1, 1, 0, 0, 0, 0, 0, 0, 0), (2, 1, 0, 0, 0, 0, 0, 0, 0);
             insert into decks values (2, 'b', 0, 0, '', '');
             insert into deck_config values (2, 'b', 0, 0, '');
             delete from notetypes where name = 'Cloze';",
        )
        .unwrap();
        let server = Counts {
            cards: 1,
            notes: 1,
            revlog: 2,
            notetypes: 2,
            decks: 2,
            deck_config: 2,
            ..NEW
        };
        assert_eq!(check(&conn, NEW).unwrap().server, Some(server));
    }

    #[test]
    fn an_unsent_row_is_bad_in_every_table_and_the_reply_has_the_clients_counts_as_sent() {
        let sent = Counts {
            due: (1, 2, 3),
            graves: 7,
            ..NEW
        };
        for row in [
            "notes values (1, 'g', 1, 0, -1, '', '', '', 0, 0, '')",
            "cards values (1, 1, 1, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '')",
            "revlog values (1, 1, -1, 0, 0, 0, 0, 0, 0)",
            "graves values (1, 0, -1)",
            "decks values (2, 'b', 0, -1, '', '')",
            "deck_config values (2, 'b', 0, -1, '')",
            "tags values ('a', -1, 1, null)",
            "notetypes values (2, 'b', 0, -1, '')",
        ] {
            let conn = testing::collection();
            conn.execute_batch(&format!("insert into {row}")).unwrap();
            let expected = SanityReply {
                status: SanityStatus::Bad,
                client: sent,
                server: None,
            };
            assert_eq!(check(&conn, sent).unwrap(), expected, "{row}");
        }
    }

    #[test]
    fn unsent_settings_and_templates_do_not_matter() {
        let conn = testing::collection();
        conn.execute_batch("update config set usn = -1; update templates set usn = -1")
            .unwrap();
        assert_eq!(check(&conn, NEW).unwrap().status, SanityStatus::Ok);
    }

    #[test]
    fn a_known_number_of_reviews_saves_counting_and_never_makes_a_check_fail() {
        let conn = testing::collection();
        conn.execute_batch("insert into revlog values (1, 1, 0, 0, 0, 0, 0, 0, 0)")
            .unwrap();
        for (known, client, status, known_then) in [
            (None, 1, SanityStatus::Ok, 1),
            (Some(1), 1, SanityStatus::Ok, 1),
            (Some(1), 2, SanityStatus::Bad, 1),
            // Another program has changed the table.
            (Some(7), 1, SanityStatus::Ok, 1),
            // Not counted.
            (Some(7), 7, SanityStatus::Ok, 7),
        ] {
            let client = Counts {
                revlog: client,
                ..NEW
            };
            let mut reviews = known;
            let reply = super::check(&conn, client, &mut reviews).unwrap();
            assert_eq!(
                (reply.status, reviews),
                (status, Some(known_then)),
                "{known:?}"
            );
        }
    }
}
