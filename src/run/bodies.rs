//! The records of a run kept for pytest's summary, which the host writes from them.

use std::io;
use std::os::fd::OwnedFd;

use crate::daemon::wire::memfd_with;

/// Bodies one after the other, each behind its head: `u32 test, u8 flags, u8 kind, u16 slot, u16 incarnation, u32 length`.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    bytes: Vec<u8>,
    /// How much of it the controller has.
    streamed: usize,
}

impl Bodies {
    /// `(slot, incarnation)`: the worker whose record it is.
    pub fn push(
        &mut self,
        kind: u8,
        flags: u8,
        test: u32,
        (slot, incarnation): (u16, u16),
        body: &[u8],
    ) {
        // A body comes from a ring or a spill file, whose lengths are far below 4 GiB; a longer one could not be announced.
        let Ok(length) = u32::try_from(body.len()) else {
            return;
        };
        self.bytes.extend_from_slice(&test.to_le_bytes());
        self.bytes.extend_from_slice(&[flags, kind]);
        self.bytes.extend_from_slice(&slot.to_le_bytes());
        self.bytes.extend_from_slice(&incarnation.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(body);
    }

    /// A memfd with what was added since the last call, and its length in bytes; `None`: nothing was.
    pub fn news(&mut self) -> io::Result<Option<(OwnedFd, u64)>> {
        let news = &self.bytes[self.streamed..];
        if news.is_empty() {
            return Ok(None);
        }
        let part = (memfd_with("rpytest-news", &[news])?, news.len() as u64);
        self.streamed = self.bytes.len();
        Ok(Some(part))
    }

    /// How many of the bytes of [`Bodies::memfd`] the controller was sent before.
    pub fn streamed(&self) -> usize {
        self.streamed
    }

    /// A memfd with all of it, and its length in bytes.
    pub fn memfd(&self) -> io::Result<(OwnedFd, u64)> {
        Ok((
            memfd_with("rpytest-bodies", &[&self.bytes])?,
            self.bytes.len() as u64,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::wire::read_announced;

    #[test]
    fn news_come_once() {
        let mut bodies = Bodies::default();
        assert!(bodies.news().unwrap().is_none());
        bodies.push(1, 0, 7, (0, 0), b"ab");
        let (memfd, length) = bodies.news().unwrap().unwrap();
        let first = read_announced(memfd, length).unwrap();
        assert!(bodies.news().unwrap().is_none());
        bodies.push(1, 0, 8, (0, 0), b"c");
        let (memfd, length) = bodies.news().unwrap().unwrap();
        let second = read_announced(memfd, length).unwrap();
        let (memfd, length) = bodies.memfd().unwrap();
        assert_eq!(
            read_announced(memfd, length).unwrap(),
            [first, second].concat()
        );
    }

    #[test]
    fn layout_is_the_protocols() {
        let mut bodies = Bodies::default();
        bodies.push(1, 1, 0x0102_0304, (0x0506, 0x0708), b"ab");
        bodies.push(2, 0, u32::MAX, (0, 0), b"");
        let (memfd, length) = bodies.memfd().unwrap();
        assert_eq!(
            read_announced(memfd, length).unwrap(),
            b"\x04\x03\x02\x01\x01\x01\x06\x05\x08\x07\x02\0\0\0ab\xff\xff\xff\xff\0\x02\0\0\0\0\0\0\0\0"
        );
    }
}
