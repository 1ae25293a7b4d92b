//! Where a daemon can be reached: the runtime directory, and the socket whose name says which
//! daemon it is.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::fixed_environment::Identity;
use crate::env::RUNTIME_DIR;
use crate::error::{Error, Result};

/// Longest socket path that the kernel takes, without the final zero byte.
const SOCKET_PATH_MAX: usize = 107;
/// Length of `/<8 digits>-<16 digits>.sock`.
const NAME_LENGTH: usize = 1 + 8 + 1 + 16 + 5;

/// The files of one daemon. Another interpreter, build or unchangeable environment has other ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub socket: PathBuf,
    /// What the daemon itself writes to its standard streams.
    pub log: PathBuf,
    /// Held (flock) while a daemon is being started.
    pub lock: PathBuf,
    dir: PathBuf,
    /// Beginning of the names of all daemons of this interpreter.
    prefix: String,
}

impl Place {
    /// The place of the daemon for `python` in this process's environment. Makes the runtime
    /// directory.
    ///
    /// # Errors
    /// When no directory can be made that is this user's alone.
    pub fn new(python: &Path) -> Result<Self> {
        let uid = rustix::process::getuid().as_raw();
        let dir = usable(&runtime_dirs(|name| std::env::var_os(name), uid)?, uid)?;
        let identity = Identity::of_this_process(python)?;
        Ok(Self::in_dir(dir, &identity))
    }

    fn in_dir(dir: PathBuf, identity: &Identity) -> Self {
        let prefix = format!("{:08x}-", identity.interpreter as u32);
        let name = format!("{prefix}{:016x}", identity.whole);
        Self {
            socket: dir.join(format!("{name}.sock")),
            log: dir.join(format!("{name}.log")),
            lock: dir.join(format!("{name}.lock")),
            dir,
            prefix,
        }
    }

    /// Sockets of all daemons of this interpreter, those for other environments and builds
    /// included; sorted.
    #[must_use]
    pub fn siblings(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let mut found: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                name.as_bytes().starts_with(self.prefix.as_bytes())
                    && name.as_bytes().ends_with(b".sock")
            })
            .map(|entry| entry.path())
            .collect();
        found.sort();
        found
    }
}

/// The first of the directories that is ours, or can be made; the error is the first one's. Another
/// user who has made one of them ahead of us so has no say in where the daemon is found.
fn usable(dirs: &[PathBuf], uid: u32) -> Result<PathBuf> {
    let mut first = None;
    for dir in dirs {
        match prepare(dir, uid) {
            Ok(()) => return Ok(dir.clone()),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| Error::Internal("there is no place for a daemon".into())))
}

/// The directories for sockets, the best one first: `RPYTEST_RUNTIME_DIR` alone, if it is set; else
/// `XDG_RUNTIME_DIR/rpytest`, `/tmp/rpytest-<uid>`, and one in the user's cache, where nobody else
/// can make anything.
///
/// # Errors
/// When `RPYTEST_RUNTIME_DIR` is relative, or too long for the path of a socket: what was asked for
/// is not ignored.
fn runtime_dirs(
    variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    uid: u32,
) -> Result<Vec<PathBuf>> {
    let set = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(dir) = set(RUNTIME_DIR) {
        return match unfit(&dir) {
            None => Ok(vec![dir]),
            Some(why) => Err(Error::BadOption {
                message: format!("`{RUNTIME_DIR}` is `{}`, which {why}", dir.display()),
                hint: Some("set it to a short absolute path, or unset it".into()),
            }),
        };
    }
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let dirs = [
        set("XDG_RUNTIME_DIR").map(|dir| dir.join("rpytest")),
        Some(PathBuf::from(format!("/tmp/rpytest-{uid}"))),
        cache.map(|dir| dir.join("rpytest/run")),
    ];
    Ok(dirs
        .into_iter()
        .flatten()
        .filter(|dir| unfit(dir).is_none())
        .collect())
}

/// Why no socket can be made in `dir`, as far as its name tells.
fn unfit(dir: &Path) -> Option<String> {
    let longest = SOCKET_PATH_MAX - NAME_LENGTH;
    if dir.is_relative() {
        Some("is not an absolute path".into())
    } else if dir.as_os_str().len() > longest {
        Some(format!(
            "is too long for a socket's path: at most {longest} bytes"
        ))
    } else {
        None
    }
}

/// Makes the directory with mode 0700, or verifies that it is ours alone: whoever can write there
/// can give us a socket of their own.
fn prepare(dir: &Path, uid: u32) -> Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(Error::BadOption {
                message: format!(
                    "the runtime directory `{}` can't be made: {error}",
                    dir.display()
                ),
                hint: Some(format!(
                    "set `{RUNTIME_DIR}` to a directory that you can write to"
                )),
            });
        }
    }
    let metadata = fs::symlink_metadata(dir).map_err(|error| Error::io("look at", dir, error))?;
    let refused = |what: String| Error::BadOption {
        message: format!("the runtime directory `{}` {what}", dir.display()),
        hint: Some(format!(
            "remove it, or set `{RUNTIME_DIR}` to a directory that only you can write to"
        )),
    };
    if !metadata.is_dir() {
        return Err(refused("is not a directory".into()));
    }
    if metadata.uid() != uid {
        return Err(refused(format!("belongs to user {}", metadata.uid())));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(refused(format!(
            "can be written by others (mode {:o})",
            metadata.mode() & 0o777
        )));
    }
    if metadata.mode() & 0o055 == 0 {
        return Ok(());
    }
    // Made with an ordinary mask, by its owner for us: nobody else could have put anything there.
    if !holds_nothing_else(dir) {
        return Err(refused(format!(
            "can be read by others (mode {:o}) and has other files than rpytest's",
            metadata.mode() & 0o777
        )));
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        .map_err(|error| Error::io("set the permissions of", dir, error))
}

