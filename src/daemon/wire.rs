//! Packets over a `SOCK_SEQPACKET` socket: one packet is one JSON object, descriptors travel beside
//! it.
//!
//! A message longer than [`INLINE_LIMIT`] goes into a memfd, whose length the packet announces. The
//! Python side is `python/rpytest/ipc/channel.py`; both follow `docs/design/protocol.md`.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::MemfdFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest JSON text, in bytes, that is sent in the packet itself.
pub const INLINE_LIMIT: usize = 32 * 1024;
/// Longest text or body, in bytes, that a memfd may announce. Far above anything real: it bounds
/// what a confused peer can make us allocate.
pub const MEMFD_LIMIT: u64 = 4 << 30;
/// Most descriptors in one packet.
const MAX_FDS: usize = 16;

/// Why a message could not be sent or read.
#[derive(Debug, Error)]
pub enum WireError {
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The packet is not what the protocol says.
    #[error("{0}")]
    Malformed(String),
}

impl From<rustix::io::Errno> for WireError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// A received message: its text and the descriptors that came with it, in the sender's order.
#[derive(Debug)]
pub struct Packet {
    pub json: Vec<u8>,
    pub fds: Vec<OwnedFd>,
}

impl Packet {
    /// Reads the text as a message of type `T`.
    ///
    /// # Errors
    /// [`WireError::Malformed`] with the beginning of the text.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, WireError> {
        parse_json(&self.json)
    }
}

/// Reads a JSON text from Python, in which a lone surrogate (an undecodable byte of a path) becomes
/// U+FFFD.
///
/// # Errors
/// [`WireError::Malformed`] with the beginning of the text.
pub fn parse_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(json)
        .or_else(|error| match without_lone_surrogates(json) {
            Some(cleaned) => serde_json::from_slice(&cleaned),
            None => Err(error),
        })
        .map_err(|error| {
            let text = String::from_utf8_lossy(json);
            let start: String = text.chars().take(120).collect();
            WireError::Malformed(format!("{error} in `{start}`"))
        })
}

/// The text with every escape of a lone surrogate replaced by that of U+FFFD; `None` when there is
/// none.
fn without_lone_surrogates(json: &[u8]) -> Option<Vec<u8>> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut cleaned = Vec::with_capacity(json.len());
    let mut changed = false;
    let mut at = 0;
    while at < json.len() {
        let step = match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                cleaned.extend_from_slice(b"\\ufffd");
                changed = true;
                at += 6;
                continue;
            }
            Some(_) => 6,
            // The character after a backslash begins no escape of its own.
            None if json[at] == b'\\' => 2,
            None => 1,
        };
        let end = json.len().min(at + step);
        cleaned.extend_from_slice(&json[at..end]);
        at = end;
    }
    changed.then_some(cleaned)
}

/// What stands in the packet when the message itself is in a memfd.
#[derive(Serialize, Deserialize)]
struct InMemfd {
    memfd: u64,
}

/// One end of a control connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Connection {
    /// Takes over a connected `SOCK_SEQPACKET` socket.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Ends the connection for both sides, after what was sent so far.
    pub fn shut_down(&self) {
        // It can only fail if it has ended.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// Sends one message with descriptors. Blocks while the peer's queue is full.
    ///
    /// # Errors
    /// `EPIPE` or `ECONNRESET` when the peer is gone; others when a message is too long for a packet
    /// and there can be no file for it.
    pub fn send(&self, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> Result<(), WireError> {
        let json = serde_json::to_vec(message).map_err(io::Error::from)?;
        if json.len() <= INLINE_LIMIT {
            return self.send_packet(&json, fds);
        }
        let memfd = memfd_with("rpytest-message", &[&json])?;
        let pointer = InMemfd {
            memfd: json.len() as u64,
        };
        let pointer = serde_json::to_vec(&pointer).map_err(io::Error::from)?;
        let mut all = fds.to_vec();
        all.push(memfd.as_fd());
        self.send_packet(&pointer, &all)
    }

    fn send_packet(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), WireError> {
        assert!(
            fds.len() <= MAX_FDS,
            "more descriptors than one packet may carry"
        );
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            let fits = control.push(SendAncillaryMessage::ScmRights(fds));
            debug_assert!(fits, "the buffer is sized for MAX_FDS");
        }
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(
                &self.socket,
                &[IoSlice::new(bytes)],
                &mut control,
                SendFlags::NOSIGNAL,
            )
        })?;
        Ok(())
    }

    /// Receives one message; `None` at the end of the connection. Blocks until one of the two is
    /// there.
    ///
    /// # Errors
    /// When the packet was cut off, or a memfd is shorter than announced.
    pub fn recv(&self) -> Result<Option<Packet>, WireError> {
        let mut bytes = vec![0_u8; 2 * INLINE_LIMIT];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut receive = || {
            rustix::io::retry_on_intr(|| {
                rustix::net::recvmsg(
                    &self.socket,
                    &mut [IoSliceMut::new(&mut bytes)],
                    &mut control,
                    RecvFlags::CMSG_CLOEXEC,
                )
            })
        };
        let received = match receive() {
            // The peer has gone with something unread in its queue, which is told once; what it had
            // said is still there.
            Err(rustix::io::Errno::CONNRESET) => match receive() {
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                other => other?,
            },
            other => other?,
        };
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        if received
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
        {
            return Err(WireError::Malformed("a message was cut off".into()));
        }
        bytes.truncate(received.bytes);
        // The usual message is not looked at twice: only a short one can announce a memfd.
        if bytes.len() < 64 && bytes.starts_with(b"{\"memfd\"") {
            let announced: InMemfd = Packet {
                json: bytes,
                fds: Vec::new(),
            }
            .parse()?;
            let memfd = fds
                .pop()
                .ok_or_else(|| WireError::Malformed("a memfd was announced, none came".into()))?;
            bytes = read_announced(memfd, announced.memfd)?;
        }
        Ok(Some(Packet { json: bytes, fds }))
    }
}

