//! Tests that have no result of their own: they died with their worker, or nobody ran them.

/// A test for which the host is to make a report.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) test: u32,
    /// A worker died while it ran; otherwise nobody ran it.
    pub(super) in_flight: bool,
    pub(super) slot: u16,
    pub(super) when: &'static str,
    /// Seconds.
    pub(super) duration: f64,
    pub(super) message: String,
}
