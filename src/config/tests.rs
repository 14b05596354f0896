use std::{ffi::OsString, io::Write};

use super::{problem::Problem, *};
use crate::account::name::UserName;

fn variables(given: &[(&str, &str)]) -> Variables {
    let mut variables: Variables = given
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect();
    variables.insert("HOME".into(), "/home/someone".into());
    variables
}

fn load(given: &[(&str, &str)]) -> Result<Settings, Problems> {
    Settings::load(&Sources {
        variables: variables(given),
        ..Sources::default()
    })
}

fn load_file(text: &str, given: &[(&str, &str)]) -> Result<Settings, Problems> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Settings::load(&Sources {
        file: Some(file.path().into()),
        variables: variables(given),
        ..Sources::default()
    })
}

fn settings_named(result: Result<Settings, Problems>) -> Vec<String> {
    result
        .unwrap_err()
        .0
        .into_iter()
        .map(|problem| problem.setting)
        .collect()
}

#[test]
fn the_defaults_are_the_reference_servers() {
    let settings = load(&[("SYNC_USER1", "alice:secret")]).unwrap();
    assert_eq!(settings.base, Path::new("/home/someone/.syncserver"));
    assert_eq!((settings.host.as_str(), settings.port), ("0.0.0.0", 8080));
    assert_eq!(settings.client_address, ClientAddress::ConnectInfo);
    assert_eq!(
        (settings.limits.sent, settings.limits.decoded),
        (100 * MIB, 300 * MIB)
    );
    assert!(settings.warnings.is_empty());
}

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

#[test]
fn what_cannot_be_meant_in_the_file_is_named_with_its_line() {
    for text in [
        "\nbase = \"'/data'\"",
        "\nhost = '\"::\"'",
        "\nrun_as = \"anki\\r\"",
        "\nusers_file = \"/etc/users\\n\"",
    ] {
        let problems = load_file(text, &[("SYNC_USER1", "alice:a")]).unwrap_err();
        assert_eq!(problems.0.len(), 1, "{text}");
        let told = problems.to_string();
        assert!(
            told.contains("line 2") && !told.contains("hunter2"),
            "{told}"
        );
    }
}

#[test]
fn every_bad_setting_is_named() {
    let alice = ("SYNC_USER1", "alice:secret");
    for (given, setting) in [
        (vec![], "SYNC_USER1"),
        (
            vec![alice, ("MAX_SYNC_PAYLOAD_MEGS", "100M")],
            "MAX_SYNC_PAYLOAD_MEGS",
        ),
        (
            vec![alice, ("MAX_SYNC_PAYLOAD_MEGS", "0")],
            "MAX_SYNC_PAYLOAD_MEGS",
        ),
        (vec![alice, ("SYNC_PORT", "abc")], "SYNC_PORT"),
        (vec![alice, ("SYNC_BASE", "\"/data\"")], "SYNC_BASE"),
        (vec![alice, ("SYNC_BASE", "/data\r")], "SYNC_BASE"),
        (vec![alice, ("SYNC_HOST", "'::'")], "SYNC_HOST"),
        (vec![alice, ("SYNC_PORT", "8080\r")], "SYNC_PORT"),
        (
            vec![alice, ("PASSWORDS_HASHED", "\"0\"")],
            "PASSWORDS_HASHED",
        ),
        (vec![alice, ("PASSWORDS_HASHED", "0\r")], "PASSWORDS_HASHED"),
        (
            vec![alice, ("MAX_SYNC_PAYLOAD_MEGS", "'5'")],
            "MAX_SYNC_PAYLOAD_MEGS",
        ),
        (
            vec![alice, ("SYNC_IP_HEADER", "XRealIp\t")],
            "SYNC_IP_HEADER",
        ),
        (vec![alice, ("SYNC_PORT", "70000")], "SYNC_PORT"),
        (
            vec![alice, ("SYNC_IP_HEADER", "X-Real-IP")],
            "SYNC_IP_HEADER",
        ),
    ] {
        assert_eq!(settings_named(load(&given)), [setting], "{given:?}");
    }
}

#[test]
fn all_problems_are_told_at_once_and_none_tells_a_password() {
    let problems = load(&[
        ("SYNC_USER1", "alice:hunter2"),
        ("SYNC_BASE", "/data\r"),
        ("SYNC_PORT", "x"),
    ])
    .unwrap_err();
    assert_eq!(problems.0.len(), 2);
    assert!(!format!("{problems:?}").contains("hunter2"));
}

