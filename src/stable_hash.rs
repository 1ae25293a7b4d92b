//! A hash that stays the same across builds, machines and versions of Rust: it is part of the file
//! format.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15; // 2⁶⁴ divided by the golden ratio

/// 64-bit hash of `bytes`, well spread in all bits; the history takes it for the test itself. Among
/// a million tests two have the same hash once in forty million projects, and then they share an
/// estimate. Nor is it for adversaries: who chooses node ids that collide spoils the estimates of
/// their own project.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = step(state, u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        state = step(state, u64::from_le_bytes(word));
    }
    // The end of MurmurHash3 (public domain): each input bit reaches each output bit, which the
    // lookup by interpolation needs.
    state = (state ^ state >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state = (state ^ state >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ state >> 33
}

fn step(state: u64, word: u64) -> u64 {
    (state.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn values_are_part_of_the_format() {
        assert_eq!(hash(b""), 0);
        assert_eq!(hash(b"test_a.py::test_1"), 0x9cc5_6f08_5d41_1f1a);
        assert_eq!(hash(b"test_a.py::test_2"), 0x3091_5a03_42d5_0120);
    }

    #[test]
    fn similar_ids_are_spread_evenly() {
        let hashes: HashSet<u64> = (0..10_000)
            .map(|number| hash(format!("tests/test_a.py::test_f[{number}]").as_bytes()))
            .collect();
        assert_eq!(hashes.len(), 10_000);
        let mut buckets = [0; 16];
        for hash in &hashes {
            buckets[(hash >> 60) as usize] += 1;
        }
        // 625 each; six standard deviations.
        assert!(
            buckets.iter().all(|count| (480..770).contains(count)),
            "{buckets:?}"
        );
    }

    #[test]
    fn zeros_at_the_end_count() {
        assert_ne!(hash(b"a"), hash(b"a\0"));
        assert_ne!(hash(b"12345678"), hash(b"12345678\0"));
    }
}
