//! Which Python runs the tests. Only looks at files: no interpreter is started here, because that
//! would cost more than all the rest of a warm run.
//!
//! Places, in this order:
//! 1. `RPYTEST_PYTHON`: a path, or a command name to look up in `PATH`; if it leads nowhere, that
//!    is an error.
//! 2. `python3`, `python` beside the rpytest binary: the environment that rpytest was installed
//!    into. First beside the file itself (links resolved), then beside the name under which it was
//!    called.
//! 3. `$VIRTUAL_ENV/bin/python`.
//! 4. `.venv/bin/python` in the current directory or one above it.
//! 5. `python3`, `python` in `PATH`.
//!
//! Paths are returned as they were found: resolving the link `bin/python` would lead out of its
//! virtual environment.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::env::{self, Env};
use crate::error::{Error, Result};

/// `python` is Python 2 on some older systems, hence the order.
const COMMANDS: [&str; 2] = ["python3", "python"];

/// Where to look. Made up in tests, [`Places::of_process`] otherwise.
pub struct Places {
    /// `RPYTEST_PYTHON`.
    pub chosen: Option<OsString>,
    /// The running binary, links resolved.
    pub exe: Option<PathBuf>,
    /// `argv[0]`.
    pub program: Option<OsString>,
    /// `VIRTUAL_ENV`.
    pub virtual_env: Option<OsString>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// The current directory, absolute.
    pub cwd: PathBuf,
}

impl Places {
    /// The places that `env` and this process's binary and arguments give.
    #[must_use]
    pub fn of_process(env: Env, cwd: &Path) -> Places {
        let exe = std::env::current_exe().ok();
        Places {
            chosen: env(env::PYTHON),
            exe: exe.map(|exe| exe.canonicalize().unwrap_or(exe)),
            program: std::env::args_os().next(),
            virtual_env: env("VIRTUAL_ENV"),
            path: env("PATH"),
            cwd: cwd.to_owned(),
        }
    }

    fn path_folders(&self) -> impl Iterator<Item = PathBuf> {
        // An empty entry of `PATH` means the current directory to shells; it is left out: the
        // tests' folder is no place for an interpreter.
        self.path
            .iter()
            .flat_map(std::env::split_paths)
            .filter(|folder| !folder.as_os_str().is_empty())
            .map(|folder| self.cwd.join(folder))
    }
}

/// Where Python was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Absolute path.
    pub python: PathBuf,
    /// Every place looked at, in order; the last one is `python`.
    pub looked: Vec<PathBuf>,
}

/// Finds Python. `is_executable` says whether a path is a file that may be executed:
/// [`is_executable`] but for tests.
///
/// # Errors
/// [`Error::NoPython`] with every place looked at; [`Error::PythonNotExecutable`] when
/// `RPYTEST_PYTHON` leads nowhere.
pub fn find(places: &Places, is_executable: impl Fn(&Path) -> bool) -> Result<Found> {
    let mut looked = Vec::new();
    let mut try_path = |path: PathBuf| {
        if looked.contains(&path) {
            return None;
        }
        let found = is_executable(&path).then(|| path.clone());
        looked.push(path);
        found
    };
    let python = match &places.chosen {
        Some(chosen) => chosen_candidates(places, chosen).find_map(&mut try_path),
        None => candidates(places).find_map(&mut try_path),
    };
    match (python, &places.chosen) {
        (Some(python), _) => Ok(Found { python, looked }),
        (None, Some(chosen)) => Err(Error::PythonNotExecutable {
            variable: env::PYTHON,
            path: chosen.into(),
        }),
        (None, None) => Err(Error::NoPython { looked }),
    }
}

/// Whether `path` is a file that this process may execute.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Places of a chosen interpreter, as a shell reads it: a name without a slash is looked up in
/// `PATH`.
fn chosen_candidates<'a>(
    places: &'a Places,
    chosen: &'a OsString,
) -> Box<dyn Iterator<Item = PathBuf> + 'a> {
    if has_slash(chosen) {
        Box::new(std::iter::once(places.cwd.join(chosen)))
    } else {
        Box::new(places.path_folders().map(move |folder| folder.join(chosen)))
    }
}

fn candidates(places: &Places) -> impl Iterator<Item = PathBuf> {
    let virtual_env = places.virtual_env.iter().map(|root| places.cwd.join(root));
    let dot_venvs = places.cwd.ancestors().map(|folder| folder.join(".venv"));
    beside_binary(places)
        .chain(
            virtual_env
                .chain(dot_venvs)
                .map(|root| root.join("bin/python")),
        )
        .chain(places.path_folders().flat_map(commands_in))
}

fn commands_in(folder: PathBuf) -> impl Iterator<Item = PathBuf> {
    COMMANDS.iter().map(move |command| folder.join(command))
}

