//! A connection to the daemon: found, or started.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::launch::{Launch, Started};
use super::reach::reach;
use super::socket_path::Place;
use super::stop;
use super::wire::Connection;
use crate::error::{Error, Result};

/// How often a CLI looks whether the daemon that another one is starting listens already.
const STARTING_POLL: Duration = Duration::from_millis(20);

/// What decides about the daemon to use.
#[derive(Clone, Debug)]
pub struct Options {
    /// The interpreter.
    pub python: PathBuf,
    /// How long an unused daemon stays.
    pub idle: Duration,
    /// A process for this run only; nothing is left behind.
    pub once: bool,
    /// coverage.py is to measure all that is run, from the interpreter's start on.
    pub is_measured: bool,
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Link {
    pub connection: Connection,
    started: Option<Started>,
    log: Option<PathBuf>,
    /// Where it was found.
    socket: Option<PathBuf>,
    /// Held until the new daemon has spoken: then it listens.
    lock: Option<File>,
}

impl Link {
    /// Whether this process has started the daemon.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.started.is_some()
    }

    /// To be called when the daemon's first message is there: others may look for its socket now.
    pub fn spoke(&mut self) {
        self.lock = None;
    }

    /// The daemon's log, for error messages.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// Whether the daemon answers on a connection of its own.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let socket = self.socket.as_deref();
        socket.is_none_or(stop::answers)
    }

    /// Closes the connection. A daemon for one run only is waited for, so that nothing of it is
    /// left when the command ends; `give_up` is asked ten times a second.
    pub fn leave(self, mut give_up: impl FnMut() -> bool) {
        drop(self.connection);
        let Some(mut started) = self.started.filter(|_| self.log.is_none()) else {
            return;
        };
        while !started.has_ended(Duration::from_millis(100)) && !give_up() {}
    }

    /// The error for a daemon that closed the connection before its first message.
    #[must_use]
    pub fn explain_end(&mut self) -> Error {
        match self.started.take() {
            Some(started) => started.explain(),
            None => Error::WentAway {
                who: "daemon",
                doing: "starting the run".into(),
                log: self.log.clone(),
            },
        }
    }
}

/// Connects to the daemon for `options`, starting it when there is none. While another command is
/// starting it, `gives_up` is asked; `None`: it said yes.
///
/// # Errors
/// When the interpreter can't be started, or the runtime directory or socket belongs to somebody
/// else.
pub fn connect(options: &Options, gives_up: &mut dyn FnMut() -> bool) -> Result<Option<Link>> {
    if options.once {
        return launch(options, None, None).map(Some);
    }
    let place = Place::new(&options.python)?;
    if let Some(connection) = reach(&place.socket)? {
        return Ok(Some(found(connection, &place)));
    }
    let lock = loop {
        if let Some(lock) = try_lock(&place.lock)? {
            break lock;
        }
        std::thread::sleep(STARTING_POLL);
        if let Some(connection) = reach(&place.socket)? {
            return Ok(Some(found(connection, &place)));
        }
        if gives_up() {
            return Ok(None);
        }
    };
    // Whoever held the lock may have started one.
    if let Some(connection) = reach(&place.socket)? {
        return Ok(Some(found(connection, &place)));
    }
    launch(options, Some(&place), Some(lock)).map(Some)
}

/// Stops the daemon at `options`' place and starts another one: it is of another build.
///
/// # Errors
/// As [`connect`]; also when the old one does not end.
pub fn replace(options: &Options, gives_up: &mut dyn FnMut() -> bool) -> Result<Option<Link>> {
    let place = Place::new(&options.python)?;
    stop::end(&place.socket)?;
    connect(options, gives_up)
}

/// Kills what listens at `options`' place and does not answer, and starts a daemon there.
///
/// # Errors
/// As [`connect`]; also when it can't be killed.
pub fn supersede(options: &Options, gives_up: &mut dyn FnMut() -> bool) -> Result<Option<Link>> {
    let place = Place::new(&options.python)?;
    stop::kill(&place.socket)?;
    connect(options, gives_up)
}

fn found(connection: Connection, place: &Place) -> Link {
    Link {
        connection,
        started: None,
        log: Some(place.log.clone()),
        socket: Some(place.socket.clone()),
        lock: None,
    }
}

fn launch(options: &Options, place: Option<&Place>, lock: Option<File>) -> Result<Link> {
    let files = place.map(|place| (place.socket.as_path(), place.log.as_path()));
    if let Some((socket, _)) = files {
        // Under the lock and with nobody listening: a leftover of a daemon that was killed.
        remove_stale(socket)?;
    }
    let launch = Launch {
        python: &options.python,
        idle: options.idle,
        files,
        options: crate::env::python_options(),
        is_measured: options.is_measured,
    };
    let (connection, started) = launch.start()?;
    let log = place.map(|place| place.log.clone());
    Ok(Link {
        connection,
        started: Some(started),
        log,
        socket: None,
        lock,
    })
}

fn remove_stale(socket: &Path) -> Result<()> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove the old socket", socket, error))
        }
        _ => Ok(()),
    }
}

/// The lock, or `None` while another process holds it.
fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        // A pipe in its place must not be waited for.
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| Error::io("open the lock", path, error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(Error::io("lock", path, errno.into())),
    }
}
