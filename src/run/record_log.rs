//! The records of a run kept for pytest's summary, which the host writes from them.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use rustix::fs::MemfdFlags;

use crate::daemon::wire::memfd_with;

/// Bytes that are gathered before they go into the file.
const PIECE: usize = 64 * 1024;

/// Bodies one after the other, each behind its head: `u32 test, u8 flags, u8 kind, u16 slot, u16
/// incarnation, u32 length`.
///
/// They lie in the memfd that the host reads them from: failures with much output are not in memory
/// twice.
#[derive(Debug, Default)]
pub(super) struct RecordLog {
    file: Option<File>,
    /// Bytes in the file, and those behind them.
    written: u64,
    pending: Vec<u8>,
    /// How much of it the controller has.
    streamed: u64,
    /// Why the file is not complete.
    error: Option<io::Error>,
}

impl RecordLog {
    /// `(slot, incarnation)`: the worker whose record it is.
    pub fn push(
        &mut self,
        kind: u8,
        flags: u8,
        test: u32,
        (slot, incarnation): (u16, u16),
        body: &[u8],
    ) {
        // A body comes from a ring or a spill file, whose lengths are far below 4 GiB; a longer one
        // could not be announced.
        let Ok(length) = u32::try_from(body.len()) else {
            return;
        };
        self.pending.extend_from_slice(&test.to_le_bytes());
        self.pending.extend_from_slice(&[flags, kind]);
        self.pending.extend_from_slice(&slot.to_le_bytes());
        self.pending.extend_from_slice(&incarnation.to_le_bytes());
        self.pending.extend_from_slice(&length.to_le_bytes());
        if body.len() < PIECE {
            self.pending.extend_from_slice(body);
        }
        let done = if body.len() >= PIECE {
            self.flush().and_then(|()| self.append(body))
        } else if self.pending.len() >= PIECE {
            self.flush()
        } else {
            Ok(())
        };
        if let Err(error) = done {
            self.error.get_or_insert(error);
        }
    }

    /// A memfd with what was added since the last call, and its length in bytes; `None`: nothing
    /// was.
    pub fn news(&mut self) -> io::Result<Option<(OwnedFd, u64)>> {
        self.complete()?;
        let length = self.written - self.streamed;
        let Some(file) = self.file.as_ref().filter(|_| length > 0) else {
            return Ok(None);
        };
        let size = usize::try_from(length).map_err(io::Error::other)?;
        let mut news = vec![0; size];
        file.read_exact_at(&mut news, self.streamed)?;
        let part = (memfd_with("rpytest-news", &[&news])?, length);
        self.streamed = self.written;
        Ok(Some(part))
    }

    /// How many of the bytes of [`RecordLog::memfd`] the controller was sent before.
    pub fn streamed(&self) -> u64 {
        self.streamed
    }

    /// A memfd with all of it, and its length in bytes.
    pub fn memfd(&mut self) -> io::Result<(OwnedFd, u64)> {
        self.complete()?;
        Ok((self.file()?.try_clone()?.into(), self.written))
    }

    fn complete(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.flush(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.append(&pending)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            self.file()?.write_all(bytes)?;
            self.written += bytes.len() as u64;
        }
        Ok(())
    }

    fn file(&mut self) -> io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            empty => {
                let memfd = rustix::fs::memfd_create("rpytest-bodies", MemfdFlags::CLOEXEC)?;
                Ok(empty.insert(File::from(memfd)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::wire::read_announced;

    #[test]
    fn news_come_once() {
        let mut record_log = RecordLog::default();
        assert!(record_log.news().unwrap().is_none());
        record_log.push(1, 0, 7, (0, 0), b"ab");
        let (memfd, length) = record_log.news().unwrap().unwrap();
        let first = read_announced(memfd, length).unwrap();
        assert!(record_log.news().unwrap().is_none());
        record_log.push(1, 0, 8, (0, 0), b"c");
        let (memfd, length) = record_log.news().unwrap().unwrap();
        let second = read_announced(memfd, length).unwrap();
        let (memfd, length) = record_log.memfd().unwrap();
        assert_eq!(
            read_announced(memfd, length).unwrap(),
            [first, second].concat()
        );
    }

    #[test]
    fn large_bodies_stand_where_they_belong() {
        let mut record_log = RecordLog::default();
        let large = vec![b'x'; PIECE + 1];
        record_log.push(1, 0, 1, (0, 0), b"ab");
        record_log.push(1, 0, 2, (0, 0), &large);
        let (memfd, length) = record_log.news().unwrap().unwrap();
        let first = read_announced(memfd, length).unwrap();
        record_log.push(1, 0, 3, (0, 0), b"c");
        let (memfd, length) = record_log.memfd().unwrap();
        let all = read_announced(memfd, length).unwrap();
        assert_eq!(all.len(), 3 * 14 + 2 + large.len() + 1);
        assert_eq!(all[..first.len()], first);
        assert_eq!(&all[14..16], b"ab");
        assert_eq!(all[30..30 + large.len()], large);
        assert_eq!(all.last(), Some(&b'c'));
        assert_eq!(record_log.streamed(), first.len() as u64);
    }

    #[test]
    fn layout_is_the_protocols() {
        let mut record_log = RecordLog::default();
        record_log.push(1, 1, 0x0102_0304, (0x0506, 0x0708), b"ab");
        record_log.push(2, 0, u32::MAX, (0, 0), b"");
        let (memfd, length) = record_log.memfd().unwrap();
        assert_eq!(
            read_announced(memfd, length).unwrap(),
            b"\x04\x03\x02\x01\x01\x01\x06\x05\x08\x07\x02\0\0\0ab\xff\xff\xff\xff\0\x02\0\0\0\0\0\0\0\0"
        );
    }
}
