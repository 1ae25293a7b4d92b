//! A checked reader over the bytes of one record.

use thiserror::Error;

/// A record's body that doesn't have the documented shape.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("cannot read {what} at byte {offset} of a worker's record")]
pub struct DecodeError {
    /// What was to be read there.
    pub what: &'static str,
    /// Where it starts, in bytes from the start of the body.
    pub offset: usize,
}

/// Reads little-endian values front to back; every length is checked against what is left.
pub(super) struct Cursor<'a> {
    body: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, offset: 0 }
    }

    /// An error about what was to be read at the current position.
    pub(super) fn error(&self, what: &'static str) -> DecodeError {
        DecodeError {
            what,
            offset: self.offset,
        }
    }

    /// Bytes that are left.
    pub(super) fn remaining(&self) -> usize {
        self.body.len() - self.offset
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let rest = &self.body[self.offset..];
        let bytes = rest.get(..length).ok_or_else(|| self.error(what))?;
        self.offset += length;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let error = self.error(what);
        self.take(N, what)?.try_into().map_err(|_| error)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array(what).map(u8::from_le_bytes)
    }

    /// A `u32` that says how many follow.
    pub(super) fn count(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        self.u32(what).map(|count| count as usize)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        self.array(what).map(i32::from_le_bytes)
    }

    pub(super) fn f64(&mut self, what: &'static str) -> Result<f64, DecodeError> {
        self.array(what).map(f64::from_le_bytes)
    }

    /// `u32 length` and that many bytes of UTF-8.
    pub(super) fn str(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let error = self.error(what);
        let bytes = self.blob(what)?;
        std::str::from_utf8(bytes).map_err(|_| error)
    }

    /// `u32 length` and that many bytes.
    pub(super) fn blob(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.u32(what)?;
        let length = usize::try_from(length).map_err(|_| self.error(what))?;
        self.take(length, what)
    }

    /// Errs unless everything was read: a record that is longer than we understand came from
    /// another build.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.remaining() == 0 {
            Ok(())
        } else {
            Err(self.error("the end"))
        }
    }
}
