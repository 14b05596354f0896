//! Host keys, `user . device . MAC`. Verifying them needs no storage.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{
    device::DeviceId,
    name::UserName,
    password::Credential,
    secret::{Lengths, Secret},
};

/// The bearer token of one device of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The user that the key names.
    pub user: String,
    /// The device that the key names.
    pub device: DeviceId,
    mac: Vec<u8>,
}

impl HostKey {
    /// Makes a key that [`HostKey::is_genuine`] accepts until the secret or the credential changes.
    pub fn issue(
        secret: &Secret,
        user: &UserName,
        device: DeviceId,
        credential: &Credential,
    ) -> Self {
        let mut key = Self {
            user: user.as_str().to_owned(),
            device,
            mac: Vec::new(),
        };
        let mac = key.expected(Lengths::Wide, secret, credential).finalize();
        key.mac = mac.into_bytes().to_vec();
        key
    }

    /// Parses a key as a client sends it. None if it does not have the form of one, as the
    /// reference server's keys do not.
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.split('.').map(|part| BASE64.decode(part).ok());
        let (user, device, mac) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            user: String::from_utf8(user).ok()?,
            device: <[u8; DeviceId::BYTES]>::try_from(device).ok()?.into(),
            mac,
        })
    }

    /// Whether this server issued the key for this credential. The comparison takes constant time.
    pub fn is_genuine(&self, secret: &Secret, credential: &Credential) -> bool {
        Lengths::ALL.into_iter().any(|lengths| {
            let expected = self.expected(lengths, secret, credential);
            expected.verify_slice(&self.mac).is_ok()
        })
    }

    fn expected(&self, lengths: Lengths, secret: &Secret, credential: &Credential) -> Hmac<Sha256> {
        let parts = [
            b"host key",
            self.user.as_bytes(),
            &self.device.0,
            credential.fingerprint_input(),
        ];
        secret.mac(lengths, &parts)
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, device, mac } = self;
        let [user, device, mac] = [user.as_bytes(), &device.0, mac].map(|part| BASE64.encode(part));
        write!(f, "{user}.{device}.{mac}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::secret::PasswordMark;

    fn issued() -> (Secret, Credential, HostKey) {
        let secret = Secret::new([7; 32]);
        let credential = Credential::plain("secret").unwrap();
        let device = DeviceId::random().unwrap();
        let key = HostKey::issue(&secret, &"älice".parse().unwrap(), device, &credential);
        (secret, credential, key)
    }

    #[test]
    fn a_key_survives_being_sent_and_names_user_and_device() {
        let (secret, credential, key) = issued();
        let read = HostKey::parse(&key.to_string()).unwrap();
        assert_eq!(read, key);
        assert_eq!(read.user, "älice");
        assert!(read.is_genuine(&secret, &credential));
    }

    #[test]
    fn a_changed_password_secret_user_or_device_invalidates_a_key() {
        let (secret, credential, key) = issued();
        assert!(!key.is_genuine(&secret, &Credential::plain("other").unwrap()));
        assert!(!key.is_genuine(&Secret::new([8; 32]), &credential));
        let other_user = HostKey {
            user: "bob".into(),
            ..key.clone()
        };
        assert!(!other_user.is_genuine(&secret, &credential));
        let other_device = HostKey {
            device: DeviceId([0; 12]),
            ..key.clone()
        };
        assert!(!other_device.is_genuine(&secret, &credential));
        let shorter = HostKey {
            mac: key.mac[..16].to_vec(),
            ..key
        };
        assert!(!shorter.is_genuine(&secret, &credential));
    }

    /// Keys that an earlier version issued, on machines with 64 and with 32 bits.
    #[test]
    fn keys_and_marks_of_earlier_versions_are_good_on_every_machine() {
        let (secret, credential, _) = issued();
        let user: UserName = "älice".parse().unwrap();
        let device = DeviceId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let wide = "w6RsaWNl.AQIDBAUGBwgJCgsM.dGBjDq1n6RsGTsPQypuWMOHeKzK6ILAFAcTFh8azMU0";
        let narrow = "w6RsaWNl.AQIDBAUGBwgJCgsM.L1Ai6L9Ie3Mn29e5V4RlV5-036YY-3UkTr6nSSCdDuU";
        for key in [wide, narrow].map(|key| HostKey::parse(key).unwrap()) {
            assert!(key.is_genuine(&secret, &credential));
            assert!(!key.is_genuine(&secret, &Credential::plain("other").unwrap()));
            assert!(!key.is_genuine(&Secret::new([8; 32]), &credential));
        }
        let issued = HostKey::issue(&secret, &user, device, &credential);
        assert_eq!(issued.to_string(), wide);
        let mark = secret.mark(&user, &credential);
        assert_eq!(mark, PasswordMark(1_857_153_274_443_847_575));
        for mark in [mark, PasswordMark(6_302_910_045_493_751_344)] {
            assert!(secret.has_made(mark, &user, &credential));
            assert!(!secret.has_made(mark, &"ben".parse().unwrap(), &credential));
        }
    }

    #[test]
    fn what_is_not_a_key_is_not_read_as_one() {
        for key in [
            "",
            ".",
            "..",
            "b2619aa1529dfdc4248e6edbf3c1b2a2b014cf6d",
            "a.b.c.d",
            "YQ.YQ.YQ",
        ] {
            assert_eq!(HostKey::parse(key), None, "{key}");
        }
    }
}