fn beside_binary(places: &Places) -> impl Iterator<Item = PathBuf> {
    let exe = places.exe.iter().cloned();
    let called = places.program.iter().filter_map(|program| {
        if has_slash(program) {
            Some(places.cwd.join(program))
        } else {
            // The shell found it in `PATH`; so do we.
            places
                .path_folders()
                .map(|folder| folder.join(program))
                .find(|path| path.is_file())
        }
    });
    exe.chain(called)
        .filter_map(|binary| binary.parent().map(Path::to_owned))
        .flat_map(commands_in)
}

fn has_slash(name: &OsString) -> bool {
    name.as_bytes().contains(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn places() -> Places {
        Places {
            chosen: None,
            exe: Some("/opt/env/bin/rpytest".into()),
            program: Some("/home/u/bin/rpytest".into()),
            virtual_env: Some("/home/u/venv".into()),
            path: Some("/usr/local/bin::/usr/bin".into()),
            cwd: "/home/u/project/sub".into(),
        }
    }

    fn found(places: &Places, there: &[&str]) -> Result<Found> {
        find(places, |path| {
            there.iter().any(|file| Path::new(file) == path)
        })
    }

    /// All places, in the order of precedence.
    const ALL: [&str; 13] = [
        "/opt/env/bin/python3",
        "/opt/env/bin/python",
        "/home/u/bin/python3",
        "/home/u/bin/python",
        "/home/u/venv/bin/python",
        "/home/u/project/sub/.venv/bin/python",
        "/home/u/project/.venv/bin/python",
        "/home/u/.venv/bin/python",
        "/home/.venv/bin/python",
        "/.venv/bin/python",
        "/usr/local/bin/python3",
        "/usr/local/bin/python",
        "/usr/bin/python3",
    ];

    #[test]
    fn earlier_places_win() {
        for (index, place) in ALL.iter().enumerate() {
            let found = found(&places(), &ALL[index..]).unwrap();
            assert_eq!(found.python, Path::new(place));
            let looked: Vec<&Path> = ALL[..=index].iter().map(Path::new).collect();
            assert_eq!(found.looked, looked);
        }
    }

    #[test]
    fn nothing_found_names_every_place() {
        let Err(Error::NoPython { looked }) = found(&places(), &[]) else {
            panic!("found something")
        };
        let mut expected: Vec<PathBuf> = ALL.iter().map(PathBuf::from).collect();
        expected.push("/usr/bin/python".into());
        assert_eq!(looked, expected);
    }

    #[test]
    fn the_chosen_one_is_the_only_one() {
        let mut places = places();
        places.chosen = Some("/x/python3.12".into());
        assert_eq!(
            found(&places, &["/x/python3.12", ALL[0]]).unwrap().python,
            Path::new("/x/python3.12")
        );
        let error = found(&places, &ALL).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`RPYTEST_PYTHON` is `/x/python3.12`, which is not an executable file"
        );
    }

    #[test]
    fn the_chosen_one_may_be_relative_or_a_command() {
        let mut places = places();
        places.chosen = Some("../v/bin/python".into());
        let relative = "/home/u/project/sub/../v/bin/python";
        assert_eq!(
            found(&places, &[relative]).unwrap().python,
            Path::new(relative)
        );
        places.chosen = Some("python3.12".into());
        let command = "/usr/bin/python3.12";
        assert_eq!(
            found(&places, &[command]).unwrap().python,
            Path::new(command)
        );
    }

    #[test]
    fn with_nothing_set_there_is_nothing_but_dot_venv() {
        let places = Places {
            chosen: None,
            exe: None,
            program: None,
            virtual_env: None,
            path: None,
            cwd: "/p".into(),
        };
        let Err(Error::NoPython { looked }) = found(&places, &[]) else {
            panic!("found something")
        };
        assert_eq!(
            looked,
            [
                Path::new("/p/.venv/bin/python"),
                Path::new("/.venv/bin/python")
            ]
        );
    }

    #[test]
    fn a_program_called_by_name_is_looked_up_in_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rpytest"), "").unwrap();
        let mut places = places();
        places.program = Some("rpytest".into());
        places.path = Some(folder.path().into());
        let python = folder.path().join("python3");
        let found = find(&places, |path| path == python).unwrap();
        assert_eq!(found.python, python);
        assert_eq!(found.looked.len(), 3, "before VIRTUAL_ENV and PATH");
    }

    #[test]
    fn only_files_with_the_permission_are_executable() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("python");
        assert!(!is_executable(folder.path()));
        assert!(!is_executable(&file));
        std::fs::write(&file, "").unwrap();
        assert!(!is_executable(&file));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(is_executable(&file));
    }
}
