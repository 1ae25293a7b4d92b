//! LPT, Longest Processing Time first: the heaviest unit goes to the worker with the least total work, then the next.
//!
//! R. L. Graham, "Bounds on Multiprocessing Timing Anomalies" (1969): for independent units the busiest worker then has at most
//! 4/3 − 1/(3·workers) of the least possible time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::units::Unit;

/// Gives `units` to `workers` (at least 1); returns each worker's units, as indices, in the order of running.
///
/// - Units without any history are dealt round-robin in collection order. They come first, in the deal and in running: who
///   knows how long they take, and when one takes long there is most time left to make up for it.
/// - Then the others, longest first, each to the worker with the least work so far.
/// - Among equals the first in collection order, and the worker with the lowest number.
#[must_use]
pub fn assign(units: &[Unit], workers: usize) -> Vec<Vec<usize>> {
    let mut parts = vec![Vec::new(); workers];
    let mut loads = vec![0u64; workers];
    let (mut known, unknown): (Vec<usize>, Vec<usize>) =
        (0..units.len()).partition(|&index| units[index].known);
    for (turn, index) in unknown.into_iter().enumerate() {
        let worker = turn % workers;
        loads[worker] += units[index].cost;
        parts[worker].push(index);
    }
    known.sort_unstable_by_key(|&index| (Reverse(units[index].cost), index));
    let mut least: BinaryHeap<Reverse<(u64, usize)>> = loads
        .into_iter()
        .enumerate()
        .map(|(worker, load)| Reverse((load, worker)))
        .collect();
    for index in known {
        if let Some(mut top) = least.peek_mut() {
            top.0.0 += units[index].cost;
            parts[top.0.1].push(index);
        }
    }
    parts
}
