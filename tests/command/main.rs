//! The command and its daemon as processes, without Python: who is started, found, replaced and
//! stopped.

mod daemon;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// The other end of these tests: started by the interpreter's stand-in, never by itself.
#[test]
#[ignore = "this is the daemon process, not a test"]
fn as_daemon() {
    if std::env::var_os(daemon::ARGUMENTS).is_some() {
        daemon::main();
        std::process::exit(0);
    }
}

/// A machine of its own: runtime folder, interpreter, current folder.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Self { dir };
        let binary = std::env::current_exe().unwrap();
        // Another process writes the script: open for writing here, a fork of another test's thread
        // could inherit it, and then it can't be executed.
        let script = format!(
            "#!/bin/sh\n{}=$(printf '%s\\n' \"$@\") exec '{}' --exact as_daemon --ignored \
             --nocapture\n",
            daemon::ARGUMENTS,
            binary.display()
        );
        let write = r#"printf '%s' "$2" > "$1" && chmod 755 "$1""#;
        let mut command = Command::new("sh");
        command
            .args(["-c", write, "sh"])
            .arg(machine.python())
            .arg(script);
        assert!(command.status().unwrap().success());
        machine
    }

    fn python(&self) -> PathBuf {
        self.dir.path().join("python")
    }

    fn runtime(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rpytest"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_remove("CI")
            .env("RPYTEST_RUNTIME_DIR", self.runtime())
            .env("RPYTEST_CACHE_DIR", self.dir.path())
            .env("RPYTEST_PYTHON", self.python());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn run_as(&self, mode: &str, arguments: &[&str]) -> Output {
        self.command(arguments)
            .env(daemon::MODE, mode)
            .output()
            .unwrap()
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.runtime()) else {
            return Vec::new();
        };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "sock")
            })
            .collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.run(&["--daemon-stop"]);
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The process id that the daemon answered with.
fn pid(output: &Output) -> u32 {
    let line = text(&output.stdout)
        .lines()
        .find(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let line = line.unwrap_or_else(|| panic!("{output:?}"));
    line.split(' ').next().unwrap().parse().unwrap()
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_daemon_is_started_found_and_stopped() {
    let machine = Machine::new();
    let first = machine.run(&["-q", "tests/", "--daemon-idle-timeout", "60"]);
    assert_eq!(first.status.code(), Some(5));
    assert!(
        text(&first.stdout).contains("written by the session\n"),
        "{first:?}"
    );
    assert!(
        text(&first.stdout).contains("[\"-q\",\"tests/\"]"),
        "{first:?}"
    );
    assert_eq!(text(&first.stderr), "and this\n");
    let second = machine.run(&[]);
    assert_eq!(pid(&first), pid(&second));

    let status = machine.run(&["--daemon-status"]);
    let expected = format!("daemon {} has been running", pid(&first));
    assert!(text(&status.stdout).starts_with(&expected), "{status:?}");
    let stop = machine.run(&["--daemon-stop"]);
    assert_eq!(
        (stop.status.code(), text(&stop.stdout)),
        (Some(0), "daemon stopped\n")
    );
    let again = machine.run(&["--daemon-stop"]);
    assert_eq!(again.status.code(), Some(0));
    assert!(
        text(&again.stdout).starts_with("no daemon is running"),
        "{again:?}"
    );
    assert!(machine.sockets().is_empty());
}

#[test]
fn commands_that_begin_at_once_share_one_daemon() {
    let machine = Machine::new();
    let children: Vec<Child> = (0..6).map(|_| machine.spawn(&[])).collect();
    let mut pids: Vec<u32> = children
        .into_iter()
        .map(|child| pid(&child.wait_with_output().unwrap()))
        .collect();
    pids.dedup();
    assert_eq!(pids.len(), 1, "{pids:?}");
}

#[test]
fn what_a_fork_can_not_change_needs_another_daemon() {
    let machine = Machine::new();
    let first = machine.run(&[]);
    let other = machine
        .command(&[])
        .env("PYTHONHASHSEED", "7")
        .output()
        .unwrap();
    assert_ne!(pid(&first), pid(&other));
    assert_eq!(machine.sockets().len(), 2);
    let stop = machine.run(&["--daemon-stop"]);
    assert_eq!(text(&stop.stdout), "2 daemons stopped\n");
}

#[test]
fn a_killed_daemon_is_no_obstacle() {
    let machine = Machine::new();
    let first = machine.run(&[]);
    let process = rustix::process::Pid::from_raw(i32::try_from(pid(&first)).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    let second = machine.run(&[]);
    assert_eq!(second.status.code(), Some(5), "{second:?}");
    assert_ne!(pid(&first), pid(&second));
}

#[test]
fn nothing_stays_of_a_run_without_daemon() {
    let machine = Machine::new();
    for mode in ["", "lingers"] {
        let output = machine.run_as(mode, &["--no-daemon"]);
        assert_eq!(output.status.code(), Some(5));
        assert!(!is_alive(pid(&output)), "{mode}");
    }
    for name in ["CI", "RPYTEST_NO_DAEMON"] {
        let output = machine.command(&[]).env(name, "1").output().unwrap();
        assert!(!is_alive(pid(&output)), "{name}");
    }
    assert!(!machine.runtime().exists());
}

#[test]
fn a_daemon_of_another_build_is_replaced_once() {
    let machine = Machine::new();
    // Every daemon in this environment says that it is of another build: the second one is, too,
    // and that is an error.
    let output = machine.run_as("old", &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        text(&output.stderr).contains("a new one is of another build, too"),
        "{output:?}"
    );
}

#[test]
fn a_daemon_that_ends_without_a_word_is_explained_by_its_output() {
    let machine = Machine::new();
    for arguments in [&["--no-daemon"][..], &[]] {
        let output = machine.run_as("silent", arguments);
        assert_eq!(output.status.code(), Some(3));
        let stderr = text(&output.stderr);
        assert!(
            stderr.starts_with("error: the daemon could not be started with ")
                && stderr.contains(": it ended with status 9\n"),
            "{stderr}"
        );
        assert!(
            stderr.contains("RuntimeError: nothing works here\nhint: "),
            "{stderr}"
        );
    }
}

#[test]
fn senseless_answers_are_an_error_and_no_hang() {
    let machine = Machine::new();
    let output = machine.run_as("garbage", &["--no-daemon"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output.stderr).starts_with("error: unexpected message from the daemon"),
        "{output:?}"
    );
}

#[test]
fn a_daemon_that_does_not_listen_to_reason_is_killed() {
    let machine = Machine::new();
    let first = machine.run_as("stubborn", &[]);
    let stop = machine.run(&["--daemon-stop"]);
    assert_eq!(
        (stop.status.code(), text(&stop.stdout)),
        (Some(0), "daemon stopped\n")
    );
    assert!(machine.sockets().is_empty());
    let second = machine.run(&[]);
    assert_ne!(pid(&first), pid(&second));
}

#[test]
fn folders_that_others_can_write_to_are_refused() {
    use std::os::unix::fs::PermissionsExt;

    let machine = Machine::new();
    std::fs::create_dir(machine.runtime()).unwrap();
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(machine.runtime(), open).unwrap();
    let output = machine.run(&[]);
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains(
        "can be written by others (mode 777)\nhint: remove it, or set `RPYTEST_RUNTIME_DIR`"
    ));
}
