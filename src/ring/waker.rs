//! Wakes workers that wait for room.

/// Wakes workers that wait for room.
#[derive(Debug)]
pub struct Waker {
    _p: (),
}

impl Waker {
    /// Wakes the current incarnation of `slot`; never blocks.
    pub fn wake(&self, _slot: u16) {
        unimplemented!()
    }
}
