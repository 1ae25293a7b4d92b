//! The segment as the operating system sees it: a name in `/dev/shm`, room for it, a mapping.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, FlockOperation, Mode};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::shm::OFlags;

use super::SegmentError;

/// Names of segments are this, the creator's pid, a dash and a random number.
const PREFIX: &str = "/rpytest-";

/// A mapped segment.
///
/// Who opens one keeps no descriptor of it: a test that truncates or writes to whatever is open would take the memory away from
/// all processes of the run.
pub(super) struct Mapping {
    base: NonNull<u8>,
    length: usize,
    name: String,
    /// The creator, which alone removes the name: a forked child has a copy of this value and must not.
    creator: Option<u32>,
    linked: AtomicBool,
    /// Holds the creator's `flock`, which tells [`sweep`] that the segment is alive.
    _lock: Option<OwnedFd>,
}

// SAFETY: the raw pointer points into a shared mapping that lives until drop; its words are only accessed through atomics
// (`Memory`) or by functions made for shared memory (`event`), from any thread.
unsafe impl Send for Mapping {}
// SAFETY: see above; no method changes the mapping itself through `&self`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Creates, sizes and maps `name`; the memory is zeroed and really there.
    pub fn create(name: &str, length: usize) -> Result<Self, SegmentError> {
        check_name(name)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let fd = rustix::shm::open(name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| os_error("create", name, errno))?;
        Self::fill(name, length, fd).inspect_err(|_| {
            let _ = rustix::shm::unlink(name);
        })
    }

    fn fill(name: &str, length: usize, fd: OwnedFd) -> Result<Self, SegmentError> {
        let fail = |doing| move |errno| os_error(doing, name, errno);
        rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).map_err(fail("lock"))?;
        // Not only the length is set: on a full tmpfs some later write would be a SIGBUS.
        loop {
            match rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, length as u64) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::FBIG) => {
                    return Err(SegmentError::Limit {
                        bytes: length as u64,
                    });
                }
                Err(error) => {
                    return Err(SegmentError::NoSpace {
                        bytes: length as u64,
                        source: error.into(),
                    });
                }
            }
        }
        Ok(Self {
            base: map(&fd, length).map_err(fail("map"))?,
            length,
            name: name.to_owned(),
            creator: Some(std::process::id()),
            linked: AtomicBool::new(true),
            _lock: Some(fd),
        })
    }

    /// Creates a segment with a name that nobody has.
    pub fn create_fresh(length: usize) -> Result<Self, SegmentError> {
        loop {
            let name = format!("{PREFIX}{}-{:016x}", std::process::id(), random()?);
            match Self::create(&name, length) {
                Err(SegmentError::Os { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other,
            }
        }
    }

    /// Maps an existing segment.
    pub fn open(name: &str) -> Result<Self, SegmentError> {
        check_name(name)?;
        let fail = |doing| move |errno| os_error(doing, name, errno);
        let fd = rustix::shm::open(name, OFlags::RDWR, Mode::empty()).map_err(fail("open"))?;
        let size = rustix::fs::fstat(&fd).map_err(fail("look at"))?.st_size;
        let length = usize::try_from(size).unwrap_or(0);
        if length == 0 {
            return Err(SegmentError::Foreign {
                name: name.to_owned(),
                what: "it is empty",
            });
        }
        Ok(Self {
            base: map(&fd, length).map_err(fail("map"))?,
            length,
            name: name.to_owned(),
            creator: None,
            linked: AtomicBool::new(false),
            _lock: None,
        })
    }

    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Removes the name if this process made it and has not done so yet.
    pub fn unlink(&self) {
        // Relaxed: only decides which of several callers does it.
        if self.creator == Some(std::process::id()) && self.linked.swap(false, Ordering::Relaxed) {
            let _ = rustix::shm::unlink(self.name.as_str());
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.unlink();
        // SAFETY: the mapping was made by `map` with this address and length, and nothing that points into it outlives `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
    }
}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mapping")
            .field("name", &self.name)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Removes segments of this user whose creator is dead.
///
/// Dead means both: no such process, and nobody holds the lock. The lock alone knows about other pid namespaces that
/// share `/dev/shm` and about pids that were given out again; the pid covers the moment between creating and locking.
pub(super) fn sweep() {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir("/dev/shm") else {
        return;
    };
    let uid = rustix::process::getuid().as_raw();
    for entry in entries.flatten() {
        let file = entry.file_name();
        let Some(name) = file.to_str().map(|file| format!("/{file}")) else {
            continue;
        };
        let dead = pid_of(&name).is_some_and(|pid| {
            rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
        });
        if !dead || !entry.metadata().is_ok_and(|meta| meta.uid() == uid) {
            continue;
        }
        let Ok(fd) = rustix::shm::open(name.as_str(), OFlags::RDONLY, Mode::empty()) else {
            continue;
        };
        if rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = rustix::shm::unlink(name.as_str());
        }
    }
}

/// The creator's pid in the name of a segment.
fn pid_of(name: &str) -> Option<rustix::process::Pid> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    rustix::process::Pid::from_raw(pid.parse().ok().filter(|pid| *pid > 0)?)
}

fn check_name(name: &str) -> Result<(), SegmentError> {
    let plain = name
        .strip_prefix('/')
        .is_some_and(|rest| !rest.is_empty() && rest.len() < 255 && !rest.contains(['/', '\0']));
    if plain {
        Ok(())
    } else {
        Err(SegmentError::Invalid {
            what: "its name must be a `/` followed by a file name",
        })
    }
}

fn random() -> Result<u64, SegmentError> {
    let mut bytes = [0_u8; 8];
    // SAFETY: the buffer is valid for the length given with it.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got == bytes.len() as isize {
        Ok(u64::from_ne_bytes(bytes))
    } else {
        Err(SegmentError::Os {
            doing: "name",
            name: PREFIX.to_owned(),
            source: io::Error::last_os_error(),
        })
    }
}

/// Maps all of the file, for all processes to see.
fn map(fd: impl AsFd, length: usize) -> rustix::io::Result<NonNull<u8>> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the system chooses the address, so that no existing mapping is touched; what is mapped is shared memory, which is
    // only accessed as `Mapping` says.
    let base = unsafe { mmap(null_mut(), length, protection, MapFlags::SHARED, fd, 0)? };
    NonNull::new(base.cast()).ok_or(Errno::NOMEM)
}

fn os_error(doing: &'static str, name: &str, errno: Errno) -> SegmentError {
    SegmentError::Os {
        doing,
        name: name.to_owned(),
        source: errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::pid_of;

    #[test]
    fn only_names_of_segments_have_a_pid() {
        assert_eq!(
            pid_of("/rpytest-12-ab").map(|p| p.as_raw_nonzero().get()),
            Some(12)
        );
        for name in [
            "/rpytest-12",
            "/rpytest-x-ab",
            "/rpytest-0-ab",
            "/rpytest--5-ab",
            "/other-12-ab",
        ] {
            assert_eq!(pid_of(name), None, "{name}");
        }
    }
}
