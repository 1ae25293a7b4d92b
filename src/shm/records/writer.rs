//! The writing half of a ring: one producer, its worker.

use super::record::{self, Frame};
use crate::shm::Segment;
use crate::shm::sync::{Ordering, fence};

/// What a worker remembers of its ring.
#[derive(Debug)]
pub(in crate::shm) struct Writer {
    slot: u16,
    /// Bytes committed since the start; the shared copy is only ever written from it.
    tail: u64,
    /// The reader's position when it was last needed: never ahead of the real one.
    head: u64,
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shm) enum Written {
    /// The record is committed; `filling` when it made the ring more than half full.
    Committed { filling: bool },
    /// There is no room.
    Full,
}

impl Writer {
    /// Goes on where the slot's previous incarnation stopped: what that one had not committed is
    /// overwritten.
    pub fn attach(segment: &Segment, slot: u16) -> Result<Self, &'static str> {
        // Relaxed: the previous writer is dead and was reaped before this one was started.
        let tail = segment.tail(slot).load(Ordering::Relaxed);
        let mut writer = Self {
            slot,
            tail,
            head: tail,
        };
        if !tail.is_multiple_of(8) {
            return Err("a position is not a multiple of 8");
        }
        writer.look(segment)?;
        Ok(writer)
    }

    /// Reads how far the reader is.
    fn look(&mut self, segment: &Segment) -> Result<(), &'static str> {
        // Acquire: pairs with the release store of `head` in `Reader::next`; what we write into the
        // freed space comes after the reader's last look at it.
        let head = segment.head(self.slot).load(Ordering::Acquire);
        if head > self.tail || self.tail - head > segment.ring_bytes() {
            return Err("the reader's position is out of range");
        }
        self.head = head;
        Ok(())
    }

    /// Bytes that a record of `total` bytes takes, padding before it included.
    fn need(&self, segment: &Segment, total: usize) -> u64 {
        let ring = segment.ring_bytes();
        let left = ring - (self.tail & (ring - 1));
        let total = total as u64;
        if total <= left { total } else { left + total }
    }

    /// Whether a record of `total` bytes fits now.
    pub fn fits(&mut self, segment: &Segment, total: usize) -> Result<bool, &'static str> {
        let end = self.tail + self.need(segment, total);
        if end - self.head > segment.ring_bytes() {
            self.look(segment)?;
        }
        Ok(end - self.head <= segment.ring_bytes())
    }

    /// Writes and commits a record if there is room for it.
    pub fn write(
        &mut self,
        segment: &Segment,
        frame: &Frame,
        body: &[u8],
    ) -> Result<Written, &'static str> {
        let total = frame.total();
        assert!(body.len() == frame.len as usize && total <= segment.geometry().record_limit());
        if !self.fits(segment, total)? {
            return Ok(Written::Full);
        }
        let ring = segment.ring_bytes();
        let words = segment.ring_words(self.slot);
        let need = self.need(segment, total);
        let position = self.tail + need - total as u64;
        if position != self.tail {
            let at = (self.tail & (ring - 1)) as usize / 8;
            words[at].store(record::padding(self.tail), Ordering::Relaxed);
        }
        let at = (position & (ring - 1)) as usize / 8;
        let place = &words[at..at + total / 8];
        // Relaxed: published by the release store of `tail` below.
        let (header, rest) = place.split_at(record::HEADER_WORDS);
        for (to, word) in header.iter().zip(frame.encode(position, body)) {
            to.store(word, Ordering::Relaxed);
        }
        let (whole, last) = body.as_chunks();
        for (to, bytes) in rest.iter().zip(whole) {
            to.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        if !last.is_empty() {
            let mut bytes = [0; 8];
            bytes[..last.len()].copy_from_slice(last);
            rest[whole.len()].store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        self.tail += need;
        // Release: the commit. Pairs with the acquire load of `tail` in `Reader::next`.
        segment.tail(self.slot).store(self.tail, Ordering::Release);
        Ok(Written::Committed {
            filling: self.filling(segment, need),
        })
    }

    /// Whether the last `need` bytes made the ring more than half full. Only the record that does
    /// so rings the bell: a parent goes to sleep beside an empty ring, so for each sleep there is
    /// one.
    fn filling(&mut self, segment: &Segment, need: u64) -> bool {
        let half = segment.ring_bytes() / 2;
        if self.tail - self.head <= half {
            return false;
        }
        // The old look at the reader's position may be out of date; a damaged one is noticed by the
        // next write.
        let _ = self.look(segment);
        let used = self.tail - self.head;
        used > half && used - need <= half
    }

    /// Says that this worker waits for room for a record of `total` bytes; `false`: there is room
    /// after all.
    pub fn announce_wait(&mut self, segment: &Segment, total: usize) -> Result<bool, &'static str> {
        let ring = segment.ring_bytes();
        // Half of the ring at least, so that a slow reader does not wake us for every record it
        // takes. Never 0, which means nobody: the ring is full, so `tail` is beyond the first half
        // of the first round.
        let enough = (self.tail + self.need(segment, total)).saturating_sub(ring);
        let want = enough.max(self.tail.saturating_sub(ring / 2)).max(1);
        segment.want(self.slot).store(want, Ordering::Relaxed);
        // SeqCst: either the reader's look at `want` after its own fence sees this, or our look at
        // `head` sees its store. Pairs with the fence in `Reader::next`.
        fence(Ordering::SeqCst);
        if self.fits(segment, total)? {
            self.end_wait(segment);
            return Ok(false);
        }
        Ok(true)
    }

    /// Nobody waits any more.
    pub fn end_wait(&self, segment: &Segment) {
        segment.want(self.slot).store(0, Ordering::Relaxed);
    }
}
