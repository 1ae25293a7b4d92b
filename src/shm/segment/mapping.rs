//! The segment as the operating system sees it: a name in `/dev/shm`, room for it, a mapping.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, FlockOperation, Mode};
use rustix::io::Errno;
use rustix::shm::OFlags;
use shared_memory::{Shmem, ShmemConf, ShmemError};

use crate::shm::SegmentError;

/// Names of segments are this, the creator's pid, a dash and a random number.
const PREFIX: &str = "/rpytest-";

/// A mapped segment.
///
/// A process that opens a segment keeps no descriptor of it: a test that truncates or writes to
/// whatever is open would take the memory away from all processes of the run.
pub(in crate::shm) struct Mapping {
    shmem: Shmem,
    base: NonNull<u8>,
    name: String,
    /// The creator, which alone removes the name: a forked child has a copy of this value and must
    /// not.
    creator: Option<u32>,
    linked: AtomicBool,
    /// Holds the creator's `flock`, which tells [`sweep`] that the segment is alive.
    _lock: Option<OwnedFd>,
}

// SAFETY: the raw pointers in `Shmem` and `base` point into a shared mapping that lives until drop;
// its words are only accessed through atomics (`Memory`) or by functions made for shared memory
// (`process_event`), from any thread.
unsafe impl Send for Mapping {}
// SAFETY: see above; no method changes the mapping itself through `&self`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Creates, sizes and maps `name`; the memory is zeroed and really there.
    pub fn create(name: &str, length: usize) -> Result<Self, SegmentError> {
        check_name(name)?;
        let mut shmem = match ShmemConf::new().size(length).os_id(name).create() {
            Ok(shmem) => shmem,
            Err(error) => {
                let taken = matches!(error, ShmemError::MappingIdExists);
                if !taken {
                    // The crate removes the name only when the descriptor is not 0, which it is
                    // under a closed stdin.
                    let _ = rustix::shm::unlink(name);
                }
                return Err(os_error("create", name, error));
            }
        };
        // The crate would not remove the name under a closed stdin: it is ours to remove from here
        // on.
        shmem.set_owner(false);
        let Some(base) = NonNull::new(shmem.as_ptr()) else {
            let _ = rustix::shm::unlink(name);
            return Err(SegmentError::Invalid {
                what: "it was mapped at address 0",
            });
        };
        let mut mapping = Self {
            shmem,
            base,
            name: name.to_owned(),
            creator: Some(std::process::id()),
            linked: AtomicBool::new(true),
            _lock: None,
        };
        // `create` only sets the length: without this, a full tmpfs would be a SIGBUS at some later
        // write.
        let fail = |doing: &'static str| {
            move |error: Errno| SegmentError::Os {
                doing,
                name: name.to_owned(),
                source: error.into(),
            }
        };
        let fd = rustix::shm::open(name, OFlags::RDWR, Mode::empty()).map_err(fail("reopen"))?;
        rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).map_err(fail("lock"))?;
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
        mapping._lock = Some(fd);
        Ok(mapping)
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
        let failed = |doing| {
            move |source| SegmentError::Os {
                doing,
                name: name.to_owned(),
                source,
            }
        };
        let others = descriptors(name).map_err(failed("look at"))?;
        let shmem = ShmemConf::new()
            .os_id(name)
            .open()
            .map_err(|error| os_error("open", name, error))?;
        for number in descriptors(name).map_err(failed("look at"))? {
            if !others.contains(&number) {
                let_go(number).map_err(failed("let go of"))?;
            }
        }
        let base = NonNull::new(shmem.as_ptr()).ok_or(SegmentError::Foreign {
            name: name.to_owned(),
            what: "it was mapped at address 0",
        })?;
        Ok(Self {
            shmem,
            base,
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
        self.shmem.len()
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
/// Dead means both: no such process, and nobody holds the lock. The lock alone knows about other
/// pid namespaces that share `/dev/shm` and about pids that were given out again; the pid covers
/// the moment between creating and locking.
pub(in crate::shm) fn sweep() {
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
        let dead = pid_of(&name)
            .is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(Errno::SRCH));
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

/// Descriptors of this process that stand for the segment of this name.
fn descriptors(name: &str) -> io::Result<Vec<RawFd>> {
    let target = format!("/dev/shm{name}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // The one by which the folder is read is gone by the time somebody asks for it.
        let is_it = std::fs::read_link(entry.path())
            .is_ok_and(|path| path.to_str() == Some(target.as_str()));
        let number = entry
            .file_name()
            .to_str()
            .and_then(|text| text.parse::<RawFd>().ok());
        found.extend(number.filter(|_| is_it));
    }
    Ok(found)
}

/// Lets go of a descriptor that the crate keeps as long as the mapping, and closes by its number:
/// from here on that is one of `/dev/null`.
fn let_go(number: RawFd) -> io::Result<()> {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let null = rustix::fs::open("/dev/null", flags, Mode::empty())?;
    // SAFETY: both numbers are open descriptors of this process; the crate, whose `number` is, does
    // nothing with it but close it.
    if unsafe { libc::dup3(null.as_raw_fd(), number, libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn os_error(doing: &'static str, name: &str, error: ShmemError) -> SegmentError {
    let source = match error {
        ShmemError::MappingIdExists => io::Error::from(io::ErrorKind::AlreadyExists),
        ShmemError::MapCreateFailed(code)
        | ShmemError::MapOpenFailed(code)
        | ShmemError::UnknownOsError(code) => io::Error::from_raw_os_error(code as i32),
        other => io::Error::other(other),
    };
    SegmentError::Os {
        doing,
        name: name.to_owned(),
        source,
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
