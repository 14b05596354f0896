//! The network that an address belongs to.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::Ipv6Net;

/// The prefix length of IPv6 that one subscriber has: it can use any address in it.
const SUBSCRIBER: u8 = 64;

/// The network that one subscriber has.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Net::new(address, SUBSCRIBER)
            .map_or(Ipv6Addr::UNSPECIFIED, |net| net.network())
            .into(),
    }
}
