//! Bodies that are too large for a ring: they are appended to a memory file of the worker's
//! incarnation.
//!
//! The worker writes the body first and commits the record that names it afterwards, so a record
//! never names what is not there. The file is the worker's, so the parent trusts neither its length
//! nor its bytes.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::fs::FallocateFlags;

use crate::shm::{RecordHead, Spill};

/// Whether `bytes` are the spilled body of `head`; `false` too when it has none.
#[must_use]
pub fn verify(head: &RecordHead, bytes: &[u8]) -> bool {
    head.spilled
        .is_some_and(|spill| bytes.len() as u64 == spill.len && crc32fast::hash(bytes) == spill.crc)
}

/// Reads the spilled body of `head` from `file` and checks it; it replaces what is in `out`.
///
/// # Errors
/// `InvalidData` when the file does not contain the body that the record names, or the record names
/// none; else what the system says.
pub fn read(file: BorrowedFd<'_>, head: &RecordHead, out: &mut Vec<u8>) -> io::Result<()> {
    out.clear();
    let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let spill = head
        .spilled
        .ok_or_else(|| bad("the record has no spilled body"))?;
    let end = spill.offset.checked_add(spill.len);
    let size = u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
    if end.is_none_or(|end| end > size) {
        return Err(bad("the spill file is shorter than the record says"));
    }
    let len = usize::try_from(spill.len).map_err(|_| bad("the body is larger than memory"))?;
    out.try_reserve_exact(len)?;
    out.resize(len, 0);
    let mut done = 0;
    while done < len {
        match rustix::io::pread(file, &mut out[done..], spill.offset + done as u64) {
            Ok(0) => return Err(bad("the spill file is shorter than the record says")),
            Ok(count) => done += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if verify(head, out) {
        Ok(())
    } else {
        Err(bad("the checksum of a spilled body is wrong"))
    }
}

/// Gives the memory of `head`'s body back to the system; the file keeps its length.
///
/// # Errors
/// What the system says: some file systems cannot do it, which is harmless.
pub fn release(file: BorrowedFd<'_>, head: &RecordHead) -> io::Result<()> {
    let Some(spill) = head.spilled.filter(|spill| spill.len > 0) else {
        return Ok(());
    };
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, flags, spill.offset, spill.len)?)
}

/// The worker's side: where the next body goes.
#[derive(Debug)]
pub(in crate::shm) struct SpillFile {
    fd: RawFd,
    end: u64,
}

impl SpillFile {
    pub fn new(fd: RawFd) -> Self {
        Self { fd, end: 0 }
    }

    /// Writes a body behind the earlier ones.
    pub fn append(&mut self, body: &[u8]) -> io::Result<Spill> {
        if self.fd < 0 {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        // SAFETY: the descriptor is not negative and used for this call only; if the test has
        // closed it, the call fails.
        let file = unsafe { BorrowedFd::borrow_raw(self.fd) };
        let mut done = 0;
        while done < body.len() {
            match rustix::io::pwrite(file, &body[done..], self.end + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let spill = Spill {
            offset: self.end,
            len: body.len() as u64,
            crc: crc32fast::hash(body),
        };
        self.end += spill.len;
        Ok(spill)
    }
}
