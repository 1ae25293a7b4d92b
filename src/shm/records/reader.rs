//! The reading half of a ring: the parent, which trusts no byte of it.

use super::record::{self, Frame, HEADER_WORDS};
use crate::shm::sync::{Ordering, fence};
use crate::shm::{Corrupt, RecordHead, Segment, Spill};

/// Reads the records of one slot, in the order in which they were committed.
///
/// Its position is kept in this process only, in the [`Segment`], so a reader may be dropped and
/// made again. Two readers of one slot at the same time would both get some records.
#[derive(Debug)]
pub struct Reader<'s> {
    segment: &'s Segment,
    slot: u16,
}

impl Segment {
    /// The reader of a slot's ring.
    ///
    /// # Panics
    /// When there is no such slot.
    #[must_use]
    pub fn reader(&self, slot: u16) -> Reader<'_> {
        Reader::new(self, slot)
    }
}

impl<'s> Reader<'s> {
    fn new(segment: &'s Segment, slot: u16) -> Self {
        // Panics when there is no such slot, rather than at the first record.
        segment.tail(slot);
        Self { segment, slot }
    }

    /// The next committed record, or `None` when there is none now.
    ///
    /// The body, copied out, replaces what is in `out` (empty for a spilled record). Its space is
    /// free afterwards. Constant time in the number of records; never waits, whatever stands in the
    /// segment.
    ///
    /// # Errors
    /// [`Corrupt`] when positions, lengths or checksums are not what a worker writes; the slot is
    /// closed from then on.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator cannot lend or fail"
    )]
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<RecordHead>, Corrupt> {
        out.clear();
        let private = self.segment.private(self.slot);
        let result = match private.broken() {
            Some(what) => Err(what),
            None => self.take(out),
        };
        result.map_err(|what| {
            out.clear();
            private.close(what);
            Corrupt {
                slot: self.slot,
                what,
            }
        })
    }

    fn take(&mut self, out: &mut Vec<u8>) -> Result<Option<RecordHead>, &'static str> {
        let (segment, slot) = (self.segment, self.slot);
        let ring = segment.ring_bytes();
        let mut position = segment.private(slot).head();
        // Acquire: pairs with the release store of `tail` in `Writer::write`; the bytes before it
        // are there.
        let tail = segment.tail(slot).load(Ordering::Acquire);
        if tail == position {
            return Ok(None);
        }
        if tail < position || tail - position > ring || !tail.is_multiple_of(8) {
            return Err("the writer's position is out of range");
        }
        let words = segment.ring_words(slot);
        let index = |position: u64| (position & (ring - 1)) as usize / 8;
        // Relaxed from here on: each word is read once, into private memory, and only the copy is
        // judged.
        let at = index(position);
        if at != 0 && words[at].load(Ordering::Relaxed) == record::padding(position) {
            position += ring - (position & (ring - 1));
        }
        let at = index(position);
        let available = tail.checked_sub(position).ok_or("a record is cut off")?;
        let space = (available as usize / 8).min(words.len() - at);
        if space < HEADER_WORDS {
            return Err("a record is cut off");
        }
        let mut header = [0; HEADER_WORDS];
        for (to, word) in header.iter_mut().zip(&words[at..]) {
            *to = word.load(Ordering::Relaxed);
        }
        let frame = Frame::decode(&header)?;
        let limit = segment.geometry().record_limit();
        if frame.len as usize > limit || frame.total() > limit {
            return Err("a record is longer than records can be");
        }
        if frame.total() / 8 > space {
            return Err("a record is cut off");
        }
        let body = &words[at + HEADER_WORDS..at + frame.total() / 8];
        out.resize(body.len() * 8, 0);
        for (to, word) in out.as_chunks_mut().0.iter_mut().zip(body) {
            *to = word.load(Ordering::Relaxed).to_le_bytes();
        }
        out.truncate(frame.len as usize);
        if !record::intact(&header, position, out) {
            return Err("the checksum of a record is wrong");
        }
        if frame.slot != slot {
            return Err("a record is another slot's");
        }
        let spilled = if frame.spilled {
            let spill = Spill::decode(out).ok_or("a spilled record has the wrong length")?;
            out.clear();
            Some(spill)
        } else {
            None
        };
        let space_waiter = self.consume(position + frame.total() as u64);
        Ok(Some(RecordHead {
            kind: frame.kind,
            flags: frame.flags,
            test: frame.test,
            attempt: frame.attempt,
            slot,
            incarnation: frame.incarnation,
            mono_ns: frame.mono_ns,
            spilled,
            space_waiter,
        }))
    }

    /// Frees the space before `head`; whether a worker waited for just that.
    fn consume(&self, head: u64) -> bool {
        let (segment, slot) = (self.segment, self.slot);
        segment.private(slot).advance(head);
        // Release: our reads of the space come before the writer's next writes. Pairs with the
        // acquire load in `Writer::look`.
        segment.head(slot).store(head, Ordering::Release);
        // SeqCst: pairs with the fence in `Writer::announce_wait`, which explains it.
        fence(Ordering::SeqCst);
        let want = segment.want(slot).load(Ordering::Relaxed);
        // Taking the wish back makes us say it once; if the worker has a newer one, that stays.
        want != 0
            && head >= want
            && segment
                .want(slot)
                .compare_exchange(want, 0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