/// Where the mistakes are, and whose they are, as far as is known.
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
fn every_mistake_in_the_file_is_named_at_once_in_plain_english() {
    let text = "\
port = 99999
hots = \"x\"
idle_exit_secs = \"300\"
base = /srv/anki
max_connections = -1
passwords_hashed = 1
trusted_proxies = [\"192.0.2.1\", \"proxy\"]
ip_header = \"X-Real-IP\"
users = [\"alice:hunter2\", 7]
host = \"localhost
quota_megs = 0x10
";
    let problems = load_file(text, &[]).unwrap_err();
    let told = problems.to_string();
    for (line, named) in [
        (1, "port ("),
        (2, "did you mean host?"),
        (
            3,
            "a whole number of seconds, such as 300, or 0 for never (without quotes)",
        ),
        (4, "double quotes"),
        (5, "max_connections ("),
        (6, "true or false"),
        (7, "neither an address nor a network"),
        (8, "XRealIp"),
        (10, "cannot be read"),
    ] {
        let place = format!("line {line}");
        let on_line = |told: &&str| {
            told.contains(&format!("{place})")) || told.contains(&format!("{place}:"))
        };
        let on_line: Vec<_> = told.lines().filter(on_line).collect();
        assert_eq!(on_line.len(), 1, "{line}: {told}");
        assert!(on_line[0].contains(named), "{}", on_line[0]);
    }
    assert_eq!(problems.0.len(), 9, "{told}");
    for jargon in ["hunter2", "u16", "expected u", "invalid type", "integer"] {
        assert!(!told.contains(jargon), "{told}");
    }
}

#[test]
fn every_error_of_the_file_names_its_setting_and_says_what_it_takes() {
    let problem = |text: &str| {
        let problems = load_file(text, &[("SYNC_USER1", "alice:a")]).err();
        problems.map(|Problems(problems)| {
            assert_eq!(problems.len(), 1, "{text}");
            problems[0].clone()
        })
    };
    let unknown = problem("zzzzz = 1").unwrap();
    let (_, keys) = unknown.what.split_once("the settings are ").unwrap();
    let keys: Vec<_> = keys.split(", ").collect();
    assert!(keys.contains(&"port") && keys.contains(&"backup_at"));
    for key in keys {
        let of_the_wrong_type = format!("{key} = 2026-11-27");
        let wrong = problem(&of_the_wrong_type).unwrap();
        let others = ["-1", "0", "1e9", "99999999999999999999"];
        let others = others.map(|value| problem(&format!("{key} = {value}")));
        for Problem { setting, what } in others.into_iter().flatten().chain([wrong]) {
            assert!(setting.starts_with(&format!("{key} (")), "{setting}");
            assert!(what.starts_with("has to be "), "{setting}: {what}");
            for jargon in ["u16", "expected", "integer", "nobody"] {
                assert!(!what.contains(jargon), "{setting}: {what}");
            }
        }
    }
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
fn the_environment_wins_over_the_file() {
    let text = "base = \"/srv/anki\"\nport = 9000\nusers = [\"bob:b\"]\nmax_connections = 5\n";
    let settings = load_file(text, &[]).unwrap();
    assert_eq!(
        (
            settings.base.as_path(),
            settings.port,
            settings.limits.connections
        ),
        (Path::new("/srv/anki"), 9000, 5)
    );
    assert!(settings.users.able.contains_key(&"bob".parse().unwrap()));
    let settings = load_file(text, &[("SYNC_PORT", "9001"), ("SYNC_USER1", "alice:a")]).unwrap();
    assert_eq!(
        (settings.base.as_path(), settings.port),
        (Path::new("/srv/anki"), 9001)
    );
    assert_eq!(
        settings
            .users
            .able
            .keys()
            .map(UserName::as_str)
            .collect::<Vec<_>>(),
        ["alice"]
    );
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line_and_without_the_password() {
    for (text, line) in [
        ("port = 1\nusers = \"hunter2\"\n", "line 2"),
        ("\n\nhots = \"x\"\n", "line 3"),
        ("port = 99999", "line 1"),
        ("users = [\"alice:hunter2", "line 1"),
    ] {
        let problems = load_file(text, &[]).unwrap_err();
        let told = format!("{problems:?}");
        assert!(told.contains(line), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let missing = Settings::load(&Sources {
        file: Some("/nonexistent/anki-syncd.toml".into()),
        variables: variables(&[("SYNC_USER1", "a:b")]),
        ..Sources::default()
    });
    assert_eq!(settings_named(missing), ["/nonexistent/anki-syncd.toml"]);
}

fn load_credential(users: &str, text: &str) -> Result<Settings, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("anki-syncd.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("users"), users).unwrap();
    Settings::load(&Sources {
        file: Some(file),
        credentials: Some(folder.path().into()),
        state: Some("/var/lib/anki-syncd".into()),
        ..Sources::default()
    })
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

#[test]
fn proxies_on_the_same_machine_are_trusted_unless_told_otherwise() {
    let trusts = |settings: &Settings, address: &str| {
        let address: std::net::IpAddr = address.parse().unwrap();
        settings
            .trusted_proxies
            .iter()
            .any(|net| net.contains(&address))
    };
    let settings = load_credential("a:b", "").unwrap();
    assert!(
        trusts(&settings, "127.0.0.1")
            && trusts(&settings, "::1")
            && !trusts(&settings, "192.0.2.1")
    );
    let settings = load_credential("a:b", "trusted_proxies = [\"192.0.2.0/24\"]").unwrap();
    assert!(!trusts(&settings, "127.0.0.1") && trusts(&settings, "192.0.2.1"));
    let settings = load_credential("a:b", "trusted_proxies = [\"192.0.2.1\"]").unwrap();
    assert!(trusts(&settings, "192.0.2.1") && !trusts(&settings, "192.0.2.2"));
    assert!(load_credential("a:b", "trusted_proxies = [\"proxy\"]").is_err());
}

fn load_secret(bytes: Option<&[u8]>) -> Result<Settings, Problems> {
    let folder = tempfile::tempdir().unwrap();
    if let Some(bytes) = bytes {
        std::fs::write(folder.path().join("host-key-secret"), bytes).unwrap();
    }
    Settings::load(&Sources {
        variables: variables(&[("SYNC_USER1", "alice:secret")]),
        credentials: Some(folder.path().into()),
        ..Sources::default()
    })
}

#[test]
fn the_host_key_secret_may_be_a_credential_of_any_32_bytes() {
    assert!(load_secret(None).unwrap().host_key_secret.is_none());
    for bytes in [[0; 32], [b'\n'; 32], [255; 32]] {
        assert!(load_secret(Some(&bytes)).unwrap().host_key_secret.is_some());
    }
}

#[test]
fn a_host_key_secret_of_another_length_is_refused_with_a_remedy_and_not_shown() {
    for bytes in [
        "",
        "SeSeSeSeSeSeSeSeSeSeSeSeSeSeSeS",
        "SeSeSeSeSeSeSeSeSeSeSeSeSeSeSeSe\n",
    ] {
        let problems = load_secret(Some(bytes.as_bytes())).unwrap_err();
        assert_eq!(problems.0.len(), 1);
        let told = problems.0[0].to_string();
        assert!(
            told.contains("host-key-secret") && told.contains("head -c 32") && !told.contains("Se"),
            "{told}"
        );
    }
}

#[test]
fn a_server_that_gives_up_roots_rights_has_its_data_where_other_accounts_get_to() {
    let home = tempfile::tempdir().unwrap();
    let load = |more: &[(&str, &str)], text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut variables = variables(&[&[("SYNC_USER1", "alice:secret")], more].concat());
        variables.insert("HOME".into(), home.path().into());
        let sources = Sources {
            file: Some(file.path().into()),
            variables,
            gives_up_root: true,
            ..Sources::default()
        };
        Settings::load(&sources).unwrap()
    };
    assert_eq!(load(&[], "").base, Path::new(SYSTEM_STATE));
    assert_eq!(load(&[("SYNC_BASE", "/srv")], "").base, Path::new("/srv"));
    let former = home.path().join(".syncserver");
    std::fs::create_dir(&former).unwrap();
    let settings = load(&[], "");
    assert_eq!(settings.base, Path::new(SYSTEM_STATE));
    assert!(settings.warnings[0].contains("is not used"));
    let named = load(&[], "run_as = \"anki\"");
    assert_eq!(named.base, former);
    assert!(named.warnings.is_empty());
}
