//! The messages for settings that cannot be used.

use super::*;
use crate::config::problem::Problem;

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

#[test]
fn a_line_that_is_no_toml_is_explained_in_plain_words_with_a_right_line() {
    for (line, what, example) in [
        (
            "base = /srv/anki",
            "text in double quotes",
            "base = \"/var/lib/anki-syncd\"",
        ),
        (
            "host = \"hunter2",
            "quotation mark at the end",
            "host = \"0.0.0.0\"",
        ),
        (
            "host = 'hunter2",
            "quotation mark at the end",
            "host = \"0.0.0.0\"",
        ),
        ("port 8080", "no `=`", "port = 8080"),
        ("port: 8080", "no `=`", "port = 8080"),
        ("port = ", "the value is not", "port = 8080"),
        ("port == 8080", "more than one `=`", "port = 8080"),
        (
            "port = 8080 host = 'a'",
            "something follows the value",
            "port = 8080",
        ),
        ("port = 8,080", "something follows the value", "port = 8080"),
        ("port = 1\nport = 2", "a second time", "port = 8080"),
        (
            "passwords_hashed = True",
            "lower case",
            "passwords_hashed = false",
        ),
        (
            "passwords_hashed = yes",
            "true or false",
            "passwords_hashed = false",
        ),
        (
            "users = [\"anna:hunter2\"",
            "bracket at the end",
            "users = [\"anna:secret\", ",
        ),
        (
            "users = [\"a:b\" \"c:hunter2\"]",
            "comma is missing",
            "users = [\"anna:secret\", ",
        ),
        (
            "users = anna:hunter2",
            "text in double quotes",
            "users = [\"anna:secret\", ",
        ),
        (
            "trusted_proxies = 192.0.2.1",
            "needs double quotes",
            "trusted_proxies = [\"127.",
        ),
        (
            "trusted_proxies = [\"10.0.0.0/8\"",
            "bracket at the end",
            "trusted_proxies = [\"127.",
        ),
        (
            "backup_at = 3:30",
            "needs double quotes",
            "backup_at = \"03:30\"",
        ),
        (
            "base = \"C:\\data\"",
            "backslash",
            "base = \"/var/lib/anki-syncd\"",
        ),
        (
            "base = \"a\u{1}b\"",
            "control character",
            "base = \"/var/lib/anki-syncd\"",
        ),
        ("= 5", "no name", "host = \"127.0.0.1\""),
        ("hunter2", "no `=`", "host = \"127.0.0.1\""),
    ] {
        let problems = load_file(line, &[("SYNC_USER1", "alice:a")]).unwrap_err();
        let Problem {
            setting,
            what: told,
        } = &problems.0[0];
        let number = line.lines().count();
        assert!(setting.ends_with(&format!(", line {number}")), "{setting}");
        let (words, parsers) = told.split_once(" (the parser says: ").unwrap();
        let right = format!("Write for example `{example}");
        assert!(
            words.contains(what) && words.contains(&right),
            "{line}: {told}"
        );
        assert!(!words.contains("expected") && !parsers.is_empty(), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn the_mistakes_of_a_setting_in_file_and_environment_are_both_named() {
    let given = [
        ("SYNC_USER1", "alice:a"),
        ("SYNC_PORT", "x"),
        ("SYNC_BASE", "/data"),
    ];
    let told = load_file("port = 'y'\nbase = 7", &given)
        .unwrap_err()
        .to_string();
    let places = ["SYNC_PORT: \"x\" is not", "port (", "base ("];
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(places.iter().all(|place| told.contains(place)), "{told}");
}

#[test]
fn zero_in_the_file_does_not_matter_where_a_variable_wins() {
    let given = [("SYNC_USER1", "alice:a"), ("MAX_SYNC_PAYLOAD_MEGS", "5")];
    let settings = load_file("max_sync_payload_megs = 0", &given).unwrap();
    assert_eq!(settings.limits.sent, 5 * MIB);
}
