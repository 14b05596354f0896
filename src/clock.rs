//! The time of day, and its text forms.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Milliseconds since 1970, as the collection's stamps are.
pub fn now_ms() -> i64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds since 1970.
pub fn now_secs() -> i64 {
    now_ms() / 1000
}

/// For people, to the minute: `2026-11-21 14:38 UTC`.
pub fn to_the_minute(ms: i64) -> String {
    timestamp(ms).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// For names of files: sorts by time, and has no colon, since rsync takes text before a colon for a
/// host. `2026-11-21T14-38-02.123Z`.
pub fn as_name(ms: i64) -> String {
    timestamp(ms).strftime("%Y-%m-%dT%H-%M-%S.%3fZ").to_string()
}

/// Reads what [`as_name`] writes.
pub fn from_name(name: &str) -> Option<i64> {
    let (date, time) = name.split_once('T')?;
    let time = time.replace('-', ":");
    let timestamp: Timestamp = format!("{date}T{time}").parse().ok()?;
    Some(timestamp.as_millisecond()).filter(|ms| as_name(*ms) == name)
}

/// Parses a time that a person wrote, such as `2026-11-21 14:38`, into milliseconds since 1970. UTC
/// unless it names another zone.
pub fn parse(text: &str) -> Option<i64> {
    let timestamp = match text.parse::<Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => {
            let civil: jiff::civil::DateTime = text.parse().ok()?;
            civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
        }
    };
    Some(timestamp.as_millisecond())
}

/// All times beyond the year 9999 become the last moment that can be represented.
fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_can_be_read() {
        let times = [0, 999, 1_000, 1_700_000_000_123, 1_700_000_000_200];
        let names = times.map(as_name);
        assert_eq!(names[3], "2023-11-14T22-13-20.123Z");
        assert!(names.is_sorted());
        assert_eq!(names.map(|name| from_name(&name).unwrap()), times);
        for other in ["", "collection", "2023-11-14", "2023-11-14T22:13:20.123Z"] {
            assert_eq!(from_name(other), None, "{other}");
        }
    }

    #[test]
    fn people_may_leave_out_what_is_clear() {
        let expected = Some(1_700_000_000_000);
        for text in [
            "2023-11-14 22:13:20",
            "2023-11-14T22:13:20Z",
            "2023-11-14 23:13:20+01",
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse("2023-11-14 22:13"), Some(1_699_999_980_000));
        assert_eq!(parse("2023-11-14"), Some(1_699_920_000_000));
        assert_eq!(parse("yesterday"), None);
        assert_eq!(to_the_minute(1_700_000_000_000), "2023-11-14 22:13 UTC");
    }
}