/// Whether a directory is empty but for the files of daemons.
fn holds_nothing_else(dir: &Path) -> bool {
    let is_ours = |entry: io::Result<fs::DirEntry>| {
        let ends = |name: &OsStr| {
            [&b".sock"[..], b".log", b".lock"]
                .iter()
                .any(|end| name.as_bytes().ends_with(end))
        };
        entry.is_ok_and(|entry| ends(&entry.file_name()))
    };
    fs::read_dir(dir).is_ok_and(|mut entries| entries.all(is_ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid() -> u32 {
        rustix::process::getuid().as_raw()
    }

    #[test]
    fn runtime_directory_in_order_of_preference() {
        let dir = |values: &[(&str, &str)]| {
            let dirs = runtime_dirs(
                |name| {
                    values
                        .iter()
                        .find(|(key, _)| *key == name)
                        .map(|(_, value)| value.into())
                },
                7,
            );
            dirs.unwrap().remove(0)
        };
        let both = [("RPYTEST_RUNTIME_DIR", "/r"), ("XDG_RUNTIME_DIR", "/x")];
        assert_eq!(dir(&both), Path::new("/r"));
        assert_eq!(dir(&both[1..]), Path::new("/x/rpytest"));
        assert_eq!(dir(&[]), Path::new("/tmp/rpytest-7"));
        assert_eq!(
            dir(&[("RPYTEST_RUNTIME_DIR", "")]),
            Path::new("/tmp/rpytest-7")
        );
        assert_eq!(
            dir(&[("XDG_RUNTIME_DIR", "relative")]),
            Path::new("/tmp/rpytest-7")
        );
    }

    #[test]
    fn a_runtime_directory_that_was_asked_for_is_not_ignored() {
        let complaint = |value: &str| {
            let error = runtime_dirs(|_| Some(value.into()), 7).unwrap_err();
            assert_eq!(error.exit_code(), crate::exit::USAGE_ERROR);
            error.to_string()
        };
        assert_eq!(
            complaint("relative"),
            "`RPYTEST_RUNTIME_DIR` is `relative`, which is not an absolute path"
        );
        let long = complaint(&format!("/{}", "x".repeat(100)));
        assert!(
            long.ends_with("is too long for a socket's path: at most 76 bytes"),
            "{long}"
        );
    }

    #[test]
    fn socket_path_always_fits() {
        for length in 1..150 {
            let long = format!("/{}", "x".repeat(length));
            let dirs = runtime_dirs(|name| (name != RUNTIME_DIR).then(|| (&long).into()), 7);
            let place = Place::in_dir(
                dirs.unwrap().remove(0),
                &Identity {
                    interpreter: u64::MAX,
                    whole: u64::MAX,
                },
            );
            assert!(
                place.socket.as_os_str().len() <= SOCKET_PATH_MAX,
                "{length}"
            );
        }
    }

    #[test]
    fn directory_is_private_and_others_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a/b");
        prepare(&dir, uid()).unwrap();
        prepare(&dir, uid()).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        assert!(
            prepare(&dir, uid() + 1)
                .unwrap_err()
                .to_string()
                .contains("belongs to user")
        );
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(
            prepare(&dir, uid())
                .unwrap_err()
                .to_string()
                .contains("mode 770")
        );
        // Readable only: an empty one, or one with nothing but our files, is closed; another one is
        // not ours to close.
        let mode = |mode| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        for name in ["1-2.log", "1-2.lock"] {
            mode(0o755);
            prepare(&dir, uid()).unwrap();
            assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
            fs::write(dir.join(name), "").unwrap();
        }
        mode(0o755);
        fs::write(dir.join("letter.txt"), "").unwrap();
        let error = prepare(&dir, uid()).unwrap_err().to_string();
        assert!(
            error.ends_with("can be read by others (mode 755) and has other files than rpytest's"),
            "{error}"
        );
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o755);
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(temp.path(), &link).unwrap();
        assert!(
            prepare(&link, uid())
                .unwrap_err()
                .to_string()
                .contains("not a directory")
        );
    }

    #[test]
    fn another_users_directory_is_passed_over() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        let open = temp.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let ours = temp.path().join("ours");
        let dirs = [file, open, ours.clone()];
        assert_eq!(usable(&dirs, uid()).unwrap(), ours);
        let error = usable(&dirs[..2], uid()).unwrap_err().to_string();
        assert!(error.ends_with("is not a directory"), "{error}");
        let made = usable(&dirs, uid() + 1);
        assert!(made.unwrap_err().to_string().contains("is not a directory"));
    }

    #[test]
    fn siblings_are_the_sockets_of_the_same_interpreter() {
        let temp = tempfile::tempdir().unwrap();
        let place = |interpreter, whole| {
            Place::in_dir(temp.path().to_owned(), &Identity { interpreter, whole })
        };
        for place in [place(1, 2), place(1, 1), place(2, 1)] {
            fs::write(&place.socket, "").unwrap();
            fs::write(&place.log, "").unwrap();
        }
        assert_eq!(
            place(1, 3).siblings(),
            [place(1, 1).socket, place(1, 2).socket]
        );
    }
}
