//! The address of a client, behind a proxy or not.
//!
//! The crate `client-ip` offers the same choices, but rejects input that is accepted here: a
//! repeated header, brackets around an address, and a whole `Forwarded` if any element is
//! malformed. Clients write the first elements, so a client could hide its address from the log and
//! from the throttling of logins by sending a malformed one.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;

use crate::{config::client_address::ClientAddress, state::Policy};

/// The client's address: from the header that the settings name if a trusted proxy sends it,
/// otherwise the connection's. A missing or unreadable header is ignored: a wrong setting must not
/// stop syncs. None over a unix socket without a header.
pub fn client_address(
    policy: &Policy,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Option<IpAddr> {
    forwarded(policy, headers, peer).or(peer.map(|address| address.to_canonical()))
}

/// The client's address as a trusted proxy names it.
pub fn forwarded(policy: &Policy, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
    let named = policy
        .trusts(peer)
        .then(|| from_header(policy.client_address, headers))
        .flatten();
    named.map(|address| address.to_canonical())
}

fn from_header(source: ClientAddress, headers: &HeaderMap) -> Option<IpAddr> {
    let single = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    let last = |name: &str| {
        headers
            .get_all(name)
            .iter()
            .next_back()?
            .to_str()
            .ok()?
            .rsplit(',')
            .next()
    };
    match source {
        ClientAddress::ConnectInfo => None,
        ClientAddress::XRealIp => single("x-real-ip"),
        ClientAddress::CfConnectingIp => single("cf-connecting-ip"),
        ClientAddress::FlyClientIp => single("fly-client-ip"),
        ClientAddress::TrueClientIp => single("true-client-ip"),
        ClientAddress::RightmostXForwardedFor => last("x-forwarded-for")?.trim().parse().ok(),
        ClientAddress::RightmostForwarded => forwarded_for(last("forwarded")?),
        ClientAddress::CloudFrontViewerAddress => {
            let (address, _port) = headers
                .get("cloudfront-viewer-address")?
                .to_str()
                .ok()?
                .rsplit_once(':')?;
            unbracket(address).parse().ok()
        }
    }
}

fn forwarded_for(element: &str) -> Option<IpAddr> {
    let node = parameter_of(element, "for")?;
    node.parse()
        .ok()
        .or_else(|| node.parse::<SocketAddr>().ok().map(|node| node.ip()))
        .or_else(|| unbracket(node).parse().ok())
}

/// One parameter of an element of `Forwarded` (RFC 7239): `for=192.0.2.1;proto=https`,
/// `for="[2001:db8::1]:4711"`.
pub fn parameter_of<'a>(element: &'a str, parameter: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case(parameter)
            .then_some(value.trim_matches('"'))
    })
}

fn unbracket(address: &str) -> &str {
    address.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Limits, vault::room::Room};

    fn policy(source: &str) -> Policy {
        Policy {
            limits: Limits::default(),
            room: Room {
                reserve: 0,
                quota: None,
            },
            client_address: source.parse().unwrap(),
            trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        }
    }

    #[test]
    fn a_header_is_believed_only_from_a_trusted_proxy_or_over_a_unix_socket() {
        let mut headers = HeaderMap::new();
        headers.insert("x-real-ip", "192.0.2.1".parse().unwrap());
        let stranger = "198.51.100.9".parse().unwrap();
        let told = "192.0.2.1".parse().unwrap();
        let policy = policy("XRealIp");
        assert_eq!(
            client_address(&policy, &headers, Some(stranger)),
            Some(stranger)
        );
        assert_eq!(client_address(&policy, &headers, None), Some(told));
        assert_eq!(client_address(&policy, &HeaderMap::new(), None), None);
    }

    #[test]
    fn each_header_of_the_reference_server_is_understood() {
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        for (source, header, value, expected) in [
            ("ConnectInfo", "x-real-ip", "192.0.2.1", "127.0.0.1"),
            ("XRealIp", "x-real-ip", "192.0.2.1", "192.0.2.1"),
            ("XRealIp", "x-real-ip", "garbage", "127.0.0.1"),
            ("XRealIp", "other", "192.0.2.1", "127.0.0.1"),
            (
                "RightmostXForwardedFor",
                "x-forwarded-for",
                "198.51.100.9, 192.0.2.1",
                "192.0.2.1",
            ),
            (
                "RightmostForwarded",
                "forwarded",
                "for=1.2.3.4, for=192.0.2.1;proto=https",
                "192.0.2.1",
            ),
            (
                "RightmostForwarded",
                "forwarded",
                "proto=https;For=\"[2001:db8::1]:4711\"",
                "2001:db8::1",
            ),
            (
                "RightmostForwarded",
                "forwarded",
                "for=\"[2001:db8::1]\"",
                "2001:db8::1",
            ),
            (
                "CfConnectingIp",
                "cf-connecting-ip",
                "2001:db8::1",
                "2001:db8::1",
            ),
            (
                "CloudFrontViewerAddress",
                "cloudfront-viewer-address",
                "192.0.2.1:4711",
                "192.0.2.1",
            ),
            ("FlyClientIp", "fly-client-ip", "192.0.2.1", "192.0.2.1"),
            (
                "TrueClientIp",
                "true-client-ip",
                "::ffff:192.0.2.1",
                "192.0.2.1",
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header, value.parse().unwrap());
            let found = client_address(&policy(source), &headers, Some(peer));
            assert_eq!(found, Some(expected.parse().unwrap()), "{source}: {value}");
        }
    }
}
