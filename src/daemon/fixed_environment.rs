//! Which daemon can serve a caller: hashes of all that a running process can't take over from
//! another one.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::Resource;

use super::import_path;
use crate::env;
use crate::error::{Error, Result};

/// What a forked process can't change any more: prefixes of variables that are read once, before
/// the interpreter runs any code of a project: by itself, by the dynamic linker, by the C library,
/// by allocators in `LD_PRELOAD`, by the path files that coverage.py and its plugins install.
const FIXED_PREFIXES: [&[u8]; 9] = [
    // `PYTHONHASHSEED`, `PYTHONPATH`, `PYTHONDEVMODE`…
    b"PYTHON",
    b"LD_",
    b"LC_",
    b"MALLOC_",
    b"TCMALLOC_",
    b"MIMALLOC_",
    b"JE_MALLOC_",
    b"COV_CORE_",
    b"COVERAGE_",
];
/// Such variables by their full names. `HOME` says where the user's site-packages are.
const FIXED_NAMES: [&[u8]; 7] = [
    b"LANG",
    b"HOME",
    b"LOCPATH",
    b"GCONV_PATH",
    b"GLIBC_TUNABLES",
    b"SETUPTOOLS_USE_DISTUTILS",
    b"RPYTEST_RUNTIME_DIR",
];
/// The ends of more such names: those of sanitizers (`ASAN_OPTIONS`).
const FIXED_SUFFIX: &[u8] = b"SAN_OPTIONS";

/// Hashes of everything that makes a daemon unfit for another caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The hash of the interpreter alone, whatever its environment.
    pub interpreter: u64,
    pub whole: u64,
}

impl Identity {
    /// The hashes of the daemon that could serve this process with `python`.
    ///
    /// # Errors
    /// When the interpreter can't be looked at.
    pub fn of_this_process(python: &Path) -> Result<Self> {
        let metadata = fs::metadata(python).map_err(|error| Error::io("look at", python, error))?;
        let canonical =
            fs::canonicalize(python).map_err(|error| Error::io("look at", python, error))?;
        let variables = fixed_variables();
        let fixed = (variables.iter()).map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        Ok(Self::new(
            python,
            &canonical,
            &metadata,
            fixed,
            &process_facts(),
        ))
    }

    fn new<'a>(
        python: &Path,
        canonical: &Path,
        metadata: &Metadata,
        variables: impl Iterator<Item = (&'a OsStr, &'a OsStr)>,
        facts: &[String],
    ) -> Self {
        let mut hash = Fnv::default();
        // `bin/python` and `bin/python3` of one environment are the same.
        let folder = python.parent().unwrap_or(python);
        hash.part(folder.as_os_str().as_bytes());
        hash.part(canonical.as_os_str().as_bytes());
        let interpreter = hash.0;
        for number in [
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ino().cast_signed(),
        ] {
            hash.part(&number.to_le_bytes());
        }
        for (name, value) in variables {
            hash.part(name.as_bytes());
            hash.part(value.as_bytes());
        }
        for fact in facts {
            hash.part(fact.as_bytes());
        }
        Self {
            interpreter,
            whole: hash.0,
        }
    }
}

/// The variables of this process with which a daemon is started, sorted. It has no others: what
/// tells two daemons apart is all that they know of the environments of those who started them, and
/// each run brings its own.
pub(super) fn fixed_variables() -> Vec<(OsString, OsString)> {
    let mut variables: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| is_fixed(name))
        .collect();
    for (_, value) in variables
        .iter_mut()
        .filter(|(name, _)| name == import_path::NAME)
    {
        // What is relative means another folder in another place.
        *value = import_path::of_this_process().unwrap_or_default();
    }
    variables.sort();
    variables
}

fn is_fixed(name: &OsStr) -> bool {
    let name = name.as_bytes();
    FIXED_NAMES.contains(&name)
        || name == env::PYTHON_OPTIONS.as_bytes()
        || FIXED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.ends_with(FIXED_SUFFIX)
}

/// Lines of `/proc/self/status` about what a process may do.
const RIGHTS: [&str; 10] = [
    "Uid:",
    "Gid:",
    "Groups:",
    "CapInh:",
    "CapPrm:",
    "CapEff:",
    "CapBnd:",
    "CapAmb:",
    "NoNewPrivs:",
    "Seccomp:",
];

