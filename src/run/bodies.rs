//! The records of a run kept for pytest's summary, which the host writes from them.

use std::io;
use std::os::fd::OwnedFd;

use crate::daemon::wire::memfd_with;

/// Bodies one after the other, each behind its head: `u32 test, u8 flags, u8 kind, u16 slot, u32 length`.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    bytes: Vec<u8>,
}

impl Bodies {
    pub fn push(&mut self, kind: u8, flags: u8, test: u32, slot: u16, body: &[u8]) {
        // A body comes from a ring or a spill file, whose lengths are far below 4 GiB; a longer one could not be announced.
        let Ok(length) = u32::try_from(body.len()) else {
            return;
        };
        self.bytes.extend_from_slice(&test.to_le_bytes());
        self.bytes.extend_from_slice(&[flags, kind]);
        self.bytes.extend_from_slice(&slot.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(body);
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
    fn layout_is_the_protocols() {
        let mut bodies = Bodies::default();
        bodies.push(1, 1, 0x0102_0304, 0x0506, b"ab");
        bodies.push(2, 0, u32::MAX, 0, b"");
        let (memfd, length) = bodies.memfd().unwrap();
        assert_eq!(
            read_announced(memfd, length).unwrap(),
            b"\x04\x03\x02\x01\x01\x01\x06\x05\x02\0\0\0ab\xff\xff\xff\xff\0\x02\0\0\0\0\0\0"
        );
    }
}
