//! `SYNC_IP_HEADER`: the header in which a proxy names the client's address.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::keys::Keys;

/// The reference server's choices, with its names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientAddress {
    /// The connection itself: no proxy.
    #[default]
    ConnectInfo,
    /// `X-Real-IP`.
    XRealIp,
    /// The last address of `X-Forwarded-For`.
    RightmostXForwardedFor,
    /// The last `for=` of `Forwarded`.
    RightmostForwarded,
    /// `CF-Connecting-IP`.
    CfConnectingIp,
    /// `CloudFront-Viewer-Address`, which has a port behind the address.
    CloudFrontViewerAddress,
    /// `Fly-Client-IP`.
    FlyClientIp,
    /// `True-Client-IP`.
    TrueClientIp,
}

impl ClientAddress {
    /// Every choice with its name.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("ConnectInfo", Self::ConnectInfo),
        ("XRealIp", Self::XRealIp),
        ("RightmostXForwardedFor", Self::RightmostXForwardedFor),
        ("RightmostForwarded", Self::RightmostForwarded),
        ("CfConnectingIp", Self::CfConnectingIp),
        ("CloudFrontViewerAddress", Self::CloudFrontViewerAddress),
        ("FlyClientIp", Self::FlyClientIp),
        ("TrueClientIp", Self::TrueClientIp),
    ];

    pub(super) fn read(keys: &mut Keys) -> Self {
        let needed = format!("one of {}", Self::names());
        let given = keys.word("ip_header", &needed);
        given.map(|given| given.value).unwrap_or_default()
    }

    /// The names, for an error or a help text.
    fn names() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }
}

impl FromStr for ClientAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::NAMES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, choice)| *choice)
            .ok_or(())
    }
}

/// The proxies whose headers about clients' addresses are believed. Default: proxies on the same
/// machine.
pub(super) fn trusted_proxies(keys: &mut Keys) -> Vec<IpNet> {
    let needed = "a list of addresses or networks, such as [\"192.168.1.1\", \"10.0.0.0/8\"]";
    let Some(entries) = keys.list("trusted_proxies", needed) else {
        return vec![
            Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
            Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
        ];
    };
    let mut networks = Vec::new();
    for entry in entries {
        match entry.value.as_str().and_then(network) {
            Some(network) => networks.push(network),
            None => keys.problems.add(
                entry.setting,
                "an entry is neither an address nor a network: write \"192.168.1.1\" or \"192.168.1.0/24\"",
            ),
        }
    }
    networks
}

/// A network, or one address, as people write it.
fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).ok()
}
