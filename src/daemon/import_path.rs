//! `PYTHONPATH` for a daemon, whose current directory is not the user's.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The variable.
pub(super) const NAME: &str = "PYTHONPATH";

/// This process's `PYTHONPATH`, as a daemon must have it; `None` when it is not set.
pub(super) fn of_this_process() -> Option<OsString> {
    let value = env::var_os(NAME)?;
    Some(match env::current_dir() {
        Ok(folder) => absolute(&value, &folder),
        Err(_) => value,
    })
}

/// The value with its relative entries made absolute, an empty one being `folder` itself, as Python
/// has it.
fn absolute(value: &OsStr, folder: &Path) -> OsString {
    if value.is_empty() {
        // An empty value is as good as none.
        return value.to_owned();
    }
    let entries = env::split_paths(value).map(|entry| {
        if entry.as_os_str().is_empty() {
            folder.to_owned()
        } else {
            folder.join(entry)
        }
    });
    // Only a folder with a colon in its name can't be part of the value; then that stays as it was.
    env::join_paths(entries).unwrap_or_else(|_| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_relative_to_the_folder() {
        let of = |value: &str| absolute(OsStr::new(value), Path::new("/home/me"));
        assert_eq!(of("."), "/home/me/.");
        assert_eq!(of("src:/opt/lib:"), "/home/me/src:/opt/lib:/home/me");
        assert_eq!(of(""), "");
        assert_eq!(of("../x"), "/home/me/../x");
        assert_eq!(absolute(OsStr::new("a"), Path::new("/b:c")), "a");
    }
}
