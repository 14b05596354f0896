//! The users, from all kinds of lists.

use super::*;

#[test]
fn a_password_may_have_colons() {
    let settings = load(&[("SYNC_USER1", "name:pa:ss")]).unwrap();
    assert!(settings.users.able[&"name".parse().unwrap()].matches("pa:ss"));
}

#[test]
fn a_password_may_have_quotes_and_a_users_file_tabs() {
    for password in ["it's", "\"quoted\"", "\"", "'"] {
        let settings = load(&[("SYNC_USER1", &format!("name:{password}"))]).unwrap();
        assert!(settings.users.able[&"name".parse().unwrap()].matches(password));
    }
    let settings = load_credential("a:b\tc\n", "").unwrap();
    assert!(settings.users.able[&"a".parse().unwrap()].matches("b\tc"));
}

/// The places of the mistakes, and their users if known.
fn mistakes(settings: &Settings) -> Vec<(&str, Option<&str>)> {
    let mistakes = settings.users.mistakes.iter();
    mistakes
        .map(|mistake| {
            assert!(!mistake.what.contains("hun"), "{mistake}");
            (
                mistake.place.as_str(),
                mistake.user.as_ref().map(UserName::as_str),
            )
        })
        .collect()
}

#[test]
fn a_user_of_the_environment_who_is_given_wrongly_is_kept_out_and_the_others_are_not() {
    for (wrong, user) in [
        (":hunter2", None),
        ("../evil:hunter2", None),
        ("bob hunter2", None),
        ("bob:", Some("bob")),
        ("bob:hunter2\n", Some("bob")),
        ("bob:hunter2\r", Some("bob")),
        ("bob:hun\tter2", Some("bob")),
        ("\"bob:hunter2\"", None),
        ("'bob:hunter2", None),
        ("alice:hunter2", Some("alice")),
    ] {
        let given = [
            ("SYNC_USER1", "alice:a"),
            ("SYNC_USER2", wrong),
            ("SYNC_USER3", "carol:c"),
        ];
        let settings = load(&given).unwrap();
        assert_eq!(settings.users.able.len(), 2, "{wrong}");
        assert_eq!(mistakes(&settings), [("SYNC_USER2", user)], "{wrong}");
    }
    let hashed = [
        ("PASSWORDS_HASHED", "1"),
        (
            "SYNC_USER1",
            "alice:$pbkdf2-sha256$i=1000,l=32$UUOaQiACqOO/N0WFhMcwsA$YMnZxsJz6qnfHEZASU1ppuuYjfSqbkXgF64+8ojRJsE",
        ),
        ("SYNC_USER2", "bob:hunter2"),
    ];
    assert_eq!(
        mistakes(&load(&hashed).unwrap()),
        [("SYNC_USER2", Some("bob"))]
    );
}

#[test]
fn users_behind_a_gap_in_the_numbers_count_with_a_warning() {
    let settings = load(&[("SYNC_USER1", "alice:a"), ("SYNC_USER3", "carol:c")]).unwrap();
    assert_eq!(settings.users.able.len(), 2);
    assert!(settings.warnings[0].contains("SYNC_USER2 is missing"));
    let settings = load(&[("SYNC_USER1", "alice:a"), ("SYNC_USER02", "bob:b")]).unwrap();
    assert_eq!(mistakes(&settings), [("SYNC_USER02", None)]);
}

#[test]
fn a_server_without_anybody_who_can_log_in_does_not_start_and_commands_know_why() {
    let sources = Sources {
        variables: variables(&[("SYNC_USER1", "alice"), ("SYNC_USER2", "bob:")]),
        ..Sources::default()
    };
    assert_eq!(mistakes(&Settings::load(&sources).unwrap()).len(), 2);
    let problems = Settings::load_to_serve(&sources);
    assert_eq!(
        settings_named(problems),
        ["SYNC_USER1", "SYNC_USER2", "users"]
    );
    let sources = Sources {
        variables: variables(&[("SYNC_USER1", "alice"), ("SYNC_USER2", "bob:b")]),
        ..Sources::default()
    };
    assert!(Settings::load_to_serve(&sources).is_ok());
}