/// A memfd that holds `parts` one after the other, its offset at the end.
///
/// # Errors
/// When the system has no memory or descriptor left.
pub fn memfd_with(name: &str, parts: &[&[u8]]) -> io::Result<OwnedFd> {
    let memfd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memfd);
    for part in parts {
        file.write_all(part)?;
    }
    Ok(file.into())
}

/// Reads exactly `length` bytes from the beginning of a received memfd.
///
/// # Errors
/// [`WireError::Malformed`] when the descriptor holds fewer bytes than announced or the
/// announcement is absurd.
pub fn read_announced(memfd: OwnedFd, length: u64) -> Result<Vec<u8>, WireError> {
    use std::io::{Seek, SeekFrom};

    let mut file = File::from(memfd);
    let actual = file.metadata()?.len();
    if length > actual || length > MEMFD_LIMIT {
        return Err(WireError::Malformed(format!(
            "{length} bytes were announced, {actual} are there"
        )));
    }
    let length = usize::try_from(length)
        .map_err(|_| WireError::Malformed(format!("{length} bytes do not fit into memory")))?;
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    use serde_json::{Value, json};

    use super::*;

    fn pair() -> (Connection, Connection) {
        let (a, b) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        (Connection::new(a), Connection::new(b))
    }

    #[test]
    fn short_message_with_descriptors_arrives_in_order() {
        let (a, b) = pair();
        let first = memfd_with("first", &[b"one"]).unwrap();
        let second = memfd_with("second", &[b"tw", b"o!"]).unwrap();
        a.send(&json!({"op": "x"}), &[first.as_fd(), second.as_fd()])
            .unwrap();
        let mut packet = b.recv().unwrap().unwrap();
        assert_eq!(packet.parse::<Value>().unwrap(), json!({"op": "x"}));
        assert_eq!(packet.fds.len(), 2);
        let flags = rustix::io::fcntl_getfd(&packet.fds[0]).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        assert_eq!(
            read_announced(packet.fds.pop().unwrap(), 4).unwrap(),
            b"two!"
        );
        assert_eq!(
            read_announced(packet.fds.pop().unwrap(), 3).unwrap(),
            b"one"
        );
    }

    #[test]
    fn long_message_travels_in_a_memfd() {
        let (a, b) = pair();
        let passenger = memfd_with("passenger", &[b"p"]).unwrap();
        for length in [INLINE_LIMIT - 16, INLINE_LIMIT, INLINE_LIMIT + 1, 3 << 20] {
            let text = "ü".repeat(length / 2);
            a.send(&json!({"text": text}), &[passenger.as_fd()])
                .unwrap();
            let packet = b.recv().unwrap().unwrap();
            assert_eq!(packet.parse::<Value>().unwrap(), json!({"text": text}));
            assert_eq!(packet.fds.len(), 1);
        }
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_kept() {
        let parse = |json: &str| parse_json::<Vec<String>>(json.as_bytes());
        assert_eq!(
            parse(r#"["\udce4\ud83d\ude00\\udce4"]"#).unwrap(),
            ["\u{fffd}\u{1f600}\\udce4"]
        );
        assert_eq!(parse(r#"["\ud83dx"]"#).unwrap(), ["\u{fffd}x"]);
        assert!(parse(r#"["\udce4"#).is_err());
        assert!(parse(r#"["\uzzzz"]"#).is_err());
        assert!(parse("[\"\\").is_err());
    }

    #[test]
    fn end_of_file_is_none() {
        let (a, b) = pair();
        a.send(&json!({"last": true}), &[]).unwrap();
        drop(a);
        assert!(b.recv().unwrap().is_some());
        assert!(b.recv().unwrap().is_none());
        assert!(b.send(&json!({}), &[]).is_err());
    }

    #[test]
    fn wrong_announcements_are_malformed() {
        let (a, b) = pair();
        a.send(&json!({"memfd": 10}), &[]).unwrap();
        assert!(matches!(b.recv(), Err(WireError::Malformed(_))));
        let short = memfd_with("short", &[b"123"]).unwrap();
        a.send(&json!({"memfd": u64::MAX}), &[short.as_fd()])
            .unwrap();
        assert!(matches!(b.recv(), Err(WireError::Malformed(_))));
        assert!(matches!(
            read_announced(short, 4),
            Err(WireError::Malformed(_))
        ));
        let huge = vec![b'x'; 2 * INLINE_LIMIT + 1];
        rustix::net::send(&a, &huge, SendFlags::empty()).unwrap();
        assert!(matches!(b.recv(), Err(WireError::Malformed(_))));
    }
}
