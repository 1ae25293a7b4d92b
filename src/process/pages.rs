//! Which pages of memory a forked process has for itself, and how the next one gets the same ones
//! ahead of time.
//!
//! After a fork both processes use the same pages, and whoever writes to one first has to wait for
//! its copy: some microseconds each, thousands of times in a short run of Python. Two processes
//! that are forked from one and do nearly the same need nearly the same copies. So the first one
//! notes at its end which pages have become its own ([`own_pages`]), and the second one has these
//! copied while nobody waits for it ([`copy_pages`]).

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;

use rustix::mm::{Advice, madvise};

/// Bits of an entry in `/proc/self/pagemap`.
const PRESENT: u64 = 1 << 63;
const EXCLUSIVE: u64 = 1 << 56;

/// Mappings beyond this many bytes are reservations: mostly empty, and too long to be looked
/// through.
const LARGEST: u64 = 4 << 30;

/// Start and length of a range of addresses, in bytes.
pub type PageRange = (u64, u64);

/// The writable, private pages that this process shares with no other one.
///
/// # Errors
///
/// When the system does not tell.
pub fn own_pages() -> io::Result<Vec<PageRange>> {
    let page = rustix::param::page_size() as u64;
    let entries = File::open("/proc/self/pagemap")?;
    let mut ranges: Vec<PageRange> = Vec::new();
    let mut bytes = vec![0; 1 << 16];
    for line in BufReader::new(File::open("/proc/self/maps")?).lines() {
        let Some((start, end)) = writable(&line?) else {
            continue;
        };
        if end - start > LARGEST {
            continue;
        }
        let mut at = start;
        while at < end {
            let wanted = usize::try_from((end - at) / page * 8)
                .map_or(bytes.len(), |all| all.min(bytes.len()));
            // The list is older than the look at it: what is gone by now has no pages.
            let read = entries
                .read_at(&mut bytes[..wanted], at / page * 8)
                .unwrap_or(0);
            if read < 8 {
                break;
            }
            for word in bytes[..read].chunks_exact(8) {
                let entry = word.try_into().map_or(0, u64::from_ne_bytes);
                if entry & (PRESENT | EXCLUSIVE) == PRESENT | EXCLUSIVE {
                    match ranges.last_mut() {
                        Some((first, len)) if *first + *len == at => *len += page,
                        _ => ranges.push((at, page)),
                    }
                }
                at += page;
            }
        }
    }
    Ok(ranges)
}

/// Start and end of a private, writable mapping in a line of `/proc/self/maps`. Stacks are left
/// out: they move.
fn writable(line: &str) -> Option<PageRange> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_private = words.next()? == "rw-p";
    let name = words.nth(3).unwrap_or_default();
    if !is_private || name.starts_with("[stack") {
        return None;
    }
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some((number(start)?, number(end)?)).filter(|(start, end)| start < end)
}

/// Gives this process copies of its own of these pages, as far as it has them. Nothing in them
/// changes.
pub fn copy_pages(ranges: &[PageRange]) {
    let page = rustix::param::page_size() as u64;
    for &(start, len) in ranges {
        let (Ok(address), Ok(len)) = (usize::try_from(start), usize::try_from(len)) else {
            continue;
        };
        if !start.is_multiple_of(page) || address == 0 {
            continue;
        }
        // SAFETY: populating makes pages writable that are mapped so already, as a write of the
        // byte that is there would; it changes no content and no mapping. What is not mapped here,
        // or not writable, is refused by the system.
        let populated = unsafe {
            madvise(
                std::ptr::without_provenance_mut(address),
                len,
                Advice::LinuxPopulateWrite,
            )
        };
        if populated == Err(rustix::io::Errno::INVAL) {
            // The pages are not writable any more, or the kernel is older than this advice (Linux
            // 5.14): the copies are made when they are needed.
            continue;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_private_writable_memory() {
        let line = "7f00-9f00 rw-p 00000000 00:00 0                          [heap]";
        assert_eq!(writable(line), Some((0x7f00, 0x9f00)));
        assert_eq!(
            writable("7f00-9f00 rw-p 00000000 00:00 0 "),
            Some((0x7f00, 0x9f00))
        );
        for other in [
            "7f00-9f00 r--p 00000000 00:00 0 ",
            "7f00-9f00 rw-s 00000000 00:05 7 /dev/shm/x",
            "7f00-9f00 rw-p 00000000 00:00 0 [stack]",
            "9f00-7f00 rw-p 00000000 00:00 0 ",
            "nonsense",
            "",
        ] {
            assert_eq!(writable(other), None, "{other}");
        }
    }

    #[test]
    fn memory_that_was_written_to_is_the_own() {
        let memory = vec![1_u8; 1 << 20];
        let inside = memory.as_ptr() as u64 + (1 << 19);
        let Ok(ranges) = own_pages() else {
            // A system without the file.
            return;
        };
        assert!(
            ranges
                .iter()
                .any(|&(start, len)| (start..start + len).contains(&inside))
        );
        assert!(ranges.is_sorted());
        copy_pages(&ranges);
        // Pages that are not mapped, or not aligned: nothing happens.
        copy_pages(&[(0, 4096), (1 << 62, 4096), (inside | 1, 4096)]);
        assert!(memory.iter().all(|&byte| byte == 1));
    }
}
