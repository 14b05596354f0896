//! Which program has a port.

use std::collections::HashSet;

use procfs::{
    net::{TcpState, tcp, tcp6},
    process::{FDTarget, all_processes},
};

/// A program that listens on this TCP port, as far as this process may see it: its name and
/// number.
#[must_use]
pub fn holder(port: u16) -> Option<String> {
    let listeners = [tcp(), tcp6()].into_iter().flatten().flatten();
    let sockets: HashSet<_> = listeners
        .filter(|socket| socket.state == TcpState::Listen && socket.local_address.port() == port)
        .map(|socket| socket.inode)
        .collect();
    if sockets.is_empty() {
        return None;
    }
    let mut processes = all_processes().ok()?.flatten();
    let holder = processes.find(|process| {
        let has = |target| matches!(target, FDTarget::Socket(inode) if sockets.contains(&inode));
        let files = process.fd().into_iter().flatten().flatten();
        files.into_iter().any(|file| has(file.target))
    });
    Some(holder.map_or_else(
        || "another program".to_owned(),
        |process| {
            let name = process.stat().map(|stat| stat.comm).unwrap_or_default();
            format!("{name} (process {})", process.pid)
        },
    ))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn whoever_listens_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = holder(port).unwrap();
        let number = format!("(process {})", std::process::id());
        assert!(
            told.ends_with(&number) && told.len() > number.len() + 1,
            "{told}"
        );
        drop(listener);
        assert_eq!(holder(port), None);
    }
}
