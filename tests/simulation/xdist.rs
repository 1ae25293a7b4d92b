//! pytest-xdist's schedulers as of 3.8, with messages that take no time.
//!
//! Written anew from what they do: `load` deals a quarter of a fair share to each worker, then
//! fills up whoever has little left; `worksteal` divides the suite evenly, and takes half of the
//! longest queue back for a worker that runs out. A worker begins a test only when it knows the one
//! after it, or that there is none.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::suites::Suite;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Load,
    WorkSteal,
}

/// A worker's queue holds at least the test that runs and the next one.
const LEAST: usize = 2;

/// Microseconds from the first test's beginning to the last one's end.
pub fn makespan(suite: &Suite, workers: usize, mode: Mode) -> u64 {
    Run {
        suite,
        mode,
        nodes: (0..workers).map(|_| Node::default()).collect(),
        unsent: (0..suite.len() as u32).collect(),
        ends: BinaryHeap::new(),
        now: 0,
    }
    .run()
}

#[derive(Default)]
struct Node {
    /// Tests that it was sent and has not finished; the first one runs if `is_running`.
    queue: VecDeque<u32>,
    is_running: bool,
    last: Option<u32>,
    /// It was told that nothing more comes.
    shuts_down: bool,
}

struct Run<'a> {
    suite: &'a Suite,
    mode: Mode,
    nodes: Vec<Node>,
    /// Tests that no worker was sent.
    unsent: VecDeque<u32>,
    /// When which worker's test ends, and how long it took.
    ends: BinaryHeap<Reverse<(u64, usize, u64)>>,
    now: u64,
}

impl Run<'_> {
    fn run(mut self) -> u64 {
        match self.mode {
            Mode::Load => self.deal(),
            Mode::WorkSteal => self.balance(),
        }
        self.begin();
        while let Some(Reverse((now, index, duration))) = self.ends.pop() {
            self.now = now;
            let node = &mut self.nodes[index];
            node.is_running = false;
            node.last = node.queue.pop_front();
            match self.mode {
                Mode::Load => self.fill(index, duration),
                Mode::WorkSteal => self.balance(),
            }
            self.begin();
        }
        assert!(self.unsent.is_empty(), "a test was not sent");
        assert!(self.nodes.iter().all(|node| node.queue.is_empty()));
        self.now
    }

    /// Lets workers begin that know enough.
    fn begin(&mut self) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if node.is_running || !(node.queue.len() >= LEAST || node.shuts_down) {
                continue;
            }
            if let Some(&test) = node.queue.front() {
                let cost = self.suite.cost(node.last, test);
                node.is_running = true;
                self.ends.push(Reverse((self.now + cost, index, cost)));
            }
        }
    }

    fn send(&mut self, index: usize, count: usize) {
        let count = count.min(self.unsent.len());
        self.nodes[index].queue.extend(self.unsent.drain(..count));
    }

    fn shut_down_all(&mut self) {
        for node in &mut self.nodes {
            node.shuts_down = true;
        }
    }

    /// The first tests under `load`.
    fn deal(&mut self) {
        let workers = self.nodes.len();
        if self.unsent.len() < LEAST * workers {
            for index in (0..workers).cycle().take(self.unsent.len()) {
                self.send(index, 1);
            }
        } else {
            let each = (self.unsent.len() / workers / 4).max(LEAST);
            for index in 0..workers {
                self.send(index, each);
            }
        }
        if self.unsent.is_empty() {
            self.shut_down_all();
        }
    }

    /// After a test under `load`.
    fn fill(&mut self, index: usize, duration: u64) {
        if self.nodes[index].shuts_down {
            return;
        }
        if self.unsent.is_empty() {
            self.nodes[index].shuts_down = true;
            return;
        }
        let each = self.unsent.len() / self.nodes.len();
        let (least, most) = ((each / 4).max(LEAST), (each / 2).max(LEAST));
        let queued = self.nodes[index].queue.len();
        // From a tenth of a second on tests count as long, and whoever has two waits.
        if queued < least && !(duration >= 100_000 && queued >= LEAST) {
            self.send(index, most - queued);
        }
    }

    fn idle(&self) -> Vec<usize> {
        let is_idle = |index: &usize| {
            let node = &self.nodes[*index];
            !node.shuts_down && node.queue.len() < LEAST
        };
        (0..self.nodes.len()).filter(is_idle).collect()
    }

    /// At the beginning and after every test under `worksteal`.
    fn balance(&mut self) {
        loop {
            let mut idle = self.idle();
            if idle.is_empty() {
                return;
            }
            if !self.unsent.is_empty() {
                for (turn, &index) in idle.iter().enumerate() {
                    let count = self.unsent.len() / (idle.len() - turn);
                    self.send(index, count);
                }
                idle = self.idle();
                if idle.is_empty() {
                    return;
                }
            }
            let up = (0..self.nodes.len()).filter(|&index| !self.nodes[index].shuts_down);
            // The first one among equals.
            let longest = up.min_by_key(|&index| Reverse(self.nodes[index].queue.len()));
            let queue = longest.map(|index| &mut self.nodes[index].queue);
            let stolen = queue.map_or_else(VecDeque::new, |queue| {
                let count = (queue.len() / 2).min(queue.len().saturating_sub(LEAST));
                queue.split_off(queue.len() - count)
            });
            if stolen.is_empty() {
                for index in idle {
                    self.nodes[index].shuts_down = true;
                }
                return;
            }
            self.unsent.extend(stolen);
        }
    }
}
