use std::{fs, os::unix::fs::MetadataExt};

use super::*;

const TEXT: &str = "# people\n\nalice:plain:pass\r\n  \nbob:b # no comment\n# end";

fn name(name: &str) -> UserName {
    name.parse().unwrap()
}

fn edited(edit: impl FnOnce(&mut Document) -> Result<(), EditError>) -> String {
    edited_in(TEXT, edit)
}

fn edited_in(text: &str, edit: impl FnOnce(&mut Document) -> Result<(), EditError>) -> String {
    let mut document = Document::parse(text.as_bytes());
    edit(&mut document).unwrap();
    String::from_utf8(document.bytes()).unwrap()
}

#[test]
fn an_edit_leaves_all_other_lines_as_they_were() {
    assert_eq!(edited(|_| Ok(())), TEXT);
    assert_eq!(
        edited(|document| document.add(&name("carol"), "$hash")),
        format!("{TEXT}\ncarol:$hash\n")
    );
    assert_eq!(
        edited(|document| document.change_password(&name("alice"), "$hash")),
        TEXT.replace("plain:pass", "$hash")
    );
    assert_eq!(
        edited(|document| document.remove(&name("bob"))),
        TEXT.replace("bob:b # no comment\n", "")
    );
    assert_eq!(
        edited(|document| document.rename(&name("alice"), &name("ann"))),
        TEXT.replace("alice", "ann")
    );
}

#[test]
fn an_empty_file_gets_its_first_user() {
    let text = edited_in("", |document| document.add(&name("alice"), "x"));
    assert_eq!(text, "alice:x\n");
}

#[test]
fn what_cannot_be_is_refused() {
    let mut document = Document::parse(TEXT.as_bytes());
    let (alice, bob, nobody) = (name("alice"), name("bob"), name("nobody"));
    assert_eq!(document.add(&bob, "x"), Err(EditError::Exists(bob.clone())));
    assert_eq!(
        document.rename(&alice, &bob),
        Err(EditError::Exists(bob.clone()))
    );
    for taken_apart in ["a:b", "#a", "'a", "\"a"] {
        let taken_apart = name(taken_apart);
        assert_eq!(
            document.add(&taken_apart, "x"),
            Err(EditError::Name(taken_apart.clone()))
        );
    }
    let unknown = Err(EditError::Unknown(nobody.clone()));
    assert_eq!(document.remove(&nobody), unknown);
    assert_eq!(document.change_password(&nobody, "x"), unknown);
    assert_eq!(document.rename(&nobody, &bob), unknown);
    assert_eq!(document.bytes(), TEXT.as_bytes());
}

/// Line 3 has a mistake, line 5 another encoding.
const BROKEN: &[u8] = b"alice:a\n\nbob hunter2\ncarol:$argon2hunter2\nd\xfcrer:x\nerin:\xfc\n";

#[test]
fn lines_that_cannot_be_used_are_named_without_their_passwords_and_the_others_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    fs::write(
        &path,
        b"a:b\nhunter2\n:hunter2\nb:$argon2hunter2\n\"c:hunter2\"\nd:hunter2\0\n\xfce:hunter2\nf:hunter2\xfc\ng:g\ne:hunter2\r",
    )
    .unwrap();
    let text = read(&path).unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = entries(&text).partition(|(_, entry)| entry.is_ok());
    assert_eq!(
        good.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        [1, 9]
    );
    assert!(!format!("{bad:?}").contains("hunter2"));
    let users = bad
        .into_iter()
        .map(|(line, entry)| (line, entry.unwrap_err().user));
    let named = |user: &str| Some(name(user));
    assert_eq!(
        users.collect::<Vec<_>>(),
        [
            (2, None),
            (3, None),
            (4, named("b")),
            (5, None),
            (6, named("d")),
            (7, None),
            (8, named("f")),
            (10, named("e")),
        ]
    );
}

#[test]
fn an_edit_leaves_lines_that_cannot_be_used_as_they_were() {
    let mut document = Document::parse(BROKEN);
    document.add(&name("fred"), "f").unwrap();
    document.change_password(&name("alice"), "b").unwrap();
    let expected = [b"alice:b".as_slice(), &BROKEN[7..], b"fred:f\n"].concat();
    assert_eq!(document.bytes(), expected);
}

#[test]
fn a_line_of_which_the_password_is_wrong_gets_a_new_one_or_is_removed() {
    let mut document = Document::parse(BROKEN);
    for user in ["carol", "erin"].map(name) {
        assert_eq!(
            document.add(&user, "x"),
            Err(EditError::Exists(user.clone()))
        );
        let renamed = document.rename(&user, &name("fred"));
        assert_eq!(renamed, Err(EditError::Wrong(user)));
    }
    document.change_password(&name("carol"), "c").unwrap();
    document.remove(&name("erin")).unwrap();
    let text = b"alice:a\n\nbob hunter2\ncarol:c\nd\xfcrer:x\n";
    assert_eq!(document.bytes(), text);
}

#[test]
fn a_name_that_is_listed_twice_is_not_edited() {
    let text = b"a:1\nb:2\na:3\n";
    let mut document = Document::parse(text);
    let a = name("a");
    let twice = Err(EditError::Twice(a.clone()));
    assert_eq!(document.change_password(&a, "x"), twice);
    assert_eq!(document.remove(&a), twice);
    assert_eq!(document.rename(&a, &name("c")), twice);
    document.remove(&name("b")).unwrap();
    assert_eq!(document.bytes(), b"a:1\na:3\n");
}

#[test]
fn two_who_edit_at_the_same_moment_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let mut file = UsersFile::open(path).unwrap();
                let name = name(&format!("user{number}"));
                file.document.add(&name, "x").unwrap();
                file.prepare().unwrap().commit().unwrap();
            });
        }
    });
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 8, "{text}");
}

#[test]
fn who_waits_for_long_is_told_what_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    let held = UsersFile::open(&path).unwrap();
    assert!(matches!(
        UsersFile::open(&path),
        Err(FileError::Held { .. })
    ));
    drop(held);
    assert_eq!(UsersFile::open(&path).unwrap().document.bytes(), b"");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}
