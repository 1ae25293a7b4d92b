//! Tests that have no result of their own: they died with their worker, or nobody ran them.

use std::collections::VecDeque;

/// Most tests that the host is asked about at a time: its answers must fit into the socket's queue,
/// or both sides would wait for each other.
const ASKED_LIMIT: usize = 8;

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

impl Lost {
    /// A test that nobody ran; `message` says why.
    pub fn not_run(test: u32, message: String) -> Self {
        Self {
            test,
            in_flight: false,
            slot: 0,
            when: "setup",
            duration: 0.0,
            message,
        }
    }
}

/// Keeps the tests for which the host is to make a report until it has done so.
#[derive(Debug, Default)]
pub(super) struct LostTests {
    /// Those that it has yet to be asked about.
    waiting: VecDeque<Lost>,
    /// Those that it was asked about.
    asked: Vec<Lost>,
}

impl LostTests {
    /// The host is to be asked about one more.
    pub fn push(&mut self, lost: Lost) {
        self.waiting.push_back(lost);
    }

    /// Whether every report is there.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty()
    }

    /// The next one to ask the host about, if it can take the question now.
    pub fn ask(&mut self) -> Option<&Lost> {
        if self.asked.len() >= ASKED_LIMIT {
            return None;
        }
        self.asked.push(self.waiting.pop_front()?);
        self.asked.last()
    }

    /// In which slot a test was lost that the host was asked about.
    pub fn slot_of(&self, test: u32) -> Option<u16> {
        let asked = self.asked.iter().find(|lost| lost.test == test)?;
        Some(asked.slot)
    }

    /// The host has made a report of `test`; `None`: it was not asked for it.
    pub fn answered(&mut self, test: u32) -> Option<Lost> {
        let at = self.asked.iter().position(|lost| lost.test == test)?;
        Some(self.asked.swap_remove(at))
    }

    /// All of them: the host will not say anything any more.
    pub fn take(&mut self) -> Vec<Lost> {
        self.asked.drain(..).chain(self.waiting.drain(..)).collect()
    }
}
