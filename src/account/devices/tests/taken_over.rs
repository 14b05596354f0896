use super::*;

/// The file of an earlier version: devices 1 and 2 of alice, 1 of them revoked, and device 3 of a
/// removed user.
fn former_file(base: &TempDir) -> PathBuf {
    fs::create_dir_all(base.path().join(".anki-syncd")).unwrap();
    let path = base.path().join(".anki-syncd/devices.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(
        "create table device (
            id text primary key, user text not null, first_seen integer not null,
            last_seen integer not null, client text not null, address text not null,
            last_sync integer, last_action text, revoked integer, password integer not null
        ) without rowid;
        pragma user_version = 1",
    )
    .unwrap();
    let now = clock::now_secs();
    for (number, user, revoked) in [
        (1, "alice", Some(now)),
        (2, "alice", None),
        (3, "gone", None),
    ] {
        conn.execute(
            "insert into device values (?, ?, ?, ?, 'c', 'a', null, null, ?, -7)",
            rusqlite::params![device(number).id.to_string(), user, now, now, revoked],
        )
        .unwrap();
    }
    path
}

#[tokio::test]
async fn what_an_earlier_version_knew_is_taken_over_once_and_set_aside() {
    let base = base();
    let path = former_file(&base);
    former::take_over(base.path(), &path, |_| false).unwrap();
    let devices = open(&base).await;
    assert!(is_revoked(&devices, 1).await && !is_revoked(&devices, 2).await);
    assert_eq!(listed(&devices).await[0].password, PasswordMark(-7));
    assert_eq!(file_names(base.path()), [".anki-syncd", "alice"]);
    let own = base.path().join(".anki-syncd");
    assert_eq!(file_names(&own), ["devices.db.taken-over"]);
    former::take_over(base.path(), &path, |_| false).unwrap();
    assert_eq!(ids(&open(&base).await).await.len(), 2);
}

#[tokio::test]
async fn what_was_revoked_meanwhile_stays_so_when_an_earlier_version_was_in_use_again() {
    let base = base();
    let path = former_file(&base);
    former::take_over(base.path(), &path, |_| false).unwrap();
    revoke(&open(&base).await, 2).await.unwrap();
    fs::remove_file(path.with_file_name("devices.db.taken-over")).unwrap();
    former_file(&base);
    former::take_over(base.path(), &path, |_| false).unwrap();
    let devices = open(&base).await;
    assert!(is_revoked(&devices, 1).await && is_revoked(&devices, 2).await);
}

#[tokio::test]
async fn an_earlier_versions_file_that_is_damaged_is_set_aside_and_hinders_nobody() {
    for content in [
        "no database at all, but long enough to be taken for one",
        "",
    ] {
        let base = base();
        let path = former_file(&base);
        fs::write(&path, content).unwrap();
        former::take_over(base.path(), &path, |_| false).unwrap();
        let names = file_names(&base.path().join(".anki-syncd"));
        assert_eq!(names.len(), 1);
        assert!(names[0].starts_with("devices.db.damaged-"), "{names:?}");
    }
}

#[test]
fn an_earlier_versions_file_that_cannot_be_spread_stays_where_it_is() {
    let base = base();
    let path = former_file(&base);
    fs::write(base.path().join("alice/.anki-syncd"), "in the way").unwrap();
    assert!(former::take_over(base.path(), &path, |_| false).is_err());
    assert!(path.exists());
}
