//! Bodies that are too large for a ring.
use super::RecordHead;
use std::io;
use std::os::fd::BorrowedFd;

/// Whether `bytes` are the body of `head`.
#[must_use]
pub fn verify(_head: &RecordHead, _bytes: &[u8]) -> bool {
    unimplemented!()
}

/// Reads the body of `head` into `out` and checks it.
///
/// # Errors
/// When the file is too short, or its bytes are not those that were written (`InvalidData`).
pub fn read(_file: BorrowedFd<'_>, _head: &RecordHead, _out: &mut Vec<u8>) -> io::Result<()> {
    unimplemented!()
}

/// Gives the memory of `head`'s body back.
///
/// # Errors
/// What `fallocate` says.
pub fn release(_file: BorrowedFd<'_>, _head: &RecordHead) -> io::Result<()> {
    unimplemented!()
}
