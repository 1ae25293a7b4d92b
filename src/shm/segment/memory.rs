//! The bytes of the segment, seen as atomic words.
//!
//! Everything shared is read and written through the atomics handed out here, the bodies of records
//! included (word by word, relaxed). A peer, or a test gone wild, may change any byte at any time:
//! with atomics that is a value to be checked, never a data race.

use crate::shm::sync::{AtomicU32, AtomicU64};

#[cfg(not(loom))]
pub(in crate::shm) use mapped::Memory;
#[cfg(loom)]
pub(in crate::shm) use modelled::Memory;

#[cfg(not(loom))]
mod mapped {
    use super::super::mapping::Mapping;
    use super::{AtomicU32, AtomicU64};

    /// Words of a mapped segment.
    #[derive(Debug)]
    pub struct Memory {
        mapping: Mapping,
    }

    impl Memory {
        pub fn new(mapping: Mapping) -> Self {
            Self { mapping }
        }

        pub fn mapping(&self) -> &Mapping {
            &self.mapping
        }

        pub fn len(&self) -> usize {
            self.mapping.len()
        }

        /// The word at `offset` bytes.
        pub fn word32(&self, offset: usize) -> &AtomicU32 {
            assert!(offset.is_multiple_of(4) && offset < self.len() && self.len() - offset >= 4);
            // SAFETY: the word is inside the mapping and aligned (asserted; the mapping starts on a
            // page), the mapping lives as long as `self`, and every process accesses its words
            // through atomics only.
            unsafe { AtomicU32::from_ptr(self.mapping.base().add(offset).cast().as_ptr()) }
        }

        /// The word at `offset` bytes.
        pub fn word64(&self, offset: usize) -> &AtomicU64 {
            &self.words64(offset, 1)[0]
        }

        /// `count` words from `offset` bytes on.
        pub fn words64(&self, offset: usize, count: usize) -> &[AtomicU64] {
            assert!(
                offset.is_multiple_of(8)
                    && offset <= self.len()
                    && count <= (self.len() - offset) / 8
            );
            // SAFETY: as above; `AtomicU64` has the size and alignment of `u64`, and shared
            // references to atomics may alias writers in other processes.
            unsafe {
                std::slice::from_raw_parts(self.mapping.base().add(offset).cast().as_ptr(), count)
            }
        }
    }
}

#[cfg(loom)]
mod modelled {
    use super::{AtomicU32, AtomicU64};

    /// Words of a model segment. Offsets are used with one width each, so two arrays do.
    #[derive(Debug)]
    pub struct Memory {
        words32: Vec<AtomicU32>,
        words64: Vec<AtomicU64>,
    }

    impl Memory {
        pub fn zeroed(bytes: usize) -> Self {
            Self {
                words32: (0..bytes / 4).map(|_| AtomicU32::new(0)).collect(),
                words64: (0..bytes / 8).map(|_| AtomicU64::new(0)).collect(),
            }
        }

        pub fn word32(&self, offset: usize) -> &AtomicU32 {
            assert!(offset.is_multiple_of(4));
            &self.words32[offset / 4]
        }

        pub fn word64(&self, offset: usize) -> &AtomicU64 {
            &self.words64(offset, 1)[0]
        }

        pub fn words64(&self, offset: usize, count: usize) -> &[AtomicU64] {
            assert!(offset.is_multiple_of(8));
            &self.words64[offset / 8..offset / 8 + count]
        }
    }
}
