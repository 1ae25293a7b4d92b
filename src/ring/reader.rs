//! Reading records.
use super::{Corrupt, RecordHead, Segment};

/// Reads the records of one slot.
#[derive(Debug)]
pub struct Reader<'s> {
    _segment: &'s Segment,
}

impl Reader<'_> {
    /// The next record; its body replaces what is in `out`.
    ///
    /// # Errors
    /// [`Corrupt`]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self, _out: &mut Vec<u8>) -> Result<Option<RecordHead>, Corrupt> {
        unimplemented!()
    }
}
