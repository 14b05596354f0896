//! The listening sockets on this machine, as the kernel lists them.

use std::{net::SocketAddr, path::Path};

use procfs::{
    net::{TcpState, tcp, tcp6, unix},
    process::{FDTarget, all_processes},
};

/// The process that listens for its services.
pub const SYSTEMD: i32 = 1;

/// The listening TCP sockets, with their numbers in the kernel.
pub fn listening() -> Vec<(SocketAddr, u64)> {
    // Without IPv6, the second table does not exist.
    let tables = [tcp(), tcp6()];
    let entries = tables.into_iter().flat_map(Result::unwrap_or_default);
    entries
        .filter(|entry| entry.state == TcpState::Listen)
        .map(|entry| (entry.local_address, entry.inode))
        .collect()
}

/// Whether a process listens at a place as systemd writes it: an address or a path. Anything else
/// counts as listened at.
pub fn is_listened_at(place: &str) -> bool {
    if let Ok(wanted) = place.parse::<SocketAddr>() {
        return listening()
            .iter()
            .any(|(address, _)| is_same(*address, wanted));
    }
    let is_bound = |path: &Path| {
        let sockets = unix().unwrap_or_default();
        sockets
            .iter()
            .any(|socket| socket.path.as_deref() == Some(path))
    };
    !place.starts_with('/') || is_bound(Path::new(place))
}

/// Whether both addresses are the same. `[::]` and `0.0.0.0` count as equal: on a machine without
/// IPv6, the former becomes the latter.
pub fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    let are_unspecified = one.ip().is_unspecified() && other.ip().is_unspecified();
    one.port() == other.port() && (are_unspecified || one.ip() == other.ip())
}

/// The processes that listen on this port, such as `nginx (process 812)`; none if there are none.
pub fn holder(port: u16) -> Option<String> {
    let listening = listening();
    let sockets: Vec<_> = listening
        .iter()
        .filter(|(address, _)| address.port() == port)
        .map(|(_, socket)| *socket)
        .collect();
    if sockets.is_empty() {
        return None;
    }
    // systemd holds the sockets of its services as well.
    let mut holders = processes_with(&sockets);
    holders.sort_by_key(|(process, _)| (*process == SYSTEMD, *process));
    Some(match holders.first() {
        Some((SYSTEMD, _)) => {
            "another socket unit of systemd (`systemctl list-sockets` shows which)".to_owned()
        }
        Some((process, name)) => format!("{name} (process {process})"),
        None => "another program (only root can see which)".to_owned(),
    })
}

fn processes_with(sockets: &[u64]) -> Vec<(i32, String)> {
    let Ok(processes) = all_processes() else {
        return Vec::new();
    };
    // Skips processes that have ended, or that belong to another user.
    let processes = processes.flatten().filter(|process| {
        process.fd().is_ok_and(|mut files| {
            files.any(|file| {
                file.is_ok_and(|file| {
                    matches!(file.target, FDTarget::Socket(socket) if sockets.contains(&socket))
                })
            })
        })
    });
    processes
        .filter_map(|process| Some((process.pid(), process.stat().ok()?.comm)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::unix::net::UnixListener, process};

    use super::*;

    #[test]
    fn who_listens_on_a_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let named = format!("(process {})", process::id());
        assert!(holder(address.port()).unwrap().ends_with(&named));
        assert!(is_listened_at(&address.to_string()));
        drop(listener);
        assert_eq!(holder(address.port()), None);
        assert!(!is_listened_at(&address.to_string()));
    }

    #[test]
    fn a_path_is_listened_at_while_its_socket_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let place = path.to_str().unwrap();
        assert!(!is_listened_at(place));
        let listener = UnixListener::bind(&path).unwrap();
        assert!(is_listened_at(place));
        drop(listener);
        assert!(!is_listened_at(place));
        assert!(is_listened_at("@abstract"));
    }

    #[test]
    fn all_addresses_are_the_same_with_and_without_ipv6() {
        for (one, other, expected) in [
            ("[::]:80", "0.0.0.0:80", true),
            ("[::]:80", "[::]:81", false),
            ("127.0.0.1:80", "0.0.0.0:80", false),
            ("127.0.0.1:80", "127.0.0.1:80", true),
        ] {
            let same = is_same(one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(same, expected, "{one} {other}");
        }
    }
}
