use std::{ffi::OsString, io::Write};

use super::*;

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
    assert!(settings.users[&"name".parse().unwrap()].matches("pa:ss"));
}

#[test]
fn a_password_may_have_quotes_and_a_users_file_tabs() {
    for password in ["it's", "\"quoted\"", "\"", "'"] {
        let settings = load(&[("SYNC_USER1", &format!("name:{password}"))]).unwrap();
        assert!(settings.users[&"name".parse().unwrap()].matches(password));
    }
    let settings = load_credential("a:b\tc\n", "").unwrap();
    assert!(settings.users[&"a".parse().unwrap()].matches("b\tc"));
}

#[test]
fn what_cannot_be_meant_in_the_file_is_named_with_its_line() {
    for text in [
        "\nbase = \"'/data'\"",
        "\nhost = '\"::\"'",
        "\nrun_as = \"anki\\r\"",
        "\nusers_file = \"/etc/users\\n\"",
        "\nusers = [\"'a:hunter2'\"]",
        "\nusers = [\"a:hunter2\\r\"]",
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
        (vec![alice, ("SYNC_USER3", "bob:secret")], "SYNC_USER2"),
        (vec![("SYNC_USER2", "bob:secret")], "SYNC_USER1"),
        (vec![alice, ("SYNC_USER2", "alice:other")], "SYNC_USER2"),
        (vec![alice, ("SYNC_USER02", "bob:other")], "SYNC_USER02"),
        (vec![("SYNC_USER1", ":secret")], "SYNC_USER1"),
        (vec![("SYNC_USER1", "../evil:secret")], "SYNC_USER1"),
        (vec![("SYNC_USER1", "alice")], "SYNC_USER1"),
        (vec![("SYNC_USER1", "alice:")], "SYNC_USER1"),
        (vec![("SYNC_USER1", "alice:secret\n")], "SYNC_USER1"),
        (vec![alice, ("PASSWORDS_HASHED", "1")], "SYNC_USER1"),
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
        (vec![("SYNC_USER1", "\"alice:hunter2\"")], "SYNC_USER1"),
        (vec![("SYNC_USER1", "'alice:hunter2")], "SYNC_USER1"),
        (vec![("SYNC_USER1", "alice:hun\tter2")], "SYNC_USER1"),
        (vec![("SYNC_USER1", "alice:hun\rter2")], "SYNC_USER1"),
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
        ("SYNC_USER1", "alice:hunter2\n"),
        ("SYNC_USER2", "a/b:hunter2"),
        ("SYNC_PORT", "x"),
    ])
    .unwrap_err();
    assert_eq!(problems.0.len(), 3);
    assert!(!format!("{problems:?}").contains("hunter2"));
}

#[test]
fn passwords_hashed_that_is_empty_or_zero_or_false_is_off_with_a_warning() {
    for value in ["", "0", "false", "False"] {
        let settings =
            load(&[("SYNC_USER1", "alice:secret"), ("PASSWORDS_HASHED", value)]).unwrap();
        assert_eq!(settings.warnings.len(), 1, "{value:?}");
        assert!(settings.users[&"alice".parse().unwrap()].matches("secret"));
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
    assert!(settings.users.contains_key(&"bob".parse().unwrap()));
    let settings = load_file(text, &[("SYNC_PORT", "9001"), ("SYNC_USER1", "alice:a")]).unwrap();
    assert_eq!(
        (settings.base.as_path(), settings.port),
        (Path::new("/srv/anki"), 9001)
    );
    assert_eq!(
        settings
            .users
            .keys()
            .map(UserName::as_str)
            .collect::<Vec<_>>(),
        ["alice"]
    );
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line_and_without_the_password() {
    for (text, line) in [
        ("port = 1\nusers = [\"hunter2\", 7]\n", "line 2"),
        ("\n\nhots = \"x\"\n", "line 3"),
        (
            "host = \"x\"\nusers = [\n  \"alice:a\",\n  \"alice:hunter2\",\n]\n",
            "line 4",
        ),
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
    assert_eq!(settings.users.len(), 3);
    assert!(settings.users[&"alice".parse().unwrap()].matches("a"));
    assert_eq!(settings.base, Path::new("/var/lib/anki-syncd"));
}

#[test]
fn a_mistake_in_the_credential_is_named_with_its_line() {
    for (users, line) in [
        ("alice:a\nbob\n", "line 2"),
        ("alice:a\n\n# x\nalice:b", "line 4"),
        ("bob:$argon2id$hunter2", "line 1"),
        ("a:b\n\"bob:hunter2\"\n", "line 2"),
        ("a:b\nbob:hunter2\r", "line 2"),
        ("a:b\nbob:hun\0ter2\n", "line 2"),
    ] {
        let problems = load_credential(users, "").unwrap_err();
        let told = problems.0[0].to_string();
        assert!(told.contains(line) && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_credential_without_users_yet_is_a_warning() {
    let settings = load_credential("# nobody yet\n", "").unwrap();
    assert!(settings.users.is_empty());
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
