//! Where a project's history is, and how its file is replaced.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::env::{self, Env};
use crate::stable_hash::hash;

/// How long to wait for another run that is saving: it takes milliseconds, but it may be kept from
/// working for seconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// `$RPYTEST_CACHE_DIR`, `$XDG_CACHE_HOME/rpytest` or `~/.cache/rpytest`; `None` without a home.
#[must_use]
pub fn cache_dir(env: Env) -> Option<PathBuf> {
    // The XDG specification wants relative paths to be ignored.
    let absolute = |name| {
        env(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    env(env::CACHE_DIR)
        .map(PathBuf::from)
        .or_else(|| absolute("XDG_CACHE_HOME").map(|cache| cache.join("rpytest")))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache/rpytest")))
}

/// The file for the project at `root`, named after its folder for people and after a hash of its
/// path for the program.
#[must_use]
pub fn file(cache: &Path, root: &Path) -> PathBuf {
    let name: String = root
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
        .chars()
        .filter(|&character| character.is_ascii_alphanumeric() || "-_.".contains(character))
        .take(40)
        .collect();
    let hash = hash(root.as_os_str().as_encoded_bytes());
    cache
        .join("durations")
        .join(format!("{name}-{hash:016x}.bin"))
}

/// The right to replace a history file; given back when dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held open: closing gives the lock back")] File);

/// Takes the lock of the history at `path`, making its folder if needed.
///
/// # Errors
/// `WouldBlock` when another process keeps it for too long; those of making folder and lock file.
pub fn lock(path: &Path) -> io::Result<Lock> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Whatever lies there, opening it must not wait.
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mode = Mode::from_raw_mode(0o666);
    let file = File::from(rustix::fs::open(path.with_extension("lock"), flags, mode)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("its lock is not a file"));
    }
    // Pauses are counted: a clock may stand still (libfaketime).
    let mut left = LOCK_PATIENCE.as_millis() / LOCK_PAUSE.as_millis();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Lock(file)),
            Err(error) if error != rustix::io::Errno::WOULDBLOCK || left == 0 => {
                return Err(error.into());
            }
            Err(_) => {
                std::thread::sleep(LOCK_PAUSE);
                left -= 1;
            }
        }
    }
}

/// Replaces the file at `path` as a whole, so that a reader sees the old or the new one. The lock
/// keeps others away from the temporary name. Not synced to disk: after a power cut the checksum
/// tells, and the history starts afresh.
pub fn replace(
    path: &Path,
    _lock: &Lock,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    // A leftover of a run that was killed may still be there; start with a file of our own.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = File::create_new(&temporary)
        .and_then(|mut file| write(&mut file))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The disk may be full; what was written helps nobody. The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Whether `error` only says that there is no place for a cache here.
#[must_use]
pub fn means_no_cache(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::IsADirectory
    )
}