/// Facts that a process gets from its parent and can't take over from the CLI later: umask,
/// priority, rights, limits, namespaces.
fn process_facts() -> Vec<String> {
    let status = own_status();
    let mut facts = vec![format!("umask {:o}", umask_in(&status))];
    let is_right = |line: &&str| RIGHTS.iter().any(|name| line.starts_with(name));
    facts.extend(status.lines().filter(is_right).map(str::to_owned));
    // A process may lower its priority, and not raise it again.
    if let Ok(priority) = rustix::process::getpriority_process(None) {
        facts.push(format!("priority {priority}"));
    }
    let limits = [
        Resource::As,
        Resource::Core,
        Resource::Cpu,
        Resource::Data,
        Resource::Fsize,
        Resource::Memlock,
        Resource::Nofile,
        Resource::Nproc,
        Resource::Stack,
    ];
    for resource in limits {
        let limit = rustix::process::getrlimit(resource);
        facts.push(format!(
            "{resource:?} {:?} {:?}",
            limit.current, limit.maximum
        ));
    }
    for namespace in ["mnt", "net", "pid", "user", "ipc", "uts", "time"] {
        if let Ok(target) = fs::read_link(format!("/proc/self/ns/{namespace}")) {
            facts.push(target.to_string_lossy().into_owned());
        }
    }
    facts
}

/// The file mode creation mask, read without changing it where `/proc` is there.
#[must_use]
pub fn umask() -> u32 {
    umask_in(&own_status())
}

fn own_status() -> String {
    fs::read_to_string("/proc/self/status").unwrap_or_default()
}

fn umask_in(status: &str) -> u32 {
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    if let Some(mask) = line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()) {
        return mask;
    }
    // No thread of ours makes files between these two calls.
    let mask = rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    rustix::process::umask(mask);
    mask.bits() as u32
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo): names need to differ, not to withstand an attacker, and must
/// be the same in every build.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds bytes and their length, so that neighbouring parts can't run into each other.
    fn part(&mut self, bytes: &[u8]) {
        for byte in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_changes_with_everything_that_cannot_be_changed_later() {
        let metadata = fs::metadata("/").unwrap();
        let name = |python: &str, canonical: &str, value: &str, fact: &str| {
            let variables = [(OsStr::new("PYTHONPATH"), OsStr::new(value))];
            Identity::new(
                Path::new(python),
                Path::new(canonical),
                &metadata,
                variables.into_iter(),
                &[fact.to_owned()],
            )
        };
        let base = name("/b/p", "/q", "v", "f");
        assert_eq!(base, name("/b/p", "/q", "v", "f"));
        assert_eq!(base, name("/b/p3", "/q", "v", "f"));
        for other in ["/c/p", "/b/c/p"] {
            assert_ne!(base.interpreter, name(other, "/q", "v", "f").interpreter);
        }
        assert_ne!(base.interpreter, name("/b/p", "/q2", "v", "f").interpreter);
        for other in [name("/b/p", "/q", "v2", "f"), name("/b/p", "/q", "v", "g")] {
            assert_eq!(base.interpreter, other.interpreter);
            assert_ne!(base.whole, other.whole);
        }
        assert!(is_fixed(OsStr::new("LC_ALL")) && is_fixed(OsStr::new("LANG")));
        assert!(is_fixed(OsStr::new(env::PYTHON_OPTIONS)) && !is_fixed(OsStr::new(env::PYTHON)));
        assert!(!is_fixed(OsStr::new("LANGUAGE")) && !is_fixed(OsStr::new("PATH")));
        for name in ["HOME", "LD_PRELOAD", "PYTHONHASHSEED", "ASAN_OPTIONS"] {
            assert!(is_fixed(OsStr::new(name)), "{name}");
        }
        for name in ["AWS_SECRET_ACCESS_KEY", "RPYTEST_CACHE_DIR", "VIRTUAL_ENV"] {
            assert!(!is_fixed(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn umask_is_read_and_kept() {
        assert_eq!(umask(), umask());
        assert!(umask() <= 0o777);
    }
}
