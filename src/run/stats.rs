//! Numbers about the run itself, for `--stats`.

use hdrhistogram::Histogram;

/// Counted and measured in the loop.
#[derive(Debug)]
pub(super) struct Stats {
    /// From a record's commit to its being read, ns.
    latency: Histogram<u64>,
    /// Bodies that did not fit into a ring.
    pub spilled: u64,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// Times that the loop woke up.
    pub wakes: u64,
    /// Those of them that a worker's bell caused.
    pub bells: u64,
    /// Workers that had waited for room in their ring.
    pub full: u64,
}

impl Stats {
    pub fn new() -> Self {
        // 1 ns to about an hour, two significant digits: the constants are within what the
        // constructor accepts.
        let latency = Histogram::new_with_bounds(1, 1 << 42, 2).expect("valid bounds");
        Self {
            latency,
            spilled: 0,
            bytes: 0,
            wakes: 0,
            bells: 0,
            full: 0,
        }
    }

    /// A record of `bytes` bytes was read; `committed` and `now` are `CLOCK_MONOTONIC` ns.
    pub fn record(&mut self, committed: u64, now: u64, bytes: usize) {
        self.latency
            .saturating_record(now.saturating_sub(committed).max(1));
        self.bytes += bytes as u64;
    }

    /// Lines for the user.
    pub fn notes(&self) -> Vec<String> {
        let at = |quantile| milliseconds(self.latency.value_at_quantile(quantile));
        vec![
            format!(
                "records: {}, {} bytes, {} spilled; latency p50 {}, p99 {}, max {}",
                self.latency.len(),
                self.bytes,
                self.spilled,
                at(0.5),
                at(0.99),
                milliseconds(self.latency.max()),
            ),
            format!(
                "wake-ups of the command line: {}, {} by workers; full rings: {}",
                self.wakes, self.bells, self.full
            ),
        ]
    }
}

fn milliseconds(ns: u64) -> String {
    format!("{:.2} ms", ns as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_say_what_was_recorded() {
        let mut stats = Stats::new();
        stats.record(1_000_000, 3_000_000, 10);
        stats.record(5, 4, 1);
        stats.wakes = 3;
        let notes = stats.notes();
        assert!(
            notes[0].starts_with("records: 2, 11 bytes, 0 spilled; latency p50 0.00 ms, p99 2.0"),
            "{notes:?}"
        );
        assert!(notes[1].contains("line: 3, 0 by workers"), "{notes:?}");
    }
}
