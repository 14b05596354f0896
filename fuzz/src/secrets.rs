//! What a client says of itself, and what passwords are compared with.

use anki_syncd::{
    account::{Secret, host_key::HostKey, password::Credential},
    wire::header::{SyncHeader, VERSIONS},
};
use serde_json::json;

/// The value of the `anki-sync` header.
pub fn header(data: &[u8]) {
    let Ok(header) = SyncHeader::parse(data) else {
        return;
    };
    assert!(VERSIONS.contains(&header.version));
    let sent = json!({
        "v": header.version, "k": header.host_key, "c": header.client, "s": header.session_key,
    });
    let again = SyncHeader::parse(sent.to_string().as_bytes()).unwrap();
    assert_eq!(again.host_key, header.host_key);
    assert_eq!(again.client, header.client);
    assert_eq!(again.session_key, header.session_key);
}

/// A host key: nobody who lacks the secret makes a genuine one.
pub fn host_key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some(key) = HostKey::parse(text) else {
        return;
    };
    assert_eq!(HostKey::parse(&key.to_string()).as_ref(), Some(&key));
    let (secret, credential) = (Secret::new([7; 32]), Credential::plain("secret").unwrap());
    assert!(!key.is_genuine(&secret, &credential));
}

/// A password hash, and a password that is tried against one that is cheap enough.
pub fn password(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (phc, password) = text.split_once('\n').unwrap_or((text, "secret"));
    let Ok(credential) = Credential::hashed(phc) else {
        return;
    };
    assert_eq!(credential.fingerprint_input(), phc.as_bytes());
    assert!(Credential::plain_or_hashed(phc).is_ok());
    if is_cheap(phc) {
        let _ = credential.matches(password);
    }
}

/// The operator chooses the cost. Here no number in it is large, and none is left to the
/// defaults, which are made to take long.
fn is_cheap(phc: &str) -> bool {
    let parameters = phc.rsplitn(3, '$').nth(2).unwrap_or_default();
    let named: &[&str] = match phc.split('$').nth(1) {
        Some("scrypt") => &["ln=", "r=", "p="],
        Some("pbkdf2-sha256" | "pbkdf2-sha512") => &["i="],
        _ => &["m=", "t=", "p="],
    };
    if !named.iter().all(|name| parameters.contains(name)) {
        return false;
    }
    let numbers = parameters.split(|char: char| !char.is_ascii_digit());
    let scrypt = phc.starts_with("$scrypt");
    numbers
        .filter(|number| !["256", "512"].contains(number))
        .all(|number| number.len() <= if scrypt { 1 } else { 2 })
}