#[test]
fn a_user_of_the_file_who_is_given_wrongly_is_kept_out() {
    for wrong in [
        "7",
        "\"'bob:hunter2'\"",
        "\"bob:hunter2\\r\"",
        "\"bob\"",
        "\"alice:b\"",
    ] {
        let settings = load_file(&format!("users = [\n\"alice:a\",\n{wrong}]"), &[]).unwrap();
        let wrong_ones = mistakes(&settings);
        assert!(
            wrong_ones.len() == 1 && wrong_ones[0].0.ends_with("line 3)"),
            "{wrong}"
        );
    }
}

#[test]
fn passwords_hashed_that_is_empty_or_zero_or_false_is_off_with_a_warning() {
    for value in ["", "0", "false", "False"] {
        let settings =
            load(&[("SYNC_USER1", "alice:secret"), ("PASSWORDS_HASHED", value)]).unwrap();
        assert_eq!(settings.warnings.len(), 1, "{value:?}");
        assert!(settings.users.able[&"alice".parse().unwrap()].matches("secret"));
    }
}

#[test]
fn a_hash_without_passwords_hashed_is_warned_about() {
    let hash = "alice:$pbkdf2-sha256$i=1000,l=32$UUOaQiACqOO/N0WFhMcwsA$YMnZxsJz6qnfHEZASU1ppuuYjfSqbkXgF64+8ojRJsE";
    let settings = load(&[("SYNC_USER1", hash)]).unwrap();
    assert_eq!(settings.warnings.len(), 1);
    assert!(!settings.warnings[0].contains("pbkdf2"));
}

#[test]
fn a_credential_lists_users_line_by_line_with_comments_and_either_kind_of_password() {
    let hash = "$pbkdf2-sha256$i=1000,l=32$UUOaQiACqOO/N0WFhMcwsA$YMnZxsJz6qnfHEZASU1ppuuYjfSqbkXgF64+8ojRJsE";
    let settings = load_credential(
        &format!("# people\nalice:a\n\nbob:{hash}\n"),
        "users = [\"carol:c\"]",
    )
    .unwrap();
    assert_eq!(settings.users.able.len(), 3);
    assert!(settings.users.able[&"alice".parse().unwrap()].matches("a"));
    assert_eq!(settings.base, Path::new("/var/lib/anki-syncd"));
}

#[test]
fn a_mistake_in_the_credential_keeps_out_its_user_and_is_named_with_its_line() {
    for (users, line, user) in [
        ("alice:a\nbob\n", 2, None),
        ("alice:a\n\n# x\nalice:b", 4, Some("alice")),
        ("bob:$argon2id$hunter2\nalice:a\n", 1, Some("bob")),
        ("alice:a\n\"bob:hunter2\"\n", 2, None),
        ("alice:a\nbob:hunter2\r", 2, Some("bob")),
        ("alice:a\nbob:hun\0ter2\n", 2, Some("bob")),
    ] {
        let settings = load_credential(users, "").unwrap();
        assert!(settings.users.able.contains_key(&"alice".parse().unwrap()));
        let place = format!("/etc/anki-syncd/users, line {line}");
        assert_eq!(mistakes(&settings), [(place.as_str(), user)]);
    }
}

#[test]
fn a_users_file_that_systemd_does_not_find_is_named() {
    let settings = load_credential("#no-users-file", "users = [\"alice:a\"]").unwrap();
    assert_eq!(mistakes(&settings), [("/etc/anki-syncd/users", None)]);
    assert!(settings.users.mistakes[0].what.contains("does not exist"));
}

#[test]
fn a_credential_without_users_yet_is_a_warning() {
    let settings = load_credential("# nobody yet\n", "").unwrap();
    assert!(settings.users.able.is_empty());
    assert_eq!(settings.warnings.len(), 1);
}
