//! A connection to the server. Each wait on it has a limit.

use std::{
    io::{self, IoSliceMut, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
            UnixCredentials, connect, getsockopt, recvmsg, setsockopt, socket,
            sockopt::{PassCred, PeerCredentials, ReceiveTimeout, SendTimeout},
        },
        time::{TimeVal, TimeValLike},
    },
    unistd::Uid,
};

/// How long the server may send nothing; it sends a sign of life every second. A command that then
/// looks for the reason still ends within five seconds, even on a small machine.
const SILENCE: Duration = Duration::from_secs(3);
/// The kernel takes this much at once or nothing. With larger blocks, the waits for their parts
/// would add up.
const BLOCK: usize = 16 * 1024;

/// A connection. Every wait longer than [`SILENCE`] fails with `WouldBlock`.
pub struct Conversation {
    stream: UnixStream,
    received: Vec<u8>,
    /// The sender of the last message: the socket itself may be systemd's.
    sender: Option<Uid>,
}

impl Conversation {
    pub fn begin(place: &Path) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        // If the server accepts nothing, its queue fills up, and connecting waits.
        setsockopt(&socket, SendTimeout, &limit())?;
        connect(socket.as_raw_fd(), &UnixAddr::new(place)?)?;
        Self::over(socket.into())
    }

    pub fn over(stream: UnixStream) -> io::Result<Self> {
        setsockopt(&stream, PassCred, &true)?;
        setsockopt(&stream, SendTimeout, &limit())?;
        setsockopt(&stream, ReceiveTimeout, &limit())?;
        Ok(Self {
            stream,
            received: Vec::new(),
            sender: None,
        })
    }

    /// The process that listens: the server, or systemd.
    pub fn listener(&self) -> Option<i32> {
        let peer = getsockopt(&self.stream, PeerCredentials).ok()?;
        Some(peer.pid()).filter(|pid| *pid > 0)
    }

    /// Sends everything, as long as the server reads it or reports that it is working.
    pub fn send(&mut self, mut content: impl Read) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        loop {
            let mut left = match content.read(&mut block)? {
                0 => return Ok(()),
                length => &block[..length],
            };
            while !left.is_empty() {
                match self.stream.write(left) {
                    Ok(length) => left = &left[length..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.receive(MsgFlags::MSG_DONTWAIT)?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// The next line from the server, without its end.
    ///
    /// Fails also when the server has closed the connection.
    pub fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let new = &self.received[searched..];
            if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<_> = self.received.drain(..=searched + end).collect();
                line.pop();
                return Ok(line);
            }
            searched = self.received.len();
            if self.receive(MsgFlags::empty())? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn receive(&mut self, flags: MsgFlags) -> io::Result<usize> {
        let mut bytes = vec![0; BLOCK];
        let mut space = cmsg_space!(UnixCredentials);
        let (length, sender) = loop {
            let mut buffers = [IoSliceMut::new(&mut bytes)];
            let fd = self.stream.as_raw_fd();
            match recvmsg::<()>(fd, &mut buffers, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
                Ok(message) => {
                    let sender = message.cmsgs()?.find_map(|control| match control {
                        ControlMessageOwned::ScmCredentials(sender) => Some(sender.uid()),
                        _ => None,
                    });
                    break (message.bytes, sender);
                }
            }
        };
        if length > 0 {
            self.received.extend_from_slice(&bytes[..length]);
            self.sender = sender.map(Uid::from_raw);
        }
        Ok(length)
    }

    /// The connection, and the account of the server.
    pub fn end(self) -> (UnixStream, Uid) {
        // No account, if the server has sent nothing.
        (self.stream, self.sender.unwrap_or(Uid::from_raw(u32::MAX)))
    }
}

fn limit() -> TimeVal {
    TimeVal::seconds(SILENCE.as_secs().cast_signed())
}
