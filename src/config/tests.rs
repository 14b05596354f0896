mod mistakes;
mod users;

use std::{ffi::OsString, io::Write, path::Path};

use super::{client_address::ClientAddress, problem::Problems, *};
use crate::{account::name::UserName, disk::MIB};

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
