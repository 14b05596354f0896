//! The scheduler's day, and the work at the beginning of a new day.

use rusqlite::Connection;

use super::{Result, card, card_data, config, error::InRow};
use crate::wire::Usn;

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;
const DEFAULT_ROLLOVER: i64 = 4;

/// How many days ahead a recorded day may be. Beyond that it counts as a mistake of a clock.
const TOLERATED_DAYS_AHEAD: i64 = 7;

/// Queues of cards that the scheduler or a person has buried until the next day.
const BURIED: &str = "(-2, -3)";

/// On the first sync of a day, unburies the cards that were buried until then.
///
/// Clients do the same for themselves, so the cards do not count as changed.
pub fn unbury_if_new_day(conn: &Connection, now_secs: i64) -> Result<()> {
    let (usn, created_secs) = conn
        .prepare_cached("select usn, crt from col")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let today = Timing::read(conn, usn, created_secs, now_secs)?.today();
    let last: i64 = config::get::<u32>(conn, "lastUnburied")?
        .unwrap_or(0)
        .into();
    if last < today || last > today + TOLERATED_DAYS_AHEAD {
        unbury(conn)?;
        config::set(conn, "lastUnburied", &today.to_string(), usn, now_secs)?;
    }
    Ok(())
}

/// The values that decide the number of today. Offsets are in seconds west of UTC.
struct Timing {
    created_secs: i64,
    now_secs: i64,
    local_offset: i64,
    day_start: DayStart,
}

enum DayStart {
    /// The first scheduler: days begin every 24 hours from the creation of the collection.
    Creation,
    /// An hour of the day, without daylight saving time.
    Hour(i64),
    /// An hour of the day, with the time zone of the creation and the present one.
    LocalHour { hour: i64, creation_offset: i64 },
}

impl Timing {
    /// Reads the values, and stores the hour at which days begin if the collection has none.
    fn read(conn: &Connection, usn: Usn, created_secs: i64, now_secs: i64) -> Result<Self> {
        let local_offset = offset(conn, "localOffset")?.unwrap_or(0);
        let day_start = if config::get::<u8>(conn, "schedVer")? == Some(2) {
            let hour = config::get::<u8>(conn, "rollover")?.map(|hour| i64::from(hour.min(23)));
            if hour.is_none() {
                config::set(
                    conn,
                    "rollover",
                    &DEFAULT_ROLLOVER.to_string(),
                    usn,
                    now_secs,
                )?;
            }
            let hour = hour.unwrap_or(DEFAULT_ROLLOVER);
            match offset(conn, "creationOffset")? {
                Some(creation_offset) => DayStart::LocalHour {
                    hour,
                    creation_offset,
                },
                None => DayStart::Hour(hour),
            }
        } else {
            DayStart::Creation
        };
        Ok(Self {
            created_secs,
            now_secs,
            local_offset,
            day_start,
        })
    }

    /// The number of today: days since the creation.
    fn today(&self) -> i64 {
        let Self {
            created_secs,
            now_secs,
            local_offset,
            ..
        } = *self;
        let days = match self.day_start {
            DayStart::Creation => (now_secs - created_secs) / DAY,
            DayStart::Hour(hour) => {
                let midnight = (created_secs - local_offset).div_euclid(DAY) * DAY + local_offset;
                (now_secs - midnight - hour * HOUR) / DAY
            }
            DayStart::LocalHour {
                hour,
                creation_offset,
            } => {
                let created = (created_secs - creation_offset).div_euclid(DAY);
                let now = now_secs - local_offset;
                let passed = now.rem_euclid(DAY) >= hour * HOUR;
                now.div_euclid(DAY) - created - i64::from(!passed)
            }
        };
        days.clamp(0, u32::MAX.into())
    }
}

/// An offset, which the config stores in minutes.
fn offset(conn: &Connection, key: &str) -> Result<Option<i64>> {
    let seconds = config::get::<i32>(conn, key)?.map(|minutes| i64::from(minutes) * 60);
    Ok(seconds.filter(|seconds| seconds.abs() < DAY))
}

