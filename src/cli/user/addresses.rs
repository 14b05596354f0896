//! The addresses to type into Anki on devices.

use std::{
    io::{self, IsTerminal, Write},
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags, unistd::gethostname};

use crate::qr;

/// How the names of networks begin that only exist on this computer.
const INTERNAL: [&str; 7] = ["br-", "cni", "docker", "lxc", "podman", "veth", "virbr"];
/// If a program listens there, `NAME.local` is answered.
const MDNS: &str = "/run/avahi-daemon/socket";
/// Files that Docker and Podman create in their containers.
const CONTAINER_MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// Nothing is sent there: connecting only shows which of our addresses the way out uses.
const OUTSIDE: &str = "192.0.2.1:9";

/// Prints what to type into Anki for a server that listens at these places, and a QR code at a
/// terminal.
pub fn print(places: &[String]) -> io::Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out)?;
    let addresses = of(places, &own_addresses(), own_name().as_deref());
    let Some(first) = addresses.first() else {
        return writeln!(
            out,
            "The server listens only on {}, which other devices cannot reach. In Anki, type the address of the proxy in front of the server, with a slash at the end.",
            places.join(" and ")
        );
    };
    writeln!(
        out,
        "Type this address into Anki, with the slash at the end{}:\n",
        if addresses.len() > 1 {
            " (the first of these that works on the device)"
        } else {
            ""
        }
    )?;
    for address in &addresses {
        writeln!(out, "    {address}")?;
    }
    writeln!(
        out,
        "\nOpen it in a browser: the page shows where to type the address on each device."
    )?;
    if CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists()) {
        writeln!(
            out,
            "If the container has its own network, use the address of the computer that runs the container instead, and the port that it publishes."
        )?;
    }
    match qr::terminal(first).filter(|_| out.is_terminal()) {
        Some(code) => write!(
            out,
            "Point a phone's camera here to open that page:\n\n{code}"
        ),
        None => Ok(()),
    }
}

/// The addresses for other devices. Numbers come first, since not every network resolves names.
fn of(places: &[String], own: &[IpAddr], name: Option<&str>) -> Vec<String> {
    let mut addresses = Vec::new();
    let mut add = |host: &str, port| {
        let address = format!("http://{host}:{port}/");
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    };
    let sockets = || {
        places
            .iter()
            .filter_map(|place| place.parse::<SocketAddr>().ok())
    };
    for socket in sockets().filter(|socket| !socket.ip().to_canonical().is_loopback()) {
        let (ip, port) = (socket.ip(), socket.port());
        if !ip.is_unspecified() {
            add(&host(ip.to_canonical()), port);
            continue;
        }
        // A socket on all IPv6 addresses accepts IPv4 connections as well.
        let suiting = own.iter().filter(|own| own.is_ipv4() || ip.is_ipv6());
        suiting.for_each(|own| add(&host(*own), port));
    }
    for socket in sockets().filter(|socket| socket.ip().is_unspecified()) {
        if let Some(name) = name {
            add(name, socket.port());
        }
    }
    addresses
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// This computer's addresses in networks with other devices, the one of the way out first. IPv6
/// addresses are tedious to type, so they are listed only if there are no others.
fn own_addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten().filter(|interface| {
        interface.flags.contains(InterfaceFlags::IFF_UP)
            && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
            && !INTERNAL
                .iter()
                .any(|begin| interface.interface_name.starts_with(begin))
    });
    let mut own: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|it| it.ip().into());
            v4.or_else(|| address.as_sockaddr_in6().map(|it| it.ip().into()))
        })
        .filter(|ip| match ip {
            IpAddr::V4(ip) => !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        })
        .collect();
    if own.iter().any(IpAddr::is_ipv4) {
        own.retain(IpAddr::is_ipv4);
    }
    let way_out = UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| socket.connect(OUTSIDE).and_then(|()| socket.local_addr()));
    let way_out = way_out.ok().map(|address| address.ip());
    own.sort_by_key(|ip| Some(*ip) != way_out);
    own
}

/// This computer's name, as other devices find it.
fn own_name() -> Option<String> {
    let name = gethostname().ok()?.into_string().ok()?;
    if name.is_empty() || name == "localhost" || name.starts_with("localhost.") {
        None
    } else if name.contains('.') || !Path::new(MDNS).exists() {
        Some(name)
    } else {
        Some(format!("{name}.local"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(places: &[&str]) -> Vec<String> {
        let own = ["192.168.1.10", "10.8.0.1"].map(|ip| ip.parse().unwrap());
        let places: Vec<_> = places.iter().map(ToString::to_string).collect();
        of(&places, &own, Some("nas.local"))
    }

    #[test]
    fn what_listens_everywhere_is_reached_by_number_and_by_name() {
        let expected = [
            "http://192.168.1.10:27701/",
            "http://10.8.0.1:27701/",
            "http://nas.local:27701/",
        ];
        for places in [
            &["[::]:27701"][..],
            &["0.0.0.0:27701"],
            &["0.0.0.0:27701", "[::]:27701", "/run/anki-syncd.sock"],
        ] {
            assert_eq!(addresses(places), expected);
        }
    }

    #[test]
    fn what_listens_on_one_address_is_reached_there_only() {
        assert_eq!(addresses(&["192.0.2.7:8080"]), ["http://192.0.2.7:8080/"]);
        assert_eq!(
            addresses(&["[2001:db8::1]:80"]),
            ["http://[2001:db8::1]:80/"]
        );
        for place in ["127.0.0.1:8080", "[::1]:8080", "/run/anki-syncd.sock"] {
            assert_eq!(addresses(&[place]), [""; 0], "{place}");
        }
    }
}
