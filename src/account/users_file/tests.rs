use std::{fs, os::unix::fs::MetadataExt};

use super::*;

const TEXT: &str = "# people\n\nalice:plain:pass\r\n  \nbob:b # no comment\n# end";

fn name(name: &str) -> UserName {
    name.parse().unwrap()
}

fn edited(edit: impl FnOnce(&mut Document) -> Result<(), EditError>) -> String {
    let mut document = Document::parse(TEXT).unwrap();
    edit(&mut document).unwrap();
    document.to_string()
}

#[test]
fn an_edit_leaves_all_other_lines_as_they_were() {
    assert_eq!(Document::parse(TEXT).unwrap().to_string(), TEXT);
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
    let mut document = Document::parse("").unwrap();
    document.add(&name("alice"), "x").unwrap();
    assert_eq!(document.to_string(), "alice:x\n");
}

#[test]
fn what_cannot_be_is_refused() {
    let mut document = Document::parse(TEXT).unwrap();
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
    assert_eq!(document.to_string(), TEXT);
}

#[test]
fn every_line_that_is_wrong_is_named_without_its_password() {
    let mistakes =
        Document::parse("a:b\nhunter2\na:hunter2\n:hunter2\nb:$argon2hunter2\n\"c:hunter2\"\nd:hunter2\0\ne:hunter2\r").unwrap_err();
    let lines: Vec<_> = mistakes.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8]);
    assert!(!format!("{mistakes:?}").contains("hunter2"));
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
    assert_eq!(UsersFile::open(&path).unwrap().document.to_string(), "");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_file_with_errors_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    fs::write(&path, "a:b\nc\n").unwrap();
    let told = UsersFile::open(&path).unwrap_err().to_string();
    assert!(told.contains("users, line 2: "), "{told}");
}