/// Returns every buried card to the queue of its type.
fn unbury(conn: &Connection) -> Result<()> {
    let mut buried = conn.prepare(&format!(
        "select id, type, due, data from cards where queue in {BURIED}"
    ))?;
    let mut restore = conn.prepare("update cards set queue = ?, data = ? where id = ?")?;
    let mut rows = buried.query([])?;
    let mut restored = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let kind = row.get(1).in_row("cards", id)?;
        let data = row.get_ref(3)?.as_str().unwrap_or_default();
        if let Some(queue) = queue(kind, card::lenient_due(row.get_ref(2)?)) {
            restored.push((queue, card_data::normalized(data).into_owned(), id));
        }
    }
    for card in restored {
        restore.execute(card)?;
    }
    Ok(())
}

/// The queue for a type of card; none for an unknown type.
fn queue(kind: i64, due: i32) -> Option<i8> {
    match kind {
        0 => Some(0),
        // Learning steps within a day are due at a time, longer ones on a day.
        1 | 3 => Some(if due > 1_000_000_000 { 1 } else { 3 }),
        2 => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::collection::testing::{self, rows};

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Case {
        sched_ver: Value,
        #[serde(rename = "rollover_in")]
        rollover_in: Value,
        creation_offset: Value,
        local_offset: Value,
        crt: i64,
        now: i64,
        #[serde(rename = "lastUnburied_after")]
        last_unburied_after: i64,
        #[serde(rename = "rollover_after")]
        rollover_after: String,
        #[serde(rename = "localOffset_after")]
        local_offset_after: Value,
    }

    fn text(conn: &Connection, key: &str) -> Option<String> {
        let sql = format!("select cast(val as text) from config where KEY = '{key}'");
        rows(conn, &sql)
            .first()
            .map(|row| row[0].as_str().unwrap().to_owned())
    }

    fn put(conn: &Connection, key: &str, value: &Value) {
        config::set(conn, key, &value.to_string(), Usn(0), 0).unwrap();
    }

    fn or_absent(text: Option<String>) -> String {
        text.unwrap_or_else(|| "absent".to_owned())
    }

    #[test]
    fn days_are_counted_as_by_the_reference_server() {
        let cases: Vec<Case> = testing::vector("timing");
        assert_eq!(cases.len(), 156);
        for case in cases {
            let conn = testing::collection();
            conn.execute("update col set usn = 8, crt = ?", [case.crt])
                .unwrap();
            conn.execute("delete from config", []).unwrap();
            put(&conn, "lastUnburied", &json!(999_999));
            for (key, value, absent) in [
                ("schedVer", &case.sched_ver, Value::Null),
                ("rollover", &case.rollover_in, Value::Null),
                ("creationOffset", &case.creation_offset, json!("absent")),
                ("localOffset", &case.local_offset, json!("absent")),
            ] {
                if *value != absent {
                    put(&conn, key, value);
                }
            }
            unbury_if_new_day(&conn, case.now).unwrap();
            let after = text(&conn, "lastUnburied").unwrap();
            assert_eq!(after, case.last_unburied_after.to_string(), "{case:?}");
            assert_eq!(
                or_absent(text(&conn, "rollover")),
                case.rollover_after,
                "{case:?}"
            );
            let local = or_absent(text(&conn, "localOffset"));
            let expected = case
                .local_offset_after
                .as_str()
                .map_or(case.local_offset_after.to_string(), str::to_owned);
            assert_eq!(local, expected, "{case:?}");
        }
    }

    const CREATED: i64 = 1_600_000_000;

    /// A collection of the first scheduler, so that its day begins at its creation time, with one buried card.
    fn collection(last_unburied: &Value) -> Connection {
        let conn = testing::collection();
        conn.execute("update col set usn = 8, crt = ?", [CREATED])
            .unwrap();
        put(&conn, "schedVer", &json!(1));
        put(&conn, "lastUnburied", last_unburied);
        conn.execute_batch(
            "insert into cards values (1, 1, 1, 0, 5, 6, 0, -2, 0, 0, 0, 0, 0, 0, 0, 0, 0, '')",
        )
        .unwrap();
        conn
    }

    fn is_unburied(conn: &Connection, days: i64) -> bool {
        conn.execute("update cards set queue = -2", []).unwrap();
        unbury_if_new_day(conn, CREATED + days * DAY).unwrap();
        rows(conn, "select 1 from cards where queue = 0").len() == 1
    }

    #[test]
    fn cards_come_back_once_a_day() {
        let conn = collection(&json!(99));
        assert!(is_unburied(&conn, 100));
        assert!(!is_unburied(&conn, 100));
        assert!(is_unburied(&conn, 101));
        let row = rows(
            &conn,
            "select usn, mtime_secs, cast(val as text) from config where KEY = 'lastUnburied'",
        );
        assert_eq!(json!(row), json!([[8, CREATED + 101 * DAY, "101"]]));
    }

    #[test]
    fn a_day_more_than_a_week_ahead_is_taken_for_a_mistake() {
        assert!(!is_unburied(&collection(&json!(107)), 100));
        assert!(is_unburied(&collection(&json!(108)), 100));
    }

    #[test]
    fn a_day_that_is_no_number_counts_as_the_first() {
        for last in [json!("x"), json!(-1), json!(1.5), json!(1_i64 << 32)] {
            assert!(is_unburied(&collection(&last), 1), "{last}");
        }
    }

    #[test]
    fn a_clock_before_the_creation_is_the_first_day() {
        let conn = collection(&json!(0));
        assert!(!is_unburied(&conn, -50));
        put(&conn, "schedVer", &json!(2));
        put(&conn, "creationOffset", &json!(0));
        assert!(!is_unburied(&conn, -50));
    }

    #[test]
    fn each_type_of_card_returns_to_its_queue_unchanged_otherwise() {
        let conn = collection(&json!(0));
        let learning_at_a_time = 1_000_000_001;
        let learning_on_a_day = 1_000_000_000;
        let cards = [
            // type, queue, due, and the queue afterwards
            (0, -2, 5, 0),
            (0, -3, 5, 0),
            (1, -2, learning_at_a_time, 1),
            (1, -3, learning_on_a_day, 3),
            (2, -2, 5, 2),
            (3, -3, learning_at_a_time, 1),
            (3, -2, learning_on_a_day, 3),
            (0, -1, 5, -1),
            (2, 2, 5, 2),
            (9, -2, 5, -2),
        ];
        conn.execute("delete from cards", []).unwrap();
        for (id, (kind, queue, due, _)) in (1_i64..).zip(cards) {
            let sql = "insert into cards values (?, 1, 1, 0, 5, 6, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, '{\"pos\":1,\"x\":2}')";
            conn.execute(sql, (id, kind, queue, due)).unwrap();
        }
        unbury_if_new_day(&conn, CREATED + DAY).unwrap();
        for (id, (kind, before, due, after)) in (1_i64..).zip(cards) {
            let found = rows(
                &conn,
                &format!("select mod, usn, type, queue, due, data from cards where id = {id}"),
            );
            let data = if before == after {
                r#"{"pos":1,"x":2}"#
            } else {
                r#"{"pos":1}"#
            };
            assert_eq!(
                json!(found),
                json!([[5, 6, kind, after, due, data]]),
                "{kind} {before}"
            );
        }
    }

    #[test]
    fn a_missing_rollover_is_fixed_only_for_the_second_scheduler() {
        let conn = collection(&json!(0));
        unbury_if_new_day(&conn, CREATED).unwrap();
        assert_eq!(text(&conn, "rollover"), None);
        put(&conn, "schedVer", &json!(2));
        unbury_if_new_day(&conn, CREATED).unwrap();
        let row = rows(
            &conn,
            "select usn, mtime_secs, cast(val as text) from config where KEY = 'rollover'",
        );
        assert_eq!(json!(row), json!([[8, CREATED, "4"]]));
    }
}
