//! Whose an address is.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::Ipv6Net;

/// What one subscriber has of IPv6, and can draw new addresses from.
const SUBSCRIBER: u8 = 64;

/// What one subscriber has.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Net::new(address, SUBSCRIBER)
            .map_or(Ipv6Addr::UNSPECIFIED, |net| net.network())
            .into(),
    }
}
